//! Every error converts into an `io::Error`, with the kind in the table of `unstick::io`, and can be
//! found in it again.

use std::fmt::Debug;
use std::io::{self, ErrorKind};
use std::time::Duration;

use unstick::engine::TimedOut;
use unstick::io::{DatagramSendError, ReadError, WriteError};
use unstick::{
    DatagramError, DecodeError, EncodeError, HeaderError, LayoutError, Part, RecoverError,
    StorageError, WriteBufError,
};

const TRUNCATED: DecodeError = DecodeError::Truncated { at: 9, missing: 1, part: Part::Header };
const OVERSIZE: DecodeError = DecodeError::Oversize { at: 7, len: 9, limit: 5 };
const AFTER: Duration = Duration::from_secs(1);

/// Checks the kind, and that the inner error is `inner`, with its text.
fn check<T>(error: impl Into<io::Error>, kind: ErrorKind, inner: &T)
where
    T: std::error::Error + 'static,
{
    let error = error.into();
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.to_string(), inner.to_string());
    let found = error.get_ref().and_then(|found| found.downcast_ref::<T>());
    assert_eq!(format!("{:?}", found.expect("the typed error")), format!("{inner:?}"));
}

/// Checks an error without a cause, which is the inner error itself.
fn check_own<T>(kind: ErrorKind, error: impl Fn() -> T)
where
    T: std::error::Error + Into<io::Error> + Debug + 'static,
{
    check(error(), kind, &error());
}

fn reset() -> io::Error {
    io::Error::from_raw_os_error(104)
}

/// Checks that the transport's error comes back, with its number.
fn check_transport(error: impl Into<io::Error>) {
    assert_eq!(error.into().raw_os_error(), Some(104));
}

#[test]
fn errors_of_the_core() {
    use ErrorKind::{BrokenPipe, InvalidData, InvalidInput, TimedOut as Late, UnexpectedEof};
    check_own(InvalidData, || HeaderError::InvalidKind);
    check_own(UnexpectedEof, || TRUNCATED);
    check_own(InvalidData, || OVERSIZE);
    check_own(InvalidData, || DecodeError::Header { at: 7, error: HeaderError::InvalidKind });
    check_own(InvalidData, || DatagramError::Empty);
    // A datagram cut short is no end of a stream.
    check_own(InvalidData, || DatagramError::Malformed(TRUNCATED));
    check_own(InvalidInput, || EncodeError::Meta);
    check_own(InvalidInput, || RecoverError::NotFailed);
    check_own(InvalidInput, || StorageError { needed: 9, room: 8 });
    check_own(InvalidInput, || LayoutError::Width { found: 9 });
    check_own(BrokenPipe, || WriteBufError::Poisoned);
    check(WriteBufError::Encode(EncodeError::NoFrame), InvalidInput, &EncodeError::NoFrame);
    check_own(Late, || TimedOut::Frame { at: 7, after: AFTER });
    check_own(Late, || TimedOut::Idle { at: 7, after: AFTER });
}

#[test]
fn errors_of_blocking_and_tokio_streams() {
    check_transport(ReadError::Io(reset()));
    check(ReadError::Decode(TRUNCATED), ErrorKind::UnexpectedEof, &TRUNCATED);
    check(ReadError::Decode(OVERSIZE), ErrorKind::InvalidData, &OVERSIZE);
    check_own(ErrorKind::TimedOut, || ReadError::FrameTimeout { at: 7, after: AFTER });
    check_own(ErrorKind::TimedOut, || ReadError::IdleTimeout { at: 7, after: AFTER });
    check_transport(WriteError::Io(reset()));
    check_transport(WriteError::Flush(reset()));
    check(WriteError::Encode(EncodeError::Meta), ErrorKind::InvalidInput, &EncodeError::Meta);
    check_own(ErrorKind::TimedOut, || WriteError::Timeout { after: AFTER, accepted: true });
    check_own(ErrorKind::BrokenPipe, || WriteError::Poisoned);
}

#[test]
fn errors_of_datagrams() {
    check_transport(DatagramSendError::Full(reset()));
    check_transport(DatagramSendError::Blocked(reset()));
    check_own(ErrorKind::NotConnected, || DatagramSendError::NotConnected);
    let encode = DatagramSendError::from(EncodeError::Meta);
    check(encode, ErrorKind::InvalidInput, &EncodeError::Meta);
}

#[cfg(feature = "tokio-util")]
#[test]
fn errors_of_codecs() {
    use unstick::codec::CodecError;
    check_transport(CodecError::Io(reset()));
    check(CodecError::Decode(TRUNCATED), ErrorKind::UnexpectedEof, &TRUNCATED);
    check(CodecError::Decode(OVERSIZE), ErrorKind::InvalidData, &OVERSIZE);
    check(CodecError::Encode(EncodeError::Meta), ErrorKind::InvalidInput, &EncodeError::Meta);
}

#[cfg(feature = "embedded-io")]
#[test]
fn errors_of_serial_lines() {
    use unstick::embedded_io::{ReadError, WriteError};
    check_transport(ReadError::Io(reset()));
    check_transport(WriteError::Io(reset()));
    check_transport(WriteError::Flush(reset()));
    // Another transport's error is kept.
    check(ReadError::Io(std::fmt::Error), ErrorKind::Other, &std::fmt::Error);
    let decode: ReadError<std::fmt::Error> = ReadError::Decode(TRUNCATED);
    check(decode, ErrorKind::UnexpectedEof, &TRUNCATED);
    let encode: WriteError<std::fmt::Error> = WriteError::Encode(EncodeError::Meta);
    check(encode, ErrorKind::InvalidInput, &EncodeError::Meta);
    check_own(ErrorKind::BrokenPipe, || WriteError::<std::fmt::Error>::Poisoned);
    check_own(ErrorKind::WriteZero, || WriteError::<std::fmt::Error>::WriteZero { accepted: true });
}

/// No type is missing above: each that implements `Error` is named in a conversion of its file.
#[test]
fn no_error_is_without_a_conversion() {
    fn visit(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            for line in text.lines().filter(|line| line.starts_with("impl")) {
                let Some((head, name)) = line.split_once("Error for ") else { continue };
                if head.contains("embedded_io") || head.contains("From<") {
                    continue;
                }
                let name = name.split([' ', '<']).next().unwrap();
                let (generic, own) = (format!("From<{name}<E>> for std::io"), format!("{name} {{"));
                let has_own = text.split("__io_errors! {").skip(1).any(|list| list.contains(&own));
                assert!(has_own || text.contains(&generic), "{}: {name}", path.display());
                found.push(name.to_owned());
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    visit(&root.join("src"), &mut found);
    visit(&root.join("session/src"), &mut found);
    assert!(found.len() >= 21, "{found:?}");
}

//! Messages: the typed payloads of the version 1 protocol (spec, chapter 13).
//!
//! [`Message::decode`] decodes a frame's payload and borrows from it. [`Message::encode`] returns
//! the payload in two parts, so that data is written without a copy. Both apply the same rules: the
//! encoder accepts exactly the messages that the decoder accepts.
//!
//! ```
//! use unstick::{Framing, Kind, V1};
//! use unstick_session::message::{Close, Code, Message};
//!
//! let framing = Framing::new(V1);
//! let mut wire = [0; 64];
//! let close = Message::Close(Close { code: Code::SHUTTING_DOWN, reason: "back at 9:00" });
//! let len = close.encode()?.frame_into(&framing, &mut wire)?;
//!
//! let frame = framing.split_frame(&mut &wire[..len])?.unwrap();
//! assert_eq!(Message::decode(frame.meta, frame.payload)?, close);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The [session](crate::session) checks which message may be sent or received at which time. A
//! datagram has no session, and is accepted or refused as a whole: [`Message::decode_all`] decodes
//! all of its messages, or reports the malformed one.

mod all;
mod attributes;
mod code;
mod encoded;
mod error;
mod file;
mod name;

use core::fmt;

use unstick::{Escaped, Kind};

pub use all::{Messages, RefusedMessage};
pub use attributes::FileAttributes;
pub use code::Code;
pub use encoded::Encoded;
pub use error::{MessageError, NameError};
pub use file::{Digest, FileCancel, FileData, FileDone, FileOpen, FileStatus, ResumeKey};
pub use name::{MAX_NAME_LEN, check_name};

/// The maximum payload length of a ping or pong, in bytes.
pub const MAX_PING_LEN: usize = 64;

/// A message, borrowed from a frame's payload.
///
/// ```
/// use unstick::{Framing, Kind, V1};
/// use unstick_session::message::Message;
///
/// let framing = Framing::new(V1);
/// let mut wire = Vec::new();
/// framing.encode(Kind::TEXT, "hello", &mut wire)?;
/// let frame = framing.split_frame(&mut &wire[..])?.ok_or("all of it is here")?;
/// assert_eq!(Message::decode(frame.meta, frame.payload)?, Message::Text("hello"));
/// assert!(Message::decode(Kind::TEXT, b"\xff").is_err()); // not UTF-8
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message<'a> {
    /// The sender's limit and name. It is the first message of a stream, if it is sent at all.
    Hello(Hello<'a>),
    /// Text.
    Text(&'a str),
    /// Arbitrary bytes.
    Binary(&'a [u8]),
    /// A request for a pong with the same bytes, at most [`MAX_PING_LEN`].
    Ping(&'a [u8]),
    /// The answer to a ping.
    Pong(&'a [u8]),
    /// The last message of a stream: its sender sends nothing more.
    Close(Close<'a>),
    /// An offer of a file.
    FileOpen(FileOpen<'a>),
    /// A run of the open file's bytes.
    FileData(FileData<'a>),
    /// The end of the open file: all of its data was sent.
    FileDone(FileDone),
    /// The receiver's answer for a file.
    FileStatus(FileStatus<'a>),
    /// The sender abandons the open file.
    FileCancel(FileCancel<'a>),
    /// What the open file has besides its bytes.
    FileAttributes(FileAttributes),
    /// A message of a kind that this version does not define: an application's kind, or one of a
    /// later edition of the protocol.
    Other {
        /// The kind.
        kind: Kind,
        /// The payload.
        payload: &'a [u8],
    },
}

/// The limit and the name of a side (spec, 13.1 and 14.1).
///
/// ```
/// use unstick_session::message::{Hello, Message};
///
/// let message = Message::Hello(Hello { limit: 1 << 20, name: "example" });
/// let encoded = message.encode()?;
/// let payload = [encoded.head(), encoded.tail()].concat();
/// assert_eq!(payload, b"\0\x10\0\0example");
/// assert_eq!(Message::decode(encoded.kind(), &payload)?, message);
/// # Ok::<(), unstick_session::message::MessageError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The limit of this side: the maximum payload length that it accepts, in bytes.
    ///
    /// Any value is valid. A peer that has not seen the hello yet may send 65,536 bytes, so a side
    /// with a lower limit accepts as much, unless its peer knows the limit by other means
    /// (spec, CNV-13).
    pub limit: u32,
    /// The application's name; may be empty. It is chosen by the peer: escape it before you display
    /// it.
    pub name: &'a str,
}

/// The last message of a stream (spec, 13.4 and 14.4).
///
/// [`Code::NO_ERROR`] without a reason is the ordinary close. It is encoded as an empty payload.
///
/// ```
/// use unstick_session::message::{Close, Code, Message};
///
/// let message = Message::Close(Close { code: Code::BUSY, reason: "try again later" });
/// let encoded = message.encode()?;
/// let payload = [encoded.head(), encoded.tail()].concat();
/// assert_eq!(Message::decode(encoded.kind(), &payload)?, message);
/// # Ok::<(), unstick_session::message::MessageError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Close<'a> {
    /// Why the stream ends.
    pub code: Code,
    /// The reason as text for people; may be empty. It is chosen by the peer: escape it before you
    /// display it.
    pub reason: &'a str,
}

impl Close<'_> {
    /// The ordinary close: no error, no reason.
    pub const ORDINARY: Self = Close { code: Code::NO_ERROR, reason: "" };

    /// The length in bytes of the code, which comes before the reason.
    pub(crate) const HEAD_LEN: usize = 2;
}

impl<'a> Message<'a> {
    /// Decodes a frame's payload.
    ///
    /// Kinds that version 1 does not define are returned as [`Other`](Self::Other), critical or
    /// not. The session decides whether such a kind is known.
    ///
    /// # Errors
    /// Returns an error if the payload is malformed for its kind.
    pub fn decode(kind: Kind, payload: &'a [u8]) -> Result<Self, MessageError> {
        check_len(kind, payload.len() as u64)?;
        Ok(match kind {
            Kind::TEXT => Self::Text(utf8(kind, 0, payload)?),
            Kind::BINARY => Self::Binary(payload),
            Kind::PING => Self::Ping(payload),
            Kind::PONG => Self::Pong(payload),
            Kind::CLOSE => match payload.split_first_chunk() {
                Some((&code, reason)) => Self::Close(Close {
                    code: Code(u16::from_be_bytes(code)),
                    reason: utf8(kind, 2, reason)?,
                }),
                None => Self::Close(Close::ORDINARY),
            },
            Kind::HELLO => {
                let (&limit, name) = split(kind, payload)?;
                let limit = u32::from_be_bytes(limit);
                Self::Hello(Hello { limit, name: utf8(kind, 4, name)? })
            }
            Kind::FILE_OPEN => {
                let (&head, name) = split(kind, payload)?;
                let [i0, i1, i2, i3, key @ .., s0, s1, s2, s3, s4, s5, s6, s7]: [u8; 28] = head;
                let id = u32::from_be_bytes([i0, i1, i2, i3]);
                let size = u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
                let name =
                    name::decode_name(name).map_err(|error| MessageError::Name { id, error })?;
                let size = (size != FileOpen::UNKNOWN).then_some(size);
                Self::FileOpen(FileOpen { id, key: ResumeKey(key), size, name })
            }
            Kind::FILE_DATA => {
                let (&head, bytes) = split(kind, payload)?;
                let [i0, i1, i2, i3, offset @ ..]: [u8; FileData::HEAD_LEN] = head;
                let id = u32::from_be_bytes([i0, i1, i2, i3]);
                Self::FileData(FileData { id, offset: u64::from_be_bytes(offset), bytes })
            }
            Kind::FILE_DONE => {
                let (&head, _) = split(kind, payload)?;
                let [i0, i1, i2, i3, t0, t1, t2, t3, t4, t5, t6, t7, digest @ ..]: [u8; 44] = head;
                Self::FileDone(FileDone {
                    id: u32::from_be_bytes([i0, i1, i2, i3]),
                    total: u64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
                    digest: Digest(digest),
                })
            }
            Kind::FILE_STATUS => {
                let (&head, reason) = split(kind, payload)?;
                let [i0, i1, i2, i3, c0, c1, o0, o1, o2, o3, o4, o5, o6, o7, digest @ ..]: [u8;
                    FileStatus::HEAD_LEN] = head;
                Self::FileStatus(FileStatus {
                    id: u32::from_be_bytes([i0, i1, i2, i3]),
                    code: Code(u16::from_be_bytes([c0, c1])),
                    offset: u64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
                    digest: Digest(digest),
                    reason: utf8(kind, FileStatus::HEAD_LEN, reason)?,
                })
            }
            Kind::FILE_CANCEL => {
                let (&[i0, i1, i2, i3, c0, c1], reason) = split(kind, payload)?;
                Self::FileCancel(FileCancel {
                    id: u32::from_be_bytes([i0, i1, i2, i3]),
                    code: Code(u16::from_be_bytes([c0, c1])),
                    reason: utf8(kind, 6, reason)?,
                })
            }
            Kind::FILE_ATTRIBUTES => Self::FileAttributes(FileAttributes::decode(payload)?),
            kind => Self::Other { kind, payload },
        })
    }

    /// Returns the kind of the frame that carries this message.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::HELLO,
            Self::Text(_) => Kind::TEXT,
            Self::Binary(_) => Kind::BINARY,
            Self::Ping(_) => Kind::PING,
            Self::Pong(_) => Kind::PONG,
            Self::Close(_) => Kind::CLOSE,
            Self::FileOpen(_) => Kind::FILE_OPEN,
            Self::FileData(_) => Kind::FILE_DATA,
            Self::FileDone(_) => Kind::FILE_DONE,
            Self::FileStatus(_) => Kind::FILE_STATUS,
            Self::FileCancel(_) => Kind::FILE_CANCEL,
            Self::FileAttributes(_) => Kind::FILE_ATTRIBUTES,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// Returns the code of a close, a file-status or a file-cancel.
    pub(crate) const fn code(&self) -> Option<Code> {
        match self {
            Self::Close(Close { code, .. })
            | Self::FileStatus(FileStatus { code, .. })
            | Self::FileCancel(FileCancel { code, .. }) => Some(*code),
            _ => None,
        }
    }

    /// Encodes the payload.
    ///
    /// # Errors
    /// Returns the error that [`decode`](Self::decode) would return for this payload, or
    /// [`MessageError::Size`] for the size 2^64 − 1.
    pub fn encode(&self) -> Result<Encoded<'a>, MessageError> {
        let kind = self.kind();
        let encoded = match *self {
            Self::Hello(Hello { limit, name }) => {
                Encoded::new(kind, name.as_bytes()).field(limit.to_be_bytes())
            }
            Self::Text(text) => Encoded::new(kind, text.as_bytes()),
            Self::Binary(bytes) | Self::Ping(bytes) | Self::Pong(bytes) => {
                Encoded::new(kind, bytes)
            }
            Self::Close(Close::ORDINARY) => Encoded::new(kind, &[]),
            Self::Close(Close { code, reason }) => {
                Encoded::new(kind, reason.as_bytes()).field(code.0.to_be_bytes())
            }
            Self::FileOpen(FileOpen { id, key, size, name }) => {
                check_name(name).map_err(|error| MessageError::Name { id, error })?;
                if size == Some(FileOpen::UNKNOWN) {
                    return Err(MessageError::Size { id });
                }
                Encoded::new(kind, name.as_bytes())
                    .field(id.to_be_bytes())
                    .field(key.0)
                    .field(size.unwrap_or(FileOpen::UNKNOWN).to_be_bytes())
            }
            Self::FileData(FileData { id, offset, bytes }) => {
                Encoded::new(kind, bytes).field(id.to_be_bytes()).field(offset.to_be_bytes())
            }
            Self::FileDone(FileDone { id, total, digest }) => Encoded::new(kind, &[])
                .field(id.to_be_bytes())
                .field(total.to_be_bytes())
                .field(digest.0),
            Self::FileStatus(FileStatus { id, code, offset, digest, reason }) => {
                Encoded::new(kind, reason.as_bytes())
                    .field(id.to_be_bytes())
                    .field(code.0.to_be_bytes())
                    .field(offset.to_be_bytes())
                    .field(digest.0)
            }
            Self::FileCancel(FileCancel { id, code, reason }) => {
                Encoded::new(kind, reason.as_bytes())
                    .field(id.to_be_bytes())
                    .field(code.0.to_be_bytes())
            }
            Self::FileAttributes(attributes) => attributes.encode(),
            Self::Other { kind, payload } => {
                // A payload of a kind that version 1 defines follows that kind's rules here too.
                Self::decode(kind, payload)?;
                Encoded::new(kind, payload)
            }
        };
        check_len(kind, encoded.payload_len())?;
        Ok(encoded)
    }
}

/// Checks whether a payload of this kind can have this length, which a header alone decides.
///
/// # Errors
/// Returns an error if no payload of this kind and length is valid. (A name that is too long
/// refuses only its file, and is not an error here.)
pub fn check_len(kind: Kind, len: u64) -> Result<(), MessageError> {
    let (min, max) = match kind {
        Kind::PING | Kind::PONG => (0, MAX_PING_LEN as u64),
        Kind::CLOSE if len == 1 => return Err(MessageError::HalfCode),
        Kind::HELLO => (4, u64::MAX),
        Kind::FILE_OPEN => (28, u64::MAX),
        Kind::FILE_DATA if len == FileData::HEAD_LEN as u64 => return Err(MessageError::NoData),
        Kind::FILE_DATA => (13, u64::MAX),
        Kind::FILE_DONE => (44, 44),
        Kind::FILE_STATUS => (FileStatus::HEAD_LEN as u64, u64::MAX),
        Kind::FILE_CANCEL => (6, u64::MAX),
        Kind::FILE_ATTRIBUTES => (FileAttributes::LEN as u64, FileAttributes::LEN as u64),
        _ => return Ok(()),
    };
    if len < min {
        return Err(MessageError::TooShort { kind, len, min });
    }
    if len > max {
        return Err(MessageError::TooLong { kind, len, max });
    }
    Ok(())
}

/// Splits the payload into fixed fields and the rest. The length was checked before.
fn split<const N: usize>(kind: Kind, payload: &[u8]) -> Result<(&[u8; N], &[u8]), MessageError> {
    let len = payload.len() as u64;
    payload.split_first_chunk().ok_or(MessageError::TooShort { kind, len, min: N as u64 })
}

/// Decodes the text that begins at offset `at` of the payload.
fn utf8(kind: Kind, at: usize, bytes: &[u8]) -> Result<&str, MessageError> {
    core::str::from_utf8(bytes).map_err(|error| MessageError::Utf8 {
        kind,
        at: at.saturating_add(error.valid_up_to()) as u64,
        cut: error.error_len().is_none(),
    })
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello(hello) => hello.fmt(f),
            Self::Text(text) => f.debug_tuple("Text").field(&Escaped(text.as_bytes())).finish(),
            Self::Binary(bytes) => f.debug_tuple("Binary").field(&Escaped(bytes)).finish(),
            Self::Ping(bytes) => f.debug_tuple("Ping").field(&Escaped(bytes)).finish(),
            Self::Pong(bytes) => f.debug_tuple("Pong").field(&Escaped(bytes)).finish(),
            Self::Close(close) => close.fmt(f),
            Self::FileOpen(open) => open.fmt(f),
            Self::FileData(data) => data.fmt(f),
            Self::FileDone(done) => done.fmt(f),
            Self::FileStatus(status) => status.fmt(f),
            Self::FileCancel(cancel) => cancel.fmt(f),
            Self::FileAttributes(attributes) => attributes.fmt(f),
            Self::Other { kind, payload } => f
                .debug_struct("Other")
                .field("kind", kind)
                .field("payload", &Escaped(payload))
                .finish(),
        }
    }
}

#[cfg(all(test, feature = "alloc"))]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::string::ToString;

    const DIGEST: Digest = Digest([7; 32]);

    fn all() -> [Message<'static>; 19] {
        let attributes = |modified, is_executable| {
            Message::FileAttributes(FileAttributes { id: 0x0102_0304, modified, is_executable })
        };
        [
            attributes(Some(0x0506_0708_090A_0B0C), true),
            attributes(Some(-1), false),
            attributes(None, true),
            Message::Hello(Hello { limit: 1 << 20, name: "unstick" }),
            Message::Hello(Hello { limit: 0, name: "" }),
            Message::Text("粘包"),
            Message::Text(""),
            Message::Binary(&[0xFF, 0]),
            Message::Ping(&[1; 64]),
            Message::Pong(&[]),
            Message::Close(Close::ORDINARY),
            Message::Close(Close { code: Code(0xABCD), reason: "why" }),
            Message::FileOpen(FileOpen {
                id: 0x0102_0304,
                key: ResumeKey([9; 16]),
                size: Some(0x0506_0708_090A_0B0C),
                name: "报告.pdf",
            }),
            Message::FileOpen(FileOpen { id: 1, key: ResumeKey([0; 16]), size: None, name: "a" }),
            Message::FileData(FileData { id: 1, offset: 1 << 40, bytes: b"x" }),
            Message::FileDone(FileDone { id: 1, total: 5, digest: DIGEST }),
            Message::FileStatus(FileStatus::refused(2, Code::NO_SPACE, 77, "磁盘满")),
            Message::FileCancel(FileCancel { id: 3, code: Code::CHANGED, reason: "" }),
            Message::Other { kind: Kind::new(0x41).unwrap(), payload: b"own" },
        ]
    }

    #[test]
    fn check_len_refuses_lengths_that_a_kind_cannot_have() {
        // spec: MSG-3, MSG-5
        let table = [
            (Kind::HELLO, 4, u64::MAX),
            (Kind::PING, 0, 64),
            (Kind::PONG, 0, 64),
            (Kind::FILE_OPEN, 28, u64::MAX),
            (Kind::FILE_DATA, 13, u64::MAX),
            (Kind::FILE_DONE, 44, 44),
            (Kind::FILE_STATUS, 46, u64::MAX),
            (Kind::FILE_CANCEL, 6, u64::MAX),
            (Kind::FILE_ATTRIBUTES, 13, 13),
            (Kind::TEXT, 0, u64::MAX),
            (Kind::new(0x41).unwrap(), 0, u64::MAX),
        ];
        for (kind, min, max) in table {
            assert_eq!(check_len(kind, min), Ok(()), "{kind:?}");
            assert_eq!(check_len(kind, max), Ok(()), "{kind:?}");
            if let Some(len) = min.checked_sub(1) {
                assert!(check_len(kind, len).is_err(), "{kind:?} of {len} bytes");
            }
            if let Some(len) = max.checked_add(1) {
                let refused = Err(MessageError::TooLong { kind, len, max });
                assert_eq!(check_len(kind, len), refused);
            }
        }
        let refused = Err(MessageError::TooShort { kind: Kind::HELLO, len: 3, min: 4 });
        assert_eq!(check_len(Kind::HELLO, 3), refused);
        assert_eq!(check_len(Kind::FILE_DATA, 12), Err(MessageError::NoData));
        assert_eq!(check_len(Kind::CLOSE, 1), Err(MessageError::HalfCode));
        assert_eq!((check_len(Kind::CLOSE, 0), check_len(Kind::CLOSE, 2)), (Ok(()), Ok(())));
    }

    #[test]
    fn debug_prints_digests_in_hex_and_escapes_data() {
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::OF_NOTHING.to_string(), digest);
        assert_eq!(std::format!("{:?}", Digest::OF_NOTHING), digest);
        let data = FileData { id: 7, offset: 9, bytes: b"a\n" };
        assert_eq!(std::format!("{data:?}"), r#"FileData { id: 7, offset: 9, bytes: b"a\n" }"#);
    }

    #[test]
    fn errors_of_payloads_and_names_display_what_and_where() {
        let shown = |error: MessageError| error.to_string();
        let one = shown(MessageError::TooShort { kind: Kind::HELLO, len: 1, min: 4 });
        assert!(one.contains("1 byte") && !one.contains("1 bytes"), "{one}");
        let two = shown(MessageError::TooShort { kind: Kind::HELLO, len: 2, min: 4 });
        assert!(two.contains("2 bytes"), "{two}");
        let table: [(&[u8], u64, &str); 7] = [
            (b"", 0, "give it one"),
            (&[b'a'; 256], 255, "a name of 256 bytes"),
            (b"ab\xFF", 2, "not UTF-8"),
            ("a文".as_bytes().split_last().unwrap().1, 1, "ends inside a character"),
            (b"abc/d", 3, "has '/'"),
            (b"a\x07", 1, "control character U+0007"),
            (b"..", 0, "that of a folder"),
        ];
        for (name, at, says) in table {
            let error = name::decode_name(name).unwrap_err();
            assert_eq!(error.at(), at, "{error:?}");
            assert!(error.to_string().contains(says), "{error}");
        }
        let text = Message::Text("secret").encode().unwrap();
        assert_eq!(std::format!("{text:?}"), "Encoded { kind: Kind(text), payload_len: 6, .. }");
    }

    #[test]
    fn encoded_messages_decode_to_the_same_message() {
        // spec: MSG-1
        for message in all() {
            let encoded = message.encode().unwrap();
            let payload = encoded.to_payload();
            assert_eq!(payload.len() as u64, encoded.payload_len());
            assert_eq!(Message::decode(encoded.kind(), &payload), Ok(message));
            let mut out = [0xAA; 200];
            assert_eq!(encoded.payload_into(&mut out), Ok(payload.len()));
            assert_eq!(out[..payload.len()], payload);
            if let Some(short) = payload.len().checked_sub(1) {
                let error = encoded.payload_into(&mut out[..short]);
                let needed = payload.len();
                assert_eq!(error, Err(unstick::EncodeError::NoRoom { needed, room: short }));
            }
            // A raw message of the same kind and payload is encoded to the same bytes.
            let raw = Message::Other { kind: message.kind(), payload: &payload };
            assert_eq!(raw.encode().unwrap().to_payload(), payload);
        }
    }

    #[test]
    fn fields_have_the_offsets_of_the_specification() {
        let payload = |message: Message<'_>| message.encode().unwrap().to_payload();
        let [attributes, before_1970, unknown, .., open, _, data, done, status, cancel, _] = all();
        assert_eq!(payload(open)[..8], [1, 2, 3, 4, 9, 9, 9, 9]);
        assert_eq!(payload(open)[20..28], [5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(&payload(open)[28..], "报告.pdf".as_bytes());
        assert_eq!(payload(data), [0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, b'x']);
        assert_eq!(payload(done)[..13], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 7]);
        assert_eq!(payload(status)[..14], [0, 0, 0, 2, 1, 0x38, 0, 0, 0, 0, 0, 0, 0, 77]);
        assert_eq!(&payload(status)[46..], "磁盘满".as_bytes());
        assert_eq!(payload(cancel), [0, 0, 0, 3, 1, 0x51]);
        assert_eq!(payload(attributes), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1]);
        assert_eq!(payload(before_1970), [&[1, 2, 3, 4][..], &[0xFF; 8], &[0]].concat());
        assert_eq!(payload(unknown), [&[1, 2, 3, 4, 0x80][..], &[0; 7], &[1]].concat());
        // A receiver ignores the bits that have no meaning yet.
        let later = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0xFF];
        assert_eq!(Message::decode(Kind::FILE_ATTRIBUTES, &later), Ok(attributes));
        assert_eq!(payload(Message::Close(Close::ORDINARY)), []);
        // Both payloads are the ordinary close; only the shorter one is written.
        let both = [&[][..], &[0, 0]].map(|payload| Message::decode(Kind::CLOSE, payload));
        assert_eq!(both, [Ok(Message::Close(Close::ORDINARY)); 2]);
    }

    #[test]
    fn every_malformed_payload_has_its_own_error() {
        // spec: MSG-2, MSG-3, MSG-4, MSG-5
        let short = |kind, len, min| MessageError::TooShort { kind, len, min };
        let utf8 = |kind, at, cut| MessageError::Utf8 { kind, at, cut };
        let zeros = [0; 65];
        for (kind, payload, error) in [
            (Kind::TEXT, &b"a\xff"[..], utf8(Kind::TEXT, 1, false)),
            (Kind::TEXT, b"ab\xe7\xb2", utf8(Kind::TEXT, 2, true)),
            (Kind::TEXT, b"\xed\xa0\x80", utf8(Kind::TEXT, 0, false)),
            (Kind::PING, &zeros, MessageError::TooLong { kind: Kind::PING, len: 65, max: 64 }),
            (Kind::PONG, &zeros, MessageError::TooLong { kind: Kind::PONG, len: 65, max: 64 }),
            (Kind::CLOSE, &[0], MessageError::HalfCode),
            (Kind::CLOSE, b"\0\x05\xe7", utf8(Kind::CLOSE, 2, true)),
            (Kind::HELLO, &zeros[..3], short(Kind::HELLO, 3, 4)),
            (Kind::HELLO, b"\0\0\0\0x\x80", utf8(Kind::HELLO, 5, false)),
            (Kind::FILE_OPEN, &zeros[..27], short(Kind::FILE_OPEN, 27, 28)),
            (Kind::FILE_DATA, &zeros[..11], short(Kind::FILE_DATA, 11, 13)),
            (Kind::FILE_DATA, &zeros[..12], MessageError::NoData),
            (Kind::FILE_DONE, &zeros[..43], short(Kind::FILE_DONE, 43, 44)),
            (
                Kind::FILE_DONE,
                &zeros[..45],
                MessageError::TooLong { kind: Kind::FILE_DONE, len: 45, max: 44 },
            ),
            (Kind::FILE_STATUS, &zeros[..45], short(Kind::FILE_STATUS, 45, 46)),
            (Kind::FILE_CANCEL, &zeros[..5], short(Kind::FILE_CANCEL, 5, 6)),
            (Kind::FILE_CANCEL, b"\0\0\0\0\0\0\xff", utf8(Kind::FILE_CANCEL, 6, false)),
        ] {
            assert_eq!(Message::decode(kind, payload), Err(error), "{kind} {payload:02x?}");
            assert_eq!(error.code(), Code::BAD_MESSAGE);
            let text = error.to_string();
            assert!(text.starts_with(&std::format!("payload byte {}: ", error.at())), "{text}");
            assert!(text.contains([';', '?']), "{text}");
        }
        let status = [&zeros[..46], b"ok\xe7\xb2"].concat();
        let error = Message::decode(Kind::FILE_STATUS, &status);
        assert_eq!(error, Err(utf8(Kind::FILE_STATUS, 48, true)));
    }

    #[test]
    fn a_bad_name_is_an_error_of_its_file_only() {
        // spec: MSG-11
        let open = [&[0, 0, 0, 7][..], &[0; 24], b"a/b"].concat();
        let error = NameError::Separator { at: 1, found: '/' };
        let error = MessageError::Name { id: 7, error };
        assert_eq!(Message::decode(Kind::FILE_OPEN, &open), Err(error));
        assert_eq!((error.code(), error.at()), (Code::BAD_NAME, 29));
        let mut open = FileOpen { id: 7, key: ResumeKey([0; 16]), size: None, name: "a/b" };
        assert_eq!(Message::FileOpen(open).encode().unwrap_err(), error);
        open.name = "ab";
        assert!(Message::FileOpen(open).encode().is_ok());
    }

    #[test]
    fn encode_refuses_what_decode_refuses() {
        // spec: MSG-6
        let ping = Message::Ping(&[0; 65]);
        let error = MessageError::TooLong { kind: Kind::PING, len: 65, max: 64 };
        assert_eq!(ping.encode().unwrap_err(), error);
        let data = Message::FileData(FileData { id: 1, offset: 0, bytes: &[] });
        assert_eq!(data.encode().unwrap_err(), MessageError::NoData);
        let text = Message::Other { kind: Kind::TEXT, payload: &[0xFF] };
        let error = MessageError::Utf8 { kind: Kind::TEXT, at: 0, cut: false };
        assert_eq!(text.encode().unwrap_err(), error);
    }

    #[test]
    fn digests_decide_on_resuming_and_on_success() {
        // spec: FIL-17, FIL-21
        let (a, b) = (Digest([1; 32]), Digest([2; 32]));
        let ready = FileStatus::ready(1, 100, a);
        assert_eq!((ready.begin_at(a), ready.begin_at(b)), (100, 0));
        // A receiver without a digest cannot resume, even if the sender has no digest either.
        assert_eq!(FileStatus::ready(1, 100, Digest::NONE).begin_at(Digest::NONE), 0);
        let done = FileDone { id: 1, total: 9, digest: a };
        assert_eq!((done.answer(a).code, done.answer(a).offset), (Code::STORED, 9));
        assert_eq!((done.answer(b).code, done.answer(b).offset), (Code::BAD_DIGEST, 0));
        assert!(done.answer(a).is_there(a) && !done.answer(b).is_there(a));
        assert!(FileStatus::exists(1, Some((9, a))).is_there(a));
        assert!(!FileStatus::exists(1, Some((9, a))).is_there(b));
        assert!(!FileStatus::exists(1, None).is_there(a));
        assert!(!ready.is_there(a));
    }

    #[test]
    fn debug_hides_resume_keys_and_shortens_data() {
        let [.., open, _, data, _, _, _, _] = all();
        let text = std::format!("{open:?} {data:?} {:?}", Message::Binary(&[0; 99]));
        assert!(text.contains("ResumeKey(..)") && text.contains("99 bytes"), "{text}");
    }
}

//! What the command adds to the library's version 1: names of codes, closes whose reason fits a
//! limit, and short descriptions of messages.

use std::fmt;
use std::time::Duration;

use unstick::Kind;
use unstick_session::message::{self, Code, FileAttributes, FileStatus, Hello, Message};

use crate::term::bytes::{count_bytes, in_units};
use crate::term::preview::{self, preview};
use crate::term::time;

/// The maximum number of characters of a peer's name that are shown in brief.
const MAX_NAME: usize = 60;

/// The interval at which it is checked whether something was sent. If nothing was, a ping is: so the peer
/// hears of this side every 20 seconds (spec, CNV-21).
pub(crate) const PING_CHECK: Duration = Duration::from_secs(10);
/// The payload of such a ping.
pub(crate) const KEEPALIVE: &[u8] = b"\0";

/// The length in bytes of a hello before its name.
const HELLO_LEN: u64 = 4;

/// The name that this program sends in its hello.
pub(crate) const NAME: &str = concat!("unstick ", env!("CARGO_PKG_VERSION"));

/// Returns the name of a code.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code.name() {
        Some(name) => name,
        None if code.is_application() => "an application's code",
        None => "reserved",
    }
}

/// An owned close, with the beginning of its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) code: Code,
    pub(crate) reason: String,
}

impl Close {
    pub(crate) fn is_ordinary(&self) -> bool {
        self.code == Code::NO_ERROR
    }
}

impl From<message::Close<'_>> for Close {
    fn from(close: message::Close<'_>) -> Self {
        Self { code: close.code, reason: preview::reason(close.reason) }
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code 0x{:04x} ({})", self.code.0, code_name(self.code))?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

/// Returns an error message without its hint, which follows the first `; `.
pub(crate) fn without_advice(message: &str) -> &str {
    message.split_once("; ").map_or(message, |(what, _)| what)
}

/// Returns as much of this program's name as fits into a hello to a peer that accepts payloads of
/// `peer_limit` bytes; `None` if no hello does.
pub(crate) fn name_for(peer_limit: u64) -> Option<&'static str> {
    let room = usize::try_from(peer_limit.checked_sub(HELLO_LEN)?).unwrap_or(usize::MAX);
    Some(NAME.get(..room).unwrap_or(NAME))
}

/// Formats a hello briefly: `"unstick 0.1.0", takes 1 MiB`.
pub(crate) fn brief(hello: &Hello<'_>) -> String {
    let takes = in_units(hello.limit.into());
    if hello.name.is_empty() {
        return format!("takes {takes}");
    }
    let name = preview(hello.name.as_bytes(), hello.name.len() as u64, MAX_NAME);
    format!("{name}, takes {takes}")
}

/// Describes a payload whose kind defines its contents; `None` for other kinds and for a malformed
/// payload. About `width` characters of its data are shown.
pub(crate) fn describe(kind: Kind, payload: &[u8], width: usize) -> Option<String> {
    Some(match Message::decode(kind, payload).ok()? {
        Message::Close(close) => Close::from(close).to_string(),
        Message::Hello(Hello { limit, name }) => {
            let takes = format!("takes {} at most", count_bytes(limit.into()));
            if name.is_empty() { takes } else { format!("{takes}, {}", preview::name(name)) }
        }
        Message::FileOpen(open) => {
            let size = open.size.map_or_else(|| "size not known".to_owned(), count_bytes);
            format!("transfer {}: {}, {size}", open.id, preview::name(open.name))
        }
        Message::FileData(data) => {
            let shown = preview(data.bytes, data.bytes.len() as u64, width);
            format!("transfer {}: {} at {}: {shown}", data.id, data.bytes.len(), data.offset)
        }
        Message::FileDone(done) => {
            format!("transfer {}: {} in all, SHA-256 {}", done.id, done.total, done.digest)
        }
        Message::FileStatus(FileStatus { id, code, offset, digest, reason }) => {
            let colon = if reason.is_empty() { "" } else { ": " };
            let has_digest = matches!(code, Code::READY | Code::STORED | Code::EXISTS);
            let digest = if has_digest { format!(", SHA-256 {digest}") } else { String::new() };
            let reason = preview::reason(reason);
            format!("transfer {id}: {code}, {offset}{digest}{colon}{reason}")
        }
        Message::FileCancel(cancel) => {
            let colon = if cancel.reason.is_empty() { "" } else { ": " };
            let reason = preview::reason(cancel.reason);
            format!("transfer {}: {}{colon}{reason}", cancel.id, cancel.code)
        }
        Message::FileAttributes(FileAttributes { id, modified, is_executable }) => {
            let modified = match modified {
                Some(time) => format!("modified {}", time::of_unix_nanos(time)),
                None => "time not known".to_owned(),
            };
            format!("transfer {id}: {modified}{}", if is_executable { ", executable" } else { "" })
        }
        _ => return None,
    })
}

/// Parses a kind, given by name or number.
pub(crate) fn parse_kind(text: &str) -> Result<Kind, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let kind = match number {
        Some(number) => Kind::new(number),
        None => kinds().find(|kind| kind.name() == Some(text)),
    };
    kind.ok_or_else(|| {
        let names = kind_names().join(", ");
        format!("give {names}, or a number from 1 to 255 such as 0x41")
    })
}

/// Returns the names of the kinds that have one.
pub(crate) fn kind_names() -> Vec<&'static str> {
    kinds().filter_map(Kind::name).collect()
}

/// Returns every valid kind.
fn kinds() -> impl Iterator<Item = Kind> {
    (1..=u8::MAX).filter_map(Kind::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_is_shown_with_its_codes_name() {
        let close = Close { code: Code(5), reason: "too long".to_owned() };
        assert_eq!(close.to_string(), "code 0x0005 (oversize): too long");
    }

    #[test]
    fn the_name_in_a_hello_fits_the_peers_limit() {
        assert_eq!(name_for(100), Some(NAME));
        assert_eq!([name_for(6), name_for(4)], [Some("un"), Some("")]);
        assert_eq!(name_for(3), None);
    }

    #[test]
    fn a_brief_hello_is_one_short_line() {
        let brief = |name: &str| brief(&Hello { limit: 300, name });
        assert_eq!(brief(""), "takes 300 bytes");
        assert_eq!(brief("a\n\x1b"), r#""a\n\u{1b}", takes 300 bytes"#);
        assert_eq!(brief(&"粘".repeat(100)), format!("\"{}\"…, takes 300 bytes", "粘".repeat(60)));
    }

    #[test]
    fn messages_are_described_briefly() {
        let tell = |message: Message<'_>| {
            let encoded = message.encode().unwrap();
            describe(encoded.kind(), &encoded.to_payload(), 20)
        };
        let status = FileStatus::refused(3, Code::NO_SPACE, 7, "full");
        assert_eq!(tell(Message::FileStatus(status)).unwrap(), "transfer 3: no-space, 7: full");
        let data = message::FileData { id: 3, offset: 9, bytes: b"ab" };
        assert_eq!(tell(Message::FileData(data)).unwrap(), "transfer 3: 2 at 9: \"ab\"");
        assert_eq!(tell(Message::Text("a")), None);
    }

    #[test]
    fn kinds_are_parsed_by_name_and_number() {
        assert_eq!(parse_kind("binary"), Ok(Kind::BINARY));
        assert_eq!(parse_kind("0x41"), Ok(Kind::new(0x41).unwrap()));
        assert_eq!(parse_kind("65"), Ok(Kind::new(0x41).unwrap()));
        for text in ["0", "0x00", "256", "0x1ff", "txet", ""] {
            let error = parse_kind(text).unwrap_err();
            assert!(
                error.starts_with("give text, binary, ping, pong, close, file-open, "),
                "{error}"
            );
            assert!(error.ends_with("or a number from 1 to 255 such as 0x41"), "{error}");
        }
    }
}

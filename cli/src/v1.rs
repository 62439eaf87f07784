//! What this command does with the messages of version 1: hello and close as it keeps and shows
//! them, and the names of the registry's codes (spec, chapters 9 and 16).

use std::fmt;

use unstick::Kind;
use unstick::message::{self, Code, Encoded, Message};

use crate::bytes::{count_bytes, in_units};
use crate::preview::escaped;

pub(crate) use unstick::session::LIMIT_WITHOUT_HELLO;

/// The most characters of a peer's name that are shown in brief.
const MAX_NAME: usize = 60;

/// The codes of a close frame that no error of the library carries.
pub(crate) const NO_ERROR: u16 = Code::NO_ERROR.0;
pub(crate) const OVERSIZE: u16 = Code::OVERSIZE.0;
pub(crate) const UNKNOWN_KIND: u16 = Code::UNKNOWN_KIND.0;

/// The name of an error's code.
pub(crate) fn code_name(code: u16) -> &'static str {
    let code = Code(code);
    match code.name() {
        Some(name) => name,
        None if code.is_application() => "an application's code",
        None => "reserved",
    }
}

/// What a close says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl Close {
    /// The ordinary close.
    pub(crate) fn ordinary() -> Self {
        Self { code: NO_ERROR, reason: String::new() }
    }

    /// What a peer is told that did something wrong. The advice is for whoever reads it here.
    pub(crate) fn telling(code: u16, message: &str) -> Self {
        Self { code, reason: without_advice(message).to_owned() }
    }

    /// The payload, with as much of the reason as `limit` bytes have room for; the ordinary close
    /// has none.
    pub(crate) fn encode(&self, limit: u64) -> Vec<u8> {
        let room = |used| room(limit, used);
        let close = match room(2) {
            Some(room) if *self != Self::ordinary() => {
                message::Close { code: Code(self.code), reason: beginning(&self.reason, room) }
            }
            _ => message::Close::ORDINARY,
        };
        payload(&Message::Close(close))
    }
}

impl From<message::Close<'_>> for Close {
    fn from(close: message::Close<'_>) -> Self {
        Self { code: close.code.0, reason: close.reason.to_owned() }
    }
}

/// The payload of a message that is well formed.
fn payload(message: &Message<'_>) -> Vec<u8> {
    message.encode().as_ref().map(Encoded::to_payload).unwrap_or_default()
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code 0x{:04x} ({})", self.code, code_name(self.code))?;
        if !self.reason.is_empty() {
            write!(f, ": {}", escaped(&self.reason))?;
        }
        Ok(())
    }
}

/// A message without what it says to try.
pub(crate) fn without_advice(message: &str) -> &str {
    message.split_once("; ").map_or(message, |(what, _)| what)
}

/// What `limit` bytes have room for behind the first `used`, which have to fit.
fn room(limit: u64, used: usize) -> Option<usize> {
    usize::try_from(limit).unwrap_or(usize::MAX).checked_sub(used)
}

/// As much of the text as fits: in whole words, or if there is only one in whole characters.
fn beginning(text: &str, room: usize) -> &str {
    if room >= text.len() {
        return text;
    }
    let end = (0..=room).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    let (fits, rest) = text.split_at_checked(end).unwrap_or_default();
    let words = match fits.rsplit_once(' ') {
        Some((words, _)) if !rest.starts_with(' ') => words,
        _ => fits,
    };
    words.trim_end()
}

/// What a hello says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) limit: u32,
    pub(crate) name: String,
}

impl Hello {
    /// The hello of this program.
    pub(crate) fn ours(limit: u64) -> Self {
        let name = concat!("unstick ", env!("CARGO_PKG_VERSION")).to_owned();
        Self { limit: u32::try_from(limit).unwrap_or(u32::MAX), name }
    }

    /// The payload, with as much of the name as `limit` bytes have room for; none if that is less
    /// than a hello.
    pub(crate) fn encode(&self, limit: u64) -> Option<Vec<u8>> {
        let name = beginning(&self.name, room(limit, 4)?);
        Some(payload(&Message::Hello(message::Hello { limit: self.limit, name })))
    }
}

impl From<message::Hello<'_>> for Hello {
    fn from(hello: message::Hello<'_>) -> Self {
        Self { limit: hello.limit, name: hello.name.to_owned() }
    }
}

/// The most payload bytes that a peer takes, by its hello if it sent one.
pub(crate) fn limit_after(hello: Option<&Hello>) -> u64 {
    hello.map_or(LIMIT_WITHOUT_HELLO, |hello| hello.limit.into())
}

impl Hello {
    /// In a few words: `unstick 0.1.0, takes 1 MiB`.
    pub(crate) fn brief(&self) -> String {
        let name = escaped(&self.name);
        let takes = in_units(self.limit.into());
        match name.char_indices().nth(MAX_NAME) {
            _ if name.is_empty() => format!("takes {takes}"),
            Some((end, _)) => format!("{}…, takes {takes}", name.get(..end).unwrap_or_default()),
            None => format!("{name}, takes {takes}"),
        }
    }
}

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "takes {} at most", count_bytes(self.limit.into()))?;
        if !self.name.is_empty() {
            write!(f, ", \"{}\"", escaped(&self.name))?;
        }
        Ok(())
    }
}

/// What a frame of version 1 means to whoever receives it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A message for the user.
    Message,
    /// To be answered with a pong of the same payload.
    Ping,
    Pong,
    Hello(Hello),
    Close(Close),
    /// A kind that is not known and may be skipped.
    Unknown,
}

/// Why a frame ends the conversation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) why: String,
}

/// Reads a frame. `kinds` are the applications' kinds that are messages.
pub(crate) fn understand(kind: Kind, payload: &[u8], kinds: &[Kind]) -> Result<Said, Refusal> {
    let unknown = |advice: &str| {
        let why = format!("the kind {kind} is critical and not known here; {advice}");
        Err(Refusal { code: UNKNOWN_KIND, why })
    };
    if matches!(kind.get(), 0x10..=0x14) {
        return unknown("files are not part of this release");
    }
    let message = Message::decode(kind, payload)
        .map_err(|error| Refusal { code: error.code().0, why: error.to_string() })?;
    match message {
        Message::Text(_) | Message::Binary(_) => Ok(Said::Message),
        Message::Ping(_) => Ok(Said::Ping),
        Message::Pong(_) => Ok(Said::Pong),
        Message::Close(close) => Ok(Said::Close(close.into())),
        Message::Hello(hello) => Ok(Said::Hello(hello.into())),
        _ if kinds.contains(&kind) => Ok(Said::Message),
        _ if kind.is_application() && kind.is_critical() => {
            unknown("is it an application's, to be named with --kind?")
        }
        _ if kind.is_critical() => unknown("does the peer run a newer release?"),
        _ => Ok(Said::Unknown),
    }
}

/// What a payload says, where its kind gives its bytes a meaning and the payload keeps to it.
pub(crate) fn describe(kind: Kind, payload: &[u8]) -> Option<String> {
    match Message::decode(kind, payload).ok()? {
        Message::Close(close) => Some(Close::from(close).to_string()),
        Message::Hello(hello) => Some(Hello::from(hello).to_string()),
        _ => None,
    }
}

/// The kind with this name or number.
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
        let names: Vec<_> = kinds().filter_map(Kind::name).collect();
        format!("give {}, or a number from 1 to 255 such as 0x41", names.join(", "))
    })
}

/// All kinds that there can be.
fn kinds() -> impl Iterator<Item = Kind> {
    (1..=u8::MAX).filter_map(Kind::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, payload: &[u8]) -> Option<Said> {
        understand(kind, payload, &[]).ok()
    }

    #[test]
    fn a_close_comes_back_as_it_went() {
        for (code, reason) in [(0, ""), (5, ""), (0x8001, "时间到"), (0, "bye")] {
            let close = Close { code, reason: reason.to_owned() };
            assert_eq!(read(Kind::CLOSE, &close.encode(1000)), Some(Said::Close(close)));
        }
        let close = Close { code: 5, reason: "粘包".to_owned() };
        assert_eq!(close.encode(7), b"\x00\x05\xe7\xb2\x98");
        assert_eq!(close.encode(1), b"");
        let close = Close::telling(7, "byte 0: the kind 0x20 is; is it?");
        assert_eq!(close.reason, "byte 0: the kind 0x20 is");
        assert_eq!(&close.encode(18)[2..], b"byte 0: the kind");
        assert_eq!(&close.encode(19)[2..], b"byte 0: the kind");
        assert_eq!(&close.encode(17)[2..], b"byte 0: the");
        assert_eq!(&close.encode(5)[2..], b"byt");
        assert_eq!(read(Kind::CLOSE, &[0]), None);
        assert_eq!(read(Kind::CLOSE, &[0, 1, 0xff]), None);
        let close = Close { code: 5, reason: "too\x1b long".to_owned() };
        assert_eq!(close.to_string(), r"code 0x0005 (oversize): too\u{1b} long");
    }

    #[test]
    fn a_hello_comes_back_as_it_went() {
        let hello = Hello::ours(1 << 20);
        let said = read(Kind::HELLO, &hello.encode(100).unwrap());
        assert_eq!(said, Some(Said::Hello(hello.clone())));
        assert_eq!(hello.encode(6).unwrap(), b"\0\x10\0\0un");
        assert_eq!(hello.encode(3), None);
        assert_eq!(read(Kind::HELLO, &[0, 1, 0]), None);
        assert_eq!(Hello::ours(u64::MAX).limit, u32::MAX);
    }

    #[test]
    fn a_hello_in_brief_is_one_short_line() {
        let brief = |name: &str| Hello { limit: 300, name: name.to_owned() }.brief();
        assert_eq!(brief(""), "takes 300 bytes");
        assert_eq!(brief("a\n\x1b"), "a\\n\\u{1b}, takes 300 bytes");
        assert_eq!(brief(&"粘".repeat(100)), format!("{}…, takes 300 bytes", "粘".repeat(60)));
    }

    #[test]
    fn kinds_have_names_and_numbers() {
        assert_eq!(parse_kind("binary"), Ok(Kind::BINARY));
        assert_eq!(parse_kind("0x41"), Ok(Kind::new(0x41).unwrap()));
        assert_eq!(parse_kind("65"), Ok(Kind::new(0x41).unwrap()));
        for text in ["0", "0x00", "256", "0x1ff", "txet", ""] {
            let error = parse_kind(text).unwrap_err();
            assert!(
                error.starts_with("give text, binary, ping, pong, close, file-open, "),
                "{error}"
            );
            assert!(error.ends_with("hello, or a number from 1 to 255 such as 0x41"), "{error}");
        }
    }
}

//! The codes of the registry: why a conversation ended, and the outcome of a file transfer.

use core::fmt;

use unstick::Kind;

/// A code of the registry (spec, chapters 9 and 16), as carried by a close, a file-status or a
/// file-cancel.
///
/// A code that this version does not know keeps its number.
///
/// ```
/// use unstick_session::message::Code;
///
/// assert_eq!(Code::BAD_DIGEST.to_string(), "bad-digest");
/// assert_eq!(Code(0x8001).to_string(), "0x8001"); // defined by an application
/// assert!(Code::STORED.is_final() && !Code::WORKING.is_final());
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Code(pub u16);

/// An entry of the registry.
struct Registered {
    number: u16,
    name: &'static str,
    meaning: &'static str,
}

/// Declares the registry once: constants, names and meanings. A meaning is the constant's
/// documentation and is also sent to the peer, as the reason.
macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $name:ident = $number:literal, $text:literal;)+) => {
        impl Code {
            $($(#[doc = $meaning])+ pub const $name: Self = Self($number);)+
        }
        const CODES: &[Registered] = &[$(Registered {
            number: $number,
            name: $text,
            meaning: concat!($($meaning),+).trim_ascii(),
        }),+];
    };
}

codes! {
    /// all is well
    NO_ERROR = 0x0000, "no-error";
    /// a frame starts with another byte
    BAD_MAGIC = 0x0001, "bad-magic";
    /// the frame is of another version of the protocol
    UNSUPPORTED_VERSION = 0x0002, "unsupported-version";
    /// the kind is 0x00
    INVALID_KIND = 0x0003, "invalid-kind";
    /// a header's check is wrong
    BAD_CHECK = 0x0004, "bad-check";
    /// a payload is over the limit
    OVERSIZE = 0x0005, "oversize";
    /// the stream ended inside a frame
    TRUNCATED = 0x0006, "truncated";
    /// a critical kind is not known
    UNKNOWN_KIND = 0x0007, "unknown-kind";
    /// a frame took too long
    FRAME_TIMEOUT = 0x0008, "frame-timeout";
    /// no byte came for too long
    IDLE_TIMEOUT = 0x0009, "idle-timeout";
    /// a header of another format announces an impossible length
    BAD_LENGTH = 0x000A, "bad-length";
    /// a datagram is malformed
    REFUSED_DATAGRAM = 0x000B, "refused-datagram";
    /// no header was found until the end of the stream
    UNSYNCHRONIZED = 0x000C, "unsynchronized";
    /// a frame of another framing is invalid
    BAD_FRAME = 0x000D, "bad-frame";

    /// a payload is none that its kind can have
    BAD_MESSAGE = 0x0100, "bad-message";
    /// a message came where it has no place
    MISPLACED_MESSAGE = 0x0101, "misplaced-message";
    /// a transfer id that cannot be
    BAD_TRANSFER_ID = 0x0102, "bad-transfer-id";
    /// more transfers without a final status than there may be
    TOO_MANY_TRANSFERS = 0x0103, "too-many-transfers";
    /// the stream ended without a close
    UNCLOSED = 0x0104, "unclosed";
    /// this side ends, and not because of the peer
    SHUTTING_DOWN = 0x0105, "shutting-down";
    /// there is no room for another one now: try again later
    BUSY = 0x0106, "busy";
    /// the peer is slower than the least rate
    TOO_SLOW = 0x0107, "too-slow";

    /// the receiver waits for data, and holds this much of the file already
    READY = 0x0110, "ready";
    /// the receiver is at it, and needs time
    WORKING = 0x0111, "working";

    /// the file is on disk, whole, under its name
    STORED = 0x0120, "stored";
    /// a file of this name is there already
    EXISTS = 0x0121, "exists";

    /// its sender gave the file up
    CANCELLED = 0x0130, "cancelled";
    /// the name is none that a file may have here
    BAD_NAME = 0x0131, "bad-name";
    /// another file is open
    SECOND_OPEN = 0x0132, "second-open";
    /// data does not begin where the last ended
    BAD_OFFSET = 0x0133, "bad-offset";
    /// data goes beyond the size that was announced
    EXCESS = 0x0134, "excess";
    /// the total is not what arrived, or not what was announced
    WRONG_TOTAL = 0x0135, "wrong-total";
    /// what arrived has another digest
    BAD_DIGEST = 0x0136, "bad-digest";
    /// the file is larger than the receiver takes
    TOO_LARGE = 0x0137, "too-large";
    /// the receiver's disk is full
    NO_SPACE = 0x0138, "no-space";
    /// the sender's share of the receiver's disk is used up
    QUOTA = 0x0139, "quota";
    /// the receiver takes no files, or none of this sender
    NOT_ACCEPTED = 0x013A, "not-accepted";
    /// the receiver cannot write or read the file
    STORAGE_FAILED = 0x013B, "storage-failed";

    /// whoever sends the file does not want to any more
    GIVEN_UP = 0x0150, "given-up";
    /// the file changed while it was sent
    CHANGED = 0x0151, "changed";
    /// the file cannot be read any more
    UNREADABLE = 0x0152, "unreadable";
}

impl Code {
    /// Returns the code's name in the registry, or `None` if the code is not registered.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.registered().map(|registered| registered.name)
    }

    /// Returns the meaning in a few words, suitable as the reason of a message. Empty if the code
    /// is not registered.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.registered().map_or("", |registered| registered.meaning)
    }

    /// Returns whether the code belongs to applications (0x8000 and above).
    #[must_use]
    pub const fn is_application(self) -> bool {
        self.0 >= 0x8000
    }

    /// Returns whether a status with this code is the last one of its transfer.
    ///
    /// All codes are final except 0x0110 to 0x011F. A final code other than
    /// [`STORED`](Self::STORED) and [`EXISTS`](Self::EXISTS) is a refusal (spec, 15.6).
    #[must_use]
    pub const fn is_final(self) -> bool {
        self.0 & 0xFFF0 != 0x0110
    }

    /// Returns whether a message of this kind may be sent with the code: a close, a file-status or a
    /// file-cancel (spec, 16). Other kinds have no code.
    #[must_use]
    pub const fn is_for(self, kind: Kind) -> bool {
        if self.is_application() {
            return matches!(kind, Kind::CLOSE | Kind::FILE_STATUS | Kind::FILE_CANCEL);
        }
        match kind {
            Kind::CLOSE => matches!(self.0, 0x0000..=0x0009 | 0x0100..=0x0103 | 0x0105..=0x0107),
            Kind::FILE_STATUS => matches!(
                self.0,
                0x0105..=0x0107 | 0x0110 | 0x0111 | 0x0120 | 0x0121 | 0x0130..=0x013B
            ),
            Kind::FILE_CANCEL => matches!(self.0, 0x0150..=0x0152),
            _ => false,
        }
    }

    fn registered(self) -> Option<&'static Registered> {
        CODES.iter().find(|registered| registered.number == self.0)
    }
}

/// Maps a storage error to the code that is sent to the file's sender.
#[cfg(feature = "std")]
impl From<std::io::ErrorKind> for Code {
    fn from(kind: std::io::ErrorKind) -> Self {
        use std::io::ErrorKind;
        match kind {
            ErrorKind::StorageFull => Self::NO_SPACE,
            ErrorKind::QuotaExceeded => Self::QUOTA,
            ErrorKind::FileTooLarge => Self::TOO_LARGE,
            ErrorKind::AlreadyExists => Self::EXISTS,
            // `ErrorKind::InvalidFilename` is stable only since Rust 1.87, but older ones return it.
            _ if std::format!("{kind:?}") == "InvalidFilename" => Self::BAD_NAME,
            _ => Self::STORAGE_FAILED,
        }
    }
}

#[cfg(feature = "std")]
impl From<std::io::Error> for Code {
    fn from(error: std::io::Error) -> Self {
        error.kind().into()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:04x}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_in_order_and_says_what_its_codes_mean() {
        for code in CODES {
            assert!(!code.meaning.is_empty() && !code.meaning.ends_with('.'), "{}", code.name);
        }
        assert!(CODES.is_sorted_by(|a, b| a.number < b.number));
    }

    #[cfg(feature = "std")]
    #[test]
    #[allow(clippy::unwrap_used)]
    fn io_errors_map_to_codes() {
        use std::io::{Error, ErrorKind};
        let name_too_long = std::fs::File::open("a".repeat(5000)).unwrap_err();
        let codes = [
            (ErrorKind::StorageFull, Code::NO_SPACE),
            (ErrorKind::QuotaExceeded, Code::QUOTA),
            (ErrorKind::FileTooLarge, Code::TOO_LARGE),
            (name_too_long.kind(), Code::BAD_NAME),
            (ErrorKind::AlreadyExists, Code::EXISTS),
            (ErrorKind::PermissionDenied, Code::STORAGE_FAILED),
        ];
        for (kind, code) in codes {
            assert_eq!(Code::from(Error::from(kind)), code);
        }
    }

    #[test]
    fn only_codes_from_0x0110_to_0x011f_are_not_final() {
        // spec: FIL-13
        for number in 0..=u16::MAX {
            assert_eq!(Code(number).is_final(), !(0x0110..=0x011F).contains(&number));
        }
    }

    #[test]
    fn codes_have_a_meaning_and_display_their_name() {
        assert_eq!(Code::CHANGED.meaning(), "the file changed while it was sent");
        assert_eq!((Code(0x7FFF).meaning(), Code(0x7FFF).name()), ("", None));
        assert!(!Code(0x7FFF).is_application() && Code(0x8000).is_application());
        let shown = std::format!("{:?} {:?}", Code::CHANGED, Code(0x8000));
        assert_eq!(shown, "Code(changed) Code(0x8000)");
    }
}

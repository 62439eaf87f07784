//! The version 1 frame header: encodes kind and payload length to 8 bytes, and decodes them (spec,
//! chapters 3 to 5).

use core::fmt;
use core::num::NonZeroU8;

use crate::error::HeaderError;
use crate::format::InDatagram;

/// The length of a version 1 header in bytes.
pub const HEADER_LEN: usize = 8;
/// The first byte of every frame, in every version.
pub const MAGIC: u8 = 0xF5;
/// The second byte of every frame of this version.
pub const VERSION: u8 = 0x01;

/// CRC-8/AUTOSAR: polynomial 0x2F, init 0xFF, not reflected, final xor 0xFF (spec, chapter 4).
const CRC_POLY: u8 = 0x2F;
const CRC_INIT: u8 = 0xFF;
const CRC_XOROUT: u8 = 0xFF;

#[cfg(not(all(feature = "small", not(feature = "std"))))]
const CRC_TABLE: [u8; 256] = crc_table();

/// The kind of a frame, which says what its payload is: the third byte of a version 1 header (spec,
/// chapter 5).
///
/// `0x00` is not a valid kind, so a `Kind` cannot hold it.
///
/// ```
/// use unstick::Kind;
///
/// const REQUEST: Kind = Kind::new(0x41).unwrap(); // defined by an application
/// assert!(REQUEST.is_critical() && REQUEST.is_application());
/// assert_eq!(Kind::TEXT.to_string(), "text");
/// assert_eq!(Kind::new(0), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Kind(NonZeroU8);

impl Kind {
    /// Creates a kind from its number, or returns `None` for `0x00`.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Returns the kind's number, as it appears in the header.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// Returns whether the kind is critical: a receiver that does not know it must end the stream.
    /// An unknown kind that is not critical is skipped (spec, 5.1).
    #[must_use]
    pub const fn is_critical(self) -> bool {
        self.get() & 0x80 == 0
    }

    /// Returns whether the kind belongs to applications (`0x40`–`0x7F`, `0xC0`–`0xFF`) instead of
    /// the protocol.
    #[must_use]
    pub const fn is_application(self) -> bool {
        self.get() & 0x40 != 0
    }

    /// Returns the name of a kind that version 1 of the protocol defines, or `None` for any other
    /// kind.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.registered().map(|registered| registered.name)
    }

    fn registered(self) -> Option<&'static Registered> {
        KINDS.iter().find(|registered| registered.number == self.get())
    }
}

/// A kind that the protocol defines.
struct Registered {
    number: u8,
    name: &'static str,
    /// Whether a datagram may contain it; `None`: it may not, but one that does is not refused.
    datagram: Option<bool>,
}

/// Declares the protocol's kinds once: constants, names, and which ones are allowed in datagrams.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, datagram: $datagram:expr;)+) => {
        impl Kind {
            $($(#[$doc])* pub const $name: Self = match Self::new($number) {
                Some(kind) => kind,
                None => unreachable!(),
            };)+
        }
        const KINDS: &[Registered] =
            &[$(Registered { number: $number, name: $text, datagram: $datagram }),+];
    };
}

kinds! {
    /// UTF-8 text.
    TEXT = 0x01, "text", datagram: Some(true);
    /// Arbitrary bytes.
    BINARY = 0x02, "binary", datagram: Some(true);
    /// A request for a pong with the same payload, at most 64 bytes.
    PING = 0x03, "ping", datagram: Some(true);
    /// The answer to a ping.
    PONG = 0x04, "pong", datagram: Some(true);
    /// The last message of a stream.
    CLOSE = 0x05, "close", datagram: Some(false);
    /// An offer of a file.
    FILE_OPEN = 0x10, "file-open", datagram: Some(false);
    /// A run of the open file's bytes.
    FILE_DATA = 0x11, "file-data", datagram: Some(false);
    /// The end of the open file: all of its data was sent.
    FILE_DONE = 0x12, "file-done", datagram: Some(false);
    /// The receiver's answer for a file.
    FILE_STATUS = 0x13, "file-status", datagram: Some(false);
    /// The sender abandons the open file.
    FILE_CANCEL = 0x14, "file-cancel", datagram: Some(false);
    /// A receiver's limit and name; optional, and only as the first message.
    HELLO = 0x80, "hello", datagram: Some(false);
    /// When the open file was modified, and whether it is a program; optional.
    FILE_ATTRIBUTES = 0x90, "file-attributes", datagram: None;
}

impl Kind {
    /// Returns how a frame of this kind is handled in a datagram (spec, chapter 8).
    ///
    /// Text, binary, ping and pong are delivered, a file-attributes is ignored, and the protocol's other
    /// kinds are not allowed. For an application's kind, the application decides whether it is known.
    #[must_use]
    pub fn in_datagram(self) -> InDatagram {
        let (kind, critical) = (self.get(), self.is_critical());
        match self.registered() {
            Some(Registered { datagram: Some(true), .. }) => InDatagram::Delivered,
            Some(Registered { datagram: Some(false), .. }) => InDatagram::Misplaced { kind },
            Some(Registered { datagram: None, .. }) => InDatagram::Unknown { kind, critical },
            None if self.is_application() => InDatagram::IfKnown { kind, critical },
            None => InDatagram::Unknown { kind, critical },
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:02x}", self.get()),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({self})")
    }
}

/// Encodes the header of a frame with this kind and payload length.
#[inline]
#[must_use]
pub const fn encode(kind: Kind, payload_len: u32) -> [u8; HEADER_LEN] {
    Version::<VERSION>::encode(kind, payload_len)
}

/// Decodes a complete header into kind and payload length.
///
/// # Errors
/// Returns the first error in this order: magic, version, kind `0x00`, check.
#[inline]
pub const fn decode(header: &[u8; HEADER_LEN]) -> Result<(Kind, u32), HeaderError> {
    match Version::<VERSION>::valid(header) {
        Some(found) => Ok(found),
        None => Err(Version::<VERSION>::refuse(header)),
    }
}

/// Checks whether `prefix` can become a valid header. Magic, version and kind are each checked as
/// soon as they are present.
///
/// # Errors
/// Returns the error of the first byte that is invalid at its position.
#[inline]
pub const fn check_prefix(prefix: &[u8]) -> Result<(), HeaderError> {
    Version::<VERSION>::check_prefix(prefix)
}

/// The headers of the version `V`, which differ in the version byte and in the check alone.
pub(crate) struct Version<const V: u8>;

impl<const V: u8> Version<V> {
    /// The CRC register after magic and version, so that a header needs only five look-ups.
    const CRC_AFTER_VERSION: u8 = crc_step(crc_step(CRC_INIT, MAGIC), V);

    /// Encodes the header of a frame with this kind and payload length.
    #[inline]
    pub(crate) const fn encode(kind: Kind, payload_len: u32) -> [u8; HEADER_LEN] {
        let [l0, l1, l2, l3] = payload_len.to_be_bytes();
        let kind = kind.get();
        let check = Self::check_after_version(kind, [l0, l1, l2, l3]);
        [MAGIC, V, kind, l0, l1, l2, l3, check]
    }

    /// Decodes a complete header, or returns `None` if it is invalid.
    #[inline(always)]
    pub(crate) const fn valid(header: &[u8; HEADER_LEN]) -> Option<(Kind, u32)> {
        let &[magic, version, kind, l0, l1, l2, l3, check] = header;
        if u16::from_be_bytes([magic, version]) == u16::from_be_bytes([MAGIC, V])
            && Self::check_after_version(kind, [l0, l1, l2, l3]) == check
        {
            if let Some(kind) = Kind::new(kind) {
                return Some((kind, u32::from_be_bytes([l0, l1, l2, l3])));
            }
        }
        None
    }

    /// As the function [`check_prefix`].
    #[inline]
    pub(crate) const fn check_prefix(prefix: &[u8]) -> Result<(), HeaderError> {
        match *prefix {
            [found, ..] if found != MAGIC => Err(HeaderError::BadMagic { found }),
            [_, found, ..] if found != V => {
                Err(HeaderError::UnsupportedVersion { found, supported: V })
            }
            [_, _, 0, ..] => Err(HeaderError::InvalidKind),
            _ => Ok(()),
        }
    }

    /// Returns why a complete header is invalid. Outlined, because a stream fails only once.
    #[cold]
    pub(crate) const fn refuse(header: &[u8; HEADER_LEN]) -> HeaderError {
        let &[_, _, kind, l0, l1, l2, l3, found] = header;
        match Self::check_prefix(header) {
            Err(error) => error,
            Ok(()) => {
                let expected = Self::check_after_version(kind, [l0, l1, l2, l3]);
                HeaderError::BadCheck { found, expected }
            }
        }
    }

    /// Computes the check of a header that starts with magic and version.
    #[inline]
    const fn check_after_version(kind: u8, [l0, l1, l2, l3]: [u8; 4]) -> u8 {
        let mut crc = crc_step(Self::CRC_AFTER_VERSION, kind);
        crc = crc_step(crc, l0);
        crc = crc_step(crc, l1);
        crc = crc_step(crc, l2);
        crc = crc_step(crc, l3);
        crc ^ CRC_XOROUT
    }
}

/// Looks up a table entry without indexing, so that no bounds check remains at any optimisation
/// level.
#[cfg(not(all(feature = "small", not(feature = "std"))))]
#[inline]
const fn crc_step(crc: u8, byte: u8) -> u8 {
    match CRC_TABLE.split_at_checked((crc ^ byte) as usize) {
        Some((_, [entry, ..])) => *entry,
        _ => 0,
    }
}

/// The same, bit by bit.
#[cfg(all(feature = "small", not(feature = "std")))]
#[inline(never)]
const fn crc_step(crc: u8, byte: u8) -> u8 {
    crc_of_bits(crc ^ byte)
}

const fn crc_of_bits(mut crc: u8) -> u8 {
    let mut bit = 0;
    while bit < 8 {
        crc = (crc << 1) ^ if crc & 0x80 != 0 { CRC_POLY } else { 0 };
        bit += 1;
    }
    crc
}

#[cfg(not(all(feature = "small", not(feature = "std"))))]
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)] // run by the compiler only
const fn crc_table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = crc_of_bits(i as u8);
        i += 1;
    }
    table
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn crc(bytes: &[u8]) -> u8 {
        bytes.iter().fold(CRC_INIT, |crc, &byte| crc_step(crc, byte)) ^ CRC_XOROUT
    }

    #[test]
    fn the_check_is_crc8_autosar() {
        // spec: CHK-1
        assert_eq!(crc(b"123456789"), 0xDF);
        assert_eq!(crc(&[0; 4]), 0x12);
        assert_eq!(crc(&[0xF2, 0x01, 0x83]), 0xC2);
    }

    #[test]
    fn the_check_from_a_precomputed_start_equals_the_full_crc() {
        for kind in 1..=255 {
            for len in [0, 1, 255, 256, 65_536, 1 << 20, 0x0102_0304, u32::MAX] {
                let kind = Kind::new(kind).unwrap();
                for header in [encode(kind, len), Version::<2>::encode(kind, len)] {
                    assert_eq!(crc(&header[..7]), header[7], "{header:02x?}");
                }
            }
        }
    }
}

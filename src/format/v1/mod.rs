//! The project's own header: kind, length and check in eight bytes. [`V1`] is the one of chapters 3 to 5
//! of the specification, [`V2Header`] that of its annex A.14.

pub mod header;

use crate::error::{EncodeError, HeaderError};
use crate::format::{Format, Header, InDatagram, Parsed, SelfChecking};
use header::{HEADER_LEN, Kind, VERSION, Version};

/// The format of this project's own protocol: magic, version, kind, a 32-bit length and a check.
///
/// The [`header`](crate::header) module describes its layout, `spec.md` the protocol.
///
/// ```
/// use unstick::{Framing, Kind, V1};
///
/// let framing = Framing::new(V1);
/// let mut wire = Vec::new();
/// framing.encode(Kind::TEXT, "hi", &mut wire)?;
/// assert_eq!(wire, b"\xF5\x01\x01\0\0\0\x02\xF2hi");
/// let frame = framing.split_frame(&mut &wire[..])?.ok_or("all of it is here")?;
/// assert_eq!((frame.meta, frame.payload), (Kind::TEXT, &b"hi"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct V1;

/// The header of [`V2`](crate::V2): that of [`V1`] with version 2, for frames with a check after their
/// payload.
///
/// Use it alone only to give version 2 another implementation of its check, or limits for each kind:
///
/// ```
/// use unstick::{Checked, Framing, Kind, LimitedBy, V2, V2Header};
///
/// let header = LimitedBy::new(V2Header, |kind: &Kind| if *kind == Kind::TEXT { 80 } else { 4096 });
/// let framing = Framing::new(Checked::new(header, V2::CHECK));
/// let mut line = Vec::new();
/// framing.encode(Kind::TEXT, b"hi", &mut line)?;
/// assert_eq!(line, b"\xF5\x02\x01\0\0\0\x02\x0Ehi\x29\x12\xCE\x2F");
/// assert!(framing.encode(Kind::TEXT, &[b'-'; 81], &mut line).is_err());
/// # Ok::<(), unstick::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct V2Header;

/// Implements the format of a version.
macro_rules! format_of_version {
    ($format:ident, $version:expr) => {
        impl Format for $format {
            type Meta = Kind;
            type HeaderBuf = [u8; HEADER_LEN];

            #[inline]
            fn max_payload_len(&self) -> u64 {
                u32::MAX.into()
            }

            #[inline]
            fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Kind>, HeaderError> {
                if let Some(header) = self.whole_header(bytes) {
                    return Ok(Parsed::Header(header));
                }
                match bytes.first_chunk() {
                    Some(header) => Err(Version::<{ $version }>::refuse(header)),
                    None => {
                        Version::<{ $version }>::check_prefix(bytes)?;
                        Ok(Parsed::Need(HEADER_LEN))
                    }
                }
            }

            #[inline(always)]
            fn whole_header(&self, bytes: &[u8]) -> Option<Header<Kind>> {
                let (meta, len) = Version::<{ $version }>::valid(bytes.first_chunk()?)?;
                Some(Header { meta, payload_len: len.into(), header_len: HEADER_LEN })
            }

            #[inline]
            fn encode_header(
                &self,
                kind: &Kind,
                len: u64,
                out: &mut [u8; HEADER_LEN],
            ) -> Result<usize, EncodeError> {
                let limit = self.max_payload_len();
                let len = u32::try_from(len).map_err(|_| EncodeError::Oversize { len, limit })?;
                *out = Version::<{ $version }>::encode(*kind, len);
                Ok(HEADER_LEN)
            }

            fn in_datagram(&self, kind: &Kind) -> InDatagram {
                kind.in_datagram()
            }
        }

        impl SelfChecking for $format {}
    };
}

format_of_version!(V1, VERSION);
format_of_version!(V2Header, 2);

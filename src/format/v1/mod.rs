//! The version 1 format: kind, length and check in eight bytes (spec, chapters 3 to 5).

pub mod header;

use crate::error::{EncodeError, HeaderError};
use crate::format::{Format, Header, InDatagram, Parsed, SelfChecking};
use header::{HEADER_LEN, Kind};

/// The format of this project's own protocol: magic, version, kind, a 32-bit length and a check.
///
/// The [`header`](crate::header) module describes its layout, `spec.md` the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct V1;

impl Format for V1 {
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
            Some(header) => Err(header::refuse(header)),
            None => {
                header::check_prefix(bytes)?;
                Ok(Parsed::Need(HEADER_LEN))
            }
        }
    }

    #[inline(always)]
    fn whole_header(&self, bytes: &[u8]) -> Option<Header<Kind>> {
        let (meta, len) = header::valid(bytes.first_chunk()?)?;
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
        *out = header::encode(*kind, len);
        Ok(HEADER_LEN)
    }

    fn in_datagram(&self, kind: &Kind) -> InDatagram {
        kind.in_datagram()
    }
}

impl SelfChecking for V1 {}

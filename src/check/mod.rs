//! Checks after a payload: the [`Check`] trait, [`Checked`] formats, and the checks that ship.
//!
//! | check | trailer | used by |
//! | --- | --- | --- |
//! | [`Sum8`], [`Lrc8`], [`Xor8`] | 1 byte | serial devices |
//! | [`Fletcher8`], [`Fletcher16`] | 2 bytes | u-blox; others |
//! | [`Crc8Smbus`], or any [`Crc8`] | 1 byte | SMBus |
//! | [`Crc16Ibm3740`], [`Crc16X25`], [`Crc16Modbus`], [`Crc16Mcrf4xx`], or any [`Crc16`] | 2 bytes | many; HDLC and PPP; Modbus; MAVLink |
//! | [`Crc32IsoHdlc`], [`Crc32Iscsi`], or any [`Crc32`] | 4 bytes | Ethernet, zip; iSCSI, SCTP |
//! | [`EndBytes`] | constant | the comma of a netstring, `\r\n` after a chunk of HTTP |
//!
//! A check covers the header, then the payload. [`SkipHeader`] makes one that leaves out the first
//! bytes of the header, or all of it.
//!
//! The CRCs are here because HDLC needs one in the core, which has no dependency. A decoder copies and
//! compares digests, which those of the crate `crc` do not allow. For large payloads on processors with
//! instructions for a CRC, a [`Check`] over a crate that uses them (`crc32fast`, `crc32c`) is faster.

use core::fmt::Debug;

mod crc;
mod end_bytes;
mod skip;
mod sums;
mod v2;

pub use crc::{
    Crc8, Crc8Smbus, Crc16, Crc16Ibm3740, Crc16Mcrf4xx, Crc16Modbus, Crc16X25, Crc32, Crc32Iscsi,
    Crc32IsoHdlc, DEFAULT_TABLES,
};
pub use end_bytes::EndBytes;
pub use skip::SkipHeader;
pub use sums::{Fletcher8, Fletcher16, Lrc8, Sum8, Xor8};
pub use v2::V2;

/// What must stand after a payload: a checksum, a CRC, or constant bytes.
///
/// Sender and receiver use the same functions. An implementation takes about twenty lines; use
/// it with a [`Format`](crate::Format) in [`Checked`], or with a [`Mark`](crate::Mark) in
/// [`Marked::with_check`](crate::Marked::with_check). The module [`check`](crate::check) has the checks
/// that ship.
///
/// ```
/// use unstick::check::{Check, Crc32};
///
/// /// CRC-24Q of RTCM 3: the upper 24 bits of a CRC of 32 bits whose polynomial ends in eight zeros.
/// #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
/// struct Crc24Q;
///
/// const CRC: Crc32<0x864C_FB00, 0, false, 0> = Crc32::new();
///
/// impl Check for Crc24Q {
///     type Digest = u32;
///     type Trailer = [u8; 3];
///
///     fn begin(&self, header: &[u8]) -> u32 {
///         CRC.begin(header)
///     }
///     fn update(&self, digest: u32, run: &[u8]) -> u32 {
///         CRC.update(digest, run)
///     }
///     fn trailer(&self, digest: u32) -> [u8; 3] {
///         let [high, middle, low, _] = CRC.trailer(digest);
///         [high, middle, low]
///     }
/// }
///
/// let digest = Crc24Q.update(Crc24Q.begin(b"123"), b"456789");
/// assert_eq!(Crc24Q.trailer(digest), [0xCD, 0xE7, 0x03]);
/// ```
///
/// # Laws
/// `update` with a run returns the same as `update` with its parts, one after the other, wherever the
/// run is cut; with an empty run it returns the digest unchanged.
///
/// The crate `unstick-conformance` tests a check against these laws.
pub trait Check {
    /// What is kept while a frame passes, including anything of the header that the trailer depends
    /// on.
    type Digest: Copy + Eq + Debug + Send + Sync + Unpin;
    /// The trailer: `[u8; N]`.
    type Trailer: TrailerBuf;

    /// Begins a digest with the header as it stands in the stream; with an empty slice for frames
    /// that have no header.
    fn begin(&self, header: &[u8]) -> Self::Digest;
    /// Continues with the next bytes of the payload.
    fn update(&self, digest: Self::Digest, run: &[u8]) -> Self::Digest;
    /// Returns what must stand after the payload.
    fn trailer(&self, digest: Self::Digest) -> Self::Trailer;
}

/// A reference to a check is the same check.
impl<C: Check + ?Sized> Check for &C {
    type Digest = C::Digest;
    type Trailer = C::Trailer;

    #[inline]
    fn begin(&self, header: &[u8]) -> C::Digest {
        (**self).begin(header)
    }
    #[inline]
    fn update(&self, digest: C::Digest, run: &[u8]) -> C::Digest {
        (**self).update(digest, run)
    }
    #[inline]
    fn trailer(&self, digest: C::Digest) -> C::Trailer {
        (**self).trailer(digest)
    }
}

/// A buffer for a trailer: any `[u8; N]` of up to 255 bytes. Sealed.
///
/// ```
/// use unstick::check::{Check, Crc32Iscsi, TrailerBuf};
///
/// assert_eq!(<Crc32Iscsi as Check>::Trailer::LEN, 4);
/// assert_eq!(<[u8; 4]>::ZERO, [0; 4]);
/// ```
pub trait TrailerBuf:
    AsRef<[u8]> + AsMut<[u8]> + Copy + Eq + Debug + Send + Sync + Unpin + sealed::Sealed + 'static
{
    /// The buffer's length in bytes.
    const LEN: usize;
    /// A buffer filled with zeros.
    const ZERO: Self;
}

impl<const N: usize> TrailerBuf for [u8; N] {
    const LEN: usize = {
        assert!(N <= 255, "a trailer has at most 255 bytes");
        N
    };
    const ZERO: Self = [0; N];
}

mod sealed {
    pub trait Sealed {}
    impl<const N: usize> Sealed for [u8; N] {}
}

/// No check.
///
/// ```
/// use unstick::{Checked, Framing, NoCheck, U16Be};
///
/// // For code that is generic over the check.
/// let framing = Framing::new(Checked::new(U16Be, NoCheck));
/// let mut wire = Vec::new();
/// framing.encode((), "hi", &mut wire)?;
/// assert_eq!(wire, b"\0\x02hi");
/// # Ok::<(), unstick::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NoCheck;

impl Check for NoCheck {
    type Digest = ();
    type Trailer = [u8; 0];

    #[inline(always)]
    fn begin(&self, _: &[u8]) {}
    #[inline(always)]
    fn update(&self, (): (), _: &[u8]) {}
    #[inline(always)]
    fn trailer(&self, (): ()) -> [u8; 0] {
        []
    }
}

/// Frames of a header format with a check after each payload.
///
/// ```
/// use unstick::check::Crc16Modbus;
/// use unstick::{Checked, DecodeError, FrameBuf, FrameError, Framing, U8};
///
/// let framing = Framing::new(Checked::new(U8, Crc16Modbus::new())).with_limit(32);
/// let mut wire = Vec::new();
/// framing.encode((), b"hello", &mut wire)?;
/// framing.encode((), b"world", &mut wire)?;
/// wire[9] ^= 1; // a bit was damaged
///
/// let mut buf = FrameBuf::with_framing([0; 64], framing)?;
/// buf.extend(&wire);
/// assert_eq!(buf.next_frame()?.map(|frame| frame.payload), Some(&b"hello"[..]));
/// let error = buf.next_frame().unwrap_err();
/// assert!(matches!(error, DecodeError::Frame { at: 8, error: FrameError::BadCheck { .. } }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The limit does not count the check, and neither does the length that the format returns. For a header
/// whose length counts the check, the format subtracts the length of the check when it decodes a header,
/// and adds it when it encodes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Checked<F, C> {
    format: F,
    check: C,
}

impl<F, C> Checked<F, C> {
    /// Adds this check to this format.
    #[must_use]
    pub const fn new(format: F, check: C) -> Self {
        Self { format, check }
    }

    /// Returns the header format.
    #[must_use]
    pub const fn format(&self) -> &F {
        &self.format
    }

    /// Returns the check.
    #[must_use]
    pub const fn check(&self) -> &C {
        &self.check
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_the_same_check() {
        fn trailer<C: Check>(check: C) -> C::Trailer {
            check.trailer(check.update(check.begin(b"head"), b"payload"))
        }
        assert_eq!(trailer(&Crc16Modbus::new()), trailer(Crc16Modbus::new()));
        assert_eq!(trailer(&&Fletcher8), trailer(Fletcher8));
    }

    #[test]
    fn every_check_is_made_by_the_compiler() {
        const _: (Sum8, Lrc8, Xor8, Fletcher8, Fletcher16) =
            (Sum8, Lrc8, Xor8, Fletcher8, Fletcher16);
        const CRC: Crc16X25 = Crc16X25::new();
        const SMALL: Crc32Iscsi<1> = Crc32Iscsi::new().big_endian().with_tables::<1>();
        const CHECKED: Checked<crate::U16Be, SkipHeader<Crc16X25>> =
            Checked::new(crate::U16Be, SkipHeader::all(CRC));
        const END: EndBytes<2> = EndBytes::new(*b"\r\n");
        assert_eq!(*CHECKED.check(), SkipHeader::all(CRC));
        assert_ne!(SMALL, Crc32Iscsi::default());
        assert_eq!(END.bytes(), b"\r\n");
    }
}

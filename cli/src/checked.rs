//! The framings of `--format` with a check after each payload: any of the library's and the
//! cookbook's, chosen at run time.

use unstick::check::Crc32Iscsi;
use unstick::{
    Check, Checked, EncodeError, Format, HeaderBuf, HeaderError, InDatagram, Kind, Parsed,
    TrailerBuf, V2, V2Header,
};
use unstick_cookbook::{
    Chunked, MavLink, ModbusRtuRequest, ModbusRtuResponse, Netstring, Resp, Ubx,
};

use crate::format::{AnyMeta, MAX_HEADER_LEN, decode, encode};

/// Version 2 as a format and a check, like the others.
type Version2 = Checked<V2Header, Crc32Iscsi>;

/// The header format and the check of a framing.
pub(crate) trait Parts {
    type Header: Format;
    type Check: Check;
}

impl<F: Format, C: Check> Parts for Checked<F, C> {
    type Header = F;
    type Check = C;
}

pub(crate) type DigestOf<W> = <<W as Parts>::Check as Check>::Digest;

/// Returns the length of a framing's check, in bytes.
const fn check_len<W: Parts>() -> usize {
    <<W as Parts>::Check as Check>::Trailer::LEN
}

/// Returns the maximum length of a framing's header, in bytes.
const fn header_len<W: Parts>() -> usize {
    <<W as Parts>::Header as Format>::HeaderBuf::LEN
}

/// Declares [`AnyChecked`] and [`NAMED`], and dispatches to the framings.
macro_rules! checked {
    ($($protocol:ident = $text:literal, $module:ident, $format:ident, $new:ident;)+) => {
        checked! {
            @ V2(Version2) = "v2", Checked::new(V2Header, V2::CHECK), None;
            $($protocol($format) = $text,
                *unstick_cookbook::$module::$new().format(),
                Some(unstick_cookbook::$module::$new().limit());)+
        }
    };
    (@ $($name:ident($format:ident) = $text:literal, $new:expr, $limit:expr;)+) => {
        /// Any framing with a check after the payload.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum AnyChecked {
            $($name($format),)+
        }

        /// The framings by name.
        pub(crate) const NAMED: &[(&str, AnyChecked)] = &[$(($text, AnyChecked::$name($new))),+];

        // `with_wire!` knows these lengths.
        $(const _: () = assert!(matches!(check_len::<$format>(), 1 | 2 | 4));
        const _: () = assert!(header_len::<$format>() <= MAX_HEADER_LEN);)+

        impl AnyChecked {
            /// Returns the length of the check, in bytes: 1, 2 or 4.
            pub(crate) fn check_len(&self) -> usize {
                match self {
                    $(Self::$name(_) => check_len::<$format>(),)+
                }
            }

            /// Returns the protocol's limit for a frame, or its default.
            pub(crate) fn own_limit(&self) -> Option<u64> {
                match self {
                    $(Self::$name(_) => $limit,)+
                }
            }
        }

        /// The header of any of the framings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct AnyHeader(AnyChecked);

        impl Format for AnyHeader {
            type Meta = AnyMeta;
            type HeaderBuf = [u8; MAX_HEADER_LEN];

            fn max_payload_len(&self) -> u64 {
                match self.0 {
                    $(AnyChecked::$name(wire) => wire.format().max_payload_len(),)+
                }
            }

            fn max_header_len(&self) -> usize {
                match self.0 {
                    $(AnyChecked::$name(wire) => wire.format().max_header_len(),)+
                }
            }

            fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<AnyMeta>, HeaderError> {
                let decoded = match self.0 {
                    $(AnyChecked::$name(wire) => decode(wire.format(), bytes),)+
                };
                match (self.0, bytes.first()) {
                    (AnyChecked::Resp(_), Some(kind)) => decoded.map_err(|error| line_of_resp(*kind, error)),
                    _ => decoded,
                }
            }

            fn encode_header(
                &self,
                meta: &AnyMeta,
                len: u64,
                out: &mut [u8; MAX_HEADER_LEN],
            ) -> Result<usize, EncodeError> {
                match self.0 {
                    $(AnyChecked::$name(wire) => encode(wire.format(), meta, len, out),)+
                }
            }

            fn in_datagram(&self, meta: &AnyMeta) -> InDatagram {
                meta.kind().map_or(InDatagram::Delivered, Kind::in_datagram)
            }
        }

        /// The check of any of the framings, if it has `N` bytes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct AnyCheck<const N: usize>(AnyChecked);

        /// The digest of any of the framings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum AnyDigest {
            $($name(DigestOf<$format>),)+
        }

        impl<const N: usize> Check for AnyCheck<N> {
            type Digest = AnyDigest;
            type Trailer = [u8; N];

            fn begin(&self, header: &[u8]) -> AnyDigest {
                match self.0 {
                    $(AnyChecked::$name(wire) => AnyDigest::$name(wire.check().begin(header)),)+
                }
            }

            fn update(&self, digest: AnyDigest, run: &[u8]) -> AnyDigest {
                match (self.0, digest) {
                    $((AnyChecked::$name(wire), AnyDigest::$name(digest)) => {
                        AnyDigest::$name(wire.check().update(digest, run))
                    })+
                    // A digest is always of the check that began it.
                    (_, digest) => digest,
                }
            }

            fn trailer(&self, digest: AnyDigest) -> [u8; N] {
                let mut out = [0; N];
                match (self.0, digest) {
                    $((AnyChecked::$name(wire), AnyDigest::$name(digest)) => {
                        let trailer = wire.check().trailer(digest);
                        for (to, from) in out.iter_mut().zip(trailer.as_ref()) {
                            *to = *from;
                        }
                    })+
                    _ => {}
                }
                out
            }
        }
    };
}
unstick_cookbook::for_each_checked_protocol! { checked }

/// Names a type of RESP that is a line, which only `inspect` reads.
fn line_of_resp(kind: u8, error: HeaderError) -> HeaderError {
    let text = match kind {
        b'+' => "this is a simple string of RESP, and bulk strings are exchanged; inspect reads it",
        b'-' => "this is a simple error of RESP, and bulk strings are exchanged; inspect reads it",
        b':' => "this is an integer of RESP, and bulk strings are exchanged; inspect reads it",
        b'*' => "this is an array of RESP, and bulk strings are exchanged; inspect reads it",
        b'_' => "this is a null of RESP, and bulk strings are exchanged; inspect reads it",
        b'#' => "this is a boolean of RESP, and bulk strings are exchanged; inspect reads it",
        b',' => "this is a double of RESP, and bulk strings are exchanged; inspect reads it",
        b'(' => "this is a big number of RESP, and bulk strings are exchanged; inspect reads it",
        b'%' => "this is a map of RESP, and bulk strings are exchanged; inspect reads it",
        b'~' => "this is a set of RESP, and bulk strings are exchanged; inspect reads it",
        b'>' => "this is a push of RESP, and bulk strings are exchanged; inspect reads it",
        b'|' => "this is an attribute of RESP, and bulk strings are exchanged; inspect reads it",
        _ => return error,
    };
    match error {
        HeaderError::Custom { code, .. } => HeaderError::Custom { code, text },
        error => error,
    }
}

impl AnyHeader {
    /// Returns the framing that the header belongs to.
    pub(crate) fn framing(&self) -> AnyChecked {
        self.0
    }
}

/// A framing of [`AnyChecked`] whose check has `N` bytes.
pub(crate) type AnyCheckedWire<const N: usize> = Checked<AnyHeader, AnyCheck<N>>;

impl AnyChecked {
    /// Returns the library's type for it. `N` is [`check_len`](Self::check_len).
    pub(crate) fn wire<const N: usize>(self) -> AnyCheckedWire<N> {
        debug_assert_eq!(self.check_len(), N);
        Checked::new(AnyHeader(self), AnyCheck(self))
    }

    /// Returns whether this is version 2 of the project's own frames.
    pub(crate) fn is_v2(&self) -> bool {
        matches!(self, Self::V2(_))
    }

    /// Returns whether the header is only a length or has a kind, so that any text can be sent.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::V2(_) | Self::Netstring(_) | Self::Chunked(_))
    }

    /// Returns the name.
    pub(crate) fn name(&self) -> &'static str {
        NAMED.iter().find(|(_, checked)| checked == self).map_or("", |(name, _)| name)
    }

    /// Returns the meta of this header, if the format has other bytes than a length and a kind, and
    /// these bytes are a whole header.
    pub(crate) fn header_meta(&self, header: &[u8]) -> Option<AnyMeta> {
        match AnyHeader(*self).decode_header(header) {
            Ok(Parsed::Header(parsed)) if parsed.header_len == header.len() => {
                (!self.is_plain()).then_some(parsed.meta)
            }
            _ => None,
        }
    }

    /// Returns the width of the column for the headers' other fields; `None` if there are none.
    pub(crate) fn meta_width(&self) -> Option<usize> {
        match self {
            Self::V2(_) => Some("file-status".len()),
            Self::Netstring(_) | Self::Chunked(_) => None,
            Self::Resp(_) => Some("verbatim string".len()),
            Self::Ubx(_) => Some("class 0x05, id 0x01".len()),
            Self::ModbusRtuRequest(_) | Self::ModbusRtuResponse(_) => {
                Some("address 17, function 0x03".len())
            }
            Self::MavLink(_) => {
                Some("message 30, version 2, sequence 100, system 1, component 1".len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use unstick::{DecodeError, FrameBuf, FrameError, Framing, Part, Search, Wire};

    use super::*;
    use crate::wire::{AnyWire, with_wire};

    /// A header with fields and a payload for each framing. The payload fits into all of Modbus.
    const HEADERS: &[(&str, &[u8], &[u8])] = &[
        ("v2", b"\xf5\x02\x01\0\0\0\x04", b"abcd"),
        ("chunked", b"4\r\n", b"abcd"),
        ("mavlink", b"\xfe\x04\x09\x01\x02\0", b"abcd"),
        ("modbus-rtu-request", b"\x11\x03", b"abcd"),
        ("modbus-rtu-response", b"\x11\x03\x04", b"abcd"),
        ("netstring", b"4:", b"abcd"),
        ("resp", b"$4\r\n", b"abcd"),
        ("ubx", b"\xb5\x62\x06\x01\x04\0", b"abcd"),
    ];

    /// Encodes two frames, and checks what is found in them, whole, damaged and cut.
    fn round_trip<W: Search<Meta: crate::format::Meta> + Copy>(
        name: &str,
        wire: W,
        meta: AnyMeta,
        payload: &[u8],
    ) where
        W::Meta: PartialEq,
    {
        let meta = crate::format::Meta::from_any(&meta).unwrap();
        let framing = Framing::new(wire);
        let mut stream = Vec::new();
        framing.encode(W::Meta::clone(&meta), payload, &mut stream).unwrap();
        let len = stream.len();
        framing.encode(W::Meta::clone(&meta), payload, &mut stream).unwrap();
        let mut buf = FrameBuf::growing(framing);
        for byte in &stream {
            assert_eq!(buf.extend(&[*byte]), 1);
        }
        for _ in 0..2 {
            let frame = buf.next_frame().unwrap().unwrap();
            assert_eq!((frame.meta, frame.payload), (meta.clone(), payload), "{name}");
        }
        assert_eq!(buf.finish(), Ok(()));

        stream[len - 1] ^= 1;
        // Enough for any place that only looks like a header, whose frame is waited for.
        for _ in 0..100 {
            framing.encode(W::Meta::clone(&meta), payload, &mut stream).unwrap();
        }
        let mut buf = FrameBuf::growing(framing);
        buf.extend_all(&stream);
        let error = buf.next_frame().unwrap_err();
        let bad_check = FrameError::BadCheck { found: 0, expected: 0 }.code();
        assert!(matches!(error, DecodeError::Frame { at: 0, .. }), "{name}: {error:?}");
        assert_eq!(error.code(), bad_check, "{name}");
        assert_eq!(buf.resync(), Ok(Some(len as u64)), "{name}");
        assert_eq!(buf.next_frame().unwrap().unwrap().payload, payload, "{name}");

        let mut buf = FrameBuf::growing(framing);
        buf.extend_all(&stream[..len - 1]);
        assert_eq!(buf.next_frame(), Ok(None), "{name}");
        let truncated =
            DecodeError::Truncated { at: len as u64 - 1, missing: 1, part: Part::Trailer };
        assert_eq!(buf.finish(), Err(truncated), "{name}");
    }

    #[test]
    fn every_framing_round_trips_and_is_found_again() {
        assert_eq!(HEADERS.len(), NAMED.len());
        for (name, header, payload) in HEADERS {
            let AnyWire::Checked(checked) = name.parse().unwrap() else { panic!("{name}") };
            assert_eq!(checked.name(), *name);
            let meta = match checked.header_meta(header) {
                Some(meta) => meta,
                None => AnyWire::Checked(checked).plain_meta(Kind::TEXT),
            };
            match checked.check_len() {
                1 => round_trip(name, checked.wire::<1>(), meta, payload),
                2 => round_trip(name, checked.wire::<2>(), meta, payload),
                _ => round_trip(name, checked.wire::<4>(), meta, payload),
            }
        }
    }

    #[test]
    fn version_2_writes_the_frames_of_the_library() {
        let mut expected = Vec::new();
        Framing::new(V2).encode(Kind::TEXT, b"hi", &mut expected).unwrap();
        let mut frame = Vec::new();
        let checked = "v2".parse::<AnyWire>().unwrap();
        let AnyWire::Checked(v2) = checked else { panic!("{checked:?}") };
        let framing = Framing::new(v2.wire::<4>());
        framing.encode(checked.plain_meta(Kind::TEXT), b"hi", &mut frame).unwrap();
        assert_eq!(frame, expected);
        assert!(v2.is_v2() && !checked.is_v1() && checked.has_kinds());
    }

    #[test]
    fn the_macro_selects_the_length_of_the_check() {
        fn wire_len<W: Wire>(_: W) -> usize {
            W::Trailer::LEN
        }
        for (name, checked) in NAMED {
            let len = with_wire!(AnyWire::Checked(*checked), |wire| wire_len(wire));
            assert_eq!(len, checked.check_len(), "{name}");
        }
    }

    #[test]
    fn only_a_whole_header_with_other_fields_is_a_meta() {
        let of = |name: &str, header: &[u8]| {
            let AnyWire::Checked(checked) = name.parse().unwrap() else { panic!("{name}") };
            checked.header_meta(header).map(|meta| meta.header())
        };
        let text = Some("class 0x06, id 0x01".to_owned());
        assert_eq!(of("ubx", b"\xb5\x62\x06\x01\0\0"), Some(text));
        for (name, header) in [
            ("ubx", &b"\xb5\x62\x06\x01\0"[..]),
            ("ubx", b"\xb5\x62\x06\x01\0\0\0"),
            ("ubx", b"\xb5\x63\x06\x01\0\0"),
            ("netstring", b"4:"),
            ("v2", b"\xf5\x02\x01\0\0\0\x02\x0e"),
        ] {
            assert_eq!(of(name, header), None, "{name}");
        }
    }
}

//! The formats of `--format`, in which a header announces the payload's length: any of the library's,
//! chosen at run time.

use std::num::NonZeroU64;

use unstick::{
    ByteOrder, Covers, EncodeError, FieldMeta, Fixed, Format, Header, HeaderBuf, HeaderError,
    I32Be, I32Le, InDatagram, Kind, Layout, LengthField, Parsed, U8, U16Be, U16Le, U24Be, U24Le,
    U32Be, U32Le, U64Be, U64Le, V1, Varint,
};
use unstick_cookbook::{
    ContentLength, Grpc, Modbus, Mqtt, MySql, NineP, PostgresStartup, Tls, Tpkt, WebSocket, grpc,
    http2, kafka, modbus, mysql, postgres, tls,
};

use crate::term::bytes::parse_bytes;
use crate::term::preview::plain_hex;
// The command reads both sides of these protocols.
use crate::recipe::{Http2Stream as Http2, PostgresStream as Postgres, RecipeMeta};

/// The syntax of `field:`.
pub(crate) const FIELD_HELP: &str = "field:header=4,offset=1,width=2,order=be,covers=frame";

/// The maximum length of a header of any of the formats.
pub(crate) const MAX_HEADER_LEN: usize = 1024;

/// The fields of a header other than the length, in any of the formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnyMeta {
    /// The header is only the length.
    None,
    /// A version-1 kind.
    Kind(Kind),
    /// The bytes of a longer header.
    Field(FieldMeta),
    /// The fields of a cookbook protocol's header.
    Recipe(RecipeMeta),
}

impl AnyMeta {
    /// Formats the header's other bytes, if the format has any: in hexadecimal, or in the
    /// protocol's terms.
    pub(crate) fn header(self) -> Option<String> {
        match self {
            Self::Field(meta) => Some(plain_hex(meta.bytes())),
            Self::Recipe(meta) => Some(meta.to_string()),
            Self::None | Self::Kind(_) => None,
        }
    }

    /// Returns the version-1 kind, if the format has kinds.
    pub(crate) fn kind(self) -> Option<Kind> {
        match self {
            Self::Kind(kind) => Some(kind),
            _ => None,
        }
    }
}

/// Conversion of a format's own `Meta` to [`AnyMeta`] and back.
pub(crate) trait Meta: Sized {
    fn into_any(self) -> AnyMeta;
    fn from_any(meta: &AnyMeta) -> Option<Self>;
}

impl Meta for AnyMeta {
    fn into_any(self) -> AnyMeta {
        self
    }

    fn from_any(meta: &AnyMeta) -> Option<Self> {
        Some(*meta)
    }
}

impl Meta for () {
    fn into_any(self) -> AnyMeta {
        AnyMeta::None
    }

    fn from_any(meta: &AnyMeta) -> Option<Self> {
        matches!(meta, AnyMeta::None).then_some(())
    }
}

impl Meta for Kind {
    fn into_any(self) -> AnyMeta {
        AnyMeta::Kind(self)
    }

    fn from_any(meta: &AnyMeta) -> Option<Self> {
        meta.kind()
    }
}

impl Meta for FieldMeta {
    fn into_any(self) -> AnyMeta {
        AnyMeta::Field(self)
    }

    fn from_any(meta: &AnyMeta) -> Option<Self> {
        match meta {
            AnyMeta::Field(meta) => Some(*meta),
            _ => None,
        }
    }
}

impl<M: Into<RecipeMeta> + TryFrom<RecipeMeta>> Meta for M {
    fn into_any(self) -> AnyMeta {
        AnyMeta::Recipe(self.into())
    }

    fn from_any(meta: &AnyMeta) -> Option<Self> {
        match meta {
            AnyMeta::Recipe(meta) => Self::try_from(*meta).ok(),
            _ => None,
        }
    }
}

/// Declares [`AnyFormat`] and [`NAMED`] from the lists of formats and protocols, and dispatches to
/// them.
macro_rules! formats {
    (
        [$($shipped:ident = $shipped_text:literal, $max_header_len:literal;)+]
        $($protocol:ident = $text:literal, $module:ident, $format:ident;)+
    ) => {
        formats! {
            @ $($shipped($shipped) = $shipped_text,)+ $($protocol($format) = $text,)+
        }
    };
    (@ $($name:ident($format:ident) = $text:literal,)+) => {
        /// Any of the library's formats.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum AnyFormat {
            $($name($format),)+
            LengthField(LengthField),
            Fixed(Fixed),
        }

        /// The formats that need no parameters, by name.
        pub(crate) const NAMED: &[(&str, AnyFormat)] = &[$(($text, AnyFormat::$name($format))),+];

        impl Format for AnyFormat {
            type Meta = AnyMeta;
            type HeaderBuf = [u8; MAX_HEADER_LEN];

            fn max_payload_len(&self) -> u64 {
                match self {
                    $(Self::$name(format) => format.max_payload_len(),)+
                    Self::LengthField(format) => format.max_payload_len(),
                    Self::Fixed(format) => format.max_payload_len(),
                }
            }

            fn max_header_len(&self) -> usize {
                match self {
                    $(Self::$name(format) => format.max_header_len(),)+
                    Self::LengthField(format) => format.max_header_len(),
                    Self::Fixed(format) => format.max_header_len(),
                }
            }

            fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<AnyMeta>, HeaderError> {
                match self {
                    $(Self::$name(format) => decode(format, bytes),)+
                    Self::LengthField(format) => decode(format, bytes),
                    Self::Fixed(format) => decode(format, bytes),
                }
            }

            fn encode_header(
                &self,
                meta: &AnyMeta,
                len: u64,
                out: &mut [u8; MAX_HEADER_LEN],
            ) -> Result<usize, EncodeError> {
                match self {
                    $(Self::$name(format) => encode(format, meta, len, out),)+
                    Self::LengthField(format) => encode(format, meta, len, out),
                    Self::Fixed(format) => encode(format, meta, len, out),
                }
            }

            fn in_datagram(&self, meta: &AnyMeta) -> InDatagram {
                meta.kind().map_or(InDatagram::Delivered, Kind::in_datagram)
            }
        }
    };
}

/// Adds the protocols to the list of formats.
macro_rules! with_protocols {
    ($($formats:tt)+) => {
        unstick_cookbook::for_each_protocol! { formats, [$($formats)+] }
    };
}
unstick::for_each_format! { with_protocols }

/// Decodes a header, with its fields as [`AnyMeta`].
pub(crate) fn decode<F: Format<Meta: Meta>>(
    format: &F,
    bytes: &[u8],
) -> Result<Parsed<AnyMeta>, HeaderError> {
    Ok(match format.decode_header(bytes)? {
        Parsed::Header(Header { meta, payload_len, header_len }) => {
            Parsed::Header(Header { meta: meta.into_any(), payload_len, header_len })
        }
        Parsed::Need(need) => Parsed::Need(need),
    })
}

/// Encodes a header.
pub(crate) fn encode<F: Format<Meta: Meta>>(
    format: &F,
    meta: &AnyMeta,
    len: u64,
    out: &mut [u8; MAX_HEADER_LEN],
) -> Result<usize, EncodeError> {
    let meta = F::Meta::from_any(meta).ok_or(EncodeError::Meta)?;
    let mut header = F::HeaderBuf::ZERO;
    let used = format.encode_header(&meta, len, &mut header)?;
    for (to, from) in out.iter_mut().zip(header.as_ref()) {
        *to = *from;
    }
    Ok(used)
}

impl AnyFormat {
    /// Returns whether this is the project's own protocol, with kinds, ping and close.
    pub(crate) fn is_v1(&self) -> bool {
        matches!(self, Self::V1(_))
    }

    /// Returns whether the header is only a length, or has other bytes that may be zeros, so that
    /// any payload can be sent.
    pub(crate) fn is_plain(&self) -> bool {
        !matches!(
            self,
            Self::NineP(_)
                | Self::Grpc(_)
                | Self::Http2(_)
                | Self::Modbus(_)
                | Self::Mqtt(_)
                | Self::MySql(_)
                | Self::Postgres(_)
                | Self::Tls(_)
                | Self::WebSocket(_)
        )
    }

    /// Returns whether all frames have the same length, without a header.
    pub(crate) fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed(_))
    }

    /// Returns the protocol's own limit for a frame, if it sets one.
    pub(crate) fn own_limit(&self) -> Option<u64> {
        Some(match self {
            Self::Grpc(_) => grpc::framing().limit(),
            Self::Http2(_) => http2::framing().limit(),
            Self::Kafka(_) => kafka::framing().limit(),
            Self::Modbus(_) => modbus::framing().limit(),
            Self::MySql(_) => mysql::framing().limit(),
            Self::PostgresStartup(_) => postgres::startup_framing().limit(),
            Self::Tls(_) => tls::framing().limit(),
            _ => return None,
        })
    }

    /// Returns the width of the column for the headers' other fields; `None` if there are none.
    pub(crate) fn meta_width(&self) -> Option<usize> {
        match self {
            Self::V1(_) => Some("file-status".len()),
            Self::LengthField(format) => Some((format.layout().header_len * 2).max("header".len())),
            Self::Http2(_) => Some("WINDOW_UPDATE, flags 0x00, stream 0".len()),
            Self::Tls(_) => Some("application_data, version 0x0303".len()),
            Self::Grpc(_) | Self::MySql(_) => Some("uncompressed".len()),
            Self::Postgres(_) => Some("startup".len()),
            Self::NineP(_) | Self::Mqtt(_) => Some("Tversion, tag 65535".len()),
            Self::Modbus(_) | Self::WebSocket(_) => Some("continuation, mask 01020304".len()),
            _ => None,
        }
    }

    /// Returns the name, unless it is a `field:` format.
    pub(crate) fn name(&self) -> Option<&'static str> {
        NAMED.iter().find(|(_, format)| format == self).map(|(name, _)| *name)
    }

    /// Returns the same format in the other byte order, and the option for it.
    pub(crate) fn other_order(&self) -> Option<(Self, String)> {
        if let Self::LengthField(format) = self {
            let (order, how) = match format.layout().order {
                ByteOrder::Big => (ByteOrder::Little, "order=le"),
                _ => (ByteOrder::Big, "order=be"),
            };
            let other = LengthField::new(Layout { order, ..format.layout() }).ok()?;
            return Some((Self::LengthField(other), how.to_owned()));
        }
        let name = self.name()?;
        let other = match (name.strip_suffix("be"), name.strip_suffix("le")) {
            (Some(width), _) => format!("{width}le"),
            (_, Some(width)) => format!("{width}be"),
            _ => return None,
        };
        let (_, format) = NAMED.iter().find(|(name, _)| *name == other)?;
        Some((*format, format!("--format {other}")))
    }

    /// Returns a buffer for a header.
    pub(crate) fn empty_header(&self) -> <Self as Format>::HeaderBuf {
        [0; MAX_HEADER_LEN]
    }

    /// Returns the bytes of this header that hold the length, if they hold nothing else.
    pub(crate) fn length_field<'a>(&self, header: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::V1(_) | Self::Varint(_) | Self::Protobuf(_) | Self::Fixed(_) => None,
            Self::Lsp(_) | Self::PostgresStartup(_) | Self::Tpkt(_) => None,
            _ if !self.is_plain() => None,
            Self::LengthField(format) => {
                let Layout { offset, width, .. } = format.layout();
                header.get(offset..)?.get(..width)
            }
            _ => Some(header),
        }
    }

    /// Returns the meta of an ordinary message: `kind` if the format has kinds, and zeros for the
    /// other bytes of a longer header.
    pub(crate) fn plain_meta(&self, kind: Kind) -> AnyMeta {
        let zeros = [0; MAX_HEADER_LEN];
        match self {
            Self::V1(_) => AnyMeta::Kind(kind),
            Self::LengthField(format) => zeros
                .get(..format.layout().header_len)
                .and_then(|header| self.header_meta(header))
                .unwrap_or(AnyMeta::None),
            _ => AnyMeta::None,
        }
    }

    /// Returns the meta of this header, if the format has other bytes than a length and the
    /// header's length is right.
    pub(crate) fn header_meta(&self, header: &[u8]) -> Option<AnyMeta> {
        match self {
            Self::LengthField(format) => format.meta(header).ok().map(AnyMeta::Field),
            _ => None,
        }
    }
}

/// Parses a format that needs parameters; returns `None` if this is none.
pub(crate) fn with_parameters(text: &str) -> Option<Result<AnyFormat, String>> {
    if let Some(layout) = text.strip_prefix("field:") {
        return Some(field(layout).map(AnyFormat::LengthField));
    }
    text.strip_prefix("fixed:").map(|len| fixed(len).map(AnyFormat::Fixed))
}

/// Parses the length after `fixed:`.
fn fixed(text: &str) -> Result<Fixed, String> {
    let len = parse_bytes(text).map_err(|error| format!("fixed:, {error}"))?;
    match NonZeroU64::new(len) {
        Some(len) => Ok(Fixed::new(len)),
        None => Err("a frame has at least one byte; write fixed:188 for frames of 188".to_owned()),
    }
}

/// Parses the parameters after `field:`.
fn field(text: &str) -> Result<LengthField, String> {
    let (mut header_len, mut offset, mut width) = (None, 0, None);
    let (mut order, mut covers) = (ByteOrder::Big, Covers::Payload);
    for part in text.split(',') {
        let Some((key, value)) = part.split_once('=') else {
            return Err(format!("`{part}` has no value; write it as {FIELD_HELP}"));
        };
        let number =
            || value.parse::<usize>().map_err(|_| format!("`{value}` is no number for {key}"));
        match key {
            "header" => header_len = Some(number()?),
            "offset" => offset = number()?,
            "width" => width = Some(number()?),
            "order" => {
                order = match value {
                    "be" | "big" => ByteOrder::Big,
                    "le" | "little" => ByteOrder::Little,
                    _ => return Err(format!("`{value}` is no byte order; take be or le")),
                }
            }
            "covers" => {
                covers = match value {
                    "payload" => Covers::Payload,
                    // The spec's name for it.
                    "rest" => Covers::AfterField,
                    "frame" => Covers::Frame,
                    _ => {
                        return Err(format!(
                            "a length covers payload, rest (all after the field) or frame, not \
                             `{value}`"
                        ));
                    }
                }
            }
            _ => return Err(format!("`{key}` is not known; write it as {FIELD_HELP}")),
        }
    }
    let width = width.ok_or_else(|| format!("the width is missing; write it as {FIELD_HELP}"))?;
    let header_len = match header_len {
        Some(header_len) => header_len,
        None => offset.checked_add(width).ok_or_else(|| "the offset is too large".to_owned())?,
    };
    LengthField::new(Layout { header_len, offset, width, order, covers })
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use unstick::{Decoder, Framing};

    use super::*;

    fn format(name: &str) -> AnyFormat {
        let named = NAMED.iter().find(|(known, _)| *known == name).map(|(_, format)| *format);
        named.unwrap_or_else(|| with_parameters(name).unwrap().unwrap())
    }

    #[test]
    fn every_format_round_trips() {
        let fields = ["field:header=4,offset=1,width=2,order=be,covers=frame", "field:width=1"];
        let plain = NAMED.iter().filter(|(_, format)| format.is_plain()).map(|(name, _)| *name);
        for name in plain.chain(fields) {
            let format = format(name);
            let framing = Framing::new(format);
            let meta = format.plain_meta(Kind::TEXT);
            let mut wire = Vec::new();
            for payload in ["", "粘包", "x"] {
                framing.encode(meta, payload.as_bytes(), &mut wire).unwrap();
            }
            let mut decoder = Decoder::with_framing(framing);
            let mut payloads = Vec::new();
            for byte in &wire {
                for piece in decoder.pieces(&[*byte]) {
                    let piece = piece.unwrap();
                    if let Some(header) = piece.header {
                        assert_eq!(header.meta, meta, "{name}");
                        payloads.push(Vec::new());
                    }
                    payloads.last_mut().unwrap().extend_from_slice(piece.bytes);
                }
            }
            decoder.finish().unwrap();
            assert_eq!(payloads, [b"".to_vec(), "粘包".into(), b"x".to_vec()], "{name}");
        }
    }

    #[test]
    fn frames_of_a_fixed_length_have_no_header() {
        let format = format("fixed:3");
        let framing = Framing::new(format);
        let mut wire = Vec::new();
        framing.encode(format.plain_meta(Kind::TEXT), b"abc", &mut wire).unwrap();
        let refused = framing.encode(AnyMeta::None, b"ab", &mut wire);
        assert_eq!(refused, Err(EncodeError::WrongLength { len: 2, expected: 3 }));
        assert_eq!(wire, b"abc");
        let mut decoder = Decoder::with_framing(framing);
        let mut payloads = Vec::new();
        decoder.for_each(b"abcdef", |piece| payloads.push(piece.bytes.to_vec())).unwrap();
        assert_eq!(payloads, [b"abc", b"def"]);
        assert!(decoder.finish().is_ok() && format.is_fixed() && format.is_plain());
    }

    #[test]
    fn a_meta_of_another_format_is_refused() {
        let framing = Framing::new(AnyFormat::V1(V1));
        assert_eq!(framing.encode_header(AnyMeta::None, 1).unwrap_err(), EncodeError::Meta);
    }
}

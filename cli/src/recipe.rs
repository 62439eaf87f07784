//! The cookbook's formats for `--format`, with a textual form of what each header says.

use std::fmt;

use unstick::{EncodeError, Format, Header, HeaderBuf, HeaderError, Parsed};
use unstick_cookbook::{
    Http2, Postgres, PostgresStartup, grpc, http2, mavlink, modbus, modbus_rtu, mqtt, mysql, ninep,
    postgres, resp, tls, ubx, websocket,
};

/// Declares [`RecipeMeta`]: for each protocol a variant and the library's type.
macro_rules! recipe_metas {
    ($($name:ident($meta:ty)),+ $(,)?) => {
        /// The fields of a cookbook protocol's header in addition to the length.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum RecipeMeta {
            $($name($meta),)+
        }

        impl fmt::Display for RecipeMeta {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name(meta) => meta.fmt(f),)+
                }
            }
        }

        $(impl From<$meta> for RecipeMeta {
            fn from(meta: $meta) -> Self {
                Self::$name(meta)
            }
        }

        impl TryFrom<RecipeMeta> for $meta {
            type Error = ();

            fn try_from(meta: RecipeMeta) -> Result<Self, ()> {
                match meta {
                    RecipeMeta::$name(meta) => Ok(meta),
                    _ => Err(()),
                }
            }
        })+
    };
}

recipe_metas! {
    Http2(First<http2::Meta>),
    WebSocket(websocket::Meta),
    Tls(tls::Meta),
    Grpc(grpc::Meta),
    Postgres(First<postgres::Meta>),
    MySql(mysql::Meta),
    Mqtt(mqtt::Meta),
    Modbus(modbus::Meta),
    NineP(ninep::Meta),
    MavLink(mavlink::Meta),
    ModbusRtu(modbus_rtu::Meta),
    Resp(resp::Meta),
    Ubx(ubx::Meta),
}

impl RecipeMeta {
    /// Unmasks a part of the payload if the header has a masking key. `at` is the part's offset in
    /// the payload.
    pub(crate) fn unmask(&self, at: u64, part: &mut [u8]) {
        if let Self::WebSocket(meta) = self {
            meta.unmask(at, part);
        }
    }
}

/// The header fields of a protocol in which a client's first frame has another format than the
/// rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First<M> {
    /// The first frame, with its name.
    First(&'static str),
    /// Any later frame.
    Other(M),
}

impl<M: fmt::Display> fmt::Display for First<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First(name) => f.write_str(name),
            Self::Other(meta) => meta.fmt(f),
        }
    }
}

/// Declares a format that reads both sides of a protocol. The first frame of a client is recognized
/// by its first bytes.
macro_rules! both_sides {
    ($(#[$doc:meta])* $name:ident: $first:expr, $text:literal, if $is_first:expr, else $other:expr, $meta:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct $name;

        impl Format for $name {
            type Meta = First<$meta>;
            type HeaderBuf = [u8; 24];

            fn max_payload_len(&self) -> u64 {
                $other.max_payload_len()
            }

            fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Self::Meta>, HeaderError> {
                let is_first: fn(&[u8]) -> bool = $is_first;
                if is_first(bytes) {
                    let parsed = $first.decode_header(bytes)?;
                    return Ok(map(parsed, |()| First::First($text)));
                }
                Ok(map($other.decode_header(bytes)?, First::Other))
            }

            fn encode_header(
                &self,
                meta: &Self::Meta,
                len: u64,
                out: &mut [u8; 24],
            ) -> Result<usize, EncodeError> {
                match meta {
                    First::First(_) => encode(&$first, &(), len, out),
                    First::Other(meta) => encode(&$other, meta, len, out),
                }
            }
        }
    };
}

both_sides!(
    /// HTTP/2, including the preface of a client. A frame whose header equals the beginning of the
    /// preface would have 5 MiB and an unassigned type.
    Http2Stream: http2::Preface, "preface",
    if |bytes| http2::PREFACE.starts_with(bytes.get(..9).unwrap_or(bytes)) && !bytes.is_empty(),
    else Http2, http2::Meta
);
both_sides!(
    /// PostgreSQL, including the first messages of a client, which have no type and begin with a
    /// zero byte.
    PostgresStream: PostgresStartup, "startup",
    if |bytes| bytes.first() == Some(&0),
    else Postgres, postgres::Meta
);

fn map<M, N>(parsed: Parsed<M>, other: impl FnOnce(M) -> N) -> Parsed<N> {
    match parsed {
        Parsed::Header(Header { meta, payload_len, header_len }) => {
            Parsed::Header(Header { meta: other(meta), payload_len, header_len })
        }
        Parsed::Need(need) => Parsed::Need(need),
    }
}

fn encode<F: Format>(
    format: &F,
    meta: &F::Meta,
    len: u64,
    out: &mut [u8; 24],
) -> Result<usize, EncodeError> {
    let mut header = F::HeaderBuf::ZERO;
    let used = format.encode_header(meta, len, &mut header)?;
    for (to, from) in out.iter_mut().zip(header.as_ref()) {
        *to = *from;
    }
    Ok(used)
}

//! The options for the frames.

use unstick::{DEFAULT_LIMIT, Format, Framing, Wire};

use crate::format::AnyFormat;
use crate::term::bytes::parse_bytes;
use crate::term::output::Failure;
use crate::wire::{AnyWire, named};

/// The options for the frames' format and limit.
#[derive(clap::Args)]
pub(crate) struct FramingArgs {
    /// The frames' format: v1, u8, u16be, u16le, u24be, u24le, u32be, u32le, u64be, u64le, i32be,
    /// i32le, varint, or field:header=4,offset=1,width=2,order=be,covers=frame (order is be or le;
    /// covers is payload, rest, which is all after the length, or frame). With a mark at each
    /// frame's end: lines, crlf, nul, delim:HEX for any bytes, such as delim:0d0a, cobs, slip,
    /// hdlc (with FCS-16). Without either: fixed:N for frames of N bytes. With a check after each
    /// payload: v2 (kinds as in v1, but no session: each frame is a message, without hello, ping,
    /// close and files), netstring, chunked; and, where send needs --header, mavlink,
    /// modbus-rtu-request, modbus-rtu-response, resp, ubx. Of other protocols that exist: dns,
    /// kafka, lsp, postgres-startup, protobuf, tpkt; and, for inspect only, 9p, grpc, http2, modbus,
    /// mqtt, mysql, postgres, tls, websocket.
    #[arg(long, default_value = "v1")]
    pub(crate) format: AnyWire,
    /// The maximum number of payload bytes in a frame, such as 65536 or 64KiB [default: 1MiB; of
    /// inspect what the protocol sets, if it does].
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) limit: Option<u64>,
}

impl FramingArgs {
    /// Returns the framing for `inspect`: without `--limit` the limit is the protocol's own.
    pub(crate) fn inspecting<W: Wire>(&self, wire: W) -> Framing<W> {
        let framing = self.apply(wire);
        match (self.limit, self.format.own_limit()) {
            (None, Some(limit)) => framing.with_limit(limit),
            _ => framing,
        }
    }

    /// Returns an error if frames of the format cannot be sent and answered.
    pub(crate) fn check_exchange(&self) -> Result<(), Failure> {
        let named = named().find(|(_, wire)| *wire == self.format);
        match (named, self.format.format()) {
            (Some((name, _)), Some(format)) if !format.is_plain() => Err(Failure::Usage(format!(
                "the headers of {name} say more than a length, and what, only a program that \
                 speaks it can know; {name} is for inspect"
            ))),
            _ => Ok(()),
        }
    }

    /// Returns the framing with the given limit and this format.
    pub(crate) fn apply<W: Wire>(&self, wire: W) -> Framing<W> {
        let framing = Framing::new(wire);
        match (self.limit, self.format.format()) {
            (Some(limit), _) => framing.with_limit(limit),
            // The user has given the length of the frames.
            (None, Some(AnyFormat::Fixed(fixed))) => framing.with_limit(fixed.max_payload_len()),
            _ => framing,
        }
    }

    /// Returns the maximum length of a line of standard input that is a message, in bytes.
    pub(crate) fn max_line_len(&self, limit: u64) -> u64 {
        match self.format.format() {
            // What is wrong with a line of another length, the encoder says.
            Some(AnyFormat::Fixed(_)) => limit.max(DEFAULT_LIMIT),
            _ => limit,
        }
    }
}

//! `listen` and `send` over UDP: datagrams of whole messages, without connections.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use unstick::tokio::{Frames, RecvStats, Refusals, SendStats};
use unstick::{DatagramError, Framing};
use unstick_session::message::{Code, Message, RefusedMessage};

use crate::format::AnyFormat;
use crate::framing_args::FramingArgs;
use crate::shown::Shown;
use crate::term::log_limit::{hidden, is_zero};
use crate::term::output::Failure;
use crate::term::output::json_now;
use crate::term::printer::Printer;
use crate::v1;

/// The size of the receive buffer to request, so that bursts are not lost. The system may grant
/// less.
pub(crate) const RECV_BUFFER: usize = 4 << 20;
pub(crate) const NO_FILES: &str = "files do not travel in datagrams; leave `udp:` out";
pub(crate) const NO_OTHERS: &str = "only frames with a length and no check travel in datagrams; \
                         leave `udp:` out, or take another --format";
pub(crate) const NO_TLS: &str =
    "there is no TLS over datagrams here; leave `udp:` or the --tls options out";
/// The time limit for printing the last lines when the program ends.
pub(crate) const PRINT_TIMEOUT: Duration = Duration::from_secs(2);

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum DatagramEvent<'a> {
    Listening {
        addr: &'a str,
    },
    Message {
        peer: SocketAddr,
        /// The number of its datagram, counted from 1.
        datagram: u64,
        #[serde(flatten)]
        message: Shown<'a>,
    },
    Refused {
        peer: SocketAddr,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<u64>,
        code: u16,
        name: &'static str,
        message: &'a str,
        /// How many more were refused since the last event of this kind.
        #[serde(skip_serializing_if = "is_zero")]
        more: u64,
    },
    Counts {
        received: Side,
        refused: Refused,
        sent: Side,
    },
}

#[derive(Serialize)]
pub(crate) struct Side {
    datagrams: u64,
    messages: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
}

#[derive(Serialize)]
pub(crate) struct Refused {
    datagrams: u64,
    bytes: u64,
    cut: u64,
    empty: u64,
    malformed: u64,
    misplaced_kind: u64,
    unknown_kind: u64,
}

/// Formats the final counts: what was sent, received and refused.
pub(crate) fn counts((received, sent): (RecvStats, SendStats), as_json: bool) -> String {
    let Refusals { cut, empty, malformed, misplaced_kind, unknown_kind, .. } = received.refused;
    let total = received.refused.total();
    if as_json {
        return json_now(&DatagramEvent::Counts {
            received: Side {
                datagrams: received.datagrams,
                messages: received.frames,
                bytes: received.bytes,
                lost: None,
            },
            refused: Refused {
                datagrams: total,
                bytes: received.refused_bytes,
                cut,
                empty,
                malformed,
                misplaced_kind,
                unknown_kind,
            },
            sent: Side {
                datagrams: sent.datagrams,
                messages: sent.frames,
                bytes: sent.bytes,
                lost: Some(sent.lost),
            },
        });
    }
    let row = |name, datagrams: u64, messages: &str, bytes: u64, why: &str| {
        format!("{name:<9} {datagrams:>9} {messages:>9} {bytes:>11}  {why}").trim_end().to_owned()
    };
    let reasons = [
        (cut, "too long"),
        (empty, "empty"),
        (malformed, "malformed"),
        (misplaced_kind, "of a misplaced kind"),
        (unknown_kind, "of an unknown kind"),
    ];
    let reasons: Vec<_> = reasons
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| format!("{count} {reason}"))
        .collect();
    let lost = if sent.lost > 0 { format!("{} not sent", sent.lost) } else { String::new() };
    [
        format!("{:<9} {:>9} {:>9} {:>11}", "", "datagrams", "messages", "bytes"),
        row("sent", sent.datagrams, &sent.frames.to_string(), sent.bytes, &lost),
        row("received", received.datagrams, &received.frames.to_string(), received.bytes, ""),
        row("refused", total, "", received.refused_bytes, &reasons.join(", ")),
    ]
    .join("\n")
}

/// Returns the offset in the datagram of the byte that caused the refusal.
fn offset(error: &DatagramError) -> Option<u64> {
    match error {
        DatagramError::Malformed(error) => Some(error.at()),
        DatagramError::MisplacedKind { at, .. } | DatagramError::UnknownKind { at, .. } => {
            Some(*at)
        }
        DatagramError::Empty => Some(0),
        _ => None,
    }
}

/// Returns the framing of the datagrams' messages.
pub(crate) fn framing(args: &FramingArgs) -> Result<Framing<AnyFormat>, Failure> {
    match args.format.format() {
        Some(format) => Ok(args.apply(format)),
        None => Err(Failure::Usage(NO_OTHERS.to_owned())),
    }
}

/// Returns for each frame of a datagram whether it is a message for the user.
///
/// # Errors
/// The first payload that is malformed for its kind.
pub(crate) fn messages(
    frames: Frames<'_, AnyFormat>,
    kinds: &[unstick::Kind],
) -> Result<Vec<bool>, RefusedMessage> {
    // In other formats each frame is a message.
    let frames =
        frames.map(|frame| (frame.meta.kind().unwrap_or(unstick::Kind::BINARY), frame.payload));
    let is_message = |message: Message<'_>| match message {
        Message::Text(_) | Message::Binary(_) => true,
        message => kinds.contains(&message.kind()),
    };
    Ok(Message::decode_all(frames)?.map(is_message).collect())
}

/// Logs a refused datagram, and how many more were not logged before it.
pub(crate) async fn refused(
    source: SocketAddr,
    error: &DatagramError,
    more: u64,
    as_json: bool,
    printer: &Printer,
) {
    let message = error.to_string();
    printer.error(&format!("{source}: {message}{}", hidden(more))).await;
    if as_json {
        let code = match error {
            DatagramError::Malformed(cause) => cause.code(),
            _ => error.code(),
        };
        let (at, name) = (offset(error), v1::code_name(Code(code)));
        let message = &message;
        let event = DatagramEvent::Refused { peer: source, at, code, name, message, more };
        printer.line(json_now(&event)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_formatted_as_a_table() {
        let (mut received, mut sent) = (RecvStats::default(), SendStats::default());
        (received.datagrams, received.frames, received.bytes) = (12, 345, 6_789);
        (received.refused.malformed, received.refused.empty, received.refused_bytes) = (3, 1, 20);
        (sent.datagrams, sent.frames, sent.bytes, sent.lost) = (2, 30, 400, 1);
        let table = "          datagrams  messages       bytes\n\
                     sent              2        30         400  1 not sent\n\
                     received         12       345        6789\n\
                     refused           4                    20  1 empty, 3 malformed";
        assert_eq!(counts((received, sent), false), table);
        let line = counts((received, sent), true);
        assert!(line.starts_with(r#"{"event":"counts","received":{"datagrams":12,"#), "{line}");
    }
}

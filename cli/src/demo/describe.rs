//! Describes the bytes of one read from a socket in terms of the messages that were sent.

use unstick::header::HEADER_LEN;

use crate::term::bytes::count_bytes;

/// The position of a message's frame in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The message's number, counted from 1.
    pub(crate) number: u64,
    /// The stream offset of its first byte.
    pub(crate) start: u64,
    /// The stream offset after its last byte; `None` until its header is complete.
    pub(crate) end: Option<u64>,
}

/// Describes a read of the bytes from `start` up to `end`. `touched` are the frames of which it has
/// bytes, in order.
pub(crate) fn describe(start: u64, end: u64, touched: &[Span]) -> String {
    let mut parts = Vec::new();
    let mut whole = Vec::new();
    for span in touched {
        let Span { number, start: first, end: last } = *span;
        let here = count_bytes(end.min(last.unwrap_or(end)) - first.max(start));
        let began_before = first < start;
        let ended = last.is_some_and(|last| last <= end);
        if ended && !began_before {
            whole.push(number);
            continue;
        }
        flush(&mut whole, &mut parts);
        let message =
            if parts.is_empty() { format!("message {number}") } else { number.to_string() };
        let body = first + HEADER_LEN as u64;
        parts.push(match (began_before, ended) {
            (true, true) => format!("the end of {message}"),
            (true, false) if last.is_none() || end <= body => {
                format!("{here} more of {message}'s header")
            }
            (true, false) => format!("{here} from the middle of {message}"),
            (false, _) if end < body => format!("{here} of {message}'s header"),
            (false, _) if end == body => format!("only {message}'s header"),
            (false, _) => format!("the first {here} of {message}"),
        });
    }
    flush(&mut whole, &mut parts);
    parts.join(", ")
}

fn flush(whole: &mut Vec<u64>, parts: &mut Vec<String>) {
    if let (Some(first), Some(last)) = (whole.first(), whole.last()) {
        let message = match (parts.is_empty(), first == last) {
            (true, true) => "message ",
            (true, false) => "messages ",
            (false, _) => "",
        };
        parts.push(match last - first {
            0 => format!("all of {message}{first}"),
            1 => format!("{message}{first} and {last}"),
            _ => format!("{message}{first} to {last}"),
        });
    }
    whole.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_described_by_the_messages_in_it() {
        let span = |number, start, end| Span { number, start, end };
        let table: [(u64, u64, &[Span], &str); 7] = [
            (0, 10, &[span(1, 0, Some(10))], "all of message 1"),
            (
                5,
                37,
                &[span(4, 0, Some(9)), span(5, 9, Some(30)), span(6, 30, None)],
                "the end of message 4, all of 5, 7 bytes of 6's header",
            ),
            (
                5,
                40,
                &[
                    span(4, 0, Some(9)),
                    span(5, 9, Some(17)),
                    span(6, 17, Some(25)),
                    span(7, 25, Some(40)),
                ],
                "the end of message 4, 5 to 7",
            ),
            (100, 150, &[span(2, 20, Some(900))], "50 bytes from the middle of message 2"),
            (22, 25, &[span(2, 20, None)], "3 bytes more of message 2's header"),
            (20, 28, &[span(2, 20, Some(30))], "only message 2's header"),
            (20, 29, &[span(2, 20, Some(30))], "the first 9 bytes of message 2"),
        ];
        for (start, end, touched, expected) in table {
            assert_eq!(describe(start, end, touched), expected);
        }
    }
}

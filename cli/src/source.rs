//! Where the messages that are sent come from, beside the command line.

use std::io::{self, BufRead, Read};

use tokio::sync::mpsc;

use crate::bytes::count_bytes;
use crate::output::Failure;

/// How many lines are read ahead of what is sent.
const AHEAD: usize = 64;

/// The payloads to send, one by one; it ends when there are no more.
pub(crate) type Payloads = mpsc::Receiver<Result<Vec<u8>, Failure>>;

/// Payloads that are all there.
pub(crate) fn given(texts: Vec<String>) -> Payloads {
    let (sender, payloads) = mpsc::channel(texts.len().max(1));
    for text in texts {
        // There is room for all.
        let _ = sender.try_send(Ok(text.into_bytes()));
    }
    payloads
}

/// Each line of standard input, without its end. A line of more than `limit` bytes is an error, and
/// never more than that of it is held.
pub(crate) fn lines(limit: u64) -> Payloads {
    let (sender, payloads) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut number: u64 = 0;
        loop {
            number += 1;
            let line = next_line(&mut input, limit, number);
            let failed = line.is_err();
            let Some(line) = line.transpose() else { return };
            // If nobody takes it, the connection is over.
            if sender.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    payloads
}

fn next_line(
    input: &mut impl BufRead,
    limit: u64,
    number: u64,
) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    // Two more for the line's end.
    let most = limit.saturating_add(2);
    input
        .take(most)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::job(format!("cannot read standard input: {error}")))?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    if line.len() as u64 > limit {
        return Err(Failure::job(format!(
            "line {number} of standard input has more than the {} that a message may have; \
             raise --limit if the peer takes more",
            count_bytes(limit)
        )));
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_and_nothing_else() {
        let mut input = &b"one\r\n\n\rtwo \n\xff\nlast"[..];
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input, 10, 1).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, [&b"one"[..], b"", b"\rtwo ", b"\xff", b"last"]);
    }

    #[test]
    fn a_line_over_the_limit_is_an_error() {
        assert_eq!(next_line(&mut &b"1234\r\n"[..], 4, 1).unwrap().unwrap(), b"1234");
        for text in ["12345\n", "12345", "123456789"] {
            let Err(Failure::Job(why)) = next_line(&mut text.as_bytes(), 4, 7) else {
                panic!("{text}")
            };
            assert!(why.starts_with("line 7 "), "{why}");
        }
        let Err(Failure::Job(why)) = next_line(&mut &b"12"[..], 1, 7) else { panic!("12") };
        assert!(why.contains("more than the 1 byte that"), "{why}");
    }
}

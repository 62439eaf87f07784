//! Promise 10: resynchronisation is exact. A search finds the same header under every cut, and counts
//! the bytes that it skipped. Requirements: SYN-1 to SYN-4, SYN-7.
//!
//! The random streams of promise 1 run with the policies that search, too.

use unstick::{DecodeError, Decoder, FrameBuf, Framing};
use unstick_testing::chunks::{compare_all, single_bytes};

use crate::support::{feed, payloads, text};

/// Headers of version 1 at every distance from each other, so that a search has to take up a
/// candidate inside a rejected one.
// spec: SYN-1, SYN-2, SYN-3, SYN-4, SYN-7
#[test]
fn overlapping_candidates_are_found_under_every_cut() {
    let header = [0xF5, 0x01, 0x01, 0, 0, 0, 0, 0xAC];
    for keep in 0..=8 {
        for again in 0..=8 {
            let mut bytes = vec![0x3F];
            bytes.extend(&header[..keep]);
            bytes.extend(&header[..again]);
            bytes.extend(header);
            let framing = Framing::new(unstick::V1);
            for cut in 0..=bytes.len() {
                compare_all(&framing, &bytes, &[cut]);
            }
            compare_all(&framing, &bytes, &single_bytes(&bytes));
        }
    }
}

/// The byte that completes a header which a search has found is left to be decoded, so a stream that
/// ends before it ends inside that header.
// spec: SYN-4
#[test]
fn a_header_that_was_found_is_not_whole_before_its_last_byte() {
    let mut decoder = Decoder::new();
    let mut input = &b"?\xf5\x01\x01\0\0\0\x02\xf2hi"[..];
    assert!(decoder.decode(&mut input).is_err());
    assert_eq!(decoder.resync(&mut input), Ok(Some(1)));
    assert_eq!(input, b"\xf2hi");
    let truncated = DecodeError::Truncated { at: 8, missing: 1, part: unstick::Part::Header };
    assert_eq!(decoder.finish(), Err(truncated));
    assert_eq!(decoder.decode(&mut input).unwrap().unwrap().bytes, b"hi");
    assert_eq!(decoder.finish(), Ok(()));
}

/// A search over more garbage than the storage holds.
// spec: SYN-1, SYN-4
#[test]
fn a_search_passes_more_than_the_storage_holds() {
    let mut buf = FrameBuf::new([0; 16]);
    let mut sent = [0xF5, 0x01, 0x01, 0x00, 0xF5, 0x3F].repeat(500);
    let garbage = sent.len() as u64;
    sent.extend(text(b"found"));
    let mut rest = &sent[..];
    let mut skipped = None;
    while !rest.is_empty() {
        feed(&mut buf, &mut rest);
        if buf.next_frame().is_err() {
            skipped = skipped.or(buf.resync().unwrap());
        }
    }
    assert_eq!(skipped, Some(garbage));
    assert_eq!(payloads(&mut buf), [b"found"]);
}

//! Frames before they are whole, on every reader: the header first, the payload in runs, a skip by
//! the caller's choice, and a limit that changes.

use std::io::Cursor;

use unstick::{DecodeError, Framing, Part, RecoverError, U32Be};
use unstick_testing::script::{Source, Step, run};

const LIMIT: u64 = 1 << 20;

/// "small", a payload of 300,000 bytes, an empty one, "last".
fn wire() -> Vec<u8> {
    let mut wire = Vec::new();
    for payload in [&b"small"[..], &large(), b"", b"last"] {
        Framing::new(U32Be).encode((), payload, &mut wire).unwrap();
    }
    wire
}

fn large() -> Vec<u8> {
    (0..300_000_u32).map(|i| i as u8).collect()
}

/// Returns its argument: what `run` is for a reader that blocks.
fn at_once<T>(value: T) -> T {
    value
}

/// Cuts that end inside headers and payloads.
fn cuts() -> Vec<Vec<Step>> {
    let cut = |n: usize| vec![Step::Move(n); 320_000 / n + 20];
    vec![vec![], cut(1), cut(3), cut(1000), cut(70_000)]
}

macro_rules! before_whole {
    ($reader:ident, $run:ident, $error:pat => $decode:expr, |$source:ident, $framing:ident| $make:expr) => {
        mod $reader {
            use super::*;

            /// The payload is no more in memory than the reads are.
            #[test]
            fn a_payload_is_taken_in_runs_between_whole_frames() {
                for steps in cuts() {
                    let ($source, $framing) =
                        (Source::new(&wire(), steps), Framing::new(U32Be).with_limit(LIMIT));
                    let mut reader = $make;
                    assert_eq!($run(reader.next_frame()).unwrap().unwrap().payload, b"small");
                    let header = $run(reader.next_header()).unwrap().unwrap();
                    assert_eq!((header.payload_len, reader.buf().position()), (300_000, 9));
                    let (mut got, mut max) = (Vec::new(), 0);
                    while let Some(run) = $run(reader.payload()).unwrap() {
                        assert!(!run.is_empty());
                        max = max.max(run.len());
                        got.extend_from_slice(run);
                    }
                    assert!(got == large());
                    assert_eq!(reader.buf().position(), 300_013);
                    assert_eq!($run(reader.next_header()).unwrap().unwrap().payload_len, 0);
                    assert_eq!($run(reader.payload()).unwrap(), None, "an empty payload");
                    assert_eq!($run(reader.next_frame()).unwrap().unwrap().payload, b"last");
                    assert_eq!($run(reader.next_header()).unwrap(), None);
                    assert_eq!($run(reader.payload()).unwrap(), None);
                }
            }

            #[test]
            fn a_frame_whose_header_was_seen_can_be_skipped_or_taken() {
                for steps in cuts() {
                    let ($source, $framing) =
                        (Source::new(&wire(), steps), Framing::new(U32Be).with_limit(LIMIT));
                    let mut reader = $make;
                    assert_eq!(reader.buf_mut().skip_frame(), Err(RecoverError::NotFailed));
                    let mut taken = Vec::new();
                    while let Some(header) = $run(reader.next_header()).unwrap() {
                        if header.payload_len > 5 {
                            reader.buf_mut().skip_frame().unwrap();
                        } else {
                            taken
                                .push($run(reader.next_frame()).unwrap().unwrap().payload.to_vec());
                        }
                    }
                    assert_eq!(taken, [&b"small"[..], b"", b"last"]);
                    assert_eq!(reader.buf().position(), wire().len() as u64);
                }
            }

            #[test]
            fn the_rest_of_a_payload_is_dropped() {
                for steps in cuts() {
                    for skip in [false, true] {
                        let ($source, $framing) = (
                            Source::new(&wire(), steps.clone()),
                            Framing::new(U32Be).with_limit(LIMIT),
                        );
                        let mut reader = $make;
                        $run(reader.next_frame()).unwrap();
                        assert!(!$run(reader.payload()).unwrap().unwrap().is_empty());
                        if skip {
                            let _ = reader.buf_mut().skip_frame();
                        }
                        assert_eq!($run(reader.next_frame()).unwrap().unwrap().payload, b"");
                        assert_eq!($run(reader.next_frame()).unwrap().unwrap().payload, b"last");
                        assert_eq!($run(reader.next_frame()).unwrap(), None);
                    }
                }
            }

            /// With its value and its place, on every call.
            #[test]
            fn a_stream_that_ends_in_a_payload_is_truncated() {
                let ($source, $framing) =
                    (Source::new(&wire()[..20], []), Framing::new(U32Be).with_limit(LIMIT));
                let mut reader = $make;
                $run(reader.next_frame()).unwrap();
                assert_eq!($run(reader.payload()).unwrap().unwrap(), &large()[..7]);
                for _ in 0..2 {
                    let $error = $run(reader.payload()).unwrap_err() else { panic!() };
                    let missing = 300_000 - 7;
                    let end = DecodeError::Truncated { at: 20, missing, part: Part::Payload };
                    assert_eq!($decode, end);
                }
            }

            /// A frame that has begun keeps its limit, an error its value.
            #[test]
            fn a_limit_counts_from_the_next_header_on() {
                let ($source, $framing) = (
                    Source::new(&wire(), vec![Step::Move(11); 20]),
                    Framing::new(U32Be).with_limit(LIMIT),
                );
                let mut reader = $make;
                $run(reader.next_frame()).unwrap();
                $run(reader.next_header()).unwrap().unwrap();
                reader.set_limit(3);
                assert_eq!(reader.buf().framing().limit(), 3);
                assert_eq!($run(reader.next_frame()).unwrap().unwrap().payload.len(), 300_000);
                assert_eq!($run(reader.next_frame()).unwrap().unwrap().payload, b"");
                for limit in [3, 4, LIMIT] {
                    let $error = $run(reader.next_frame()).unwrap_err() else { panic!() };
                    assert_eq!($decode, DecodeError::Oversize { at: 300_017, len: 4, limit: 3 });
                    reader.set_limit(limit);
                }
                reader.buf_mut().skip_frame().unwrap();
                assert_eq!($run(reader.next_frame()).unwrap(), None);
            }
        }
    };
}

before_whole!(blocking, at_once, unstick::io::ReadError::Decode(error) => error, |source, framing| {
    unstick::io::FrameReader::with_framing(source, framing)
});

#[cfg(feature = "tokio")]
before_whole!(asynchronous, run, unstick::io::ReadError::Decode(error) => error, |source, framing| {
    unstick::tokio::FrameReader::with_framing(source, framing)
});

#[cfg(feature = "futures-io")]
before_whole!(futures, run, unstick::io::ReadError::Decode(error) => error, |source, framing| {
    unstick::futures::FrameReader::with_framing(source, framing)
});

#[cfg(feature = "embedded-io")]
before_whole!(serial, at_once, unstick::embedded_io::ReadError::Decode(error) => error, |source, framing| {
    let storage = vec![0; LIMIT as usize + 4].into_boxed_slice();
    unstick::embedded_io::FrameReader::with_framing(source, storage, framing).unwrap()
});

#[cfg(feature = "embedded-io-async")]
before_whole!(serial_asynchronous, run, unstick::embedded_io::ReadError::Decode(error) => error, |source, framing| {
    let storage = vec![0; LIMIT as usize + 4].into_boxed_slice();
    unstick::embedded_io_async::FrameReader::with_framing(source, storage, framing).unwrap()
});

/// A growing buffer does not grow with a payload that is taken in runs.
#[test]
fn a_streamed_payload_needs_no_more_memory_than_its_reads() {
    let mut wire = Vec::new();
    Framing::new(U32Be).with_limit(1 << 30).encode((), vec![7; 64 << 20], &mut wire).unwrap();
    let framing = Framing::new(U32Be).with_limit(1 << 30);
    let mut reader = unstick::io::FrameReader::with_framing(Cursor::new(wire), framing);
    let mut total = 0;
    while let Some(run) = reader.payload().unwrap() {
        total += run.len();
        assert!(reader.buf().capacity() <= 64 * 1024);
    }
    assert_eq!(total, 64 << 20);
}

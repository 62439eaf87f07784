//! Feeds a stream, cut anywhere, to the codec, and reports what came out in the oracle's terms.

use tokio_util::bytes::BytesMut;
use tokio_util::codec::Decoder;
use unstick::codec::{CodecError, FrameCodec, PayloadCodec};
use unstick::{DecodeError, Framing};

use super::chunks::{Path, Subject};
use super::oracle::{self, Outcome, Policy};

/// What a codec can tell of a stream: it gives no header, and it is asked where its buffer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Frame {
        /// The stream offset behind it.
        end: u64,
        meta: Vec<u8>,
        payload: Vec<u8>,
    },
    Error(DecodeError),
    Found {
        skipped: u64,
    },
    End,
}

fn visible(outcome: Outcome) -> Option<Seen> {
    Some(match outcome {
        Outcome::Frame { at, meta, header, payload } => {
            Seen::Frame { end: at + (header.len() + payload.len()) as u64, meta, payload }
        }
        Outcome::Begun { .. } => return None,
        Outcome::Error { error, .. } => Seen::Error(error),
        Outcome::Found { skipped } => Seen::Found { skipped },
        Outcome::End => Seen::End,
    })
}

/// Asserts that the codecs report what the oracle does.
pub fn compare<F: Subject>(framing: &Framing<F>, stream: &[u8], cuts: &[usize], policy: Policy) {
    let max = Path::Vec.limit(framing);
    let (limit, outcomes) = oracle::outcomes(framing.format(), max, stream, policy);
    assert_eq!(limit, max);
    let want: Vec<_> = outcomes.into_iter().filter_map(visible).collect();
    let context = || {
        let format = framing.format();
        format!("{format:?}, limit {limit}, {policy:?}, cuts {cuts:?}, stream {stream:02x?}")
    };
    let got = run(framing, stream, cuts, policy);
    assert_eq!(got, want, "\n{}", context());
    if policy == Policy::STOP {
        let without_meta = want.into_iter().map(|seen| match seen {
            Seen::Frame { end, payload, .. } => Seen::Frame { end, meta: Vec::new(), payload },
            other => other,
        });
        let want: Vec<_> = without_meta.collect();
        assert_eq!(payloads(framing, stream, cuts), want, "\n{}", context());
    }
}

fn chunks<'a>(stream: &'a [u8], cuts: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain(std::iter::once(stream.len()));
    starts.zip(ends).map(|(start, end)| &stream[start..end])
}

/// Keeps to what `Framed` does: `decode` until it has none, then more bytes; at the end
/// `decode_eof` until it has none.
fn run<F: Subject>(
    framing: &Framing<F>,
    stream: &[u8],
    cuts: &[usize],
    policy: Policy,
) -> Vec<Seen> {
    let mut codec = FrameCodec::with_framing(framing.clone());
    let mut buf = BytesMut::new();
    let mut out = Vec::new();
    let mut arrived = 0;
    for chunk in chunks(stream, cuts) {
        buf.extend_from_slice(chunk);
        arrived += chunk.len() as u64;
        if take_all(&mut codec, &mut buf, false, policy, arrived, &mut out) {
            return out;
        }
    }
    if !take_all(&mut codec, &mut buf, true, policy, arrived, &mut out) {
        assert!(buf.is_empty(), "{} bytes left at a clean end", buf.len());
        assert_eq!(codec.error(), None);
        out.push(Seen::End);
    }
    out
}

/// Whether the stream is over: an error that nothing can be done about.
fn take_all<F: Subject>(
    codec: &mut FrameCodec<F>,
    buf: &mut BytesMut,
    at_end: bool,
    policy: Policy,
    arrived: u64,
    out: &mut Vec<Seen>,
) -> bool {
    let decode = if at_end { FrameCodec::decode_eof } else { FrameCodec::decode };
    loop {
        let (read, before, skipped) = (buf.as_ptr_range(), buf.len(), codec.skipped());
        let result = decode(codec, buf);
        if codec.skipped() > skipped {
            out.push(Seen::Found { skipped: codec.skipped() - skipped });
        }
        assert_eq!(codec.position() + buf.len() as u64, arrived, "a byte was counted wrongly");
        match result {
            Ok(None) => return false,
            Ok(Some(frame)) => {
                let place = frame.payload.as_ptr_range();
                // Where the payload was read to, and not in a copy.
                assert!(
                    frame.payload.is_empty() || read.start <= place.start && place.end <= read.end
                );
                assert!(buf.len() < before, "no progress");
                out.push(Seen::Frame {
                    end: codec.position(),
                    meta: F::describe(&frame.meta),
                    payload: frame.payload.to_vec(),
                });
            }
            Err(CodecError::Decode(error)) => {
                out.push(Seen::Error(error));
                assert_eq!(codec.error(), Some(error));
                if let DecodeError::Header { at, .. } | DecodeError::Oversize { at, .. } = error {
                    assert_eq!(codec.position(), at);
                }
                // It stays, whatever is asked and whatever comes.
                let left = buf.clone();
                for decode in [FrameCodec::decode, FrameCodec::decode_eof] {
                    buf.extend_from_slice(b"\0\0\0\0\0\0\0\0");
                    match decode(codec, buf) {
                        Err(CodecError::Decode(again)) => assert_eq!(again, error),
                        other => panic!("{other:?} after {error}"),
                    }
                }
                assert!(buf.starts_with(&left) && buf.len() == left.len() + 16, "bytes were taken");
                buf.truncate(left.len());
                let may_search = policy.resync && codec.framing().format().self_checking();
                match error {
                    DecodeError::Truncated { .. } | DecodeError::Unsynchronized { .. } => {
                        return true;
                    }
                    DecodeError::Oversize { .. } if policy.skip => codec.skip_frame().unwrap(),
                    _ if may_search => F::resync_codec(codec).unwrap(),
                    _ => return true,
                }
                assert_eq!(codec.error(), None);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn payloads<F: Subject>(framing: &Framing<F>, stream: &[u8], cuts: &[usize]) -> Vec<Seen> {
    let meta = framing.format().pick_meta(3);
    let mut codec = PayloadCodec::with_meta(framing.clone(), meta).unwrap();
    let mut buf = BytesMut::new();
    let mut out = Vec::new();
    let ends = chunks(stream, cuts).map(|chunk| (chunk, false)).chain([(&[][..], true)]);
    for (chunk, at_end) in ends {
        buf.extend_from_slice(chunk);
        let decode = if at_end { PayloadCodec::decode_eof } else { PayloadCodec::decode };
        loop {
            match decode(&mut codec, &mut buf) {
                Ok(None) => break,
                Ok(Some(payload)) => out.push(Seen::Frame {
                    end: codec.position(),
                    meta: Vec::new(),
                    payload: payload.to_vec(),
                }),
                Err(CodecError::Decode(error)) => {
                    out.push(Seen::Error(error));
                    return out;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    out.push(Seen::End);
    out
}

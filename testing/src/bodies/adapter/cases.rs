//! A reader and a writer of frames over transports that do as a script says.

use std::io::{ErrorKind, Read};
use std::pin::Pin;

use arbitrary::{Arbitrary, Result, Unstructured};
use futures::{Sink, Stream};
use unstick::io::{ReadError, WriteError};
use unstick::{DecodeError, EncodeError, Framing, Kind, V1};

use super::adapter::{FrameReader, FrameWriter};
use crate::bodies::input::{self, any_format};
use crate::chunks::Subject;
use crate::formats::stream;
use crate::oracle::{self, Outcome, Policy};
use crate::script::{Drain, Source, Step, attempt, run};

pub fn read(u: &mut Unstructured<'_>) -> Result<()> {
    match u.arbitrary::<u8>()? % 4 {
        0 => any_format!(u, reader, u, None),
        1 => reader(&V1, u, Some(|reader| attempt(2, reader.resync()))),
        _ => writer(u),
    }
}

fn steps(u: &mut Unstructured<'_>) -> Result<Vec<Step>> {
    (0..u.arbitrary::<u8>()? % 64).map(|_| u.arbitrary()).collect()
}

/// How the reader is asked.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Call {
    Borrowed,
    Owned,
    Stream,
}

/// One call, dropped after a few polls.
type Search<F> = fn(&mut FrameReader<Source, F>) -> Option<std::result::Result<u64, ReadError>>;

fn reader<F: Subject + Unpin>(
    format: &F,
    u: &mut Unstructured<'_>,
    search: Option<Search<F>>,
) -> Result<()> {
    let framing = Framing::new(format.clone()).with_limit(input::limit(u)?);
    let policy = input::policy(u)?;
    let policy = Policy { resync: policy.resync && search.is_some(), ..policy };
    let steps = steps(u)?;
    let calls: [(Call, u8); 4] = u.arbitrary()?;
    let stop_after = usize::from(u.arbitrary::<u8>()?);
    let early = usize::from(u.arbitrary::<u8>()? / 4);
    let bytes = stream(format, &input::parts(u, framing.limit())?);

    let (_, mut want) = oracle::outcomes(format, framing.limit(), &bytes, policy);
    want.retain(|outcome| !matches!(outcome, Outcome::Begun { .. }));
    let (before, later) = bytes.split_at(early.min(bytes.len()));
    let mut reader =
        FrameReader::with_framing(Source::new(later, steps), framing).with_unread(before);
    let mut got: Vec<Outcome> = Vec::new();
    let mut calls = calls.into_iter().cycle();
    let end = bytes.len() as u64;
    // Where the stream itself ended, not all of it is consumed.
    let place = |error: &DecodeError, reader: &FrameReader<Source, F>| match error {
        DecodeError::Truncated { .. } | DecodeError::Unsynchronized { .. } => end,
        _ => reader.buf().position(),
    };
    let mut fused = false;
    while got.len() < stop_after {
        let (mut call, polls) = calls.next().unwrap();
        if call == Call::Stream && fused {
            // A stream is over after an error; the other calls go on.
            assert!(matches!(ask(&mut reader, call, 1), Some(Ok(None))));
            call = Call::Borrowed;
        }
        let result = ask(&mut reader, call, 1 + usize::from(polls % 4));
        fused |= call == Call::Stream && matches!(result, Some(Err(_)));
        match result {
            None => {}
            Some(Err(ReadError::Io(error))) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            Some(Err(ReadError::Decode(error))) => {
                got.push(Outcome::Error { error, position: place(&error, &reader) });
                let again = ask(&mut reader, Call::Borrowed, 1);
                assert!(matches!(again, Some(Err(ReadError::Decode(e))) if e == error));
                if policy.skip && matches!(error, DecodeError::Oversize { .. }) {
                    reader.buf_mut().skip_frame().unwrap();
                    fused = false;
                } else if let Some(search) = search.filter(|_| policy.resync && !is_end(&error)) {
                    let found = loop {
                        match search(&mut reader) {
                            None | Some(Err(ReadError::Io(_))) => {}
                            Some(other) => break other,
                        }
                    };
                    match found {
                        Ok(skipped) => {
                            fused = false;
                            got.push(Outcome::Found { skipped });
                        }
                        Err(ReadError::Decode(error)) => {
                            got.push(Outcome::Error { error, position: place(&error, &reader) });
                            break;
                        }
                        Err(error) => panic!("{error}"),
                    }
                } else {
                    break;
                }
            }
            Some(Err(error)) => panic!("{error}"),
            Some(Ok(Some((meta, header, payload)))) => {
                let at = reader.buf().position() - (header.len() + payload.len()) as u64;
                got.push(Outcome::Frame { at, meta, header, payload });
            }
            Some(Ok(None)) => {
                got.push(Outcome::End);
                assert!(matches!(ask(&mut reader, call, 1), Some(Ok(None))), "the end stays");
                break;
            }
        }
    }
    assert_eq!(got, want[..want.len().min(got.len())], "{format:?}, {policy:?}, {bytes:02x?}");
    assert!(got.len() == want.len() || got.len() >= stop_after, "not all of {want:?}");

    // Wherever it stopped, the bytes that it holds and those of the transport are the rest.
    let position = reader.buf().position() as usize;
    let (mut source, mut rest) = reader.into_inner();
    source.script = Default::default();
    source.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, bytes[position..]);
    Ok(())
}

fn is_end(error: &DecodeError) -> bool {
    matches!(error, DecodeError::Truncated { .. } | DecodeError::Unsynchronized { .. })
}

type Asked = std::result::Result<Option<(Vec<u8>, Vec<u8>, Vec<u8>)>, ReadError>;

/// One call, dropped after so many polls.
fn ask<F: Subject + Unpin>(
    reader: &mut FrameReader<Source, F>,
    call: Call,
    polls: usize,
) -> Option<Asked> {
    let parts = |meta: &F::Meta, header: &[u8], payload: &[u8]| {
        (F::describe(meta), header.to_vec(), payload.to_vec())
    };
    match call {
        Call::Borrowed => attempt(polls, reader.next_frame()).map(|result| {
            result.map(|frame| frame.map(|f| parts(&f.meta, f.header_bytes(), f.payload)))
        }),
        Call::Owned => attempt(polls, reader.next_owned()).map(|result| {
            result.map(|frame| frame.map(|f| parts(&f.meta, f.header_bytes(), f.payload())))
        }),
        Call::Stream => {
            let next = std::future::poll_fn(|cx| Pin::new(&mut *reader).poll_next(cx));
            attempt(polls, next).map(|item| {
                item.transpose()
                    .map(|frame| frame.map(|f| parts(&f.meta, f.header_bytes(), f.payload())))
            })
        }
    }
}

/// The sizes that the writer treats apart, and those around them.
const SIZES: [usize; 8] = [0, 1, 9, 300, 4095, 4096, 9000, 70_000];

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Op {
    Feed(u8),
    Send(u8),
    Sink(u8),
    /// A streamed frame, longer by so much than one of the sizes.
    Begin(u8, u8),
    Payload(u8),
    Finish,
    Flush,
}

fn size(pick: u8) -> usize {
    SIZES[usize::from(pick) % SIZES.len()]
}

/// Whether a frame must be on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Accepted,
    /// Of a dropped `send` the caller cannot know.
    Unsure,
}

struct Tried {
    kind: u8,
    payload: Vec<u8>,
    fate: Fate,
}

/// A streamed frame that is not over.
struct Open {
    kind: u8,
    len: usize,
    given: Vec<u8>,
}

impl Open {
    fn missing(&self) -> usize {
        self.len - self.given.len()
    }
}

fn writer(u: &mut Unstructured<'_>) -> Result<()> {
    let limit = if u.arbitrary()? { 1 << 20 } else { 5000 };
    let framing = Framing::new(V1).with_limit(limit);
    let shut = u.arbitrary()?;
    let steps = steps(u)?;
    let mut writer = FrameWriter::with_framing(Drain::new(steps), framing);
    let mut log: Vec<Tried> = Vec::new();
    let mut open: Option<Open> = None;
    let mut loose = false; // whether a complete one is, hangs on a dropped `send`
    let mut short = false; // a streamed frame was ended too early
    let mut doubt = false; // the call before may have poisoned the writer
    let mut poisoned = false;
    // The kind numbers the frames.
    for kind in 1..=60 {
        if u.is_empty() {
            break;
        }
        let (op, polls) = (u.arbitrary::<Op>()?, 1 + usize::from(u.arbitrary::<u8>()? % 4));
        let meta = Kind::new(kind).unwrap();
        let missing = open.as_ref().map_or(0, Open::missing);
        let mut large = false;
        let outcome = match op {
            Op::Feed(pick) | Op::Send(pick) | Op::Sink(pick) => {
                let payload = input::payload(size(pick), kind);
                let outcome = match op {
                    Op::Feed(_) => attempt(polls, writer.feed(meta, &payload)),
                    Op::Send(_) => attempt(polls, writer.send(meta, &payload)),
                    _ => sink(&mut writer, polls, meta, &payload),
                };
                let len = payload.len() as u64;
                large = len >= 4096 && !matches!(op, Op::Sink(_));
                let mut accept = |fate| {
                    if open.as_ref().is_some_and(|open| open.missing() == 0) {
                        // It only was not finished.
                        close(&mut open, &mut log);
                        loose = fate == Fate::Unsure;
                    }
                    loose &= fate == Fate::Unsure;
                    log.push(Tried { kind, payload: payload.clone(), fate });
                };
                match &outcome {
                    Some(Ok(())) => {
                        assert!(len <= limit && missing == 0);
                        accept(Fate::Accepted);
                    }
                    Some(Err(WriteError::Flush(_))) => {
                        assert!(matches!(op, Op::Send(_)) && len <= limit && missing == 0);
                        accept(Fate::Accepted);
                    }
                    // A dropped call that could not have accepted it did not.
                    None if matches!(op, Op::Send(_)) && len <= limit && missing == 0 => {
                        accept(Fate::Unsure);
                    }
                    Some(Err(WriteError::Encode(EncodeError::Unfinished { missing: said }))) => {
                        assert!(missing > 0 && *said == missing as u64);
                    }
                    Some(Err(WriteError::Encode(error))) => {
                        assert!(missing == 0);
                        assert_eq!(*error, EncodeError::Oversize { len, limit });
                        assert!(len > limit);
                    }
                    _ => {}
                }
                outcome
            }
            Op::Begin(pick, more) => {
                let len = size(pick) + usize::from(more);
                let outcome = attempt(polls, writer.begin(meta, len as u64));
                match &outcome {
                    Some(Ok(())) => {
                        assert!(len as u64 <= limit && missing == 0);
                        close(&mut open, &mut log);
                        loose = false;
                        open = Some(Open { kind, len, given: Vec::new() });
                    }
                    Some(Err(WriteError::Encode(EncodeError::Unfinished { missing: said }))) => {
                        assert!(missing > 0 && *said == missing as u64);
                    }
                    Some(Err(WriteError::Encode(error))) => {
                        assert!(missing == 0 && len as u64 > limit);
                        assert_eq!(*error, EncodeError::Oversize { len: len as u64, limit });
                    }
                    _ => {}
                }
                outcome
            }
            Op::Payload(pick) => {
                // All that is missing, one byte too many, or one of the sizes.
                let len = match pick {
                    255 => missing + 1,
                    128.. => missing,
                    _ => size(pick).min(missing),
                };
                let run = input::payload(len, kind.wrapping_mul(31));
                let outcome = attempt(polls, writer.payload(&run));
                large = len >= 4096;
                match (&outcome, &mut open) {
                    (Some(Ok(())), Some(open)) => {
                        assert!(len <= missing);
                        open.given.extend(&run);
                    }
                    (Some(Ok(())), None) => assert!(loose && len == 0, "payload of no frame"),
                    (Some(Err(WriteError::Encode(error))), Some(_)) => {
                        let (len, missing) = (len as u64, missing as u64);
                        assert!(len > missing);
                        assert_eq!(*error, EncodeError::Excess { len, missing });
                    }
                    (Some(Err(WriteError::Encode(error))), None) => {
                        let excess = EncodeError::Excess { len: len as u64, missing: 0 };
                        assert!(*error == EncodeError::NoFrame || loose && *error == excess);
                    }
                    _ => {}
                }
                outcome
            }
            Op::Finish => {
                let result = writer.finish();
                match (&result, &mut open) {
                    (Ok(()), Some(open)) => assert_eq!(open.missing(), 0),
                    (Ok(()), None) => assert!(loose, "the end of no frame"),
                    (Err(WriteError::Encode(EncodeError::Unfinished { missing: said })), _) => {
                        assert!(missing > 0 && *said == missing as u64);
                        short = true;
                    }
                    (Err(WriteError::Encode(error)), open) => {
                        assert_eq!((*error, open.is_none()), (EncodeError::NoFrame, true));
                    }
                    _ => {}
                }
                if result.is_ok() {
                    loose = false;
                    close(&mut open, &mut log);
                }
                Some(result)
            }
            Op::Flush => {
                let outcome = attempt(polls, writer.flush());
                if matches!(outcome, Some(Ok(()))) {
                    let drain = writer.get_ref();
                    assert_eq!(drain.flushed, drain.bytes.len());
                    assert_arrived(&drain.bytes, limit, &mut log, open.as_ref());
                }
                outcome
            }
        };
        match &outcome {
            Some(Err(WriteError::Poisoned)) => {
                assert!(poisoned || doubt || short, "poisoned for nothing");
                poisoned = true;
                doubt = false;
            }
            // A poisoned writer says so at once, and for good.
            _ if poisoned => panic!("{op:?} of a poisoned writer: {outcome:?}"),
            Some(Err(WriteError::Io(error) | WriteError::Flush(error))) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                doubt = large;
            }
            None => doubt = large,
            Some(_) => doubt = false,
        }
        if short && !poisoned {
            poisoned = matches!(run(writer.flush()), Err(WriteError::Poisoned));
            assert!(poisoned, "a short frame poisons");
        }
    }
    let (wire, kept, is_poisoned) = end(writer, shut, missing_of(&open));
    assert!(is_poisoned == poisoned || is_poisoned && doubt);
    if missing_of(&open) == 0 {
        close(&mut open, &mut log); // it only was not finished
    }
    if is_poisoned {
        assert!(kept.is_empty());
        assert_prefix(&wire, limit, &log, open.as_ref(), short);
    } else {
        let all = [wire, kept].concat();
        assert_arrived(&all, limit, &mut log, open.as_ref());
    }
    Ok(())
}

fn missing_of(open: &Option<Open>) -> usize {
    open.as_ref().map_or(0, Open::missing)
}

/// Polls a sink until it is ready, and gives it the frame.
fn sink(
    writer: &mut FrameWriter<Drain>,
    polls: usize,
    meta: Kind,
    payload: &[u8],
) -> Option<std::result::Result<(), WriteError>> {
    let ready = std::future::poll_fn(|cx| Pin::new(&mut *writer).poll_ready(cx));
    match attempt(polls, ready)? {
        Err(error) => Some(Err(error)),
        Ok(()) => {
            let frame = Framing::new(V1).frame(meta, payload).unwrap();
            Some(Pin::new(writer).start_send(frame))
        }
    }
}

/// A streamed frame is over.
fn close(open: &mut Option<Open>, log: &mut Vec<Tried>) {
    if let Some(Open { kind, len, given }) = open.take() {
        assert_eq!(given.len(), len);
        log.push(Tried { kind, payload: given, fate: Fate::Accepted });
    }
}

/// What is on the wire at the end, what was not written, and whether the writer was poisoned. With
/// `shut` all is written first.
fn end(mut writer: FrameWriter<Drain>, shut: bool, missing: usize) -> (Vec<u8>, Vec<u8>, bool) {
    if !shut {
        // A call that was dropped at the very end shows in the next one.
        let poisoned = matches!(attempt(1, writer.payload(b"")), Some(Err(WriteError::Poisoned)));
        let (drain, kept) = writer.into_inner();
        return (drain.bytes, kept, poisoned);
    }
    let poisoned = loop {
        match run(writer.shutdown()) {
            Ok(()) => {
                assert_eq!(missing, 0);
                break false;
            }
            Err(WriteError::Poisoned) => break true,
            Err(WriteError::Flush(_)) => {}
            Err(WriteError::Encode(error)) => {
                assert_eq!(error, EncodeError::Unfinished { missing: missing as u64 });
                break false;
            }
            Err(error) => panic!("{error}"),
        }
    };
    let (drain, kept) = writer.into_inner();
    assert!(drain.is_shut && kept.is_empty());
    (drain.bytes, kept, poisoned)
}

/// All that was accepted is here, once and in order, and nothing else. What nobody could be sure of
/// is decided by that.
fn assert_arrived(bytes: &[u8], limit: u64, log: &mut Vec<Tried>, open: Option<&Open>) {
    let (_, outcomes) = oracle::outcomes(&V1, limit, bytes, Policy::STOP);
    let mut frames = outcomes.into_iter();
    let mut arrived = Vec::new();
    let end = loop {
        match frames.next().unwrap() {
            Outcome::Frame { meta, payload, .. } => arrived.push((meta[0], payload)),
            end => break end,
        }
    };
    log.retain_mut(|tried| {
        tried.fate == Fate::Accepted || arrived.iter().any(|(kind, _)| *kind == tried.kind)
    });
    for tried in log.iter_mut() {
        tried.fate = Fate::Accepted;
    }
    let mut due: Vec<_> = log.iter().map(|tried| (tried.kind, &tried.payload)).collect();
    match (open, end) {
        (None, end) => assert_eq!(end, Outcome::End),
        (Some(open), end) if open.missing() == 0 => {
            due.push((open.kind, &open.given));
            assert_eq!(end, Outcome::End);
        }
        (Some(open), Outcome::Begun { meta, payload, .. }) => {
            assert_eq!(meta, [open.kind]);
            assert!(payload == open.given, "the payload given so far");
        }
        (Some(_), end) => panic!("the begun frame is missing: {end:?}"),
    }
    let arrived: Vec<_> = arrived.iter().map(|(kind, payload)| (*kind, payload)).collect();
    let kinds = |frames: &[(u8, &Vec<u8>)]| frames.iter().map(|f| f.0).collect::<Vec<_>>();
    assert_eq!(kinds(&arrived), kinds(&due));
    assert!(arrived == due, "a payload has changed");
}

/// What a poisoned writer wrote: whole frames in order, and a part of one more, in which it was
/// poisoned. Nothing of those that were accepted before is missing, unless it was the caller who
/// ended a frame too early: then what was not written by then never will be.
fn assert_prefix(bytes: &[u8], limit: u64, log: &[Tried], open: Option<&Open>, short: bool) {
    let (_, outcomes) = oracle::outcomes(&V1, limit, bytes, Policy::STOP);
    let mut due = log.iter();
    for outcome in &outcomes {
        match outcome {
            Outcome::Frame { meta, payload, .. } => loop {
                let tried = due.next().expect("a frame that nobody sent");
                if tried.kind == meta[0] {
                    assert!(tried.payload == *payload, "a payload has changed");
                    break;
                }
                assert_eq!(tried.fate, Fate::Unsure, "frame {} was lost", tried.kind);
            },
            Outcome::Begun { meta, payload, .. } if open.is_some_and(|o| [o.kind] == meta[..]) => {
                let given = &open.unwrap().given;
                assert!(payload.starts_with(given) || short && given.starts_with(payload));
            }
            Outcome::Begun { .. } | Outcome::End => {}
            Outcome::Error { error, .. } => {
                assert!(matches!(error, DecodeError::Truncated { .. }), "{error}");
            }
            Outcome::Found { .. } => unreachable!("nobody searches"),
        }
    }
    let lost = due.find(|tried| tried.fate == Fate::Accepted);
    assert!(short || lost.is_none(), "frame {} was lost", lost.map_or(0, |tried| tried.kind));
    assert!(short || outcomes.last() != Some(&Outcome::End), "poisoned for nothing");
}

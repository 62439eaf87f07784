//! The bodies of `split`, `oracle`, `roundtrip` and `resync` over the framings that have a mark, a check
//! or a fixed length. `testing/src/families` runs them, and its oracle says what has to come out.

use arbitrary::{Result, Unstructured};
use unstick::{DecodeError, Decoder, EncodeError, Encoder, FrameBuf, RecoverError};

use super::input::{self, Cuts, any_case};
use crate::families::{Case, Path, Subjected, compare, payload, run};
use crate::oracle::Policy;
use crate::oracle::families::{Content, Family, Front, Outcome, Rest, outcomes, whole_only};

/// A storage of fixed length is not made for frames longer than this.
const BOX: u64 = 4096;

/// The paths on which frames within the limit can be read.
fn paths(limit: u64) -> impl Iterator<Item = Path> {
    Path::ALL.into_iter().filter(move |path| *path != Path::Box || limit <= BOX)
}

fn context<W: Subjected, M>(case: &Case<W, M>, limit: u64, stream: &[u8]) -> String {
    format!("{}, {:?}, limit {limit}, stream {stream:02x?}", case.name, case.wire)
}

fn payloads(outcomes: &[Outcome]) -> Vec<Content> {
    let frame = |outcome: &Outcome| match outcome {
        Outcome::Frame { content, .. } => Some(Content { header: Vec::new(), ..content.clone() }),
        _ => None,
    };
    outcomes.iter().filter_map(frame).collect()
}

/// What comes out of the cut stream is what comes out of the whole of it, and on all paths the same.
pub(super) fn split(u: &mut Unstructured<'_>) -> Result<()> {
    any_case!(u, check_split, u)
}

fn check_split<W: Subjected, M: Family>(case: &Case<W, M>, u: &mut Unstructured<'_>) -> Result<()> {
    let limit = input::limit(u)?;
    let (policy, cuts) = (input::policy(u)?, u.arbitrary::<Cuts>()?);
    let stream = input::case_stream(u, case, limit)?;
    let cuts = cuts.in_stream(&stream);
    let decoded = run(case, limit, &stream, &[], Path::Decode, policy);
    for path in paths(limit) {
        let told = || format!("{path:?}, {policy:?}, {cuts:?}, {}", context(case, limit, &stream));
        let whole = run(case, limit, &stream, &[], path, policy);
        let cut = run(case, limit, &stream, &cuts, path, policy);
        assert_eq!(cut, whole, "{}", told());
        // Only kept bytes can be searched for a check.
        if !policy.resync || case.resync.is_some() == case.resync_vec.is_some() {
            let same = |outcomes: &[Outcome]| {
                let mut outcomes = whole_only(outcomes.to_vec());
                for outcome in &mut outcomes {
                    if let Outcome::Frame { end, content, .. } = outcome {
                        *end = if path == Path::ForEach { 0 } else { *end };
                        content.header.fill(0);
                    }
                }
                outcomes
            };
            assert_eq!(same(&whole), same(&decoded), "{}", told());
        }
    }
    Ok(())
}

/// Every path gives what the oracle gives, and `finish` says at every cut what the end there would mean.
pub(super) fn oracle(u: &mut Unstructured<'_>) -> Result<()> {
    any_case!(u, check_oracle, u)
}

fn check_oracle<W: Subjected, M: Family>(
    case: &Case<W, M>,
    u: &mut Unstructured<'_>,
) -> Result<()> {
    let limit = input::limit(u)?;
    let (policy, cuts) = (input::policy(u)?, u.arbitrary::<Cuts>()?);
    let stream = input::case_stream(u, case, limit)?;
    let cuts = cuts.in_stream(&stream);
    for path in paths(limit) {
        compare(case, limit, &stream, &cuts, path, policy);
    }
    ends(case, limit, &stream, &cuts);
    Ok(())
}

fn ends<W: Subjected, M: Family>(case: &Case<W, M>, limit: u64, stream: &[u8], cuts: &[usize]) {
    let mut decoder = Decoder::with_framing(case.framing(limit));
    let mut buf = FrameBuf::growing(case.framing(limit));
    let mut at = 0;
    for cut in cuts.iter().take(12) {
        let mut chunk = &stream[at..*cut];
        at = *cut;
        buf.extend_all(chunk);
        while decoder.decode(&mut chunk).is_ok_and(|piece| piece.is_some()) {}
        while buf.next_frame().is_ok_and(|frame| frame.is_some()) {}
        let want = match outcomes(&case.model, limit, &stream[..at], Policy::STOP).pop() {
            Some(Outcome::Error { error, .. }) => Err(error),
            _ => Ok(()),
        };
        let found = (decoder.finish(), buf.finish());
        assert_eq!(found, (want, want), "to {at}, {}", context(case, limit, stream));
        if matches!(want, Err(error) if !matches!(error, DecodeError::Truncated { .. })) {
            // It may be the end's error, which more bytes take back.
            if decoder.error().is_some() {
                return;
            }
        }
    }
}

/// Frames, encoded in every way and cut, come out as they went in, and no way takes a frame that the
/// decoder would refuse. And what is decoded is encoded again.
pub(super) fn roundtrip(u: &mut Unstructured<'_>) -> Result<()> {
    any_case!(u, check_roundtrip, u)
}

fn check_roundtrip<W: Subjected, M: Family>(
    case: &Case<W, M>,
    u: &mut Unstructured<'_>,
) -> Result<()> {
    let limit = input::limit(u)?;
    if u.arbitrary()? {
        there_and_back(case, limit, u)
    } else {
        let stream = input::case_stream(u, case, limit)?;
        back_and_there(case, limit, &stream);
        split_off(case, limit, &stream);
        Ok(())
    }
}

fn there_and_back<W: Subjected, M: Family>(
    case: &Case<W, M>,
    limit: u64,
    u: &mut Unstructured<'_>,
) -> Result<()> {
    let paths: Vec<_> = paths(limit).collect();
    let path = paths[usize::from(u.arbitrary::<u8>()?) % paths.len()];
    let cuts = u.arbitrary::<Cuts>()?;
    let mut encoder = Encoder::new(case.framing(limit));
    let (mut wire, mut sent) = (Vec::new(), Vec::new());
    while !u.is_empty() && wire.len() < 1024 {
        let meta = (case.meta)(&case.wire, u.arbitrary::<u16>()?.into());
        let mut len = input::length(u, limit)?.min(700);
        if u.arbitrary()? {
            // The only length that there is, if it is fixed.
            len = len.min(case.model.most());
        }
        let payload = payload(u, len as usize, &case.special)?;
        let room = u.arbitrary::<u8>()?;
        let meta_bytes = (case.describe)(&meta);
        match each_way(case, limit, &mut encoder, &meta, &payload, room) {
            Ok(frame) => {
                assert!(len <= limit, "{}", context(case, limit, &frame));
                wire.extend(frame);
                sent.push(Content { meta: meta_bytes, header: Vec::new(), payload });
            }
            Err(EncodeError::Oversize { len: told, limit: most }) => {
                assert!(told == len && len > most && most <= limit);
                let Ok(frame) = case.model.write(u64::MAX, &meta_bytes, &payload) else { continue };
                let refused = run(case, limit, &frame, &[], path, Policy::STOP);
                let is_over = |error: &DecodeError| {
                    matches!(error,
                    DecodeError::TooLong { limit, .. } | DecodeError::Oversize { limit, .. }
                        if *limit == most)
                };
                assert!(
                    matches!(refused.last(), Some(Outcome::Error { error, .. }) if is_over(error)),
                    "{refused:?} {}",
                    context(case, limit, &frame)
                );
            }
            Err(_) => {}
        }
    }
    let got = run(case, limit, &wire, &cuts.in_stream(&wire), path, Policy::STOP);
    assert_eq!(payloads(&got), sent, "{path:?}, {}", context(case, limit, &wire));
    assert_eq!(got[sent.len()..], [Outcome::End], "{path:?}, {}", context(case, limit, &wire));
    Ok(())
}

/// Appended, into a slice, as an owned frame, and streamed in runs: what the oracle writes, or its error.
fn each_way<W: Subjected, M: Family>(
    case: &Case<W, M>,
    limit: u64,
    encoder: &mut Encoder<W>,
    meta: &W::Meta,
    payload: &[u8],
    room: u8,
) -> std::result::Result<Vec<u8>, EncodeError> {
    let told = || format!("{}, payload {payload:02x?}", context(case, limit, &[]));
    let framing = case.framing(limit);
    let mut out = b"before".to_vec();
    let appended = framing.encode(meta, payload, &mut out);
    let frame = out.split_off(6);
    assert_eq!(out, b"before");
    let result = appended.map(|()| frame.clone());
    assert!(result.is_ok() || frame.is_empty(), "an error, and bytes: {}", told());

    let want = case.model.write(limit, &(case.describe)(meta), payload);
    let idle = frame.iter().take_while(|byte| Some(**byte) == case.idle).count();
    assert_eq!(result.clone().map(|frame| frame[idle..].to_vec()), want, "{}", told());

    let mut slice = vec![0xEE; if room < 128 { frame.len() + 9 } else { room.into() }];
    let untouched = slice.clone();
    match (framing.encode_into(meta, payload, &mut slice), &result) {
        (Ok(n), Ok(frame)) => {
            assert_eq!((&slice[..n], &slice[n..]), (&frame[..], &untouched[n..]), "{}", told());
        }
        (Err(EncodeError::NoRoom { needed, room }), Ok(frame)) => {
            assert!(needed == frame.len() && room == slice.len() && needed > room, "{}", told());
            assert_eq!(slice, untouched, "{}", told());
        }
        (into, result) => {
            assert_eq!(into.map(|_| ()), result.clone().map(|_| ()), "{}", told());
            assert_eq!(slice, untouched, "{}", told());
        }
    }
    match framing.frame(meta.clone(), payload) {
        Err(error) => assert_eq!(Err(error), result, "{}", told()),
        Ok(owned) => assert!(result.is_ok() && owned.payload() == payload, "{}", told()),
    }
    if let Some(known) = &case.known_length {
        let streamed = (known.stream)(encoder, meta, payload, 1 + usize::from(room));
        assert_eq!(streamed, result, "{}", told());
        assert!(!encoder.is_poisoned());
    }
    result
}

/// Decode, encode, decode the same. The same bytes, if there are no others for a payload.
fn back_and_there<W: Subjected, M: Family>(case: &Case<W, M>, limit: u64, stream: &[u8]) {
    let told = || context(case, limit, stream);
    let frames = run(case, limit, stream, &[], Path::Vec, Policy::SKIP);
    let places: Vec<_> = outcomes(&case.model, limit, stream, Policy::SKIP)
        .into_iter()
        .filter_map(|outcome| match outcome {
            Outcome::Frame { at, end, content } => Some((at as usize, end as usize, content)),
            _ => None,
        })
        .collect();
    assert_eq!(payloads(&frames).len(), places.len(), "{}", told());
    for (content, (at, end, place)) in payloads(&frames).into_iter().zip(places) {
        assert_eq!((&content.meta, &content.payload), (&place.meta, &place.payload));
        let written = case.model.write(limit, &content.meta, &content.payload);
        match written {
            Ok(again) => {
                assert!(!case.one_encoding || again == stream[at..end], "{}", told());
                let decoded = run(case, limit, &again, &[], Path::Decode, Policy::STOP);
                assert_eq!(payloads(&decoded), [content], "{}", told());
                assert_eq!(decoded[1..], [Outcome::End], "{}", told());
            }
            Err(error) => {
                let is_mark = matches!(error, EncodeError::HasMark { .. });
                assert!(is_mark && !case.one_encoding, "{error:?} {}", told());
            }
        }
    }
}

/// Frames split off a slice are those of a stream, up to its error.
fn split_off<W: Subjected, M: Family>(case: &Case<W, M>, limit: u64, stream: &[u8]) {
    let Some(known) = &case.known_length else { return };
    let told = || context(case, limit, stream);
    let (framing, mut rest) = (case.framing(limit), stream);
    let whole = run(case, limit, stream, &[], Path::Vec, Policy::STOP);
    let mut frames = payloads(&whole).into_iter();
    let result = loop {
        match (known.split)(&framing, &mut rest) {
            Ok(Some(payload)) => {
                assert_eq!(frames.next().map(|frame| frame.payload), Some(payload), "{}", told());
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error.shifted((stream.len() - rest.len()) as u64)),
        }
    };
    assert_eq!(frames.next(), None, "{}", told());
    match whole.last() {
        Some(Outcome::Error { error: DecodeError::Truncated { .. }, .. } | Outcome::End) => {
            assert_eq!(result, Ok(()), "{}", told());
        }
        Some(Outcome::Error { error, .. }) => assert_eq!(result, Err(*error), "{}", told()),
        other => panic!("{other:?} {}", told()),
    }
}

/// After errors reading goes on where the oracle says, and all bytes are accounted for.
pub(super) fn resync(u: &mut Unstructured<'_>) -> Result<()> {
    any_case!(u, check_resync, u)
}

fn check_resync<W: Subjected, M: Family>(
    case: &Case<W, M>,
    u: &mut Unstructured<'_>,
) -> Result<()> {
    let limit = input::limit(u)?;
    let cuts = u.arbitrary::<Cuts>()?;
    let policies = [Policy::SKIP, Policy::RESYNC, Policy::RESYNC, Policy::BOTH];
    let (policy, tries) = (policies[usize::from(u.arbitrary::<u8>()?) % 4], u.arbitrary::<u8>()?);
    let part = u.arbitrary::<u16>()?;
    let stream = input::case_stream(u, case, limit)?;
    let cuts = cuts.in_stream(&stream);
    for path in paths(limit) {
        compare(case, limit, &stream, &cuts, path, policy);
        if policy == Policy::RESYNC && path != Path::ForEach {
            accounted(case, &stream, &run(case, limit, &stream, &cuts, path, policy));
        }
    }
    search(case, limit, &stream, &cuts, tries);
    skip_begun(case, limit, &stream, Cuts::At(vec![part]).in_stream(&stream)[0]);
    Ok(())
}

/// Every byte is part of a frame, skipped, or means nothing between frames.
fn accounted<W: Subjected, M>(case: &Case<W, M>, stream: &[u8], outcomes: &[Outcome]) {
    let told = || format!("{outcomes:?} {}", context(case, 0, stream));
    let mut at = 0;
    for outcome in outcomes {
        at = match *outcome {
            Outcome::Frame { end, .. } => {
                assert!(end > at, "{}", told());
                end
            }
            Outcome::Begun { .. } => at,
            Outcome::Found { skipped } => at + skipped,
            Outcome::End => stream.len() as u64,
            Outcome::Error { error: DecodeError::Unsynchronized { at: end, skipped }, .. } => {
                assert_eq!(at + skipped, end, "{}", told());
                end
            }
            Outcome::Error { error: DecodeError::Truncated { at: end, .. }, .. } => end,
            Outcome::Error { error, .. } => {
                let (DecodeError::Header { at: first, .. }
                | DecodeError::Oversize { at: first, .. }
                | DecodeError::TooLong { at: first, .. }
                | DecodeError::Frame { at: first, .. }) = error
                else {
                    panic!("{}", told())
                };
                let between = &stream[at as usize..first as usize];
                assert!(between.iter().all(|byte| Some(*byte) == case.idle), "{}", told());
                first
            }
        };
        assert!(at <= stream.len() as u64, "{}", told());
    }
}

/// The first search, with calls on its way that it has to bear.
fn search<W: Subjected, M: Family>(
    case: &Case<W, M>,
    limit: u64,
    stream: &[u8],
    cuts: &[usize],
    tries: u8,
) {
    let outcomes = outcomes(&case.model, limit, stream, Policy::RESYNC);
    let fails = |outcome: &Outcome| {
        let Outcome::Error { error, .. } = outcome else { return false };
        !matches!(error, DecodeError::Truncated { .. })
    };
    let Some(first) = outcomes.iter().position(fails) else { return };
    let Outcome::Error { error: failure, .. } = outcomes[first] else { return };
    let want = match outcomes.get(first + 1) {
        Some(Outcome::Found { skipped }) => Ok(*skipped),
        Some(Outcome::Error { error, .. }) => Err(*error),
        _ => return,
    };
    let told = || format!("{want:?} after {failure:?}, {}", context(case, limit, stream));
    let (mut decoder, mut buf) =
        (Decoder::with_framing(case.framing(limit)), FrameBuf::growing(case.framing(limit)));
    let (mut found, mut found_buf) = (None, None);
    let (mut from, ends) = (0, cuts.iter().copied().chain([stream.len()]));
    for end in ends {
        let mut input = &stream[from..end];
        from = end;
        buf.extend_all(input);
        if let Some(resync) = case.resync.filter(|_| found.is_none()) {
            while decoder.error().is_none()
                && decoder.decode(&mut input).is_ok_and(|piece| piece.is_some())
            {}
            if let Some(error) = decoder.error() {
                assert!(error == failure || matches!(error, DecodeError::Unsynchronized { .. }));
                found = resync(&mut decoder, &mut input).unwrap();
                for _ in 0..if found.is_none() { tries % 3 } else { 0 } {
                    let error = decoder.error().unwrap();
                    assert!(input.is_empty(), "{}", told());
                    assert_eq!(decoder.skip_frame(), Err(RecoverError::Failed(error)));
                    let mut more = &b"more"[..];
                    assert!(matches!(decoder.decode(&mut more), Err(again) if again == error));
                    assert_eq!((decoder.finish(), more.len()), (Err(error), 4), "{}", told());
                }
            }
        }
        if let Some(resync) = case.resync_vec.filter(|_| found_buf.is_none()) {
            while buf.error().is_none() && buf.next_frame().is_ok_and(|frame| frame.is_some()) {}
            if let Some(error) = buf.error() {
                assert!(error == failure || matches!(error, DecodeError::Unsynchronized { .. }));
                found_buf = resync(&mut buf).unwrap();
                for _ in 0..if found_buf.is_none() { tries % 3 } else { 0 } {
                    let error = buf.error().unwrap();
                    assert_eq!(buf.skip_frame(), Err(RecoverError::Failed(error)), "{}", told());
                    assert!(matches!(buf.next_frame(), Err(again) if again == error));
                    assert_eq!(buf.finish(), Err(error), "{}", told());
                }
            }
        }
    }
    // What only the end brings is not met before it.
    if case.resync.is_some() {
        let met = found.is_some() || decoder.error().is_some();
        let result = found.ok_or_else(|| decoder.finish().unwrap_err());
        assert_eq!(result, if met { want } else { Err(failure) }, "{}", told());
    }
    if case.resync_vec.is_some() {
        let met = found_buf.is_some() || buf.error().is_some();
        let result = found_buf.ok_or_else(|| buf.finish().unwrap_err());
        assert_eq!(result, if met { want } else { Err(failure) }, "{}", told());
    }
}

/// A frame that has begun before the cut is dropped to its end, and what follows comes out as if it had
/// not been there.
fn skip_begun<W: Subjected, M: Family>(case: &Case<W, M>, limit: u64, stream: &[u8], cut: usize) {
    let told = || format!("cut at {cut}, {}", context(case, limit, stream));
    let mut start = 0;
    loop {
        match case.model.front_so_far(limit, &stream[start..cut]) {
            Front::Frame { end, .. } => start += end,
            Front::Cut { .. } => break,
            Front::Nothing | Front::Failed(_) => return,
        }
    }
    let mut decoder = Decoder::with_framing(case.framing(limit));
    let (mut input, mut open) = (&stream[..cut], false);
    while let Some(piece) = decoder.decode(&mut input).unwrap() {
        open = !piece.last;
    }
    if !open {
        return;
    }
    assert_eq!(decoder.skip_frame(), Ok(()), "{}", told());
    let (next, mut want) = match case.model.skip_begun(limit, &stream[start..]) {
        Rest::To(next) => {
            let next = start + next;
            (next, outcomes(&case.model, limit, &stream[next..], Policy::STOP))
        }
        Rest::All => (stream.len(), vec![Outcome::End]),
        Rest::Cut { missing, part } => {
            let error = DecodeError::Truncated { at: 0, missing, part };
            (stream.len(), vec![Outcome::Error { error, position: 0 }])
        }
    };
    let end = match want.pop() {
        Some(Outcome::Error { error, .. }) => Err(error.shifted(next as u64)),
        _ => Ok(()),
    };
    let (mut frames, mut begun) = (Vec::new(), Vec::new());
    let mut take = |bytes: &[u8], last: bool| {
        begun.extend_from_slice(bytes);
        if last {
            frames.push(std::mem::take(&mut begun));
        }
    };
    let mut input = &stream[cut..];
    let result = loop {
        match decoder.decode(&mut input) {
            Ok(Some(piece)) => take(piece.bytes, piece.last),
            Ok(None) => match decoder.end() {
                Ok(Some(piece)) => take(piece.bytes, piece.last),
                Ok(None) => break decoder.finish(),
                Err(error) => break Err(error),
            },
            Err(error) => break Err(error),
        }
    };
    let want: Vec<_> = payloads(&want).into_iter().map(|content| content.payload).collect();
    assert_eq!((frames, result), (want, end), "{}", told());
}

//! Encoding and decoding undo each other.

use arbitrary::{Result, Unstructured};
use unstick::{EncodeError, Encoder, Framing};

use super::families;
use super::input::{self, Cuts, any_format};
use crate::chunks::{Path, Subject, run};
use crate::oracle::{Outcome, Policy};

/// Frames, encoded in every way that there is and cut, come out as they went in, and no way takes
/// a frame that the decoder would refuse. And what is decoded is encoded to the same bytes.
pub fn roundtrip(data: &[u8]) {
    let _ = read(&mut Unstructured::new(data));
}

fn read(u: &mut Unstructured<'_>) -> Result<()> {
    if input::picks_case(u) {
        return families::roundtrip(u);
    }
    any_format!(u, check, u)
}

fn check<F: Subject>(format: &F, u: &mut Unstructured<'_>) -> Result<()> {
    let framing = Framing::new(format.clone()).with_limit(input::limit(u)?);
    if u.arbitrary()? {
        there_and_back(&framing, u)
    } else {
        back_and_there(&framing, &input::any_stream(u, format, framing.limit())?);
        Ok(())
    }
}

/// Encode, cut, decode, compare.
fn there_and_back<F: Subject>(framing: &Framing<F>, u: &mut Unstructured<'_>) -> Result<()> {
    let path = Path::ALL[usize::from(u.arbitrary::<u8>()?) % Path::ALL.len()];
    let cuts = u.arbitrary::<Cuts>()?;
    // What goes in must pass on this path.
    let framing = &framing.clone().with_limit(path.limit(framing));
    let mut encoder = Encoder::new(framing.clone());
    let (mut wire, mut streamed, mut sent) = (Vec::new(), Vec::new(), Vec::new());
    while !u.is_empty() && wire.len() < 4096 {
        let seed = u.arbitrary::<u16>()?.into();
        let len = input::length(u, framing.limit())? as usize;
        let (payload, runs) = (input::payload(len, u.arbitrary()?), u.arbitrary::<u8>()?);
        let meta = framing.format().pick_meta(seed);
        let at = wire.len();
        let room = u.arbitrary::<u8>()?;
        let result = framing.encode(&meta, &payload, &mut wire);
        each_way_is_the_same(framing, &mut encoder, &meta, &payload, runs, room, &mut streamed);
        assert_eq!(streamed, wire);
        let header = match result {
            Ok(()) => {
                let frame = input::written(framing.format(), seed, &payload).unwrap();
                assert_eq!(wire[at..], frame, "the oracle writes another frame");
                frame[..frame.len() - len].to_vec()
            }
            Err(error) => {
                let limit = framing.limit();
                assert_eq!(error, EncodeError::Oversize { len: len as u64, limit });
                assert!(len as u64 > limit && wire.len() == at, "refused, and nothing written");
                continue;
            }
        };
        assert!(len as u64 <= framing.limit());
        sent.push(Outcome::Frame { at: at as u64, meta: F::describe(&meta), header, payload });
    }
    sent.push(Outcome::End);
    let cuts = cuts.in_stream(&wire);
    assert_eq!(run(framing, &wire, &cuts, path, Policy::STOP), sent);
    Ok(())
}

/// Into a slice, as an owned frame, and streamed in runs.
fn each_way_is_the_same<F: Subject>(
    framing: &Framing<F>,
    encoder: &mut Encoder<F>,
    meta: &F::Meta,
    payload: &[u8],
    runs: u8,
    room: u8,
    streamed: &mut Vec<u8>,
) {
    let mut whole = Vec::new();
    let result = framing.encode(meta, payload, &mut whole);
    let mut slice = vec![0xEE; if room < 128 { whole.len() + 9 } else { room.into() }];
    let untouched = slice.clone();
    match (framing.encode_into(meta, payload, &mut slice), result) {
        (Ok(n), Ok(())) => {
            assert_eq!(slice[..n], whole);
            assert_eq!(slice[n..], untouched[n..]);
        }
        (Err(EncodeError::NoRoom { needed, room }), Ok(())) => {
            assert!(needed == whole.len() && room == slice.len() && needed > room);
            assert_eq!(slice, untouched);
        }
        (into, result) => {
            assert_eq!(into.map(|_| ()), result);
            assert_eq!(slice, untouched);
        }
    }
    match framing.frame(meta.clone(), payload) {
        Err(error) => assert_eq!(Err(error), result),
        Ok(owned) => {
            assert_eq!(owned.to_bytes(), whole);
            assert_eq!((&owned.meta, owned.payload()), (meta, payload));
            assert_eq!(owned.into_payload(), payload);
        }
    }
    match encoder.begin(meta, payload.len() as u64) {
        Err(error) => assert_eq!(Err(error), result),
        Ok(header) => {
            assert_eq!(result, Ok(()));
            streamed.extend_from_slice(header.as_bytes());
            let mut left = payload;
            while !left.is_empty() {
                let missing = left.len() as u64;
                assert_eq!(encoder.missing(), Some(missing));
                let unfinished = encoder.begin(meta, 0).map(|_| ());
                assert_eq!(unfinished, Err(EncodeError::Unfinished { missing }));
                let len = missing + 1;
                let excess = vec![0; left.len() + 1];
                assert_eq!(encoder.payload(&excess), Err(EncodeError::Excess { len, missing }));
                let (run, behind) = left.split_at(left.len().min(1 + usize::from(runs)));
                encoder.payload(run).unwrap();
                streamed.extend_from_slice(run);
                left = behind;
            }
            if runs % 2 == 0 {
                encoder.finish().unwrap();
                assert_eq!(encoder.missing(), None);
                assert_eq!(encoder.payload(b"x"), Err(EncodeError::NoFrame));
            }
        }
    }
    assert!(!encoder.is_poisoned());
}

/// Decode, encode, the same bytes.
fn back_and_there<F: Subject>(framing: &Framing<F>, stream: &[u8]) {
    let mut rest = stream;
    while let Ok(Some(frame)) = framing.split_frame(&mut rest) {
        let mut again = Vec::new();
        framing.encode(&frame.meta, frame.payload, &mut again).unwrap();
        assert_eq!(again, frame.bytes());
        let owned = frame.to_owned();
        assert_eq!((&owned.to_bytes()[..], owned.payload()), (frame.bytes(), frame.payload));
    }
    assert!(stream.ends_with(rest));
}

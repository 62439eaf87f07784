//! The search for the next header finds the first there is.

use arbitrary::{Result, Unstructured};
use unstick::{Decoder, FrameBuf, Framing, RecoverError, V1};

use super::families;
use super::input::{self, Cuts};
use crate::chunks::{Path, compare};
use crate::formats::stream;
use crate::oracle::{Policy, Rules, Verdict};

/// Frames with garbage between them: every path that can search goes on where a naive scan of the
/// whole finds a header, and counts the same bytes as skipped, however the stream is cut. In framings that
/// have a mark or a check, reading goes on where the oracle says.
pub fn resync(data: &[u8]) {
    let _ = read(&mut Unstructured::new(data));
}

fn read(u: &mut Unstructured<'_>) -> Result<()> {
    if input::picks_case(u) {
        return families::resync(u);
    }
    // What picks a framing elsewhere.
    let _ = u.arbitrary::<u8>()?;
    let framing = Framing::new(V1).with_limit(input::limit(u)?);
    let cuts = u.arbitrary::<Cuts>()?;
    let policy = if u.arbitrary()? { Policy::RESYNC } else { Policy::BOTH };
    let tries = u.arbitrary::<u8>()?;
    let mut bytes = if u.arbitrary()? {
        input::rest(u)?
    } else {
        stream(&V1, &input::parts(u, framing.limit())?)
    };
    bytes.truncate(1024);
    let cuts = cuts.in_stream(&bytes);
    for path in Path::ALL.into_iter().filter(|path| path.allows(policy)) {
        compare(&framing, &bytes, &cuts, path, policy);
    }
    search(&framing, &bytes, &cuts, tries);
    Ok(())
}

/// One search over all of it, begun by a byte that no frame begins with, against a scan of its own.
/// On the way come calls that a search has to bear.
fn search(framing: &Framing, bytes: &[u8], cuts: &[usize], tries: u8) {
    let bytes = [b"?", bytes].concat();
    let is_header = |from: &usize| {
        let Some(header) = bytes.get(*from..*from + 8) else { return false };
        let prefixes = (1..8).all(|len| matches!(V1.header(&header[..len]), Verdict::More(_)));
        let whole = matches!(V1.header(header), Verdict::Header { payload_len, .. } if payload_len <= framing.limit());
        prefixes && whole
    };
    let first = (1..bytes.len()).find(is_header);

    let mut decoder = Decoder::with_framing(*framing);
    let mut buf = FrameBuf::with_framing(Vec::new(), *framing).unwrap();
    assert_eq!(decoder.resync(&mut &b"F"[..]), Err(RecoverError::NotFailed));
    assert_eq!(buf.resync(), Err(RecoverError::NotFailed));
    let (mut at, mut found, mut found_buf) = (0, None, None);
    let ends = cuts.iter().map(|cut| cut + 1).chain([bytes.len()]);
    for end in ends {
        let mut input = &bytes[at..end];
        buf.extend(input);
        at = end;
        if decoder.error().is_none() {
            assert!(decoder.decode(&mut input).is_err());
            assert!(buf.next_frame().is_err());
        }
        for _ in 0..tries % 3 {
            let (error, before) = (decoder.error().unwrap(), input.len());
            assert_eq!(decoder.skip_frame(), Err(RecoverError::Failed(error)));
            assert_eq!(decoder.decode(&mut input), Err(error));
            assert_eq!((decoder.finish(), input.len()), (Err(error), before));
            let error = buf.error().unwrap();
            assert_eq!(buf.skip_frame(), Err(RecoverError::Failed(error)));
            assert_eq!(buf.next_frame(), Err(error));
            assert_eq!(buf.finish(), Err(error));
        }
        found = decoder.resync(&mut input).unwrap();
        found_buf = buf.resync().unwrap();
        // As soon as its last byte is there.
        let want = first.filter(|from| from + 8 <= end).map(|from| from as u64);
        assert_eq!((found, found_buf), (want, want), "{bytes:02x?} to {end}");
        if want.is_some() {
            assert_eq!((decoder.error(), buf.error()), (None, None));
            assert_eq!(buf.position() + buf.unread().len() as u64, end as u64);
            break;
        }
    }
    assert_eq!((found, found_buf), (first.map(|from| from as u64), first.map(|from| from as u64)));
}

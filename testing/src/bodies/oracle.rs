//! The decoder and the naive implementation of the specification say the same.

use arbitrary::{Result, Unstructured};
use unstick::{Framing, HeaderBuf, Parsed};

use super::families;
use super::input::{self, Cuts, any_format};
use crate::chunks::{Path, Subject, compare};
use crate::oracle::{CAP, Policy, Rules, Verdict};

/// Streams that are nearly right, in any framing: every path gives what the oracle gives. Of a format the
/// codecs do, too, and every beginning of the stream is, as a header, what the oracle says that it is.
pub fn oracle(data: &[u8]) {
    let _ = read(&mut Unstructured::new(data));
}

fn read(u: &mut Unstructured<'_>) -> Result<()> {
    if input::picks_case(u) {
        return families::oracle(u);
    }
    any_format!(u, check, u)
}

fn check<F: Subject>(format: &F, u: &mut Unstructured<'_>) -> Result<()> {
    let limit = input::limit(u)?;
    let framing = Framing::new(format.clone()).with_limit(limit);
    assert_eq!(framing.limit(), limit.min(Rules::most(format)).min(CAP));
    let (policy, cuts) = (input::policy(u)?, u.arbitrary::<Cuts>()?);
    let (meta, len) = (u.arbitrary()?, input::limit(u)?);
    write(&framing, meta, len);
    let stream = input::any_stream(u, format, limit)?;
    judge(format, &stream);
    let cuts = cuts.in_stream(&stream);
    for path in Path::ALL {
        let policy = if path.allows(policy) { policy } else { Policy::STOP };
        compare(&framing, &stream, &cuts, path, policy);
    }
    crate::codec::compare(&framing, &stream, &cuts, policy);
    Ok(())
}

/// A header alone, whatever it announces.
fn write<F: Subject>(framing: &Framing<F>, seed: u64, len: u64) {
    let (format, meta) = (framing.format(), framing.format().pick_meta(seed));
    let most = Rules::most(format);
    let want = Rules::write(format, &input::described(format, seed), len.min(most));
    let mut out = F::HeaderBuf::ZERO;
    let written = format.encode_header(&meta, len, &mut out);
    let written = written.ok().map(|n| out.as_ref()[..n].to_vec());
    assert_eq!(written, want.clone().filter(|_| len <= most), "{format:?}, length {len}");
    let limited = framing.encode_header(&meta, len).ok();
    let limited = limited.map(|header| header.as_bytes().to_vec());
    assert_eq!(limited, want.filter(|_| len <= framing.limit()), "{framing:?}, length {len}");
}

/// The format's three readings of every beginning of these bytes.
fn judge<F: Subject>(format: &F, bytes: &[u8]) {
    let longest = F::HeaderBuf::LEN + 2;
    let mut decided = None;
    let mut seen = 0;
    for len in 1..=bytes.len().min(longest) {
        let prefix = &bytes[..len];
        let want = decided.unwrap_or_else(|| match Rules::header(format, prefix) {
            Verdict::More(missing) => Ok((len + missing as usize, None)),
            Verdict::Refused(error) => Err(error),
            Verdict::Header { payload_len, .. } => Ok((len, Some(payload_len))),
        });
        if !matches!(want, Ok((_, None))) {
            decided = Some(want); // for good, whatever follows
        }
        let found = format.decode_header(prefix);
        assert_eq!(format.resume_header(prefix, seen), found, "{format:?}, {prefix:02x?}");
        let whole = format.whole_header(prefix);
        match &found {
            Ok(Parsed::Header(header)) => assert_eq!(whole.as_ref(), Some(header)),
            _ => assert!(whole.is_none(), "{format:?}, {prefix:02x?}"),
        }
        if decided.is_none() {
            seen = len;
        }
        let found = found.map(|parsed| match parsed {
            Parsed::Need(needed) => (needed, None),
            Parsed::Header(header) => (header.header_len, Some(header.payload_len)),
        });
        assert_eq!(found, want, "{format:?}, {prefix:02x?}");
    }
}

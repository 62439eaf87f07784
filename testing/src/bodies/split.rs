//! Where a stream is cut has no meaning.

use arbitrary::{Result, Unstructured};
use unstick::Framing;

use super::families;
use super::input::{self, Cuts, any_format};
use crate::chunks::{Path, Subject, run};

/// Any bytes, any cuts, any framing: what comes out of the cut stream is what comes out of the
/// whole of it, on every path. The crate is compared with itself.
pub fn split(data: &[u8]) {
    let _ = read(&mut Unstructured::new(data));
}

fn read(u: &mut Unstructured<'_>) -> Result<()> {
    if input::picks_case(u) {
        return families::split(u);
    }
    any_format!(u, check, u)
}

fn check<F: Subject>(format: &F, u: &mut Unstructured<'_>) -> Result<()> {
    let framing = Framing::new(format.clone()).with_limit(input::limit(u)?);
    let (policy, cuts) = (input::policy(u)?, u.arbitrary::<Cuts>()?);
    let stream = input::any_stream(u, format, framing.limit())?;
    let cuts = cuts.in_stream(&stream);
    for path in Path::ALL.into_iter().filter(|path| path.allows(policy)) {
        let whole = framing.clone().with_limit(path.limit(&framing));
        let whole = path.visible(run(&whole, &stream, &[], Path::Decode, policy));
        let cut = run(&framing, &stream, &cuts, path, policy);
        assert_eq!(cut, whole, "{format:?}, {path:?}, {policy:?}, {cuts:?}, {stream:02x?}");
    }
    Ok(())
}

//! Feeds a stream to the crate, cut anywhere, with the kit's driver, through any of its paths, and
//! reports what came out in the oracle's terms.

use std::fmt::Debug;

use unstick::{
    DatagramError, Decoder, FieldMeta, Format, FrameBuf, Framing, Kind, LengthField, RecoverError,
    Storage, V1,
};
use unstick_conformance::Driver;
pub use unstick_conformance::Path;

use super::oracle::{self, Outcome, Policy, Rules};

/// A format that tests and fuzz targets can run: the crate's and the oracle's view of it.
pub trait Subject: Rules + Format + Clone + Debug {
    /// A meta as the oracle writes it.
    fn describe(meta: &Self::Meta) -> Vec<u8>;

    /// One of the metas that there are.
    fn pick_meta(&self, seed: u64) -> Self::Meta;

    /// What feeds it.
    fn driver(framing: &Framing<Self>) -> Driver<'_, Self> {
        assert!(!framing.format().self_checking());
        Driver::new(framing)
    }

    fn resync(_: &mut Decoder<Self>, _: &mut &[u8]) -> Result<Option<u64>, RecoverError> {
        unreachable!("only where Rules::self_checking says so")
    }

    fn resync_buf<S: Storage>(_: &mut FrameBuf<S, Self>) -> Result<Option<u64>, RecoverError> {
        unreachable!("only where Rules::self_checking says so")
    }

    fn resync_codec(_: &mut unstick::codec::FrameCodec<Self>) -> Result<(), RecoverError> {
        unreachable!("only where Rules::self_checking says so")
    }
}

impl Subject for V1 {
    fn describe(kind: &Kind) -> Vec<u8> {
        vec![kind.get()]
    }

    fn pick_meta(&self, seed: u64) -> Kind {
        Kind::new((seed % 255) as u8 + 1).unwrap()
    }

    fn driver(framing: &Framing<Self>) -> Driver<'_, Self> {
        Driver::self_checking(framing)
    }

    fn resync(decoder: &mut Decoder, input: &mut &[u8]) -> Result<Option<u64>, RecoverError> {
        decoder.resync(input)
    }

    fn resync_buf<S: Storage>(buf: &mut FrameBuf<S>) -> Result<Option<u64>, RecoverError> {
        buf.resync()
    }

    fn resync_codec(codec: &mut unstick::codec::FrameCodec) -> Result<(), RecoverError> {
        codec.resync()
    }
}

/// Implements [`Subject`] for all formats after `V1`, whose headers are only a length.
macro_rules! plain {
    (V1 = $v1:literal, $v1_len:literal; $($format:ident = $name:literal, $max_header_len:literal;)+) => {$(
        impl Subject for unstick::$format {
            fn describe((): &()) -> Vec<u8> {
                Vec::new()
            }

            fn pick_meta(&self, _: u64) {}
        }
    )+};
}

unstick::for_each_format!(plain);

impl Subject for LengthField {
    fn describe(meta: &FieldMeta) -> Vec<u8> {
        meta.bytes().to_vec()
    }

    fn pick_meta(&self, seed: u64) -> FieldMeta {
        let byte = |i: usize| (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (i % 8 * 8)) as u8;
        let header: Vec<u8> = (0..self.layout().header_len).map(byte).collect();
        self.meta(&header).unwrap()
    }
}

/// What must come out, by the oracle.
pub fn expect<F: Subject>(
    framing: &Framing<F>,
    stream: &[u8],
    path: Path,
    policy: Policy,
) -> Vec<Outcome> {
    let limit = path.limit(framing);
    let (effective, outcomes) = oracle::outcomes(framing.format(), limit, stream, policy);
    assert_eq!(effective, limit);
    path.visible(outcomes)
}

/// What does come out, with the stream cut at these offsets, which must be in order. The driver
/// looks at all that must hold at every step.
pub fn run<F: Subject>(
    framing: &Framing<F>,
    stream: &[u8],
    cuts: &[usize],
    path: Path,
    policy: Policy,
) -> Vec<Outcome> {
    let outcomes = F::driver(framing).run(stream, cuts, path, policy);
    let outcomes = outcomes.unwrap_or_else(|violation| panic!("{violation}"));
    outcomes.into_iter().map(|outcome| outcome.map_meta(|meta| F::describe(&meta))).collect()
}

/// Asserts that what comes out is what must.
pub fn compare<F: Subject>(
    framing: &Framing<F>,
    stream: &[u8],
    cuts: &[usize],
    path: Path,
    policy: Policy,
) {
    let want = expect(framing, stream, path, policy);
    let got = run(framing, stream, cuts, path, policy);
    assert_eq!(
        got,
        want,
        "\n{:?}, limit {}, {path:?}, {policy:?}, cuts {cuts:?}, stream {stream:02x?}",
        framing.format(),
        framing.limit()
    );
}

/// The same on every path and through the codecs, with every policy.
pub fn compare_all<F: Subject>(framing: &Framing<F>, stream: &[u8], cuts: &[usize]) {
    for policy in Policy::ALL {
        for path in Path::ALL.into_iter().filter(|path| path.allows(policy)) {
            compare(framing, stream, cuts, path, policy);
        }
        super::codec::compare(framing, stream, cuts, policy);
    }
}

/// A cut before every byte.
pub fn single_bytes(stream: &[u8]) -> Vec<usize> {
    (1..stream.len()).collect()
}

/// What the crate makes of a datagram, to compare with the oracle's word.
pub fn take_datagram(
    framing: &Framing,
    bytes: &[u8],
    known: &[u8],
) -> Result<oracle::Frames, DatagramError> {
    let datagram = framing.datagram_with(bytes, |kind: &Kind| known.contains(&kind.get()))?;
    let lent = |frame: unstick::Frame<'_>| {
        // Borrowed from the datagram.
        assert!(bytes.as_ptr_range().contains(&frame.bytes().as_ptr()));
        (frame.meta.get(), frame.payload.to_vec())
    };
    Ok(datagram.map(lent).collect())
}

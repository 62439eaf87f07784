//! The kit: what is known of a format, and the checks.

use std::fmt;
use std::sync::OnceLock;

use unstick::{DecodeError, Format, Frame, Framing, Header, HeaderBuf, Parsed, SelfChecking};

use super::drive::Search;
use super::explore::{self, Writer};
use super::laws::{self, Prefixes};
use super::probe::Probe;
use super::violation::{Hex, Labelled, ensure, fail};
use super::{Promise, Violation, datagrams, frames, streams};

/// The default number of random headers; see [`Kit::cases`].
const CASES: usize = 256;
/// The maximum length that one byte can express.
const ONE_BYTE: u64 = 0xFF;

/// Tests a format. The [module documentation](super) shows how to use it.
///
/// Every check returns the first [`Violation`] that it finds. All checks are deterministic.
///
/// ```
/// use unstick::{Framing, U16Be};
/// use unstick_conformance::Kit;
///
/// let kit = Kit::new(Framing::new(U16Be).with_limit(1_000), [()])
///     .example((), b"hello", b"\0\x05hello")
///     .example_header((), 0x0102, b"\x01\x02");
/// kit.check()?;
/// # Ok::<(), unstick_conformance::Violation>(())
/// ```
pub struct Kit<F: Format> {
    framing: Framing<Probe<F>>,
    metas: Vec<F::Meta>,
    examples: Vec<Example<F::Meta>>,
    headers: Vec<KnownHeader<F::Meta>>,
    refused: Vec<Vec<u8>>,
    /// The headers from which exploration starts; computed when first used.
    seeds: OnceLock<Vec<Vec<u8>>>,
    search: Option<Search<Probe<F>>>,
    unchecked: F::HeaderBuf,
    canonical: bool,
    cases: usize,
}

struct Example<M> {
    meta: M,
    payload: Vec<u8>,
    bytes: Vec<u8>,
}

struct KnownHeader<M> {
    meta: M,
    payload_len: u64,
    bytes: Vec<u8>,
}

impl<F: SelfChecking> Kit<F> {
    /// Creates a kit for a self-checking format. It also tests [searches](unstick::Decoder::resync),
    /// and that every single changed bit of a header is detected.
    pub fn self_checking(
        framing: impl Into<Framing<F>>,
        metas: impl IntoIterator<Item = F::Meta>,
    ) -> Self {
        Self { search: Some(Search::new()), ..Self::new(framing, metas) }
    }

    /// Sets the header bits that the check leaves out on purpose, such as reserved bits. A header
    /// stays valid if a bit that is set here changes. By default, there are none.
    ///
    /// A bit that has a meaning, above all a bit of the length, must be covered by the check.
    /// Otherwise a damaged header can make a receiver wait for bytes that never arrive.
    #[must_use]
    pub fn unchecked_bits(mut self, bits: F::HeaderBuf) -> Self {
        self.unchecked = bits;
        self
    }
}

impl<F: Format> Kit<F> {
    /// Creates a kit for a format with the limit under which it is used.
    ///
    /// Frames with a longer payload are neither read nor written. Tests are made around this limit
    /// and smaller ones, so use your program's limit, set by [`with_limit`](Framing::with_limit);
    /// the default is 1 MiB. With a limit of at most 4,096 the tests are fastest, and also send
    /// payloads around the limit.
    ///
    /// `metas` are a few values that the format can write. Make them as different as possible: each
    /// bit that a header carries in addition to the length should be set in one of them and clear
    /// in another.
    pub fn new(framing: impl Into<Framing<F>>, metas: impl IntoIterator<Item = F::Meta>) -> Self {
        let framing = framing.into();
        let limit = framing.limit();
        let framing = Framing::new(Probe::new(framing)).with_limit(limit);
        let metas = metas.into_iter().collect();
        Self {
            framing,
            metas,
            examples: Vec::new(),
            headers: Vec::new(),
            refused: Vec::new(),
            seeds: OnceLock::new(),
            search: None,
            unchecked: F::HeaderBuf::ZERO,
            canonical: true,
            cases: CASES,
        }
    }

    /// Adds a frame that is known to be correct, from the format's specification or from captured
    /// traffic. `bytes` are the whole frame, header and payload.
    ///
    /// At least one example is required: without it, a format that reads and writes the same
    /// mistake would pass. A mistake in a byte of the length that is zero in all examples would
    /// pass too. So if frames can be longer than 255 bytes, one example with such a length is
    /// required as well; its header is sufficient: see [`example_header`](Self::example_header).
    #[must_use]
    pub fn example(
        mut self,
        meta: F::Meta,
        payload: impl AsRef<[u8]>,
        bytes: impl AsRef<[u8]>,
    ) -> Self {
        let (payload, bytes) = (payload.as_ref().to_vec(), bytes.as_ref().to_vec());
        self.metas.push(meta.clone());
        self.examples.push(Example { meta, payload, bytes });
        self.seeds = OnceLock::new();
        self
    }

    /// Adds a header that is known to be correct, without its payload of `payload_len` bytes, which
    /// may be over the limit.
    ///
    /// Choose a length that uses every byte of the length field with a different value, such as
    /// 0x0102_0304 for a field of four bytes.
    #[must_use]
    pub fn example_header(
        mut self,
        meta: F::Meta,
        payload_len: u64,
        bytes: impl AsRef<[u8]>,
    ) -> Self {
        let bytes = bytes.as_ref().to_vec();
        self.metas.push(meta.clone());
        self.headers.push(KnownHeader { meta, payload_len, bytes });
        self.seeds = OnceLock::new();
        self
    }

    /// Adds bytes that are known not to be a header. They must be refused as soon as these bytes
    /// have arrived.
    #[must_use]
    pub fn refuses(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.refused.push(bytes.as_ref().to_vec());
        self.seeds = OnceLock::new();
        self
    }

    /// Declares that a header can have more than one encoding, for example because of reserved bits
    /// that a receiver ignores.
    ///
    /// Decoded bytes are then not required to be written identically. That decoding undoes encoding
    /// is still tested. By default, every header has exactly one encoding.
    #[must_use]
    pub fn not_canonical(mut self) -> Self {
        self.canonical = false;
        self
    }

    /// Sets the number of random headers that are tried in addition to the chosen ones; the number
    /// of random streams is an eighth of it. The default is 256.
    #[must_use]
    pub fn cases(mut self, cases: usize) -> Self {
        self.cases = cases;
        self
    }

    /// Tests every promise in [`Promise::FORMAT`].
    ///
    /// # Errors
    /// Returns the first violation.
    pub fn check(&self) -> Result<(), Violation> {
        self.explore(Promise::FORMAT).map_err(|violation| {
            let promise = violation.promise();
            self.traced(promise, violation)
        })
    }

    /// Tests one promise: with header bytes (short, written, faulty and random ones), with boundary
    /// lengths, and with streams through every state and their cuts.
    ///
    /// # Errors
    /// Returns a violation of this promise. If the cause is another promise, on which this one
    /// depends, [`Violation::law`] names it; for example, the format panics, or asks for the wrong
    /// number of bytes. Returns a violation, too, if the promise is not one of [`Promise::FORMAT`].
    pub fn check_promise(&self, promise: Promise) -> Result<(), Violation> {
        if !Promise::FORMAT.contains(&promise) {
            let found = "this is no promise of a format; a format has those in `Promise::FORMAT`";
            return Err(Violation::new(promise, &[], found.into()));
        }
        if matches!(promise, Promise::ResyncIsExact | Promise::SingleBitErrors)
            && self.search.is_none()
        {
            let found = "the kit was made with `new`, not with `self_checking`; \
                         make it so, or take `resync` away from `conformance_tests!`";
            return Err(Violation::new(promise, &[], found.into()));
        }
        self.explore(&[promise]).map_err(|violation| self.traced(promise, violation))
    }

    /// Used by `conformance_tests!` without `resync`.
    #[doc(hidden)]
    pub fn check_resync_is_left_out(&self) -> Result<(), Violation> {
        ensure!(
            self.search.is_none(),
            ResyncIsExact,
            &[],
            "the kit was made with `self_checking`, and its searches are not tested; add `resync`: \
             `conformance_tests!(name, kit(), resync)`"
        );
        Ok(())
    }

    /// Tests all promises that these bytes can show, and nothing else.
    ///
    /// The bytes are used as the start of a header, as a stream, as a datagram, as a header to
    /// write and to change, and as instructions for a stream of frames. This is for fuzzers, whose
    /// seeds can be captured traffic, and for `proptest`.
    ///
    /// A call takes a fraction of a millisecond, or a few milliseconds without optimisation, if the
    /// kit is created once and reused. Tests that do not depend on the bytes are left to
    /// [`check`](Self::check).
    ///
    /// # Errors
    /// Returns the first violation.
    pub fn check_bytes(&self, data: &[u8]) -> Result<(), Violation> {
        self.judged(|| {
            let format = self.framing.format();
            let beginning = F::HeaderBuf::LEN.saturating_add(8).min(explore::MOST);
            self.check_header(data.get(..beginning).unwrap_or(data))?;
            self.check_written(data)?;
            self.stream_cut(self.framing.limit(), data, &explore::cuts(data, 1), Err)?;
            datagrams::check(&self.framing, data)?;

            let writer = Writer { format, metas: &self.metas, seeds: &[] };
            let limit = (data.len() as u64 / 3).min(self.framing.limit());
            let built = writer.follow(data, limit);
            self.stream_cut(limit, &built, &explore::cuts(&built, 1), Err)?;
            datagrams::check(&Framing::new(format).with_limit(limit), &built)
        })
    }

    /// Checks everything that depends on header bytes alone.
    fn check_header(&self, bytes: &[u8]) -> Result<(), Violation> {
        let prefixes = Prefixes::new(self.framing.format(), bytes, self.unchecked())
            .with_canonical(self.canonical);
        laws::PROMISES.iter().try_for_each(|promise| prefixes.check(*promise))
    }

    /// Checks a header that the data describes, as it is written and with one byte changed, because
    /// random bytes hardly ever form a header. The data are: the index of the meta, the width of
    /// the length, the offset of the changed byte, its new value, the length, and the bytes after
    /// the header.
    fn check_written(&self, data: &[u8]) -> Result<(), Violation> {
        const LENGTH: usize = 8;
        let &[meta, width, at, value, ref rest @ ..] = data else { return Ok(()) };
        let Some(meta) = self.metas.iter().cycle().nth(meta.into()) else { return Ok(()) };
        let width = usize::from(width) % (LENGTH + 1);
        let (len, behind) = rest.split_at_checked(width).unwrap_or((rest, &[]));
        let len = len.iter().fold(0, |len, byte| len << 8 | u64::from(*byte));
        for promise in frames::PROMISES {
            frames::check(&self.framing, *promise, meta, len)?;
        }

        let format = self.framing.format();
        let fits = len.min(format.max_payload_len());
        let Some(mut header) = frames::write(format, meta, fits) else { return Ok(()) };
        let at = usize::from(at).checked_rem(header.len()).unwrap_or_default();
        header.extend(behind.iter().take(4));
        self.check_header(&header)?;
        if let Some(byte) = header.get_mut(at) {
            *byte = value;
        }
        self.check_header(&header)
    }

    /// Tests one frame: whether it can be written within the limit, and is read back from a stream
    /// with any cuts. For `proptest`, with a strategy for metas and payloads.
    ///
    /// # Errors
    /// Returns the first violation.
    pub fn check_frame(&self, meta: &F::Meta, payload: &[u8]) -> Result<(), Violation> {
        self.judged(|| {
            let format = self.framing.format();
            let len = payload.len() as u64;
            for promise in frames::PROMISES {
                frames::check(&self.framing, *promise, meta, len)?;
            }
            let Some(mut stream) = frames::write(format, meta, len) else { return Ok(()) };
            stream.extend_from_slice(payload);
            stream.extend_from_within(..);
            let limits = [len.saturating_sub(1), len, self.framing.limit()];
            for limit in limits {
                let cuts = explore::cuts(&stream, 6);
                self.stream_cut(limit, &stream, &cuts, Err)?;
            }
            datagrams::check_packed(&self.framing, &[(meta, payload), (meta, payload)])
        })
    }

    /// Tests one stream with these cuts: along every path, the outcomes must be those of the
    /// reference, which reads the whole stream byte by byte. The cuts are sorted first.
    ///
    /// # Errors
    /// Returns the first violation.
    pub fn check_stream(&self, stream: &[u8], cuts: &[usize]) -> Result<(), Violation> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| (*cut).min(stream.len())).collect();
        cuts.sort_unstable();
        let limit = self.framing.limit();
        self.judged(|| self.stream_cut(limit, stream, &[cuts], Err))
    }

    /// Runs a check. A panic of the format in it is returned instead of its result.
    fn guarded(&self, check: impl FnOnce() -> Result<(), Violation>) -> Result<(), Violation> {
        let result = check();
        self.framing.format().panicked().map_or(result, Err)
    }

    /// Runs a check of one input. If a broken law explains the violation, it is looked for within
    /// that input.
    fn judged(&self, check: impl FnOnce() -> Result<(), Violation>) -> Result<(), Violation> {
        self.guarded(check).map_err(|violation| {
            let (promise, format) = (violation.promise(), self.framing.format());
            let laws = laws::beneath(promise);
            let law = laws::broken_within(format, laws, violation.bytes());
            match format.panicked().or(law) {
                Some(law) if law.promise() != promise => law.keeps_from(promise),
                _ => violation,
            }
        })
    }

    /// Returns the violation of a promise, or of a law on which the promise depends.
    fn traced(&self, promise: Promise, violation: Violation) -> Violation {
        // A panic is reported wherever it happens.
        if violation.promise() != promise {
            return violation.keeps_from(promise);
        }
        let laws = laws::beneath(promise);
        if laws.is_empty() {
            return violation;
        }
        match self.explore(laws) {
            Err(law) if law.promise() != promise => law.keeps_from(promise),
            _ => violation,
        }
    }

    fn seeds(&self) -> &[Vec<u8>] {
        self.seeds.get_or_init(|| {
            let examples = self.examples.iter().map(|example| &example.bytes);
            let headers = self.headers.iter().map(|header| &header.bytes);
            let known: Vec<_> = examples.chain(headers).chain(&self.refused).cloned().collect();
            let limit = self.framing.limit();
            explore::seeds(self.framing.format(), &self.metas, limit, &known)
        })
    }

    /// Returns the bits that the check leaves out, if the format has a check.
    fn unchecked(&self) -> Option<F::HeaderBuf> {
        self.search.map(|_| self.unchecked)
    }

    /// Tests these promises with all inputs.
    fn explore(&self, promises: &[Promise]) -> Result<(), Violation> {
        let among = |of: &[Promise]| -> Vec<Promise> {
            of.iter().filter(|promise| promises.contains(promise)).copied().collect()
        };
        self.guarded(|| {
            if self.metas.is_empty() {
                // If several promises are tested, `KnownBytes` is the one that reports what a kit
                // lacks.
                let promise = if let [one] = promises { *one } else { Promise::KnownBytes };
                let found = "the kit has no meta to write; give it some";
                return Err(Violation::new(promise, &[], found.into()));
            }
            if promises.contains(&Promise::KnownBytes) {
                self.known_bytes()?;
            }
            self.explore_headers(&among(laws::PROMISES))?;
            self.explore_lengths(&among(frames::PROMISES))?;
            if promises.contains(&Promise::SingleBitErrors) {
                self.explore_single_bit_errors()?;
            }
            self.explore_streams(&among(streams::PROMISES))?;
            self.explore_datagrams(&among(datagrams::PROMISES))
        })
    }

    fn explore_headers(&self, promises: &[Promise]) -> Result<(), Violation> {
        if promises.is_empty() {
            return Ok(());
        }
        let format = self.framing.format();
        explore::headers(format, self.seeds(), self.cases, |bytes| {
            let prefixes =
                Prefixes::new(format, bytes, self.unchecked()).with_canonical(self.canonical);
            promises.iter().try_for_each(|promise| prefixes.check(*promise))?;
            format.panicked().map_or(Ok(()), Err)
        })
    }

    fn explore_lengths(&self, promises: &[Promise]) -> Result<(), Violation> {
        let most = self.framing.format().max_payload_len();
        let lengths = explore::lengths(self.framing.limit(), most);
        if promises.contains(&Promise::LimitSymmetry) {
            let format = self.framing.format();
            self.metas.iter().try_for_each(|meta| frames::limit_of_meta(format, meta))?;
        }
        for promise in promises {
            for (i, meta) in self.metas.iter().enumerate() {
                // All lengths for the first metas, a few for the others.
                let step = if i < 8 { 1 } else { 5 };
                for len in lengths.iter().skip(i % step).step_by(step) {
                    frames::check(&self.framing, *promise, meta, *len)?;
                }
            }
        }
        Ok(())
    }

    /// Tests every length of every meta: a check that does not cover a byte is wrong if that byte
    /// has a meaning.
    fn explore_single_bit_errors(&self) -> Result<(), Violation> {
        let Some(unchecked) = self.unchecked() else { return Ok(()) };
        let format = self.framing.format();
        let lengths = explore::lengths(self.framing.limit(), format.max_payload_len());
        for meta in &self.metas {
            for header in lengths.iter().filter_map(|len| frames::write(format, meta, *len)) {
                laws::single_bit_errors(format, &header, &unchecked)?;
            }
        }
        Ok(())
    }

    fn explore_streams(&self, promises: &[Promise]) -> Result<(), Violation> {
        if promises.is_empty() {
            return Ok(());
        }
        // A violation of another promise is left to that promise's test.
        let only = |violation: Violation| {
            if promises.contains(&violation.promise()) { Err(violation) } else { Ok(()) }
        };
        let (format, limit) = (self.framing.format(), self.framing.limit());
        let random = self.cases.div_ceil(8);
        for stream in explore::streams(format, &self.metas, self.seeds(), limit, random) {
            let cuts = explore::cuts(&stream.bytes, 1);
            self.stream_cut(stream.limit, &stream.bytes, &cuts, only)?;
        }
        // One stream, cut once at each of its bytes.
        let writer = Writer { format, metas: &self.metas, seeds: self.seeds() };
        let stream = writer.follow(&[0, 0, 3, 5, 1, 0, 0, 2, 9, 4, 3, 1, 0, 1, 2], 9);
        let cuts: Vec<_> = (0..stream.len()).map(|cut| [cut].to_vec()).collect();
        self.stream_cut(limit.min(9), &stream, &cuts, only)?;
        let known = self.examples.iter().flat_map(|example| &example.bytes).copied();
        let known: Vec<u8> = known.take(16_384).collect();
        self.stream_cut(limit, &known, &explore::cuts(&known, 4), only)
    }

    fn stream_cut(
        &self,
        limit: u64,
        stream: &[u8],
        cuts: &[Vec<usize>],
        each: impl FnMut(Violation) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let framing = Framing::new(self.framing.format()).with_limit(limit);
        streams::check(framing, self.search, stream, cuts, each)
    }

    fn explore_datagrams(&self, promises: &[Promise]) -> Result<(), Violation> {
        if promises.is_empty() {
            return Ok(());
        }
        // If only panics are tested, other violations are left to their own test.
        let only = |result: Result<(), Violation>| match result {
            Err(violation) if promises.contains(&violation.promise()) => Err(violation),
            _ => Ok(()),
        };
        let (format, limit) = (self.framing.format(), self.framing.limit());
        for seed in self.seeds() {
            only(datagrams::check(&self.framing, seed))?;
        }
        let random = self.cases.div_ceil(8);
        for stream in explore::streams(format, &self.metas, self.seeds(), limit, random) {
            let framing = Framing::new(format).with_limit(stream.limit);
            only(datagrams::check(&framing, &stream.bytes))?;
        }
        for metas in self.metas.windows(3).step_by(1 + self.metas.len() / 40) {
            let payloads = [&b""[..], b"12", b"345678"];
            let frames: Vec<_> = metas.iter().zip(payloads).collect();
            only(datagrams::check_packed(&self.framing, &frames))?;
        }
        Ok(())
    }

    fn known_bytes(&self) -> Result<(), Violation> {
        if self.examples.is_empty() {
            fail!(
                KnownBytes,
                &[],
                "the kit has no example; give it the bytes of a frame that is known to be right"
            );
        }
        for example in &self.examples {
            self.known_frame(example)?;
        }
        for header in &self.headers {
            self.known_header(header)?;
        }
        for bytes in &self.refused {
            let read = self.framing.split_frame(&mut &bytes[..]);
            let refused = matches!(read, Err(DecodeError::Header { .. }));
            ensure!(refused, KnownBytes, bytes, "to be refused, but gives {}", shown(&read));
        }
        let longest = self.framing.limit();
        let lengths = self.examples.iter().map(|example| example.payload.len() as u64);
        let lengths = lengths.chain(self.headers.iter().map(|header| header.payload_len));
        ensure!(
            longest <= ONE_BYTE || lengths.max() > Some(ONE_BYTE),
            KnownBytes,
            &[],
            "no example announces more than {ONE_BYTE} bytes, so that nothing says how a longer \
             length is written, and frames may have {longest}; give the kit a header that is known \
             to be right, with `example_header`, best one that uses every byte of the length"
        );
        Ok(())
    }

    fn known_frame(&self, example: &Example<F::Meta>) -> Result<(), Violation> {
        let Example { meta, payload, bytes } = example;
        let what = format!("meta {meta:?} with payload {}", Hex(payload));
        let mut rest = &bytes[..];
        let read = self.framing.split_frame(&mut rest);
        let same =
            matches!(&read, Ok(Some(frame)) if frame.meta == *meta && frame.payload == payload);
        ensure!(same, KnownBytes, bytes, "{what} is read as {}", shown(&read));
        ensure!(rest.is_empty(), KnownBytes, bytes, "{} is after the frame", Hex(rest));
        if self.canonical {
            let mut written = Vec::new();
            let result = self.framing.encode(meta, payload, &mut written);
            if let Err(error) = result {
                fail!(KnownBytes, bytes, "{what} is refused when it is written: {error}");
            }
            ensure!(written == *bytes, KnownBytes, bytes, "{what} is written as {}", Hex(&written));
        }
        Ok(())
    }

    fn known_header(&self, known: &KnownHeader<F::Meta>) -> Result<(), Violation> {
        let KnownHeader { meta, payload_len, bytes } = known;
        let (format, what) = (self.framing.format(), Labelled(meta, *payload_len));
        let header =
            Header { meta: meta.clone(), payload_len: *payload_len, header_len: bytes.len() };
        let read = format.decode_header(bytes);
        let same = matches!(&read, Ok(Parsed::Header(read)) if *read == header);
        ensure!(same, KnownBytes, bytes, "{what} is read as {read:?}");
        if self.canonical {
            let mut out = F::HeaderBuf::ZERO;
            match format.encode_header(meta, *payload_len, &mut out) {
                Ok(len) => {
                    let written = out.as_ref().get(..len).unwrap_or_default();
                    ensure!(
                        written == bytes,
                        KnownBytes,
                        bytes,
                        "{what} is written as {}",
                        Hex(written)
                    );
                }
                Err(error) => {
                    fail!(KnownBytes, bytes, "{what} is refused when it is written: {error}")
                }
            }
        }
        Ok(())
    }
}

fn shown<M: fmt::Debug>(read: &Result<Option<Frame<'_, M>>, DecodeError>) -> String {
    match read {
        Ok(Some(Frame { meta, payload, .. })) => {
            format!("meta {meta:?} with payload {}", Hex(payload))
        }
        Ok(None) => "the beginning of a frame that goes on".into(),
        Err(error) => format!("an error ({error})"),
    }
}

impl<F: Format> fmt::Debug for Kit<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kit")
            .field("limit", &self.framing.limit())
            .field("metas", &self.metas)
            .field("examples", &self.examples.len())
            .finish_non_exhaustive()
    }
}

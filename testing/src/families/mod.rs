//! Every framing as the crate and the oracle see it, streams in it, and how to run them.

mod checks;
mod drive;
mod parts;

use std::fmt::Debug;
use std::num::NonZeroU64;

use unstick::{
    AnyDelimiter, ByteOrder, Checked, Cobs, Covers, DecodeError, Decoder, Delimited, EncodeError,
    Encoder, Fixed, FrameBuf, Framing, Hdlc, KnownLength, Layout, LengthField, Lines, Marked,
    RecoverError, Resync, Search, Slip, Storage, U8, U16Be, U32Le, V1, V2, Varint, Wire,
};

use crate::chunks::Subject;
use crate::oracle::families::{AtMark, Counted, Family, FixedLen, Version2};
use crate::oracle::marks::{Delimiter, Flags, LineEnds, OneOf, SerialLine, Stuffed};
use crate::oracle::sums::Sum;
pub use checks::{Castagnoli, Long, Parity, Sums};
pub use drive::{Path, compare, compare_all, expect, run, smallest_storage};
pub use parts::{Part, made, made_payload, parts, payload, stream};

pub type Resynced = Result<Option<u64>, RecoverError>;
/// How to search with a decoder, and with a buffer.
pub type ResyncDecoder<W> = fn(&mut Decoder<W>, &mut &[u8]) -> Resynced;
pub type ResyncBuf<S, W> = fn(&mut FrameBuf<S, W>) -> Resynced;

/// A framing that tests and fuzz targets can run.
pub struct Case<W: Wire, M> {
    pub name: &'static str,
    pub wire: W,
    pub model: M,
    /// A meta as the oracle writes it.
    pub describe: fn(&W::Meta) -> Vec<u8>,
    /// One of the metas that there are.
    pub meta: fn(&W, u64) -> W::Meta,
    /// What means nothing between two frames.
    pub idle: Option<u8>,
    /// The bytes that mean something.
    pub special: Vec<u8>,
    /// Whether a payload has one encoding, idle bytes aside.
    pub one_encoding: bool,
    /// What only frames have whose length is announced.
    pub known_length: Option<KnownLengths<W>>,
    /// How to search, where one can.
    pub resync: Option<ResyncDecoder<W>>,
    pub resync_vec: Option<ResyncBuf<Vec<u8>, W>>,
    pub resync_box: Option<ResyncBuf<Box<[u8]>, W>>,
}

pub type Encoded = Result<Vec<u8>, EncodeError>;
pub type Split = Result<Option<Vec<u8>>, DecodeError>;

/// How to do what only frames allow whose length is announced.
pub struct KnownLengths<W: Wire> {
    /// Writes a frame with [`Encoder`], its payload in runs of this length.
    pub stream: fn(&mut Encoder<W>, &W::Meta, &[u8], usize) -> Encoded,
    /// Splits a frame off bytes, and returns its payload.
    pub split: fn(&Framing<W>, &mut &[u8]) -> Split,
}

impl<W: KnownLength + Wire> KnownLengths<W> {
    const ALL: Self = Self { stream: stream_frame, split: split_frame };
}

fn stream_frame<W: KnownLength + Wire>(
    encoder: &mut Encoder<W>,
    meta: &<W as Wire>::Meta,
    payload: &[u8],
    run: usize,
) -> Encoded {
    let header = encoder.begin(meta, payload.len() as u64)?;
    let mut frame = header.as_bytes().to_vec();
    for run in payload.chunks(run) {
        let missing = (header.as_bytes().len() + payload.len() - frame.len()) as u64;
        assert_eq!(encoder.missing(), Some(missing));
        let unfinished = encoder.begin(meta, 0).map(|_| ());
        assert_eq!(unfinished, Err(EncodeError::Unfinished { missing }));
        let excess = vec![0; missing as usize + 1];
        let len = excess.len() as u64;
        assert_eq!(encoder.payload(&excess), Err(EncodeError::Excess { len, missing }));
        encoder.payload(run)?;
        frame.extend_from_slice(run);
    }
    frame.extend_from_slice(encoder.finish()?.as_ref());
    assert_eq!((encoder.missing(), encoder.payload(b"x")), (None, Err(EncodeError::NoFrame)));
    Ok(frame)
}

fn split_frame<W: KnownLength + Wire>(framing: &Framing<W>, bytes: &mut &[u8]) -> Split {
    Ok(framing.split_frame(bytes)?.map(|frame| frame.payload.to_vec()))
}

/// What most functions over cases need of both sides.
pub trait Subjected: Wire + Clone + Debug {}
impl<W: Wire + Clone + Debug> Subjected for W {}

impl<W: Subjected, M: Family> Case<W, M> {
    fn new(
        name: &'static str,
        wire: W,
        model: M,
        describe: fn(&W::Meta) -> Vec<u8>,
        meta: fn(&W, u64) -> W::Meta,
    ) -> Self {
        Self {
            name,
            wire,
            model,
            describe,
            meta,
            idle: None,
            special: b"\0\x01\x02".to_vec(),
            one_encoding: false,
            known_length: None,
            resync: None,
            resync_vec: None,
            resync_box: None,
        }
    }

    fn special(mut self, special: &[u8]) -> Self {
        self.special = special.to_vec();
        self
    }

    fn idle(mut self, idle: u8) -> Self {
        self.idle = Some(idle);
        self
    }

    fn one_encoding(mut self) -> Self {
        self.one_encoding = true;
        self
    }

    /// A framing with this limit.
    pub fn framing(&self, limit: u64) -> Framing<W> {
        Framing::new(self.wire.clone()).with_limit(limit)
    }

    /// Whether a frame has a mark for its end, and no header.
    pub fn ends_at_mark(&self) -> bool {
        self.resync.is_some()
    }
}

impl<W: Subjected + KnownLength, M> Case<W, M> {
    fn known_length(mut self) -> Self {
        self.known_length = Some(KnownLengths::ALL);
        self
    }
}

impl<W: Subjected + Search, M> Case<W, M> {
    fn searched(mut self) -> Self {
        fn search<S: Storage, W: Search>(buf: &mut FrameBuf<S, W>) -> Resynced {
            buf.resync()
        }
        self.resync_vec = Some(search);
        self.resync_box = Some(search);
        self
    }
}

/// A framing whose frames end at a mark.
fn marked<W, M>(name: &'static str, wire: W, model: M) -> Case<W, M>
where
    W: Subjected + Resync + Wire<Meta = ()>,
    M: Family,
{
    let mut case = Case::new(name, wire, model, |()| Vec::new(), |_, _| ()).searched();
    case.resync = Some(|decoder, input| decoder.resync(input));
    case
}

/// A format with a check.
fn checked<F, C, R>(
    name: &'static str,
    format: F,
    check: C,
    rules: R,
    sum: Sum,
) -> Case<Checked<F, C>, Counted<R>>
where
    Checked<F, C>: Subjected + Search + KnownLength + Wire<Meta = F::Meta>,
    F: Subject,
    R: crate::oracle::Rules,
{
    fn pick<F: Subject, C>(wire: &Checked<F, C>, seed: u64) -> F::Meta {
        wire.format().pick_meta(seed)
    }
    let model = Counted { rules, sum };
    let case = Case::new(name, Checked::new(format, check), model, F::describe, pick::<F, C>);
    case.searched().known_length().one_encoding()
}

const fn length(len: u64) -> NonZeroU64 {
    NonZeroU64::new(len).unwrap()
}

const fn plain<M>(mark: M) -> AtMark<M> {
    AtMark { mark, sum: Sum::NONE }
}

const LINE: &[u8] = b"\r\n";

pub fn lines() -> Case<Lines, AtMark<LineEnds>> {
    marked("lines", Lines::new(), plain(LineEnds::default())).special(LINE)
}

pub fn crlf_lines() -> Case<Lines, AtMark<LineEnds>> {
    let model = plain(LineEnds { crlf: true, or_end: false });
    marked("lines with CRLF", Lines::new().with_crlf(), model).special(LINE)
}

pub fn lines_or_end() -> Case<Lines, AtMark<LineEnds>> {
    let model = plain(LineEnds { crlf: false, or_end: true });
    marked("lines or the end", Lines::new().or_end(), model).special(LINE)
}

pub fn checked_lines() -> Case<Marked<Lines, Parity>, AtMark<LineEnds>> {
    let model = AtMark { mark: LineEnds { crlf: false, or_end: true }, sum: Sum::PARITY };
    let wire = Marked::new(Lines::new().or_end()).with_check(Parity);
    marked("lines with a check", wire, model).special(LINE)
}

type Delimiting = Delimited<&'static [u8]>;

/// A delimiter of at least one byte.
pub fn delimited<D>(bytes: D, or_end: bool) -> Case<Delimited<D>, AtMark<Delimiter>>
where
    D: AsRef<[u8]> + Clone + Debug,
    Delimited<D>: Subjected + Resync + Wire<Meta = ()>,
{
    let special = bytes.as_ref().to_vec();
    let wire = Delimited::new(bytes);
    let wire = if or_end { wire.or_end() } else { wire };
    let model = plain(Delimiter { bytes: special.clone(), or_end });
    let case = marked("a delimiter", wire, model).special(&special);
    if or_end { case } else { case.one_encoding() }
}

/// Delimiters of every sort: one byte, two, with a beginning that is its end, periodic.
pub fn delimiters() -> Vec<Case<Delimiting, AtMark<Delimiter>>> {
    let all: [&[u8]; 6] = [b"\0", b"\r\n", b"aab", b"aba", b"aaaa", b"abaabab"];
    let plain = all.into_iter().map(|bytes| delimited(bytes, false));
    plain.chain(all.into_iter().map(|bytes| delimited(bytes, true))).collect()
}

pub fn checked_delimiter() -> Case<Marked<Delimiting, Sums>, AtMark<Delimiter>> {
    let bytes: &[u8] = b"aba";
    let wire = Marked::new(Delimited::new(bytes)).with_check(Sums);
    let model = AtMark { mark: Delimiter { bytes: bytes.to_vec(), or_end: false }, sum: Sum::SUMS };
    marked("a delimiter with a check", wire, model).special(bytes)
}

pub fn any_delimiter(or_end: bool) -> Case<AnyDelimiter<&'static [u8]>, AtMark<OneOf>> {
    one_of(b";,\n", or_end)
}

/// Any of these bytes, of which there is at least one.
pub fn one_of<D>(bytes: D, or_end: bool) -> Case<AnyDelimiter<D>, AtMark<OneOf>>
where
    D: AsRef<[u8]> + Clone + Debug,
    AnyDelimiter<D>: Subjected + Resync + Wire<Meta = ()>,
{
    let special = bytes.as_ref().to_vec();
    let wire = AnyDelimiter::new(bytes);
    let wire = if or_end { wire.or_end() } else { wire };
    marked("any delimiter", wire, plain(OneOf { bytes: special.clone(), or_end })).special(&special)
}

const STUFFED: &[u8] = b"\0\x01\x02\x03\xFF";
const SERIAL: &[u8] = b"\xC0\xDB\xDC\xDD";
const FLAGS: &[u8] = b"\x7E\x7D\x5E\x5D";

pub fn cobs() -> Case<Cobs, AtMark<Stuffed>> {
    marked("COBS", Cobs, plain(Stuffed)).special(STUFFED).idle(0)
}

pub fn checked_cobs() -> Case<Marked<Cobs, Castagnoli>, AtMark<Stuffed>> {
    let wire = Marked::new(Cobs).with_check(Castagnoli);
    let model = AtMark { mark: Stuffed, sum: Sum::CRC32C };
    marked("COBS with a check", wire, model).special(STUFFED).idle(0)
}

pub fn slip() -> Case<Slip, AtMark<SerialLine>> {
    marked("SLIP", Slip::new(), plain(SerialLine)).special(SERIAL).idle(0xC0).one_encoding()
}

pub fn slip_between_ends() -> Case<Slip, AtMark<SerialLine>> {
    Case { name: "SLIP between ENDs", wire: Slip::new().with_leading_end(), ..slip() }
}

pub fn checked_slip() -> Case<Marked<Slip, Long>, AtMark<SerialLine>> {
    let wire = Marked::new(Slip::new()).with_check(Long);
    let model = AtMark { mark: SerialLine, sum: Sum::LONG };
    marked("SLIP with a check", wire, model).special(SERIAL).idle(0xC0)
}

pub fn hdlc() -> Case<Hdlc, AtMark<Flags>> {
    let model = AtMark { mark: Flags, sum: Sum::FCS16 };
    marked("HDLC", Hdlc::new(), model).special(FLAGS).idle(0x7E)
}

pub fn fixed() -> Case<Fixed, Counted<FixedLen>> {
    fixed_len(3)
}

/// Frames of this length, which is not zero.
pub fn fixed_len(len: u64) -> Case<Fixed, Counted<FixedLen>> {
    let model = Counted { rules: FixedLen(len), sum: Sum::NONE };
    let case =
        Case::new("a fixed length", Fixed::new(length(len)), model, |()| Vec::new(), |_, _| ());
    case.known_length().one_encoding()
}

pub fn checked_fixed() -> Case<Checked<Fixed, Parity>, Counted<FixedLen>> {
    let wire = Checked::new(Fixed::new(length(2)), Parity);
    let model = Counted { rules: FixedLen(2), sum: Sum::PARITY };
    let case = Case::new("a fixed length with a check", wire, model, |()| Vec::new(), |_, _| ());
    case.searched().known_length().one_encoding()
}

pub fn checked_u8() -> Case<Checked<U8, Parity>, Counted<U8>> {
    checked("a byte with a check", U8, Parity, U8, Sum::PARITY)
}

pub fn checked_u16() -> Case<Checked<U16Be, Castagnoli>, Counted<U16Be>> {
    checked("two bytes with a check", U16Be, Castagnoli, U16Be, Sum::CRC32C)
}

pub fn checked_u32() -> Case<Checked<U32Le, Long>, Counted<U32Le>> {
    checked("four bytes with a check", U32Le, Long, U32Le, Sum::LONG)
}

pub fn checked_varint() -> Case<Checked<Varint, Castagnoli>, Counted<Varint>> {
    checked("a varint with a check", Varint, Castagnoli, Varint, Sum::CRC32C)
}

pub fn checked_v1() -> Case<Checked<V1, Castagnoli>, Counted<V1>> {
    checked("version 1 with a check", V1, Castagnoli, V1, Sum::CRC32C).special(b"\xF5\x01\0")
}

pub fn version_2() -> Case<V2, Counted<Version2>> {
    let model = Counted { rules: Version2, sum: Sum::CRC32C };
    let case = Case::new("version 2", V2, model, V1::describe, |_, seed| V1.pick_meta(seed));
    case.searched().known_length().one_encoding().special(b"\xF5\x02\0")
}

pub fn checked_field() -> Case<Checked<LengthField, Sums>, Counted<LengthField>> {
    let (order, covers) = (ByteOrder::Big, Covers::Frame);
    let layout = Layout { header_len: 4, offset: 2, width: 1, order, covers };
    checked_layout(LengthField::new(layout).unwrap())
}

/// Any header with a length field.
pub fn checked_layout(
    format: LengthField,
) -> Case<Checked<LengthField, Sums>, Counted<LengthField>> {
    checked("a field with a check", format, Sums, format, Sum::SUMS)
}

/// Calls a generic function with every case.
#[macro_export]
macro_rules! every_case {
    ($function:ident $(, $arg:expr)* $(,)?) => {{
        use $crate::families;
        $crate::every_mark!($function $(, $arg)*);
        $function(&families::fixed() $(, $arg)*);
        $crate::every_check!($function $(, $arg)*);
    }};
}

/// The same with the cases that have a mark.
#[macro_export]
macro_rules! every_mark {
    ($function:ident $(, $arg:expr)* $(,)?) => {{
        use $crate::families;
        $function(&families::lines() $(, $arg)*);
        $function(&families::crlf_lines() $(, $arg)*);
        $function(&families::lines_or_end() $(, $arg)*);
        for case in families::delimiters() {
            $function(&case $(, $arg)*);
        }
        $function(&families::any_delimiter(false) $(, $arg)*);
        $function(&families::any_delimiter(true) $(, $arg)*);
        $function(&families::cobs() $(, $arg)*);
        $function(&families::slip() $(, $arg)*);
        $function(&families::hdlc() $(, $arg)*);
        $function(&families::checked_lines() $(, $arg)*);
        $function(&families::checked_delimiter() $(, $arg)*);
        $function(&families::checked_cobs() $(, $arg)*);
        $function(&families::checked_slip() $(, $arg)*);
    }};
}

/// The same with the cases whose header announces the length of what a check stands after.
#[macro_export]
macro_rules! every_check {
    ($function:ident $(, $arg:expr)* $(,)?) => {{
        use $crate::families;
        $function(&families::checked_fixed() $(, $arg)*);
        $function(&families::checked_u8() $(, $arg)*);
        $function(&families::checked_u16() $(, $arg)*);
        $function(&families::checked_u32() $(, $arg)*);
        $function(&families::checked_varint() $(, $arg)*);
        $function(&families::checked_field() $(, $arg)*);
        $function(&families::checked_v1() $(, $arg)*);
        $function(&families::version_2() $(, $arg)*);
    }};
}
pub use {every_case, every_check, every_mark};

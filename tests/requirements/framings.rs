//! The vectors of `vectors/framings-*.json` (Annex A from A.5 on), through a decoder, a read buffer and
//! the encoders.

use std::fmt::Debug;
use std::num::NonZeroU64;

use serde_json::{Value, json};
use unstick::check::{
    Crc8Smbus, Crc16Ibm3740, Crc16Mcrf4xx, Crc16Modbus, Crc16X25, Crc32Iscsi, Crc32IsoHdlc,
    EndBytes, Fletcher8, Fletcher16, Lrc8, SkipHeader, Sum8, Xor8,
};
use unstick::{
    AnyDelimiter, Check, Checked, Cobs, DecodeError, Decoder, Delimited, EncodeError, FieldMeta,
    Fixed, Format, FrameBuf, Framing, Hdlc, LengthField, Lines, Mark, Marked, Piece, RecoverError,
    Slip, Storage, U8, U16Be, Varint, Wire,
};

use super::number;
use super::play::{self, Peer, Verdict};
use super::vector::{Answer, Expect, Request, Step, Test, Vector, parse_hex, write_hex};
use super::{error_json, layout, limit, more_cuts, vectors};

/// The vectors that the crate does not meet, and why. `v2` is not there yet, so its vectors are left
/// out as well.
const LEFT_OUT: [(&str, &str); 4] = [
    (
        "A.9-mark-empty",
        "`Delimited` takes an empty delimiter, which ends no frame, and refuses to encode",
    ),
    (
        "A.9-mark-256",
        "`Delimited` takes a long delimiter, which ends no frame, and refuses to encode",
    ),
    ("A.9-any-none", "`AnyDelimiter` takes an empty list, which ends no frame"),
    ("A.13-end-none", "`EndBytes<0>` is a check of no bytes"),
];

/// Whether this is the name of a framing of Annex A from A.5 on.
pub(crate) fn is_framing(name: &str) -> bool {
    let first = name.split([':', '+']).next().unwrap_or_default();
    name.contains('+') || FIRST.contains(&first)
}

const FIRST: [&str; 8] =
    ["fixed", "lines", "delimited", "any-delimiter", "cobs", "slip", "hdlc", "v2"];

/// The vectors of framings, and those that are left out.
fn framings() -> (Vec<Vector>, Vec<Vector>) {
    let mut all = vectors();
    all.retain(|vector| is_framing(&vector.format) && vector.format != "v2");
    let (left_out, run): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|vector| LEFT_OUT.iter().any(|(id, _)| *id == vector.id));
    assert_eq!(left_out.len(), LEFT_OUT.len(), "an id is no vector's");
    assert!(run.len() >= 270, "only {}", run.len());
    (run, left_out)
}

// ------------------------------------------------------------------------------- wires by name

type Resynced = Option<Result<Option<u64>, RecoverError>>;

/// What the vectors need of a wire.
trait Framed: Wire + Clone + 'static {
    /// The meta that an encoder is asked for.
    fn asked(&self, request: &Value) -> Self::Meta;

    /// The bytes of a frame's header.
    fn head(&self, meta: &Self::Meta, payload_len: u64) -> Vec<u8>;

    /// Continues a search; `None` if a decoder of this wire has none.
    fn resync(_: &mut Decoder<Self>, _: &mut &[u8]) -> Resynced {
        None
    }

    /// The same of a read buffer.
    fn resync_buf<S: Storage>(_: &mut FrameBuf<S, Self>) -> Resynced {
        None
    }
}

/// The meta of a header that an encoder is asked for.
trait AskedMeta: Format {
    fn asked_meta(&self, request: &Value) -> Self::Meta;
}

macro_rules! without_meta {
    ($($name:ident)+) => {$(
        impl AskedMeta for $name {
            fn asked_meta(&self, _: &Value) {}
        }
    )+};
}

without_meta!(U8 U16Be Varint Fixed);

impl AskedMeta for LengthField {
    fn asked_meta(&self, request: &Value) -> FieldMeta {
        self.meta(&parse_hex(request["header"].as_str().unwrap()).unwrap()).unwrap()
    }
}

impl Framed for Fixed {
    fn asked(&self, _: &Value) {}

    fn head(&self, (): &(), _: u64) -> Vec<u8> {
        Vec::new()
    }
}

impl<F: AskedMeta + Clone + 'static, C: Check + Clone + 'static> Framed for Checked<F, C> {
    fn asked(&self, request: &Value) -> F::Meta {
        self.format().asked_meta(request)
    }

    fn head(&self, meta: &F::Meta, payload_len: u64) -> Vec<u8> {
        let framing = Framing::new(self.clone()).with_limit(u64::MAX);
        framing.encode_header(meta, payload_len).unwrap().as_bytes().to_vec()
    }

    fn resync_buf<S: Storage>(buf: &mut FrameBuf<S, Self>) -> Resynced {
        Some(buf.resync())
    }
}

macro_rules! marks {
    ($([$($bounds:tt)*] $name:ty;)+) => {$(
        impl<$($bounds)*> Framed for $name {
            fn asked(&self, _: &Value) {}

            fn head(&self, (): &(), _: u64) -> Vec<u8> {
                Vec::new()
            }

            fn resync(decoder: &mut Decoder<Self>, input: &mut &[u8]) -> Resynced {
                Some(decoder.resync(input))
            }

            fn resync_buf<S: Storage>(buf: &mut FrameBuf<S, Self>) -> Resynced {
                Some(buf.resync())
            }
        }
    )+};
}

marks! {
    [] Lines;
    [] Cobs;
    [] Slip;
    [] Delimited<Vec<u8>>;
    [] AnyDelimiter<Vec<u8>>;
    [C: Check + Clone + 'static] Hdlc<C>;
    [M: Mark + Clone + 'static, C: Check + Clone + 'static] Marked<M, C>;
}

/// A check with its bytes in the other order.
#[derive(Clone, Copy)]
struct Reversed<C>(C);

impl<C: Check<Trailer = [u8; N]>, const N: usize> Check for Reversed<C> {
    type Digest = C::Digest;
    type Trailer = [u8; N];

    fn begin(&self, header: &[u8]) -> C::Digest {
        self.0.begin(header)
    }

    fn update(&self, digest: C::Digest, run: &[u8]) -> C::Digest {
        self.0.update(digest, run)
    }

    fn trailer(&self, digest: C::Digest) -> [u8; N] {
        let mut trailer = self.0.trailer(digest);
        trailer.reverse();
        trailer
    }
}

/// The value of a parameter of a name, or nothing.
fn parameter<'a>(text: &'a str, name: &str) -> &'a str {
    let mut parts = text.split([':', ',']).filter_map(|part| part.split_once('='));
    parts.find(|(found, _)| *found == name).map_or("", |(_, value)| value)
}

/// Calls `$then` with the check of this name.
macro_rules! with_check {
    ($text:expr, [$($check:ident)+], $then:expr) => {{
        let (name, big) = ($text.split(':').next().unwrap(), parameter($text, "order") == "be");
        let _: bool = big; // one byte has no order
        match name {
            $(_ if name == with_check!(@name $check) => with_check!(@order $check, big, $then),)+
            other => panic!("unknown check {other}"),
        }
    }};
    (@name Sum8) => { "sum8" };
    (@name Lrc8) => { "lrc8" };
    (@name Xor8) => { "xor8" };
    (@name Fletcher8) => { "fletcher8" };
    (@name Fletcher16) => { "fletcher16" };
    (@name Crc8Smbus) => { "crc8-smbus" };
    (@name Crc16Ibm3740) => { "crc16-ibm3740" };
    (@name Crc16Mcrf4xx) => { "crc16-mcrf4xx" };
    (@name Crc16Modbus) => { "crc16-modbus" };
    (@name Crc16X25) => { "crc16-x25" };
    (@name Crc32IsoHdlc) => { "crc32" };
    (@name Crc32Iscsi) => { "crc32c" };
    (@order Sum8, $big:ident, $then:expr) => { ($then)(Sum8) };
    (@order Lrc8, $big:ident, $then:expr) => { ($then)(Lrc8) };
    (@order Xor8, $big:ident, $then:expr) => { ($then)(Xor8) };
    (@order Crc8Smbus, $big:ident, $then:expr) => { ($then)(Crc8Smbus::new()) };
    (@order Fletcher8, $big:ident, $then:expr) => {
        if $big { ($then)(Reversed(Fletcher8)) } else { ($then)(Fletcher8) }
    };
    (@order Fletcher16, $big:ident, $then:expr) => {
        if $big { ($then)(Fletcher16) } else { ($then)(Reversed(Fletcher16)) }
    };
    (@order $crc:ident, $big:ident, $then:expr) => {
        if $big { ($then)($crc::new().big_endian()) } else { ($then)($crc::new().little_endian()) }
    };
}

type Named = Box<dyn AnyWire>;

fn boxed<W: Framed>(wire: W) -> Option<Named> {
    Some(Box::new(wire))
}

/// The check without the part of the header that it does not cover.
fn over<C>(name: &str, check: C) -> SkipHeader<C> {
    match parameter(name, "over") {
        "frame" => SkipHeader::new(check, 0),
        "payload" => SkipHeader::all(check),
        from => SkipHeader::new(check, from.strip_prefix("from-").unwrap().parse().unwrap()),
    }
}

/// The wire that a name stands for; none if it cannot be.
fn wire(name: &str) -> Option<Named> {
    let (first, check) = name.split_once('+').unwrap_or((name, ""));
    let or_end = parameter(first, "or-end") == "yes";
    let lines = || if or_end { Lines::new().or_end() } else { Lines::new() };
    let bytes = |name: &str| parse_hex(parameter(first, name)).unwrap();
    match (first.split(':').next().unwrap(), check) {
        ("fixed", check) => {
            let fixed = Fixed::new(NonZeroU64::new(parameter(first, "length").parse().unwrap())?);
            if check.is_empty() {
                return boxed(fixed);
            }
            with_check!(check, [Sum8], |c| boxed(Checked::new(fixed, over(check, c))))
        }
        ("lines", "") if parameter(first, "write") == "crlf" => boxed(lines().with_crlf()),
        ("lines", "") => boxed(lines()),
        ("lines", check) => {
            with_check!(check, [Sum8 Crc16X25], |c| boxed(Marked::new(lines()).with_check(c)))
        }
        ("delimited", "") if or_end => boxed(Delimited::new(bytes("mark")).or_end()),
        ("delimited", "") => boxed(Delimited::new(bytes("mark"))),
        ("any-delimiter", "") if or_end => boxed(AnyDelimiter::new(bytes("marks")).or_end()),
        ("any-delimiter", "") => boxed(AnyDelimiter::new(bytes("marks"))),
        ("cobs", "") => boxed(Cobs),
        ("cobs", check) => {
            with_check!(check, [Crc16X25], |c| boxed(Marked::new(Cobs).with_check(c)))
        }
        ("slip", "") => boxed(Slip::new()),
        ("slip", check) => {
            with_check!(check, [Sum8], |c| boxed(Marked::new(Slip::new()).with_check(c)))
        }
        ("hdlc", "") => boxed(Hdlc::new()),
        ("hdlc", check) => {
            with_check!(check, [Crc32IsoHdlc], |c| boxed(Hdlc::with_check(c)))
        }
        ("u8", end) if end.starts_with("end:") => {
            match parse_hex(parameter(end, "bytes")).unwrap()[..] {
                [a] => boxed(Checked::new(U8, EndBytes::new([a]))),
                [a, b] => boxed(Checked::new(U8, EndBytes::new([a, b]))),
                [] => boxed(Checked::new(U8, EndBytes::new([]))),
                [a, b, c, d, e, f, g, h, i, j] => {
                    boxed(Checked::new(U8, EndBytes::new([a, b, c, d, e, f, g, h, i, j])))
                }
                ref other => panic!("no test has as many constant bytes: {other:?}"),
            }
        }
        ("u8", check) => with_check!(
            check,
            [Sum8 Lrc8 Xor8 Fletcher8 Fletcher16 Crc8Smbus Crc16Ibm3740 Crc16Mcrf4xx Crc16Modbus
             Crc16X25 Crc32IsoHdlc Crc32Iscsi],
            |c| boxed(Checked::new(U8, over(check, c)))
        ),
        ("u16be", check) => {
            with_check!(check, [Crc32Iscsi], |c| boxed(Checked::new(U16Be, over(check, c))))
        }
        ("varint", check) => {
            with_check!(check, [Sum8], |c| boxed(Checked::new(Varint, over(check, c))))
        }
        ("field", check) => {
            let format = layout(first.strip_prefix("field:").unwrap())?;
            with_check!(check, [Fletcher8], |c| boxed(Checked::new(format, over(check, c))))
        }
        _ => panic!("unknown framing {name}"),
    }
}

// ------------------------------------------------------------------------------- receivers

/// What takes the stream.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Through {
    Decode,
    Pieces,
    ForEach,
    FrameBuf,
}

/// What a vector asks of a wire, whichever it is.
trait AnyWire {
    fn receiver(&self, limit: Option<u64>, through: Through) -> Box<dyn Receiver>;
    fn encode(&self, request: &Value, limit: Option<u64>, payload: &[u8]) -> Option<Vec<u8>>;
    fn in_one_buffer(&self, vector: &Vector, steps: &[Step], cuts: &[usize]);
}

trait Receiver {
    fn bytes(&mut self, bytes: &[u8]) -> Value;
    fn request(&mut self, request: &str) -> Value;
    fn end(&mut self) -> Value;
}

fn framing<W: Wire>(wire: W, limit: Option<u64>) -> Framing<W> {
    let framing = Framing::new(wire);
    match limit {
        Some(limit) => framing.with_limit(limit),
        None => framing,
    }
}

impl<W: Framed> AnyWire for W {
    fn receiver(&self, limit: Option<u64>, through: Through) -> Box<dyn Receiver> {
        let framing = framing(self.clone(), limit);
        if through == Through::FrameBuf {
            let buf = FrameBuf::with_framing(Vec::new(), framing).unwrap();
            return Box::new(Buffered { buf, ahead: 0, pos: 0, searching: false, ended: None });
        }
        let decoder = Decoder::with_framing(framing);
        Box::new(Streamed { decoder, through, searching: false, open: None, ended: None })
    }

    fn encode(&self, request: &Value, limit: Option<u64>, payload: &[u8]) -> Option<Vec<u8>> {
        let framing = framing(self.clone(), limit);
        let meta = self.asked(request);
        let mut out = b"before".to_vec();
        let result = framing.encode(&meta, payload, &mut out);
        let frame = out.strip_prefix(b"before").expect("what was there is still there").to_vec();
        let mut room = vec![0xEE; frame.len()];
        let written = framing.encode_into(&meta, payload, &mut room);
        match result {
            Err(error) => {
                assert!(frame.is_empty(), "a refusal writes nothing");
                assert_eq!(written, Err(error));
                None
            }
            Ok(()) => {
                assert_eq!((written, &room), (Ok(frame.len()), &frame));
                let mut short = vec![0xEE; frame.len() - 1];
                let no_room =
                    Err(EncodeError::NoRoom { needed: frame.len(), room: frame.len() - 1 });
                assert_eq!(framing.encode_into(&meta, payload, &mut short), no_room);
                assert!(short.iter().all(|byte| *byte == 0xEE), "a refusal writes nothing");
                Some(frame)
            }
        }
    }

    fn in_one_buffer(&self, vector: &Vector, steps: &[Step], cuts: &[usize]) {
        let framing = framing(self.clone(), vector.limit.as_ref().map(|n| number(n).unwrap()));
        let buf = FrameBuf::with_framing(Vec::new(), framing.clone()).unwrap();
        in_one_buffer(buf, vector, steps, cuts);
        // The smallest storage, where a limit says how large it is.
        if vector.limit.is_some() {
            let len = usize::try_from(framing.format().max_frame_len(framing.limit())).unwrap();
            let buf = FrameBuf::with_framing(vec![0; len].into_boxed_slice(), framing).unwrap();
            in_one_buffer(buf, vector, steps, cuts);
        }
    }
}

fn frame_json(head: &[u8], payload: &[u8]) -> Value {
    json!({"frame": {"header": write_hex(head), "payload": write_hex(payload)}})
}

fn same_error(error: &DecodeError) -> Value {
    json!({"answer": "same-error", "error": error_json(error)})
}

/// A decoder, whose pieces are joined.
struct Streamed<W: Wire> {
    decoder: Decoder<W>,
    through: Through,
    searching: bool,
    /// The meta and the payload of the frame that has begun.
    open: Option<(W::Meta, Vec<u8>)>,
    ended: Option<DecodeError>,
}

impl<W: Framed> Streamed<W> {
    fn piece(&mut self, piece: &Piece<'_, W::Meta, W::Len>, events: &mut Vec<Value>) {
        if let Some(header) = &piece.header {
            assert!(self.open.is_none(), "a header comes with the first piece");
            self.open = Some((header.meta.clone(), Vec::new()));
        }
        let (meta, mut payload) = self.open.take().expect("a header comes first");
        payload.extend(piece.bytes);
        if piece.last {
            let head = self.decoder.format().head(&meta, payload.len() as u64);
            events.push(frame_json(&head, &payload));
        } else {
            self.open = Some((meta, payload));
        }
    }

    fn feed(&mut self, input: &mut &[u8], events: &mut Vec<Value>) -> Result<(), DecodeError> {
        let (before, whole) = (self.decoder.position(), *input);
        let mut pieces = Vec::new();
        let result = match self.through {
            Through::Pieces => {
                let mut all = self.decoder.pieces(whole);
                let mut result = Ok(());
                for item in all.by_ref() {
                    match item {
                        Ok(piece) => pieces.push(piece),
                        Err(error) => result = Err(error),
                    }
                }
                *input = all.rest();
                result
            }
            Through::ForEach => {
                let result = self.decoder.for_each(whole, |piece| pieces.push(piece));
                *input = &whole[(self.decoder.position() - before) as usize..];
                result
            }
            _ => loop {
                let rest = input.len();
                match self.decoder.decode(input) {
                    Ok(Some(piece)) => {
                        let progress = input.len() < rest || !piece.bytes.is_empty();
                        assert!(progress, "a piece consumes a byte or brings one");
                        pieces.push(piece);
                    }
                    Ok(None) => {
                        assert!(input.is_empty());
                        break Ok(());
                    }
                    Err(error) => break Err(error),
                }
            },
        };
        assert_eq!(self.decoder.position() - before, (whole.len() - input.len()) as u64);
        for piece in &pieces {
            self.piece(piece, events);
        }
        result
    }
}

impl<W: Framed> Receiver for Streamed<W> {
    fn bytes(&mut self, bytes: &[u8]) -> Value {
        let mut input = bytes;
        let mut events = Vec::new();
        if self.searching {
            if let Some(skipped) = W::resync(&mut self.decoder, &mut input).unwrap().unwrap() {
                self.searching = false;
                events.push(json!({"found": {"skipped": skipped}}));
            }
        }
        if !self.searching {
            let latched = self.decoder.error().is_some();
            if let Err(error) = self.feed(&mut input, &mut events) {
                let delivered = self.open.take().map_or(0, |(_, payload)| payload.len() as u64);
                if let (DecodeError::TooLong { limit, .. }, false) = (error, latched) {
                    assert_eq!(delivered, limit, "what is within the limit comes first");
                }
                events.push(json!({ "error": error_json(&error) }));
            }
        }
        json!({"consumed": bytes.len() - input.len(), "events": events})
    }

    fn request(&mut self, request: &str) -> Value {
        let failed = self.decoder.error();
        match request {
            "reset" => {
                self.decoder.reset();
                (self.searching, self.open, self.ended) = (false, None, None);
                json!({"ok": true})
            }
            // A stream that has ended inside a frame.
            _ if self.ended.is_some() => same_error(self.ended.as_ref().unwrap()),
            _ if self.searching || failed.is_none() => json!({"answer": "rejected"}),
            "skip" => match self.decoder.skip_frame() {
                Ok(()) => json!({"answer": "begun"}),
                Err(RecoverError::Failed(error)) => same_error(&error),
                Err(other) => panic!("{other:?}"),
            },
            _ => match W::resync(&mut self.decoder, &mut &b""[..]) {
                None => json!({"answer": "not-offered"}),
                Some(found) => match found.unwrap() {
                    Some(skipped) => {
                        json!({"answer": "begun", "events": [{"found": {"skipped": skipped}}]})
                    }
                    None => {
                        self.searching = true;
                        json!({"answer": "begun"})
                    }
                },
            },
        }
    }

    fn end(&mut self) -> Value {
        let promised = self.decoder.finish();
        let mut events = Vec::new();
        let result = loop {
            match self.decoder.end() {
                Ok(Some(piece)) => self.piece(&piece, &mut events),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        assert_eq!(result, promised, "`finish` tells how `end` ends");
        self.ended = result.err();
        events.push(match result {
            Ok(()) => json!({"end": true}),
            Err(error) => json!({ "error": error_json(&error) }),
        });
        json!({ "events": events })
    }
}

/// A read buffer that is given no byte after one that causes an error.
struct Buffered<W: Wire> {
    buf: FrameBuf<Vec<u8>, W>,
    /// The number of bytes in the buffer that are not consumed: zero, or one that caused an error.
    ahead: usize,
    /// The number of bytes of this stream that are consumed.
    pos: u64,
    searching: bool,
    ended: Option<DecodeError>,
}

fn extend<S: Storage, W: Wire>(buf: &mut FrameBuf<S, W>, bytes: &mut &[u8]) -> bool {
    let taken = buf.extend(bytes);
    *bytes = &bytes[taken..];
    taken > 0
}

impl<W: Framed> Buffered<W> {
    /// All that the buffer finds, and the error.
    fn pump(
        buf: &mut FrameBuf<Vec<u8>, W>,
        searching: &mut bool,
        events: &mut Vec<Value>,
    ) -> Result<(), DecodeError> {
        if *searching {
            let Some(skipped) = W::resync_buf(buf).unwrap().unwrap() else { return Ok(()) };
            *searching = false;
            events.push(json!({"found": {"skipped": skipped}}));
        }
        while let Some(event) = next(buf)? {
            events.push(event);
        }
        Ok(())
    }
}

/// The next frame of a buffer.
fn next<S: Storage, W: Framed>(buf: &mut FrameBuf<S, W>) -> Result<Option<Value>, DecodeError> {
    let Some(found) = buf.find()? else { return Ok(None) };
    Ok(Some(whole(buf, &found)))
}

fn whole<S: Storage, W: Framed>(
    buf: &FrameBuf<S, W>,
    found: &unstick::scan::Found<W::Meta>,
) -> Value {
    let frame = buf.frame(found).unwrap();
    let head = buf.framing().format().head(&frame.meta, frame.payload.len() as u64);
    let mut event = frame_json(&head, frame.payload);
    event["frame"]["at"] = found.at().into();
    event
}

/// What the end of the stream brings.
fn end_of<S: Storage, W: Framed>(
    buf: &mut FrameBuf<S, W>,
    events: &mut Vec<Value>,
) -> Result<(), DecodeError> {
    while let Some(found) = buf.find_end()? {
        events.push(whole(buf, &found));
    }
    Ok(())
}

impl<W: Framed> Receiver for Buffered<W> {
    fn bytes(&mut self, bytes: &[u8]) -> Value {
        let new = &bytes[self.ahead.min(bytes.len())..];
        if let Some(error) = self.buf.error().filter(|_| !self.searching) {
            return json!({"consumed": 0, "events": [{ "error": error_json(&error) }]});
        }
        let attempt = |len: usize| {
            let (mut buf, mut searching) = (self.buf.clone(), self.searching);
            let (mut events, mut input) = (Vec::new(), &new[..len]);
            loop {
                let more = extend(&mut buf, &mut input);
                if let Err(error) = Self::pump(&mut buf, &mut searching, &mut events) {
                    break (buf, searching, events, Some(error));
                }
                if !more || input.is_empty() {
                    break (buf, searching, events, None);
                }
            }
        };
        // The bytes after the one that causes an error are not consumed.
        let mut len = new.len();
        let (mut buf, mut searching, mut events, mut error) = attempt(len);
        if error.is_some() {
            len = (0..=len).find(|len| attempt(*len).3.is_some()).unwrap();
            (buf, searching, events, error) = attempt(len);
        }
        (self.buf, self.searching) = (buf, searching);
        let offered = bytes.len() - new.len() + len;
        let to = self.pos + offered as u64;
        let mut consumed = offered;
        if let Some(error) = error {
            events.push(json!({ "error": error_json(&error) }));
            consumed -= usize::from(self.buf.position() + 1 == to);
        }
        self.ahead = offered - consumed;
        self.pos += consumed as u64;
        json!({"consumed": consumed, "events": events})
    }

    fn request(&mut self, request: &str) -> Value {
        let failed = self.buf.error();
        match request {
            "reset" => {
                self.buf.reset();
                (self.searching, self.ended, self.ahead, self.pos) = (false, None, 0, 0);
                return json!({"ok": true});
            }
            _ if self.ended.is_some() => return same_error(self.ended.as_ref().unwrap()),
            _ if self.searching || failed.is_none() => return json!({"answer": "rejected"}),
            "skip" => match self.buf.skip_frame() {
                Ok(()) => {}
                Err(RecoverError::Failed(error)) => return same_error(&error),
                Err(other) => panic!("{other:?}"),
            },
            _ => {
                let mut probe = self.buf.clone();
                if W::resync_buf(&mut probe).is_none() {
                    return json!({"answer": "not-offered"});
                }
                self.searching = true;
            }
        }
        let mut events = Vec::new();
        // A byte that caused the error is offered again, and has no effect before that.
        if self.ahead == 0 {
            let result = Self::pump(&mut self.buf, &mut self.searching, &mut events);
            if let Err(error) = result {
                events.push(json!({ "error": error_json(&error) }));
            }
        }
        if events.is_empty() {
            json!({"answer": "begun"})
        } else {
            json!({"answer": "begun", "events": events})
        }
    }

    fn end(&mut self) -> Value {
        let mut events = Vec::new();
        let result = end_of(&mut self.buf, &mut events);
        self.ended = result.err();
        events.push(match result {
            Ok(()) => json!({"end": true}),
            Err(error) => json!({ "error": error_json(&error) }),
        });
        json!({ "events": events })
    }
}

/// An implementation, as it answers the requests of the protocol.
struct Core {
    through: Through,
    receiver: Option<Box<dyn Receiver>>,
}

impl Peer for Core {
    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        let bytes = |name: &str| parse_hex(request[name].as_str().unwrap()).unwrap();
        let named = || wire(request["format"].as_str().unwrap());
        Ok(match request["do"].as_str().unwrap() {
            "start" => {
                let Some(wire) = named() else { return Ok(json!({"refused": true})) };
                self.receiver = Some(wire.receiver(limit(request), self.through));
                json!({"ok": true})
            }
            "bytes" => self.receiver.as_mut().unwrap().bytes(&bytes("bytes")),
            "end" => self.receiver.as_mut().unwrap().end(),
            what @ ("skip" | "resync" | "reset") => self.receiver.as_mut().unwrap().request(what),
            "encode" => match named().unwrap().encode(request, limit(request), &bytes("payload")) {
                Some(frame) => json!({ "bytes": write_hex(&frame) }),
                None => json!({"refused": true}),
            },
            other => panic!("no request: {other}"),
        })
    }
}

// spec: FMT-14, FMT-15, FMT-16, FMT-17, FMT-18, FMT-19, FMT-20, FMT-21, FMT-24, FMT-25, FMT-26, FMT-27
// spec: FMT-28, FMT-29, FMT-30, FMT-31, FMT-32, FMT-33, FMT-34, FMT-35, FMT-36, FMT-37, FMT-38, FMT-39
// spec: FMT-40, FMT-41, FMT-42, FMT-43, FMT-44, FMT-45, FMT-46, FMT-47, FMT-48
#[test]
fn every_framing_step_by_step_in_a_decoder() {
    let mut failed = Vec::new();
    for through in [Through::Decode, Through::Pieces, Through::ForEach] {
        let mut core = Core { through, receiver: None };
        for mut vector in framings().0 {
            if vector.test == Test::Stream {
                vector.cuts = more_cuts(&vector, 10);
            } else if through != Through::Decode {
                continue;
            }
            // FMT-22: such a search needs the bytes of the failed frame.
            let searches = vector.every_expect().any(|expect| match expect {
                Expect::Steps(steps) => steps.iter().any(|step| {
                    step.request == Some(Request::Resync) && step.answer == Some(Answer::Begun)
                }),
                _ => false,
            });
            let has_header = !FIRST[1..].contains(&vector.format.split([':', '+']).next().unwrap());
            let verdict = play::play(&vector, &mut core);
            if searches && has_header {
                assert!(matches!(verdict, Verdict::Unsupported(_)), "{}", vector.id);
            } else {
                if verdict != Verdict::Pass {
                    failed.push(format!("{}, {through:?}: {verdict:#?}", vector.id));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

// spec: FMT-18, FMT-22, FMT-23
#[test]
fn every_framing_step_by_step_in_a_buffer() {
    let mut failed = Vec::new();
    let mut core = Core { through: Through::FrameBuf, receiver: None };
    for mut vector in framings().0 {
        if vector.test == Test::Stream {
            vector.cuts = more_cuts(&vector, 10);
            let verdict = play::play(&vector, &mut core);
            if verdict != Verdict::Pass {
                failed.push(format!("{}: {verdict:#?}", vector.id));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A vector that is met is not left out.
#[test]
fn what_is_left_out_is_not_met() {
    for through in [Through::Decode, Through::FrameBuf] {
        let mut core = Core { through, receiver: None };
        for vector in framings().1 {
            let verdict = play::play(&vector, &mut core);
            assert!(matches!(verdict, Verdict::Fail(_)), "{}: {verdict:?}", vector.id);
        }
    }
}

/// An implementation that counts one byte more, or encodes and answers otherwise, fails.
#[test]
fn a_wrong_answer_of_a_framing_is_seen() {
    struct Wrong(Core);
    impl Peer for Wrong {
        fn ask(&mut self, request: &Value) -> Result<Value, String> {
            let mut answer = self.0.ask(request)?;
            match request["do"].as_str().unwrap() {
                "bytes" => answer["consumed"] = json!(answer["consumed"].as_u64().unwrap() + 1),
                "start" => {}
                _ => answer = json!({"events": [], "answer": "begun?"}),
            }
            Ok(answer)
        }
    }
    let mut wrong = Wrong(Core { through: Through::FrameBuf, receiver: None });
    for vector in framings().0.iter().filter(|vector| vector.test != Test::SetUp) {
        assert!(matches!(play::play(vector, &mut wrong), Verdict::Fail(_)), "{}", vector.id);
    }
}

// ------------------------------------------------------------------------------- kept bytes

/// Feeds pieces whatever the buffer has failed with, so that skips and searches find bytes that it has
/// kept, and compares the steps in order.
fn in_one_buffer<S: Storage, W: Framed>(
    mut buf: FrameBuf<S, W>,
    vector: &Vector,
    steps: &[Step],
    cuts: &[usize],
) {
    let stream = vector.stream().unwrap();
    let mut cuts = cuts.iter().copied().chain([stream.len()]);
    let mut rest: &[u8] = &[];
    let mut offered = 0;
    let mut searching = false;
    let mut ended = Vec::new();
    for step in steps {
        if let Some(request) = step.request {
            assert_eq!(step.answer, Some(Answer::Begun));
            if request == Request::Skip {
                buf.skip_frame().unwrap()
            } else {
                searching = true
            }
            continue;
        }
        let got = loop {
            if !ended.is_empty() {
                break ended.remove(0);
            }
            if searching {
                if let Some(skipped) = W::resync_buf(&mut buf).unwrap().unwrap() {
                    searching = false;
                    break json!({"found": {"skipped": skipped}});
                }
            } else {
                match next(&mut buf) {
                    Ok(Some(frame)) => break frame,
                    Ok(None) => {}
                    Err(error) => break json!({ "error": error_json(&error) }),
                }
            }
            if !rest.is_empty() {
                assert!(extend(&mut buf, &mut rest), "{}: no room", vector.id);
            } else if let Some(cut) = cuts.find(|cut| *cut >= offered) {
                rest = &stream[offered..cut];
                offered = cut;
            } else {
                let end = end_of(&mut buf, &mut ended);
                ended.push(match end {
                    Ok(()) => json!({"end": true}),
                    Err(error) => json!({ "error": error_json(&error) }),
                });
            }
        };
        let want = step.event().unwrap();
        assert!(play::fits("", &want, &got), "{}, {cuts:?}: {want}, {got}", vector.id);
    }
}

/// Whether all requests of a vector answer an error and are accepted.
fn only_answers_errors(steps: &[Step]) -> bool {
    steps.iter().enumerate().all(|(i, step)| {
        step.request.is_none()
            || (step.answer == Some(Answer::Begun) && i > 0 && steps[i - 1].error.is_some())
    })
}

#[test]
fn every_framing_among_bytes_that_are_kept() {
    let mut ran = 0;
    for vector in framings().0 {
        let Expect::Steps(steps) = &vector.expect else { continue };
        if vector.or.is_empty() && only_answers_errors(steps) {
            for cuts in more_cuts(&vector, 10) {
                wire(&vector.format).unwrap().in_one_buffer(&vector, steps, &cuts);
            }
            ran += 1;
        }
    }
    assert!(ran >= 150, "only {ran}");
}

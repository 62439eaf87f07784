//! What `inspect` reads frames with: a decoder, which keeps nothing; or a buffer, where a search needs
//! the bytes of the failed frame.

use unstick::{
    DecodeError, Decoder, FrameBuf, Framing, Hdlc, HdlcOctets, Header, KnownLength, Marked, Piece,
    RecoverError, Search, V1, Wire,
};

use crate::checked::AnyCheckedWire;
use crate::format::{AnyFormat, AnyMeta};
use crate::mark::{AnyMark, idle};

/// The fields of a header other than the length, or what a frame of a protocol with text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    Meta(AnyMeta),
    Text(String),
}

/// The beginning of a frame.
pub(crate) struct Begin {
    /// The stream offset of the frame's first byte.
    pub(crate) at: u64,
    pub(crate) label: Label,
    /// The length of the payload, if it is known when the frame begins.
    pub(crate) len: Option<u64>,
}

/// Consecutive payload bytes of a frame.
pub(crate) struct Run<'a> {
    /// The frame's beginning, in its first run.
    pub(crate) begin: Option<Begin>,
    pub(crate) bytes: &'a [u8],
    /// Whether the frame ends with this run.
    pub(crate) last: bool,
    /// The stream offset after the bytes, and after the frame if it ends.
    pub(crate) end: u64,
}

/// Where frames come from.
pub(crate) trait Source {
    /// Returns the next run; `Ok(None)` if all input is taken.
    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Run<'a>>, DecodeError>;
    /// Returns the next run that the end of the stream brings; after the last one, whether the stream
    /// may end there.
    fn end(&mut self) -> Result<Option<Run<'_>>, DecodeError>;
    /// Returns the stream offset after the bytes that were decoded; after the end, that of the end.
    fn position(&self) -> u64;
    /// Skips the failed frame. Returns whether that is possible.
    fn skip_frame(&mut self) -> bool;
    /// Returns whether frames can be found again.
    fn can_search(&self) -> bool;
    /// Searches for the next frame after an error, and returns the number of bytes skipped; `None` if
    /// all input is taken, or a search is not possible.
    fn search(&mut self, input: &mut &[u8]) -> Option<u64>;
    /// Searches for the next whole frame after the end has failed, where frames are still kept. Returns
    /// the number of bytes skipped; [`decode`](Self::decode) then returns the frame.
    fn search_end(&mut self) -> Option<u64> {
        None
    }
    /// Begins a [`search`](Self::search) in a source that has taken nothing yet, because the bytes
    /// before it are missing. Returns the number of bytes by which this moves the offsets.
    fn begin_search(&mut self) -> u64 {
        0
    }
    /// Returns whether missing bytes inside of a payload may be replaced by others.
    fn takes_any_payload(&self) -> bool {
        false
    }
}

/// A function that searches for the next frame with a framing's decoder.
type ResyncFn<W> = fn(&mut Decoder<W>, &mut &[u8]) -> Result<Option<u64>, RecoverError>;

/// The length of a payload, if it is known when the frame begins.
pub(crate) trait Announced {
    fn announced(self) -> Option<u64>;
}

impl Announced for u64 {
    fn announced(self) -> Option<u64> {
        Some(self)
    }
}

impl Announced for () {
    fn announced(self) -> Option<u64> {
        None
    }
}

/// A decoder, with what only a few framings have.
pub(crate) struct Streamed<W: Wire> {
    decoder: Decoder<W>,
    any_meta: fn(W::Meta) -> AnyMeta,
    resync: Option<ResyncFn<W>>,
    /// Returns how many bytes at the front stand between frames.
    idle: fn(&W, &[u8]) -> usize,
    /// The stream offset of the frame that has begun last, if its length is not announced.
    begun: u64,
}

impl Streamed<V1> {
    pub(crate) fn v1(framing: Framing<V1>) -> Self {
        let decoder = Decoder::with_framing(framing);
        let resync = Some(Decoder::<V1>::resync as ResyncFn<V1>);
        Self { decoder, any_meta: AnyMeta::Kind, resync, idle: |_, _| 0, begun: 0 }
    }
}

impl Streamed<AnyFormat> {
    pub(crate) fn format(framing: Framing<AnyFormat>) -> Self {
        let decoder = Decoder::with_framing(framing);
        Self { decoder, any_meta: |meta| meta, resync: None, idle: |_, _| 0, begun: 0 }
    }
}

impl Streamed<Marked<AnyMark>> {
    pub(crate) fn mark(framing: Framing<Marked<AnyMark>>) -> Self {
        Self {
            decoder: Decoder::with_framing(framing),
            any_meta: |()| AnyMeta::None,
            resync: Some(Decoder::<Marked<AnyMark>>::resync),
            idle: |marked, bytes| idle(marked.mark(), bytes),
            begun: 0,
        }
    }
}

impl Streamed<Hdlc> {
    pub(crate) fn hdlc(framing: Framing<Hdlc>) -> Self {
        Self {
            decoder: Decoder::with_framing(framing),
            any_meta: |()| AnyMeta::None,
            resync: Some(Decoder::<Hdlc>::resync),
            idle: |_, bytes| idle(&HdlcOctets, bytes),
            begun: 0,
        }
    }
}

impl<W: Wire<Len: Announced>> Streamed<W> {
    fn run<'a>(&self, piece: Piece<'a, W::Meta, W::Len>) -> Run<'a> {
        let end = self.decoder.position();
        let Piece { header, bytes, last } = piece;
        let begin = header.map(|Header { meta, payload_len, header_len }| {
            let len = payload_len.announced();
            let before = bytes.len() as u64 + header_len as u64;
            let at = if len.is_some() { end.saturating_sub(before) } else { self.begun };
            Begin { at, label: Label::Meta((self.any_meta)(meta)), len }
        });
        Run { begin, bytes, last, end }
    }
}

impl<W: Wire<Len: Announced>> Source for Streamed<W> {
    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Run<'a>>, DecodeError> {
        if self.decoder.is_at_boundary() {
            let idle = (self.idle)(self.decoder.format(), input);
            self.begun = self.decoder.position() + idle as u64;
        }
        let piece = self.decoder.decode(input)?;
        Ok(piece.map(|piece| self.run(piece)))
    }

    fn end(&mut self) -> Result<Option<Run<'_>>, DecodeError> {
        let piece = self.decoder.end()?;
        Ok(piece.map(|piece| self.run(piece)))
    }

    fn position(&self) -> u64 {
        self.decoder.position()
    }

    fn skip_frame(&mut self) -> bool {
        self.decoder.skip_frame().is_ok()
    }

    fn can_search(&self) -> bool {
        self.resync.is_some()
    }

    fn search(&mut self, input: &mut &[u8]) -> Option<u64> {
        (self.resync?)(&mut self.decoder, input).ok().flatten()
    }

    fn begin_search(&mut self) -> u64 {
        // No header of version 1 begins with a zero.
        let _ = self.decoder.decode(&mut &[0][..]);
        1
    }

    fn takes_any_payload(&self) -> bool {
        true
    }
}

/// A buffer of whole frames with a check after the payload. It keeps at most a frame within the limit.
pub(crate) struct Kept<W: Wire> {
    buf: FrameBuf<Vec<u8>, W>,
    view: View<W>,
    /// Whether the end was reached, and the frame that it cuts was returned.
    ended: bool,
}

/// Returns what a frame is, and which of its bytes are shown, from its header's fields, its header and
/// its payload.
type View<W> = for<'a> fn(<W as Wire>::Meta, &'a [u8], &'a [u8]) -> (Label, &'a [u8]);

impl<const N: usize> Kept<AnyCheckedWire<N>> {
    pub(crate) fn new(framing: Framing<AnyCheckedWire<N>>) -> Self {
        Self::with_view(framing, |meta, _, payload| (Label::Meta(meta), payload))
    }
}

impl<W: Wire> Kept<W> {
    pub(crate) fn with_view(framing: Framing<W>, view: View<W>) -> Self {
        Self { buf: FrameBuf::growing(framing), view, ended: false }
    }

    fn extend(&mut self, input: &mut &[u8]) {
        let taken = self.buf.extend(input);
        *input = input.get(taken..).unwrap_or_default();
    }
}

impl<W: Search<Meta: Copy> + KnownLength> Source for Kept<W> {
    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Run<'a>>, DecodeError> {
        loop {
            if let Some(found) = self.buf.find()? {
                let at = found.at();
                let end = at.saturating_add(found.frame_len() as u64);
                let meta = found.header.meta;
                let frame = self.buf.frame(&found);
                let (header, payload) = match &frame {
                    Some(frame) => (frame.header_bytes(), frame.payload),
                    None => (&[][..], &[][..]),
                };
                let (label, bytes) = (self.view)(meta, header, payload);
                let begin = Begin { at, label, len: Some(bytes.len() as u64) };
                return Ok(Some(Run { begin: Some(begin), bytes, last: true, end }));
            }
            if input.is_empty() {
                return Ok(None);
            }
            self.extend(input);
        }
    }

    fn end(&mut self) -> Result<Option<Run<'_>>, DecodeError> {
        let cut = if self.ended { None } else { self.buf.next_header() };
        self.ended = true;
        let Some(Header { meta, payload_len, header_len }) = cut else {
            return self.buf.finish().map(|()| None);
        };
        let arrived = self.buf.unread();
        let (at, end) = (self.buf.position(), self.position());
        let (header, payload) = arrived.split_at_checked(header_len).unwrap_or((arrived, &[]));
        let len = usize::try_from(payload_len).unwrap_or(usize::MAX).min(payload.len());
        let (label, bytes) = (self.view)(meta, header, payload.get(..len).unwrap_or_default());
        // What is shown of a frame without a payload is its header.
        let len = if len == 0 { payload_len.max(bytes.len() as u64) } else { payload_len };
        let begin = Begin { at, label, len: Some(len) };
        Ok(Some(Run { begin: Some(begin), bytes, last: false, end }))
    }

    fn position(&self) -> u64 {
        let kept = if self.ended { self.buf.unread().len() } else { 0 };
        self.buf.position().saturating_add(kept as u64)
    }

    fn skip_frame(&mut self) -> bool {
        self.buf.skip_frame().is_ok()
    }

    fn can_search(&self) -> bool {
        true
    }

    fn search(&mut self, input: &mut &[u8]) -> Option<u64> {
        loop {
            if let Some(skipped) = self.buf.resync().ok()? {
                return Some(skipped);
            }
            if input.is_empty() {
                return None;
            }
            self.extend(input);
        }
    }

    /// What a damaged length takes for one frame up to the end may hold others.
    fn search_end(&mut self) -> Option<u64> {
        while self.buf.reject_frame().is_ok() {
            if let Some(skipped) = self.buf.resync().ok()? {
                self.ended = false;
                return Some(skipped);
            }
        }
        None
    }

    fn begin_search(&mut self) -> u64 {
        self.extend(&mut &[0][..]);
        let _ = self.buf.reject_frame();
        1
    }
}

#[cfg(test)]
mod tests {
    use unstick_cookbook::ubx;

    use super::*;
    use crate::wire::AnyWire;

    /// Returns what a source finds in a stream that arrives in chunks of `cut` bytes: frames, errors,
    /// and how many bytes were skipped after each.
    fn events(stream: &[u8], cut: usize) -> Vec<String> {
        let AnyWire::Checked(checked) = "ubx".parse().unwrap() else { panic!() };
        let mut source = Kept::new(Framing::new(checked.wire::<2>()));
        let mut out = Vec::new();
        let mut searching = false;
        let mut chunks = stream.chunks(cut).map(Some).chain([None]);
        let mut input: &[u8] = b"";
        loop {
            if searching {
                match source.search(&mut input) {
                    Some(skipped) => {
                        out.push(format!("skipped {skipped}"));
                        searching = false;
                    }
                    None if input.is_empty() => {}
                    None => panic!(),
                }
            }
            if !searching {
                match source.decode(&mut input) {
                    Ok(Some(run)) => {
                        let at = run.begin.unwrap().at;
                        out.push(format!("{at} {}", String::from_utf8_lossy(run.bytes)));
                        continue;
                    }
                    Ok(None) => {}
                    Err(error) => {
                        out.push(format!("error {}", error.at()));
                        searching = true;
                        continue;
                    }
                }
            }
            match chunks.next() {
                Some(Some(chunk)) => input = chunk,
                Some(None) => break,
                None => unreachable!(),
            }
        }
        loop {
            while let Ok(Some(run)) = source.end() {
                out.push(format!("cut {}", run.begin.unwrap().at));
            }
            if source.end().is_ok() {
                return out;
            }
            let Some(skipped) = source.search_end() else { return out };
            out.push(format!("skipped {skipped} at the end"));
            while let Ok(Some(run)) = source.decode(&mut input) {
                let at = run.begin.unwrap().at;
                out.push(format!("{at} {}", String::from_utf8_lossy(run.bytes)));
            }
        }
    }

    fn stream() -> Vec<u8> {
        let mut stream = Vec::new();
        for payload in [b"one", b"two", b"six", b"ten"] {
            ubx::framing().encode(ubx::Meta { class: 1, id: 2 }, payload, &mut stream).unwrap();
        }
        stream
    }

    #[test]
    fn a_damaged_length_costs_one_frame_in_any_cut() {
        for bit in 0..16 {
            let mut damaged = stream();
            damaged[11 + 4 + bit / 8] ^= 1 << (bit % 8);
            let expected = events(&damaged, damaged.len());
            // The first frame, and both after the damaged one.
            let frames = expected.iter().filter(|event| event.starts_with(char::is_numeric));
            assert_eq!(frames.collect::<Vec<_>>(), ["0 one", "22 six", "33 ten"], "{bit}");
            assert!(expected.iter().any(|event| event.starts_with("skipped 11")), "{expected:?}");
            for cut in 1..damaged.len() {
                assert_eq!(events(&damaged, cut), expected, "{bit} {cut}");
            }
        }
    }

    #[test]
    fn a_stream_that_is_cut_ends_in_the_last_frame() {
        let stream = stream();
        for (len, expected) in [(44, &["33 ten"][..]), (43, &["cut 33"]), (36, &[]), (33, &[])] {
            let mut all = vec!["0 one", "11 two", "22 six"];
            all.extend(expected);
            assert_eq!(events(&stream[..len], 7), all, "{len}");
        }
    }
}

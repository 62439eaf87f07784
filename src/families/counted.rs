//! Frames whose header announces the payload's length, with a check after it or without.

use core::ops::Range;

use crate::check::{Check, Checked, TrailerBuf, V2};
use crate::decoder::CountedState;
use crate::encode::{EncodedHeader, encode_header, write_into};
use crate::error::{EncodeError, RecoverError};
use crate::format::{Format, HeaderBuf, InDatagram, MAX_PAYLOAD_LEN, SelfChecking, header};
use crate::frame::Frame;
use crate::scan::CountedScan;
use crate::wire::{Found, KnownLength, Resync, Search, Wire};

type MetaOf<W> = <<W as KnownLength>::Header as Format>::Meta;
type TrailerOf<W> = <<W as KnownLength>::Check as Check>::Trailer;
type DigestOf<W> = <<W as KnownLength>::Check as Check>::Digest;

impl<W: KnownLength> Wire for W {
    type Meta = MetaOf<W>;
    type Len = u64;
    type Decoding = CountedState<W>;
    type Scanning = CountedScan<W>;
    type Digest = DigestOf<W>;
    type Trailer = TrailerOf<W>;
    type Head = EncodedHeader<W::Header>;

    const PAYLOAD_LAST: bool = TrailerOf::<W>::LEN == 0;
    const END_COMPLETES: bool = false;
    const ESCAPED: bool = false;

    #[inline]
    fn longest_payload(&self) -> u64 {
        let max = MAX_PAYLOAD_LEN - TrailerOf::<W>::LEN as u64;
        self.header_format().max_payload_len().min(max)
    }

    fn max_frame_len(&self, payload_len: u64) -> u64 {
        payload_len.saturating_add(self.around_len())
    }

    fn payload_within(&self, room: u64) -> u64 {
        room.saturating_sub(self.around_len())
    }

    #[inline(always)]
    fn borrow_frame<'a>(found: &Found<MetaOf<W>>, bytes: &'a [u8]) -> Option<Frame<'a, MetaOf<W>>> {
        let (meta, header_len) = (found.header.meta.clone(), found.header.header_len);
        if TrailerOf::<W>::LEN == 0 {
            return Frame::from_parts(meta, header_len, bytes);
        }
        let payload_len = bytes.len().checked_sub(header_len)?.checked_sub(TrailerOf::<W>::LEN)?;
        Frame::from_range(meta, header_len, payload_len, bytes)
    }

    fn unescape_frame(&self, frame: &mut [u8]) -> Range<usize> {
        0..frame.len()
    }

    #[inline]
    fn place_in_datagram(&self, meta: &MetaOf<W>) -> InDatagram {
        self.header_format().in_datagram(meta)
    }

    fn frame_head(
        &self,
        limit: u64,
        meta: &MetaOf<W>,
        payload_len: u64,
    ) -> Option<Result<EncodedHeader<W::Header>, EncodeError>> {
        Some(encode_header(self.header_format(), limit, meta, payload_len))
    }

    #[inline]
    fn begin_digest(&self, head: &[u8]) -> DigestOf<W> {
        self.check_after().begin(head)
    }

    #[inline]
    fn update_digest(&self, digest: DigestOf<W>, run: &[u8]) -> DigestOf<W> {
        self.check_after().update(digest, run)
    }

    #[inline]
    fn frame_trailer(&self, digest: DigestOf<W>) -> TrailerOf<W> {
        self.check_after().trailer(digest)
    }

    #[inline(always)]
    fn write_frame(
        &self,
        limit: u64,
        meta: &MetaOf<W>,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let header = encode_header(self.header_format(), limit, meta, payload.len() as u64)?;
        if TrailerOf::<W>::LEN == 0 {
            return write_into(header, payload, &[], out);
        }
        write_into(header, payload, trailer(self, header.as_bytes(), payload).as_ref(), out)
    }

    #[cfg(feature = "alloc")]
    #[inline(always)]
    fn append_frame(
        &self,
        limit: u64,
        meta: &MetaOf<W>,
        payload: &[u8],
        out: &mut alloc::vec::Vec<u8>,
    ) -> Result<(), EncodeError> {
        let header = encode_header(self.header_format(), limit, meta, payload.len() as u64)?;
        header.append(payload, out);
        if TrailerOf::<W>::LEN > 0 {
            out.extend_from_slice(trailer(self, header.as_bytes(), payload).as_ref());
        }
        Ok(())
    }

    #[cfg(feature = "alloc")]
    fn own_frame(
        &self,
        limit: u64,
        meta: MetaOf<W>,
        payload: &[u8],
    ) -> Result<crate::frame::OwnedFrame<MetaOf<W>>, EncodeError> {
        let header = encode_header(self.header_format(), limit, &meta, payload.len() as u64)?;
        let header = header.as_bytes();
        let trailer = trailer(self, header, payload);
        Ok(crate::frame::OwnedFrame::from_parts(meta, header, payload, trailer.as_ref()))
    }
}

/// Bytes of a frame that are not payload.
trait AroundPayload {
    fn around_len(&self) -> u64;
}

impl<W: KnownLength> AroundPayload for W {
    fn around_len(&self) -> u64 {
        (self.header_format().max_header_len() + TrailerOf::<W>::LEN) as u64
    }
}

fn trailer<W: KnownLength>(wire: &W, header: &[u8], payload: &[u8]) -> TrailerOf<W> {
    let check = wire.check_after();
    check.trailer(check.update(check.begin(header), payload))
}

impl<F: SelfChecking> Search for F {
    const ROOM: usize = F::HeaderBuf::LEN;

    fn begin_search(state: &mut CountedScan<F>) -> Result<(), RecoverError> {
        state.begin_search()
    }
}

impl<F: SelfChecking> Resync for F {
    fn resync(
        &self,
        state: &mut CountedState<F>,
        input: &mut &[u8],
    ) -> Result<Option<u64>, RecoverError> {
        state.resync(self, input)
    }
}

impl<F: Format, C: Check> Search for Checked<F, C> {
    const ROOM: usize = F::HeaderBuf::LEN;

    fn begin_search(state: &mut CountedScan<Self>) -> Result<(), RecoverError> {
        state.begin_search()
    }
}

impl<F: Format, C: Check> Search for &Checked<F, C> {
    const ROOM: usize = F::HeaderBuf::LEN;

    fn begin_search(state: &mut CountedScan<Self>) -> Result<(), RecoverError> {
        state.begin_search()
    }
}

impl Search for V2 {
    const ROOM: usize = header::HEADER_LEN;

    fn begin_search(state: &mut CountedScan<Self>) -> Result<(), RecoverError> {
        state.begin_search()
    }
}

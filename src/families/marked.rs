//! Frames that end with a mark, with a check as the end of their content or without.

use core::ops::Range;

use crate::check::{Check, NoCheck, TrailerBuf};
use crate::decoder::MarkedState;
use crate::encode::EncodedHeader;
use crate::error::{EncodeError, RecoverError};
use crate::format::{InDatagram, MAX_PAYLOAD_LEN, V1, copy_payload};
use crate::frame::Frame;
use crate::mark::{AnyDelimiter, Cobs, Delimited, Hdlc, HdlcOctets, Lines, Mark, Marked, Slip};
use crate::scan::MarkedScan;
use crate::wire::{EndsWithMark, Found, Resync, Search, Wire};

type TrailerOf<W> = <<W as EndsWithMark>::Check as Check>::Trailer;

impl<M: Mark, C: Check> EndsWithMark for Marked<M, C> {
    type Mark = M;
    type Check = C;
    #[inline(always)]
    fn end_mark(&self) -> &M {
        self.mark()
    }
    #[inline(always)]
    fn check_before(&self) -> &C {
        self.check()
    }
}

impl<C: Check> EndsWithMark for Hdlc<C> {
    type Mark = HdlcOctets;
    type Check = C;
    #[inline(always)]
    fn end_mark(&self) -> &HdlcOctets {
        &HdlcOctets
    }
    #[inline(always)]
    fn check_before(&self) -> &C {
        self.check()
    }
}

/// Lets marks be used without [`Marked`].
macro_rules! unchecked {
    ($([$($bounds:tt)*] $name:ty;)+) => {$(
        impl<$($bounds)*> EndsWithMark for $name {
            type Mark = Self;
            type Check = NoCheck;
            #[inline(always)]
            fn end_mark(&self) -> &Self {
                self
            }
            #[inline(always)]
            fn check_before(&self) -> &NoCheck {
                &NoCheck
            }
        }
    )+};
}

unchecked! {
    [] Lines;
    [D: AsRef<[u8]>] Delimited<D>;
    [D: AsRef<[u8]>] AnyDelimiter<D>;
    [] Cobs;
    [] Slip;
}

impl<W: EndsWithMark> EndsWithMark for &W {
    type Mark = W::Mark;
    type Check = W::Check;
    #[inline(always)]
    fn end_mark(&self) -> &W::Mark {
        (**self).end_mark()
    }
    #[inline(always)]
    fn check_before(&self) -> &W::Check {
        (**self).check_before()
    }
}

/// Writes a frame by calls of `put`.
fn encode<W: EndsWithMark>(
    wire: &W,
    limit: u64,
    payload: &[u8],
    put: &mut dyn FnMut(&[u8]),
) -> Result<(), EncodeError> {
    let len = payload.len() as u64;
    if len > limit {
        return Err(EncodeError::Oversize { len, limit });
    }
    if TrailerOf::<W>::LEN == 0 {
        return wire.end_mark().encode(&[payload], put);
    }
    let check = wire.check_before();
    let trailer = check.trailer(check.update(check.begin(&[]), payload));
    wire.end_mark().encode(&[payload, trailer.as_ref()], put)
}

/// Implements the traits of wires for types that end frames with a mark, and for references to them.
macro_rules! wires {
    ($([$($bounds:tt)*] $name:ty;)+) => {$(
        impl<$($bounds)*> Wire for $name {
            type Meta = ();
            type Len = ();
            type Decoding = MarkedState<Self>;
            type Scanning = MarkedScan<Self>;
            type Digest = ();
            type Trailer = [u8; 0];
            type Head = EncodedHeader<V1>;

            const PAYLOAD_LAST: bool = false;
            const END_COMPLETES: bool = true;
            const ESCAPED: bool = !<Self as EndsWithMark>::Mark::VERBATIM;

            fn longest_payload(&self) -> u64 {
                MAX_PAYLOAD_LEN - TrailerOf::<Self>::LEN as u64
            }

            fn max_frame_len(&self, payload_len: u64) -> u64 {
                let content = payload_len.saturating_add(TrailerOf::<Self>::LEN as u64);
                self.end_mark().max_wire_len(content)
            }

            fn payload_within(&self, room: u64) -> u64 {
                payload_within(room, |payload_len| self.max_frame_len(payload_len))
            }

            #[inline(always)]
            fn borrow_frame<'a>(found: &Found<()>, bytes: &'a [u8]) -> Option<Frame<'a, ()>> {
                let payload_len = usize::try_from(found.header.payload_len).ok()?;
                let start = found.header.header_len;
                if Self::ESCAPED {
                    return Frame::from_parts((), 0, bytes.get(start..)?.get(..payload_len)?);
                }
                Frame::from_range((), start, payload_len, bytes)
            }

            #[inline]
            fn unescape_frame(&self, frame: &mut [u8]) -> Range<usize> {
                let content = self.end_mark().unescape(frame);
                let end = content.end.saturating_sub(TrailerOf::<Self>::LEN);
                content.start..end.max(content.start)
            }

            fn place_in_datagram(&self, (): &()) -> InDatagram {
                InDatagram::Delivered
            }

            fn frame_head(&self, _: u64, (): &(), _: u64) -> Option<Result<Self::Head, EncodeError>> {
                None
            }

            fn begin_digest(&self, _: &[u8]) {}
            fn update_digest(&self, (): (), _: &[u8]) {}
            fn frame_trailer(&self, (): ()) -> [u8; 0] {
                []
            }

            fn write_frame(
                &self,
                limit: u64,
                (): &(),
                payload: &[u8],
                out: &mut [u8],
            ) -> Result<usize, EncodeError> {
                // Nothing is written before it is known that all of it can be.
                let (mut needed, room) = (0_usize, out.len());
                encode(self, limit, payload, &mut |run| needed = needed.saturating_add(run.len()))?;
                let Some(mut out) = out.get_mut(..needed) else {
                    return Err(EncodeError::NoRoom { needed, room });
                };
                encode(self, limit, payload, &mut |run| {
                    let rest = core::mem::take(&mut out);
                    if let Some((place, rest)) = rest.split_at_mut_checked(run.len()) {
                        copy_payload(place, run);
                        out = rest;
                    }
                })?;
                Ok(needed)
            }

            #[cfg(feature = "alloc")]
            fn append_frame(
                &self,
                limit: u64,
                (): &(),
                payload: &[u8],
                out: &mut alloc::vec::Vec<u8>,
            ) -> Result<(), EncodeError> {
                let before = out.len();
                let result = encode(self, limit, payload, &mut |run| out.extend_from_slice(run));
                if result.is_err() {
                    out.truncate(before);
                }
                result
            }

            #[cfg(feature = "alloc")]
            fn own_frame(
                &self,
                limit: u64,
                (): (),
                payload: &[u8],
            ) -> Result<crate::frame::OwnedFrame<()>, EncodeError> {
                encode(self, limit, payload, &mut |_| {})?;
                Ok(crate::frame::OwnedFrame::from_parts((), &[], payload, &[]))
            }
        }

        impl<$($bounds)*> Search for $name {
            const ROOM: usize = 1;

            fn begin_search(state: &mut MarkedScan<Self>) -> Result<(), RecoverError> {
                state.begin_search()
            }
        }

        impl<$($bounds)*> Resync for $name {
            fn resync(
                &self,
                state: &mut MarkedState<Self>,
                input: &mut &[u8],
            ) -> Result<Option<u64>, RecoverError> {
                state.begin_search()?;
                Ok(state.search(self, input))
            }
        }
    )+};
}

wires! {
    [M: Mark, C: Check] Marked<M, C>;
    [M: Mark, C: Check] &Marked<M, C>;
    [] Lines;
    [] &Lines;
    [D: AsRef<[u8]>] Delimited<D>;
    [D: AsRef<[u8]>] &Delimited<D>;
    [D: AsRef<[u8]>] AnyDelimiter<D>;
    [D: AsRef<[u8]>] &AnyDelimiter<D>;
    [] Cobs;
    [] &Cobs;
    [] Slip;
    [] &Slip;
    [C: Check] Hdlc<C>;
    [C: Check] &Hdlc<C>;
}

/// Returns the max payload length whose frames have at most `room` bytes.
fn payload_within(room: u64, max_wire_len: impl Fn(u64) -> u64) -> u64 {
    let (mut fits, mut too_long) = (0, room.saturating_add(1));
    while too_long - fits > 1 {
        let middle = fits + (too_long - fits) / 2;
        if max_wire_len(middle) <= room {
            fits = middle;
        } else {
            too_long = middle;
        }
    }
    fits
}

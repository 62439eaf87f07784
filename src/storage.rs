//! The storage of the read and the write buffer.

#[cfg(feature = "alloc")]
use crate::error::EncodeError;
use crate::format::copy_payload;
#[cfg(feature = "alloc")]
use crate::{framing::Framing, wire::Wire};

/// The length that a growing read buffer begins with, and does not shrink below by itself.
#[cfg(feature = "alloc")]
const MIN_LEN: usize = 8 * 1024;
/// The max length to which reads that fill a growing read buffer make it grow, in bytes: 64 KiB, on
/// targets with 16-bit pointers 16 KiB. Larger reads are not faster.
#[cfg(feature = "alloc")]
pub const READ_LEN: usize = 1 << if usize::BITS > 16 { 16 } else { 14 };

/// The storage of a [`FrameBuf`](crate::FrameBuf) or a [`WriteBuf`](crate::WriteBuf): `[u8; N]`,
/// `&mut [u8]`, `Box<[u8]>`, or a `Vec<u8>`, which grows. Sealed.
pub trait Storage: sealed::Storage {}

pub(crate) mod sealed {
    use crate::error::EncodeError;
    use crate::format::copy_payload;
    use crate::framing::Framing;
    use crate::wire::Wire;

    pub trait Storage {
        /// Whether the storage grows with what it holds.
        const GROWS: bool = false;

        fn bytes(&self) -> &[u8];
        fn bytes_mut(&mut self) -> &mut [u8];

        /// Moves the bytes at `start..end` to the front.
        fn move_to_front(&mut self, start: usize, end: usize) {
            super::move_to_front(self.bytes_mut(), start, end);
        }

        /// Whether a growing storage of this length has grown for a large frame.
        #[inline(always)]
        fn is_large(len: usize) -> bool {
            let _ = len;
            false
        }

        /// Returns the length to shrink to after a large frame.
        fn usual(&self) -> usize {
            self.bytes().len()
        }

        /// Returns the next larger length: up to `READ_LEN` bytes, or up to `max` if the storage is
        /// `full`, since a large frame then needs more.
        fn larger(&self, full: bool, max: usize) -> usize {
            let _ = (full, max);
            self.bytes().len()
        }

        /// Changes the length; a storage of fixed size stays as it is.
        fn resize(&mut self, len: usize) {
            let _ = len;
        }

        // The methods below are for writing. `end` is the end of the bytes that the storage holds,
        // which is the length of a growing storage.

        /// Empties a growing storage.
        fn begin_writing(&mut self) {}

        /// Appends an encoded frame and returns where it ends.
        #[inline]
        fn encode<F: Wire>(
            &mut self,
            end: usize,
            framing: &Framing<F>,
            meta: &F::Meta,
            payload: &[u8],
        ) -> Result<usize, EncodeError> {
            let free = self.bytes_mut().get_mut(end..).unwrap_or_default();
            Ok(end + framing.encode_into(meta, payload, free)?)
        }

        /// Appends as many of these bytes as there is room for, and returns how many.
        fn append(&mut self, end: usize, bytes: &[u8]) -> usize {
            let free = self.bytes_mut().get_mut(end..).unwrap_or_default();
            copy_payload(free, bytes);
            bytes.len().min(free.len())
        }

        /// Drops what a growing storage holds from `end` on.
        fn truncate(&mut self, end: usize) {
            let _ = end;
        }

        /// Frees the memory of an empty growing storage if it is more than `len` bytes.
        fn release(&mut self, len: usize) {
            let _ = len;
        }
    }
}

impl<const N: usize> Storage for [u8; N] {}
impl<const N: usize> sealed::Storage for [u8; N] {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }
    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl Storage for &mut [u8] {}
impl sealed::Storage for &mut [u8] {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }
    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

#[cfg(feature = "alloc")]
impl Storage for alloc::boxed::Box<[u8]> {}
#[cfg(feature = "alloc")]
impl sealed::Storage for alloc::boxed::Box<[u8]> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }
    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

#[cfg(feature = "alloc")]
impl Storage for alloc::vec::Vec<u8> {}
#[cfg(feature = "alloc")]
impl sealed::Storage for alloc::vec::Vec<u8> {
    const GROWS: bool = true;

    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }
    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
    fn move_to_front(&mut self, start: usize, end: usize) {
        if start <= end && end <= self.len() {
            self.copy_within(start..end, 0);
        }
    }
    #[inline(always)]
    fn is_large(len: usize) -> bool {
        len > READ_LEN
    }
    fn usual(&self) -> usize {
        READ_LEN
    }
    fn larger(&self, full: bool, max: usize) -> usize {
        let doubled = self.len().saturating_mul(2).max(MIN_LEN).max(self.capacity());
        let max = if full { max.max(READ_LEN) } else { READ_LEN };
        doubled.min(max).max(self.len())
    }
    fn resize(&mut self, len: usize) {
        if len > self.len() {
            // In place, if the allocator can: that costs less than memory that is zeroed already.
            self.reserve_exact(len - self.len());
            self.resize(len, 0);
        } else if len < self.len() {
            self.truncate(len);
            self.shrink_to_fit();
        }
    }

    fn begin_writing(&mut self) {
        self.clear();
    }
    #[inline(always)]
    fn encode<F: Wire>(
        &mut self,
        _end: usize,
        framing: &Framing<F>,
        meta: &F::Meta,
        payload: &[u8],
    ) -> Result<usize, EncodeError> {
        framing.encode(meta, payload, self)?;
        Ok(self.len())
    }
    fn append(&mut self, _end: usize, bytes: &[u8]) -> usize {
        self.extend_from_slice(bytes);
        bytes.len()
    }
    fn truncate(&mut self, end: usize) {
        self.truncate(end);
    }
    fn release(&mut self, len: usize) {
        if self.is_empty() && self.capacity() > len {
            *self = alloc::vec::Vec::new();
        }
    }
}

/// Moves `bytes[start..end]` to the front, in blocks as long as the gap, so that each is a copy
/// between two disjoint slices. `copy_within` would keep a panic path at some optimisation levels.
fn move_to_front(bytes: &mut [u8], start: usize, end: usize) {
    let mut rest = bytes.get_mut(..end).unwrap_or_default();
    while let Some((gap, tail)) = rest.split_at_mut_checked(start) {
        if gap.is_empty() || tail.is_empty() {
            break;
        }
        copy_payload(gap, tail);
        rest = rest.get_mut(start..).unwrap_or_default();
    }
}

//! The storage of the read and the write buffer.

#[cfg(feature = "alloc")]
use crate::error::EncodeError;
use crate::format::copy_payload;
#[cfg(feature = "alloc")]
use crate::{framing::Framing, wire::Wire};

/// The length that a growing read buffer begins with, and does not shrink below by itself.
pub(crate) const MIN_LEN: usize = 8 * 1024;
/// The max length to which reads that fill a growing read buffer make it grow, in bytes: 64 KiB, on
/// targets with 16-bit pointers 16 KiB. More is for larger frames, and is used in steps of this length.
pub(crate) const READ_LEN: usize = 1 << if usize::BITS > 16 { 16 } else { 14 };

/// The length of the storage that the readers of a thread share, in bytes. A longer one has grown for a
/// large frame.
#[cfg(feature = "alloc")]
pub(crate) const SHARED_LEN: usize = READ_LEN / 2 * 3;

/// The storage of a [`FrameBuf`](crate::FrameBuf) or a [`WriteBuf`](crate::WriteBuf): `[u8; N]`,
/// `&mut [u8]`, `Box<[u8]>`, or a `Vec<u8>`, which grows. Sealed.
///
/// ```
/// use unstick::{FrameBuf, Storage, U8};
///
/// fn payloads(storage: impl Storage) -> usize {
///     let mut buf = FrameBuf::with_framing(storage, U8).unwrap();
///     buf.extend(b"\x02hi\x03you");
///     std::iter::from_fn(|| buf.next_frame().unwrap().map(|frame| frame.payload.len())).count()
/// }
/// assert_eq!(payloads([0; 16]), 2);
/// assert_eq!(payloads(&mut [0; 16][..]), 2);
/// assert_eq!(payloads(Vec::new()), 2);
/// ```
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

        /// Returns the memory that the storage has, in bytes; a growing one may not use all of it yet.
        fn capacity(&self) -> usize {
            self.bytes().len()
        }

        /// Lets a growing storage have at least `capacity` bytes of memory; its length stays.
        fn reserve(&mut self, capacity: usize) {
            let _ = capacity;
        }

        /// Makes more of a growing storage's memory usable.
        fn lengthen(&mut self) {}

        /// Shrinks a growing storage to this length; a storage of fixed size stays as it is.
        fn shrink(&mut self, len: usize) {
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
        len > SHARED_LEN
    }
    #[inline]
    fn capacity(&self) -> usize {
        self.capacity()
    }
    fn reserve(&mut self, capacity: usize) {
        self.reserve_exact(capacity.saturating_sub(self.len()));
    }
    fn lengthen(&mut self) {
        // In steps: what is set to zero is in the cache when the next read overwrites it, and memory
        // that no byte has reached is not touched.
        let len = self.len().saturating_add(READ_LEN).min(self.capacity());
        self.resize(len, 0);
    }
    fn shrink(&mut self, len: usize) {
        if len < self.capacity() {
            self.truncate(len);
            self.shrink_to(len);
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

//! A read buffer over a `Vec`.

use alloc::vec::Vec;

use super::{FILLED, FrameBuf, LARGE};
use crate::format::copy_payload;
use crate::framing::Framing;
use crate::storage::SHARED_LEN;
use crate::wire::Wire;

impl<F: Wire> FrameBuf<Vec<u8>, F> {
    /// Creates a buffer over an empty `Vec`, which grows, so that any limit is possible.
    pub fn growing(framing: impl Into<Framing<F>>) -> Self {
        Self::build(Vec::new(), framing.into())
    }

    /// Lets the storage grow, in one step, for the rest of a frame of up to `frame_bytes` bytes, as soon
    /// as its header is complete and within the limit; zero, the default, lets it grow with what arrives.
    ///
    /// A large frame is then read with fewer copies. The price: a peer that sends a header and nothing
    /// else costs `frame_bytes` bytes, so promise 7, memory follows arrivals, holds beyond that number
    /// only. On a reader: `reader.buf_mut().reserve_announced(n)`.
    pub fn reserve_announced(&mut self, frame_bytes: usize) {
        self.reserve = frame_bytes;
    }

    /// Returns the unread bytes alone.
    pub fn into_unread(self) -> Vec<u8> {
        let (mut storage, unread) = self.into_parts();
        storage.truncate(unread.end);
        storage.drain(..unread.start);
        storage
    }

    /// Commits all of `bytes`, growing the storage for them: for bytes that another parser has read
    /// from the stream before.
    pub fn extend_all(&mut self, mut bytes: &[u8]) {
        while let Some(rest) = bytes.get(self.extend(bytes)..) {
            if rest.len() == bytes.len() {
                break;
            }
            bytes = rest;
        }
    }

    /// Calls `read` with the storage if all of it is in use and it has memory for more, which a large
    /// frame needs: what `read` appends, up to the capacity, counts as committed. Otherwise returns `None`:
    /// read into [`spare`](Self::spare).
    ///
    /// For readers that can append to a `Vec`, so that memory for a large frame is not set to zero before
    /// they overwrite it. `read` must leave what is there as it is.
    #[inline]
    pub fn append_with<T>(&mut self, read: impl FnOnce(&mut Vec<u8>) -> T) -> Option<T> {
        if self.end < self.storage.len() || self.append_room() == 0 {
            return None;
        }
        let result = read(&mut self.storage);
        self.end = self.storage.len();
        self.start = self.start.min(self.end);
        Some(result)
    }

    /// Moves the unread bytes into `storage` and returns the storage that held them; or returns
    /// `storage`, if they do not fit.
    ///
    /// Readers that share one large storage use it: a reader needs the storage only while bytes are
    /// there to be read.
    pub fn replace_storage(&mut self, mut storage: Vec<u8>) -> Vec<u8> {
        let kept = self.kept();
        if kept.len() > storage.len() {
            return storage;
        }
        copy_payload(&mut storage, kept);
        self.end -= self.start;
        self.need = self.need.saturating_sub(self.start);
        (self.start, self.quiet) = (0, 0);
        let old = core::mem::replace(&mut self.storage, storage);
        self.look_first = if self.is_short_of_reserve() { FILLED } else { LARGE };
        old
    }

    /// Moves the unread bytes into a storage of just their length, and returns the storage that held
    /// them.
    pub fn take_storage(&mut self) -> Vec<u8> {
        if self.storage.capacity() > SHARED_LEN {
            self.before = self.storage.capacity();
        }
        self.replace_storage(self.kept().to_vec())
    }
}

//! The room to read into: where it is, and how a growing storage follows what arrives.

use super::{FILLED, FrameBuf, LARGE, LARGE_FRAME};
use crate::format::copy_payload;
use crate::storage::{MIN_LEN, READ_LEN, Storage};
use crate::wire::Wire;

/// After this many reads in a row that needed no more than the usual length, a growing buffer shrinks
/// to it.
const QUIET_READS: u8 = 8;
/// A growing buffer that is full of a frame's beginning becomes this many times as long, if the frame is
/// so long.
const GROWTH: usize = 3;
/// A growing buffer reads at most this many bytes after the end of a large frame: the next header, with small
/// frames.
const READ_AHEAD: usize = 4 * 1024;

impl<S: Storage, F: Wire> FrameBuf<S, F> {
    /// Returns the room to read into. If needed it makes some first, by moving the unread bytes to
    /// the storage's beginning or by letting the storage grow.
    ///
    /// It is empty only if the storage is full of frames that were not taken, or the stream has
    /// failed.
    #[inline]
    pub fn spare(&mut self) -> &mut [u8] {
        let len = self.storage.bytes().len();
        if self.start == self.end
            || len - self.end <= len / 4
            || self.look_first != 0
            || S::is_large(len)
        {
            if S::GROWS && self.look_first & LARGE != 0 {
                return self.spare_for_large();
            }
            self.make_room();
        }
        self.storage.bytes_mut().get_mut(self.end..).unwrap_or_default()
    }

    /// Returns the room for a large frame, and little more.
    #[inline(never)]
    fn spare_for_large(&mut self) -> &mut [u8] {
        // The rest of a frame that fits needs no other room, however small its parts are.
        if self.end >= self.need || self.need > self.storage.bytes().len() {
            self.make_room();
        }
        let mut end = self.storage.bytes().len();
        if self.end < self.need && self.need - self.start >= LARGE_FRAME {
            end = end.min(self.need.saturating_add(READ_AHEAD));
        } else {
            self.look_first &= !LARGE;
        }
        self.storage.bytes_mut().get_mut(self.end..end).unwrap_or_default()
    }

    /// Counts the first `n` bytes of [`spare`](Self::spare) as read; at most all of them.
    #[inline]
    pub fn commit(&mut self, n: usize) {
        let room = self.storage.bytes().len() - self.end;
        self.end += n.min(room);
        if S::GROWS && n >= room && self.end == self.storage.capacity() {
            self.look_first |= FILLED;
        }
    }

    /// Copies the beginning of `bytes` into the spare room and returns how many bytes were copied:
    /// for bytes that cannot be read in place.
    pub fn extend(&mut self, bytes: &[u8]) -> usize {
        if S::GROWS && bytes.len() >= READ_AHEAD {
            let room = self.append_room();
            if let (1.., Some(bytes)) = (room, bytes.get(..room.min(bytes.len()))) {
                let taken = self.storage.append(self.end, bytes);
                self.end += taken;
                return taken;
            }
        }
        let spare = self.spare();
        let taken = bytes.len().min(spare.len());
        copy_payload(spare, bytes);
        self.commit(taken);
        taken
    }

    /// Returns how many bytes can be appended to a growing storage, all of which is in use; zero if there
    /// is other room, which [`spare`](Self::spare) returns.
    pub(super) fn append_room(&mut self) -> usize {
        if !S::GROWS || self.end < self.storage.bytes().len() {
            return 0;
        }
        self.reserve_room();
        let len = self.storage.bytes().len();
        if self.end < len { 0 } else { self.storage.capacity() - len }
    }

    /// Whether the storage is to grow for the rest of a frame whose header is complete.
    pub(super) fn is_short_of_reserve(&self) -> bool {
        let capacity = self.storage.capacity();
        let frame = self.need.saturating_sub(self.start);
        S::GROWS && self.reserve > capacity && capacity > 0 && frame > capacity
    }

    fn make_room(&mut self) {
        self.reserve_room();
        let len = self.storage.bytes().len();
        if S::GROWS && len < self.storage.capacity() && len - self.end < READ_LEN / 4 {
            self.storage.lengthen();
        }
    }

    /// Moves unread bytes and adapts a growing storage, so that it has memory after them.
    fn reserve_room(&mut self) {
        let capacity = self.storage.capacity();
        let unread = self.end - self.start;
        let tail = capacity - self.end;
        // Lazily: only if it frees at least as much as it moves, or the frame does not fit after its
        // beginning, so that every byte is moved a bounded number of times.
        let fits = tail > 0 && self.need <= capacity;
        if unread == 0 || !fits || (tail < capacity / 4 && self.start >= unread) {
            self.compact();
        }
        if self.is_short_of_reserve() {
            self.compact();
            self.storage.reserve(self.need.min(self.reserve));
            self.look_first &= !FILLED;
            self.quiet = 0;
        } else if S::GROWS {
            self.adapt(unread);
        }
    }

    /// Moves the unread bytes to the storage's beginning.
    pub(super) fn compact(&mut self) {
        if self.start > 0 {
            if self.start < self.end {
                self.storage.move_to_front(self.start, self.end);
            }
            self.end -= self.start;
            self.need = self.need.saturating_sub(self.start);
            self.start = 0;
        }
    }

    /// Adapts a growing storage to what arrives, both ways.
    fn adapt(&mut self, unread: usize) {
        let capacity = self.storage.capacity();
        let full = self.end == capacity;
        if full || self.look_first & FILLED != 0 {
            self.look_first &= !FILLED;
            self.quiet = 0;
            let wanted = self.wanted(full, capacity);
            self.storage.reserve(wanted);
        } else if S::is_large(capacity) {
            // The usual length has room after the unread bytes, and for the frame that they begin.
            let used = unread.saturating_add(1).max(self.need.saturating_sub(self.start));
            self.quiet = if S::is_large(used) { 0 } else { self.quiet + 1 };
            if self.quiet >= QUIET_READS {
                self.quiet = 0;
                self.before = 0;
                self.compact();
                self.storage.shrink(READ_LEN.max(used));
            }
        }
    }

    /// Returns the capacity that a growing storage of `len` bytes needs next.
    fn wanted(&mut self, full: bool, len: usize) -> usize {
        let doubled = len.saturating_mul(2).max(MIN_LEN);
        if !full || len == 0 {
            return doubled.min(READ_LEN).max(len);
        }
        // A storage that was filled by a read may become as large again as it was before.
        let before = core::mem::take(&mut self.before);
        let max = usize::try_from(self.scanner.max_frame_len()).unwrap_or(usize::MAX);
        let frame = self.need.saturating_sub(self.start);
        if frame <= len {
            return doubled.max(before).min(max.max(READ_LEN)).max(len);
        }
        // No more than the frame needs, and the beginning of the next one, which is moved to the front.
        let tripled = len.saturating_mul(GROWTH).max(before);
        tripled.min(frame.saturating_add(READ_AHEAD)).min(max.max(READ_LEN))
    }
}

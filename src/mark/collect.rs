//! Short runs that are written together.

use crate::format::copy;

/// The number of bytes that are collected.
const LEN: usize = 256;
/// Longer runs are written on their own.
const SHORT: usize = 32;

/// Collects short runs, so that there are few calls of `put`.
pub(super) struct Collected<'a> {
    bytes: [u8; LEN],
    len: usize,
    put: &'a mut dyn FnMut(&[u8]),
}

impl<'a> Collected<'a> {
    #[inline]
    pub(super) fn new(put: &'a mut dyn FnMut(&[u8])) -> Self {
        Self { bytes: [0; LEN], len: 0, put }
    }

    /// Returns room for `N` bytes, of which [`add`](Self::add) says how many were written.
    #[inline(always)]
    pub(super) fn room<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        if LEN - self.len < N {
            self.write();
        }
        self.bytes.get_mut(self.len..)?.first_chunk_mut()
    }

    /// Adds `len` bytes that were written to the [`room`](Self::room).
    #[inline(always)]
    pub(super) fn add(&mut self, len: usize) {
        self.len += len;
    }

    /// Appends a run.
    #[inline(always)]
    pub(super) fn push(&mut self, run: &[u8]) {
        if run.len() > SHORT {
            self.write();
            (self.put)(run);
        } else if let Some(room) = self.room::<SHORT>() {
            copy(room, run);
            self.add(run.len());
        }
    }

    /// Writes what was collected.
    #[inline(never)]
    pub(super) fn write(&mut self) {
        let run = self.bytes.get(..self.len).unwrap_or_default();
        if !run.is_empty() {
            (self.put)(run);
        }
        self.len = 0;
    }
}

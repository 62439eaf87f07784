//! One storage for all readers of a thread.

use core::cell::Cell;
use std::vec;
use std::vec::Vec;

use super::{READ_LEN, ReadEngine};
use crate::wire::Wire;

/// The max number of unread bytes that a waiting reader moves to a small storage; with more it keeps
/// the large one.
const IDLE_LEN: usize = 4 * 1024;

std::thread_local! {
    /// The storage that the readers of this thread read into, one after the other: those that wait
    /// need none, and those that read find it in the cache, and need not fill it with zeros.
    static SHARED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl<F: Wire> ReadEngine<Vec<u8>, F> {
    /// Takes the thread's shared storage, of 64 KiB, unless the buffer has a large one. Call it before
    /// each read.
    #[inline]
    pub fn take_shared_storage(&mut self) {
        if self.buf().capacity() <= IDLE_LEN {
            self.replace_by_shared_storage();
        }
    }

    #[inline(never)]
    fn replace_by_shared_storage(&mut self) {
        let mut shared = SHARED.try_with(Cell::take).unwrap_or_default();
        if shared.len() < READ_LEN {
            shared = vec![0; READ_LEN];
        }
        self.buf_mut().replace_storage(shared);
    }

    /// Gives the thread its storage back, and keeps a small one for the unread bytes. Call it before
    /// the reader waits.
    pub fn return_shared_storage(&mut self) {
        let buf = self.buf_mut();
        if buf.capacity() > IDLE_LEN && buf.unread().len() <= IDLE_LEN {
            let storage = buf.take_storage();
            if storage.len() <= READ_LEN {
                let _ = SHARED.try_with(|shared| shared.set(storage));
            }
        }
    }
}

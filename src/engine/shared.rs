//! One storage for all readers of a thread.

use core::cell::Cell;
use core::ops::{Deref, DerefMut};
use std::vec;
use std::vec::Vec;

use super::ReadEngine;
use crate::framing::Framing;
use crate::storage::SHARED_LEN;
use crate::wire::Wire;

/// A reader whose storage is at most this long moves what is in it to the shared one, to read.
const IDLE_LEN: usize = 4 * 1024;
/// A waiting reader whose storage has more than this many times the memory of its unread bytes moves
/// them to one of just their length.
const IDLE_FACTOR: usize = 4;

std::thread_local! {
    /// The storage that the readers of this thread read into, one after the other: those that wait
    /// need none, and those that read find it in the cache, and need not fill it with zeros.
    static SHARED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A [`ReadEngine`] that reads into a storage of 96 KiB that all engines of a thread share, and has one of
/// its own only for a larger frame and while it waits in the middle of a frame: at most four times as long as
/// the bytes in it.
///
/// ```
/// use core::task::Poll;
/// use unstick::U16Be;
/// use unstick::engine::SharedReadEngine;
///
/// let mut engine = SharedReadEngine::new(U16Be);
/// engine.take_storage(); // before each read
/// engine.spare()[..4].copy_from_slice(b"\0\x02hi");
/// engine.received(4);
/// let Poll::Ready(Ok(Some(found))) = engine.poll_frame() else { panic!("a frame is here") };
/// assert_eq!(engine.frame(&found).map(|frame| frame.payload), Some(&b"hi"[..]));
/// engine.return_storage(); // before the reader waits
/// ```
#[derive(Debug)]
pub struct SharedReadEngine<F: Wire>(ReadEngine<Vec<u8>, F>);

impl<F: Wire> SharedReadEngine<F> {
    /// Creates an engine without a storage.
    pub fn new(framing: impl Into<Framing<F>>) -> Self {
        Self(ReadEngine::growing(framing))
    }

    /// Takes the thread's storage, unless the buffer has one of its own. Call it before each read.
    #[inline]
    pub fn take_storage(&mut self) {
        if self.buf().capacity() <= IDLE_LEN {
            self.replace_storage();
        }
    }

    #[inline(never)]
    fn replace_storage(&mut self) {
        let mut shared = SHARED.try_with(Cell::take).unwrap_or_default();
        if shared.len() < SHARED_LEN {
            shared = vec![0; SHARED_LEN];
        }
        self.buf_mut().replace_storage(shared);
    }

    /// Gives the thread its storage back, and keeps one for the unread bytes. Call it before the reader
    /// waits, and at the end of the stream.
    pub fn return_storage(&mut self) {
        let buf = self.buf_mut();
        if buf.capacity() > IDLE_LEN && buf.unread().len() < buf.capacity() / IDLE_FACTOR {
            keep(buf.take_storage());
        }
    }

    /// Returns the bytes that were read and are not consumed.
    pub fn into_unread(mut self) -> Vec<u8> {
        let unread = self.buf().unread().to_vec();
        self.reset();
        unread
    }
}

/// Keeps the thread's storage for the next read.
fn keep(storage: Vec<u8>) {
    if storage.len() == SHARED_LEN && storage.capacity() == SHARED_LEN {
        let _ = SHARED.try_with(|shared| shared.set(storage));
    }
}

impl<F: Wire> Deref for SharedReadEngine<F> {
    type Target = ReadEngine<Vec<u8>, F>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<F: Wire> DerefMut for SharedReadEngine<F> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<F: Wire> Drop for SharedReadEngine<F> {
    fn drop(&mut self) {
        self.reset();
        keep(self.buf_mut().replace_storage(Vec::new()));
    }
}

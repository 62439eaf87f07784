//! The memory of bytes that wait for the disk.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// The number of chunks whose memory is kept for reuse, and their minimum capacity.
const MAX_SPARES: usize = 3;
const MIN_SPARE_CAPACITY: usize = 64 << 10;

/// Bytes that wait to be written and digested. Dropping the chunk releases their share of the
/// limit.
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    pool: Arc<Pool>,
}

/// The state that all chunks of a connection share.
#[derive(Default)]
pub(crate) struct Pool {
    /// The number of bytes in all chunks.
    waiting: AtomicUsize,
    /// Notified when `waiting` decreases.
    fewer: Notify,
    /// Memory of dropped chunks, for reuse.
    spares: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    /// Returns the number of bytes in all chunks.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Waits until there are fewer.
    pub(crate) async fn fewer(&self) {
        self.fewer.notified().await;
    }

    /// Returns memory for a chunk: that of a dropped one, if there is some.
    pub(crate) fn spare(&self) -> Vec<u8> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Releases the memory that is kept for reuse: a peer without files takes none.
    pub(crate) fn release(&self) {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Chunk {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn new(bytes: Vec<u8>, pool: &Arc<Pool>) -> Self {
        pool.waiting.fetch_add(bytes.len(), Ordering::AcqRel);
        Self { bytes, pool: Arc::clone(pool) }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let Self { bytes, pool } = self;
        pool.waiting.fetch_sub(bytes.len(), Ordering::AcqRel);
        pool.fewer.notify_one();
        let mut spares = pool.spares.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.capacity() >= MIN_SPARE_CAPACITY && spares.len() < MAX_SPARES {
            bytes.clear();
            spares.push(std::mem::take(bytes));
        }
    }
}

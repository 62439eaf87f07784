//! The memory of bytes that wait for the disk.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// The number of chunks of all connections whose memory is kept for reuse, and their capacities.
const MAX_SPARES: usize = 4;
const SPARE_CAPACITY: RangeInclusive<usize> = 64 << 10..=1 << 20;

/// Memory of dropped chunks, for reuse. It is not of a connection, of which there may be thousands.
static SPARES: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

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
}

/// Returns memory for a chunk: that of a dropped one, if there is some.
pub(crate) fn spare() -> Vec<u8> {
    SPARES.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
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
        let mut spares = SPARES.lock().unwrap_or_else(PoisonError::into_inner);
        if SPARE_CAPACITY.contains(&bytes.capacity()) && spares.len() < MAX_SPARES {
            bytes.clear();
            spares.push(std::mem::take(bytes));
        }
    }
}

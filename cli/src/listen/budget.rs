//! The memory that all peers together may fill.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::sleep;

/// What each connection may hold whatever the others hold, so that small messages always pass.
const OWN_SHARE: u64 = 64 << 10;
/// How much is read before the budget is asked again.
const STEP: u64 = 64 << 10;
/// How long a connection waits before it asks again.
const PAUSE: Duration = Duration::from_millis(50);
/// The allowance after a read was refused and the connection was told.
const REFUSED: u64 = u64::MAX;

/// The bytes that all connections hold above their own shares.
#[derive(Debug)]
pub(crate) struct Budget {
    max: u64,
    used: AtomicU64,
    /// Whether a connection holds more than the maximum, so that its frame is completed. Frames that do
    /// not fit together, or one that is longer than the maximum, would wait for each other or for ever.
    is_exceeded: AtomicBool,
}

/// What one connection holds, and how much it may read. Dropped, it returns what it holds.
pub(crate) struct Account {
    budget: Arc<Budget>,
    charged: u64,
    allowance: Arc<AtomicU64>,
    /// Whether this is the connection that may hold more than the maximum.
    exceeds: bool,
    /// Whether nothing may be read until the budget has room.
    waits: bool,
}

/// A reader that reads as much as its account allows.
pub(crate) struct Budgeted<R> {
    inner: R,
    allowance: Arc<AtomicU64>,
}

impl Budget {
    pub(crate) fn new(max: u64) -> Arc<Self> {
        Arc::new(Self { max, used: AtomicU64::new(0), is_exceeded: AtomicBool::new(false) })
    }

    /// Opens the account of a connection.
    pub(crate) fn open<R>(self: &Arc<Self>, inner: R) -> (Budgeted<R>, Account) {
        let allowance = Arc::new(AtomicU64::new(OWN_SHARE));
        let account = Account {
            budget: Arc::clone(self),
            charged: 0,
            allowance: Arc::clone(&allowance),
            exceeds: false,
            waits: false,
        };
        (Budgeted { inner, allowance }, account)
    }

    fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.max
    }
}

impl Account {
    /// Sets the number of bytes that the connection holds, and allows it to read more if it has some
    /// of its share left, or the budget some of its own, or if it is the one that may exceed it.
    pub(crate) fn hold(&mut self, bytes: usize) {
        let held = bytes as u64;
        self.charge(held.saturating_sub(OWN_SHARE));
        let allowance = match OWN_SHARE.saturating_sub(held) {
            0 if self.budget.is_full() && !self.may_exceed() => 0,
            0 => STEP,
            share => share,
        };
        self.allowance.store(allowance, Ordering::Relaxed);
        self.waits = allowance == 0;
    }

    /// Waits until [`hold`](Self::hold) has to be called again, because as much was read as is allowed.
    pub(crate) async fn used_up(&self) {
        if self.waits {
            return sleep(PAUSE).await;
        }
        poll_fn(|_| match self.allowance.load(Ordering::Relaxed) {
            0 | REFUSED => Poll::Ready(()),
            // The reader wakes this task.
            _ => Poll::Pending,
        })
        .await;
    }

    /// Holds nothing any more, and allows any read: what comes is discarded.
    pub(crate) fn close(&mut self) {
        self.charge(0);
        self.waits = false;
        self.allowance.store(REFUSED - 1, Ordering::Relaxed);
    }

    /// Whether this connection may hold more than the maximum. One may, until it is back in its own share.
    fn may_exceed(&mut self) -> bool {
        self.exceeds = self.exceeds || !self.budget.is_exceeded.swap(true, Ordering::Relaxed);
        self.exceeds
    }

    fn charge(&mut self, bytes: u64) {
        if bytes == 0 && std::mem::take(&mut self.exceeds) {
            self.budget.is_exceeded.store(false, Ordering::Relaxed);
        }
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.budget.used.fetch_sub(self.charged, Ordering::Relaxed);
        self.charged = bytes;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.charge(0);
    }
}

impl<R> Budgeted<R> {
    pub(crate) fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Budgeted<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let allowance = match self.allowance.load(Ordering::Relaxed) {
            0 => {
                // The account is in the same task, and was asked before.
                self.allowance.store(REFUSED, Ordering::Relaxed);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            REFUSED => return Poll::Pending,
            allowance => allowance,
        };
        let room = usize::try_from(allowance).unwrap_or(usize::MAX).min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buf.advance(read);
        self.allowance.store(allowance.saturating_sub(read as u64), Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    const MIB: usize = 1 << 20;
    const SHARE: usize = 64 << 10;

    /// Reads until the account refuses, and returns how much.
    async fn read(reader: &mut Budgeted<&[u8]>, account: &mut Account, held: usize) -> usize {
        account.hold(held);
        let (mut read, mut chunk) = (0, [0; 1000]);
        loop {
            tokio::select! {
                biased;
                () = account.used_up() => return read,
                n = reader.read(&mut chunk) => read += n.unwrap(),
            }
        }
    }

    /// Reads until the account refuses, or all is read; returns how much is held then.
    async fn fill(reader: &mut Budgeted<&[u8]>, account: &mut Account, mut held: usize) -> usize {
        while !reader.inner.is_empty() {
            match read(reader, account, held).await {
                0 => break,
                more => held += more,
            }
        }
        held
    }

    #[tokio::test]
    async fn reading_waits_while_the_budget_is_used_up() {
        let bytes = vec![0; 3 * MIB];
        let budget = Budget::new(MIB as u64);
        let (mut a, mut a_account) = budget.open(&bytes[..]);
        let (mut b, mut b_account) = budget.open(&bytes[..]);
        let (mut c, mut c_account) = budget.open(&bytes[..]);
        // One may hold more than there is: its frame is completed, however long it is.
        assert_eq!(fill(&mut a, &mut a_account, 0).await, 3 * MIB);
        // Others have their shares all the same, and no more.
        assert_eq!(fill(&mut b, &mut b_account, 0).await, SHARE);
        assert_eq!(fill(&mut c, &mut c_account, 0).await, SHARE);
        // Until that one has handled its frame. Then frames that do not fit together come one by one.
        a_account.hold(0);
        let c_held = {
            c_account.hold(SHARE);
            let held = SHARE + read(&mut c, &mut c_account, SHARE).await;
            c_account.hold(held);
            held
        };
        assert_eq!(fill(&mut b, &mut b_account, SHARE).await, 3 * MIB);
        assert_eq!(fill(&mut c, &mut c_account, c_held).await, c_held);
        b_account.close();
        assert_eq!(fill(&mut c, &mut c_account, c_held).await, 3 * MIB);
        drop((a_account, c_account));
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
        assert!(!budget.is_exceeded.load(Ordering::Relaxed));
    }
}

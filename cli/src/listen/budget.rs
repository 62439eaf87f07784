//! The memory that all peers together may fill.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
}

/// What one connection holds, and how much it may read. Dropped, it returns what it holds.
pub(crate) struct Account {
    budget: Arc<Budget>,
    charged: u64,
    allowance: Arc<AtomicU64>,
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
        Arc::new(Self { max, used: AtomicU64::new(0) })
    }

    /// Opens the account of a connection.
    pub(crate) fn open<R>(self: &Arc<Self>, inner: R) -> (Budgeted<R>, Account) {
        let allowance = Arc::new(AtomicU64::new(OWN_SHARE));
        let account = Account {
            budget: Arc::clone(self),
            charged: 0,
            allowance: Arc::clone(&allowance),
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
    /// of its share left, or the budget some of its own.
    pub(crate) fn hold(&mut self, bytes: usize) {
        let held = bytes as u64;
        self.charge(held.saturating_sub(OWN_SHARE));
        let allowance = match OWN_SHARE.saturating_sub(held) {
            0 if self.budget.is_full() => 0,
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

    fn charge(&mut self, bytes: u64) {
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

    #[tokio::test]
    async fn reading_waits_while_the_budget_is_used_up() {
        let bytes = vec![0; 3 * MIB];
        let budget = Budget::new(MIB as u64);
        let (mut a, mut a_account) = budget.open(&bytes[..]);
        let (mut b, mut b_account) = budget.open(&bytes[..]);
        let mut held = 0;
        loop {
            let more = read(&mut a, &mut a_account, held).await;
            held += more;
            if more == 0 {
                break;
            }
        }
        // Its own share, and all of the budget.
        assert_eq!(held, MIB + SHARE);
        // Another one has its share all the same, and no more.
        assert_eq!(read(&mut b, &mut b_account, 0).await, SHARE);
        assert_eq!(read(&mut b, &mut b_account, SHARE).await, 0);
        // Until the first one has handled something, or has ended.
        a_account.hold(held - 1);
        assert_eq!(read(&mut b, &mut b_account, SHARE).await, SHARE);
        drop(a_account);
        b_account.hold(2 * MIB);
        assert_eq!(read(&mut b, &mut b_account, 2 * MIB).await, 0);
        drop(b_account);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}

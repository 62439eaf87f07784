//! The memory that all peers together may fill.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, sleep, sleep_until};
use unstick_session::message::Code;

use crate::listen::end::End;
use crate::listen::places::Network;
use crate::listen::shares::{Share, Shares};

/// What each connection may hold whatever the others hold, so that small messages always pass, and data of
/// files: it is a frame with 64 KiB of a file.
const OWN_SHARE: u64 = (64 << 10) + 32;
/// How much is read before the budget is asked again.
const STEP: u64 = 128 << 10;
/// How long a peer may take for a frame or an answer while others wait for its memory: this time, and a
/// second for each of these bytes.
const PATIENCE: Duration = Duration::from_secs(1);
const BYTES_A_SECOND: u64 = 512 << 10;
/// The allowance after a read was refused and the connection was told.
const REFUSED: u64 = u64::MAX;

/// The bytes that all connections hold above their own shares.
///
/// One connection at a time may hold more than the maximum, so that its frame is completed. Frames that do
/// not fit together, or one that is longer than the maximum, would wait for each other or for ever.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Shares>);

/// The number of bytes that a connection holds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Held {
    /// What waits for the peer: frames that are not complete, and answers that it has not taken.
    pub(crate) peer: usize,
    /// The messages that wait for commands.
    pub(crate) commands: usize,
    /// The max length of the answer that a command makes, or is to make next.
    pub(crate) answer: u64,
    /// What waits for the disk.
    pub(crate) disk: usize,
}

impl Held {
    /// Returns the number of all bytes that are there.
    fn all(self) -> u64 {
        (self.peer + self.commands + self.disk) as u64
    }

    /// Returns what is held with an answer.
    pub(crate) fn more(self, answer: &[u8]) -> Self {
        Self { peer: self.peer + answer.len(), ..self }
    }
}

/// What one connection holds, and how much it may read. Dropped, it returns what it holds.
pub(crate) struct Account {
    share: Share,
    /// The part of the share that is for the answer of a command.
    room: u64,
    /// Whether it waits for that, if it waits.
    waits_for_room: bool,
    allowance: Arc<AtomicU64>,
    /// Whether the connection reads if it may.
    reads: bool,
    /// Whether the allowance is more than its own share.
    is_extra: bool,
    /// Since when the budget has waited for the peer, and how long it may.
    owes: Option<(Instant, Duration)>,
    /// Since when the peer has waited for the budget, and how long it did before.
    waits: Option<Instant>,
    waited: Duration,
}

/// A reader that reads as much as its account allows.
pub(crate) struct Budgeted<R> {
    inner: R,
    allowance: Arc<AtomicU64>,
}

impl Budget {
    pub(crate) fn new(max: u64) -> Self {
        Self(Shares::new(max, true))
    }

    /// Opens the account of a connection.
    pub(crate) fn open<R>(&self, inner: R, network: Network) -> (Budgeted<R>, Account) {
        let allowance = Arc::new(AtomicU64::new(OWN_SHARE));
        let account = Account {
            share: self.0.open(network),
            room: 0,
            waits_for_room: false,
            allowance: Arc::clone(&allowance),
            reads: true,
            is_extra: false,
            owes: None,
            waits: None,
            waited: Duration::ZERO,
        };
        (Budgeted { inner, allowance }, account)
    }
}

impl Account {
    /// Sets the number of bytes that the connection holds, and whether it reads. If so, it may read more
    /// if it has some of its share left, or once the budget has some and it is its turn. The room for an
    /// answer comes first.
    pub(crate) fn hold(&mut self, held: Held, reads: bool) {
        let (all, left) = (held.all(), self.left());
        self.room = self.room.min(held.answer);
        let over = all.saturating_sub(OWN_SHARE).saturating_add(self.room);
        // The disk always takes more.
        let ends_turn = self.room == 0 && Held { disk: 0, ..held }.all() <= OWN_SHARE;
        self.reads = reads;
        if held.answer > self.room {
            self.share.set(over.saturating_add(left), ends_turn);
            if !self.must_wait_to_answer() {
                self.waits_for_room = true;
                if self.share.take(held.answer) {
                    self.room = held.answer;
                }
            }
        } else if !reads || all < OWN_SHARE {
            self.share.leave();
            self.share.set(over, ends_turn);
            self.allow(OWN_SHARE.saturating_sub(all), false);
        } else if left > 0 {
            self.share.set(over.saturating_add(left), false);
        } else if !self.share.waits() {
            self.share.set(over, ends_turn);
            self.waits_for_room = false;
            let has_more = self.share.take(STEP);
            self.allow(if has_more { STEP } else { 0 }, has_more);
        }
        let (now, waits) = (Instant::now(), self.share.waits());
        if waits {
            self.waits.get_or_insert(now);
        } else if let Some(since) = self.waits.take() {
            self.waited += now - since;
        }
        // What it may read is kept for it, too.
        let kept = self.left().saturating_add(held.peer as u64);
        self.owes = self.owed_since(kept, now).filter(|_| !waits);
    }

    /// Returns whether nothing may be read until the budget has room.
    pub(crate) fn waits(&self) -> bool {
        self.share.waits()
    }

    /// Returns whether the budget has no room yet for the next answer.
    pub(crate) fn must_wait_to_answer(&self) -> bool {
        self.waits_for_room && self.share.waits()
    }

    /// Notes that the answer of a command is there. From now on it counts as held.
    pub(crate) fn answered(&mut self) {
        self.room = 0;
    }

    /// Returns whether it holds more than the budget has. Then the others wait.
    pub(crate) fn has_turn(&self) -> bool {
        self.share.has_turn()
    }

    /// Returns how long this peer has waited for the budget in all.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Waits until [`hold`](Self::hold) has to be called again, because as much was read as is allowed or
    /// the budget has room.
    ///
    /// # Errors
    /// The connection has to end: others wait for the memory, and the peer is too slow.
    pub(crate) async fn changed(&mut self) -> Result<(), End> {
        let Self { share, room, waits_for_room, allowance, reads, is_extra, owes, .. } = self;
        if share.waits() {
            let units = share.granted().await;
            if *waits_for_room {
                *room = units;
            } else {
                allowance.store(units, Ordering::Relaxed);
                *is_extra = true;
            }
            return Ok(());
        }
        let used_up = poll_fn(|_| match allowance.load(Ordering::Relaxed) {
            0 | REFUSED if *reads => Poll::Ready(()),
            // The reader wakes this task.
            _ => Poll::Pending,
        });
        tokio::select! {
            biased;
            () = used_up => Ok(()),
            end = pressed(share, *owes) => Err(end),
        }
    }

    /// Waits for a write, for at most this time. Meanwhile the connection holds `held`, all of it because
    /// of the peer: nothing else goes on.
    ///
    /// # Errors
    /// The peer does not take it in this time, or too slowly while others wait for the memory.
    pub(crate) async fn in_time<T>(
        &mut self,
        held: Held,
        after: Duration,
        written: impl Future<Output = T>,
    ) -> Result<T, End> {
        let over = held.all().saturating_sub(OWN_SHARE);
        self.share.set(over.saturating_add(self.left()).saturating_add(self.room), false);
        // What it waits for may be granted meanwhile.
        let kept = held.all().saturating_add(self.room).saturating_add(self.share.awaited());
        self.owes = self.owed_since(kept, Instant::now());
        tokio::select! {
            biased;
            written = written => Ok(written),
            () = sleep(after) => Err(End::not_taken(after)),
            end = pressed(&self.share, self.owes) => Err(end),
        }
    }

    /// Keeps the number of bytes that are still to be written to the peer and to the disk, and allows any
    /// read: what comes is discarded.
    pub(crate) fn close(&mut self, unwritten: usize, disk: usize) {
        self.hold(Held { peer: unwritten, disk, ..Held::default() }, false);
        self.allow(REFUSED - 1, false);
    }

    /// Returns whether it holds more than its own share.
    pub(crate) fn is_over(&self) -> bool {
        self.owes.is_some()
    }

    /// Returns how much more than its own share may still be read.
    fn left(&self) -> u64 {
        match self.allowance.load(Ordering::Relaxed) {
            left if self.is_extra && left != REFUSED => left,
            _ => 0,
        }
    }

    /// Returns since when the peer has been waited for, and how long it may be, with so much held.
    fn owed_since(&self, held: u64, now: Instant) -> Option<(Instant, Duration)> {
        let time = PATIENCE + Duration::from_millis(held.saturating_mul(1000) / BYTES_A_SECOND);
        (held > OWN_SHARE).then(|| (self.owes.map_or(now, |(since, _)| since), time))
    }

    fn allow(&mut self, bytes: u64, is_extra: bool) {
        self.allowance.store(bytes, Ordering::Relaxed);
        self.is_extra = is_extra;
    }
}

/// Waits until others wait for the memory of a peer that has been waited for since this time, and may be
/// for this long.
async fn pressed(share: &Share, owes: Option<(Instant, Duration)>) -> End {
    let Some((since, time)) = owes else { return pending().await };
    sleep_until(since + time).await;
    while !share.is_wanted() {
        sleep(PATIENCE).await;
    }
    let message = format!(
        "other peers wait for its memory, and it was slower than {} KiB a second with a frame or in \
         taking an answer; to keep such peers raise --max-memory",
        BYTES_A_SECOND >> 10
    );
    End::Error { at: None, code: Some(Code::TOO_SLOW), message }
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
    use tokio::time::timeout;

    use super::*;

    const MIB: usize = 1 << 20;
    const SHARE: usize = (64 << 10) + 32; // `OWN_SHARE`

    /// Reads until the account has it wait, or all is read; returns how much is held then.
    async fn fill(reader: &mut Budgeted<&[u8]>, account: &mut Account, mut held: usize) -> usize {
        let mut chunk = [0; 1000];
        while !reader.inner.is_empty() {
            account.hold(Held { peer: held, ..Held::default() }, true);
            if account.waits() && timeout(Duration::ZERO, account.changed()).await.is_err() {
                break;
            }
            tokio::select! {
                biased;
                changed = account.changed() => changed.unwrap(),
                n = reader.read(&mut chunk) => held += n.unwrap(),
            }
        }
        held
    }

    fn nothing(account: &mut Account) {
        account.hold(Held::default(), true);
    }

    #[tokio::test]
    async fn reading_waits_while_the_budget_is_used_up() {
        let bytes = vec![0; 3 * MIB];
        let budget = Budget::new(MIB as u64);
        let open = |user| budget.open(&bytes[..], Network::User(user));
        let ((mut a, mut a_account), (mut b, mut b_account), (mut c, mut c_account)) =
            (open(1), open(1), open(2));
        // One may hold more than there is: its frame is completed, however long it is.
        assert_eq!(fill(&mut a, &mut a_account, 0).await, 3 * MIB);
        // Others have their shares all the same, and no more.
        assert_eq!(fill(&mut b, &mut b_account, 0).await, SHARE);
        assert_eq!(fill(&mut c, &mut c_account, 0).await, SHARE);
        // Until that one has handled its frame. Then frames that do not fit together come one by one.
        nothing(&mut a_account);
        assert_eq!(fill(&mut b, &mut b_account, SHARE).await, 3 * MIB);
        let c_held = fill(&mut c, &mut c_account, SHARE).await;
        assert!(c_held <= 3 * SHARE, "{c_held}");
        b_account.close(0, 0);
        assert_eq!(fill(&mut c, &mut c_account, c_held).await, 3 * MIB);
        drop((a_account, c_account));
        let shares = Arc::clone(&budget.0);
        assert!(shares.open(Network::User(1)).take(MIB as u64));
    }

    #[tokio::test]
    async fn room_for_an_answer_is_there_in_the_turn_of_its_connection() {
        let budget = Budget::new(MIB as u64);
        let (_, mut a) = budget.open((), Network::User(1));
        let (_, mut b) = budget.open((), Network::User(2));
        let asked = Held { commands: MIB, answer: MIB as u64, ..Held::default() };
        a.hold(Held { peer: 2 * MIB, ..Held::default() }, true);
        b.hold(asked, true);
        assert!(a.has_turn() && b.must_wait_to_answer() && b.waits());
        // The frame is complete.
        a.hold(asked, true);
        assert!(!a.must_wait_to_answer() && b.must_wait_to_answer());
        // The next message waits in the line.
        a.answered();
        a.hold(Held { commands: 0, ..asked }, true);
        assert!(a.must_wait_to_answer() && !a.has_turn());
        assert!(b.changed().await.is_ok() && !b.must_wait_to_answer());
        b.close(0, 0);
        assert!(a.changed().await.is_ok() && !a.must_wait_to_answer());
        drop((a, b));
        assert!(budget.0.open(Network::User(3)).take(MIB as u64));
    }

    #[tokio::test]
    async fn all_that_a_connection_has_waits_for_a_peer_that_takes_nothing() {
        let budget = Budget::new(STEP);
        let (_, mut a) = budget.open((), Network::User(1));
        let (_, mut b) = budget.open((), Network::User(2));
        let long = Duration::from_secs(60);
        for is_granted in [true, false] {
            let asked = Held { answer: MIB as u64, ..Held::default() };
            let (first, second) = if is_granted { (&mut a, &mut b) } else { (&mut b, &mut a) };
            first.hold(asked, true);
            second.hold(asked, true);
            assert!(!first.must_wait_to_answer() && second.must_wait_to_answer());
            let (_, mut c) = budget.open((), Network::User(3));
            c.hold(asked, true);
            let written = a.in_time(Held::default(), long, pending::<()>());
            assert!(timeout(Duration::from_secs(10), written).await.unwrap().is_err());
            nothing(&mut a);
            nothing(&mut b);
        }
    }

    #[tokio::test]
    async fn a_peer_that_does_not_use_what_it_may_read_is_ended_while_others_wait() {
        let bytes = vec![0; 2 * SHARE];
        let budget = Budget::new(STEP);
        let (_, mut a) = budget.open(&bytes[..], Network::User(1));
        let (_, mut b) = budget.open(&bytes[..], Network::User(2));
        let held = Held { peer: SHARE, ..Held::default() };
        a.hold(held, true);
        assert!(!a.waits(), "it may read more, and does not");
        // The first over the maximum has its turn.
        b.hold(held, true);
        let (_, mut c) = budget.open(&bytes[..], Network::User(3));
        c.hold(held, true);
        assert!(!b.waits() && c.waits());
        assert!(timeout(Duration::from_secs(10), a.changed()).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_slow_peer_is_ended_only_while_others_wait() {
        let bytes = vec![0; 2 * SHARE];
        let budget = Budget::new(1);
        let (mut a, mut a_account) = budget.open(&bytes[..], Network::User(1));
        let (_, mut b_account) = budget.open(&bytes[..], Network::User(2));
        let held = fill(&mut a, &mut a_account, 0).await;
        let (a_held, b_held) =
            (Held { peer: held, ..Held::default() }, Held { peer: SHARE, ..Held::default() });
        let (short, long) = (Duration::from_millis(1500), Duration::from_secs(60));
        a_account.hold(a_held, true);
        assert!(timeout(short, a_account.changed()).await.is_err());
        // While b waits, its own time does not count.
        b_account.hold(b_held, true);
        assert!(b_account.waits() && b_account.owes.is_none());
        assert!(timeout(long, a_account.changed()).await.unwrap().is_err());
        assert!(a_account.in_time(a_held, long, pending::<()>()).await.is_err());
        drop(a_account);
        assert!(timeout(long, b_account.changed()).await.unwrap().is_ok());
        b_account.hold(b_held, true);
        assert!(!b_account.waited().is_zero() && !b_account.waits());
    }
}

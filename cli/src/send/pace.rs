//! The pace of datagrams: nobody slows down a sender that is faster than its receiver, and what the
//! receiver has no room for is lost.

use std::time::{Duration, Instant};

/// What a message costs besides its bytes: a receiver has work with each.
const PER_MESSAGE: u64 = 64;
/// How much may be sent at once, in bytes. A socket has room for it if nobody has set its size: each
/// datagram takes twice its length there.
const BURST: u64 = 64 << 10;

/// Limits what is sent to a rate, after a burst.
pub(super) struct Pace {
    /// In bytes a second; 0 if there is no limit.
    rate: u64,
    /// When everything that was sent would be sent at this rate.
    due: Instant,
}

impl Pace {
    pub(super) fn new(rate: u64, now: Instant) -> Self {
        Self { rate, due: now }
    }

    /// Counts a message that was sent.
    pub(super) fn sent(&mut self, payload: &[u8], now: Instant) {
        let bytes = (payload.len() as u64).saturating_add(PER_MESSAGE);
        let due = self.due.max(now);
        self.due = due.checked_add(self.time_for(bytes)).unwrap_or(due);
    }

    /// Returns how long to wait before the next message, if it has to wait.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        let ahead = self.due.saturating_duration_since(now);
        ahead.checked_sub(self.time_for(BURST)).filter(|pause| !pause.is_zero())
    }

    fn time_for(&self, bytes: u64) -> Duration {
        let nanos = bytes.saturating_mul(1_000_000_000).checked_div(self.rate);
        nanos.map_or(Duration::ZERO, Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_sent_at_once_and_the_rest_at_the_rate() {
        let began = Instant::now();
        let mut now = began;
        let mut pace = Pace::new(1_000_000, began);
        let message = [0; 936];
        let mut at_once = 0;
        for _ in 0..10_000 {
            match pace.pause(now) {
                Some(pause) => now += pause,
                None if now == began => at_once += 1,
                None => {}
            }
            pace.sent(&message, now);
        }
        // 10 MB with what each costs.
        let took = now - began;
        assert!((9_900..10_000).contains(&took.as_millis()), "{took:?}");
        assert_eq!(at_once, 66);
        // After a silence there is one burst, and no more.
        now += Duration::from_secs(100);
        let again = (0..1000).take_while(|_| {
            pace.sent(&message, now);
            pace.pause(now).is_none()
        });
        assert_eq!(again.count(), 65);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let now = Instant::now();
        let mut pace = Pace::new(0, now);
        for _ in 0..10_000 {
            pace.sent(&[0; 1000], now);
            assert_eq!(pace.pause(now), None);
        }
    }
}

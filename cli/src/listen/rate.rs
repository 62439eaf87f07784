//! The minimum rate of an upload.

use std::time::{Duration, Instant};

use crate::inbox::{MIN_PROGRESS, STALLED};

/// The time over which the rate is measured, so that a short pause of the network does not count.
const WINDOW: Duration = Duration::from_secs(10);

/// Measures the rate of an upload. Only time in which the listener waits for the file counts.
#[derive(Debug)]
pub(crate) struct MinRate {
    /// The minimum number of bytes in a window.
    min_bytes: u64,
    /// The bytes that arrived in this window, and the time waited in it.
    arrived: u64,
    waited: Duration,
    /// The bytes of the frame that was incomplete when the window began.
    begun: u64,
}

/// An upload below the minimum rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooSlow {
    pub(crate) arrived: u64,
    pub(crate) min_bytes: u64,
}

impl TooSlow {
    pub(crate) fn message(self) -> String {
        let Self { arrived, min_bytes } = self;
        let seconds = WINDOW.as_secs();
        format!(
            "the file came too slowly, {arrived} bytes in {seconds} seconds and not {min_bytes}; \
             for a slow line set a smaller --min-rate"
        )
    }
}

impl MinRate {
    /// Requires this many bytes a second; 0 accepts any rate.
    pub(crate) fn new(bytes_a_second: u64) -> Self {
        let min_bytes = bytes_a_second.saturating_mul(WINDOW.as_secs());
        Self { min_bytes, arrived: 0, waited: Duration::ZERO, begun: 0 }
    }

    /// Starts a new window, for a new file.
    pub(crate) fn restart(&mut self) {
        *self = Self { arrived: 0, waited: Duration::ZERO, begun: 0, ..*self };
    }

    /// Counts bytes of the file.
    pub(crate) fn arrived(&mut self, bytes: u64) {
        self.arrived = self.arrived.saturating_add(bytes);
    }

    /// Counts time spent waiting for the file. `begun` is the number of bytes of the incomplete
    /// frame.
    pub(crate) fn waited(&mut self, time: Duration, begun: u64) -> Result<(), TooSlow> {
        self.waited = self.waited.saturating_add(time);
        if self.waited < WINDOW {
            return Ok(());
        }
        let arrived = self.arrived.saturating_add(begun).saturating_sub(self.begun);
        if arrived < self.min_bytes {
            return Err(TooSlow { arrived, min_bytes: self.min_bytes });
        }
        *self = Self { arrived: 0, waited: Duration::ZERO, begun, ..*self };
        Ok(())
    }
}

/// How long nothing has arrived.
#[derive(Debug)]
pub(crate) struct Silence {
    received: u64,
    since: Instant,
}

impl Silence {
    pub(crate) fn new(now: Instant) -> Self {
        Self { received: 0, since: now }
    }

    /// Returns how long it has been `received` bytes. Time in which the peer was not `expected` to send
    /// something does not count.
    pub(crate) fn waited(&mut self, received: u64, expected: bool, now: Instant) -> Duration {
        if received != self.received || !expected {
            *self = Self { received, since: now };
        }
        now.saturating_duration_since(self.since)
    }
}

/// How a file goes on while others wait for the room of its part.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Since when fewer than [`MIN_PROGRESS`] bytes came.
    since: Instant,
    bytes: u64,
}

impl Progress {
    pub(crate) fn begin() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    /// Counts bytes of the file.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= MIN_PROGRESS {
            *self = Self::begin();
        }
    }

    /// Notes that no byte could come until now.
    pub(crate) fn wait(&mut self) {
        self.since = Instant::now();
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.since.elapsed() >= STALLED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_slow_upload_is_found_after_one_window() {
        let mut rate = MinRate::new(100);
        for _ in 0..9 {
            rate.arrived(99);
            assert_eq!(rate.waited(SECOND, 0), Ok(()));
        }
        rate.arrived(108);
        assert_eq!(rate.waited(SECOND, 0), Err(TooSlow { arrived: 999, min_bytes: 1000 }));
        rate.restart();
        rate.arrived(1000);
        assert_eq!(rate.waited(WINDOW, 0), Ok(()));
        assert_eq!(rate.waited(WINDOW, 0), Err(TooSlow { arrived: 0, min_bytes: 1000 }));
        assert_eq!(MinRate::new(0).waited(WINDOW, 0), Ok(()));
    }

    #[test]
    fn bytes_of_an_incomplete_frame_count_once() {
        let mut rate = MinRate::new(100);
        assert_eq!(rate.waited(WINDOW, 1500), Ok(()));
        rate.arrived(2000);
        assert_eq!(rate.waited(WINDOW, 0), Err(TooSlow { arrived: 500, min_bytes: 1000 }));
    }

    #[test]
    fn silence_counts_only_while_something_is_expected() {
        let begin = Instant::now();
        let mut silence = Silence::new(begin);
        let mut at = |seconds, received, expected| {
            silence.waited(received, expected, begin + seconds * SECOND).as_secs()
        };
        assert_eq!([at(3, 0, true), at(5, 7, true), at(9, 7, true)], [3, 0, 4]);
        assert_eq!([at(20, 7, false), at(21, 7, true), at(30, 8, true)], [0, 1, 0]);
    }
}

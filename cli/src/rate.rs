//! The least rate of an upload.

use std::time::Duration;

/// Over so long the rate is measured: a network may pause for a moment.
const WINDOW: Duration = Duration::from_secs(10);

/// Measures how fast a file arrives, while it is waited for.
#[derive(Debug)]
pub(crate) struct LeastRate {
    /// The bytes that have to arrive in a window.
    least: u64,
    /// What arrived in this window, and how long it was waited for.
    arrived: u64,
    waited: Duration,
    /// The bytes of a frame that was not complete when the window began.
    begun: u64,
}

/// A file that arrives too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooSlow {
    pub(crate) arrived: u64,
    pub(crate) least: u64,
}

impl TooSlow {
    pub(crate) fn message(self) -> String {
        let Self { arrived, least } = self;
        let seconds = WINDOW.as_secs();
        format!(
            "the file came too slowly, {arrived} bytes in {seconds} seconds and not {least}; \
             for a slow line set a smaller --min-rate"
        )
    }
}

impl LeastRate {
    /// So many bytes a second; with 0 any rate is right.
    pub(crate) fn new(bytes_a_second: u64) -> Self {
        let least = bytes_a_second.saturating_mul(WINDOW.as_secs());
        Self { least, arrived: 0, waited: Duration::ZERO, begun: 0 }
    }

    /// Begins anew, with a file.
    pub(crate) fn restart(&mut self) {
        *self = Self { arrived: 0, waited: Duration::ZERO, begun: 0, ..*self };
    }

    /// Counts bytes of the file.
    pub(crate) fn arrived(&mut self, bytes: u64) {
        self.arrived = self.arrived.saturating_add(bytes);
    }

    /// Counts time in which the file was waited for. `begun` are the bytes of a frame that is not
    /// complete.
    pub(crate) fn waited(&mut self, time: Duration, begun: u64) -> Result<(), TooSlow> {
        self.waited = self.waited.saturating_add(time);
        if self.waited < WINDOW {
            return Ok(());
        }
        let arrived = self.arrived.saturating_add(begun).saturating_sub(self.begun);
        if arrived < self.least {
            return Err(TooSlow { arrived, least: self.least });
        }
        *self = Self { arrived: 0, waited: Duration::ZERO, begun, ..*self };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn slow_files_are_found_after_a_window() {
        let mut rate = LeastRate::new(100);
        for _ in 0..9 {
            rate.arrived(99);
            assert_eq!(rate.waited(SECOND, 0), Ok(()));
        }
        rate.arrived(108);
        assert_eq!(rate.waited(SECOND, 0), Err(TooSlow { arrived: 999, least: 1000 }));
        rate.restart();
        rate.arrived(1000);
        assert_eq!(rate.waited(WINDOW, 0), Ok(()));
        assert_eq!(rate.waited(WINDOW, 0), Err(TooSlow { arrived: 0, least: 1000 }));
        assert_eq!(LeastRate::new(0).waited(WINDOW, 0), Ok(()));
    }

    #[test]
    fn a_large_frame_counts_while_it_arrives_and_once() {
        let mut rate = LeastRate::new(100);
        assert_eq!(rate.waited(WINDOW, 1500), Ok(()));
        rate.arrived(2000);
        assert_eq!(rate.waited(WINDOW, 0), Err(TooSlow { arrived: 500, least: 1000 }));
    }
}

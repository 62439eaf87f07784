//! How long a frame may take, and how long a peer may be idle (spec, 7.11). It is told the time.

use std::time::{Duration, Instant};

use super::error::ReadError;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    pub(crate) frame_timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    /// When the unfinished frame was first seen.
    frame_since: Option<Instant>,
    /// Since when there is nothing to read.
    idle_since: Option<Instant>,
}

impl Clock {
    /// Whether anybody wants to know the time.
    pub(crate) fn is_used(&self) -> bool {
        self.frame_timeout.is_some() || self.idle_timeout.is_some()
    }

    pub(crate) fn frame_ended(&mut self) {
        self.frame_since = None;
    }

    pub(crate) fn bytes_came(&mut self) {
        self.idle_since = None;
    }

    /// There is an unfinished frame, or none.
    pub(crate) fn frame_is_open(&mut self, open: bool, now: Instant) {
        self.frame_since = open.then_some(self.frame_since.unwrap_or(now));
    }

    pub(crate) fn nothing_to_read(&mut self, now: Instant) {
        self.idle_since.get_or_insert(now);
    }

    /// The error if a time is up. `at` is the offset of the first byte that was not consumed.
    pub(crate) fn check(&self, now: Instant, at: u64) -> Result<(), ReadError> {
        let is_up = |since: Option<Instant>, after: Option<Duration>| {
            after.filter(|after| since.is_some_and(|since| now.duration_since(since) >= *after))
        };
        if let Some(after) = is_up(self.frame_since, self.frame_timeout) {
            return Err(ReadError::FrameTimeout { at, after });
        }
        if let Some(after) = is_up(self.idle_since, self.idle_timeout) {
            return Err(ReadError::IdleTimeout { at, after });
        }
        Ok(())
    }

    /// When to check again, if nothing happens before.
    #[cfg(feature = "tokio")]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let up = |since: Option<Instant>, after: Option<Duration>| since?.checked_add(after?);
        let frame = up(self.frame_since, self.frame_timeout);
        let idle = up(self.idle_since, self.idle_timeout);
        frame.into_iter().chain(idle).min()
    }
}

//! How long a frame may take, and how long a peer may be idle (spec, 7.11). It is told the time.
//!
//! Only the time in which a call waits counts: a caller that is away for long is no slow peer.

use std::time::{Duration, Instant};

use super::error::ReadError;

#[derive(Clone, Copy, Debug, Default)]
#[doc(hidden)]
pub struct Clock {
    #[doc(hidden)]
    pub frame_timeout: Option<Duration>,
    #[doc(hidden)]
    pub idle_timeout: Option<Duration>,
    /// The offset of the unfinished frame, and since when it is waited for.
    frame: Option<(u64, Instant)>,
    /// Since when nothing comes.
    idle: Option<Instant>,
    /// When the last call ended.
    paused: Option<Instant>,
}

impl Clock {
    /// Whether anybody wants to know the time.
    pub(crate) fn is_used(&self) -> bool {
        self.frame_timeout.is_some() || self.idle_timeout.is_some()
    }

    /// A call goes on waiting.
    pub(crate) fn resume(&mut self, now: Instant) {
        if let Some(paused) = self.paused.take() {
            let away = now.saturating_duration_since(paused);
            let later = |since: Instant| since.checked_add(away).unwrap_or(since);
            self.frame = self.frame.map(|(at, since)| (at, later(since)));
            self.idle = self.idle.map(later);
        }
    }

    /// The call ended, or was dropped.
    pub(crate) fn pause(&mut self, now: Instant) {
        self.paused.get_or_insert(now);
    }

    pub(crate) fn bytes_came(&mut self) {
        self.idle = None;
    }

    pub(crate) fn nothing_to_read(&mut self, now: Instant) {
        self.idle.get_or_insert(now);
    }

    /// The frame that begins at this offset is not whole; or none is open.
    pub(crate) fn open_frame(&mut self, at: Option<u64>, now: Instant) {
        self.frame = match (at, self.frame) {
            (Some(at), Some((known, since))) if at == known => Some((at, since)),
            (at, _) => at.map(|at| (at, now)),
        };
    }

    /// The error if a time is up. `consumed` are the bytes of the stream so far.
    pub(crate) fn check(&self, now: Instant, consumed: u64) -> Result<(), ReadError> {
        let is_up = |since: Instant, after: &Duration| now.duration_since(since) >= *after;
        if let Some((at, since)) = self.frame
            && let Some(after) = self.frame_timeout.filter(|after| is_up(since, after))
        {
            return Err(ReadError::FrameTimeout { at, after });
        }
        self.check_idle(now, consumed)
    }

    /// The same for idle time alone: nobody reads, so no frame can be late.
    pub(crate) fn check_idle(&self, now: Instant, consumed: u64) -> Result<(), ReadError> {
        if let Some(since) = self.idle
            && let Some(after) = self.idle_timeout
            && now.duration_since(since) >= after
        {
            return Err(ReadError::IdleTimeout { at: consumed, after });
        }
        Ok(())
    }

    /// When to check again, if nothing happens before.
    #[cfg(feature = "tokio")]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let since = |(_, since): (u64, Instant)| since.checked_add(self.frame_timeout?);
        self.frame.and_then(since).into_iter().chain(self.idle_deadline()).min()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn idle_deadline(&self) -> Option<Instant> {
        self.idle?.checked_add(self.idle_timeout?)
    }

    /// A new stream.
    pub(crate) fn reset(&mut self) {
        (self.frame, self.idle, self.paused) = (None, None, None);
    }
}

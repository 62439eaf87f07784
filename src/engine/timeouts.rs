//! How long a frame may take, and how long a peer may be idle (spec, 7.11).

use core::error::Error;
use core::fmt;
use core::time::Duration;

/// The two time limits of a reader, without a clock.
///
/// The reader passes the time as a [`Duration`] since any fixed moment. [`poll_timeout`] returns the
/// time by which to call [`handle_timeout`]. Only the time in which a call waits counts, from
/// [`resume`] to [`pause`], so a peer is not late because the caller is busy with something else.
///
/// ```
/// use core::time::Duration;
/// use unstick::engine::{ReadTimeouts, TimedOut};
///
/// let second = Duration::from_secs;
/// let mut timeouts = ReadTimeouts::new();
/// timeouts.set_idle_timeout(second(60));
/// timeouts.resume(second(100)); // a call begins to wait, and nothing can be read
/// timeouts.handle_nothing(second(100));
/// assert_eq!(timeouts.poll_timeout(), Some(second(160)));
/// let late = timeouts.handle_timeout(second(160), 0).unwrap_err();
/// assert_eq!(late, TimedOut::Idle { at: 0, after: second(60) });
/// ```
///
/// [`poll_timeout`]: Self::poll_timeout
/// [`handle_timeout`]: Self::handle_timeout
/// [`resume`]: Self::resume
/// [`pause`]: Self::pause
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadTimeouts {
    frame_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    /// The offset of the unfinished frame, and since when a call waits for it.
    frame: Option<(u64, Duration)>,
    /// Since when nothing arrives.
    idle: Option<Duration>,
    /// When the last call ended.
    paused: Option<Duration>,
}

/// The error for a time limit that has passed.
///
/// ```
/// use core::time::Duration;
/// use unstick::engine::TimedOut;
///
/// let late = TimedOut::Frame { at: 8, after: Duration::from_secs(10) };
/// assert!(late.to_string().starts_with("byte 8: the frame was not complete after 10s"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimedOut {
    /// A frame took too long.
    Frame {
        /// The stream offset of the frame's first byte.
        at: u64,
        /// How long a frame may take.
        after: Duration,
    },
    /// The peer sent nothing for too long.
    Idle {
        /// The number of bytes consumed.
        at: u64,
        /// How long a peer may be idle.
        after: Duration,
    },
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame { at, after } => write!(
                f,
                "byte {at}: the frame was not complete after {after:?}; \
                 is the peer stuck, or the limit on a frame's time too small?"
            ),
            Self::Idle { at, after } => write!(
                f,
                "byte {at}: nothing came for {after:?}; \
                 is the peer gone, or the limit on idle time too small?"
            ),
        }
    }
}

impl Error for TimedOut {}

#[cfg(feature = "std")]
crate::__io_errors! { TimedOut { _ => TimedOut } }

impl ReadTimeouts {
    /// Creates a value without limits.
    #[must_use]
    pub const fn new() -> Self {
        Self { frame_timeout: None, idle_timeout: None, frame: None, idle: None, paused: None }
    }

    /// Sets how long a frame may take from its first byte to its last.
    pub fn set_frame_timeout(&mut self, after: Duration) {
        self.frame_timeout = Some(after);
    }

    /// Sets how long a peer may send nothing.
    pub fn set_idle_timeout(&mut self, after: Duration) {
        self.idle_timeout = Some(after);
    }

    /// Whether a limit is set. If none is, no other call is needed.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.frame_timeout.is_some() || self.idle_timeout.is_some()
    }

    /// Whether the idle limit is set.
    #[must_use]
    pub fn has_idle_timeout(&self) -> bool {
        self.idle_timeout.is_some()
    }

    /// Lets the time count from now on: a call begins to wait.
    pub fn resume(&mut self, now: Duration) {
        if let Some(paused) = self.paused.take() {
            let away = now.saturating_sub(paused);
            let later = |since: Duration| since.saturating_add(away);
            self.frame = self.frame.map(|(at, since)| (at, later(since)));
            self.idle = self.idle.map(later);
        }
    }

    /// Stops counting the time: the call has ended or was dropped.
    pub fn pause(&mut self, now: Duration) {
        self.paused.get_or_insert(now);
    }

    /// Ends the idle time: bytes were read, or the peer accepted bytes.
    pub fn handle_bytes(&mut self) {
        self.idle = None;
    }

    /// Begins the idle time, unless it runs: nothing can be read now.
    pub fn handle_nothing(&mut self, now: Duration) {
        self.idle.get_or_insert(now);
    }

    /// Begins the time of the frame at this stream offset, unless it runs; `None` ends it.
    /// Pass the result of [`FrameBuf::open_frame`](crate::FrameBuf::open_frame).
    pub fn handle_open_frame(&mut self, at: Option<u64>, now: Duration) {
        self.frame = match (at, self.frame) {
            (Some(at), Some((known, since))) if at == known => Some((at, since)),
            (at, _) => at.map(|at| (at, now)),
        };
    }

    /// Checks both limits. `consumed` is the number of bytes of the stream so far.
    ///
    /// # Errors
    /// Returns the limit that has passed.
    pub fn handle_timeout(&self, now: Duration, consumed: u64) -> Result<(), TimedOut> {
        match (self.frame, self.frame_timeout) {
            (Some((at, since)), Some(after)) if now.saturating_sub(since) >= after => {
                Err(TimedOut::Frame { at, after })
            }
            _ => self.handle_idle_timeout(now, consumed),
        }
    }

    /// Checks the idle limit alone, for a call that writes: it does not read, so no frame is late.
    ///
    /// # Errors
    /// As [`handle_timeout`](Self::handle_timeout).
    pub fn handle_idle_timeout(&self, now: Duration, consumed: u64) -> Result<(), TimedOut> {
        match (self.idle, self.idle_timeout) {
            (Some(since), Some(after)) if now.saturating_sub(since) >= after => {
                Err(TimedOut::Idle { at: consumed, after })
            }
            _ => Ok(()),
        }
    }

    /// Returns when to check again if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let since = |(_, since): (u64, Duration)| since.checked_add(self.frame_timeout?);
        self.frame.and_then(since).into_iter().chain(self.poll_idle_timeout()).min()
    }

    /// Returns when to check the idle limit again if nothing happens before.
    #[must_use]
    pub fn poll_idle_timeout(&self) -> Option<Duration> {
        self.idle?.checked_add(self.idle_timeout?)
    }

    /// Starts a new stream. The limits stay.
    pub fn reset(&mut self) {
        (self.frame, self.idle, self.paused) = (None, None, None);
    }
}

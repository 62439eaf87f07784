//! tokio's clock for the time limits of a reader or a writer.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::boxed::Box;

use ::tokio::time::{Instant, Sleep, sleep_until};

use crate::engine::{ReadTimeouts, TimedOut};

/// The time limits of a reader, or that of a writer, with tokio's clock.
#[derive(Debug)]
pub(super) struct Clock {
    pub(super) timeouts: ReadTimeouts,
    /// The moment from which `timeouts` counts; set at the first wait, which has a runtime.
    epoch: Option<Instant>,
    /// Wakes the task when a timeout has passed.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { timeouts: ReadTimeouts::new(), epoch: None, alarm: None }
    }

    /// Returns the time since the epoch.
    pub(super) fn now(&mut self) -> Duration {
        self.epoch.get_or_insert_with(Instant::now).elapsed()
    }

    /// Waits until the peer has taken nothing for longer than the idle limit, and returns the limit.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        loop {
            let now = self.now();
            self.timeouts.resume(now);
            self.timeouts.handle_nothing(now);
            if let Err(TimedOut::Idle { after, .. }) = self.timeouts.handle_idle_timeout(now, 0) {
                self.timeouts.handle_bytes(); // a further call may wait as long
                return Poll::Ready(after);
            }
            match self.timeouts.poll_idle_timeout() {
                Some(deadline) => ready!(self.poll_alarm(deadline, cx)),
                None => return Poll::Pending, // later than any `Duration`
            }
        }
    }

    /// Stops the idle limit, if it runs: a call has ended or was dropped.
    pub(super) fn pause(&mut self) {
        if self.timeouts.poll_idle_timeout().is_some() {
            let now = self.now();
            self.timeouts.pause(now);
        }
    }

    /// Waits until this moment, counted from the epoch; forever if no `Instant` is as late.
    pub(super) fn poll_alarm(&mut self, deadline: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let epoch = *self.epoch.get_or_insert_with(Instant::now);
        let Some(deadline) = epoch.checked_add(deadline) else { return Poll::Pending };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        alarm.as_mut().poll(cx)
    }
}

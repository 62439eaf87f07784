//! tokio's clock for the time limits of a reader.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::boxed::Box;

use ::tokio::time::{Instant, Sleep, sleep_until};

use crate::engine::ReadTimeouts;

/// The time limits of a reader, with tokio's clock.
#[derive(Debug)]
pub(super) struct ReadClock {
    pub(super) timeouts: ReadTimeouts,
    /// The moment from which `timeouts` counts; set at the first wait, which has a runtime.
    epoch: Option<Instant>,
    /// Wakes the task when a timeout has passed.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl ReadClock {
    pub(super) fn new() -> Self {
        Self { timeouts: ReadTimeouts::new(), epoch: None, alarm: None }
    }

    /// Returns the time since the epoch.
    pub(super) fn now(&mut self) -> Duration {
        self.epoch.get_or_insert_with(Instant::now).elapsed()
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

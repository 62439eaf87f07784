//! Catches the panics of what is tested.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Promise, Violation};

/// The first panic since it was last taken.
pub(super) struct Panics {
    has_panicked: AtomicBool,
    panicked: Mutex<Option<Panicked>>,
}

struct Panicked {
    call: &'static str,
    bytes: Vec<u8>,
    message: String,
}

impl Panics {
    pub(super) const fn new() -> Self {
        Self { has_panicked: AtomicBool::new(false), panicked: Mutex::new(None) }
    }

    /// Returns the first panic since the previous call.
    pub(super) fn take(&self) -> Option<Violation> {
        if !self.has_panicked.swap(false, Ordering::Relaxed) {
            return None;
        }
        let Panicked { call, bytes, message } =
            self.panicked.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let found = format!("`{call}` panicked: {message}");
        Some(Violation::new(Promise::NoPanic, &bytes, found))
    }

    /// Calls `with`. Returns `None`, and records the panic, if it panics; `None` from then on.
    pub(super) fn call<T>(
        &self,
        call: &'static str,
        bytes: &[u8],
        with: impl FnOnce() -> T,
    ) -> Option<T> {
        // Calls after a panic would show nothing about the format, and every panic costs a
        // backtrace.
        if self.has_panicked.load(Ordering::Relaxed) {
            return None;
        }
        match catch_unwind(AssertUnwindSafe(with)) {
            Ok(answer) => Some(answer),
            Err(payload) => {
                self.record(call, bytes, &*payload);
                None
            }
        }
    }

    /// Calls `with`. Records a panic, and lets it go on to [`guard`](Self::guard).
    pub(super) fn pass_on<T>(
        &self,
        call: &'static str,
        bytes: &[u8],
        with: impl FnOnce() -> T,
    ) -> T {
        match catch_unwind(AssertUnwindSafe(with)) {
            Ok(answer) => answer,
            Err(payload) => {
                self.record(call, bytes, &*payload);
                resume_unwind(payload)
            }
        }
    }

    /// Runs a check. Returns the panic that it ends with, if it does.
    pub(super) fn guard(
        &self,
        check: impl FnOnce() -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|payload| {
            // A panic without a recorded call is one of `unstick` itself.
            self.record("a decoder", &[], &*payload);
            self.take().map_or(Ok(()), Err)
        })
    }

    fn record(&self, call: &'static str, bytes: &[u8], payload: &(dyn Any + Send)) {
        self.has_panicked.store(true, Ordering::Relaxed);
        let mut panicked = self.panicked.lock().unwrap_or_else(PoisonError::into_inner);
        panicked.get_or_insert_with(|| Panicked {
            call,
            bytes: bytes.to_vec(),
            message: message(payload),
        });
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "not with a text".to_string())
}

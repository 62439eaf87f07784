//! Work that one thread at a time does in order, without a hand-over for each piece of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A worker, and what it still has to do.
pub(crate) struct Lane<W, T>(Arc<Mutex<State<W, T>>>);

struct State<W, T> {
    /// `None` while it is at work, and once it has failed.
    worker: Option<W>,
    tasks: VecDeque<T>,
}

/// A worker that has something to do, and goes on until nothing is left.
pub(crate) struct Shift<W, T> {
    worker: W,
    lane: Lane<W, T>,
}

impl<W, T> Lane<W, T> {
    pub(crate) fn new(worker: W) -> Self {
        Self(Arc::new(Mutex::new(State { worker: Some(worker), tasks: VecDeque::new() })))
    }

    /// Adds a task. What comes back has to be run; nothing does if the worker is at work.
    #[must_use]
    pub(crate) fn give(&self, task: T) -> Option<Shift<W, T>> {
        let mut state = self.state();
        state.tasks.push_back(task);
        let worker = state.worker.take()?;
        Some(Shift { worker, lane: Self(Arc::clone(&self.0)) })
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.state().worker.is_some()
    }

    /// The worker, if nothing is left to do.
    pub(crate) fn into_worker(self) -> Option<W> {
        self.state().worker.take()
    }

    fn state(&self) -> MutexGuard<'_, State<W, T>> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W, T> Shift<W, T> {
    /// Does what there is to do, and what is added meanwhile. A worker that fails comes back with
    /// the reason, and does nothing more.
    pub(crate) fn run<E>(
        mut self,
        mut work: impl FnMut(&mut W, T) -> Result<(), E>,
    ) -> Result<(), (W, E)> {
        loop {
            let mut state = self.lane.state();
            let Some(task) = state.tasks.pop_front() else {
                state.worker = Some(self.worker);
                return Ok(());
            };
            drop(state);
            if let Err(error) = work(&mut self.worker, task) {
                return Err((self.worker, error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::thread;

    use super::*;

    #[test]
    fn everything_is_done_once_and_in_order() {
        let lane = Lane::new(Vec::new());
        thread::scope(|scope| {
            for task in 0..10_000 {
                if let Some(shift) = lane.give(task) {
                    scope.spawn(|| {
                        let done = shift.run(|done: &mut Vec<u32>, task| {
                            done.push(task);
                            Ok::<_, Infallible>(())
                        });
                        assert!(done.is_ok());
                    });
                }
            }
        });
        assert!(lane.is_idle());
        assert!(lane.into_worker().unwrap().into_iter().eq(0..10_000));
    }

    #[test]
    fn a_worker_that_failed_does_nothing_more() {
        let lane = Lane::new(0);
        let shift = lane.give("a").unwrap();
        assert!(lane.give("b").is_none() && !lane.is_idle());
        let work = |count: &mut u32, task| {
            *count += 1;
            Err::<(), _>(task)
        };
        assert_eq!(shift.run(work), Err((1, "a")));
        assert!(lane.give("c").is_none() && !lane.is_idle());
        assert!(lane.into_worker().is_none());
    }
}

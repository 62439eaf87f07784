//! A queue of tasks for one worker. One thread at a time runs the tasks in order, without a
//! hand-over between threads for each task.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A worker with its queue of tasks.
pub(crate) struct Lane<W, T>(Arc<Mutex<State<W, T>>>);

struct State<W, T> {
    /// `None` while a [`Shift`] has it, and after it failed.
    worker: Option<W>,
    tasks: VecDeque<T>,
}

/// A worker that has been taken out of its lane to run tasks until the queue is empty.
pub(crate) struct Shift<W, T> {
    worker: W,
    lane: Lane<W, T>,
}

impl<W, T> Lane<W, T> {
    pub(crate) fn new(worker: W) -> Self {
        Self(Arc::new(Mutex::new(State { worker: Some(worker), tasks: VecDeque::new() })))
    }

    /// Adds a task. The caller has to run the returned shift. Returns `None` if a shift is running,
    /// which will run this task too, or if the worker has failed.
    #[must_use]
    pub(crate) fn push(&self, task: T) -> Option<Shift<W, T>> {
        let mut state = self.state();
        state.tasks.push_back(task);
        let worker = state.worker.take()?;
        Some(Shift { worker, lane: Self(Arc::clone(&self.0)) })
    }

    /// Returns whether the queue is empty and the worker is in its lane.
    pub(crate) fn is_idle(&self) -> bool {
        self.state().worker.is_some()
    }

    /// Returns the worker if the lane is idle.
    pub(crate) fn into_worker(self) -> Option<W> {
        self.state().worker.take()
    }

    fn state(&self) -> MutexGuard<'_, State<W, T>> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W, T> Shift<W, T> {
    /// Runs all tasks, and those that are added meanwhile.
    ///
    /// # Errors
    /// The error of `work`, with the worker. The lane then runs nothing more.
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
    fn every_task_runs_once_in_order() {
        let lane = Lane::new(Vec::new());
        thread::scope(|scope| {
            for task in 0..10_000 {
                if let Some(shift) = lane.push(task) {
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
    fn no_task_runs_after_a_failure() {
        let lane = Lane::new(0);
        let shift = lane.push("a").unwrap();
        assert!(lane.push("b").is_none() && !lane.is_idle());
        let work = |count: &mut u32, task| {
            *count += 1;
            Err::<(), _>(task)
        };
        assert_eq!(shift.run(work), Err((1, "a")));
        assert!(lane.push("c").is_none() && !lane.is_idle());
        assert!(lane.into_worker().is_none());
    }
}

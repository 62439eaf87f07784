//! The command under test: a child process that reads requests and writes answers, one per line.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::play::Peer;

/// The maximum length of a line that the command writes.
const MAX_LINE: u64 = 16 << 20;
/// The maximum number of lines that are read ahead.
const LINES_AHEAD: usize = 64;

/// The command under test. It is started for the first request, and again after a failure.
pub(crate) struct Program {
    command: Vec<OsString>,
    timeout: Duration,
    /// The end of the vector's time; `None` if that is later than any clock.
    deadline: Option<Instant>,
    running: Option<Running>,
    child: Killer,
    /// Whether it did not answer within the time of the vector.
    pub(crate) timed_out: bool,
}

struct Running {
    requests: Sender<String>,
    answers: Receiver<Result<String, String>>,
}

/// Ends the child process, and what it has started, from any thread.
#[derive(Clone, Default)]
pub(crate) struct Killer(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    child: Option<Child>,
    /// No child is started any more.
    is_closed: bool,
}

impl Killer {
    /// Ends the child, and lets no other start.
    pub(crate) fn kill(&self) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.is_closed = true;
        slot.kill();
    }

    fn with<T>(&self, act: impl FnOnce(&mut Slot) -> T) -> T {
        // Nothing panics under this lock.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Slot {
    fn start(&mut self, command: &mut Command) -> std::io::Result<&mut Child> {
        if self.is_closed {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        Ok(self.child.insert(command.spawn()?))
    }

    fn status(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.as_mut().map_or(Ok(None), Child::try_wait)
    }

    fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // It is not waited for yet, so no other process has its number.
        #[cfg(unix)]
        let _ = rustix::process::kill_process_group(
            rustix::process::Pid::from_child(&child),
            rustix::process::Signal::KILL,
        );
        let _ = child.kill(); // it may have exited already
        let _ = child.wait();
    }
}

impl Program {
    pub(crate) fn new(command: Vec<OsString>, timeout: Duration) -> Self {
        let (deadline, running, child) = (None, None, Killer::default());
        Self { command, timeout, deadline, running, child, timed_out: false }
    }

    /// Returns what ends the command.
    pub(crate) fn killer(&self) -> Killer {
        self.child.clone()
    }

    /// Starts the command.
    ///
    /// # Errors
    /// A message if it cannot be started.
    pub(crate) fn start(&mut self) -> Result<(), String> {
        let (program, args) = self.command.split_first().ok_or("no command")?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        // A group of its own, so that what it starts ends with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let pipes = self.child.with(|slot| {
            let child = slot.start(&mut command)?;
            Ok::<_, std::io::Error>((child.stdin.take(), child.stdout.take()))
        });
        let pipes = pipes
            .map_err(|error| format!("cannot start {}: {error}", program.to_string_lossy()))?;
        let (Some(mut stdin), Some(stdout)) = pipes else {
            return Err("the command has no standard input and output".to_owned());
        };
        let (requests, to_write) = mpsc::channel::<String>();
        let (to_read, answers) = mpsc::sync_channel(LINES_AHEAD);
        // One thread for each direction, so that waiting for a pipe can time out.
        thread::spawn(move || {
            for line in to_write {
                if stdin.write_all(line.as_bytes()).and_then(|()| stdin.flush()).is_err() {
                    return;
                }
            }
        });
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            loop {
                let mut line = Vec::new();
                let read = (&mut stdout).take(MAX_LINE).read_until(b'\n', &mut line);
                let line = match read {
                    Err(error) => Err(format!("cannot read from it: {error}")),
                    Ok(0) => return,
                    Ok(_) if line.last() != Some(&b'\n') => {
                        Err("a line without an end, or too long".to_owned())
                    }
                    Ok(_) => String::from_utf8(line).map_err(|_| "a line not in UTF-8".to_owned()),
                };
                let last = line.is_err();
                if to_read.send(line).is_err() || last {
                    return;
                }
            }
        });
        self.running = Some(Running { requests, answers });
        Ok(())
    }

    /// Starts the time limit of a new vector.
    pub(crate) fn begin(&mut self) {
        self.deadline = Instant::now().checked_add(self.timeout);
        self.timed_out = false;
    }

    /// Kills the command, whose state is unknown after a failure. The next request starts it again.
    pub(crate) fn stop(&mut self) {
        self.running = None;
        self.child.with(Slot::kill);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Peer for Program {
    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        if self.running.is_none() {
            self.start()?;
        }
        let Some(running) = &mut self.running else { return Err("it does not run".to_owned()) };
        if let Ok(line) = running.answers.try_recv() {
            return Err(format!("a line that nothing asked for: {}", line.unwrap_or_else(|e| e)));
        }
        // If the command has exited, this fails, and so does the wait for an answer.
        let _ = running.requests.send(format!("{request}\n"));
        let left = self.deadline.map(|end| end.saturating_duration_since(Instant::now()));
        let answer = match left {
            Some(left) => running.answers.recv_timeout(left),
            None => running.answers.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match answer {
            Ok(Ok(line)) => serde_json::from_str(&line)
                .map_err(|_| format!("a line that is no JSON: {}", line.trim_end())),
            Ok(Err(why)) => Err(why),
            Err(RecvTimeoutError::Timeout) => {
                self.timed_out = true;
                Err(format!("no answer within {} seconds", self.timeout.as_secs_f32()))
            }
            Err(RecvTimeoutError::Disconnected) => {
                // Its output is closed; wait briefly for its exit status.
                let until = Instant::now() + Duration::from_millis(500);
                loop {
                    match self.child.with(Slot::status) {
                        Ok(Some(status)) => return Err(format!("it ended ({status})")),
                        Ok(None) if Instant::now() < until => {
                            thread::sleep(Duration::from_millis(5));
                        }
                        _ => return Err("it closed its standard output".to_owned()),
                    }
                }
            }
        }
    }
}

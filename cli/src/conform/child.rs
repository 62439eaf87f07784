//! The command under test: a child process that reads requests and writes answers, one per line.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
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
    deadline: Instant,
    running: Option<Running>,
    /// Whether it did not answer within the time of the vector.
    pub(crate) timed_out: bool,
}

struct Running {
    child: Child,
    requests: Sender<String>,
    answers: Receiver<Result<String, String>>,
}

impl Program {
    pub(crate) fn new(command: Vec<OsString>, timeout: Duration) -> Self {
        Self { command, timeout, deadline: Instant::now(), running: None, timed_out: false }
    }

    /// Starts the command.
    ///
    /// # Errors
    /// A message if it cannot be started.
    pub(crate) fn start(&mut self) -> Result<(), String> {
        let (program, args) = self.command.split_first().ok_or("no command")?;
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.to_string_lossy()))?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
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
        self.running = Some(Running { child, requests, answers });
        Ok(())
    }

    /// Starts the time limit of a new vector.
    pub(crate) fn begin(&mut self) {
        self.deadline = Instant::now() + self.timeout;
        self.timed_out = false;
    }

    /// Kills the command, whose state is unknown after a failure. The next request starts it again.
    pub(crate) fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill(); // it may have exited already
            let _ = running.child.wait();
        }
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
        let left = self.deadline.saturating_duration_since(Instant::now());
        match running.answers.recv_timeout(left) {
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
                    match running.child.try_wait() {
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

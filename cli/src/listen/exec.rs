//! `--exec`: a command answers each message.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
#[cfg(unix)]
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
#[cfg(unix)]
use std::{env, fs};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::listen::places::Network;
use crate::listen::shares::{Share, Shares};
use crate::term::bytes::count_bytes;
use crate::term::log_limit::{LogLimit, hidden};
use crate::term::output::Failure;
use crate::term::preview;

/// How much of a command's standard error is logged: bytes, lines, and characters of a line.
const MAX_ERROR_LEN: usize = 4 << 10;
const MAX_ERROR_LINES: usize = 8;
const MAX_ERROR_WIDTH: usize = 200;

/// A command that answers messages, and those of it that run.
pub(crate) struct Exec {
    program: OsString,
    args: Vec<OsString>,
    timeout: Duration,
    /// The commands that may run at a time.
    places: Arc<Shares>,
    groups: Mutex<Groups>,
    log: Mutex<LogLimit>,
}

/// The process groups of the commands that run.
#[derive(Default)]
struct Groups {
    running: HashSet<u32>,
    /// Whether no more may start.
    ended: bool,
}

/// A message for a command.
pub(crate) struct Question<'a> {
    pub(crate) peer: &'a str,
    /// The kind, or what else the header says.
    pub(crate) kind: Option<String>,
    pub(crate) payload: &'a [u8],
    /// The max length of the answer, in bytes.
    pub(crate) limit: u64,
    /// Whether the answer has to be UTF-8.
    pub(crate) is_text: bool,
    /// Whether the answer is without the line end of a last line.
    pub(crate) is_line: bool,
}

/// Checks that the system would find a program and may run it.
pub(crate) fn check_program(program: &OsStr) -> Result<(), Failure> {
    find_program(program).map_err(|error| {
        let name = preview::name(&program.to_string_lossy());
        let advice = match error.kind() {
            io::ErrorKind::PermissionDenied => "`chmod +x` lets a file run",
            _ => "is it in PATH? A pipe needs a shell: --exec -- sh -c 'rev | tr a-z A-Z'",
        };
        Failure::job(format!("cannot run {name}: {error}; {advice}"))
    })
}

#[cfg(unix)]
fn find_program(program: &OsStr) -> io::Result<()> {
    use rustix::fs::{Access, access};
    use rustix::io::Errno;
    let check = |path: &Path| {
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::from(Errno::ACCESS));
        }
        access(path, Access::EXEC_OK).map_err(io::Error::from)
    };
    if program.is_empty() {
        return Err(Errno::NOENT.into());
    }
    if program.as_encoded_bytes().contains(&b'/') {
        return check(Path::new(program));
    }
    // Without PATH it is the system's choice where to look.
    let Some(path) = env::var_os("PATH") else { return Ok(()) };
    let mut failure = io::Error::from(Errno::NOENT);
    for dir in env::split_paths(&path) {
        match check(&dir.join(program)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => failure = error,
            Err(_) => {}
        }
    }
    Err(failure)
}

#[cfg(not(unix))]
fn find_program(_: &OsStr) -> io::Result<()> {
    Ok(())
}

impl Exec {
    /// Creates it for this program and its arguments, with the max number of commands at a time.
    /// Returns `None` without a program.
    pub(crate) fn new(command: Vec<OsString>, timeout: Duration, jobs: usize) -> Option<Self> {
        let mut command = command.into_iter();
        Some(Self {
            program: command.next()?,
            args: command.collect(),
            timeout,
            places: Shares::new(jobs.max(1) as u64, false),
            groups: Mutex::default(),
            log: Mutex::new(LogLimit::new()),
        })
    }

    /// Waits for a place for a command. The networks have them in turn.
    pub(crate) async fn place(&self, network: Network) -> Share {
        self.places.get(network, 1).await
    }

    /// Runs the command. Returns its answer, if it has one, and what is to
    /// be logged.
    ///
    /// # Cancel safety
    /// Dropping the future kills the command and what it has started.
    pub(crate) async fn answer(&self, question: Question<'_>) -> (Option<Vec<u8>>, Vec<String>) {
        let errors = Mutex::new(Vec::new());
        let ran = timeout(self.timeout, self.run(&question, &errors)).await;
        let answer = ran.unwrap_or_else(|_late| {
            let after = self.timeout;
            Err(format!("was killed after {after:?}, see --exec-timeout; no answer"))
        });
        let program = preview::name(&self.program.to_string_lossy());
        let errors = errors.into_inner().unwrap_or_else(PoisonError::into_inner);
        let errors = String::from_utf8_lossy(&errors).into_owned();
        let lines = errors.lines().take(MAX_ERROR_LINES);
        let mut said: Vec<_> = lines
            .map(|line| line.chars().take(MAX_ERROR_WIDTH).collect::<String>())
            .map(|line| format!("{program} says: {line}"))
            .collect();
        let answer = answer.unwrap_or_else(|why| {
            said.push(format!("{program} {why}"));
            None
        });
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = |line: String| Some(format!("{line}{}", hidden(log.admit(Instant::now())?)));
        (answer, said.into_iter().filter_map(admitted).collect())
    }

    async fn run(
        &self,
        question: &Question<'_>,
        errors: &Mutex<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, String> {
        let mut running =
            self.start(question).map_err(|error| format!("cannot be started: {error}"))?;
        let (stdin, stdout, stderr) =
            (running.child.stdin.take(), running.child.stdout.take(), running.child.stderr.take());
        // All at once, so that no full pipe blocks another.
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A command need not read anything.
                let _ = stdin.write_all(question.payload).await;
            }
            Ok(())
        };
        let read = async {
            match stdout {
                Some(stdout) => read_answer(stdout, question).await,
                None => Ok(Vec::new()),
            }
        };
        let listen = async {
            if let Some(stderr) = stderr {
                read_errors(stderr, errors).await;
            }
            Ok(())
        };
        let ((), mut answer, ()) = tokio::try_join!(feed, read, listen)?;
        let status = running.wait().await.map_err(|error| format!("is lost: {error}"))?;
        if !status.success() {
            return Err(format!("failed with {status}; no answer"));
        }
        if answer.is_empty() {
            return Ok(None);
        }
        if question.is_line && answer.pop_if(|last| *last == b'\n').is_some() {
            answer.pop_if(|last| *last == b'\r');
        }
        if answer.len() as u64 > question.limit {
            return Err(too_long(question.limit));
        }
        if question.is_text && std::str::from_utf8(&answer).is_err() {
            return Err("has an answer to a text that is not UTF-8; no answer".to_owned());
        }
        Ok(Some(answer))
    }

    fn start(&self, question: &Question<'_>) -> io::Result<Running<'_>> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env("UNSTICK_PEER", question.peer)
            .env("UNSTICK_KIND", question.kind.as_deref().unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        // Under the lock, so that none starts after `end`.
        let mut groups = self.groups();
        if groups.ended {
            return Err(io::Error::other("the listener ends"));
        }
        let child = command.spawn()?;
        let group = child.id();
        groups.running.extend(group);
        Ok(Running { exec: self, child, group })
    }

    /// Kills all commands that run. No more can start.
    pub(crate) fn end(&self) {
        let mut groups = self.groups();
        groups.ended = true;
        groups.running.drain().for_each(kill);
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        // Nothing panics under this lock.
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command that runs. Dropped, it is killed, with what it has started.
struct Running<'a> {
    exec: &'a Exec,
    child: Child,
    /// The number of its process group, until its end was seen: then the number may be another's.
    group: Option<u32>,
}

impl Running<'_> {
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        if let Some(group) = self.group.take() {
            self.exec.groups().running.remove(&group);
        }
        Ok(status)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.group
            && self.exec.groups().running.remove(&group)
        {
            kill(group);
        }
    }
}

/// Kills a process group. Where there are none, `kill_on_drop` kills the command.
fn kill(group: u32) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process_group};
        let group = i32::try_from(group).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // There may be nobody left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
    #[cfg(not(unix))]
    let _ = group;
}

fn too_long(limit: u64) -> String {
    format!("has an answer of more than {}, which is the limit; no answer", count_bytes(limit))
}

/// Reads an answer to its end.
async fn read_answer(
    out: impl AsyncRead + Unpin,
    question: &Question<'_>,
) -> Result<Vec<u8>, String> {
    // Two more for a line end, and one to see that it is too long.
    let max_len = question.limit.saturating_add(2);
    let mut answer = Vec::new();
    let read = out.take(max_len.saturating_add(1)).read_to_end(&mut answer).await;
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if answer.len() as u64 > max_len { Err(too_long(question.limit)) } else { Ok(answer) }
}

/// Reads standard error to its end, and keeps the beginning.
async fn read_errors(mut source: impl AsyncRead + Unpin, errors: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 1024];
    while let Ok(n @ 1..) = source.read(&mut chunk).await {
        let mut errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_ERROR_LEN.saturating_sub(errors.len());
        errors.extend(chunk.iter().take(n.min(room)));
    }
}

//! Certificates that are renewed while a listener runs.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

use super::ListenTls;
use crate::addr::Addr;
use crate::term::output::Failure;

/// What tells one content of a file from another.
type Stamp = Option<(SystemTime, u64, u64)>;

/// Reads the certificates of a listener anew: on demand, and when their files change.
pub(crate) struct Reload {
    tls: ListenTls,
    addr: Addr,
    watch: Option<Interval>,
    stamps: Vec<Stamp>,
    /// What reads files, which may take as long as their disk does.
    running: Option<JoinHandle<Read>>,
}

/// The stamps of the files before they were read, and what was in them; `None` if they were unchanged.
type Read = (Vec<Stamp>, Option<Result<Option<TlsAcceptor>, Failure>>);

impl Reload {
    /// `every` is how often the files are looked at, if they are.
    pub(crate) fn new(tls: ListenTls, addr: Addr, every: Option<Duration>) -> Self {
        let watch = every.map(|every| {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        let stamps = stamps(&tls.paths());
        Self { tls, addr, watch, stamps, running: None }
    }

    /// Begins to read the files, changed or not.
    pub(crate) fn start(&mut self) {
        self.run(None);
    }

    fn run(&mut self, unless: Option<Vec<Stamp>>) {
        let (tls, addr) = (self.tls.clone(), self.addr.clone());
        self.running = Some(spawn_blocking(move || {
            // Before they are read, so that a later change is noticed.
            let stamps = stamps(&tls.paths());
            let read = (unless.as_ref() != Some(&stamps)).then(|| tls.acceptor(&addr));
            (stamps, read)
        }));
    }

    /// Waits for certificates that were read anew. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<TlsAcceptor, Failure> {
        loop {
            if let Some(running) = &mut self.running {
                let read = running.await;
                self.running = None;
                let (stamps, read) = read.map_err(|error| Failure::job(error.to_string()))?;
                self.stamps = stamps;
                match read {
                    Some(Ok(Some(acceptor))) => return Ok(acceptor),
                    Some(Err(failure)) => return Err(failure),
                    Some(Ok(None)) | None => {}
                }
            } else if let Some(watch) = &mut self.watch {
                watch.tick().await;
                self.run(Some(self.stamps.clone()));
            } else {
                std::future::pending::<()>().await;
            }
        }
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let found = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&found);
        #[cfg(not(unix))]
        let number = 0;
        Some((found.modified().ok()?, found.len(), number))
    };
    paths.iter().map(stamp).collect()
}

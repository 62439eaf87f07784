//! The status of each file that was sent.

use std::io;
use std::time::Duration;

use serde::Serialize;
use unstick_session::message::{Code, Digest, FileStatus};

use crate::send::transfer::FileItem;
use crate::term::bytes::count;
use crate::term::output::Failure;
use crate::term::output::json_now;
use crate::term::preview;

/// The maximum number of files of which each has a row.
const MAX_ROWS: usize = 100;
/// The minimum rate at which a receiver works on files, in bytes a second.
const WORK_RATE: u64 = 4 << 20;

/// The files that were sent, in order, with their statuses.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    files: Vec<Entry>,
    /// The files without a final status: transfer id and index in `files`.
    open: Vec<(u32, usize)>,
}

/// A file that was sent or could not be sent.
#[derive(Debug)]
struct Entry {
    /// The path as it was given.
    path: String,
    /// The path for people: of standard input the name that is sent.
    shown: String,
    name: String,
    size: Option<u64>,
    /// The digest of the whole file, once all of it was read.
    digest: Option<Digest>,
    /// The length and digest of the part that the receiver holds, if it reported one.
    held: Option<(u64, Digest)>,
    outcome: FileOutcome,
}

/// The outcome of sending a file.
#[derive(Debug)]
pub(crate) enum FileOutcome {
    /// There is no final status.
    Unknown,
    /// The receiver's final status.
    Final {
        code: Code,
        offset: u64,
        digest: Digest,
        reason: String,
    },
    Changed,
    Unreadable(io::Error),
    /// It was not offered.
    Unsendable(String),
}

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum FileEvent<'a> {
    File {
        path: &'a str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        status: String,
        stored: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
}

impl Tally {
    /// Adds a file that is about to be sent; returns its index.
    pub(crate) fn begin(&mut self, item: &FileItem) -> usize {
        self.files.push(Entry {
            path: item.shown(),
            shown: if item.path.is_some() { item.shown() } else { item.name.clone() },
            name: item.name.clone(),
            size: None,
            digest: None,
            held: None,
            outcome: FileOutcome::Unknown,
        });
        self.files.len() - 1
    }

    /// Adds a file that cannot be sent.
    pub(crate) fn unsendable(&mut self, shown: String, why: String) {
        self.files.push(Entry {
            name: shown.clone(),
            path: shown.clone(),
            shown,
            size: None,
            digest: None,
            held: None,
            outcome: FileOutcome::Unsendable(why),
        });
    }

    pub(crate) fn opened(&mut self, entry: usize, id: u32, size: Option<u64>) {
        self.open.push((id, entry));
        if let Some(file) = self.files.get_mut(entry) {
            file.size = size;
        }
    }

    /// Records the size and digest of a file that was read to its end.
    pub(crate) fn digested(&mut self, entry: usize, size: u64, digest: Digest) {
        if let Some(file) = self.files.get_mut(entry) {
            (file.size, file.digest) = (Some(size), Some(digest));
        }
    }

    /// Records what the receiver holds of a file: the status `ready`.
    pub(crate) fn ready(&mut self, status: &FileStatus<'_>) {
        if let Some(file) = self.entry_of(status.id) {
            file.held = Some((status.offset, status.digest));
        }
    }

    /// Records the receiver's final status of a file.
    pub(crate) fn end(&mut self, status: &FileStatus<'_>) {
        let FileStatus { id, code, offset, digest, reason } = *status;
        if let Some(file) = self.entry_of(id)
            // If this side gave up, the outcome is known already.
            && matches!(file.outcome, FileOutcome::Unknown)
        {
            file.outcome =
                FileOutcome::Final { code, offset, digest, reason: preview::reason(reason) };
        }
        self.open.retain(|(open, _)| *open != id);
    }

    /// Records that this side gave up on a file, and why.
    pub(crate) fn set_outcome(&mut self, entry: usize, outcome: FileOutcome) {
        if let Some(file) = self.files.get_mut(entry) {
            file.outcome = outcome;
        }
    }

    /// Returns how long the receiver may work on the files without a final status: it digests them or
    /// what it has of them, and syncs them to disk.
    pub(crate) fn work(&self) -> Duration {
        let size = |(_, entry): &(u32, usize)| self.files.get(*entry)?.size;
        let bytes: u64 = self.open.iter().filter_map(size).sum();
        Duration::from_secs(self.open.len() as u64 + bytes / WORK_RATE)
    }

    /// Returns the length and digest of the part that the receiver holds, once it reported them.
    pub(crate) fn held(&self, entry: usize) -> Option<(u64, Digest)> {
        self.files.get(entry)?.held
    }

    /// Returns whether the receiver reported that it has a file of this name and size.
    pub(crate) fn exists_with_size(&self, entry: usize, size: u64) -> bool {
        matches!(
            self.files.get(entry).map(|file| &file.outcome),
            Some(FileOutcome::Final { code: Code::EXISTS, offset, digest, .. })
                if *offset == size && *digest != Digest::NONE
        )
    }

    fn entry_of(&mut self, id: u32) -> Option<&mut Entry> {
        let (_, entry) = *self.open.iter().find(|(open, _)| *open == id)?;
        self.files.get_mut(entry)
    }

    /// Formats the result as one JSON object for each file.
    pub(crate) fn json_lines(&self) -> Vec<String> {
        self.files.iter().map(Entry::json).collect()
    }

    /// Formats the result as a table, and for several files a total, which took this time. Of many files
    /// it has the rows of those that are not stored. Short digests are those of a terminal.
    pub(crate) fn table(&self, took: Duration, short: bool) -> Vec<String> {
        let is_long = self.files.len() > MAX_ROWS;
        let rows = self.files.iter().filter(|file| !(is_long && file.is_stored()));
        let rows: Vec<_> = rows.take(MAX_ROWS).collect();
        let mut lines = Vec::new();
        if !rows.is_empty() {
            let width = rows.iter().map(|file| file.shown.chars().count()).max().unwrap_or(0);
            let width = width.clamp(4, 40);
            let (file, bytes, status) = ("file", "bytes", "status");
            lines.push(format!("{file:<width$}  {bytes:>12}  {status:<10}  sha256"));
            lines.extend(rows.iter().map(|file| file.row(width, short)));
        }
        if self.files.len() > 1 {
            lines.push(self.total(took));
        }
        lines
    }

    fn total(&self, took: Duration) -> String {
        let stored = self.files.iter().filter(|file| file.is_stored());
        let (mut files, mut bytes) = (0_u64, 0_u64);
        for file in stored {
            files += 1;
            bytes = bytes.saturating_add(file.size.unwrap_or(0));
        }
        let all = count(self.files.len() as u64, "file");
        // The time of a clock is at least a nanosecond here; the rate is for people.
        let rate = u128::from(bytes) * 1000 / took.as_millis().max(1);
        let seconds = took.as_secs_f64();
        format!("{files} of {all} stored, {bytes} bytes in {seconds:.1} s, {rate} bytes a second")
    }

    /// Returns a failure if a file is not stored.
    pub(crate) fn check_all_stored(&self) -> Result<(), Failure> {
        let mut missing = self.files.iter().filter(|file| !file.is_stored());
        let Some(first) = missing.next() else { return Ok(()) };
        let why = first.why().unwrap_or_default();
        let shown = &first.shown;
        Err(Failure::Job(match missing.count() {
            0 => format!("{shown} is not stored: {why}"),
            more => format!("{} files are not stored, the first is {shown}: {why}", more + 1),
        }))
    }
}

impl Entry {
    /// Returns whether the receiver has this file, by its digest.
    fn is_stored(&self) -> bool {
        match (&self.outcome, self.digest) {
            (FileOutcome::Final { code, digest, .. }, Some(own)) => {
                matches!(*code, Code::STORED | Code::EXISTS) && *digest == own
            }
            _ => false,
        }
    }

    /// Returns the status as one word.
    fn status(&self) -> String {
        match &self.outcome {
            _ if self.is_stored() => "stored".to_owned(),
            FileOutcome::Final { code, .. } => code.to_string(),
            FileOutcome::Changed => Code::CHANGED.to_string(),
            FileOutcome::Unreadable(_) => Code::UNREADABLE.to_string(),
            FileOutcome::Unsendable(_) => "not sent".to_owned(),
            FileOutcome::Unknown => "unknown".to_owned(),
        }
    }

    /// Returns the reason why the file is not stored, with a hint; `None` if it is stored.
    fn why(&self) -> Option<String> {
        if self.is_stored() {
            return None;
        }
        Some(match &self.outcome {
            FileOutcome::Final { code: Code::EXISTS, .. } => {
                "another file of that name is there; give it another with --name".to_owned()
            }
            FileOutcome::Final { code: Code::STORED, digest, .. } => {
                format!("the receiver stored something else, with the digest {digest}")
            }
            FileOutcome::Final { code, offset, reason, .. } => {
                let reason = if reason.is_empty() { code.meaning() } else { reason };
                let kept = match offset {
                    0 => String::new(),
                    kept => format!("; {kept} bytes are kept there, try again later"),
                };
                format!("{code}, {reason}{kept}")
            }
            FileOutcome::Changed => "it changed while it was sent; send it again".to_owned(),
            FileOutcome::Unreadable(error) => format!("it cannot be read: {error}"),
            FileOutcome::Unsendable(why) => why.clone(),
            FileOutcome::Unknown => "the connection ended first; send it again".to_owned(),
        })
    }

    fn row(&self, width: usize, short: bool) -> String {
        let size = self.size.map_or_else(|| "?".to_owned(), |size| size.to_string());
        let digest = self.digest.filter(|_| self.is_stored());
        let digest = digest.map(|digest| match short {
            true => preview::short_digest(&digest),
            false => digest.to_string(),
        });
        let last = digest.or_else(|| self.why());
        let last = last.unwrap_or_default();
        format!("{:<width$}  {size:>12}  {:<10}  {last}", self.shown, self.status())
    }

    fn json(&self) -> String {
        json_now(&FileEvent::File {
            path: &self.path,
            name: &self.name,
            size: self.size,
            status: self.status(),
            stored: self.is_stored(),
            digest: self.digest.map(|digest| digest.to_string()),
            message: self.why(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Digest = Digest([1; 32]);
    const OTHER: Digest = Digest([2; 32]);

    fn sent(status: FileStatus<'static>) -> Tally {
        let mut tally = Tally::default();
        let item = FileItem { path: Some("dir/a".into()), name: "a".to_owned() };
        let entry = tally.begin(&item);
        tally.opened(entry, status.id, Some(5));
        tally.digested(entry, 5, OWN);
        tally.end(&status);
        tally
    }

    #[test]
    fn a_file_is_stored_only_if_the_digest_matches() {
        for (status, word, why) in [
            (
                FileStatus { offset: 5, digest: OWN, ..FileStatus::new(1, Code::STORED) },
                "stored",
                "",
            ),
            (FileStatus::exists(1, Some((5, OWN))), "stored", ""),
            (FileStatus::exists(1, Some((5, OTHER))), "exists", "another with --name"),
            (FileStatus::exists(1, None), "exists", "another with --name"),
            (
                FileStatus { offset: 5, digest: OTHER, ..FileStatus::new(1, Code::STORED) },
                "stored",
                "something else",
            ),
            (FileStatus::refused(1, Code::NO_SPACE, 3, "full"), "no-space", "3 bytes are kept"),
        ] {
            let tally = sent(status);
            let table = tally.table(Duration::ZERO, false).join("\n");
            assert!(table.contains(word) && table.contains(why), "{table}");
            match tally.check_all_stored() {
                Ok(()) => assert!(why.is_empty() && table.contains(&OWN.to_string()), "{table}"),
                Err(Failure::Job(message)) => {
                    assert!(!why.is_empty() && message.starts_with("dir/a is not"), "{message}");
                }
                Err(_) => panic!("another failure"),
            }
        }
        assert!(Tally::default().table(Duration::ZERO, false).is_empty());
        assert!(Tally::default().check_all_stored().is_ok());
    }

    #[test]
    fn many_files_are_a_total_and_those_that_are_missing() {
        let mut tally = Tally::default();
        for id in 1..=5000 {
            let item = FileItem { path: Some(format!("dir/{id}").into()), name: "a".to_owned() };
            let entry = tally.begin(&item);
            tally.opened(entry, id, Some(10));
            tally.digested(entry, 10, OWN);
            let code = if id % 2000 == 0 { Code::NO_SPACE } else { Code::STORED };
            tally.end(&FileStatus { offset: 10, digest: OWN, ..FileStatus::new(id, code) });
        }
        let table = tally.table(Duration::from_millis(2500), true);
        let total = "4998 of 5000 files stored, 49980 bytes in 2.5 s, 19992 bytes a second";
        assert_eq!((table.len(), table[3].as_str()), (4, total));
        assert!(table[1].starts_with("dir/2000") && table[2].starts_with("dir/4000"), "{table:?}");
    }

    #[test]
    fn of_a_long_reason_the_beginning_is_kept() {
        let reason = "x".repeat(1 << 20).leak();
        let table = sent(FileStatus::refused(1, Code::NO_SPACE, 0, reason));
        assert!(table.table(Duration::ZERO, false).concat().len() < 1000);
        assert!(table.json_lines().concat().len() < 1000);
    }

    #[test]
    fn digests_are_short_on_a_terminal() {
        let stored = FileStatus { offset: 5, digest: OWN, ..FileStatus::new(1, Code::STORED) };
        let table = sent(stored).table(Duration::ZERO, true);
        assert!(table[1].ends_with("  0101010101010101…"), "{table:?}");
    }
}

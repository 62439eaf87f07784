//! What became of the files that were sent.

use std::io;

use serde::Serialize;
use unstick_session::message::{Code, Digest, FileStatus};

use crate::output::{Failure, json};
use crate::preview::escaped;
use crate::transfer::FileItem;

/// All files that were sent, in their order.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    files: Vec<Entry>,
    /// The files whose transfers have no final status, by id.
    open: Vec<(u32, usize)>,
    /// Statuses that the peer waits for.
    pub(crate) owed: Vec<FileStatus<'static>>,
}

/// A file that was sent, or was to be.
#[derive(Debug)]
struct Entry {
    shown: String,
    name: String,
    size: Option<u64>,
    /// The digest of what was sent, once all of it was.
    digest: Option<Digest>,
    /// What the receiver said that it holds.
    held: Option<(u64, Digest)>,
    fate: Fate,
}

/// What became of a file.
#[derive(Debug)]
pub(crate) enum Fate {
    /// Nothing is known.
    Unknown,
    /// The receiver's last word.
    Said {
        code: Code,
        offset: u64,
        digest: Digest,
        reason: String,
    },
    Changed,
    Unreadable(io::Error),
}

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
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
    /// A file is about to be sent.
    pub(crate) fn begin(&mut self, item: &FileItem) -> usize {
        self.files.push(Entry {
            shown: item.shown(),
            name: item.name.clone(),
            size: None,
            digest: None,
            held: None,
            fate: Fate::Unknown,
        });
        self.files.len() - 1
    }

    pub(crate) fn opened(&mut self, entry: usize, id: u32, size: Option<u64>) {
        self.open.push((id, entry));
        if let Some(file) = self.files.get_mut(entry) {
            file.size = size;
        }
    }

    /// All of a file was read.
    pub(crate) fn digested(&mut self, entry: usize, size: u64, digest: Digest) {
        if let Some(file) = self.files.get_mut(entry) {
            (file.size, file.digest) = (Some(size), Some(digest));
        }
    }

    /// The receiver waits for data.
    pub(crate) fn ready(&mut self, status: &FileStatus<'_>) {
        if let Some(file) = self.of(status.id) {
            file.held = Some((status.offset, status.digest));
        }
    }

    /// The receiver's last word on a file.
    pub(crate) fn end(&mut self, status: &FileStatus<'_>) {
        let FileStatus { id, code, offset, digest, reason } = *status;
        if let Some(file) = self.of(id)
            // That this side gave up is known here, and why.
            && matches!(file.fate, Fate::Unknown)
        {
            file.fate = Fate::Said { code, offset, digest, reason: reason.to_owned() };
        }
        self.open.retain(|(open, _)| *open != id);
    }

    /// This side gave a file up.
    pub(crate) fn settle(&mut self, entry: usize, fate: Fate) {
        if let Some(file) = self.files.get_mut(entry) {
            file.fate = fate;
        }
    }

    /// A file of the peer's is refused.
    pub(crate) fn owe(&mut self, status: FileStatus<'static>) {
        self.owed.push(status);
    }

    /// What the receiver holds of a file, and its digest, once it said so.
    pub(crate) fn held(&self, entry: usize) -> Option<(u64, Digest)> {
        self.files.get(entry)?.held
    }

    /// Whether the receiver says that it has a file of this name and size.
    pub(crate) fn is_there(&self, entry: usize, size: u64) -> bool {
        matches!(
            self.files.get(entry).map(|file| &file.fate),
            Some(Fate::Said { code: Code::EXISTS, offset, digest, .. })
                if *offset == size && *digest != Digest::NONE
        )
    }

    fn of(&mut self, id: u32) -> Option<&mut Entry> {
        let (_, entry) = *self.open.iter().find(|(open, _)| *open == id)?;
        self.files.get_mut(entry)
    }

    /// The table, or one object for each file.
    pub(crate) fn lines(&self, as_json: bool) -> Vec<String> {
        if as_json {
            return self.files.iter().map(Entry::json).collect();
        }
        if self.files.is_empty() {
            return Vec::new();
        }
        let width = self.files.iter().map(|file| file.shown.chars().count()).max().unwrap_or(0);
        let width = width.clamp(4, 40);
        let rows = self.files.iter().map(|file| file.row(width));
        let heading = format!("{:<width$}  {:>12}  {:<10}  sha256", "file", "bytes", "status");
        std::iter::once(heading).chain(rows).collect()
    }

    /// A failure, if a file is not stored.
    pub(crate) fn judge(&self) -> Result<(), Failure> {
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
    /// Whether the receiver has this very file.
    fn is_stored(&self) -> bool {
        match (&self.fate, self.digest) {
            (Fate::Said { code, digest, .. }, Some(own)) => {
                matches!(*code, Code::STORED | Code::EXISTS) && *digest == own
            }
            _ => false,
        }
    }

    /// In a word.
    fn status(&self) -> String {
        match &self.fate {
            _ if self.is_stored() => "stored".to_owned(),
            Fate::Said { code, .. } => code.to_string(),
            Fate::Changed => Code::CHANGED.to_string(),
            Fate::Unreadable(_) => Code::UNREADABLE.to_string(),
            Fate::Unknown => "unknown".to_owned(),
        }
    }

    /// Why it is not stored, and what to try.
    fn why(&self) -> Option<String> {
        if self.is_stored() {
            return None;
        }
        Some(match &self.fate {
            Fate::Said { code: Code::EXISTS, .. } => {
                "another file of that name is there; give it another with --name".to_owned()
            }
            Fate::Said { code: Code::STORED, digest, .. } => {
                format!("the receiver stored something else, with the digest {digest}")
            }
            Fate::Said { code, offset, reason, .. } => {
                let reason = match escaped(reason) {
                    reason if reason.is_empty() => code.meaning().to_owned(),
                    reason => reason,
                };
                let kept = match offset {
                    0 => String::new(),
                    kept => format!("; {kept} bytes are kept there, try again later"),
                };
                format!("{code}, {reason}{kept}")
            }
            Fate::Changed => "it changed while it was sent; send it again".to_owned(),
            Fate::Unreadable(error) => format!("it cannot be read: {error}"),
            Fate::Unknown => "the connection ended first; send it again".to_owned(),
        })
    }

    fn row(&self, width: usize) -> String {
        let size = self.size.map_or_else(|| "?".to_owned(), |size| size.to_string());
        let digest = self.digest.filter(|_| self.is_stored());
        let last = digest.map(|digest| digest.to_string()).or_else(|| self.why());
        let last = last.unwrap_or_default();
        format!("{:<width$}  {size:>12}  {:<10}  {last}", self.shown, self.status())
    }

    fn json(&self) -> String {
        json(&Event::File {
            path: &self.shown,
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
    fn stored_is_what_is_there_with_the_same_digest() {
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
            (FileStatus::refused(1, Code::NO_SPACE, 3, "full\x1b"), "no-space", "3 bytes are kept"),
        ] {
            let tally = sent(status);
            let table = tally.lines(false).join("\n");
            assert!(table.contains(word) && table.contains(why), "{table}");
            match tally.judge() {
                Ok(()) => assert!(why.is_empty() && table.contains(&OWN.to_string()), "{table}"),
                Err(Failure::Job(message)) => {
                    assert!(!why.is_empty() && message.starts_with("dir/a is not"), "{message}");
                    assert!(!message.contains('\x1b'), "{message}");
                }
                Err(_) => panic!("another failure"),
            }
        }
        assert!(Tally::default().lines(false).is_empty());
        assert!(Tally::default().judge().is_ok());
    }
}

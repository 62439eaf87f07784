//! Sends a file in a conversation of version 1.

use unstick_session::message::{
    Code, Digest, FileCancel, FileData, FileDone, FileOpen, Message, ResumeKey,
};
use unstick_session::session::SendError;

use crate::send::conversation::{Halt, Sender};
use crate::send::tally::FileOutcome;
use crate::send::transfer::{FileItem, FileSource, ResumeKeys, Unsendable};
use crate::term::output::Failure;

/// The minimum size of a file for which the sender waits for the receiver's status before it sends
/// data: the receiver may hold a part, or all of it. Smaller files are sent without waiting.
const MIN_SIZE_TO_ASK: u64 = 1 << 20;
/// The maximum number of bytes of a file in one frame: a slow line transmits this many in time, and a
/// listener has room for them though others use up its memory.
const MAX_DATA: u64 = 64 << 10;

/// The reason why a file was not sent completely.
enum FileFailure {
    Halt(Halt),
    Source(Unsendable),
}

impl From<Halt> for FileFailure {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl From<Unsendable> for FileFailure {
    fn from(why: Unsendable) -> Self {
        Self::Source(why)
    }
}

impl Sender<'_> {
    /// Sends a file. If it cannot be sent, the table at the end says why.
    pub(super) async fn file(&mut self, item: FileItem) -> Result<(), Halt> {
        let entry = self.tally.begin(&item);
        let mut source = match self.meanwhile(FileSource::open(&item)).await? {
            Ok(source) => source,
            Err(error) => {
                self.tally.set_outcome(entry, FileOutcome::Unreadable(error));
                return Ok(());
            }
        };
        let size = source.size();
        let id = self.wait_for_transfer_id().await?;
        self.tally.opened(entry, id, size);
        let key = self.resume_key(&item).map_err(Halt::GivenUp)?;
        self.feed(&Message::FileOpen(FileOpen { id, key, size, name: &item.name })).await?;
        if let Some(attributes) = source.attributes(id).filter(|_| self.job.preserve) {
            self.feed(&Message::FileAttributes(attributes)).await?;
        }
        self.bar.begin(&item.name, size);
        let sent = self.content(id, entry, &mut source).await;
        self.bar.end();
        let why = match sent {
            Ok(()) => return Ok(()),
            Err(FileFailure::Halt(halt)) => return Err(halt),
            Err(FileFailure::Source(why)) => why,
        };
        let (code, outcome) = match why {
            Unsendable::Changed => (Code::CHANGED, FileOutcome::Changed),
            Unsendable::Unreadable(error) => (Code::UNREADABLE, FileOutcome::Unreadable(error)),
        };
        self.tally.set_outcome(entry, outcome);
        if self.is_over(id) {
            return Ok(());
        }
        self.feed(&Message::FileCancel(FileCancel { id, code, reason: code.meaning() })).await
    }

    fn resume_key(&mut self, item: &FileItem) -> Result<ResumeKey, Failure> {
        match &mut self.keys {
            Some(keys) => keys.of(item),
            none => none.insert(ResumeKeys::new(&self.job.addr)?).of(item),
        }
    }

    async fn content(
        &mut self,
        id: u32,
        entry: usize,
        source: &mut FileSource,
    ) -> Result<(), FileFailure> {
        if source.size().is_some_and(|size| size >= MIN_SIZE_TO_ASK) {
            let ready = self.wait_until_ready(id, entry).await?;
            if let Some((held, digest)) = ready.filter(|(held, _)| *held > 0) {
                // If the file is shorter than the part, the part is no beginning of it.
                let fits = source.size().is_some_and(|size| held <= size);
                if fits && self.meanwhile(source.digest_beginning(held)).await?? == digest {
                    self.bar.skip(held);
                } else if fits {
                    source.rewind().await?;
                }
            }
        }
        loop {
            let mut offset = source.position();
            let Some(mut chunk) = self.meanwhile(source.next()).await?? else { break };
            let max_len = self.peer_limit().saturating_sub(FileData::HEAD_LEN as u64).min(MAX_DATA);
            let max_len = usize::try_from(max_len).unwrap_or(usize::MAX).max(1);
            while let Some((bytes, rest)) = chunk.split_at_checked(max_len.min(chunk.len()))
                && !bytes.is_empty()
            {
                if self.is_over(id) {
                    return self.finish_early(entry, source).await;
                }
                self.feed(&Message::FileData(FileData { id, offset, bytes })).await?;
                self.bar.advance(bytes.len() as u64);
                offset += bytes.len() as u64;
                chunk = rest;
            }
        }
        let (total, digest) = source.finish().await?;
        self.tally.digested(entry, total, digest);
        if !self.is_over(id) {
            self.feed(&Message::FileDone(FileDone { id, total, digest })).await?;
        }
        Ok(())
    }

    /// Finishes a file whose final status came before all of it was sent. If the receiver has a
    /// file of that size, the digest decides whether it is the same.
    async fn finish_early(
        &mut self,
        entry: usize,
        source: &mut FileSource,
    ) -> Result<(), FileFailure> {
        let size = source.size().unwrap_or(0);
        if self.tally.exists_with_size(entry, size) {
            let digest = async {
                source.rewind().await?;
                while source.next().await?.is_some() {}
                source.finish().await
            };
            let (total, digest) = self.meanwhile(digest).await??;
            self.tally.digested(entry, total, digest);
        }
        Ok(())
    }

    /// Returns whether the transfer has ended, so that nothing more is sent for it.
    fn is_over(&self, id: u32) -> bool {
        self.connection.session().open_transfer() != Some(id)
    }

    /// Waits until another transfer may be opened; returns its id.
    async fn wait_for_transfer_id(&mut self) -> Result<u32, Halt> {
        self.wait_for_file(|sender| {
            let may = sender.connection.session().check_may_open();
            !matches!(may, Err(SendError::TooManyTransfers))
        })
        .await?;
        let session = self.connection.session();
        session
            .check_may_open()
            .map_err(|error| Halt::Refused(Failure::job(format!("cannot send a file: {error}"))))?;
        session
            .next_transfer_id()
            .ok_or_else(|| Halt::given_up("too many files for one connection; send the rest anew"))
    }

    /// Waits until the receiver reports what it holds of the open file; `None` if it does not want
    /// the file.
    async fn wait_until_ready(
        &mut self,
        id: u32,
        entry: usize,
    ) -> Result<Option<(u64, Digest)>, Halt> {
        self.wait_for_file(|sender| sender.tally.held(entry).is_some() || sender.is_over(id))
            .await?;
        Ok(self.tally.held(entry))
    }
}

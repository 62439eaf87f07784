//! A file on its way out over a blocking connection.

use core::fmt;

use super::connection::{Connection, Transport};
use crate::error::ConnectionError;
use crate::message::{Digest, FileStatus, Message};
use crate::sending::Sending;
use crate::session::Event;

impl<S: Transport> Connection<S> {
    /// Offers a file, to be sent from its beginning: [`write`](FileSender::write) its bytes, and
    /// [`finish`](FileSender::finish) with its digest.
    ///
    /// `name` is one component of a path, 1 to 255 bytes (spec, 13.6). `size` is in bytes, and then
    /// exactly so many have to be sent; `None` if it is not known. What the peer says beside what
    /// concerns this file goes to `other`, and what that returns is sent: `|_| None` where the
    /// peer says nothing else, or [`FileReceiver::handle`](crate::session::FileReceiver::handle) if
    /// it sends files.
    ///
    /// The file has a resume key that nobody knows. (To go on with the part of an earlier try, send
    /// the [messages](crate::session#files) yourself.)
    ///
    /// # Errors
    /// [`ConnectionError::Send`] when no file can be opened now, or none of this name;
    /// [`ConnectionError::Write`] when the transport failed. The file was not offered.
    pub fn send_file<E>(
        &mut self,
        name: &str,
        size: Option<u64>,
        other: E,
    ) -> Result<FileSender<'_, S, E>, ConnectionError>
    where
        E: FnMut(Event<'_>) -> Option<FileStatus<'static>>,
    {
        // After the greatest id the session says why there is no other.
        let mut sending = Sending::new(self.session().next_transfer_id().unwrap_or(u32::MAX));
        self.feed(&sending.open(name, size))?;
        sending.opened();
        Ok(FileSender { connection: self, sending, other })
    }
}

/// A file on its way out: see [`Connection::send_file`].
///
/// Dropped before it is finished, the file is given up: a cancel goes out with what follows.
///
/// ```
/// # use std::io::Read;
/// # use unstick_session::io::{Connection, ConnectionError, Transport};
/// # use unstick_session::message::Digest;
/// # struct Sha256;
/// # impl Sha256 {
/// #     fn update(&mut self, _: &[u8]) {}
/// #     fn finalize(self) -> [u8; 32] { [0; 32] }
/// # }
/// # fn example<S: Transport>(connection: &mut Connection<S>, mut file: impl Read, mut hash: Sha256)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// let mut sender = connection.send_file("report.pdf", None, |_| None)?;
/// let mut buf = [0; 32 * 1024];
/// while let n @ 1.. = file.read(&mut buf)? {
///     hash.update(&buf[..n]);
///     sender.write(&buf[..n])?;
/// }
/// sender.finish(Digest(hash.finalize()))?; // it is there
/// # Ok(())
/// # }
/// ```
#[must_use = "dropped, the file is given up"]
pub struct FileSender<'a, S, E> {
    connection: &'a mut Connection<S>,
    sending: Sending,
    other: E,
}

impl<S, E> FileSender<'_, S, E>
where
    S: Transport,
    E: FnMut(Event<'_>) -> Option<FileStatus<'static>>,
{
    /// Sends the next bytes of the file, in frames that the peer takes. They are written as
    /// [`Connection::feed`] does it, and nothing is read meanwhile: a refusal shows in
    /// [`finish`](Self::finish).
    ///
    /// # Errors
    /// As [`Connection::feed`]. [`position`](Self::position) says how many bytes were accepted;
    /// after a time-out of the socket go on with the next.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), ConnectionError> {
        while !bytes.is_empty() && self.sending.wants_data()? {
            let data = self.sending.data(bytes, self.connection.session().peer_limit());
            self.connection.feed(&Message::FileData(data))?;
            let n = data.bytes.len();
            self.sending.advance(n);
            bytes = bytes.get(n..).unwrap_or_default();
        }
        self.sending.advance(bytes.len()); // the receiver has it already, perhaps
        Ok(())
    }

    /// The offset in the file of the next byte.
    pub fn position(&self) -> u64 {
        self.sending.position()
    }

    /// Says that the file is complete, and waits until the receiver has it: `Ok` says that it is
    /// there, under its name, with this digest, the SHA-256 of all of it. It was stored, or one
    /// with this digest was there.
    ///
    /// # Errors
    /// [`ConnectionError::FileRefused`] and [`ConnectionError::FileUnanswered`]: the receiver does
    /// not have it, or it is not known. Else as [`Connection::recv`] and [`Connection::feed`]; after
    /// a time-out of the socket what becomes of the file is an event of [`Connection::recv`].
    pub fn finish(mut self, digest: Digest) -> Result<FileStatus<'static>, ConnectionError> {
        loop {
            if let Some(outcome) = self.sending.outcome(digest) {
                return outcome;
            }
            if self.sending.is_open() {
                self.connection.feed(&self.sending.done(digest))?;
                self.sending.finished();
            }
            let Some(event) = self.connection.recv()? else { return Err(self.sending.refused()) };
            if !self.sending.hear(&event)
                && let Some(status) = (self.other)(event)
            {
                self.connection.try_feed(&Message::FileStatus(status))?;
            }
        }
    }
}

impl<S, E> Drop for FileSender<'_, S, E> {
    fn drop(&mut self) {
        if let Some(cancel) = self.sending.cancel() {
            self.connection.give_up(&cancel);
        }
    }
}

impl<S, E> fmt::Debug for FileSender<'_, S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSender")
            .field("position", &self.sending.position())
            .finish_non_exhaustive()
    }
}

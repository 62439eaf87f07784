//! Sending a file over a blocking connection.

use core::fmt;

use super::connection::{Connection, Transport};
use crate::error::ConnectionError;
use crate::message::{Digest, FileStatus, Message};
use crate::sending::Sending;
use crate::session::Event;

impl<S: Transport> Connection<S> {
    /// Offers a file. [`write`](FileSender::write) its bytes from the beginning, then
    /// [`finish`](FileSender::finish) with its digest.
    ///
    /// - `name` is one path component, 1 to 255 bytes (spec, 13.6).
    /// - `size` is in bytes, or `None` if it is not known. If it is given, exactly this many bytes
    ///   must be written.
    /// - `other` receives the events that do not concern this file, and the status that it returns
    ///   is sent. Use `|_| None` if the peer sends nothing else, or
    ///   [`FileReceiver::handle`](crate::session::FileReceiver::handle) if it sends files.
    ///
    /// The file has a random resume key, so the transfer cannot be resumed. (To resume the part of
    /// an earlier attempt, send the [messages](crate::session#files) yourself.)
    ///
    /// # Errors
    /// Returns [`ConnectionError::Send`] if no file can be opened now, or none with this name, and
    /// [`ConnectionError::Write`] if the transport failed. The file was not offered then.
    pub fn send_file<E>(
        &mut self,
        name: &str,
        size: Option<u64>,
        other: E,
    ) -> Result<FileSender<'_, S, E>, ConnectionError>
    where
        E: FnMut(Event<'_>) -> Option<FileStatus<'static>>,
    {
        // After the greatest id, the session returns the error for this one.
        let mut sending = Sending::new(self.session().next_transfer_id().unwrap_or(u32::MAX));
        self.feed(&sending.open(name, size))?;
        sending.opened();
        Ok(FileSender { connection: self, sending, other })
    }
}

/// A file that is being sent. Created by [`Connection::send_file`].
///
/// If it is dropped before it is finished, the file is cancelled: the cancel is written with the
/// next messages.
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
/// sender.finish(Digest(hash.finalize()))?; // the receiver has the file
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
    /// Sends the next bytes of the file, in frames within the peer's limit.
    ///
    /// The frames are written as by [`Connection::feed`]. Nothing is read in the meantime, so a
    /// refusal is reported by [`finish`](Self::finish).
    ///
    /// # Errors
    /// The same as [`Connection::feed`]. [`position`](Self::position) returns how many bytes were
    /// accepted; after a timeout of the socket, continue with the next byte.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), ConnectionError> {
        while !bytes.is_empty() && self.sending.wants_data()? {
            let data = self.sending.data(bytes, self.connection.session().peer_limit());
            self.connection.feed(&Message::FileData(data))?;
            let n = data.bytes.len();
            self.sending.advance(n);
            bytes = bytes.get(n..).unwrap_or_default();
        }
        self.sending.advance(bytes.len()); // the receiver may already have the file
        Ok(())
    }

    /// Returns the offset of the next byte in the file.
    pub fn position(&self) -> u64 {
        self.sending.position()
    }

    /// Completes the file, and waits for its final status.
    ///
    /// `digest` is the SHA-256 of the whole file. `Ok` means that the receiver has the file with
    /// this digest under its name: it was stored, or was already there.
    ///
    /// # Errors
    /// Returns [`ConnectionError::FileRefused`] if the receiver does not have the file, and
    /// [`ConnectionError::FileUnanswered`] if the outcome is unknown. Otherwise the same as
    /// [`Connection::recv`] and [`Connection::feed`]. After a timeout of the socket, the outcome is
    /// an event of [`Connection::recv`].
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
            if self.sending.handle(&event) {
                continue;
            }
            if let Some(status) = (self.other)(event) {
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

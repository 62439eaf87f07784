//! Sending a file over an asynchronous connection.

use core::fmt;

use ::tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, Turn};
use crate::error::ConnectionError;
use crate::message::{Digest, FileStatus, Message};
use crate::sending::Sending;
use crate::session::Event;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
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
    /// # Cancel safety
    /// This method is cancel safe: a dropped call has not offered the file.
    ///
    /// # Errors
    /// Returns [`ConnectionError::Send`] if no file can be opened now, or none with this name.
    /// Otherwise the same as [`recv_or_room`](Self::recv_or_room). The file was not offered then.
    pub async fn send_file<E>(
        &mut self,
        name: &str,
        size: Option<u64>,
        other: E,
    ) -> Result<FileSender<'_, S, E>, ConnectionError>
    where
        E: FnMut(Event<'_>) -> Option<FileStatus<'static>>,
    {
        // After the greatest id, the session returns the error for this one.
        let sending = Sending::new(self.session().next_transfer_id().unwrap_or(u32::MAX));
        let mut sender = FileSender { connection: self, sending, other };
        sender.room().await?;
        sender.connection.feed(&sender.sending.open(name, size)).await?;
        sender.sending.opened();
        Ok(sender)
    }
}

/// A file that is being sent. Created by [`Connection::send_file`].
///
/// If it is dropped before it is finished, the file is cancelled: the cancel is written with the
/// next messages.
/// ```
/// # use tokio::io::{AsyncRead, AsyncReadExt};
/// # use unstick_session::message::Digest;
/// # use unstick_session::tokio::Connection;
/// # struct Sha256;
/// # impl Sha256 {
/// #     fn update(&mut self, _: &[u8]) {}
/// #     fn finalize(self) -> [u8; 32] { [0; 32] }
/// # }
/// # async fn example(connection: &mut Connection<tokio::net::TcpStream>,
/// # mut file: impl AsyncRead + Unpin, mut hash: Sha256) -> Result<(), Box<dyn std::error::Error>> {
/// let mut sender = connection.send_file("report.pdf", None, |_| None).await?;
/// let mut buf = [0; 32 * 1024];
/// while let n @ 1.. = file.read(&mut buf).await? {
///     hash.update(&buf[..n]);
///     sender.write(&buf[..n]).await?;
/// }
/// sender.finish(Digest(hash.finalize())).await?; // the receiver has the file
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
    S: AsyncRead + AsyncWrite + Unpin,
    E: FnMut(Event<'_>) -> Option<FileStatus<'static>>,
{
    /// Sends the next bytes of the file, in frames within the peer's limit, and handles events in
    /// the meantime.
    ///
    /// # Cancel safety
    /// A dropped call may have sent some of the bytes: [`position`](Self::position) returns the
    /// offset of the next one.
    ///
    /// # Errors
    /// Returns [`ConnectionError::FileRefused`] or [`ConnectionError::FileUnanswered`] as soon as
    /// the peer has answered or closed. Otherwise the same as [`Connection::recv_or_room`] and
    /// [`Connection::feed`].
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), ConnectionError> {
        while !bytes.is_empty() && self.sending.wants_data()? {
            if !self.room().await? {
                continue;
            }
            let data = self.sending.data(bytes, self.connection.session().peer_limit());
            // There is room, so this does not wait.
            self.connection.feed(&Message::FileData(data)).await?;
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
    /// # Cancel safety
    /// A dropped call cancels the file. If the call had already sent done, the outcome is an event
    /// of [`Connection::recv`].
    ///
    /// # Errors
    /// Returns [`ConnectionError::FileRefused`] if the receiver does not have the file, and
    /// [`ConnectionError::FileUnanswered`] if the outcome is unknown. Otherwise the same as
    /// [`Connection::recv`] and [`Connection::feed`].
    pub async fn finish(mut self, digest: Digest) -> Result<FileStatus<'static>, ConnectionError> {
        loop {
            if let Some(outcome) = self.sending.outcome(digest) {
                return outcome;
            }
            if !self.sending.is_open() {
                let Some(event) = self.connection.recv().await? else {
                    return Err(self.sending.refused());
                };
                let answer = answer(&mut self.sending, &mut self.other, event);
                self.answer(answer)?;
            } else if self.room().await? {
                // There is room, so this does not wait.
                self.connection.feed(&self.sending.done(digest)).await?;
                self.sending.finished();
            }
        }
    }

    /// Waits until a message can be accepted without waiting, and handles events in the meantime.
    /// Returns `false` if the receiver has answered for the file.
    async fn room(&mut self) -> Result<bool, ConnectionError> {
        loop {
            let turn = self.connection.recv_or_room().await?;
            let answer = match turn.ok_or_else(|| self.sending.refused())? {
                Turn::Room => return Ok(true),
                Turn::Event(event) => answer(&mut self.sending, &mut self.other, event),
            };
            self.answer(answer)?;
            if self.sending.is_over() {
                return Ok(false);
            }
        }
    }

    fn answer(&mut self, status: Option<FileStatus<'static>>) -> Result<(), ConnectionError> {
        match status {
            Some(status) => self.connection.try_feed(&Message::FileStatus(status)),
            None => Ok(()),
        }
    }
}

/// Returns the answer to an event.
fn answer(
    sending: &mut Sending,
    mut other: impl FnMut(Event<'_>) -> Option<FileStatus<'static>>,
    event: Event<'_>,
) -> Option<FileStatus<'static>> {
    if sending.handle(&event) { None } else { other(event) }
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

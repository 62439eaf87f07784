//! A file on its way out over an asynchronous connection.

use core::fmt;

use ::tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, Turn};
use crate::error::ConnectionError;
use crate::message::{Digest, FileStatus, Message};
use crate::sending::Sending;
use crate::session::Event;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
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
    /// # Cancel safety
    /// A dropped call offered nothing.
    ///
    /// # Errors
    /// [`ConnectionError::Send`] when no file can be opened now, or none of this name; else as
    /// [`recv_or_room`](Self::recv_or_room). The file was not offered.
    pub async fn send_file<E>(
        &mut self,
        name: &str,
        size: Option<u64>,
        other: E,
    ) -> Result<FileSender<'_, S, E>, ConnectionError>
    where
        E: FnMut(Event<'_>) -> Option<FileStatus<'static>>,
    {
        // After the greatest id the session says why there is no other.
        let sending = Sending::new(self.session().next_transfer_id().unwrap_or(u32::MAX));
        let mut sender = FileSender { connection: self, sending, other };
        sender.room().await?;
        sender.connection.feed(&sender.sending.open(name, size)).await?;
        sender.sending.opened();
        Ok(sender)
    }
}

/// A file on its way out: see [`Connection::send_file`].
///
/// Dropped before it is finished, the file is given up: a cancel goes out with what follows.
///
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
/// sender.finish(Digest(hash.finalize())).await?; // it is there
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
    /// Sends the next bytes of the file, in frames that the peer takes, and takes what comes
    /// meanwhile.
    ///
    /// # Cancel safety
    /// A dropped call may have sent some of the bytes: [`position`](Self::position) says which is
    /// the next.
    ///
    /// # Errors
    /// [`ConnectionError::FileRefused`] and [`ConnectionError::FileUnanswered`] as soon as the peer
    /// says so; else as [`Connection::recv_or_room`] and [`Connection::feed`].
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), ConnectionError> {
        while !bytes.is_empty() && self.sending.wants_data()? {
            if !self.room().await? {
                continue;
            }
            let data = self.sending.data(bytes, self.connection.session().peer_limit());
            // There is room: it does not wait.
            self.connection.feed(&Message::FileData(data)).await?;
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
    /// # Cancel safety
    /// A dropped call gives the file up; or where it has said that the file is complete, what
    /// becomes of it is an event of [`Connection::recv`].
    ///
    /// # Errors
    /// [`ConnectionError::FileRefused`] and [`ConnectionError::FileUnanswered`]: the receiver does
    /// not have it, or it is not known. Else as [`Connection::recv`] and [`Connection::feed`].
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
                // There is room: it does not wait.
                self.connection.feed(&self.sending.done(digest)).await?;
                self.sending.finished();
            }
        }
    }

    /// Waits until the next message is accepted without waiting, and takes what comes meanwhile.
    /// `false` says that the receiver has answered for the file.
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

/// What an event is answered with.
fn answer(
    sending: &mut Sending,
    mut other: impl FnMut(Event<'_>) -> Option<FileStatus<'static>>,
    event: Event<'_>,
) -> Option<FileStatus<'static>> {
    if sending.hear(&event) { None } else { other(event) }
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

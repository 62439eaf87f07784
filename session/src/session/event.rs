//! What arrived, in the application's terms.

use unstick::Kind;

use crate::message::{
    Close, Code, FileAttributes, FileCancel, FileData, FileDone, FileOpen, FileStatus, Hello,
};

/// What a received frame means for the application.
///
/// ```
/// use unstick::Kind;
/// use unstick_session::session::{Event, Session};
///
/// let mut session = Session::new();
/// match session.handle_frame(Kind::TEXT, b"hello")? {
///     Event::Text(text) => assert_eq!(text, "hello"),
///     Event::Close(close) => println!("the peer ends: {}", close.code),
///     _ => {} // files, for example, which this application does not take
/// }
/// # Ok::<(), unstick_session::session::SessionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Nothing to do: a ping, an unexpected pong, a frame of a skipped kind, or a message of a
    /// closed transfer.
    Nothing,
    /// The peer's limit and name. The limit applies from now on.
    Hello(Hello<'a>),
    /// Text.
    Text(&'a str),
    /// Arbitrary bytes.
    Binary(&'a [u8]),
    /// A message of a kind that was added with [`with_kind`](super::Session::with_kind).
    Application {
        /// The kind.
        kind: Kind,
        /// The payload.
        payload: &'a [u8],
    },
    /// The answer to one of this side's pings, and to all that were sent before it.
    Pong(&'a [u8]),
    /// The peer's last message. This side's transfers without a final status get none. The peer's
    /// open file counts as interrupted: keep its part.
    Close(Close<'a>),

    /// The peer offers a file. Answer with ready, exists or a refusal.
    FileOpen(FileOpen<'a>),
    /// The next bytes of the peer's open file. Bytes at offset 0 restart the file and replace
    /// the part held so far.
    FileData(FileData<'a>),
    /// The peer's file is complete. Answer with stored, exists or a refusal. If no data came
    /// before, the file is empty (`total` is 0) or was held completely.
    FileDone(FileDone),
    /// What the peer's open file has besides its bytes. The last one counts. It may be ignored.
    FileAttributes(FileAttributes),
    /// The peer abandons its open file. Drop the part. The session sends the answer.
    FileCancel(FileCancel<'a>),
    /// The peer broke a rule in a file transfer, and the session refuses the file. Drop the part if
    /// the file was offered by [`FileOpen`](Self::FileOpen) before. With [`Code::BAD_NAME`],
    /// [`Code::SECOND_OPEN`] and [`Code::SHUTTING_DOWN`] it was not offered.
    FileRefused {
        /// The transfer id.
        id: u32,
        /// The code of the refusal that the peer receives.
        code: Code,
    },

    /// The receiver of this side's open file waits for data. The status says how many bytes it
    /// already holds: see [`FileStatus::begin_at`].
    FileReady(FileStatus<'a>),
    /// The receiver is working on a file of this side.
    FileWorking(FileStatus<'a>),
    /// The final status of a file of this side. [`FileStatus::is_there`] tells whether the receiver
    /// has the file. If it is the open file, send nothing more for it.
    FileEnd(FileStatus<'a>),
}

/// Whether a frame's payload is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a payload to be skipped need not be gathered"]
pub enum Expect {
    /// The payload is needed: collect it, and pass it to
    /// [`handle_frame`](super::Session::handle_frame).
    Payload,
    /// The payload is not needed and can be skipped. If it is passed to
    /// [`handle_frame`](super::Session::handle_frame) anyway, the result is [`Event::Nothing`].
    Nothing,
}

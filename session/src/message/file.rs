//! The messages of a file transfer, and their fields (spec, chapter 15).

use core::fmt;

use unstick::Escaped;

use super::Code;

/// An offer of a file (spec, 13.1; the name, 13.6).
///
/// ```
/// use unstick_session::message::{FileOpen, Message, ResumeKey};
///
/// let message = Message::FileOpen(FileOpen {
///     id: 1,
///     key: ResumeKey::NONE,
///     size: Some(5),
///     name: "hello.txt",
/// });
/// let encoded = message.encode()?;
/// let payload = [encoded.head(), encoded.tail()].concat();
/// assert_eq!(Message::decode(encoded.kind(), &payload)?, message);
/// # Ok::<(), unstick_session::message::MessageError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileOpen<'a> {
    /// The transfer id: greater than every id that this sender used before in this conversation.
    pub id: u32,
    /// The key under which the receiver keeps a part of the file if the connection breaks.
    /// [`ResumeKey::NONE`]: it keeps none.
    pub key: ResumeKey,
    /// The file's size in bytes, or `None` if it is not known. (`None` is 2^64 − 1 on the wire, so
    /// a size with this value cannot be encoded.)
    pub size: Option<u64>,
    /// The file's name: one component of a path, 1 to 255 bytes. See [`check_name`](super::check_name).
    pub name: &'a str,
}

impl FileOpen<'_> {
    /// The offset of the size in the payload.
    pub(crate) const SIZE_AT: u64 = 20;
    /// The offset of the name in the payload.
    pub(crate) const NAME_AT: u64 = 28;
    /// The size field's value for an unknown size.
    pub(super) const UNKNOWN: u64 = u64::MAX;
}

/// A run of the open file's bytes (spec, 13.1 and 15.3).
///
/// ```
/// use unstick_session::message::{FileData, Message};
///
/// let message = Message::FileData(FileData { id: 1, offset: 0, bytes: b"hello" });
/// let encoded = message.encode()?;
/// let payload = [encoded.head(), encoded.tail()].concat();
/// assert_eq!(Message::decode(encoded.kind(), &payload)?, message);
/// # Ok::<(), unstick_session::message::MessageError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FileData<'a> {
    /// The transfer id.
    pub id: u32,
    /// The offset of `bytes` in the file.
    pub offset: u64,
    /// The data; at least one byte.
    pub bytes: &'a [u8],
}

impl FileData<'_> {
    /// The length in bytes of the fixed fields, which come before the file's data.
    pub const HEAD_LEN: usize = 12;
}

/// The end of the open file (spec, 13.1 and 15.3).
///
/// ```
/// use unstick_session::message::{Code, Digest, FileDone};
///
/// let done = FileDone { id: 1, total: 0, digest: Digest::OF_NOTHING };
/// assert_eq!(done.answer(Digest::OF_NOTHING).code, Code::STORED); // of the bytes that were received
/// assert_eq!(done.answer(Digest([7; 32])).code, Code::BAD_DIGEST);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileDone {
    /// The transfer id.
    pub id: u32,
    /// The size of the whole file in bytes, including a part from an earlier attempt.
    pub total: u64,
    /// The SHA-256 of the whole file.
    pub digest: Digest,
}

impl FileDone {
    /// Returns the answer to this message: stored if `found`, the digest of the received file, is
    /// the announced digest, otherwise bad-digest.
    ///
    /// Call it when the file's data is on disk and synced. After stored, give the file its name
    /// before you send the answer; after bad-digest, drop the part.
    #[must_use]
    pub fn answer(&self, found: Digest) -> FileStatus<'static> {
        if found == self.digest {
            FileStatus {
                offset: self.total,
                digest: found,
                ..FileStatus::new(self.id, Code::STORED)
            }
        } else {
            FileStatus::new(self.id, Code::BAD_DIGEST)
        }
    }
}

/// The receiver's answer for a file (spec, 13.1 and 15.6).
///
/// ```
/// use unstick_session::message::{Code, Digest, FileStatus};
///
/// // The receiver has four bytes of an earlier attempt.
/// let status = FileStatus::ready(1, 4, Digest([7; 32]));
/// assert_eq!(status.code, Code::READY);
/// assert_eq!(status.begin_at(Digest([7; 32])), 4); // the sender's first four bytes are the same
/// assert_eq!(status.begin_at(Digest([8; 32])), 0); // another file: from its beginning
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStatus<'a> {
    /// The transfer id, chosen by the side that receives this message.
    pub id: u32,
    /// The outcome or the progress. [`Code::is_final`] tells whether further statuses follow.
    pub code: Code,
    /// A number of bytes. With ready: how much of the file the receiver holds. With stored and
    /// exists: the file's size. With a refusal: how much is kept for the next attempt. With
    /// working: how much is on disk.
    pub offset: u64,
    /// With ready, stored and exists: the SHA-256 of the first `offset` bytes. Otherwise
    /// [`Digest::NONE`].
    pub digest: Digest,
    /// The code as text for people; may be empty. It is chosen by the peer: escape it before you
    /// display it.
    pub reason: &'a str,
}

impl<'a> FileStatus<'a> {
    /// Creates a status without offset and digest. The reason is the code's
    /// [meaning](Code::meaning) if the code is a refusal, otherwise empty.
    #[must_use]
    pub fn new(id: u32, code: Code) -> Self {
        let reason = match code {
            Code::READY | Code::WORKING | Code::STORED | Code::EXISTS => "",
            code => code.meaning(),
        };
        Self { id, code, offset: 0, digest: Digest::NONE, reason }
    }

    /// Creates a ready status: the receiver waits for data, and holds `offset` bytes of an earlier
    /// attempt with the same name and key. `digest` is the digest of these bytes,
    /// [`Digest::OF_NOTHING`] if there are none.
    #[must_use]
    pub const fn ready(id: u32, offset: u64, digest: Digest) -> Self {
        Self { id, code: Code::READY, offset, digest, reason: "" }
    }

    /// Creates an exists status: there is already a file with this name.
    ///
    /// If its size is the announced one, or if no size was announced, pass the size and the file's
    /// digest. A sender that lost the stored status of an earlier attempt learns from it that the file
    /// arrived.
    #[must_use]
    pub const fn exists(id: u32, same_size: Option<(u64, Digest)>) -> Self {
        let (offset, digest) = match same_size {
            Some(same) => same,
            None => (0, Digest::NONE),
        };
        Self { id, code: Code::EXISTS, offset, digest, reason: "" }
    }

    /// Creates a refusal. `kept` is the number of bytes that the receiver keeps for the next
    /// attempt.
    #[must_use]
    pub fn refused(id: u32, code: Code, kept: u64, reason: &'a str) -> Self {
        Self { offset: kept, reason, ..Self::new(id, code) }
    }

    /// Returns whether the receiver has the file with this digest: it was stored, or was already
    /// there.
    #[must_use]
    pub fn is_there(&self, digest: Digest) -> bool {
        matches!(self.code, Code::STORED | Code::EXISTS) && self.digest == digest
    }

    /// Returns the offset of the first byte to send after ready. `own` is the digest of the first
    /// `offset` bytes of the sender's own file.
    ///
    /// Returns `offset` if `own` is the receiver's digest, otherwise 0. Pass [`Digest::NONE`] if
    /// the file is shorter than `offset`; the result is 0 then.
    #[must_use]
    pub fn begin_at(&self, own: Digest) -> u64 {
        if own == self.digest && own != Digest::NONE { self.offset } else { 0 }
    }
}

/// The sender abandons the open file (spec, 13.1 and 15.3).
///
/// ```
/// use unstick_session::message::{Code, FileCancel, Message};
///
/// let message = Message::FileCancel(FileCancel { id: 1, code: Code::GIVEN_UP, reason: "" });
/// let encoded = message.encode()?;
/// let payload = [encoded.head(), encoded.tail()].concat();
/// assert_eq!(Message::decode(encoded.kind(), &payload)?, message);
/// # Ok::<(), unstick_session::message::MessageError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileCancel<'a> {
    /// The transfer id.
    pub id: u32,
    /// Why the file is abandoned, for example [`Code::GIVEN_UP`].
    pub code: Code,
    /// The reason as text for people; may be empty. It is chosen by the peer: escape it before you
    /// display it.
    pub reason: &'a str,
}

/// A SHA-256 digest. `Display` and `Debug` print it in hexadecimal.
///
/// ```
/// use unstick_session::message::{Digest};
///
/// assert!(Digest::OF_NOTHING.to_string().starts_with("e3b0c44298fc1c14"));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// 32 zero bytes, which stand for "no digest" on the wire.
    pub const NONE: Self = Self([0; 32]);
    /// The SHA-256 of the empty sequence of bytes.
    pub const OF_NOTHING: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The key under which a receiver keeps the parts of a sender's files.
///
/// Anyone who knows the key can resume those transfers. Take it from a cryptographic random generator,
/// or derive it from a secret and from what the file is; never use one key for two files. `Debug` does
/// not print it.
///
/// ```
/// use unstick_session::message::{ResumeKey};
///
/// let key = ResumeKey([7; 16]); // of a random generator
/// assert_eq!(format!("{key:?}"), "ResumeKey(..)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResumeKey(pub [u8; 16]);

impl ResumeKey {
    /// 16 zero bytes, which stand for "no resume key": the receiver keeps no part of the file.
    pub const NONE: Self = Self([0; 16]);
}

impl fmt::Debug for ResumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeKey(..)")
    }
}

impl FileStatus<'_> {
    /// The length in bytes of a file-status without a reason.
    pub const HEAD_LEN: usize = 46;
}

impl FileCancel<'_> {
    /// The length in bytes of a file-cancel without a reason.
    pub(crate) const HEAD_LEN: usize = 6;
}

impl fmt::Debug for FileData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileData")
            .field("id", &self.id)
            .field("offset", &self.offset)
            .field("bytes", &Escaped(self.bytes))
            .finish()
    }
}

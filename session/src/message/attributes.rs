//! What a file has besides its bytes (spec, 15.8).

use unstick::Kind;

use super::{Encoded, MessageError, split};

/// When the open file was modified, and whether it is a program (spec, 13.1 and 15.8).
///
/// It is optional: a receiver that does not know this message skips it, and one that knows it may
/// ignore it. It never says who may read or write the file; the receiver decides that.
///
/// ```
/// use unstick_session::message::{FileAttributes, Message};
///
/// let message = Message::FileAttributes(FileAttributes {
///     id: 1,
///     modified: None,
///     is_executable: true,
/// });
/// let encoded = message.encode()?;
/// let payload = [encoded.head(), encoded.tail()].concat();
/// assert_eq!(Message::decode(encoded.kind(), &payload)?, message);
/// # Ok::<(), unstick_session::message::MessageError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileAttributes {
    /// The transfer id.
    pub id: u32,
    /// When the file was last modified, in nanoseconds since 1970-01-01T00:00:00 UTC; `None` if it is
    /// not known. (`None` is −2^63 on the wire, so that a time with this value is decoded as `None`.)
    pub modified: Option<i64>,
    /// Whether the file is a program that its owner can execute.
    pub is_executable: bool,
}

impl FileAttributes {
    /// The length of the payload in bytes.
    pub(crate) const LEN: usize = 13;
    const EXECUTABLE: u8 = 0x01;
    const UNKNOWN: i64 = i64::MIN;

    pub(super) fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        let (&head, _) = split(Kind::FILE_ATTRIBUTES, payload)?;
        let [i0, i1, i2, i3, modified @ .., flags]: [u8; Self::LEN] = head;
        let modified = i64::from_be_bytes(modified);
        Ok(Self {
            id: u32::from_be_bytes([i0, i1, i2, i3]),
            modified: (modified != Self::UNKNOWN).then_some(modified),
            is_executable: flags & Self::EXECUTABLE != 0,
        })
    }

    pub(super) fn encode(&self) -> Encoded<'static> {
        let Self { id, modified, is_executable } = *self;
        Encoded::new(Kind::FILE_ATTRIBUTES, &[])
            .field(id.to_be_bytes())
            .field(modified.unwrap_or(Self::UNKNOWN).to_be_bytes())
            .field([if is_executable { Self::EXECUTABLE } else { 0 }])
    }
}

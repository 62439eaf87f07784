//! An encoded message: a few bytes of fixed fields, and a borrowed rest.

use core::fmt;

use unstick::{EncodeError, EncodedHeader, Framing, Kind, V1};

use crate::bytes::{copy, copy_payload};

/// The maximum length of the fixed fields in bytes: that of a file-status.
const MAX_HEAD: usize = 46;

/// A message that is ready to be written: its kind, and its payload in two parts.
///
/// The first part holds the fixed fields. The second is borrowed from the message, so that file
/// data is written without a copy.
///
/// ```
/// use unstick::{Framing, V1};
/// use unstick_session::message::{FileData, Message};
///
/// let bytes = [7; 65_536];
/// let message = Message::FileData(FileData { id: 1, offset: 0, bytes: &bytes });
/// let encoded = message.encode()?;
/// let header = encoded.header(&Framing::new(V1))?;
/// let parts = [header.as_bytes(), encoded.head(), encoded.tail()]; // for a vectored write
/// assert_eq!(parts.map(<[u8]>::len), [8, 12, 65_536]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Encoded<'a> {
    kind: Kind,
    head: [u8; MAX_HEAD],
    head_len: usize,
    tail: &'a [u8],
}

impl<'a> Encoded<'a> {
    pub(super) fn new(kind: Kind, tail: &'a [u8]) -> Self {
        Self { kind, head: [0; MAX_HEAD], head_len: 0, tail }
    }

    /// Appends a fixed field.
    pub(super) fn field<const N: usize>(mut self, bytes: [u8; N]) -> Self {
        copy(self.head.get_mut(self.head_len..).unwrap_or_default(), &bytes);
        self.head_len = self.head_len.saturating_add(N).min(MAX_HEAD);
        self
    }

    /// Returns the kind of the frame that carries the payload.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the payload's length in bytes.
    #[must_use]
    pub const fn payload_len(&self) -> u64 {
        // Cannot overflow: the head has at most 46 bytes, and a slice at most `isize::MAX`.
        (self.head_len as u64).saturating_add(self.tail.len() as u64)
    }

    /// Returns the first part of the payload, the fixed fields. May be empty.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.head.get(..self.head_len).unwrap_or_default()
    }

    /// Returns the second part of the payload: text, a name, a reason or data. May be empty.
    #[must_use]
    pub const fn tail(&self) -> &'a [u8] {
        self.tail
    }

    /// Encodes the header of the frame.
    ///
    /// # Errors
    /// Returns [`EncodeError::Oversize`] if the payload is over the limit.
    pub fn header(&self, framing: &Framing<V1>) -> Result<EncodedHeader<V1>, EncodeError> {
        framing.encode_header(self.kind, self.payload_len())
    }

    /// Writes the payload to the start of `out` and returns its length in bytes.
    ///
    /// # Errors
    /// Returns [`EncodeError::NoRoom`] if `out` is too short. `out` is unchanged then.
    pub fn payload_into(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let needed = self.head_len.saturating_add(self.tail.len());
        let room = out.len();
        match out.get_mut(..needed).and_then(|out| out.split_at_mut_checked(self.head_len)) {
            Some((head, tail)) => {
                copy(head, self.head());
                copy_payload(tail, self.tail);
                Ok(needed)
            }
            None => Err(EncodeError::NoRoom { needed, room }),
        }
    }

    /// Writes the whole frame to the start of `out` and returns its length in bytes.
    ///
    /// # Errors
    /// Returns [`EncodeError::Oversize`] if the payload is over the limit, and
    /// [`EncodeError::NoRoom`] if `out` is too short. `out` is unchanged then.
    pub fn frame_into(&self, framing: &Framing<V1>, out: &mut [u8]) -> Result<usize, EncodeError> {
        let header = self.header(framing)?;
        let header = header.as_bytes();
        let room = out.len();
        let needed = header.len().saturating_add(self.head_len).saturating_add(self.tail.len());
        match out.get_mut(..needed).and_then(|out| out.split_at_mut_checked(header.len())) {
            Some((head, payload)) => {
                self.payload_into(payload)?;
                copy(head, header);
                Ok(needed)
            }
            None => Err(EncodeError::NoRoom { needed, room }),
        }
    }

    /// Returns a copy of the payload as one contiguous run of bytes.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn to_payload(&self) -> alloc::vec::Vec<u8> {
        [self.head(), self.tail].concat()
    }
}

impl fmt::Debug for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded")
            .field("kind", &self.kind)
            .field("payload_len", &self.payload_len())
            .finish_non_exhaustive()
    }
}

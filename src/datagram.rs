//! Datagrams: received as a whole or refused, and packed (spec, chapter 8).

use core::fmt;

use crate::check::TrailerBuf;
use crate::decoder::CountedState;
use crate::error::{DatagramError, EncodeError};
use crate::format::{Format, Header, HeaderBuf, InDatagram, V1};
use crate::frame::{Escaped, Frame};
use crate::framing::Framing;
use crate::wire::{AsMeta, Decoding, KnownLength, Wire};

/// The default maximum length of a datagram in bytes. Nearly every network carries datagrams of
/// this length without fragmentation.
pub const DEFAULT_DATAGRAM_LIMIT: usize = 1_200;

/// A checked datagram: an iterator over its frames, with a known length.
///
/// Every frame was checked before the first one is returned: if one is invalid, the whole datagram
/// is refused. No state is carried over to the next datagram.
///
/// ```
/// use unstick::{Framing, Kind, V1};
///
/// let framing = Framing::new(V1);
/// let mut datagram = Vec::new();
/// framing.encode(Kind::TEXT, b"one", &mut datagram)?;
/// framing.encode(Kind::TEXT, b"two", &mut datagram)?;
///
/// let texts: Vec<_> = framing.datagram(&datagram)?.map(|frame| frame.payload).collect();
/// assert_eq!(texts, [b"one", b"two"]);
/// assert!(framing.datagram(&datagram[..21]).is_err()); // cut: neither frame is delivered
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Datagram<'f, 'a, F: KnownLength = V1, K = fn(&<F as Wire>::Meta) -> bool> {
    framing: &'f Framing<F>,
    rest: &'a [u8],
    /// The number of frames in `rest` that will be delivered.
    left: usize,
    known: K,
}

impl<F: KnownLength> Framing<F> {
    /// Checks a datagram: one or more whole frames of kinds that are allowed in datagrams, and
    /// nothing else.
    ///
    /// Application kinds count as unknown. To name the known ones, use
    /// [`datagram_with`](Self::datagram_with).
    ///
    /// Do not pass a datagram that was cut by the receive buffer: a cut between two frames cannot
    /// be detected in the bytes. [`datagram_from`](Self::datagram_from) checks the length that the transport
    /// reports.
    ///
    /// # Errors
    /// Returns the first reason to refuse the datagram, with its offset in the datagram (spec,
    /// 8.2).
    pub fn datagram<'f, 'a>(
        &'f self,
        bytes: &'a [u8],
    ) -> Result<Datagram<'f, 'a, F>, DatagramError> {
        self.datagram_with(bytes, |_| false)
    }

    /// Checks a datagram like [`datagram`](Self::datagram); `known` returns whether an application
    /// kind is known.
    ///
    /// # Errors
    /// The same as [`datagram`](Self::datagram).
    pub fn datagram_with<'f, 'a, K: Fn(&<F as Wire>::Meta) -> bool>(
        &'f self,
        bytes: &'a [u8],
        known: K,
    ) -> Result<Datagram<'f, 'a, F, K>, DatagramError> {
        if bytes.is_empty() {
            return Err(DatagramError::Empty);
        }
        let wire = self.format();
        let mut decoder = CountedState::new(wire, self.limit());
        // An error in the frames' structure comes before an error in their kinds.
        let (mut at, mut left, mut refused) = (0_u64, 0_usize, Ok(()));
        let structure = decoder.for_each(wire, bytes, |piece| {
            if let Some(header) = piece.header.filter(|_| refused.is_ok()) {
                match deliver(self.format(), &header.meta, at, &known) {
                    Ok(delivered) => left += usize::from(delivered),
                    Err(error) => refused = Err(error),
                }
                at = at.saturating_add(frame_len::<F>(&header));
            }
        });
        structure.and_then(|()| decoder.finish(wire)).map_err(DatagramError::Malformed)?;
        refused?;
        Ok(Datagram { framing: self, rest: bytes, left, known })
    }

    /// Checks a datagram that a transport received into `buf`. `len` is the length that the
    /// transport reports.
    ///
    /// A `len` greater than `buf.len()` means that the datagram was cut, as `recvmsg` with
    /// `MSG_TRUNC` reports it. If the transport does not report cuts, make `buf` one byte longer
    /// than the longest valid datagram, and pass `buf.len() + 1` if it was filled completely.
    ///
    /// # Errors
    /// Returns [`DatagramError::Cut`] if the datagram was cut. Otherwise the same as
    /// [`datagram_with`](Self::datagram_with).
    pub fn datagram_from<'f, 'a, K: Fn(&<F as Wire>::Meta) -> bool>(
        &'f self,
        buf: &'a [u8],
        len: usize,
        known: K,
    ) -> Result<Datagram<'f, 'a, F, K>, DatagramError> {
        let bytes = buf.get(..len).ok_or(DatagramError::Cut { room: buf.len() })?;
        self.datagram_with(bytes, known)
    }
}

/// Returns the length of a frame with this header, in bytes.
#[inline]
fn frame_len<F: KnownLength>(header: &Header<<F as Wire>::Meta>) -> u64 {
    header.frame_len().saturating_add(<F as Wire>::Trailer::LEN as u64)
}

/// Returns whether a frame is delivered (`true`) or ignored (`false`), or the error that refuses
/// its datagram.
#[inline]
fn deliver<F: KnownLength>(
    format: &F,
    meta: &<F as Wire>::Meta,
    at: u64,
    known: &impl Fn(&<F as Wire>::Meta) -> bool,
) -> Result<bool, DatagramError> {
    match format.place_in_datagram(meta) {
        InDatagram::Delivered => Ok(true),
        InDatagram::IfKnown { .. } if known(meta) => Ok(true),
        InDatagram::IfKnown { kind, critical: true }
        | InDatagram::Unknown { kind, critical: true } => {
            Err(DatagramError::UnknownKind { at, kind })
        }
        InDatagram::IfKnown { .. } | InDatagram::Unknown { .. } => Ok(false),
        InDatagram::Misplaced { kind } => Err(DatagramError::MisplacedKind { at, kind }),
    }
}

impl<'a, F: KnownLength, K: Fn(&<F as Wire>::Meta) -> bool> Iterator for Datagram<'_, 'a, F, K> {
    type Item = Frame<'a, <F as Wire>::Meta>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // The whole datagram was checked when this iterator was created.
        while self.left > 0 {
            let frame = self.take()?;
            if let Ok(true) = deliver(self.framing.format(), &frame.meta, 0, &self.known) {
                self.left -= 1;
                return Some(frame);
            }
        }
        None
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a, F: KnownLength, K> Datagram<'_, 'a, F, K> {
    /// Returns the next frame, delivered or not.
    #[inline]
    fn take(&mut self) -> Option<Frame<'a, <F as Wire>::Meta>> {
        let header = self.framing.format().header_format().whole_header(self.rest)?;
        let payload_len = usize::try_from(header.payload_len).ok()?;
        let frame_len = usize::try_from(frame_len::<F>(&header)).ok()?;
        if frame_len == 0 || header.header_len > <F::Header as Format>::HeaderBuf::LEN {
            return None; // only if the format contradicts itself
        }
        let (bytes, rest) = self.rest.split_at_checked(frame_len)?;
        self.rest = rest;
        Frame::from_range(header.meta, header.header_len, payload_len, bytes)
    }
}

impl<F: KnownLength, K: Fn(&<F as Wire>::Meta) -> bool> ExactSizeIterator
    for Datagram<'_, '_, F, K>
{
    #[inline]
    fn len(&self) -> usize {
        self.left
    }
}

impl<F: KnownLength, K: Fn(&<F as Wire>::Meta) -> bool> core::iter::FusedIterator
    for Datagram<'_, '_, F, K>
{
}

impl<F: KnownLength, K> fmt::Debug for Datagram<'_, '_, F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagram")
            .field("left", &self.left)
            .field("rest", &Escaped(self.rest))
            .finish_non_exhaustive()
    }
}

/// Checks that a frame of this kind may be sent in a datagram.
#[inline]
pub(crate) fn check_place<F: Wire>(
    format: &F,
    meta: &<F as Wire>::Meta,
) -> Result<(), EncodeError> {
    match format.place_in_datagram(meta) {
        InDatagram::Misplaced { kind } => Err(EncodeError::MisplacedKind { kind }),
        _ => Ok(()),
    }
}

/// The outcome of [`DatagramPacker::push`].
///
/// ```
/// use unstick::{DatagramPacker, Pushed, U8};
///
/// let mut storage = [0; 6];
/// let mut packer = DatagramPacker::new(U8, &mut storage);
/// assert_eq!(packer.push((), "one")?, Pushed::Added);
/// assert_eq!(packer.push((), "two")?, Pushed::Full); // send `as_bytes()`, and `clear()`
/// # Ok::<(), unstick::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a frame that found no room was not added"]
pub enum Pushed {
    /// The frame was added.
    Added,
    /// The datagram has no room for the frame, and is unchanged. Send it, call
    /// [`clear`](DatagramPacker::clear), and push the frame again.
    Full,
}

/// Packs frames into a datagram, in storage provided by the caller.
///
/// ```
/// use unstick::{DatagramPacker, Framing, Kind, Pushed, V1};
/// # fn send(_: &[u8]) {}
///
/// let mut storage = [0; 1_200];
/// let mut packer = DatagramPacker::new(Framing::new(V1), &mut storage);
/// for reading in [&b"21.5"[..], b"21.7", b"21.4"] {
///     while packer.push(Kind::TEXT, reading)? == Pushed::Full {
///         send(packer.as_bytes());
///         packer.clear();
///     }
/// }
/// send(packer.as_bytes());
/// assert_eq!(packer.as_bytes().len(), 36);
/// # Ok::<(), unstick::EncodeError>(())
/// ```
pub struct DatagramPacker<'b, F: Wire = V1> {
    framing: Framing<F>,
    storage: &'b mut [u8],
    len: usize,
}

impl<'b, F: Wire> DatagramPacker<'b, F> {
    /// Creates a packer for datagrams of at most [`DEFAULT_DATAGRAM_LIMIT`] bytes, or of the
    /// storage's length if that is less.
    pub fn new(framing: impl Into<Framing<F>>, storage: &'b mut [u8]) -> Self {
        Self::with_datagram_limit(framing, storage, DEFAULT_DATAGRAM_LIMIT)
    }

    /// Creates a packer for datagrams of at most `datagram_limit` bytes, headers included. The
    /// maximum over UDP and IPv4 is 65,507.
    pub fn with_datagram_limit(
        framing: impl Into<Framing<F>>,
        storage: &'b mut [u8],
        datagram_limit: usize,
    ) -> Self {
        let room = datagram_limit.min(storage.len());
        let storage = storage.get_mut(..room).unwrap_or_default();
        Self { framing: framing.into(), storage, len: 0 }
    }

    /// Appends a frame if the datagram has room for it.
    ///
    /// # Errors
    /// Returns [`EncodeError::NoRoom`] if the frame does not fit into an empty datagram,
    /// [`EncodeError::MisplacedKind`] if its kind is not allowed in a datagram, or an error of
    /// [`Framing::encode_header`]. The datagram is unchanged then.
    pub fn push(
        &mut self,
        meta: impl AsMeta<<F as Wire>::Meta>,
        payload: impl AsRef<[u8]>,
    ) -> Result<Pushed, EncodeError> {
        let (meta, payload) = (meta.as_meta(), payload.as_ref());
        check_place(self.framing.format(), meta)?;
        let room = self.storage.len();
        let spare = self.storage.get_mut(self.len..).unwrap_or_default();
        match self.framing.encode_into(meta, payload, spare) {
            Ok(written) => {
                self.len += written;
                Ok(Pushed::Added)
            }
            Err(EncodeError::NoRoom { needed, .. }) if needed > room => {
                Err(EncodeError::NoRoom { needed, room })
            }
            Err(EncodeError::NoRoom { .. }) => Ok(Pushed::Full),
            Err(error) => Err(error),
        }
    }

    /// Returns the datagram with the frames added so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.storage.get(..self.len).unwrap_or_default()
    }

    /// Returns whether the datagram has no frames. An empty datagram must not be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Removes all frames, to start the next datagram.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

impl<F: Wire> fmt::Debug for DatagramPacker<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramPacker")
            .field("len", &self.len)
            .field("datagram_limit", &self.storage.len())
            .finish_non_exhaustive()
    }
}

//! Version 2 of the project's own frames (spec, A.14).

use crate::check::Crc32Iscsi;

/// The frames of this project's own protocol for lossy lines: the header of [`V1`](crate::V1) with
/// version 2, the payload, and a CRC-32C of both.
///
/// A damaged byte anywhere in a frame is detected, and [`FrameBuf::resync`](crate::FrameBuf::resync) and
/// the readers find the next valid frame. What was lost is not sent again. Both sides have to know that
/// a line has version 2: each version refuses the other.
///
/// ```
/// use unstick::{FrameBuf, Framing, Kind, V2};
///
/// let framing = Framing::new(V2).with_limit(100);
/// let mut line = Vec::new();
/// for text in [b"one", b"two"] {
///     framing.encode(Kind::TEXT, text, &mut line)?;
/// }
/// line[6] ^= 0x04; // the length was damaged
///
/// let mut buf = FrameBuf::with_framing([0; 128], framing)?;
/// buf.extend(&line);
/// assert!(buf.next_frame().is_err());
/// assert_eq!(buf.resync()?, Some(15)); // the number of bytes skipped: the damaged frame
/// assert_eq!(buf.next_frame()?.unwrap().payload, b"two");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct V2;

impl V2 {
    /// The check after the payload: CRC-32C, the most significant byte first.
    pub const CHECK: Crc32Iscsi = Crc32Iscsi::new().big_endian();
}

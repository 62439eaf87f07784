//! What a scanner finds.

use crate::format::Header;

/// What [`Scanner::find`](crate::scan::Scanner::find) found at the front of the kept bytes.
///
/// ```
/// use unstick::U8;
/// use unstick::scan::{Scan, Scanner};
///
/// let mut scanner = Scanner::new(U8);
/// assert_eq!(scanner.find(b"\x02h")?, Scan::Incomplete { needed: 3 });
/// assert!(matches!(scanner.find(b"\x02hi")?, Scan::Frame(found) if found.frame_len() == 3));
/// # Ok::<(), unstick::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan<M> {
    /// A whole frame. It counts as consumed: use [`Scanner::frame`](crate::scan::Scanner::frame), and then drop
    /// [`Found::frame_len`] bytes from the front.
    Frame(Found<M>),
    /// This many bytes belong to a frame that is skipped, at least one: drop them from the front,
    /// and call [`Scanner::find`](crate::scan::Scanner::find) again.
    Discard(usize),
    /// No whole frame. Read more bytes.
    Incomplete {
        /// The frame has at least this many bytes, counted from the first kept byte. The number may
        /// come from the peer: do not reserve memory for it.
        needed: usize,
    },
}

/// A whole frame that was found, without a borrow of its bytes.
///
/// It can be found first and borrowed later, which `async` code needs if it may have to wait in
/// between.
///
/// ```
/// use unstick::{FrameBuf, U8};
///
/// let mut buf = FrameBuf::growing(U8);
/// buf.extend(b"\x02hi");
/// let found = buf.find()?.ok_or("all of it is here")?;
/// assert_eq!((found.at(), found.frame_len()), (0, 3));
/// assert_eq!(buf.frame(&found).map(|frame| frame.payload), Some(&b"hi"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<M> {
    /// The frame's header. For a frame that ends with a mark, `header_len` is the number of bytes
    /// before its payload, after [`Scanner::unescape`](crate::scan::Scanner::unescape).
    pub header: Header<M>,
    pub(crate) at: u64,
    pub(crate) len: usize,
}

impl<M> Found<M> {
    /// Returns the stream offset of the frame's first byte.
    #[inline]
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Returns the length of the frame in the stream, in bytes.
    #[inline]
    #[must_use]
    pub fn frame_len(&self) -> usize {
        self.len
    }
}

/// Consecutive payload bytes of one frame, without a borrow of them.
///
/// ```
/// use unstick::{FrameBuf, U8};
///
/// let mut buf = FrameBuf::growing(U8);
/// buf.extend(b"\x05he"); // the rest has not arrived
/// let run = buf.find_payload()?.ok_or("two bytes are here")?;
/// assert_eq!((run.at, run.len), (1, 2));
/// assert_eq!(buf.payload(&run), Some(&b"he"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadRun {
    /// The stream offset of the first byte.
    pub at: u64,
    /// The number of bytes; zero at the payload's end.
    pub len: usize,
}

/// What [`Scanner::find_payload`](crate::scan::Scanner::find_payload) found at the front of the kept bytes.
///
/// ```
/// use unstick::U8;
/// use unstick::scan::{ScanPayload, Scanner};
///
/// let mut scanner = Scanner::new(U8);
/// let found = scanner.find_payload(b"\x05he")?;
/// let ScanPayload::Discard(header) = found else { panic!("{found:?}") };
/// assert_eq!(header, 1);
/// let found = scanner.find_payload(b"he")?;
/// assert!(matches!(found, ScanPayload::Run(run) if run.len == 2));
/// # Ok::<(), unstick::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanPayload {
    /// The next bytes of the payload, or its end. They count as consumed: use them, and then drop
    /// them from the front.
    Run(PayloadRun),
    /// This many bytes belong to no payload that is delivered, at least one: drop them from the
    /// front, and call [`Scanner::find_payload`](crate::scan::Scanner::find_payload) again.
    Discard(usize),
    /// Nothing yet. Read more bytes.
    Incomplete {
        /// As in [`Scan::Incomplete`].
        needed: usize,
    },
}

/// A step of [`Scanner::search`](crate::scan::Scanner::search).
///
/// ```
/// use unstick::scan::Scanner;
/// use unstick::{Framing, Lines};
///
/// let mut scanner = Scanner::new(Framing::new(Lines::new()).with_limit(4));
/// let kept = b"too long\nok\n";
/// assert!(scanner.find(kept).is_err());
/// scanner.begin_search()?;
/// let searched = scanner.search(kept)?;
/// assert_eq!((searched.discard, searched.skipped), (9, Some(9)));
/// # Ok::<(), unstick::RecoverError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Searched {
    /// The number of bytes to drop from the front of the kept bytes.
    pub discard: usize,
    /// The number of bytes that the whole search has skipped, if it has ended: a frame can begin after
    /// the dropped bytes. `None` if more bytes are needed.
    pub skipped: Option<u64>,
}

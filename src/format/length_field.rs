//! A format described at run time: a length field in a header of fixed size (spec, Annex A).

use core::error::Error;
use core::fmt;

use crate::error::{EncodeError, HeaderError};
use crate::format::{Format, Header, Parsed, copy};

/// The maximum length of a header described at run time, in bytes.
const MAX_HEADER_LEN: usize = 32;
/// The maximum width of a length field, in bytes.
const MAX_WIDTH: usize = 8;

/// The byte order of an integer.
///
/// ```
/// use unstick::{ByteOrder, Covers, Framing, Layout, LengthField};
///
/// let layout = Layout { header_len: 2, offset: 0, width: 2, order: ByteOrder::Little, covers: Covers::Payload };
/// let framing = Framing::new(LengthField::new(layout)?);
/// let frame = framing.split_frame(&mut &b"\x05\0hello"[..])?.ok_or("all of it is here")?;
/// assert_eq!(frame.payload, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ByteOrder {
    /// Most significant byte first: network byte order.
    Big,
    /// Least significant byte first.
    Little,
}

/// What the number in a length field counts.
///
/// ```
/// use unstick::{ByteOrder, Covers, Framing, Layout, LengthField};
///
/// // A length that counts itself.
/// let layout = Layout { header_len: 2, offset: 0, width: 2, order: ByteOrder::Big, covers: Covers::Frame };
/// let framing = Framing::new(LengthField::new(layout)?);
/// let frame = framing.split_frame(&mut &b"\0\x07hello"[..])?.ok_or("all of it is here")?;
/// assert_eq!(frame.payload, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Covers {
    /// The payload alone.
    Payload,
    /// Everything after the field: the rest of the header, and the payload.
    AfterField,
    /// The whole frame: header and payload.
    Frame,
}

/// The layout of a header of fixed size with a length field.
///
/// ```
/// use unstick::{ByteOrder, Covers, Framing, Layout, LengthField};
///
/// // A type, flags, and the length of the payload: T F 0 5 h e l l o
/// let layout = Layout { header_len: 4, offset: 2, width: 2, order: ByteOrder::Big, covers: Covers::Payload };
/// let framing = Framing::new(LengthField::new(layout)?);
/// let frame = framing.split_frame(&mut &b"TF\0\x05hello"[..])?.ok_or("all of it is here")?;
/// assert_eq!((frame.meta.bytes(), frame.payload), (&b"TF\0\0"[..], &b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Layout {
    /// The header's length in bytes, 1 to 32.
    pub header_len: usize,
    /// The offset of the length field in the header.
    pub offset: usize,
    /// The width of the length field in bytes, 1 to 8.
    pub width: usize,
    /// The length field's byte order.
    pub order: ByteOrder,
    /// What the length counts.
    pub covers: Covers,
}

/// The error for an invalid [`Layout`].
///
/// ```
/// use unstick::{ByteOrder, Covers, Layout, LayoutError, LengthField};
///
/// let layout = Layout { header_len: 4, offset: 3, width: 2, order: ByteOrder::Big, covers: Covers::Payload };
/// let error = LengthField::new(layout).unwrap_err();
/// assert_eq!(error, LayoutError::FieldOutside { offset: 3, width: 2, header_len: 4 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LayoutError {
    /// The header's length is not 1 to 32 bytes.
    HeaderLen {
        /// The header's length in the layout.
        found: usize,
    },
    /// The length field's width is not 1 to 8 bytes.
    Width {
        /// The width in the layout.
        found: usize,
    },
    /// The length field does not end within the header.
    FieldOutside {
        /// The offset of the field.
        offset: usize,
        /// The width of the field in bytes.
        width: usize,
        /// The header's length in bytes.
        header_len: usize,
    },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeaderLen { found } => {
                write!(f, "a header has 1 to {MAX_HEADER_LEN} bytes, not {found}")
            }
            Self::Width { found } => {
                write!(f, "a length field has 1 to {MAX_WIDTH} bytes, not {found}")
            }
            Self::FieldOutside { offset, width, header_len } => write!(
                f,
                "a length field of {width} bytes at offset {offset} does not end within \
                 a header of {header_len}"
            ),
        }
    }
}

impl Error for LayoutError {}

#[cfg(feature = "std")]
crate::__io_errors! { LayoutError { _ => InvalidInput } }

/// A format described at run time: a length field in a header of fixed size. The header's other
/// bytes are passed to the caller as they are.
///
/// ```
/// use unstick::{ByteOrder, Covers, Framing, Layout, LengthField};
///
/// // Two bytes of tag, then a two-byte length that covers the whole frame.
/// let format = LengthField::new(Layout {
///     header_len: 4,
///     offset: 2,
///     width: 2,
///     order: ByteOrder::Big,
///     covers: Covers::Frame,
/// })?;
/// let framing = Framing::new(format);
/// let mut out = [0; 6];
/// framing.encode_into(format.meta(b"OK\0\0")?, b"hi", &mut out)?;
/// assert_eq!(&out, b"OK\x00\x06hi");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// With the feature `serde`, it can be part of a configuration file in the form of its [`Layout`],
/// which is checked when the file is read:
///
/// ```toml
/// header_len = 4
/// offset = 2
/// width = 2
/// order = "big"    # or "little"
/// covers = "frame" # or "payload", "after_field"
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Layout", into = "Layout"))]
pub struct LengthField {
    layout: Layout,
}

impl LengthField {
    /// Creates the format of this layout.
    ///
    /// # Errors
    /// Returns an error if the layout is invalid.
    pub const fn new(layout: Layout) -> Result<Self, LayoutError> {
        let Layout { header_len, offset, width, .. } = layout;
        if header_len == 0 || header_len > MAX_HEADER_LEN {
            return Err(LayoutError::HeaderLen { found: header_len });
        }
        if width == 0 || width > MAX_WIDTH {
            return Err(LayoutError::Width { found: width });
        }
        match offset.checked_add(width) {
            Some(end) if end <= header_len => Ok(Self { layout }),
            _ => Err(LayoutError::FieldOutside { offset, width, header_len }),
        }
    }

    /// Returns the format's layout.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// Returns the meta of a whole header: the header with zeros in place of the length field. The
    /// field's value in `header` is ignored.
    ///
    /// # Errors
    /// Returns [`EncodeError::Meta`] if the length of `header` is not the layout's header length.
    pub fn meta(&self, header: &[u8]) -> Result<FieldMeta, EncodeError> {
        if header.len() != self.layout.header_len {
            return Err(EncodeError::Meta);
        }
        let mut meta = FieldMeta { bytes: [0; MAX_HEADER_LEN], len: self.layout.header_len };
        copy(&mut meta.bytes, header);
        meta.bytes.get_mut(self.field()).unwrap_or_default().fill(0);
        Ok(meta)
    }

    /// Returns the range of the length field in the header.
    fn field(&self) -> core::ops::Range<usize> {
        self.layout.offset..self.layout.offset + self.layout.width
    }

    /// Returns the number of header bytes that the length covers, which is also the smallest valid
    /// length.
    fn covered(&self) -> u64 {
        let Layout { header_len, offset, width, covers, .. } = self.layout;
        (match covers {
            Covers::Payload => 0,
            Covers::AfterField => header_len - offset - width,
            Covers::Frame => header_len,
        }) as u64
    }

    /// Decodes a header that few bytes follow.
    #[inline(never)]
    fn last_header(&self, bytes: &[u8]) -> Option<Header<FieldMeta>> {
        match self.decode_header(bytes) {
            Ok(Parsed::Header(header)) => Some(header),
            _ => None,
        }
    }

    /// Returns the greatest number that the field can hold.
    fn field_max(&self) -> u64 {
        u64::MAX >> (64 - 8 * self.layout.width)
    }
}

impl TryFrom<Layout> for LengthField {
    type Error = LayoutError;

    fn try_from(layout: Layout) -> Result<Self, LayoutError> {
        Self::new(layout)
    }
}

impl From<LengthField> for Layout {
    fn from(format: LengthField) -> Self {
        format.layout
    }
}

impl Format for LengthField {
    type Meta = FieldMeta;
    type HeaderBuf = [u8; MAX_HEADER_LEN];

    #[inline]
    fn max_payload_len(&self) -> u64 {
        // Never 0: the length covers at most 32 header bytes, and the narrowest field holds 255.
        self.field_max().saturating_sub(self.covered())
    }

    fn max_header_len(&self) -> usize {
        self.layout.header_len
    }

    #[inline]
    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<FieldMeta>, HeaderError> {
        let Some(field) = bytes.get(self.field()) else {
            return Ok(Parsed::Need(self.layout.header_len));
        };
        let push = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        let found = match self.layout.order {
            ByteOrder::Big => field.iter().fold(0, push),
            ByteOrder::Little => field.iter().rev().fold(0, push),
        };
        let min = self.covered();
        let Some(payload_len) = found.checked_sub(min) else {
            return Err(HeaderError::LengthTooShort { found, min });
        };
        let header_len = self.layout.header_len;
        match bytes.get(..header_len).map(|header| self.meta(header)) {
            Some(Ok(meta)) => Ok(Parsed::Header(Header { meta, payload_len, header_len })),
            _ => Ok(Parsed::Need(header_len)),
        }
    }

    /// The same result without a loop over bytes, if enough bytes follow the field and the header.
    #[inline(always)]
    fn whole_header(&self, bytes: &[u8]) -> Option<Header<FieldMeta>> {
        let Layout { header_len, offset, width, order, .. } = self.layout;
        let field = bytes.get(offset..).and_then(<[u8]>::first_chunk);
        let (Some(&header), Some(&field)) = (bytes.first_chunk(), field) else {
            return self.last_header(bytes);
        };
        let found = match order {
            ByteOrder::Big => u64::from_be_bytes(field) >> (64 - 8 * width),
            ByteOrder::Little => u64::from_le_bytes(field) & self.field_max(),
        };
        let payload_len = found.checked_sub(self.covered())?;
        let mut meta = FieldMeta { bytes: header, len: header_len };
        for (i, byte) in meta.bytes.iter_mut().enumerate() {
            if i >= header_len || (offset..offset + width).contains(&i) {
                *byte = 0;
            }
        }
        Some(Header { meta, payload_len, header_len })
    }

    #[inline]
    fn encode_header(
        &self,
        meta: &FieldMeta,
        len: u64,
        out: &mut [u8; MAX_HEADER_LEN],
    ) -> Result<usize, EncodeError> {
        // A meta of another layout would not be decoded to the same value.
        if self.meta(meta.bytes())? != *meta {
            return Err(EncodeError::Meta);
        }
        let limit = self.max_payload_len();
        if len > limit {
            return Err(EncodeError::Oversize { len, limit });
        }
        *out = meta.bytes;
        let number = len + self.covered();
        let field = out.get_mut(self.field()).unwrap_or_default();
        match self.layout.order {
            ByteOrder::Little => copy(field, &number.to_le_bytes()),
            ByteOrder::Big => {
                let unused = MAX_WIDTH - self.layout.width;
                copy(field, number.to_be_bytes().get(unused..).unwrap_or_default());
            }
        }
        Ok(self.layout.header_len)
    }
}

/// The bytes of a [`LengthField`] header, with zeros in place of the length.
///
/// Created by [`LengthField::meta`].
///
/// ```
/// use unstick::{ByteOrder, Covers, Framing, Layout, LengthField};
///
/// let layout = Layout { header_len: 3, offset: 1, width: 2, order: ByteOrder::Big, covers: Covers::Payload };
/// let format = LengthField::new(layout)?;
/// let meta = format.meta(b"T\0\0")?; // the header without its length
/// let mut wire = Vec::new();
/// Framing::new(format).encode(meta, "hello", &mut wire)?;
/// assert_eq!(wire, b"T\0\x05hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FieldMeta {
    bytes: [u8; MAX_HEADER_LEN],
    len: usize,
}

impl FieldMeta {
    /// Returns the whole header, with zeros in place of the length.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for FieldMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldMeta({:02x?})", self.bytes())
    }
}

/// The same output as `Debug`: the header's bytes, without the unused room after them.
#[cfg(feature = "defmt")]
impl defmt::Format for FieldMeta {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "FieldMeta({=[u8]:02x})", self.bytes());
    }
}

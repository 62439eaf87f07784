//! Every mark that ends a frame, as the specification describes it: what a beginning of a frame says,
//! looked at from its first byte each time.

use unstick::{EncodeError, FrameError};

/// What the beginning of a frame says. No shorter beginning has ended or was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// It goes on, and this is its content as far as it is sure.
    Open(Vec<u8>),
    /// Its last byte ends it.
    End(Vec<u8>),
    /// Its last byte is refused.
    Bad(FrameError),
}

pub trait Mark {
    /// What these bytes, at least one, say. The first is no idle byte.
    fn read(&self, frame: &[u8]) -> Read;

    /// Where the first mark in these bytes ends, which begin with a frame.
    fn mark_end(&self, frame: &[u8]) -> Option<usize>;

    /// A frame with this content.
    fn write(&self, content: &[u8]) -> Result<Vec<u8>, EncodeError>;

    /// Whether a byte between two frames means nothing.
    fn is_idle(&self, byte: u8) -> bool {
        let _ = byte;
        false
    }

    /// Whether the stream's end stands for the mark.
    fn or_end(&self) -> bool {
        false
    }
}

fn after_first(frame: &[u8], mark: &[u8]) -> Option<usize> {
    (mark.len()..=frame.len()).find(|end| frame[..*end].ends_with(mark))
}

fn has_mark(at: usize) -> EncodeError {
    EncodeError::HasMark { at: at as u64 }
}

/// Lines, with `\r\n` written or `\n`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineEnds {
    pub crlf: bool,
    pub or_end: bool,
}

impl Mark for LineEnds {
    fn read(&self, frame: &[u8]) -> Read {
        let without_return = |bytes: &[u8]| bytes.strip_suffix(b"\r").unwrap_or(bytes).to_vec();
        match frame.strip_suffix(b"\n") {
            Some(line) => Read::End(without_return(line)),
            None => Read::Open(without_return(frame)),
        }
    }

    fn mark_end(&self, frame: &[u8]) -> Option<usize> {
        after_first(frame, b"\n")
    }

    fn write(&self, content: &[u8]) -> Result<Vec<u8>, EncodeError> {
        if let Some(at) = content.iter().position(|byte| *byte == b'\n') {
            return Err(has_mark(at));
        }
        if content.ends_with(b"\r") && !self.crlf {
            return Err(has_mark(content.len() - 1));
        }
        let end: &[u8] = if self.crlf { b"\r\n" } else { b"\n" };
        Ok([content, end].concat())
    }

    fn or_end(&self) -> bool {
        self.or_end
    }
}

/// A delimiter of any bytes.
#[derive(Clone, Debug)]
pub struct Delimiter {
    pub bytes: Vec<u8>,
    pub or_end: bool,
}

impl Mark for Delimiter {
    fn read(&self, frame: &[u8]) -> Read {
        if let Some(content) = frame.strip_suffix(&self.bytes[..]) {
            return Read::End(content.to_vec());
        }
        // The longest end of what has arrived that may become the delimiter is not sure.
        let may_become = |len: &usize| {
            let end = &frame[frame.len() - len..];
            self.bytes.starts_with(end)
        };
        let longest = self.bytes.len().min(frame.len());
        let held = (0..=longest).rev().find(may_become).unwrap();
        Read::Open(frame[..frame.len() - held].to_vec())
    }

    fn mark_end(&self, frame: &[u8]) -> Option<usize> {
        after_first(frame, &self.bytes)
    }

    fn write(&self, content: &[u8]) -> Result<Vec<u8>, EncodeError> {
        let frame = [content, &self.bytes].concat();
        let end = after_first(&frame, &self.bytes).unwrap();
        if end < frame.len() {
            return Err(has_mark(end - self.bytes.len()));
        }
        Ok(frame)
    }

    fn or_end(&self) -> bool {
        self.or_end
    }
}

/// Any of several bytes.
#[derive(Clone, Debug)]
pub struct OneOf {
    pub bytes: Vec<u8>,
    pub or_end: bool,
}

impl Mark for OneOf {
    fn read(&self, frame: &[u8]) -> Read {
        let (last, before) = frame.split_last().unwrap();
        if self.bytes.contains(last) {
            return Read::End(before.to_vec());
        }
        Read::Open(frame.to_vec())
    }

    fn mark_end(&self, frame: &[u8]) -> Option<usize> {
        self.bytes.iter().filter_map(|byte| after_first(frame, &[*byte])).min()
    }

    fn write(&self, content: &[u8]) -> Result<Vec<u8>, EncodeError> {
        match content.iter().position(|byte| self.bytes.contains(byte)) {
            Some(at) => Err(has_mark(at)),
            None => Ok([content, &self.bytes[..1]].concat()),
        }
    }

    fn or_end(&self) -> bool {
        self.or_end
    }
}

/// Consistent Overhead Byte Stuffing.
#[derive(Clone, Copy, Debug)]
pub struct Stuffed;

impl Mark for Stuffed {
    fn read(&self, frame: &[u8]) -> Read {
        // Blocks, each with its code and as many bytes of data as have arrived.
        let (mut rest, mut content) = (frame, Vec::new());
        let mut zero = false;
        while let Some((code, data)) = rest.split_first() {
            if *code == 0 {
                return Read::End(content);
            }
            if zero {
                content.push(0);
            }
            let len = usize::from(*code) - 1;
            let data = &data[..len.min(data.len())];
            if let Some(read) = data.iter().position(|byte| *byte == 0) {
                return Read::Bad(FrameError::CutShort { missing: (len - read) as u32 });
            }
            content.extend(data);
            rest = &rest[1 + data.len()..];
            zero = *code < 255;
        }
        Read::Open(content)
    }

    fn mark_end(&self, frame: &[u8]) -> Option<usize> {
        after_first(frame, &[0])
    }

    fn write(&self, content: &[u8]) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        // Between zeros there are any number of bytes: in full blocks, and one that is not full, unless
        // nothing is left for it at the very end.
        let mut between: Vec<&[u8]> = content.split(|byte| *byte == 0).collect();
        let last = between.pop().unwrap();
        let mut write = |mut bytes: &[u8], is_last: bool| {
            while bytes.len() >= 254 {
                out.push(255);
                out.extend(&bytes[..254]);
                bytes = &bytes[254..];
                if bytes.is_empty() && is_last {
                    return;
                }
            }
            out.push(bytes.len() as u8 + 1);
            out.extend(bytes);
        };
        for bytes in between {
            write(bytes, false);
        }
        write(last, true);
        out.push(0);
        Ok(out)
    }

    fn is_idle(&self, byte: u8) -> bool {
        byte == 0
    }
}

/// Serial line IP, RFC 1055.
#[derive(Clone, Copy, Debug)]
pub struct SerialLine;

impl Mark for SerialLine {
    fn read(&self, frame: &[u8]) -> Read {
        let mut content = Vec::new();
        let mut bytes = frame.iter();
        while let Some(byte) = bytes.next() {
            match *byte {
                0xC0 => return Read::End(content),
                0xDB => match bytes.next() {
                    None => break,
                    Some(0xDC) => content.push(0xC0),
                    Some(0xDD) => content.push(0xDB),
                    Some(found) => return Read::Bad(FrameError::BadEscape { found: *found }),
                },
                plain => content.push(plain),
            }
        }
        Read::Open(content)
    }

    fn mark_end(&self, frame: &[u8]) -> Option<usize> {
        after_first(frame, &[0xC0])
    }

    fn write(&self, content: &[u8]) -> Result<Vec<u8>, EncodeError> {
        if content.is_empty() {
            return Err(EncodeError::Empty);
        }
        let escaped = content.iter().flat_map(|byte| match *byte {
            0xC0 => vec![0xDB, 0xDC],
            0xDB => vec![0xDB, 0xDD],
            plain => vec![plain],
        });
        Ok(escaped.chain([0xC0]).collect())
    }

    fn is_idle(&self, byte: u8) -> bool {
        byte == 0xC0
    }
}

/// The frames of RFC 1662 with octets stuffed; their check is not the mark's.
#[derive(Clone, Copy, Debug)]
pub struct Flags;

impl Mark for Flags {
    fn read(&self, frame: &[u8]) -> Read {
        let mut content = Vec::new();
        let mut bytes = frame.iter();
        while let Some(byte) = bytes.next() {
            match *byte {
                0x7E => return Read::End(content),
                0x7D => match bytes.next() {
                    None => break,
                    Some(0x7E) => return Read::Bad(FrameError::Aborted),
                    Some(escaped) => content.push(escaped ^ 0x20),
                },
                plain => content.push(plain),
            }
        }
        Read::Open(content)
    }

    fn mark_end(&self, frame: &[u8]) -> Option<usize> {
        after_first(frame, &[0x7E])
    }

    fn write(&self, content: &[u8]) -> Result<Vec<u8>, EncodeError> {
        if content.is_empty() {
            return Err(EncodeError::Empty);
        }
        let escaped = content.iter().flat_map(|byte| match *byte {
            0x7E | 0x7D => vec![0x7D, byte ^ 0x20],
            plain => vec![plain],
        });
        Ok(escaped.chain([0x7E]).collect())
    }

    fn is_idle(&self, byte: u8) -> bool {
        byte == 0x7E
    }
}

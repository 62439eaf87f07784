//! Netstrings (D. J. Bernstein, "Netstrings", 1 February 1997).
//!
//! | | |
//! | --- | --- |
//! | header | the length in decimal digits (1 to 9 bytes), and a colon |
//! | the length covers | the payload |
//! | check | a comma after the payload |
//! | max payload | 999,999,999 |
//! | meta | none |
//! | refused | a length that does not begin with a digit; a leading zero; more than nine digits; another byte than a colon after them; another byte than a comma after the payload |
//! | left to the caller | netstrings within the payload |
//!
//! The paper allows any number of digits; its program in C reads nine, and so does this format.
//!
//! ```
//! use unstick_cookbook::netstring;
//!
//! // The paper's examples.
//! let mut stream = &b"12:hello world!,0:,"[..];
//! let framing = netstring::framing();
//! let frame = framing.split_frame(&mut stream)?.expect("a whole netstring");
//! assert_eq!(frame.payload, b"hello world!");
//! assert_eq!(framing.split_frame(&mut stream)?.expect("a whole netstring").payload, b"");
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use unstick::check::EndBytes;
use unstick::{Checked, EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::{Refusal, decimal};

/// The maximum number of digits.
const MAX_DIGITS: usize = 9;

/// Netstrings: a length in decimal digits, a colon, the payload, and a comma.
pub type Netstring = Checked<NetstringHeader, EndBytes<1>>;

/// Returns the format with a limit of 1 MiB. The paper has no limit.
#[must_use]
pub const fn framing() -> Framing<Netstring> {
    Framing::new(Checked::new(NetstringHeader, EndBytes::new(*b",")))
}

/// A netstring's length in decimal digits, and a colon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NetstringHeader;

impl Format for NetstringHeader {
    type Meta = ();
    type HeaderBuf = [u8; MAX_DIGITS + 1];

    fn max_payload_len(&self) -> u64 {
        999_999_999
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
        let mut payload_len = 0;
        for (i, &byte) in bytes.iter().enumerate() {
            match byte {
                b':' if i > 0 => {
                    return Ok(Parsed::Header(Header { meta: (), payload_len, header_len: i + 1 }));
                }
                b'0'..=b'9' if i == 1 && payload_len == 0 => {
                    return Err(Refusal::NetstringZero.into());
                }
                b'0'..=b'9' if i == MAX_DIGITS => return Err(Refusal::NetstringDigits.into()),
                b'0'..=b'9' => payload_len = payload_len * 10 + u64::from(byte - b'0'),
                _ => return Err(Refusal::NetstringLength.into()),
            }
        }
        Ok(Parsed::Need(bytes.len().max(1) + 1))
    }

    fn encode_header(&self, (): &(), len: u64, out: &mut [u8; 10]) -> Result<usize, EncodeError> {
        let limit = self.max_payload_len();
        if len > limit {
            return Err(EncodeError::Oversize { len, limit });
        }
        let used = decimal(len, out);
        if let Some(colon) = out.get_mut(used) {
            *colon = b':';
        }
        Ok(used + 1)
    }
}

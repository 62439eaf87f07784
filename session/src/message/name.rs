//! The rules for file names.

use super::error::NameError;

/// The maximum length of a file's name in bytes.
pub const MAX_NAME_LEN: usize = 255;

/// Checks whether a file can have this name (spec, 13.6): 1 to 255 bytes of UTF-8 that are one path
/// component on every system. The name is not changed.
///
/// A receiver may apply further rules, such as the names that its system reserves.
///
/// ```
/// use unstick_session::message::{NameError, check_name};
///
/// assert_eq!(check_name("报告 1.pdf"), Ok(()));
/// assert_eq!(check_name("../passwd"), Err(NameError::Separator { at: 2, found: '/' }));
/// ```
///
/// # Errors
/// Returns the first rule that the name breaks, in this order: the length, the first character that
/// is not allowed, the names `.` and `..`.
pub fn check_name(name: &str) -> Result<(), NameError> {
    check_len(name.as_bytes())?;
    // Compares bytes: the forbidden characters are one byte long, except U+0080 to U+009F, which
    // are encoded as C2 and the code point's low byte.
    let (mut at, mut lead) = (0u8, 0);
    for byte in name.bytes() {
        let found = char::from(byte);
        match (lead, byte) {
            (_, b'/' | b'\\' | b':') => return Err(NameError::Separator { at, found }),
            (_, 0..=0x1F | 0x7F) => return Err(NameError::Control { at, found }),
            (0xC2, 0x80..=0x9F) => {
                return Err(NameError::Control { at: at.saturating_sub(1), found });
            }
            _ => {}
        }
        (at, lead) = (at.saturating_add(1), byte);
    }
    if matches!(name, "." | "..") {
        return Err(NameError::Dots);
    }
    Ok(())
}

/// Decodes and checks a name.
pub(super) fn decode_name(bytes: &[u8]) -> Result<&str, NameError> {
    check_len(bytes)?;
    let name = core::str::from_utf8(bytes).map_err(|error| NameError::Utf8 {
        at: u8::try_from(error.valid_up_to()).unwrap_or(u8::MAX),
        cut: error.error_len().is_none(),
    })?;
    check_name(name)?;
    Ok(name)
}

fn check_len(bytes: &[u8]) -> Result<(), NameError> {
    match bytes.len() {
        0 => Err(NameError::Empty),
        1..=MAX_NAME_LEN => Ok(()),
        len => Err(NameError::TooLong { len: len as u64 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_name_accepts_one_path_component_only() {
        // spec: MSG-12, MSG-13
        let long = "粘".repeat(85);
        for name in ["a", "...", "..a", " ", "a b", ".hidden", "con", "\u{a0}", "~", long.as_str()]
        {
            assert_eq!(check_name(name), Ok(()), "{name:?}");
            assert_eq!(decode_name(name.as_bytes()), Ok(name));
        }
        for (name, error) in [
            ("", NameError::Empty),
            (".", NameError::Dots),
            ("..", NameError::Dots),
            ("/", NameError::Separator { at: 0, found: '/' }),
            ("a/b", NameError::Separator { at: 1, found: '/' }),
            ("粘\\b", NameError::Separator { at: 3, found: '\\' }),
            ("c:", NameError::Separator { at: 1, found: ':' }),
            ("a\0b", NameError::Control { at: 1, found: '\0' }),
            ("\x1b[2J", NameError::Control { at: 0, found: '\x1b' }),
            ("a\x7f", NameError::Control { at: 1, found: '\x7f' }),
            ("a\u{9f}", NameError::Control { at: 1, found: '\u{9f}' }),
            ("\n/", NameError::Control { at: 0, found: '\n' }),
        ] {
            assert_eq!(check_name(name), Err(error), "{name:?}");
            assert_eq!(decode_name(name.as_bytes()), Err(error), "{name:?}");
        }
        let too_long = "x".repeat(256);
        assert_eq!(check_name(&too_long), Err(NameError::TooLong { len: 256 }));
        assert_eq!(decode_name(&[0xFF; 256]), Err(NameError::TooLong { len: 256 }));
        assert_eq!(decode_name(b"ab\xff"), Err(NameError::Utf8 { at: 2, cut: false }));
        assert_eq!(decode_name(b"/\xe7\xb2"), Err(NameError::Utf8 { at: 1, cut: true }));
    }
}

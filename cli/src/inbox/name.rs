//! The names of files and of their parts.

use sha2::{Digest as _, Sha256};
use unstick_session::message::{MAX_NAME_LEN, ResumeKey};

/// The beginning and end of every part's name. No file may have such a name.
const PREFIX: &str = ".unstick-";
const SUFFIX: &str = ".part";

/// Returns the name of a file's part, derived from the file's name and the sender's key. A part
/// cannot be found without both, two senders of one name have different parts, and the key cannot
/// be derived from the name.
pub(super) fn of_part(name: &str, key: &ResumeKey) -> String {
    // The key has a fixed length, so different pairs are different bytes.
    let hash = Sha256::new().chain_update(key.0).chain_update(name).finalize();
    let digits: String = hash.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    format!("{PREFIX}{digits}{SUFFIX}")
}

/// Returns a random name for a part that is never resumed.
pub(super) fn of_unresumable_part() -> String {
    format!("{PREFIX}{:032x}{SUFFIX}", fastrand::u128(..))
}

/// Returns whether this is the name of a part.
pub(super) fn is_part(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// Returns whether the inbox reserves this name. Case is ignored, because some file systems ignore
/// it.
pub(super) fn is_reserved(name: &str) -> bool {
    let beginning = name.as_bytes().get(..PREFIX.len()).unwrap_or_default();
    beginning.eq_ignore_ascii_case(PREFIX.as_bytes())
        || (cfg!(windows) && is_special_on_windows(name))
}

/// Returns whether Windows gives this name another meaning or would change it.
fn is_special_on_windows(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered =
        |device: &str| stem.strip_prefix(device).is_some_and(|number| number.chars().count() == 1);
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered("COM")
        || numbered("LPT")
        || name.ends_with(['.', ' '])
        || name.contains(['<', '>', '"', '|', '?', '*'])
}

/// Returns the name with a number before its extension: `a (2).txt`; for number 1 the name itself. The
/// stem is shortened if the name would be too long.
pub(super) fn numbered(name: &str, number: u32) -> String {
    if number == 1 {
        return name.to_owned();
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 32 => (stem, extension),
        _ => (name, ""),
    };
    let dot = if extension.is_empty() { "" } else { "." };
    let tail = format!(" ({number}){dot}{extension}");
    let room = MAX_NAME_LEN.saturating_sub(tail.len());
    let end = (0..=room.min(stem.len())).rev().find(|&end| stem.is_char_boundary(end));
    format!("{}{tail}", stem.get(..end.unwrap_or(0)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parts_name_depends_on_name_and_key() {
        let names = [
            of_part("a", &ResumeKey([1; 16])),
            of_part("a", &ResumeKey([2; 16])),
            of_part("b", &ResumeKey([1; 16])),
            of_unresumable_part(),
            of_unresumable_part(),
        ];
        for (i, name) in names.iter().enumerate() {
            assert!(is_part(name) && is_reserved(name), "{name}");
            assert!(!names[..i].contains(name), "{name}");
            assert!(!name.contains("0101"), "{name}");
        }
        assert_eq!(of_part("a", &ResumeKey([1; 16])), names[0]);
    }

    #[test]
    fn only_names_of_parts_are_reserved() {
        assert!(is_reserved(".Unstick-x") && is_reserved(".unstick-"));
        assert!(!is_reserved(".unstick") && !is_reserved("粘.unstick-") && !is_reserved("a"));
        for name in ["con", "NUL.txt", "com1", "lpt9.x", "a.", "a ", "a?"] {
            assert!(is_special_on_windows(name), "{name}");
        }
        for name in ["console", "com10", "com", "a.b", ".a"] {
            assert!(!is_special_on_windows(name), "{name}");
        }
    }

    #[test]
    fn a_number_is_inserted_before_the_extension() {
        for (name, expected) in [
            ("a.txt", "a (2).txt"),
            ("a", "a (2)"),
            (".bashrc", ".bashrc (2)"),
            ("a.tar.gz", "a.tar (2).gz"),
            ("报告.pdf", "报告 (2).pdf"),
        ] {
            assert_eq!(numbered(name, 2), expected);
        }
        let long = format!("{}.pdf", "粘".repeat(83));
        let name = numbered(&long, 10);
        assert!(name.len() <= MAX_NAME_LEN && name.ends_with("粘 (10).pdf"), "{name}");
    }
}

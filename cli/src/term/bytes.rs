//! Parses and formats byte counts and durations.

use std::time::Duration;

/// The units of a byte count, in lower case, with their factors.
const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("b", 1),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
];

/// Parses a byte count: `65536`, `64KiB`, `1 MiB` or `4GB`.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let number: u64 = number
        .replace('_', "")
        .parse()
        .map_err(|_| "give a number of bytes, such as 65536, 64KiB or 1MiB".to_owned())?;
    let Some((_, factor)) = UNITS.into_iter().find(|(name, _)| *name == unit) else {
        return Err(format!("`{unit}` is no unit; take B, KiB, MiB, GiB, TiB, KB, MB, GB or TB"));
    };
    number.checked_mul(factor).ok_or_else(|| "that is more than 2^64 bytes".to_owned())
}

/// The maximum of a time, which is as good as never: a hundred years.
const MAX_TIME: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Parses seconds, with an optional fraction and an optional suffix `s`: `30`, `0.5`, `2s`. More than a
/// hundred years, such as `inf`, become a hundred years, so that they can be added to any time.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .strip_suffix('s')
        .unwrap_or(text)
        .parse()
        .map_err(|_| "give seconds, such as 30, 0.5 or 5s".to_owned())?;
    if seconds >= MAX_TIME.as_secs_f64() {
        return Ok(MAX_TIME);
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("give seconds above 0".to_owned()),
    }
}

/// Formats a byte count: `1 byte`, `2 bytes`.
pub(crate) fn count_bytes(n: u64) -> String {
    count(n, "byte")
}

/// Formats a byte count in the largest unit of which it is a whole number: `1 MiB`, `300 bytes`.
pub(crate) fn in_units(n: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, factor)| n > 0 && n.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{} {unit}", n / factor),
        None => count_bytes(n),
    }
}

/// Formats a count with its noun in singular or plural: `1 message`, `2 messages`.
pub(crate) fn count(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_counts_are_parsed_with_units() {
        let table = [("0", 0), ("65536", 65_536), ("64KiB", 65_536), ("1 MiB", 1 << 20)];
        for (text, expected) in table.into_iter().chain([("4gb", 4_000_000_000), ("1_000", 1_000)])
        {
            assert_eq!(parse_bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5", "3 apples", "18446744073709551616", "20000000TiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_unit_is_used_only_for_whole_multiples() {
        for (n, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1 << 20, "1 MiB"),
            (65_536, "64 KiB"),
            (1025, "1025 bytes"),
            (4 << 30, "4 GiB"),
        ] {
            assert_eq!(in_units(n), text);
        }
    }

    #[test]
    fn seconds_must_be_positive() {
        assert_eq!(parse_seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_seconds("2s"), Ok(Duration::from_secs(2)));
        for text in ["0", "-1", "", "soon", "-inf", "nan", "1e-99"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
        for never in ["1e10", "1e12s", "1e19", "18446744073709551615", "1e99", "inf"] {
            assert_eq!(parse_seconds(never), Ok(MAX_TIME), "{never}");
        }
    }
}

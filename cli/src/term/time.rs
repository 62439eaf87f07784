//! Times in the output: in UTC, as in RFC 3339, with nine digits of a second.

use std::time::Duration;

use time::OffsetDateTime;

/// Returns the current time.
pub(crate) fn now() -> String {
    format(OffsetDateTime::now_utc())
}

/// Formats a time since the Unix epoch; `None` if it is after the year 9999.
pub(crate) fn since_epoch(time: Duration) -> Option<String> {
    let time = time::Duration::try_from(time).ok()?;
    OffsetDateTime::UNIX_EPOCH.checked_add(time).map(format)
}

/// Formats a time in nanoseconds since the Unix epoch, which may be before it.
pub(crate) fn of_unix_nanos(nanos: i64) -> String {
    // The years of 64 bits are 1677 to 2262.
    format(OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::nanoseconds(nanos)))
}

fn format(time: OffsetDateTime) -> String {
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second, nanos) = time.to_hms_nano();
    let month = u8::from(month);
    // One form for all, so that times are ordered as texts are.
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_all_digits() {
        let time = |secs, nanos| since_epoch(Duration::new(secs, nanos));
        assert_eq!(time(0, 0).unwrap(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(time(1_753_380_000, 4_000_000).unwrap(), "2025-07-24T18:00:00.004000000Z");
        assert_eq!(time(253_402_300_799, 1).unwrap(), "9999-12-31T23:59:59.000000001Z");
        assert_eq!([time(253_402_300_800, 0), time(u64::MAX, 0)], [None, None]);
        assert_eq!(of_unix_nanos(978_307_200_000_000_001), "2001-01-01T00:00:00.000000001Z");
        assert_eq!(of_unix_nanos(-1), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(of_unix_nanos(i64::MIN), "1677-09-21T00:12:43.145224192Z");
        assert_eq!(of_unix_nanos(i64::MAX), "2262-04-11T23:47:16.854775807Z");
        assert_eq!(now().len(), "1970-01-01T00:00:00.000000000Z".len());
    }
}

//! How often something is logged that peers can cause at will.

use std::time::Instant;

/// The number of lines that are logged at once; after these it is one a second.
const MAX_BURST: u32 = 8;

/// Limits how often something is logged that a peer can cause at will.
#[derive(Debug)]
pub(crate) struct LogLimit {
    max_burst: u32,
    left: u32,
    since: Option<Instant>,
    hidden: u64,
}

impl LogLimit {
    pub(crate) const fn new() -> Self {
        Self::of(MAX_BURST)
    }

    /// Logs this many at once; after these it is one a second.
    pub(crate) const fn of(max_burst: u32) -> Self {
        Self { max_burst, left: max_burst, since: None, hidden: 0 }
    }

    /// Returns how many events were not logged since the last one that was; `None` if this one is not
    /// logged either.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        let since = *self.since.get_or_insert(now);
        let seconds = now.duration_since(since).as_secs();
        if seconds > 0 {
            self.left = self.left.saturating_add(u32::try_from(seconds).unwrap_or(u32::MAX));
            self.left = self.left.min(self.max_burst);
            self.since = Some(now);
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(std::mem::take(&mut self.hidden))
            }
            None => {
                self.hidden += 1;
                None
            }
        }
    }

    /// Returns how many events were not logged since the last one that was.
    pub(crate) fn hidden(&self) -> u64 {
        self.hidden
    }
}

/// Formats how many events were not logged.
pub(crate) fn hidden(events: u64) -> String {
    if events == 0 { String::new() } else { format!(" ({events} more like this before)") }
}

/// Whether nothing was hidden, for JSON.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes references
pub(crate) fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_are_logged_once_a_second_after_a_burst() {
        let mut limit = LogLimit::new();
        let start = Instant::now();
        let logged = |limit: &mut LogLimit, after: Duration, events: u32| {
            (0..events).filter_map(|_| limit.admit(start + after)).collect::<Vec<_>>()
        };
        assert_eq!(logged(&mut limit, Duration::ZERO, 100), [0; MAX_BURST as usize]);
        assert_eq!(logged(&mut limit, Duration::from_millis(999), 100), Vec::<u64>::new());
        assert_eq!(logged(&mut limit, Duration::from_millis(1000), 100), [192]);
        assert_eq!(logged(&mut limit, Duration::from_millis(1999), 100), Vec::<u64>::new());
        let burst = logged(&mut limit, Duration::from_secs(100), 100);
        assert_eq!((burst.len(), burst[0]), (MAX_BURST as usize, 199));
        assert_eq!(limit.hidden(), 92);
        assert_eq!(hidden(0), "");
    }
}

//! Which datagrams are answered, and how often something is logged. The source of a datagram may be
//! forged, so an answer must do no harm to somebody who has sent nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How often the same datagram of a source is answered in a row.
const MAX_REPEATED: u32 = 16;
/// After so long a silence of a source, a datagram is not in a row with those before it.
const SILENCE: Duration = Duration::from_millis(800);
/// The maximum number of sources that are remembered.
const MAX_SOURCES: usize = 4096;
/// The number of lines that are logged at once; after these it is one a second.
const MAX_BURST: u32 = 8;

/// Why a datagram is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Its source is the address it was received at.
    OwnAddress,
    /// The source has sent the same again and again.
    Repeated,
    /// The answer would be longer than the datagram.
    Longer,
}

impl Unanswered {
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::OwnAddress => "not answered, its source is this address; was the source forged?",
            Self::Repeated => {
                "not answered any more, it sends the same again and again; do two programs answer \
                 each other?"
            }
            Self::Longer => {
                "not answered, the answer is longer than the datagram, and its source may be forged; \
                 give a shorter --reply, or listen over TCP"
            }
        }
    }
}

/// Decides which datagrams are answered.
///
/// Two programs that answer everything would answer each other for ever after one datagram with a
/// forged source. Whatever they answer, soon each receives the same again and again, so that ends it.
pub(crate) struct Answering {
    local: Option<SocketAddr>,
    hasher: RandomState,
    sources: HashMap<SocketAddr, Source>,
}

struct Source {
    last: u64,
    last_at: Instant,
    /// How many times in a row it has sent `last`.
    repeated: u32,
}

impl Answering {
    pub(crate) fn new(local: Option<SocketAddr>) -> Self {
        Self { local, hasher: RandomState::new(), sources: HashMap::new() }
    }

    /// Decides about a datagram with these messages.
    pub(crate) fn admit<'a>(
        &mut self,
        source: SocketAddr,
        messages: impl Iterator<Item = &'a [u8]>,
        now: Instant,
    ) -> Result<(), Unanswered> {
        if self.local.is_some_and(|local| is_own(local, source)) {
            return Err(Unanswered::OwnAddress);
        }
        let found = self.hasher.hash_one(messages.collect::<Vec<_>>());
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&source) {
            self.sources.retain(|_, source| now.duration_since(source.last_at) < SILENCE);
            if self.sources.len() >= MAX_SOURCES {
                self.sources.clear();
            }
        }
        let new = Source { last: found, last_at: now, repeated: 0 };
        let entry = self.sources.entry(source).or_insert(new);
        let in_a_row = entry.last == found && now.duration_since(entry.last_at) < SILENCE;
        entry.repeated = if in_a_row { entry.repeated.saturating_add(1) } else { 1 };
        (entry.last, entry.last_at) = (found, now);
        if entry.repeated > MAX_REPEATED { Err(Unanswered::Repeated) } else { Ok(()) }
    }
}

/// Whether a source is the address that a socket is bound to, on any interface if it is bound to all.
fn is_own(local: SocketAddr, source: SocketAddr) -> bool {
    if local.port() != source.port() {
        return false;
    }
    // A socket can be bound to addresses of this machine only.
    local.ip() == source.ip()
        || local.ip().is_unspecified() && UdpSocket::bind((source.ip(), 0)).is_ok()
}

/// Limits how often something is logged that a peer can cause at will.
pub(crate) struct LogLimit {
    left: u32,
    since: Option<Instant>,
    hidden: u64,
}

impl LogLimit {
    pub(crate) const fn new() -> Self {
        Self { left: MAX_BURST, since: None, hidden: 0 }
    }

    /// Returns how many events were not logged since the last one that was; `None` if this one is not
    /// logged either.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        let since = *self.since.get_or_insert(now);
        let seconds = now.duration_since(since).as_secs();
        if seconds > 0 {
            self.left = self.left.saturating_add(u32::try_from(seconds).unwrap_or(MAX_BURST));
            self.left = self.left.min(MAX_BURST);
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
}

/// Formats how many events were not logged.
pub(crate) fn hidden(events: u64) -> String {
    if events == 0 { String::new() } else { format!(" ({events} more like this before)") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn the_same_again_and_again_is_not_answered() {
        let mut answering = Answering::new(Some(source(1)));
        let mut now = Instant::now();
        let mut admit = |from: u16, message: &'static [u8], after: u64| {
            now += Duration::from_millis(after);
            answering.admit(source(from), [message].into_iter(), now)
        };
        for _ in 0..MAX_REPEATED {
            assert_eq!(admit(2, b"a", 10), Ok(()));
        }
        for _ in 0..1000 {
            assert_eq!(admit(2, b"a", 10), Err(Unanswered::Repeated));
        }
        assert_eq!(admit(3, b"a", 0), Ok(()), "another source");
        assert_eq!(admit(2, b"b", 10), Ok(()), "another message");
        assert_eq!(admit(2, b"a", 10), Ok(()));
        for _ in 0..100 {
            assert_eq!(admit(2, b"a", 1000), Ok(()), "after a silence");
        }
        assert_eq!(admit(1, b"a", 10), Err(Unanswered::OwnAddress));
    }

    #[test]
    fn the_number_of_sources_is_bounded() {
        let mut answering = Answering::new(None);
        let now = Instant::now();
        for port in 1..=u16::MAX {
            let admitted = answering.admit(source(port), [&b"a"[..]].into_iter(), now);
            assert_eq!(admitted, Ok(()));
            assert!(answering.sources.len() <= MAX_SOURCES);
        }
    }

    #[test]
    fn a_socket_bound_to_all_addresses_knows_its_own() {
        let any = SocketAddr::from(([0, 0, 0, 0], 7));
        assert!(is_own(any, source(7)));
        assert!(!is_own(any, source(8)));
        assert!(!is_own(any, ([192, 0, 2, 1], 7).into()), "an address for documentation");
    }

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
        assert_eq!(hidden(0), "");
    }
}

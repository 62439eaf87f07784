//! Which datagrams are answered. The source of a datagram may be forged, so an answer must do no harm to
//! somebody who has sent nothing.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How many datagrams of a source that it has sent before are answered in a row, and how often more of
/// them are.
const MAX_REPEATED: u32 = 16;
const REPEATED_INTERVAL: Duration = Duration::from_millis(250);
/// The number of datagrams of a source that are remembered.
const MAX_RECENT: usize = 32;
/// After so long a silence of a source, a datagram is not in a row with those before it.
const SILENCE: Duration = Duration::from_millis(800);
/// The maximum number of sources that are remembered.
const MAX_SOURCES: usize = 4096;

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
                "answered four times a second only, it sends the same again and again; do two programs \
                 answer each other?"
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
/// forged source. Whatever they answer, soon each receives the same again and again, so that slows it
/// down.
pub(crate) struct Answering {
    local: Option<SocketAddr>,
    hasher: RandomState,
    sources: HashMap<SocketAddr, Source>,
}

struct Source {
    /// The last different datagrams, oldest first.
    recent: VecDeque<u64>,
    last_at: Instant,
    /// How many datagrams in a row it had sent before.
    repeated: u32,
    /// When one of these was answered last.
    answered_at: Instant,
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
        let entry = self.sources.entry(source).or_insert_with(|| Source {
            recent: VecDeque::new(),
            last_at: now,
            repeated: 0,
            answered_at: now,
        });
        let is_silent = now.duration_since(entry.last_at) >= SILENCE;
        entry.last_at = now;
        if is_silent {
            entry.recent.clear();
        }
        if !entry.recent.contains(&found) {
            if entry.recent.len() >= MAX_RECENT {
                entry.recent.pop_front();
            }
            entry.recent.push_back(found);
            entry.repeated = 0;
        }
        entry.repeated = entry.repeated.saturating_add(1);
        if entry.repeated > MAX_REPEATED
            && now.duration_since(entry.answered_at) < REPEATED_INTERVAL
        {
            return Err(Unanswered::Repeated);
        }
        entry.answered_at = now;
        Ok(())
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
        // Four times a second, and also if there are several that go round.
        let answered = (0..1000).filter(|_| admit(2, b"a", 10).is_ok()).count();
        assert_eq!(answered, 40);
        assert_eq!(admit(3, b"a", 0), Ok(()), "another source");
        assert_eq!(admit(2, b"b", 10), Ok(()), "another message");
        let round: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];
        let answered = (0..1000).filter(|i| admit(2, round[i % 4], 10).is_ok()).count();
        assert!(answered < 80, "{answered}");
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
}

//! Which datagrams are answered. The source of a datagram may be forged, so an answer must do no harm to
//! somebody who has sent nothing.

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
}

//! What the peers say to each other.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::format::AnyMeta;

/// The maximum number of messages that wait for a slow peer.
const MAX_SAID: usize = 64;

/// Says messages to all peers.
#[derive(Debug)]
pub(crate) struct Speaker {
    peers: broadcast::Sender<Sent>,
    /// The maximum number of bytes that wait for slow peers. The newest message waits in any case.
    max_bytes: usize,
    /// The messages that wait, oldest first.
    waiting: Mutex<VecDeque<(usize, Weak<Payload>)>>,
}

/// A message on its way to the peers.
#[derive(Clone, Debug)]
struct Sent {
    from: Arc<str>,
    meta: AnyMeta,
    payload: Arc<Payload>,
}

/// A payload; `None` once it was dropped to make room for newer ones.
#[derive(Debug)]
struct Payload(Mutex<Option<Arc<[u8]>>>);

impl Payload {
    fn bytes(&self) -> MutexGuard<'_, Option<Arc<[u8]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message that another peer has said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) meta: AnyMeta,
    pub(crate) payload: Arc<[u8]>,
}

/// What the other peers say.
pub(crate) struct Others(Option<broadcast::Receiver<Sent>>);

impl Speaker {
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self {
            peers: broadcast::channel(MAX_SAID).0,
            max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
            waiting: Mutex::default(),
        }
    }

    /// Says a message to all peers but this one, whose name no peer need have. A slow peer may miss it.
    pub(crate) fn say(&self, from: &str, meta: AnyMeta, payload: &[u8]) {
        let len = payload.len();
        let payload = Arc::new(Payload(Mutex::new(Some(payload.into()))));
        self.make_room(len, &payload);
        // An error only says that nobody is there.
        let _ = self.peers.send(Sent { from: from.into(), meta, payload });
    }

    /// Drops the oldest payloads that wait until the others fit with this one.
    fn make_room(&self, len: usize, payload: &Arc<Payload>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|(_, payload)| payload.strong_count() > 0);
        let mut all = waiting.iter().fold(len, |all, (len, _)| all.saturating_add(*len));
        while all > self.max_bytes
            && let Some((len, oldest)) = waiting.pop_front()
        {
            all -= len;
            if let Some(oldest) = oldest.upgrade() {
                *oldest.bytes() = None;
            }
        }
        waiting.push_back((len, Arc::downgrade(payload)));
    }
}

impl Others {
    /// Returns what this speaker will say from now on.
    pub(crate) fn of(speaker: Option<&Speaker>) -> Self {
        Self(speaker.map(|speaker| speaker.peers.subscribe()))
    }

    /// Waits for a message; forever if there are none for this peer. An error is the number of messages
    /// that this peer has missed.
    ///
    /// # Cancel safety
    /// Dropping the future loses no message.
    pub(crate) async fn next(&mut self, own: &str) -> Result<Said, u64> {
        let Some(peers) = &mut self.0 else { return pending().await };
        loop {
            match peers.recv().await {
                Ok(Sent { from, .. }) if *from == *own => {}
                Ok(Sent { meta, payload, .. }) => {
                    let payload = payload.bytes().clone();
                    return payload.map(|payload| Said { meta, payload }).ok_or(1);
                }
                Err(RecvError::Lagged(missed)) => return Err(missed),
                Err(RecvError::Closed) => return pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_what_waits_for_a_slow_peer_the_oldest_is_dropped() {
        let speaker = Speaker::new(10);
        let (mut fast, mut slow) = (Others::of(Some(&speaker)), Others::of(Some(&speaker)));
        for (n, len) in [(0_u8, 4), (1, 4), (2, 4), (3, 20), (4, 1)] {
            speaker.say("peer", AnyMeta::None, &vec![n; len]);
            assert_eq!(*fast.next("").await.unwrap().payload, vec![n; len]);
        }
        let waiting = speaker.waiting.lock().unwrap().iter().map(|(len, _)| len).sum::<usize>();
        assert_eq!(waiting, 1);
        for n in 0..5 {
            let said = slow.next("").await;
            assert_eq!(said.is_ok(), n == 4, "{n}: {said:?}");
        }
        speaker.say("peer", AnyMeta::None, &[7; 20]);
        assert_eq!(slow.next("").await.unwrap().payload.len(), 20, "the newest waits in any case");
        assert_eq!(speaker.waiting.lock().unwrap().len(), 1);
    }
}

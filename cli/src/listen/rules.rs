//! The options that apply to every connection, and what all connections share.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use unstick::Kind;
use unstick_session::message::Code;

use crate::format::AnyMeta;
use crate::inbox::Inbox;
use crate::listen::budget::Budget;
use crate::listen::end::End;
use crate::listen::others::{Others, Speaker};
use crate::listen::reply::Reply;
use crate::listen::shares::Shares;
use crate::term::log_limit::LogLimit;

/// The options that apply to every connection, and counters over all of them.
pub(crate) struct Rules {
    pub(crate) reply: Option<Reply>,
    pub(crate) frame_timeout: Duration,
    pub(crate) idle_timeout: Option<Duration>,
    /// The time in which a peer has to send its first frame.
    pub(crate) first_timeout: Duration,
    pub(crate) skip_oversize: bool,
    /// The application kinds that are accepted as messages.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) preview: usize,
    pub(crate) show: Show,
    /// What says messages to all peers, if anything is said.
    pub(crate) speaker: Option<Speaker>,
    /// Whether what one peer says is said to all others.
    pub(crate) broadcasts: bool,
    /// The folder for files; `None` refuses them.
    pub(crate) inbox: Option<Arc<Inbox>>,
    /// The files that uploads may have open at the same time.
    pub(crate) open_files: Arc<Shares>,
    /// The files that are digested at the same time for the answers to their offers.
    pub(crate) digests: Arc<Shares>,
    /// The other jobs of uploads that run at the same time.
    pub(crate) disk: Arc<Shares>,
    /// The minimum rate of an upload, in bytes a second.
    pub(crate) min_rate: u64,
    /// The memory for what peers have sent and what they are answered.
    pub(crate) budget: Budget,
    /// For connections that send nothing.
    pub(crate) connects: Mutex<LogLimit>,
    /// The number of messages received on all connections.
    pub(crate) messages: AtomicU64,
    /// The number of files stored.
    pub(crate) files: AtomicU64,
}

/// How messages are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// As a line, which begins with the time if `time` is set, and has short digests if `short` is.
    Line {
        time: bool,
        short: bool,
    },
    Json,
    /// As they are, with these bytes after each.
    Raw(&'static [u8]),
}

impl Rules {
    /// Returns what the others will say from now on.
    pub(crate) fn others(&self) -> Others {
        Others::of(self.speaker.as_ref())
    }

    /// Says a message of this peer to all others, if that is wanted.
    pub(crate) fn say(&self, peer: &str, meta: AnyMeta, payload: &[u8]) {
        if self.broadcasts {
            self.say_to_others(peer, meta, payload);
        }
    }

    /// Says a message to all peers but this one, whose name no peer need have.
    pub(crate) fn say_to_others(&self, peer: &str, meta: AnyMeta, payload: &[u8]) {
        if let Some(speaker) = &self.speaker {
            speaker.say(peer, meta, payload);
        }
    }

    /// Returns whether a connection is logged that has sent nothing, and how many were not before.
    pub(crate) fn admit_connection(&self) -> Option<u64> {
        self.connects.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now())
    }

    /// Kills the commands that answer messages. No more can start.
    pub(crate) fn end_commands(&self) {
        if let Some(Reply::Exec(exec)) = &self.reply {
            exec.end();
        }
    }

    /// Returns the end of a connection whose first frame did not come in time.
    pub(crate) fn no_first_frame(&self) -> End {
        let message = format!(
            "no frame came within {:?} after the connection was made; \
             for a peer that begins later set a longer --first-timeout",
            self.first_timeout
        );
        End::at(0, Code::IDLE_TIMEOUT, &message)
    }
}

//! The options that apply to every connection, and what all connections share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::watch;
use unstick::Kind;
use unstick_session::message::Code;

use crate::inbox::Inbox;
use crate::listen::budget::Budget;
use crate::listen::end::End;
use crate::listen::reply::Reply;

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
    pub(crate) json: bool,
    /// The folder for files; `None` refuses them.
    pub(crate) inbox: Option<Arc<Inbox>>,
    /// The minimum rate of an upload, in bytes a second.
    pub(crate) min_rate: u64,
    /// The memory for what peers have sent and what they are answered.
    pub(crate) budget: Arc<Budget>,
    /// The number of messages received on all connections.
    pub(crate) messages: AtomicU64,
    /// The number of files stored.
    pub(crate) files: AtomicU64,
}

/// Becomes true when the program ends.
pub(crate) type Stop = watch::Receiver<bool>;

impl Rules {
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

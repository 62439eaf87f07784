//! What is simulated.

/// A moment or a time in microseconds.
pub type Micros = u64;

pub const MILLISECOND: Micros = 1_000;
pub const SECOND: Micros = 1_000 * MILLISECOND;
pub const MINUTE: Micros = 60 * SECOND;
pub const HOUR: Micros = 60 * MINUTE;
pub const DAY: Micros = 24 * HOUR;
/// Of the mean time between two events: so long that none is in a run.
const NEVER: Micros = 1_000_000 * DAY;

/// The maximum payload length that the listener accepts, in bytes.
pub const LIMIT: u32 = 65_536;
/// The maximum size of a file that the listener accepts, in bytes.
pub const MAX_FILE: u64 = 1 << 20;
/// How long a frame may take.
pub const FRAME_TIMEOUT: Micros = 30 * SECOND;
/// How long a peer may be idle that has not said which client it is.
pub const FIRST_TIMEOUT: Micros = 60 * SECOND;
/// How long the listener waits for the end of the stream after its own close.
pub const END_TIMEOUT: Micros = 5 * SECOND;
/// How long a client waits for an answer.
pub const ANSWER_TIMEOUT: Micros = 30 * SECOND;
/// How long a client waits for a connection, up to the listener's first answer.
pub const CONNECT_TIMEOUT: Micros = 10 * SECOND;
/// The mean wait before the second try; it doubles with each try, up to the maximum.
pub const FIRST_BACKOFF: Micros = SECOND;
pub const MAX_BACKOFF: Micros = 64 * SECOND;
/// How long a hostile peer is away before it comes back.
pub const HOSTILE_PAUSE: Micros = MINUTE;
/// How long a client that crashed is away, in the mean: mostly, and each fourth time.
pub const SHORT_ABSENCE: Micros = 2 * MINUTE;
pub const LONG_ABSENCE: Micros = 4 * HOUR;
/// The processor time of the listener for one read, and for each byte (in nanoseconds).
pub const READ_COST: Micros = 15;
pub const BYTE_COST_NANOS: u64 = 2;
/// The time in which the listener's disk syncs each byte of a file (in nanoseconds).
pub const SYNCED_BYTE_COST_NANOS: u64 = 5;
/// How many of a part's last bytes a crash of the listener can lose.
pub const UNSYNCED: usize = 8_192;

/// A fault that is planted to see that it is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// After a cut a client does not send again what was not acknowledged.
    NoResend,
    /// The listener delivers a message that it has already delivered.
    NoDedupe,
    /// The listener asks for the second half of a part again, appends it, and gives a file its name
    /// without comparing digests.
    NoDigest,
}

/// The parameters of a run.
#[derive(Clone, Debug)]
pub struct Config {
    pub seed: u64,
    pub clients: u32,
    /// The number of hostile peers of each kind.
    pub hostile_each: u32,
    /// When clients make no more messages and files, and nothing is cut or killed any more.
    pub until: Micros,
    /// How long a run may go on after that until everything has arrived.
    pub drain: Micros,
    pub heartbeat: Micros,
    /// The mean time between two messages of a client, two of its files, two cuts of a connection, and
    /// two crashes of a client.
    pub text_every: Micros,
    pub file_every: Micros,
    pub cut_every: Micros,
    pub crash_every: Micros,
    /// How many files a client makes at a time, and how many it sends without a final status.
    pub files_each: u32,
    pub in_flight: usize,
    /// The time in which the listener's disk syncs a file, its bytes aside. It syncs one after the other.
    pub sync_cost: Micros,
    /// Of a thousand times that a client sends, how often the connection is cut directly after it.
    pub cut_busy: u32,
    /// When the listener is killed, and for how long it is away.
    pub restarts: Vec<Micros>,
    pub down: Micros,
    /// The maximum length of the accept queue.
    pub backlog: usize,
    /// Accepted connections a second.
    pub accept_rate: u64,
    /// Whether the wait before a try is chosen at random between 0 and twice its mean.
    pub jitter: bool,
    pub fault: Fault,
}

impl Config {
    /// The traffic of the report: a heartbeat an hour for this long.
    pub fn traffic(seed: u64, clients: u32, until: Micros) -> Self {
        Self {
            seed,
            clients,
            hostile_each: (clients / 10_000).max(1),
            until,
            drain: 12 * HOUR,
            heartbeat: HOUR,
            text_every: 4 * HOUR,
            file_every: DAY,
            cut_every: DAY,
            crash_every: 7 * DAY,
            files_each: 1,
            in_flight: 1,
            sync_cost: MILLISECOND,
            cut_busy: 5,
            restarts: vec![until / 3, until * 2 / 3],
            down: 30 * SECOND,
            backlog: 4_096,
            accept_rate: 2_000,
            jitter: true,
            fault: Fault::None,
        }
    }

    /// A year of clients that are mostly idle, without hostile peers.
    pub fn year(seed: u64, clients: u32) -> Self {
        Self {
            hostile_each: 0,
            heartbeat: DAY,
            text_every: 7 * DAY,
            file_every: 60 * DAY,
            cut_every: 30 * DAY,
            crash_every: 60 * DAY,
            drain: 2 * DAY,
            ..Self::traffic(seed, clients, 365 * DAY)
        }
    }

    /// Clients that make 16 files at a time, twice a day, over connections that are often cut. The disk is
    /// slow.
    pub fn batches(seed: u64, clients: u32, in_flight: usize) -> Self {
        Self {
            hostile_each: 0,
            file_every: 12 * HOUR,
            files_each: 16,
            in_flight,
            sync_cost: 300 * MILLISECOND,
            cut_busy: 20,
            ..Self::traffic(seed, clients, DAY)
        }
    }

    /// A restart alone: ten minutes of clients that are connected, and half an hour after it.
    pub fn restart(seed: u64, clients: u32, backlog: usize, jitter: bool) -> Self {
        Self {
            hostile_each: 0,
            restarts: vec![10 * MINUTE],
            backlog,
            jitter,
            text_every: NEVER,
            file_every: NEVER,
            cut_every: NEVER,
            crash_every: NEVER,
            cut_busy: 0,
            ..Self::traffic(seed, clients, 40 * MINUTE)
        }
    }
}

//! What the command prints, and how: one line at a time, and nothing of a peer raw.

pub(crate) mod bytes;
pub(crate) mod hex;
pub(crate) mod log_limit;
pub(crate) mod output;
pub(crate) mod preview;
pub(crate) mod printer;
pub(crate) mod time;

//! Captures of packets: the connections in them, and the bytes of each direction.

pub(crate) mod file;
pub(crate) mod flows;
pub(crate) mod follow;
pub(crate) mod link;
pub(crate) mod reassembly;

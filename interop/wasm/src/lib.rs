//! The decoder, the encoder and `inspect` of unstick for JavaScript.
//!
//! What a format's name means, what an error's advice is, and how a capture is read, is the code of the
//! command `unstick`: its modules are compiled here too, so that both say the same.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)
)]

// The command's modules. Each has more than is used here.
#[allow(dead_code, unused_imports, unused_macros)]
#[path = "../../../cli/src"]
mod shared {
    pub(crate) mod advice;
    pub(crate) mod checked;
    pub(crate) mod format;
    pub(crate) mod format_list;
    pub(crate) mod mark;
    pub(crate) mod recipe;
    pub(crate) mod v1;
    pub(crate) mod wire;
    pub(crate) mod term {
        pub(crate) mod bytes;
        pub(crate) mod hex;
        pub(crate) mod preview;
        pub(crate) mod time;
        pub(crate) mod output {
            /// What ends the reading of a capture early: nothing does here.
            pub(crate) type Failure = std::convert::Infallible;
        }
    }
    pub(crate) mod inspect {
        pub(crate) mod dump;
        pub(crate) mod frames;
        pub(crate) mod http;
        pub(crate) mod names;
        pub(crate) mod opening;
        pub(crate) mod resp;
        pub(crate) mod shape;
        pub(crate) mod capture {
            pub(crate) mod file;
            pub(crate) mod flows;
            pub(crate) mod link;
            pub(crate) mod reassembly;
        }
    }
}
// The names by which they know each other.
use shared::{advice, checked, format, inspect, mark, recipe, term, v1, wire};

mod examples;
mod input;
pub mod js;
mod listing;
mod parts;
#[cfg(test)]
mod tests;

//! What some state must show: otherwise the laws hold for want of a case.

use std::sync::atomic::{AtomicBool, Ordering};

macro_rules! seen {
    ($($seen:ident $name:literal)+) => {
        #[derive(Clone, Copy, Debug)]
        pub enum Seen { $($seen),+ }

        impl Seen {
            pub const ALL: &[(Self, &str)] = &[$((Self::$seen, $name)),+];
        }
    };
}

seen! {
    Stored "a file is stored"
    Resumed "a part is offered"
    OtherPart "a part is of another version"
    LateReady "data comes before ready"
    Exists "the file is there already"
    Changed "a file changes while it is sent"
    Cancelled "a cancel arrives"
    ShuttingDown "a file is refused because its receiver drains"
    BothClose "both sides close"
    Full "64 transfers are without a status"
    Reconnected "a conversation follows another"
}

/// Which of them were reached. It is no part of the state.
#[derive(Debug, Default)]
pub struct Reached([AtomicBool; Seen::ALL.len()]);

impl Reached {
    pub fn mark(&self, seen: Seen) {
        self.0[seen as usize].store(true, Ordering::Relaxed);
    }

    pub fn has(&self, seen: Seen) -> bool {
        self.0[seen as usize].load(Ordering::Relaxed)
    }
}

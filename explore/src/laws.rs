//! The properties. Each is an invariant: a step, or a state in which nothing more is bound to
//! happen, breaks it or does not.

use stateright::Property;

use crate::steps::Explore;

macro_rules! laws {
    ($($(#[doc = $about:literal])+ $law:ident $name:literal)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Law {
            $($(#[doc = $about])+ $law,)+
        }

        impl Law {
            pub const ALL: &[Self] = &[$(Self::$law),+];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$law => $name,)+
                }
            }
        }

        pub fn properties() -> Vec<Property<Explore>> {
            vec![$(Property::<Explore>::always($name, |_, world| world.broken != Some(Law::$law))),+]
        }
    };
}

laws! {
    // Safety.
    /// A file under its name is whole, and equal to one version of its source.
    Whole "whole-files"
    /// What has a name keeps its contents.
    NotReplaced "nothing-replaced"
    /// Each transfer is given one final status, by its receiver and to its sender, and only one
    /// that was opened.
    FinalOnce "one-final-status"
    /// Nothing is sent after this side's close.
    SilentAfterClose "nothing-sent-after-close"
    /// Nothing is delivered after the peer's close.
    DeafAfterClose "nothing-delivered-after-close"
    /// Stored is said, and received, only while the receiver's disk has the file with this digest
    /// under its name.
    StoredIsOnDisk "stored-is-on-disk"
    /// The session counts the same open transfers, and owes the same statuses, as an observer, and
    /// both are at most 64; by itself it sends at most one pong, and one status for each.
    Memory "memory-bounded"
    /// Two sides that follow the rules end no conversation with an error.
    NoUndueError "no-error-without-cause"
    /// No file is refused, but while the receiver drains, or because another one has the name.
    NoUndueRefusal "no-refusal-without-cause"
    /// While it drains, a side is offered no file.
    DrainRefuses "drain-refuses"
    /// The session refuses nothing that the rules allow.
    RulesSuffice "allowed-sends-accepted"
    /// Bytes arrive once and in order: none is missing where data begins.
    NoGap "no-gap"
    /// The stored prefix moves back only if the sender begins anew or the file changed.
    ForwardOnly "prefix-never-back"
    /// The end is reported clean exactly if the peer closed.
    CleanEnd "clean-end-exactly-after-close"
    /// No payload is over the peer's limit.
    WithinLimit "within-limit"

    // Where nothing more is bound to happen.
    /// Nothing waits to be read: neither side waits for the other.
    NoDeadlock "no-deadlock"
    /// Every transfer of a living conversation has its final status.
    TransfersEnd "transfers-end"
    /// After a close both sides are at the end.
    ClosesEnd "closes-end"
    /// Every ping of a living conversation has its pong.
    PingsAnswered "pings-answered"
    /// Every file is stored, unless it was cancelled or another one has its name.
    RetryStores "retry-stores"
}

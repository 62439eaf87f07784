//! Runs the programs of the pages in `docs/` as doctests: `cargo test -p unstick-book`.
//! `ci/book/links.py` checks that no page is missing here, and `tests/pages.rs` compares the tutorials.

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../cancellation.md")]
    struct Cancellation;

    #[doc = include_str!("../cookbook.md")]
    struct Cookbook;

    #[doc = include_str!("../embedding.md")]
    struct Embedding;

    #[doc = include_str!("../framings.md")]
    struct Framings;

    #[doc = include_str!("../getting-started.md")]
    struct GettingStarted;

    #[doc = include_str!("../limits.md")]
    struct Limits;

    #[doc = include_str!("../migration.md")]
    struct Migration;

    #[doc = include_str!("../serial-lines.md")]
    struct SerialLines;

    #[doc = include_str!("../udp.md")]
    struct Udp;
}

#[cfg(doctest)]
mod english {
    #[doc = include_str!("../tutorial/01-server-and-client.md")]
    struct ServerAndClient;

    #[doc = include_str!("../tutorial/02-the-loop.md")]
    struct TheLoop;

    #[doc = include_str!("../tutorial/03-many-clients.md")]
    struct ManyClients;

    #[doc = include_str!("../tutorial/04-the-empty-message.md")]
    struct TheEmptyMessage;

    #[doc = include_str!("../tutorial/05-restart.md")]
    struct Restart;

    #[doc = include_str!("../tutorial/06-udp.md")]
    struct Udp;

    #[doc = include_str!("../tutorial/07-sticky-packets.md")]
    struct StickyPackets;

    #[doc = include_str!("../tutorial/08-the-four-byte-header.md")]
    struct TheFourByteHeader;

    #[doc = include_str!("../tutorial/09-messages-and-files.md")]
    struct MessagesAndFiles;
}

#[cfg(doctest)]
mod chinese {
    #[doc = include_str!("../zh/tutorial/01-server-and-client.md")]
    struct ServerAndClient;

    #[doc = include_str!("../zh/tutorial/02-the-loop.md")]
    struct TheLoop;

    #[doc = include_str!("../zh/tutorial/03-many-clients.md")]
    struct ManyClients;

    #[doc = include_str!("../zh/tutorial/04-the-empty-message.md")]
    struct TheEmptyMessage;

    #[doc = include_str!("../zh/tutorial/05-restart.md")]
    struct Restart;

    #[doc = include_str!("../zh/tutorial/06-udp.md")]
    struct Udp;

    #[doc = include_str!("../zh/tutorial/07-sticky-packets.md")]
    struct StickyPackets;

    #[doc = include_str!("../zh/tutorial/08-the-four-byte-header.md")]
    struct TheFourByteHeader;

    #[doc = include_str!("../zh/tutorial/09-messages-and-files.md")]
    struct MessagesAndFiles;
}

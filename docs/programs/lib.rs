//! Runs the programs of the tutorial as doctests: those in `docs/tutorial`, and the same in Chinese.
//! `tests/pages.rs` checks that no page is missing here.

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

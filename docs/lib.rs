//! The programs of the book, as tests: `cargo test -p unstick-book`.
//!
//! `ci/book/check` fails if a page with a program is not in the list.

/// The programs of a page are the tests of a module.
macro_rules! pages {
    ($($name:ident $file:literal)+) => {
        $(#[cfg(doctest)] #[doc = include_str!($file)] mod $name {})+
    };
}

pages! {
    cancellation "cancellation.md"
    cookbook "cookbook.md"
    embedding "embedding.md"
    framings "framings.md"
    getting_started "getting-started.md"
    limits "limits.md"
    migration "migration.md"
    serial_lines "serial-lines.md"
    udp "udp.md"
}

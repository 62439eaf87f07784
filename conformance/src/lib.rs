//! Tests for a user-defined [`Format`](unstick::Format), [`Mark`](unstick::Mark) or
//! [`Check`](unstick::Check): one macro call tests every promise.
//!
//! The decoder, the read buffer and every adapter work with an implementation of 20 to 40 lines. They
//! depend on the laws of a [format](unstick::Format#laws), [mark](unstick::Mark#laws) or
//! [check](unstick::Check#laws), which the compiler cannot check. A kit checks them, and tests the whole:
//! with any cuts, through every reader and storage.
//!
//! | implemented | kit | macro |
//! | --- | --- | --- |
//! | [`Format`](unstick::Format) | [`Kit`] | [`conformance_tests!`] |
//! | [`Mark`](unstick::Mark) | [`MarkKit`] | [`mark_tests!`] |
//! | [`Check`](unstick::Check) | [`CheckKit`] | [`check_tests!`] |
//!
//! The following sections are about a format; [marks](#marks) and [checks](#checks) have their own, after
//! them.
//!
//! # Getting started
//! The kit is only needed for tests, so add it to the development dependencies:
//!
//! ```toml
//! [dependencies]
//! unstick = "0.1"
//!
//! [dev-dependencies]
//! unstick-conformance = "0.1"
//! ```
//!
//! A test needs a [`Kit`] and one macro. The kit needs three things: the format with the limit that
//! your program uses; a few metas that are as different as possible; and a frame and a header whose
//! bytes are known to be correct, from the format's specification or from a capture. The header
//! should use every byte of the length field with a different value: a mistake in a byte that is
//! zero in all examples stays undetected.
//!
//! ```
//! use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};
//!
//! /// One byte of kind, from 1, then a two-byte length.
//! struct Tagged;
//!
//! impl Format for Tagged {
//!     type Meta = u8;
//!     type HeaderBuf = [u8; 3];
//!
//!     fn max_payload_len(&self) -> u64 {
//!         u16::MAX.into()
//!     }
//!
//!     fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<u8>, HeaderError> {
//!         if bytes.first() == Some(&0) {
//!             let text = "a kind is 1 or more"; // your codes: 0x8000 and up
//!             return Err(HeaderError::Custom { code: 0x8001, text });
//!         }
//!         // `Need` counts from the header's first byte, and is not the number of missing bytes.
//!         let Some(&[kind, hi, lo]) = bytes.first_chunk() else {
//!             return Ok(Parsed::Need(3));
//!         };
//!         let payload_len = u16::from_be_bytes([hi, lo]).into();
//!         Ok(Parsed::Header(Header { meta: kind, payload_len, header_len: 3 }))
//!     }
//!
//!     fn encode_header(&self, kind: &u8, len: u64, out: &mut [u8; 3]) -> Result<usize, EncodeError> {
//!         if *kind == 0 {
//!             return Err(EncodeError::Meta);
//!         }
//!         let limit = self.max_payload_len();
//!         let len = u16::try_from(len).map_err(|_| EncodeError::Oversize { len, limit })?;
//!         let [hi, lo] = len.to_be_bytes();
//!         *out = [*kind, hi, lo];
//!         Ok(3)
//!     }
//! }
//!
//! # /*
//! #[cfg(test)]
//! # */
//! mod tests {
//!     use super::*;
//!     use unstick_conformance::Kit;
//!
//!     fn kit() -> Kit<Tagged> {
//!         Kit::new(Framing::new(Tagged).with_limit(1_000), [1, 2, 0xFF])
//!             .example(7, b"hi", b"\x07\x00\x02hi")
//!             .example_header(7, 0x0102, b"\x07\x01\x02")
//!             .refuses(b"\x00")
//!     }
//!
//!     unstick_conformance::conformance_tests!(tagged, kit());
//! #   pub fn check() { kit().check().unwrap() }
//! }
//! # fn main() { tests::check() }
//! ```
//!
//! `cargo test` then runs a test for each [`Promise`], with the promise's name:
//!
//! ```text
//! test tests::tagged::no_over_read ... FAILED
//!
//! Error: no_over_read: A header is complete with its own last byte: no byte of the payload is looked at.
//!   found: Header { meta: 82, payload_len: 0, header_len: 3 }, but its own 3 bytes gave ...
//!   bytes: [07, 00, 00, 55]
//! ```
//!
//! If a promise depends on another one, which is broken, the test's error says so: "see
//! `honest_need`". Fix that promise first.
//!
//! # What to declare
//! - Return [`HeaderError::Custom`](unstick::HeaderError::Custom) with a code of your own, 0x8000 or
//!   above, and a text, for bytes that are not a header. Pass such bytes to [`Kit::refuses`].
//! - [`Parsed::Need(n)`](unstick::Parsed::Need) asks for `n` bytes in total, counted from the
//!   header's first byte, not for `n` more bytes.
//! - [`max_payload_len`](unstick::Format::max_payload_len) is the maximum of the length field. The
//!   limit, set by [`Framing::with_limit`](unstick::Framing::with_limit), is the maximum that your
//!   program accepts. The tests are made around both, so use your program's limit; the default is 1
//!   MiB. If it is greater than 4,096, add a second kit with a limit of a few hundred bytes, which
//!   also sends payloads of the limit's length.
//! - A format with a [`limit_of`](unstick::Format::limit_of), such as a
//!   [`LimitedBy`](unstick::LimitedBy), needs metas with different limits.
//! - If a header can have more than one encoding, for example because of a reserved bit that a
//!   receiver ignores, call [`Kit::not_canonical`].
//! - Implementing the trait [`SelfChecking`](unstick::SelfChecking), which has no methods, is a
//!   promise: all headers have the length of `HeaderBuf`, and contain a check that tells them from
//!   other bytes. It enables searches, `resync`. Create the kit with [`Kit::self_checking`] and
//!   write `conformance_tests!(name, kit(), resync)` to test searches, and to test that the check
//!   detects every single changed bit; [`Kit::unchecked_bits`] names the bits that it leaves out.
//!
//! `examples/http2_frames.rs` is a complete example.
//!
//! # What is tested
//! Random bytes hardly ever form a header. So the kit lets the format write headers, of all metas
//! and of lengths around the relevant powers of two, the limit and
//! [`max_payload_len`](unstick::Format::max_payload_len). It changes each of their bytes and bits,
//! removes and doubles bytes, and appends others. It also tries every short prefix, and extends
//! undecided headers byte by byte. Frames of these headers, whole, truncated, over the limit and
//! with garbage in between, are joined to streams, which are cut and read along every [`Path`]. The
//! expected outcomes are computed from `decode_header` alone, called byte by byte. [`Kit::cases`]
//! sets the number of random inputs.
//!
//! Testing a promise takes milliseconds; those about streams take up to a second each without
//! optimisation. Additional metas or examples add little time, a long header more.
//!
//! All tests are deterministic. A panic in the format is caught and reported as
//! [`Promise::NoPanic`] (with `panic = "abort"` it ends the test).
//!
//! # Fuzzing
//! [`Kit::check_bytes`] accepts any bytes. Captured traffic is a good seed. It tests what these
//! bytes show and nothing else, so the file that a fuzzer saves reproduces the fault;
//! [`Kit::check`] tests the rest. It tests a thousand to five thousand inputs of 32 bytes per
//! second. Put this into `fuzz/fuzz_targets/tagged.rs` of `cargo fuzz`, below `#![no_main]`, with
//! your own `kit()`:
//!
//! ```
//! # mod libfuzzer_sys {
//! #     macro_rules! fuzz_target {
//! #         (|$data:ident: &[u8]| $body:block) => { fn target($data: &[u8]) $body };
//! #     }
//! #     pub(crate) use fuzz_target;
//! # }
//! # fn kit() -> unstick_conformance::Kit<unstick::U8> {
//! #     unstick_conformance::Kit::new(unstick::U8, [()])
//! # }
//! # use unstick_conformance::Kit;
//! # type Tagged = unstick::U8;
//! static KIT: std::sync::LazyLock<Kit<Tagged>> = std::sync::LazyLock::new(kit);
//!
//! libfuzzer_sys::fuzz_target!(|data: &[u8]| {
//!     if let Err(violation) = KIT.check_bytes(data) {
//!         panic!("{violation}");
//!     }
//! });
//! # fn main() { target(b"\x02hi\x03") }
//! ```
//!
//! # Property tests
//! A [`Violation`] is an error, so a property can end with `?`, and proptest shrinks the input. A
//! case takes 5 to 10 ms without optimisation, so the default of 256 cases takes two seconds:
//!
//! ```
//! use proptest::prelude::*;
//! use unstick_conformance::Kit;
//! use unstick::{Framing, Kind, V1};
//!
//! proptest! {
//!     #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
//!
//! #   /*
//!     #[test]
//! #   */
//!     fn any_frame_comes_out_as_it_went_in(number in 1..=255_u8, payload: Vec<u8>) {
//!         let kind = Kind::new(number).unwrap();
//!         Kit::self_checking(Framing::new(V1).with_limit(64), [kind]).check_frame(&kind, &payload)?;
//!     }
//! #   /*
//!
//!     #[test]
//! #   */
//!     fn any_bytes_keep_the_promises(bytes: Vec<u8>) {
//!         Kit::self_checking(V1, [Kind::TEXT]).check_bytes(&bytes)?;
//!     }
//! }
//! # fn main() {
//! #     any_frame_comes_out_as_it_went_in();
//! #     any_bytes_keep_the_promises();
//! # }
//! ```
//!
//! # Marks
//! A [`MarkKit`] takes the mark, some payloads that it can write, and frames whose bytes are known. Its
//! documentation has a complete mark with its tests.
//!
//! `push` is the measure: `run`, `produced`, `whole` and `unescape` must say what `push` says, byte by
//! byte, and so must the decoder and the read buffer, under every cut. The kit finds the bytes that mean
//! something to the mark by pushing every byte in every state, and makes its inputs of them: all short
//! ones, and random ones. Each stream is read with small limits, with and without a CRC at the end of the
//! content, in a storage of exactly the length that [`max_wire_len`](unstick::Mark::max_wire_len) returns,
//! and with each failed frame skipped, or searched after.
//!
//! ```
//! use unstick::Lines;
//! use unstick_conformance::MarkKit;
//!
//! let kit = MarkKit::new(Lines::new(), ["", "a line"])
//!     .example("a line", "a line\n")
//!     .also_reads("a line", "a line\r\n");
//! kit.cases(50).check()?;
//! # Ok::<(), unstick_conformance::Violation>(())
//! ```
//!
//! # Checks
//! A [`CheckKit`] takes a format with the check after its payloads, metas, and frames whose bytes are
//! known. It tests that the digest does not depend on how the payload is cut, that the check changes with
//! every bit of the header and payload, and streams of good, damaged and truncated frames, in which a
//! search must find the first whole valid frame.
//!
//! A check that leaves out a part of the header says so by [`CheckKit::leaves_out`]. Constant bytes after a
//! payload notice no changed bit: [`CheckKit::warnings`] reports that, and [`CheckKit::check`] accepts it.
//!
//! ```
//! use unstick::check::Crc16Modbus;
//! use unstick::{Checked, U8};
//! use unstick_conformance::CheckKit;
//!
//! let checked = Checked::new(U8, Crc16Modbus::new());
//! let kit = CheckKit::new(checked, [()]).example((), b"\x04", b"\x01\x04\x01\xE3");
//! kit.cases(50).check()?;
//! # Ok::<(), unstick_conformance::Violation>(())
//! ```
//!
//! # Limits of the kit
//! The kit cannot test whether your format is the one that your peers use: only the examples show
//! that. It cannot test whether the format refuses bytes as early as possible. Behaviour that
//! depends on a meta is tested only if a similar meta is given.

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod check;
mod datagrams;
mod drive;
mod explore;
mod frames;
mod kit;
mod laws;
mod mark;
mod outcome;
mod panics;
mod probe;
mod promise;
mod reference;
mod streams;
mod violation;
mod wires;

pub use check::CheckKit;
pub use drive::{Driver, Path};
pub use kit::Kit;
pub use mark::MarkKit;
pub use outcome::{Outcome, Policy};
pub use promise::Promise;
pub use violation::Violation;

/// Declares a module of this name with a test for each [`Promise`]. The expression creates a
/// [`Kit`], and can use the items that are in scope at the call.
///
/// With `resync` as the last argument, searches are tested too, for a kit created by
/// [`Kit::self_checking`].
///
/// A [`MarkKit`] needs [`mark_tests!`], and a [`CheckKit`] needs [`check_tests!`]: here they have no method
/// `check_resync_is_left_out`.
///
/// ```
/// use unstick::U8;
/// use unstick_conformance::Kit;
///
/// unstick_conformance::conformance_tests!(one_byte_of_length, Kit::new(U8, [()]).example((), b"hi", b"\x02hi"));
/// ```
#[macro_export]
macro_rules! conformance_tests {
    ($name:ident, $kit:expr, resync $(,)?) => {
        $crate::conformance_tests! {@ $name, $kit,
            $crate::conformance_tests! {@@ $kit,
                single_bit_errors: SingleBitErrors,
                resync_is_exact: ResyncIsExact,
            }
        }
    };
    ($name:ident, $kit:expr $(,)?) => {
        $crate::conformance_tests! {@ $name, $kit,
            #[test]
            fn resync_is_left_out() -> ::core::result::Result<(), $crate::Violation> {
                $kit.check_resync_is_left_out()
            }
        }
    };
    (@ $name:ident, $kit:expr, $($more:tt)+) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $($more)+

            $crate::conformance_tests! {@@ $kit,
                no_panic: NoPanic,
                bytes_alone: BytesAlone,
                decided_for_good: DecidedForGood,
                shortest_header: ShortestHeader,
                no_over_read: NoOverRead,
                honest_need: HonestNeed,
                header_fits: HeaderFits,
                true_max_payload: TrueMaxPayload,
                whole_header_agrees: WholeHeaderAgrees,
                resume_header_agrees: ResumeHeaderAgrees,
                own_error_codes: OwnErrorCodes,
                known_bytes: KnownBytes,
                decode_undoes_encode: DecodeUndoesEncode,
                encode_undoes_decode: EncodeUndoesDecode,
                limit_symmetry: LimitSymmetry,
                chunking_is_invisible: ChunkingIsInvisible,
                progress: Progress,
                errors_latch: ErrorsLatch,
                every_end_is_classified: EveryEndIsClassified,
                memory_follows_arrivals: MemoryFollowsArrivals,
                datagrams: Datagrams,
            }
        }
    };
    (@@ $kit:expr, $($test:ident: $promise:ident,)+) => {$(
        #[test]
        fn $test() -> ::core::result::Result<(), $crate::Violation> {
            $kit.check_promise($crate::Promise::$promise)
        }
    )+};
}

/// Declares a module of this name with a test for each promise in [`Promise::MARK`]. The expression
/// creates a [`MarkKit`], and can use the items that are in scope at the call.
///
/// ```
/// use unstick::Lines;
/// use unstick_conformance::MarkKit;
///
/// unstick_conformance::mark_tests!(lines, MarkKit::new(Lines::new(), ["", "hi"]).example("hi", "hi\n"));
/// ```
#[macro_export]
macro_rules! mark_tests {
    ($name:ident, $kit:expr $(,)?) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $crate::conformance_tests! {@@ $kit,
                no_panic: NoPanic,
                bytes_alone: BytesAlone,
                held_ends: HeldEnds,
                clean_end: CleanEnd,
                content_fits: ContentFits,
                run_agrees: RunAgrees,
                produced_agrees: ProducedAgrees,
                whole_agrees: WholeAgrees,
                unescape_agrees: UnescapeAgrees,
                verbatim_agrees: VerbatimAgrees,
                true_max_wire_len: TrueMaxWireLen,
                own_error_codes: OwnErrorCodes,
                known_bytes: KnownBytes,
                decode_undoes_encode: DecodeUndoesEncode,
                slices_are_invisible: SlicesAreInvisible,
                limit_symmetry: LimitSymmetry,
                chunking_is_invisible: ChunkingIsInvisible,
                progress: Progress,
                errors_latch: ErrorsLatch,
                every_end_is_classified: EveryEndIsClassified,
                memory_follows_arrivals: MemoryFollowsArrivals,
                resync_is_exact: ResyncIsExact,
            }
        }
    };
}

/// Declares a module of this name with a test for each promise in [`Promise::CHECK`]. The expression
/// creates a [`CheckKit`], and can use the items that are in scope at the call.
///
/// ```
/// use unstick::check::Sum8;
/// use unstick::{Checked, U8};
/// use unstick_conformance::CheckKit;
///
/// unstick_conformance::check_tests!(
///     sums,
///     CheckKit::new(Checked::new(U8, Sum8), [()]).example((), b"\x01\x02", b"\x02\x01\x02\x05")
/// );
/// ```
#[macro_export]
macro_rules! check_tests {
    ($name:ident, $kit:expr $(,)?) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $crate::conformance_tests! {@@ $kit,
                no_panic: NoPanic,
                bytes_alone: BytesAlone,
                update_ignores_cuts: UpdateIgnoresCuts,
                known_bytes: KnownBytes,
                frame_bit_errors: FrameBitErrors,
                limit_symmetry: LimitSymmetry,
                chunking_is_invisible: ChunkingIsInvisible,
                progress: Progress,
                errors_latch: ErrorsLatch,
                every_end_is_classified: EveryEndIsClassified,
                memory_follows_arrivals: MemoryFollowsArrivals,
                resync_is_exact: ResyncIsExact,
            }
        }
    };
}

//! Tests for a [`Format`](unstick::Format) of one's own: one call tests every promise.
//!
//! A format of twenty lines brings the decoder, the read buffer and every adapter. That they work
//! with it rests on the [laws of a format](unstick::Format#laws), which no type can check. This kit
//! does, and it tests the whole: your format, cut anywhere, through every reader and storage.
//!
//! # Ten minutes
//! The kit is for tests alone, so it is a development dependency:
//!
//! ```toml
//! [dependencies]
//! unstick = "0.1"
//!
//! [dev-dependencies]
//! unstick-conformance = "0.1"
//! ```
//!
//! Beside the format, a [`Kit`] and one macro. The kit wants three things: the format with the
//! limit that you use it with, a few metas as different as can be, and a frame and a header whose
//! bytes you know to be right, from the format's specification or a capture. The header best uses
//! every byte of the length field, each with another value: of a byte that is zero in all examples
//! nobody knows whether it is read and written right.
//!
//! ```
//! use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};
//!
//! /// One byte of kind, from 1, and two bytes of length.
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
//!             return Err(HeaderError::Custom { code: 0x8001 }); // yours: 0x8000 and up
//!         }
//!         // A total from the header's start, not how many are missing.
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
//! `cargo test` then runs a test for each [`Promise`], and one that fails has its name:
//!
//! ```text
//! test tests::tagged::no_over_read ... FAILED
//!
//! Error: no_over_read: A header is complete with its own last byte: no byte of the payload is looked at.
//!   found: Header { meta: 82, payload_len: 0, header_len: 3 }, but its own 3 bytes gave ...
//!   bytes: [07, 00, 00, 55]
//! ```
//!
//! Where a promise rests on another one, which is broken, its test says so: "see `honest_need`".
//! Mend that one first.
//!
//! # What the format says
//! - [`HeaderError`](unstick::HeaderError) says why bytes are no header: as `HeaderError::Custom` with
//!   a code of your own, from 0x8000 up. Tell the kit bytes that must be refused with
//!   [`Kit::refuses`].
//! - [`Parsed::Need(n)`](unstick::Parsed::Need) asks for `n` bytes in total, counted from the header's
//!   first, and not for `n` more.
//! - [`max_payload_len`](unstick::Format::max_payload_len) is what the length field can say. The limit
//!   of [`Framing::with_limit`](unstick::Framing::with_limit) is what your program takes: the tests
//!   are made around both. Use your program's limit; without one it is 1 MiB. If that is larger
//!   than 4,096, a second kit with a limit of a few hundred bytes sends payloads as long as the
//!   limit through too.
//! - A header that may have more than one form (a reserved bit that a receiver ignores) needs
//!   `const CANONICAL: bool = false`.
//! - [`SelfChecking`](unstick::SelfChecking) is an empty trait, a promise: all headers are as long as
//!   `HeaderBuf`, and a check in them tells them from other bytes. It allows searches, `resync`. If
//!   you implement it, make the kit with [`Kit::self_checking`] and write
//!   `conformance_tests!(name, kit(), resync)`, so that searches are tested, and that the check sees
//!   every single bit that changes; [`Kit::unchecked_bits`] names those that it leaves out.
//!
//! `examples/http2_frames.rs` is a whole one.
//!
//! # What is tried
//! Random bytes hardly ever form a header. So the kit lets the format write headers, of all metas
//! and of lengths around every power of two that matters, the limit and
//! [`max_payload_len`](unstick::Format::max_payload_len); changes each byte and bit of them, drops and
//! doubles bytes, and puts others behind; tries every short beginning; and walks on byte by byte
//! where a header is undecided. Frames of them, whole, cut short, over the limit and with garbage
//! between, become streams, which are cut and read along every [`Path`]. What must come out is what
//! `decode_header` says, asked byte by byte. [`Kit::cases`] asks for more.
//!
//! A promise takes milliseconds, those of streams up to a second each in a build without
//! optimisation. A second meta or example adds little, a long header more.
//!
//! All is deterministic. A panic in the format is caught and told as [`Promise::NoPanic`] (with
//! `panic = "abort"` it ends the test).
//!
//! # With a fuzzer
//! [`Kit::check_bytes`] takes any bytes: also captures of real traffic, which make good seeds. It
//! tests what these bytes show and nothing else, so that the file that a fuzzer saves is the fault;
//! [`Kit::check`] tests the rest. A thousand to five thousand inputs of 32 bytes are tested in a
//! second. In `fuzz/fuzz_targets/tagged.rs` of `cargo fuzz`, below `#![no_main]`, with your own
//! `kit()`:
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
//! # With proptest
//! A [`Violation`] is an error, so `?` ends a property, and proptest makes the input smaller. A case
//! takes 5 to 10 ms in a build without optimisation, so the usual 256 are two seconds:
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
//! # What it cannot know
//! Whether your format is the one that your peers speak: only your examples say that. Whether it
//! refuses as early as it could. And what only some metas do, if none of yours is like them.

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod datagrams;
mod drive;
mod explore;
mod frames;
mod kit;
mod laws;
mod outcome;
mod probe;
mod promise;
mod reference;
mod streams;
mod violation;

pub use drive::{Driver, Path};
pub use kit::Kit;
pub use outcome::{Outcome, Policy};
pub use promise::Promise;
pub use violation::Violation;

/// A test for each [`Promise`], in a module of this name: from an expression that makes a [`Kit`],
/// and sees what is around the call.
///
/// With `resync` behind it, searches are tested too: for a kit made by [`Kit::self_checking`].
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

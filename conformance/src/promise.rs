//! The promises that are tested.

use std::fmt;

/// Declares the promises: variant, name of the test, and statement.
macro_rules! promises {
    ($($variant:ident, $name:literal, $says:literal;)+) => {
        /// A promise that a format, a mark or a check keeps together with the code that reads and
        /// writes with it.
        ///
        /// [`conformance_tests!`](crate::conformance_tests), [`mark_tests!`](crate::mark_tests) and
        /// [`check_tests!`](crate::check_tests) declare a test with the promise's name for each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Promise {
            $(#[doc = $says] $variant,)+
        }

        impl Promise {
            /// All promises: those of formats, the simplest first, and then those of marks and checks
            /// alone.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the promise's name, which is also the name of its test.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Returns the promise's statement, one sentence.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self {
                    $(Self::$variant => $says,)+
                }
            }
        }
    };
}

promises! {
    NoPanic, "no_panic",
        "What is tested panics on no bytes, no meta and no length.";
    BytesAlone, "bytes_alone",
        "The same bytes get the same answer, whatever was asked before.";
    DecidedForGood, "decided_for_good",
        "A refused prefix stays refused, and a complete header stays the same, whatever follows.";
    ShortestHeader, "shortest_header",
        "A complete header has at least one byte and no more than were given, and no shorter \
         prefix of it is complete.";
    NoOverRead, "no_over_read",
        "A header is complete with its own last byte: no byte of the payload is looked at.";
    HonestNeed, "honest_need",
        "`Need` asks for more bytes than were given, and no header ends before them.";
    HeaderFits, "header_fits",
        "No header is longer than `max_header_len` says, and that is at most what `HeaderBuf` has.";
    TrueMaxPayload, "true_max_payload",
        "`max_payload_len` is the most: a header that announces it can be written, and none that \
         announces more can be written or read.";
    WholeHeaderAgrees, "whole_header_agrees",
        "`whole_header` gives what `decode_header` gives where that is a header, and else `None`.";
    ResumeHeaderAgrees, "resume_header_agrees",
        "`resume_header` gives what `decode_header` gives.";
    OwnErrorCodes, "own_error_codes",
        "A refusal of the format's or mark's own, `Custom`, has a code of 0x8000 or more.";
    KnownBytes, "known_bytes",
        "The examples are read and written as they say, and what is to be refused is.";
    DecodeUndoesEncode, "decode_undoes_encode",
        "Decoding gives back what was encoded: `decode_header` what `encode_header` was given, and \
         `push` the content that `encode` was given, with the end at the last byte.";
    EncodeUndoesDecode, "encode_undoes_decode",
        "`encode_header` gives back the bytes that `decode_header` was given, unless the kit is \
         `not_canonical`.";
    LimitSymmetry, "limit_symmetry",
        "What is written under a limit is read under it, and what is refused on one side is \
         refused on the other; equal metas have the same limit.";
    ChunkingIsInvisible, "chunking_is_invisible",
        "However a stream is cut, and whatever it is read with, the same frames come out, and the \
         same error at the same offset.";
    Progress, "progress",
        "Every piece of a frame consumes at least a byte, and only an empty input gives none.";
    ErrorsLatch, "errors_latch",
        "After an error every call returns that error, and takes no byte.";
    EveryEndIsClassified, "every_end_is_classified",
        "A stream may end after a frame; anywhere else its end is an error that says what is \
         missing.";
    MemoryFollowsArrivals, "memory_follows_arrivals",
        "No memory is reserved because a header announces a payload.";
    Datagrams, "datagrams",
        "A datagram is taken whole or refused whole, and has no effect on the next.";
    SingleBitErrors, "single_bit_errors",
        "In a format that checks itself no header with one bit changed is accepted as a header.";
    ResyncIsExact, "resync_is_exact",
        "A search for the next header, mark or whole frame finds the first one there is, and counts \
         what it skipped, the same under every cut.";
    RunAgrees, "run_agrees",
        "`run` counts bytes that `push` gives as content as they stand, and leaves the state that \
         `push` leaves.";
    ProducedAgrees, "produced_agrees",
        "`produced` gives the content that `push` gives for the bytes taken, and leaves the same \
         state.";
    WholeAgrees, "whole_agrees",
        "`whole` gives the layout of a whole and valid frame, or `None`, and for anything else \
         `None`.";
    UnescapeAgrees, "unescape_agrees",
        "`unescape` leaves in a whole frame the content that `push` gives.";
    VerbatimAgrees, "verbatim_agrees",
        "If `VERBATIM` is set, every frame begins with its content as it is.";
    CleanEnd, "clean_end",
        "The end of a frame leaves the state at its default, and an idle byte changes no state and \
         comes in the default state only.";
    HeldEnds, "held_ends",
        "After at most 255 bytes that were held back the pushed byte is taken.";
    ContentFits, "content_fits",
        "Content is never longer than the bytes that it was decoded from.";
    TrueMaxWireLen, "true_max_wire_len",
        "After `max_wire_len` bytes a frame has ended, has failed, or has more content; and the \
         maximum does not decrease with more content.";
    SlicesAreInvisible, "slices_are_invisible",
        "`encode` writes the same, or refuses the same, into however many slices the content is cut.";
    UpdateIgnoresCuts, "update_ignores_cuts",
        "`update` with a run gives what it gives with the parts of the run one after the other, and \
         with an empty run the digest unchanged.";
    FrameBitErrors, "frame_bit_errors",
        "A frame with one bit changed in its header, payload or check fails the check.";
}

impl Promise {
    /// The promises that a [`Kit`](crate::Kit) tests.
    pub const FORMAT: &'static [Self] = &[
        Self::NoPanic,
        Self::BytesAlone,
        Self::DecidedForGood,
        Self::ShortestHeader,
        Self::NoOverRead,
        Self::HonestNeed,
        Self::HeaderFits,
        Self::TrueMaxPayload,
        Self::WholeHeaderAgrees,
        Self::ResumeHeaderAgrees,
        Self::OwnErrorCodes,
        Self::KnownBytes,
        Self::DecodeUndoesEncode,
        Self::EncodeUndoesDecode,
        Self::LimitSymmetry,
        Self::ChunkingIsInvisible,
        Self::Progress,
        Self::ErrorsLatch,
        Self::EveryEndIsClassified,
        Self::MemoryFollowsArrivals,
        Self::Datagrams,
        Self::SingleBitErrors,
        Self::ResyncIsExact,
    ];

    /// The promises that a [`MarkKit`](crate::MarkKit) tests.
    pub const MARK: &'static [Self] = &[
        Self::NoPanic,
        Self::BytesAlone,
        Self::HeldEnds,
        Self::CleanEnd,
        Self::ContentFits,
        Self::RunAgrees,
        Self::ProducedAgrees,
        Self::WholeAgrees,
        Self::UnescapeAgrees,
        Self::VerbatimAgrees,
        Self::TrueMaxWireLen,
        Self::OwnErrorCodes,
        Self::KnownBytes,
        Self::DecodeUndoesEncode,
        Self::SlicesAreInvisible,
        Self::LimitSymmetry,
        Self::ChunkingIsInvisible,
        Self::Progress,
        Self::ErrorsLatch,
        Self::EveryEndIsClassified,
        Self::MemoryFollowsArrivals,
        Self::ResyncIsExact,
    ];

    /// The promises that a [`CheckKit`](crate::CheckKit) tests.
    pub const CHECK: &'static [Self] = &[
        Self::NoPanic,
        Self::BytesAlone,
        Self::UpdateIgnoresCuts,
        Self::KnownBytes,
        Self::FrameBitErrors,
        Self::LimitSymmetry,
        Self::ChunkingIsInvisible,
        Self::Progress,
        Self::ErrorsLatch,
        Self::EveryEndIsClassified,
        Self::MemoryFollowsArrivals,
        Self::ResyncIsExact,
    ];
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

//! The adapters over `embedded_io`: what a serial line delivers, however it cuts, loses and damages.
#![cfg(feature = "embedded-io")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]
#![allow(clippy::cast_possible_truncation)]

#[path = "support/embedded.rs"]
mod embedded;
mod support;

use std::ops::Range;

use embedded::{
    Adapter, Heard, Lent, Read_, Reads, Room, Searches, Write_, Writes, adapter_tests, lent,
};
use embedded_io::ErrorKind;
use support::chunks::Subject;
use support::script::{Drain, Source};
use unstick::embedded_io::{FrameReader, FrameWriter, WriteError};
use unstick::{FrameBuf, Framing, Kind, RecoverError, StorageError};

/// No call is dropped.
struct Blocking;

adapter_tests!(Blocking);

impl Adapter for Blocking {
    type Reader<F: Subject> = FrameReader<Source, Room, F>;

    fn reader<F: Subject>(source: Source, buf: FrameBuf<Room, F>, _: usize) -> Self::Reader<F> {
        FrameReader::with_buf(source, buf)
    }

    fn reader_of<F: Subject>(
        source: Source,
        room: Room,
        framing: Framing<F>,
    ) -> Result<Self::Reader<F>, StorageError> {
        FrameReader::with_framing(source, room, framing)
    }

    fn searcher(source: Source, buf: FrameBuf<Room>, _: usize) -> impl Searches {
        FrameReader::with_buf(source, buf)
    }

    fn writer(drain: Drain, room: Room, framing: Framing, _: usize) -> impl Writes {
        FrameWriter::with_framing(drain, room, framing)
    }
}

impl<F: Subject> Reads<F> for FrameReader<Source, Room, F> {
    fn next_frame(&mut self) -> Read_<Option<Lent>> {
        Some(self.next_frame().map(|frame| frame.map(lent::<F>)))
    }

    fn skip_frame(&mut self) -> Result<(), RecoverError> {
        self.skip_frame()
    }

    fn reset(&mut self) {
        self.reset();
    }

    fn position(&self) -> u64 {
        self.position()
    }

    fn limit(&self) -> u64 {
        self.framing().limit()
    }

    fn into_inner(self) -> (Source, FrameBuf<Room, F>) {
        self.into_inner()
    }
}

impl Searches for FrameReader<Source, Room> {
    fn resync(&mut self) -> Read_<u64> {
        Some(self.resync())
    }

    fn next_or_resync(&mut self) -> Read_<Option<Heard>> {
        Some(self.next_or_resync().map(|next| next.map(Heard::of)))
    }
}

impl Writes for FrameWriter<Drain, Room> {
    fn send(&mut self, kind: Kind, payload: &[u8]) -> Write_ {
        Some(self.send(kind, payload))
    }

    fn feed(&mut self, kind: Kind, payload: &[u8]) -> Write_ {
        Some(self.feed(kind, payload))
    }

    fn begin(&mut self, kind: Kind, payload_len: u64) -> Write_ {
        Some(self.begin(kind, payload_len))
    }

    fn payload(&mut self, bytes: &[u8]) -> Write_ {
        Some(self.payload(bytes))
    }

    fn finish(&mut self) -> Result<(), WriteError<ErrorKind>> {
        self.finish()
    }

    fn flush(&mut self) -> Write_ {
        Some(self.flush())
    }

    fn get_ref(&self) -> &Drain {
        self.get_ref()
    }

    fn into_inner(self) -> (Drain, Room, Range<usize>) {
        self.into_inner()
    }
}

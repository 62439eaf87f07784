//! The adapters over `embedded_io`: what a serial line delivers, however it cuts, loses and damages.

use std::ops::Range;

use embedded_io::ErrorKind;
use unstick::embedded_io::{FrameReader, FrameWriter, WriteError};
use unstick::{FrameBuf, Framing, Kind, RecoverError, StorageError};
use unstick_testing::chunks::Subject;
use unstick_testing::embedded::{
    Adapter, Heard, Lent, Read_, Reads, Room, Searches, Write_, Writes, adapter_tests, lent,
};
use unstick_testing::script::{Drain, Source};

/// A local type: the traits and what implements them are not of this crate.
struct Undropped<T>(T);

/// No call is dropped.
struct Blocking;

adapter_tests!(Blocking);

impl Adapter for Blocking {
    type Reader<F: Subject> = Undropped<FrameReader<Source, Room, F>>;

    fn reader<F: Subject>(source: Source, buf: FrameBuf<Room, F>, _: usize) -> Self::Reader<F> {
        Undropped(FrameReader::with_buf(source, buf))
    }

    fn reader_of<F: Subject>(
        source: Source,
        room: Room,
        framing: Framing<F>,
    ) -> Result<Self::Reader<F>, StorageError> {
        FrameReader::with_framing(source, room, framing).map(Undropped)
    }

    fn searcher(source: Source, buf: FrameBuf<Room>, _: usize) -> impl Searches {
        Undropped(FrameReader::with_buf(source, buf))
    }

    fn writer(drain: Drain, room: Room, framing: Framing, _: usize) -> impl Writes {
        Undropped(FrameWriter::with_framing(drain, room, framing))
    }
}

impl<F: Subject> Reads<F> for Undropped<FrameReader<Source, Room, F>> {
    fn next_frame(&mut self) -> Read_<Option<Lent>> {
        Some(self.0.next_frame().map(|frame| frame.map(lent::<F>)))
    }

    fn skip_frame(&mut self) -> Result<(), RecoverError> {
        self.0.buf_mut().skip_frame()
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    fn position(&self) -> u64 {
        self.0.buf().position()
    }

    fn limit(&self) -> u64 {
        self.0.buf().framing().limit()
    }

    fn into_inner(self) -> (Source, FrameBuf<Room, F>) {
        self.0.into_inner()
    }
}

impl Searches for Undropped<FrameReader<Source, Room>> {
    fn resync(&mut self) -> Read_<u64> {
        Some(self.0.resync())
    }

    fn next_or_resync(&mut self) -> Read_<Option<Heard>> {
        Some(self.0.next_or_resync().map(|next| next.map(Heard::of)))
    }
}

impl Writes for Undropped<FrameWriter<Drain, Room>> {
    fn send(&mut self, kind: Kind, payload: &[u8]) -> Write_ {
        Some(self.0.send(kind, payload))
    }

    fn feed(&mut self, kind: Kind, payload: &[u8]) -> Write_ {
        Some(self.0.feed(kind, payload))
    }

    fn begin(&mut self, kind: Kind, payload_len: u64) -> Write_ {
        Some(self.0.begin(kind, payload_len))
    }

    fn payload(&mut self, bytes: &[u8]) -> Write_ {
        Some(self.0.payload(bytes))
    }

    fn finish(&mut self) -> Result<(), WriteError<ErrorKind>> {
        self.0.finish()
    }

    fn flush(&mut self) -> Write_ {
        Some(self.0.flush())
    }

    fn get_ref(&self) -> &Drain {
        self.0.get_ref()
    }

    fn into_inner(self) -> (Drain, Room, Range<usize>) {
        self.0.into_inner()
    }
}

//! The adapter over `embedded_io`: a reader and a writer over each storage, on a transport that may do
//! anything.

use core::convert::Infallible;
use core::fmt;
use core::hint::black_box;

use embedded_io::{Error as _, ErrorKind, ErrorType, Read, Write};
use unstick::embedded_io::{FrameReader, FrameWriter, ReadError, WriteError};
use unstick::engine::Next;
use unstick::{Format, Frame, FrameBuf, Framing, SelfChecking, Storage};

/// A transport whose answers the compiler does not know.
pub(crate) struct Line;

#[derive(Debug)]
pub(crate) struct Fault;

impl fmt::Display for Fault {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl core::error::Error for Fault {}

impl embedded_io::Error for Fault {
    fn kind(&self) -> ErrorKind {
        black_box(ErrorKind::Interrupted)
    }
}

fn moved() -> Result<usize, Fault> {
    if black_box(true) { Ok(black_box(9)) } else { Err(Fault) }
}

impl ErrorType for Line {
    type Error = Fault;
}

impl Read for Line {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Fault> {
        black_box(buf);
        moved()
    }
}

impl Write for Line {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Fault> {
        black_box(buf);
        moved()
    }

    fn flush(&mut self) -> Result<(), Fault> {
        moved().map(|_| ())
    }
}

pub(crate) fn lent<M>(frame: &Frame<'_, M>) {
    black_box((frame.bytes(), frame.payload));
}

pub(crate) fn read_failed<T>(result: Result<T, ReadError<Fault>>) {
    if let Err(error) = result {
        black_box((error.kind(), error.code()));
    }
}

pub(crate) fn write_failed<T>(result: Result<T, WriteError<Fault>>) {
    if let Err(error) = result {
        black_box(error.kind());
    }
}

/// What the adapter does with a format.
pub(crate) fn each<F: Format + Copy>(format: F, meta: &F::Meta, input: &[u8], output: &mut [u8]) {
    let framing = Framing::new(format).with_limit(black_box(4096));
    read(FrameBuf::with_framing([0; 128], Framing::new(format)).ok());
    read(FrameBuf::with_framing(&mut *output, framing).ok());
    write(FrameWriter::with_framing(Line, [0; 32], framing), meta, input);
    write(FrameWriter::with_framing(Line, &mut *output, framing), meta, input);
    #[cfg(feature = "async")]
    crate::async_adapters::each(framing, meta, input, output);
}

fn read<S: Storage, F: Format>(buf: Option<FrameBuf<S, F>>) {
    let Some(buf) = buf else { return };
    let mut reader = FrameReader::with_buf(Line, buf);
    match reader.next_frame() {
        Ok(frame) => drop(frame.map(|frame| lent(&frame))),
        Err(error) => read_failed::<Infallible>(Err(error)),
    }
    black_box(reader.buf_mut().skip_frame().is_ok());
    black_box((reader.buf().position(), reader.buf().framing().limit()));
    reader.reset();
    black_box(reader.into_inner().1.unread());
}

fn write<S: Storage, F: Format>(mut writer: FrameWriter<Line, S, F>, meta: &F::Meta, input: &[u8]) {
    write_failed(writer.feed(meta, black_box(input)));
    write_failed(writer.begin(meta, black_box(9)));
    write_failed(writer.payload(black_box(input)));
    write_failed(writer.finish());
    write_failed(writer.send(meta, black_box(input)));
    write_failed(writer.flush());
    black_box((writer.framing().limit(), writer.into_inner().2));
}

/// What it does on a lossy line.
pub(crate) fn self_checking<F: SelfChecking + Copy>(format: F) {
    if let Ok(mut reader) = FrameReader::with_framing(Line, [0; 128], format) {
        read_failed(reader.resync());
        match reader.next_or_resync() {
            Ok(Some(Next::Frame(frame))) => lent(&frame),
            Ok(next) => drop(black_box(next)),
            Err(error) => read_failed::<Infallible>(Err(error)),
        }
    }
    #[cfg(feature = "async")]
    crate::async_adapters::self_checking(format);
}

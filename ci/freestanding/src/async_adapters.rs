//! The adapter over `embedded_io_async`, with calls that are polled a few times and dropped.

use core::convert::Infallible;
use core::future::Future;
use core::hint::black_box;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_io_async::{Read, Write};
use unstick::embedded_io_async::{FrameReader, FrameWriter};
use unstick::engine::Next;
use unstick::{Format, FrameBuf, Framing, SelfChecking, Storage};

use crate::adapters::{Fault, Line, lent, read_failed, write_failed};

/// Lets a call wait, or not.
async fn wait() {
    core::future::poll_fn(|_| if black_box(true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

impl Read for Line {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Fault> {
        wait().await;
        embedded_io::Read::read(self, buf)
    }
}

impl Write for Line {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Fault> {
        wait().await;
        embedded_io::Write::write(self, buf)
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        wait().await;
        embedded_io::Write::flush(self)
    }
}

/// Polls a call, and drops it.
fn poll<T>(call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    while black_box(true) {
        if let Poll::Ready(value) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(value);
        }
    }
    None
}

/// What the adapter does with a format.
pub(crate) fn each<F: Format + Copy>(
    framing: Framing<F>,
    meta: &F::Meta,
    input: &[u8],
    output: &mut [u8],
) {
    read(FrameBuf::with_framing([0; 128], Framing::new(*framing.format())).ok());
    read(FrameBuf::with_framing(&mut *output, framing).ok());
    write(FrameWriter::with_framing(Line, [0; 32], framing), meta, input);
    write(FrameWriter::with_framing(Line, output, framing), meta, input);
}

fn read<S: Storage, F: Format>(buf: Option<FrameBuf<S, F>>) {
    let Some(buf) = buf else { return };
    let mut reader = FrameReader::with_buf(Line, buf);
    match poll(reader.next_frame()) {
        Some(Ok(frame)) => drop(frame.map(|frame| lent(&frame))),
        Some(Err(error)) => read_failed::<Infallible>(Err(error)),
        None => {}
    }
    black_box(reader.buf_mut().skip_frame().is_ok());
    black_box((reader.buf().position(), reader.buf().framing().limit()));
    reader.reset();
    black_box(reader.into_inner().1.unread());
}

fn write<S: Storage, F: Format>(mut writer: FrameWriter<Line, S, F>, meta: &F::Meta, input: &[u8]) {
    poll(writer.feed(meta, black_box(input))).map(write_failed);
    poll(writer.begin(meta, black_box(9))).map(write_failed);
    poll(writer.payload(black_box(input))).map(write_failed);
    write_failed(writer.finish());
    poll(writer.send(meta, black_box(input))).map(write_failed);
    poll(writer.flush()).map(write_failed);
    black_box((writer.framing().limit(), writer.into_inner().2));
}

/// What it does on a lossy line.
pub(crate) fn self_checking<F: SelfChecking>(format: F) {
    if let Ok(mut reader) = FrameReader::with_framing(Line, [0; 128], format) {
        poll(reader.resync()).map(read_failed);
        match poll(reader.next_or_resync()) {
            Some(Ok(Some(Next::Frame(frame)))) => lent(&frame),
            Some(Ok(next)) => drop(black_box(next)),
            Some(Err(error)) => read_failed::<Infallible>(Err(error)),
            None => {}
        }
    }
}

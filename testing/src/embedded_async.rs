//! The scripted transports as those of `embedded_io_async`.

use std::future::poll_fn;
use std::io::IoSlice;
use std::task::{Context, Poll};

use embedded_io_async::{ErrorKind, Read, Write};

use crate::embedded::ends;
use crate::script::{Drain, Script, Source};

/// The most that a call moves, or how it ends.
fn poll_moves(
    script: &mut Script,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, Result<usize, ErrorKind>>> {
    match script.next() {
        Ok(most) => Poll::Ready(Ok(most)),
        Err(step) => match ends(step) {
            Some(end) => Poll::Ready(Err(end)),
            None => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        },
    }
}

impl Read for Source {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        match poll_fn(|cx| poll_moves(&mut self.script, cx)).await {
            Ok(most) => Ok(self.give(most, buf)),
            Err(end) => end,
        }
    }
}

impl Write for Drain {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        assert!(!buf.is_empty(), "a write of nothing");
        match poll_fn(|cx| poll_moves(&mut self.script, cx)).await {
            Ok(most) => Ok(self.put(&[IoSlice::new(buf)], most)),
            Err(end) => end,
        }
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        self.flushed = self.bytes.len();
        Ok(())
    }
}

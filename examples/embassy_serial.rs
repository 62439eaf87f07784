//! A sensor and a display on a serial line that loses and damages bytes: two tasks of embassy, which
//! hold nothing but two arrays. It ends by itself.
//!
//! ```console
//! cargo run --example embassy_serial --features embedded-io-async
//! ```
//!
//! On a board `Noisy` and `WIRE` are the two halves of a UART, and the tasks stay as they are.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::Executor;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embedded_io_async::{ErrorType, Write};
use unstick::Kind;
use unstick::embedded_io_async::{FrameReader, FrameWriter, ReadError, WriteError};
use unstick::engine::Next;

static WIRE: Pipe<CriticalSectionRawMutex, 32> = Pipe::new();
static DONE: AtomicBool = AtomicBool::new(false);

/// The transmitter's end of the line: of a hundred bytes, one is lost and one is damaged.
struct Noisy {
    seed: u32,
}

impl ErrorType for Noisy {
    type Error = Infallible;
}

impl Write for Noisy {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let [byte, ..] = *bytes else { return Ok(0) };
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        match self.seed % 100 {
            0 => {}
            1 => WIRE.write_all(&[byte ^ 0x10]).await,
            _ => WIRE.write_all(&[byte]).await,
        }
        Ok(1)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Sends readings for ever.
#[embassy_executor::task]
async fn sensor() {
    let mut writer = FrameWriter::new(Noisy { seed: 7 }, [0; 16]);
    for reading in 0.. {
        if let Err(error) = send(&mut writer, reading).await {
            return eprintln!("sensor: {error}");
        }
    }
}

/// The number, and its complement as a check: nobody else looks into a payload.
async fn send(
    writer: &mut FrameWriter<Noisy, [u8; 16]>,
    reading: u32,
) -> Result<(), WriteError<Infallible>> {
    let payload = u64::from(reading) << 32 | u64::from(!reading);
    writer.send(Kind::BINARY, &payload.to_be_bytes()).await
}

/// Shows what arrives, until there are a hundred readings.
#[embassy_executor::task]
async fn display() {
    match read(100).await {
        Ok(skipped) => println!("100 readings arrived, {skipped} bytes were skipped"),
        Err(error) => eprintln!("display: {error}"),
    }
    DONE.store(true, Ordering::Relaxed);
}

async fn read(wanted: u32) -> Result<u64, ReadError<Infallible>> {
    let mut reader = FrameReader::new(&WIRE, [0; 64]);
    let (mut arrived, mut skipped) = (0, 0);
    while arrived < wanted {
        let Some(next) = reader.next_or_resync().await? else { break };
        match next {
            Next::Frame(frame) => match frame.payload.try_into().map(u64::from_be_bytes) {
                Ok(payload) if (payload >> 32) ^ (payload & 0xFFFF_FFFF) == 0xFFFF_FFFF => {
                    arrived += 1;
                }
                _ => println!("a payload was damaged"),
            },
            Next::Skipped { error, bytes } => {
                println!("{error} ({bytes} bytes skipped)");
                skipped += bytes;
            }
        }
    }
    Ok(skipped)
}

fn main() {
    let executor = Box::leak(Box::new(Executor::new()));
    executor.run_until(
        |spawner| {
            if let (Ok(sensor), Ok(display)) = (sensor(), display()) {
                spawner.spawn(sensor);
                spawner.spawn(display);
            }
        },
        || DONE.load(Ordering::Relaxed),
    );
}

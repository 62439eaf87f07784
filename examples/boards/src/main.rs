//! The other end of a line, on a microcontroller that QEMU emulates: it answers each message in upper
//! case, over the UART. The emulator's argument says in which framing; `session` is a conversation of
//! version 1, which ends with its close.
//!
//! It holds two arrays and no allocator. It links only if no panic can be reached.

#![no_std]
#![no_main]

mod boot;
mod conversation;
mod host;
mod uart;

use unstick::check::Crc16Modbus;
use unstick::embedded_io::{FrameReader, FrameWriter};
use unstick::engine::Next;
use unstick::{Checked, Cobs, Decoder, Framing, Hdlc, Marked, Search, Slip, U16Be, V1, V2};

use uart::Uart;

unsafe extern "C" {
    fn a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe { a_panic_is_reachable() }
}

/// The max payload bytes of a frame, but in a conversation.
const LIMIT: usize = 256;
/// Room for the longest frame: if each byte of payload and check is escaped, it is twice as long.
const ROOM: usize = 2 * (LIMIT + 2) + 8;

fn main() -> bool {
    uart::init();
    host::line(c"ready");
    let mut argument = [0; 64];
    let is_good = match host::argument(&mut argument) {
        "session" => conversation::converse(),
        "v1" => echo(V1),
        "v2" => echo(V2),
        "crc16" => echo(Checked::new(U16Be, Crc16Modbus::new())),
        "cobs" => echo(Cobs),
        "cobs+crc16" => echo(Marked::new(Cobs).with_check(Crc16Modbus::new())),
        "slip" => echo(Slip::new()),
        "hdlc" => echo(Hdlc::new()),
        _ => {
            host::line(c"no such framing");
            false
        }
    };
    host::number("size of Decoder", size_of::<Decoder>() as u32);
    host::number("stack used", boot::stack_used());
    is_good
}

/// Answers each frame that arrives whole, until the line ends. An emulated one does not.
fn echo<F: Search + Copy>(format: F) -> bool {
    let framing = Framing::new(format).with_limit(LIMIT as u64);
    let Ok(mut reader) = FrameReader::with_framing(Uart, [0; ROOM], framing) else {
        host::line(c"the array is too short for a frame");
        return false;
    };
    let mut writer = FrameWriter::with_framing(Uart, [0; ROOM], framing);
    loop {
        let frame = match reader.next_or_resync() {
            Ok(Some(Next::Frame(frame))) => frame,
            // What was lost is the sender's to notice.
            Ok(Some(Next::Skipped { .. })) => continue,
            Ok(None) => return true,
            Err(_) => return false,
        };
        let mut answer = [0; LIMIT];
        let Some(answer) = answer.get_mut(..frame.payload.len()) else { return false };
        for (to, from) in answer.iter_mut().zip(frame.payload) {
            *to = from.to_ascii_uppercase();
        }
        if writer.send(&frame.meta, answer).is_err() {
            return false;
        }
    }
}

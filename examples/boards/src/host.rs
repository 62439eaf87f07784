//! What the emulator does for the program: semihosting.

use core::arch::asm;
use core::ffi::CStr;

const WRITE0: usize = 0x04;
const GET_COMMAND_LINE: usize = 0x15;
const EXIT: usize = 0x18;
const APPLICATION_EXIT: usize = 0x20026;
const RUN_TIME_ERROR: usize = 0x20023;

#[cfg(target_arch = "arm")]
fn call(operation: usize, parameter: usize) -> usize {
    let result;
    unsafe { asm!("bkpt 0xab", inout("r0") operation => result, in("r1") parameter) };
    result
}

#[cfg(target_arch = "riscv32")]
fn call(operation: usize, parameter: usize) -> usize {
    let result;
    unsafe {
        asm!(
            ".balign 16", // all three in one page
            ".option push",
            ".option norvc",
            "slli x0, x0, 0x1f",
            "ebreak",
            "srai x0, x0, 7",
            ".option pop",
            inout("a0") operation => result, in("a1") parameter,
        )
    };
    result
}

/// Writes a line to the emulator's log.
pub fn line(text: &CStr) {
    call(WRITE0, text.as_ptr() as usize);
    call(WRITE0, c"\n".as_ptr() as usize);
}

/// Writes a number with its name.
pub fn number(name: &str, mut value: u32) {
    let mut digits = [0; 10];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        count += 1;
        if value == 0 {
            break;
        }
    }
    let mut text = [0; 64];
    let digits = digits.iter().skip(10_usize.saturating_sub(count)).copied();
    for (to, byte) in text.iter_mut().zip(name.bytes().chain(*b": ").chain(digits)) {
        *to = byte;
    }
    if let Ok(text) = CStr::from_bytes_until_nul(&text) {
        line(text);
    }
}

/// Returns the argument after the program's name, `board`: the second `arg=` of the emulator.
pub fn argument(buf: &mut [u8; 64]) -> &str {
    let mut block = [buf.as_mut_ptr() as usize, buf.len()];
    // The host writes into the block, and to where it points.
    call(GET_COMMAND_LINE, block.as_mut_ptr().expose_provenance());
    let line = CStr::from_bytes_until_nul(buf).ok().and_then(|line| line.to_str().ok());
    line.and_then(|line| line.strip_prefix("board ")).unwrap_or_default()
}

/// Ends the emulator.
pub fn exit(is_good: bool) -> ! {
    loop {
        call(EXIT, if is_good { APPLICATION_EXIT } else { RUN_TIME_ERROR });
    }
}

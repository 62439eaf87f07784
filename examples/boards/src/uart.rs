//! The UART of each board, asked in a loop.

use core::fmt;
use core::ptr::{read_volatile, write_volatile};

use embedded_io::{ErrorKind, ErrorType, Read, Write};

pub use board::init;
use board::{get, put};

/// No error is known to it.
#[derive(Clone, Copy, Debug)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl core::error::Error for Never {}

impl embedded_io::Error for Never {
    fn kind(&self) -> ErrorKind {
        match *self {}
    }
}

pub struct Uart;

impl ErrorType for Uart {
    type Error = Never;
}

impl Read for Uart {
    /// At least one byte, and what else is there.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Never> {
        let mut n = 0;
        for to in buf {
            *to = loop {
                match get() {
                    Some(byte) => break byte,
                    None if n > 0 => return Ok(n),
                    None => {}
                }
            };
            n += 1;
        }
        Ok(n)
    }
}

impl Write for Uart {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Never> {
        for &byte in buf {
            while !put(byte) {}
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> Result<(), Never> {
        Ok(())
    }
}

#[cfg(not(board = "virt"))]
fn load(address: usize) -> u32 {
    unsafe { read_volatile(address as *const u32) }
}

#[cfg(not(board = "virt"))]
fn store(address: usize, value: u32) {
    unsafe { write_volatile(address as *mut u32, value) }
}

/// A PL011.
#[cfg(board = "lm3s6965evb")]
mod board {
    use super::{load, store};

    const UART: usize = 0x4000_C000;

    pub fn init() {
        store(UART + 0x2C, 0x70); // eight bits, with the queues
        store(UART + 0x30, 0x301);
    }

    pub fn get() -> Option<u8> {
        (load(UART + 0x18) & 0x10 == 0).then(|| load(UART) as u8)
    }

    pub fn put(byte: u8) -> bool {
        let free = load(UART + 0x18) & 0x20 == 0;
        if free {
            store(UART, byte.into());
        }
        free
    }
}

/// That of the nRF51.
#[cfg(board = "microbit")]
mod board {
    use super::{load, store};

    const UART: usize = 0x4000_2000;
    const RECEIVED: usize = UART + 0x108;
    const SENT: usize = UART + 0x11C;

    pub fn init() {
        store(UART + 0x500, 4);
        store(UART, 1);
        store(UART + 0x008, 1);
    }

    pub fn get() -> Option<u8> {
        (load(RECEIVED) != 0).then(|| {
            store(RECEIVED, 0);
            load(UART + 0x518) as u8
        })
    }

    pub fn put(byte: u8) -> bool {
        store(SENT, 0);
        store(UART + 0x51C, byte.into());
        while load(SENT) == 0 {}
        true
    }
}

/// A 16550.
#[cfg(board = "virt")]
mod board {
    use super::{read_volatile, write_volatile};

    const UART: usize = 0x1000_0000;

    pub fn init() {}

    pub fn get() -> Option<u8> {
        (status() & 0x01 != 0).then(|| unsafe { read_volatile(UART as *const u8) })
    }

    pub fn put(byte: u8) -> bool {
        let free = status() & 0x20 != 0;
        if free {
            unsafe { write_volatile(UART as *mut u8, byte) };
        }
        free
    }

    fn status() -> u8 {
        unsafe { read_volatile((UART + 5) as *const u8) }
    }
}

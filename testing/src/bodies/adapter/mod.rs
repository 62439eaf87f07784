//! The adapters of the asynchronous runtimes over transports that do as a script says.
// The same cases for each of them.
#![allow(clippy::duplicate_mod)]

use std::io::ErrorKind;

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::script::Step;

#[path = "."]
mod over_futures_io {
    use unstick::futures as adapter;

    #[path = "cases.rs"]
    pub(super) mod cases;
}

#[path = "."]
mod over_tokio {
    use unstick::tokio as adapter;

    #[path = "cases.rs"]
    pub(super) mod cases;
}

/// A list of poll results, and calls that are dropped after a few polls: the reader delivers what
/// the oracle says of the stream, and of the writer's frames each that it accepted is on the wire
/// once, in order, and no other.
pub fn adapter(data: &[u8]) {
    let _ = over_tokio::cases::read(&mut Unstructured::new(data));
    let _ = over_futures_io::cases::read(&mut Unstructured::new(data));
}

impl<'a> Arbitrary<'a> for Step {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.arbitrary::<u8>()? {
            0..64 => Self::Pending,
            64..80 => Self::Fail(ErrorKind::Interrupted),
            80..96 => Self::Fail(ErrorKind::ConnectionReset),
            few @ 96..200 => Self::Move(usize::from(few) - 95),
            many => Self::Move(usize::from(many - 199) * 400),
        })
    }
}

//~ do not announce the length of their payload
//~ this needs a length at the beginning of the frame
use unstick::{Lines, io::FrameWriter};

pub fn main() {
    FrameWriter::with_framing(Vec::new(), Lines::new()).begin((), 5).unwrap();
}

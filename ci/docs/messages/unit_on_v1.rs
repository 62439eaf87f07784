//~ `()` is not what a frame of this format carries beside its payload
//~ the meta of this format is `Kind`
use unstick::Framing;

pub fn main() {
    Framing::new(unstick::V1).encode((), "hello", &mut Vec::new()).unwrap();
}

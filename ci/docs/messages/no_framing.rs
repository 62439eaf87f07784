//~ does not describe a header that announces the payload's length
//~ a mark is used as `Marked::new(mark)`
pub fn main() {
    let _ = unstick::FrameBuf::growing(unstick::Framing::new(4_u32));
}

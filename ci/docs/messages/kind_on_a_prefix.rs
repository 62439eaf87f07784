//~ `Kind` is not what a frame of this format carries beside its payload
//~ the meta of this format is `()`
//~ pass a `()` or a reference to one
use unstick::io::FrameWriter;
use unstick::{Kind, U32Be};

pub fn main() {
    let mut writer = FrameWriter::with_framing(Vec::new(), U32Be);
    writer.send(Kind::TEXT, "hello").unwrap();
}

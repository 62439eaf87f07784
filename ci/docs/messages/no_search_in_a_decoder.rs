//~ cannot be found again without the bytes of the failed frame
//~ a decoder keeps no payload
use unstick::{Checked, Decoder, U16Be, check::Crc16X25};

pub fn main() {
    let _ = Decoder::with_framing(Checked::new(U16Be, Crc16X25::new())).resync(&mut &b""[..]);
}

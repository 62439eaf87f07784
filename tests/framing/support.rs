//! What several modules need.

use unstick::{Format, FrameBuf, Framing, Kind, Storage, V1};

/// A frame of text, without a limit.
pub(crate) fn text(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Framing::new(V1).with_limit(u64::MAX).encode(Kind::TEXT, payload, &mut bytes).unwrap();
    bytes
}

/// The payloads of the frames that are whole.
pub(crate) fn payloads<S: Storage, F: Format>(buf: &mut FrameBuf<S, F>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(frame) = buf.next_frame().unwrap() {
        all.push(frame.payload.to_vec());
    }
    all
}

/// Takes as many bytes from the front of `rest` as there is room for, which is one at least.
pub(crate) fn feed<S: Storage, F: Format>(buf: &mut FrameBuf<S, F>, rest: &mut &[u8]) {
    let n = buf.extend(rest);
    assert!(n > 0, "no room");
    *rest = &rest[n..];
}

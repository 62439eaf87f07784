//! Payloads are read as a naive reading of the specification says.

use arbitrary::{Result, Unstructured};
use unstick::{Framing, Kind, V1};
use unstick_session::message::{Code, Message, check_len, check_name};

use super::input;

/// Any payload of any kind: the same error at the same offset as the naive reading has; or a
/// message that is written as the same bytes again.
pub fn message(data: &[u8]) {
    let _ = read(&mut Unstructured::new(data));
}

fn read(u: &mut Unstructured<'_>) -> Result<()> {
    let kinds = [1, 2, 3, 4, 5, 0x10, 0x11, 0x12, 0x13, 0x14, 0x80, 0x90];
    let pick = u.arbitrary::<u8>()?;
    let number = kinds.get(usize::from(pick)).copied().unwrap_or(pick).max(1);
    let kind = Kind::new(number).unwrap();
    // Fixed fields cost no input, so that names and reasons are near.
    let (head, fill) = (u.arbitrary::<u8>()?, u.arbitrary::<u8>()?);
    let mut payload = vec![fill; usize::from(head % 80)];
    payload.extend(input::rest(u)?);

    let expected = naive(number, &payload);
    let decoded = Message::decode(kind, &payload);
    match (&decoded, expected) {
        (Ok(message), None) => written(message, kind, &payload),
        (Err(error), Some((code, at))) => {
            assert_eq!((error.code(), error.at()), (code, at as u64), "{kind} {payload:02x?}");
            assert!(at <= payload.len());
            let early = check_len(kind, payload.len() as u64);
            assert!(early.is_ok() || early == Err(*error));
        }
        (decoded, expected) => panic!("{kind} {payload:02x?}: {decoded:?}, not {expected:?}"),
    }
    // An encoder that is given the bytes as they are judges in the same way.
    let raw = Message::Other { kind, payload: &payload }.encode();
    match (raw, decoded) {
        (Ok(raw), Ok(_)) => assert_eq!(raw.to_payload(), payload),
        (Err(raw), Err(error)) => assert_eq!(raw, error),
        (raw, decoded) => panic!("{raw:?}, {decoded:?}"),
    }
    Ok(())
}

fn written(message: &Message<'_>, kind: Kind, payload: &[u8]) {
    let encoded = message.encode().unwrap();
    assert_eq!((message.kind(), encoded.kind()), (kind, kind));
    let canonical = match *payload {
        // Two payloads mean the ordinary close, and the shorter is written.
        [0, 0] if kind == Kind::CLOSE => Vec::new(),
        // Bits without a meaning are written as zeros.
        [ref fields @ .., flags] if kind == Kind::FILE_ATTRIBUTES => {
            [fields, &[flags & 1]].concat()
        }
        _ => payload.to_vec(),
    };
    let canonical = canonical.as_slice();
    assert_eq!(encoded.to_payload(), canonical);
    assert_eq!(Message::decode(kind, canonical).as_ref(), Ok(message));

    let framing = Framing::new(V1);
    let mut out = vec![0; canonical.len() + 8];
    assert_eq!(encoded.frame_into(&framing, &mut out), Ok(out.len()));
    let mut whole = Vec::new();
    framing.encode(kind, canonical, &mut whole).unwrap();
    assert_eq!(out, whole);
    assert!(encoded.frame_into(&framing, &mut out[1..]).is_err());
}

/// The code and the offset of what is wrong, by spec, chapter 13; `None` if nothing is.
fn naive(kind: u8, payload: &[u8]) -> Option<(Code, usize)> {
    let len = payload.len();
    // Kind, least and most bytes, and where text begins.
    let (least, most, text) = match kind {
        0x01 => (0, usize::MAX, Some(0)),
        0x03 | 0x04 => (0, 64, None),
        0x05 if len == 0 => return None,
        0x05 => (2, usize::MAX, Some(2)),
        0x80 => (4, usize::MAX, Some(4)),
        0x10 => (28, usize::MAX, None),
        0x11 => (13, usize::MAX, None),
        0x12 => (44, 44, None),
        0x13 => (46, usize::MAX, Some(46)),
        0x14 => (6, usize::MAX, Some(6)),
        0x90 => (13, 13, None),
        _ => return None,
    };
    if len < least {
        return Some((Code::BAD_MESSAGE, len));
    }
    if len > most {
        return Some((Code::BAD_MESSAGE, most));
    }
    if let Some(from) = text {
        return broken_utf8(&payload[from..]).map(|at| (Code::BAD_MESSAGE, from + at));
    }
    if kind == 0x10 {
        let name = &payload[28..];
        let at = bad_name(name);
        if let Ok(name) = std::str::from_utf8(name) {
            assert_eq!(check_name(name).is_err(), at.is_some());
        }
        return at.map(|at| (Code::BAD_NAME, 28 + at));
    }
    None
}

/// The first byte that belongs to no character: one character is cut off at a time.
fn broken_utf8(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < bytes.len() {
        let lens = 1..=4.min(bytes.len() - at);
        let whole = |len: &usize| {
            std::str::from_utf8(&bytes[at..at + len]).is_ok_and(|text| text.chars().count() == 1)
        };
        match lens.into_iter().find(whole) {
            Some(len) => at += len,
            None => return Some(at),
        }
    }
    None
}

fn bad_name(name: &[u8]) -> Option<usize> {
    match name.len() {
        0 => return Some(0),
        1..=255 => {}
        _ => return Some(255),
    }
    if let Some(at) = broken_utf8(name) {
        return Some(at);
    }
    let text = std::str::from_utf8(name).unwrap();
    let bad = |c: char| "/\\:".contains(c) || c < ' ' || ('\u{7f}'..='\u{9f}').contains(&c);
    text.find(bad).or_else(|| (text == "." || text == "..").then_some(0))
}

//! A datagram is taken whole or refused whole, and nothing carries over.

use arbitrary::{Result, Unstructured};
use unstick::{DatagramError, DatagramPacker, EncodeError, Framing, Kind, Pushed, V1};

use super::input;
use crate::chunks::take_datagram;
use crate::formats::{Part, stream};
use crate::oracle::{self, Rules};

/// Datagrams one after another through the same receiver: each is what the oracle says of it
/// alone. And frames packed to datagrams come out in order, with none too long.
pub fn datagram(data: &[u8]) {
    let _ = read(&mut Unstructured::new(data));
}

fn read(u: &mut Unstructured<'_>) -> Result<()> {
    let framing = Framing::new(V1).with_limit(input::limit(u)?);
    let known: [u8; 2] = u.arbitrary()?;
    if u.arbitrary()? { pack(&framing, &known, u) } else { receive(&framing, &known, u) }
}

fn receive(framing: &Framing, known: &[u8], u: &mut Unstructured<'_>) -> Result<()> {
    while !u.is_empty() {
        let bytes = datagram_bytes(u, framing.limit())?;
        let want = oracle::datagram(framing.limit(), &bytes, known);
        let taken = take_datagram(framing, &bytes, known);
        assert_eq!(taken, want, "limit {}, {bytes:02x?}", framing.limit());
        without_kinds(framing, &bytes);

        // As a transport reports it, in a buffer with something behind it, or too small for it.
        let is_known = |kind: &Kind| known.contains(&kind.get());
        let kept = usize::from(u.arbitrary::<u8>()?).min(bytes.len() + 1);
        let buf = [&bytes[..], &[0xF5, 0x01, 0x01]].concat();
        let received = framing.datagram_from(&buf, bytes.len(), is_known);
        let received = received.map(|frames| frames.map(|frame| frame.payload.to_vec()).collect());
        let payloads = want.map(|frames| frames.into_iter().map(|(_, payload)| payload).collect());
        assert_eq!(received, payloads as std::result::Result<Vec<_>, _>);
        if let Some(room) = kept.checked_sub(1).filter(|room| *room < bytes.len()) {
            let cut = framing.datagram_from(&bytes[..room], bytes.len(), is_known).map(|_| ());
            assert_eq!(cut, Err(DatagramError::Cut { room }));
            let beyond = framing.datagram_from(&bytes[..room], room + 1, is_known).map(|_| ());
            assert_eq!(beyond, Err(DatagramError::Cut { room }));
        }
    }
    Ok(())
}

/// Nobody knows any kind of an application.
fn without_kinds(framing: &Framing, bytes: &[u8]) {
    let want = oracle::datagram(framing.limit(), bytes, &[]);
    let taken = framing.datagram(bytes).map(|frames| {
        frames.map(|frame| (frame.meta.get(), frame.payload.to_vec())).collect::<Vec<_>>()
    });
    assert_eq!(taken, want);
}

/// A few parts, or a run of bytes as they are.
fn datagram_bytes(u: &mut Unstructured<'_>, limit: u64) -> Result<Vec<u8>> {
    let count = u.arbitrary::<u8>()?;
    if count >= 200 {
        let len = u.len().min(usize::from(count - 200) * 2);
        return Ok(u.bytes(len)?.to_vec());
    }
    let mut parts = Vec::new();
    for _ in 0..count % 6 {
        parts.push(match u.arbitrary::<u8>()? % 8 {
            // Kinds that may travel. `pick_meta` counts from kind 1.
            0..=4 => Part::Frame {
                meta: (u.arbitrary::<u8>()? % 4).into(),
                len: (u.arbitrary::<u8>()? % 32).into(),
                fill: u.arbitrary()?,
            },
            5 => Part::Frame { meta: (u.arbitrary::<u8>()? % 255).into(), len: 1, fill: 0 },
            _ => input::part(u, limit)?,
        });
    }
    Ok(stream(&V1, &parts))
}

fn pack(framing: &Framing, known: &[u8], u: &mut Unstructured<'_>) -> Result<()> {
    let mut storage = vec![0xEE; usize::from(u.arbitrary::<u16>()? % 1500)];
    let room = storage.len();
    let (limit, most) = if u.arbitrary()? {
        let limit = usize::from(u.arbitrary::<u16>()? % 1500);
        (Some(limit), limit.min(room))
    } else {
        (None, room.min(1200))
    };
    let mut packer = match limit {
        Some(limit) => DatagramPacker::with_datagram_limit(*framing, &mut storage, limit),
        None => DatagramPacker::new(*framing, &mut storage),
    };
    let mut packed = Vec::new();
    let mut pushes = 0;
    while !u.is_empty() && pushes < 64 {
        pushes += 1;
        let kind = Kind::new(u.arbitrary::<u8>()?.max(1)).unwrap();
        let payload = input::payload((u.arbitrary::<u16>()? % 400).into(), u.arbitrary()?);
        let len = payload.len() as u64;
        let number = kind.get();
        let before = packer.as_bytes().to_vec();
        let pushed = packer.push(kind, &payload);
        let misplaced = matches!(number, 0x05 | 0x10..=0x14 | 0x80);
        let needed = 8 + payload.len();
        let want = if misplaced {
            Err(EncodeError::MisplacedKind { kind: number })
        } else if len > framing.limit() {
            Err(EncodeError::Oversize { len, limit: framing.limit() })
        } else if needed > most {
            Err(EncodeError::NoRoom { needed, room: most })
        } else if before.len() + needed > most {
            Ok(Pushed::Full)
        } else {
            Ok(Pushed::Added)
        };
        assert_eq!(pushed, want);
        if want == Ok(Pushed::Added) {
            packed.push((number, payload.clone()));
            let header = V1.write(&[number], len).unwrap();
            assert_eq!(packer.as_bytes(), [&before[..], &header, &payload].concat());
        } else {
            assert_eq!(packer.as_bytes(), before, "nothing was added");
        }
        assert!(packer.as_bytes().len() <= most);
        assert_eq!(packer.is_empty(), packed.is_empty());
        if want == Ok(Pushed::Full) {
            assert_eq!(arrives(framing, packer.as_bytes(), known), deliverable(&packed, known));
            packed.clear();
            packer.clear();
            assert_eq!(packer.push(kind, &payload), Ok(Pushed::Added), "alone it fits");
            packed.push((number, payload));
        }
    }
    assert_eq!(arrives(framing, packer.as_bytes(), known), deliverable(&packed, known));
    Ok(())
}

fn arrives(framing: &Framing, bytes: &[u8], known: &[u8]) -> Option<oracle::Frames> {
    let taken = take_datagram(framing, bytes, known);
    assert_eq!(taken, oracle::datagram(framing.limit(), bytes, known));
    taken.ok()
}

/// What a receiver with these kinds gets of a datagram of these frames.
fn deliverable(packed: &oracle::Frames, known: &[u8]) -> Option<oracle::Frames> {
    let is_known = |kind: u8| matches!(kind, 1..=4) || kind & 0x40 != 0 && known.contains(&kind);
    if packed.is_empty() || packed.iter().any(|(kind, _)| *kind < 0x80 && !is_known(*kind)) {
        return None;
    }
    Some(packed.iter().filter(|(kind, _)| is_known(*kind)).cloned().collect())
}

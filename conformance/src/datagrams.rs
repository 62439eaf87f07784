//! Datagrams: received as a whole or refused, and independent of each other.

use std::fmt::Debug;

use unstick::{DatagramError, DatagramPacker, EncodeError, Format, Framing, InDatagram};

use super::violation::{Hex, ensure};
use super::{Outcome, Policy, Promise, Violation, reference};

type Check = Result<(), Violation>;
type Frames<M> = Vec<(M, Vec<u8>)>;

/// The promises about datagrams.
pub(super) const PROMISES: &[Promise] = &[Promise::NoPanic, Promise::Datagrams];

/// Checks that a datagram is read as the reference reads it, also after other datagrams.
pub(super) fn check<F: Format>(framing: &Framing<F>, bytes: &[u8]) -> Check {
    for known in [false, true] {
        let want = expect(framing, bytes, known);
        for round in ["", " after other datagrams"] {
            let got = take(framing, bytes, known);
            ensure!(
                got == want,
                Datagrams,
                bytes,
                "under a limit of {}{round} it gives {}, and should give {}",
                framing.limit(),
                shown(&got),
                shown(&want)
            );
            let _ = take(framing, b"?", known);
            let _ = take(framing, bytes.get(1..).unwrap_or_default(), known);
        }
    }
    Ok(())
}

/// Checks that packed frames are read back, and that frames that are not allowed in a datagram are
/// not packed.
pub(super) fn check_packed<F: Format>(framing: &Framing<F>, frames: &[(&F::Meta, &[u8])]) -> Check {
    let mut storage = vec![0xEE; 4096];
    let mut packer =
        DatagramPacker::with_datagram_limit(Framing::new(framing.format()), &mut storage, 4096);
    let mut want = Vec::new();
    for (meta, payload) in frames {
        let place = framing.format().in_datagram(meta);
        let pushed = packer.push(*meta, payload);
        if let InDatagram::Misplaced { kind } = place {
            let refused = Err(EncodeError::MisplacedKind { kind });
            ensure!(pushed == refused, Datagrams, &[], "to pack {meta:?} gives {pushed:?}");
        } else if matches!(pushed, Ok(unstick::Pushed::Added)) {
            want.push((*meta, *payload));
        }
    }
    if packer.is_empty() {
        return Ok(());
    }
    let mut rest = packer.as_bytes();
    let mut got = Vec::new();
    let plain = Framing::new(framing.format());
    while let Ok(Some(frame)) = plain.split_frame(&mut rest) {
        got.push((frame.meta, frame.payload));
    }
    let same = got.len() == want.len()
        && got
            .iter()
            .zip(&want)
            .all(|((meta, payload), (sent, bytes))| meta == *sent && payload == bytes);
    ensure!(
        same && rest.is_empty(),
        Datagrams,
        packer.as_bytes(),
        "{} were packed, and are read as {}",
        listed(&want),
        listed(&got)
    );
    check(&plain, packer.as_bytes())
}

fn shown<M: Debug>(result: &Result<Frames<M>, DatagramError>) -> String {
    match result {
        Ok(frames) => listed(frames),
        Err(error) => format!("an error ({error})"),
    }
}

fn listed<M: Debug>(frames: &[(M, impl AsRef<[u8]>)]) -> String {
    let one = |(meta, payload): &(M, _)| {
        format!("meta {meta:?} with payload {}", Hex(AsRef::as_ref(payload)))
    };
    let frames: Vec<String> = frames.iter().map(one).collect();
    if frames.is_empty() { "no frame".into() } else { frames.join(", ") }
}

fn take<F: Format>(
    framing: &Framing<F>,
    bytes: &[u8],
    known: bool,
) -> Result<Frames<F::Meta>, DatagramError> {
    let datagram = framing.datagram_with(bytes, |_| known)?;
    Ok(datagram.map(|frame| (frame.meta, frame.payload.to_vec())).collect())
}

/// Applies the rules of streams to the structure of the whole datagram, then the rules of kinds to
/// each frame.
fn expect<F: Format>(
    framing: &Framing<F>,
    bytes: &[u8],
    known: bool,
) -> Result<Frames<F::Meta>, DatagramError> {
    if bytes.is_empty() {
        return Err(DatagramError::Empty);
    }
    let outcomes = reference::outcomes(framing.format(), framing.limit(), bytes, Policy::STOP);
    for outcome in &outcomes {
        if let Outcome::Error { error, .. } = outcome {
            return Err(DatagramError::Malformed(*error));
        }
    }
    let mut delivered = Vec::new();
    for outcome in outcomes {
        let Outcome::Frame { at, meta, payload, .. } = outcome else { continue };
        match framing.format().in_datagram(&meta) {
            InDatagram::Misplaced { kind } => {
                return Err(DatagramError::MisplacedKind { at, kind });
            }
            InDatagram::IfKnown { kind, critical: true } if !known => {
                return Err(DatagramError::UnknownKind { at, kind });
            }
            InDatagram::Unknown { kind, critical: true } => {
                return Err(DatagramError::UnknownKind { at, kind });
            }
            InDatagram::Unknown { .. } => {}
            InDatagram::IfKnown { .. } if !known => {}
            InDatagram::Delivered | InDatagram::IfKnown { .. } => delivered.push((meta, payload)),
        }
    }
    Ok(delivered)
}

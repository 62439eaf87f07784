//! The law of a check, and what it notices, tested with a header and a payload.

use unstick::Check;

use crate::violation::{Hex, ensure};
use crate::{Promise, Violation};

/// The promises about a check alone. If one of them is broken, violations in streams are its
/// consequences.
pub(super) const LAWS: &[Promise] =
    &[Promise::NoPanic, Promise::BytesAlone, Promise::UpdateIgnoresCuts, Promise::FrameBitErrors];

/// A header and a payload, to be checked.
#[derive(Clone)]
pub(super) struct Content {
    pub(super) header: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Content {
    pub(super) fn trailer<C: Check>(&self, check: &C) -> C::Trailer {
        check.trailer(check.update(check.begin(&self.header), &self.payload))
    }

    /// Returns the whole frame.
    pub(super) fn frame(&self, trailer: &[u8]) -> Vec<u8> {
        [&self.header[..], &self.payload, trailer].concat()
    }
}

/// Checks a law. The check leaves out the first `left_out` bytes of the header.
pub(super) fn check<C: Check>(
    check: &C,
    promise: Promise,
    content: &Content,
    left_out: usize,
) -> Result<(), Violation> {
    match promise {
        // The results do not matter here: a panic ends the check.
        Promise::NoPanic => {
            let _ = (update_ignores_cuts(check, content), bit_errors(check, content, left_out));
            Ok(())
        }
        Promise::BytesAlone => bytes_alone(check, content),
        Promise::UpdateIgnoresCuts => update_ignores_cuts(check, content),
        Promise::FrameBitErrors => bit_errors(check, content, left_out),
        _ => Ok(()),
    }
}

fn bytes_alone<C: Check>(check: &C, content: &Content) -> Result<(), Violation> {
    let (first, again) = (content.trailer(check), content.trailer(check));
    ensure!(
        first == again,
        BytesAlone,
        &content.frame(&[]),
        "the check of these bytes is {}, and then {}",
        Hex(first.as_ref()),
        Hex(again.as_ref())
    );
    Ok(())
}

fn update_ignores_cuts<C: Check>(check: &C, content: &Content) -> Result<(), Violation> {
    let payload = &content.payload[..];
    let begun = check.begin(&content.header);
    let whole = check.update(begun, payload);
    for digest in [begun, whole] {
        let same = check.update(digest, &[]);
        ensure!(
            same == digest,
            UpdateIgnoresCuts,
            payload,
            "an empty run turns {digest:?} into {same:?}"
        );
    }
    let parts =
        |len: usize| payload.chunks(len).fold(begun, |digest, run| check.update(digest, run));
    for len in [1, 2, 3, 4, 7, 8, 16, 64] {
        let found = parts(len);
        ensure!(
            found == whole,
            UpdateIgnoresCuts,
            payload,
            "in runs of {len} bytes the digest is {found:?}, and in one run {whole:?}"
        );
    }
    let step = 1 + payload.len() / 70;
    for (at, (front, back)) in
        (0..payload.len()).step_by(step).filter_map(|at| Some((at, payload.split_at_checked(at)?)))
    {
        let found = check.update(check.update(begun, front), back);
        ensure!(
            found == whole,
            UpdateIgnoresCuts,
            payload,
            "with a cut after {at} bytes the digest is {found:?}, and without {whole:?}"
        );
    }
    Ok(())
}

/// Every changed bit of the check is noticed, since the whole check is compared; so is one of the
/// header or payload if it changes the check.
fn bit_errors<C: Check>(check: &C, content: &Content, left_out: usize) -> Result<(), Violation> {
    let trailer = content.trailer(check);
    let header_len = content.header.len();
    if left_out != usize::MAX {
        for at in 0..left_out.min(header_len) {
            let mut changed = content.clone();
            if let Some(byte) = changed.header.get_mut(at) {
                *byte ^= 1;
            }
            ensure!(
                changed.trailer(check) == trailer,
                FrameBitErrors,
                &content.frame(trailer.as_ref()),
                "`CheckKit::leaves_out` declares {left_out} bytes of the header, and the check depends on \
                 byte {at}; declare {at}"
            );
        }
    }
    let bits = (left_out.min(header_len)..header_len + content.payload.len())
        .flat_map(|at| (0..8).map(move |bit| (at, 1_u8 << bit)));
    for (at, bit) in bits {
        let mut changed = content.clone();
        let byte = match at.checked_sub(header_len) {
            None => changed.header.get_mut(at),
            Some(at) => changed.payload.get_mut(at),
        };
        if let Some(byte) = byte {
            *byte ^= bit;
        }
        let (part, at) = match at.checked_sub(header_len) {
            None => ("header", at),
            Some(at) => ("payload", at),
        };
        ensure!(
            changed.trailer(check) != trailer,
            FrameBitErrors,
            &content.frame(trailer.as_ref()),
            "a change of the bit {bit:#04x} in byte {at} of the {part} leaves the check as it is; if \
             that byte is left out on purpose, declare it with `CheckKit::leaves_out`"
        );
    }
    Ok(())
}

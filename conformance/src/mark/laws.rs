//! The laws of a mark, tested with bytes, and with content to write.

use unstick::{EncodeError, FrameError, Mark, Unit};

use super::trace::{Span, Trace, add, push};
use crate::violation::{Hex, ensure, fail};
use crate::{Promise, Violation};

type Check = Result<(), Violation>;

/// The promises about a mark alone. If one of them is broken, violations in streams are its
/// consequences.
pub(super) const LAWS: &[Promise] = &[
    Promise::NoPanic,
    Promise::BytesAlone,
    Promise::HeldEnds,
    Promise::CleanEnd,
    Promise::ContentFits,
    Promise::RunAgrees,
    Promise::ProducedAgrees,
    Promise::WholeAgrees,
    Promise::UnescapeAgrees,
    Promise::VerbatimAgrees,
    Promise::TrueMaxWireLen,
    Promise::OwnErrorCodes,
    Promise::DecodeUndoesEncode,
    Promise::SlicesAreInvisible,
];

/// Checks one of [`LAWS`] for these bytes, as a stream and as content.
pub(super) fn check<M: Mark>(mark: &M, promise: Promise, trace: &Trace<'_, M>) -> Check {
    match promise {
        // The results do not matter here: a panic ends the check.
        Promise::NoPanic => {
            for law in LAWS.iter().filter(|law| **law != Promise::NoPanic) {
                let _ = check(mark, *law, trace);
            }
            Ok(())
        }
        Promise::BytesAlone => bytes_alone(mark, trace),
        Promise::HeldEnds => held_ends(mark, trace),
        Promise::CleanEnd => clean_end(mark, trace),
        Promise::ContentFits => content_fits(trace),
        Promise::RunAgrees => each_place(trace, |at| run_agrees(mark, trace, at)),
        Promise::ProducedAgrees => each_place(trace, |at| produced_agrees(mark, trace, at)),
        Promise::WholeAgrees => whole_agrees(mark, trace),
        Promise::UnescapeAgrees => unescape_agrees(mark, trace),
        Promise::VerbatimAgrees => verbatim_agrees(mark, trace),
        Promise::TrueMaxWireLen => true_max_wire_len(mark, trace),
        Promise::OwnErrorCodes => own_error_codes(mark, trace),
        Promise::DecodeUndoesEncode => decode_undoes_encode(mark, trace.bytes),
        Promise::SlicesAreInvisible => slices_are_invisible(mark, trace.bytes),
        _ => Ok(()),
    }
}

/// Writes content that is in several slices.
pub(super) fn encode<M: Mark>(mark: &M, content: &[&[u8]]) -> Result<Vec<u8>, EncodeError> {
    let mut written = Vec::new();
    mark.encode(content, &mut |run| written.extend_from_slice(run)).map(|()| written)
}

/// Calls `each` with the offsets at which fast paths begin: all of them in a short input.
fn each_place<M: Mark>(trace: &Trace<'_, M>, each: impl FnMut(usize) -> Check) -> Check {
    let len = trace.bytes.len();
    (0..len).step_by(1 + len / 40).try_for_each(each)
}

fn bytes_alone<M: Mark>(mark: &M, trace: &Trace<'_, M>) -> Check {
    let again = Trace::new(mark, trace.bytes);
    ensure!(
        again.units == trace.units && again.states == trace.states,
        BytesAlone,
        trace.bytes,
        "`push` gives {:?}, and then {:?}",
        trace.units,
        again.units
    );
    each_place(trace, |at| {
        let (Some(state), Some(rest)) = (trace.states.get(at), trace.bytes.get(at..)) else {
            return Ok(());
        };
        let fast = || {
            let (mut run, mut produced) = (*state, *state);
            let counts = (mark.run(&mut run, rest), mark.produced(&mut produced, rest));
            (counts, run, produced)
        };
        let (first, again) = (fast(), fast());
        ensure!(first == again, BytesAlone, rest, "first {first:?}, and then {again:?}");
        Ok(())
    })?;
    let answers = || (mark.whole(trace.bytes), encode(mark, &[trace.bytes]));
    let (first, again) = (answers(), answers());
    ensure!(first == again, BytesAlone, trace.bytes, "first {first:?}, and then {again:?}");
    Ok(())
}

fn held_ends<M: Mark>(mark: &M, trace: &Trace<'_, M>) -> Check {
    ensure!(
        !trace.endless,
        HeldEnds,
        trace.bytes,
        "the last byte is held back without end: {:?}",
        trace.steps.last().map(|step| step.unit)
    );
    let end = trace.end(mark);
    ensure!(
        end.is_ok(),
        HeldEnds,
        trace.bytes,
        "at the stream's end `end` releases bytes without end"
    );
    Ok(())
}

fn clean_end<M: Mark>(mark: &M, trace: &Trace<'_, M>) -> Check {
    let default = M::State::default();
    for step in &trace.steps {
        let clean = match step.unit {
            Unit::Idle => step.before == default && step.after == default,
            Unit::End | Unit::Refused { ended: true, .. } => step.after == default,
            _ => true,
        };
        ensure!(
            clean,
            CleanEnd,
            trace.bytes.get(..=step.at).unwrap_or_default(),
            "the last byte is {:?} in the state {:?} and leaves {:?}; the default is {default:?}",
            step.unit,
            step.before,
            step.after
        );
    }
    if let Ok(Some((_, state))) = trace.end(mark) {
        ensure!(
            state == default,
            CleanEnd,
            trace.bytes,
            "at the stream's end `End` leaves {state:?}; the default is {default:?}"
        );
    }
    Ok(())
}

fn content_fits<M: Mark>(trace: &Trace<'_, M>) -> Check {
    for (at, inside) in trace.inside.iter().enumerate() {
        let Some(inside) = inside else { continue };
        let (len, taken) = (inside.content_len, at + 1 - inside.start);
        let bytes = trace.bytes.get(inside.start..=at).unwrap_or_default();
        ensure!(len <= taken, ContentFits, bytes, "{taken} bytes have {len} bytes of content");
    }
    for span in &trace.frames {
        let (len, taken) = (span.content.len(), span.end - span.start);
        let bytes = trace.bytes.get(span.start..span.end).unwrap_or_default();
        ensure!(len <= taken, ContentFits, bytes, "{taken} bytes have {len} bytes of content");
    }
    Ok(())
}

fn run_agrees<M: Mark>(mark: &M, trace: &Trace<'_, M>, at: usize) -> Check {
    let (Some(before), Some(rest)) = (trace.states.get(at), trace.bytes.get(at..)) else {
        return Ok(());
    };
    let mut state = *before;
    let run = mark.run(&mut state, rest);
    let Some((run, after)) = rest.split_at_checked(run) else {
        fail!(RunAgrees, rest, "`run` counts {run} bytes of {}", rest.len());
    };
    let mut found: Vec<Unit> = run.iter().copied().map(Unit::Byte).collect();
    let from = trace.counts.get(at).copied().unwrap_or_default();
    let mut next = at + run.len();
    // Where the state is the same again, everything after it is.
    let mut bytes = after.iter();
    loop {
        let to = trace.counts.get(next).copied().unwrap_or(trace.units.len());
        let want = trace.units.get(from..to.max(from)).unwrap_or_default();
        let same = trace.states.get(next) == Some(&state) && found == want;
        if same || trace.endless {
            return Ok(());
        }
        let Some(byte) = bytes.next() else {
            fail!(
                RunAgrees,
                rest,
                "from the state {before:?} `run` counts {} bytes, and what follows makes them \
                 {found:?} with the state {state:?}; `push` alone gives {want:?} with {:?}",
                run.len(),
                trace.states.last()
            );
        };
        if !push(mark, &mut state, *byte, |_, unit, _| add(&mut found, unit)) {
            return Ok(());
        }
        next += 1;
    }
}

fn produced_agrees<M: Mark>(mark: &M, trace: &Trace<'_, M>, at: usize) -> Check {
    let (Some(before), Some(rest)) = (trace.states.get(at), trace.bytes.get(at..)) else {
        return Ok(());
    };
    let mut state = *before;
    let (taken, content) = mark.produced(&mut state, rest);
    ensure!(
        taken <= rest.len() && (taken == 0) == content.is_empty(),
        ProducedAgrees,
        rest,
        "`produced` takes {taken} bytes of {} for {} bytes of content",
        rest.len(),
        content.len()
    );
    let from = trace.counts.get(at).copied().unwrap_or_default();
    let (Some(to), Some(after)) = (trace.counts.get(at + taken), trace.states.get(at + taken))
    else {
        return Ok(()); // a violation of `held_ends`
    };
    let want = trace.units.get(from..*to).unwrap_or_default();
    let found: Vec<Unit> = content.iter().copied().map(Unit::Byte).collect();
    ensure!(
        found == want && state == *after,
        ProducedAgrees,
        rest,
        "from the state {before:?} `produced` takes {taken} bytes for {found:?} and leaves \
         {state:?}; `push` gives {want:?} and leaves {after:?}"
    );
    Ok(())
}

fn whole_agrees<M: Mark>(mark: &M, trace: &Trace<'_, M>) -> Check {
    let bytes = trace.bytes;
    for step in trace.steps.iter().filter(|step| step.unit == Unit::Idle) {
        let rest = bytes.get(step.at..).unwrap_or_default();
        let found = mark.whole(rest);
        ensure!(found.is_none(), WholeAgrees, rest, "an idle byte begins no frame, but {found:?}");
    }
    for span in &trace.frames {
        let frame = bytes.get(span.start..span.end).unwrap_or_default();
        for bytes in [frame, bytes.get(span.start..).unwrap_or_default()] {
            let Some(shape) = mark.whole(bytes) else { continue };
            ensure!(
                span.error.is_none(),
                WholeAgrees,
                bytes,
                "the frame is refused, but `whole` gives {shape:?}"
            );
            let content = shape.start.checked_add(shape.content_len);
            let content = content.and_then(|end| frame.get(shape.start..end));
            ensure!(
                shape.frame_len == frame.len()
                    && shape.content_len == span.content.len()
                    && content.is_some()
                    && (!shape.plain || content == Some(&span.content[..])),
                WholeAgrees,
                bytes,
                "`whole` gives {shape:?}; `push` gives a frame of {} bytes with the content {}",
                frame.len(),
                Hex(&span.content)
            );
            if !M::VERBATIM {
                let range = mark.unescape(&mut frame.to_vec());
                ensure!(
                    range.start == shape.start,
                    WholeAgrees,
                    bytes,
                    "`whole` gives {shape:?}, and `unescape` leaves the content at {range:?}"
                );
            }
        }
    }
    if let Some(open) = &trace.open {
        let rest = bytes.get(open.start..).unwrap_or_default();
        let found = mark.whole(rest);
        ensure!(found.is_none(), WholeAgrees, rest, "the frame has not ended, but {found:?}");
    }
    Ok(())
}

/// Calls `each` with every whole and valid frame, and its bytes.
fn each_frame<M: Mark>(
    mark: &M,
    trace: &Trace<'_, M>,
    mut each: impl FnMut(&Span, &[u8]) -> Check,
) -> Check {
    let ended = trace.end(mark).ok().flatten().map(|(span, _)| span);
    for span in trace.frames.iter().chain(&ended).filter(|span| span.error.is_none()) {
        each(span, trace.bytes.get(span.start..span.end).unwrap_or_default())?;
    }
    Ok(())
}

fn unescape_agrees<M: Mark>(mark: &M, trace: &Trace<'_, M>) -> Check {
    each_frame(mark, trace, |span, frame| {
        let mut copy = frame.to_vec();
        let range = mark.unescape(&mut copy);
        let found = copy.get(range.clone());
        ensure!(
            found == Some(&span.content[..]),
            UnescapeAgrees,
            frame,
            "`unescape` leaves {} at {range:?}; `push` gives the content {}",
            found.map_or_else(|| "nothing".into(), |found| Hex(found).to_string()),
            Hex(&span.content)
        );
        Ok(())
    })
}

fn verbatim_agrees<M: Mark>(mark: &M, trace: &Trace<'_, M>) -> Check {
    if !M::VERBATIM {
        return Ok(());
    }
    each_frame(mark, trace, |span, frame| {
        ensure!(
            frame.starts_with(&span.content),
            VerbatimAgrees,
            frame,
            "the content {} does not stand at the frame's beginning",
            Hex(&span.content)
        );
        Ok(())
    })
}

fn true_max_wire_len<M: Mark>(mark: &M, trace: &Trace<'_, M>) -> Check {
    for span in trace.frames.iter().filter(|span| span.error.is_none()) {
        let (len, max) = (span.end - span.start, mark.max_wire_len(span.content.len() as u64));
        let frame = trace.bytes.get(span.start..span.end).unwrap_or_default();
        ensure!(
            len as u64 <= max,
            TrueMaxWireLen,
            frame,
            "a frame of {len} bytes has {} bytes of content; `max_wire_len` gives {max} for them",
            span.content.len()
        );
    }
    for (at, inside) in trace.inside.iter().enumerate() {
        let Some(inside) = inside.filter(|inside| !inside.refused) else { continue };
        let (len, max) = (at + 1 - inside.start, mark.max_wire_len(inside.content_len as u64));
        let bytes = trace.bytes.get(inside.start..=at).unwrap_or_default();
        ensure!(
            (len as u64) < max,
            TrueMaxWireLen,
            bytes,
            "these {len} have {} of content, and the frame has not ended; `max_wire_len` gives {max}, and \
             must also count what may follow the content, such as half an escape",
            inside.content_len
        );
    }
    let content = trace.bytes;
    if let Ok(written) = encode(mark, &[content]) {
        let (len, max) = (written.len(), mark.max_wire_len(content.len() as u64));
        ensure!(
            len as u64 <= max,
            TrueMaxWireLen,
            &written,
            "{len} bytes were written for {} bytes of content; `max_wire_len` gives {max} for them",
            content.len()
        );
    }
    Ok(())
}

/// Checks that the maximum does not decrease.
pub(super) fn max_wire_len_grows<M: Mark>(mark: &M) -> Check {
    let powers = (0..64).flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits]);
    let mut lens: Vec<u64> = (0..1030).chain(powers).chain([u64::MAX - 1, u64::MAX]).collect();
    lens.sort_unstable();
    let mut last = 0;
    for len in lens {
        let max = mark.max_wire_len(len);
        ensure!(
            max >= last.max(len),
            TrueMaxWireLen,
            &[],
            "`max_wire_len` gives {max} for {len} bytes of content, and {last} for less content"
        );
        last = max;
    }
    Ok(())
}

fn own_error_codes<M: Mark>(mark: &M, trace: &Trace<'_, M>) -> Check {
    let codes = trace.frames.iter().chain(&trace.open).filter_map(|span| match span.error {
        Some(FrameError::Custom { code, .. }) => Some(code),
        _ => None,
    });
    let written = match mark.encode(&[trace.bytes], &mut |_| {}) {
        Err(EncodeError::Custom { code, .. }) => Some(code),
        _ => None,
    };
    for code in codes.chain(written) {
        ensure!(code >= 0x8000, OwnErrorCodes, trace.bytes, "a refusal has the code {code:#06x}");
    }
    Ok(())
}

fn decode_undoes_encode<M: Mark>(mark: &M, content: &[u8]) -> Check {
    let Ok(written) = encode(mark, &[content]) else { return Ok(()) };
    let read = Trace::new(mark, &written);
    let comes_back = match &read.frames[..] {
        [span] => span.error.is_none() && span.content == content && span.end == written.len(),
        _ => false,
    };
    ensure!(
        comes_back && read.open.is_none() && !read.endless,
        DecodeUndoesEncode,
        &written,
        "the content {} was written so, and is read as {}",
        Hex(content),
        shown(&read)
    );
    Ok(())
}

/// Formats what was read.
pub(super) fn shown<M: Mark>(read: &Trace<'_, M>) -> String {
    let one = |span: &Span| match span.error {
        Some(error) => format!("an error ({error})"),
        None => format!("the content {}", Hex(&span.content)),
    };
    let mut all: Vec<String> = read.frames.iter().map(one).collect();
    if let Some(open) = &read.open {
        all.push(format!("{}, without an end", one(open)));
    }
    if all.is_empty() { "nothing".into() } else { all.join(", then ") }
}

fn slices_are_invisible<M: Mark>(mark: &M, content: &[u8]) -> Check {
    let whole = encode(mark, &[content]);
    let step = 1 + content.len() / 12;
    for (a, rest) in (0..=content.len()).step_by(step).filter_map(|at| content.split_at_checked(at))
    {
        let (b, c) = rest.split_at_checked(rest.len() / 2).unwrap_or((rest, &[]));
        let cut = encode(mark, &[a, &[], b, c, &[]]);
        ensure!(
            cut == whole,
            SlicesAreInvisible,
            content,
            "in one slice it gives {whole:02x?}, and in slices of {}, 0, {}, {} and 0 bytes {cut:02x?}",
            a.len(),
            b.len(),
            c.len()
        );
    }
    Ok(())
}

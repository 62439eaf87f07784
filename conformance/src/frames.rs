//! Written headers: whether they are decoded to the same values, and whether limits are symmetric.

use unstick::{
    DecodeError, Decoder, EncodeError, Format, Framing, Header, HeaderBuf, MAX_PAYLOAD_LEN, Parsed,
};

use super::violation::{Hex, Labelled, ensure, fail};
use super::{Promise, Violation};

type Check = Result<(), Violation>;

/// The promises about a meta and a payload length.
pub(super) const PROMISES: &[Promise] = &[
    Promise::NoPanic,
    Promise::BytesAlone,
    Promise::HeaderFits,
    Promise::TrueMaxPayload,
    Promise::DecodeUndoesEncode,
    Promise::LimitSymmetry,
];

/// Checks one of [`PROMISES`] for a header with this meta that announces `len` bytes.
pub(super) fn check<F: Format>(
    framing: &Framing<F>,
    promise: Promise,
    meta: &F::Meta,
    len: u64,
) -> Check {
    let format = framing.format();
    match promise {
        // The results do not matter here: the probe records a panic.
        Promise::NoPanic => {
            let _ = (bytes_alone(format, meta, len), decode_undoes_encode(format, meta, len));
            let _ = format.limit_of(meta);
            Ok(())
        }
        Promise::BytesAlone => bytes_alone(format, meta, len),
        Promise::HeaderFits => header_fits(format, meta, len),
        Promise::TrueMaxPayload => true_max_payload(format, meta, len),
        Promise::DecodeUndoesEncode => decode_undoes_encode(format, meta, len),
        Promise::LimitSymmetry => {
            limit_symmetry(framing, meta, len)?;
            // The same with limits around this length.
            let own = Framing::new(format).with_limit(len);
            limit_symmetry(&own, meta, len)?;
            limit_symmetry(&own, meta, len.saturating_add(1))
        }
        _ => Ok(()),
    }
}

/// Returns a header as the format writes it, or `None` if the format refuses, or claims a length
/// beyond its buffer.
pub(super) fn write<F: Format>(format: &F, meta: &F::Meta, len: u64) -> Option<Vec<u8>> {
    let mut out = F::HeaderBuf::ZERO;
    let written = format.encode_header(meta, len, &mut out).ok()?;
    out.as_ref().get(..written).filter(|bytes| !bytes.is_empty()).map(<[u8]>::to_vec)
}

fn bytes_alone<F: Format>(format: &F, meta: &F::Meta, len: u64) -> Check {
    let mut first = F::HeaderBuf::ZERO;
    let mut again = F::HeaderBuf::ZERO;
    again.as_mut().fill(0xEE);
    let results =
        (format.encode_header(meta, len, &mut first), format.encode_header(meta, len, &mut again));
    let (Ok(used), Ok(used_again)) = results else {
        ensure!(results.0 == results.1, BytesAlone, &[], "{}: {results:?}", Labelled(meta, len));
        return Ok(());
    };
    let first = first.as_ref().get(..used).unwrap_or_default();
    let again = again.as_ref().get(..used_again).unwrap_or_default();
    ensure!(
        first == again,
        BytesAlone,
        first,
        "{} was written so into a room of zeros, and into a room of other bytes as {}",
        Labelled(meta, len),
        Hex(again)
    );
    Ok(())
}

fn header_fits<F: Format>(format: &F, meta: &F::Meta, len: u64) -> Check {
    let mut out = F::HeaderBuf::ZERO;
    let (most, room) = (format.max_header_len(), F::HeaderBuf::LEN);
    if let Ok(used) = format.encode_header(meta, len, &mut out) {
        ensure!(
            (1..=most.min(room)).contains(&used),
            HeaderFits,
            out.as_ref(),
            "`encode_header` says that the header for {} has {used} bytes; `max_header_len` is \
             {most}, `HeaderBuf` has {room}",
            Labelled(meta, len)
        );
    }
    Ok(())
}

fn true_max_payload<F: Format>(format: &F, meta: &F::Meta, len: u64) -> Check {
    let most = format.max_payload_len();
    let mut out = F::HeaderBuf::ZERO;
    match format.encode_header(meta, len, &mut out) {
        Ok(used) => ensure!(
            len <= most,
            TrueMaxPayload,
            out.as_ref().get(..used).unwrap_or_default(),
            "a header for {} was written; `max_payload_len` is {most}, so `EncodeError::Oversize` \
             is due",
            Labelled(meta, len)
        ),
        Err(error) => ensure!(
            len > most,
            TrueMaxPayload,
            &[],
            "{} was refused ({error}); `max_payload_len` is {most}",
            Labelled(meta, len)
        ),
    }
    Ok(())
}

fn decode_undoes_encode<F: Format>(format: &F, meta: &F::Meta, len: u64) -> Check {
    let Some(bytes) = write(format, meta, len).filter(|_| len <= format.max_payload_len()) else {
        return Ok(());
    };
    match format.decode_header(&bytes) {
        Ok(Parsed::Header(Header { meta: found, payload_len, header_len }))
            if found == *meta && payload_len == len && header_len == bytes.len() =>
        {
            Ok(())
        }
        answer => fail!(
            DecodeUndoesEncode,
            &bytes,
            "{} was written so, and is read as {answer:?}",
            Labelled(meta, len)
        ),
    }
}

/// Checks that the encoder accepts under a limit what the decoder accepts, and vice versa.
fn limit_symmetry<F: Format>(framing: &Framing<F>, meta: &F::Meta, len: u64) -> Check {
    let format = framing.format();
    let limit = framing.limit().min(format.limit_of(meta));
    let most = format.max_payload_len().min(MAX_PAYLOAD_LEN);
    ensure!(limit <= most, LimitSymmetry, &[], "a limit of {limit}, above {most}");
    let written = framing.encode_header(meta, len);
    let want = if len <= limit { None } else { Some(EncodeError::Oversize { len, limit }) };
    ensure!(
        written.as_ref().err() == want.as_ref(),
        LimitSymmetry,
        &[],
        "under a limit of {limit}, to write {} gives {:?}",
        Labelled(meta, len),
        written.as_ref().map(|_| ())
    );
    // A decoder with the same limit refuses the header that the encoder did not write.
    let Some(bytes) = write(format, meta, len) else { return Ok(()) };
    let mut decoder = Decoder::with_framing(Framing::new(format).with_limit(framing.limit()));
    let read = decoder
        .decode(&mut &bytes[..])
        .map(|piece| piece.and_then(|piece| piece.header).map(|header| header.payload_len));
    let want =
        if len <= limit { Ok(Some(len)) } else { Err(DecodeError::Oversize { at: 0, len, limit }) };
    ensure!(
        read == want,
        LimitSymmetry,
        &bytes,
        "under a limit of {limit}, a header for {} is read as {read:?}",
        Labelled(meta, len)
    );
    Ok(())
}

/// Checks that equal metas have the same limit, including the meta that a receiver decodes, and that
/// encoder and decoder agree at this limit and one byte above it.
pub(super) fn limit_of_meta<F: Format>(format: &F, meta: &F::Meta) -> Check {
    let limit = format.limit_of(meta);
    let read = write(format, meta, 0).and_then(|bytes| match format.decode_header(&bytes) {
        Ok(Parsed::Header(header)) if header.meta == *meta => Some((bytes, header.meta)),
        _ => None, // a violation of `decode_undoes_encode`
    });
    let (bytes, read) = read.unwrap_or_else(|| (Vec::new(), meta.clone()));
    for (again, bytes) in [(meta, &[][..]), (&meta.clone(), &[]), (&read, &bytes)] {
        let again = format.limit_of(again);
        ensure!(
            again == limit,
            LimitSymmetry,
            bytes,
            "`limit_of` meta {meta:?} gives {limit}, and then {again}"
        );
    }
    let most = format.max_payload_len().min(MAX_PAYLOAD_LEN);
    let unlimited = Framing::new(format).with_limit(most);
    limit_symmetry(&unlimited, meta, limit)?;
    limit_symmetry(&unlimited, meta, limit.saturating_add(1))
}

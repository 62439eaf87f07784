//! The laws of a format, tested with bytes that a header may start with.

use unstick::{Format, Header, HeaderBuf, HeaderError, Parsed};

use super::violation::{Hex, ensure, fail};
use super::{Promise, Violation};

type Check = Result<(), Violation>;
type Answer<M> = Result<Parsed<M>, HeaderError>;

/// Bytes that may follow a header: those that a careless format takes for a part of it.
const TAILS: [&[u8]; 6] =
    [&[0; 9], &[0xFF; 9], &[0x80; 9], &[1; 9], b"\r\n\r\n 0:=\"", &[1, 2, 3, 4, 5, 6, 7, 8, 9]];

/// The promises about header bytes alone.
pub(super) const PROMISES: &[Promise] = &[
    Promise::NoPanic,
    Promise::BytesAlone,
    Promise::ShortestHeader,
    Promise::NoOverRead,
    Promise::DecidedForGood,
    Promise::HonestNeed,
    Promise::HeaderFits,
    Promise::TrueMaxPayload,
    Promise::WholeHeaderAgrees,
    Promise::ResumeHeaderAgrees,
    Promise::OwnErrorCodes,
    Promise::DecodeUndoesEncode,
    Promise::EncodeUndoesDecode,
    Promise::SingleBitErrors,
    Promise::ResyncIsExact,
];

/// The promises about the format's own answers, on which everything else depends. If one of them is
/// broken, other violations are its consequences.
const LAWS: &[Promise] = &[
    Promise::NoPanic,
    Promise::BytesAlone,
    Promise::ShortestHeader,
    Promise::NoOverRead,
    Promise::DecidedForGood,
    Promise::HonestNeed,
    Promise::HeaderFits,
    Promise::TrueMaxPayload,
    Promise::WholeHeaderAgrees,
    Promise::ResumeHeaderAgrees,
];

/// Returns the laws on which a promise depends. Empty if it is a law itself.
pub(super) fn beneath(promise: Promise) -> &'static [Promise] {
    let alone = promise == Promise::OwnErrorCodes || LAWS.contains(&promise);
    if alone { &[] } else { LAWS }
}

/// Returns the first of these laws that is broken by a header somewhere in the bytes.
pub(super) fn broken_within<F: Format>(
    format: &F,
    laws: &[Promise],
    bytes: &[u8],
) -> Option<Violation> {
    let window = F::HeaderBuf::LEN.saturating_add(4);
    (0..bytes.len()).find_map(|from| {
        let beginning = bytes.get(from..).unwrap_or_default();
        let beginning = beginning.get(..window).unwrap_or(beginning);
        let prefixes = Prefixes::new(format, beginning, None);
        laws.iter().find_map(|law| prefixes.check(*law).err())
    })
}

/// Some bytes, and the format's answer to each of their prefixes.
pub(super) struct Prefixes<'a, F: Format> {
    format: &'a F,
    bytes: &'a [u8],
    /// `answers[n]` is the answer to the first `n` bytes.
    answers: Vec<Answer<F::Meta>>,
    /// The bits that the check of a self-checking format leaves out on purpose.
    unchecked: Option<F::HeaderBuf>,
    /// Whether every header has exactly one encoding.
    canonical: bool,
}

impl<'a, F: Format> Prefixes<'a, F> {
    pub(super) fn new(format: &'a F, bytes: &'a [u8], unchecked: Option<F::HeaderBuf>) -> Self {
        let prefix = |len| format.decode_header(bytes.get(..len).unwrap_or_default());
        let answers = (0..=bytes.len()).map(prefix).collect();
        Self { format, bytes, answers, unchecked, canonical: true }
    }

    /// Sets whether every header has exactly one encoding.
    pub(super) fn with_canonical(self, canonical: bool) -> Self {
        Self { canonical, ..self }
    }

    /// Checks one of [`PROMISES`].
    pub(super) fn check(&self, promise: Promise) -> Check {
        match promise {
            // The results do not matter here: the probe records a panic.
            Promise::NoPanic => {
                let _ = (self.whole_header_agrees(), self.resume_header_agrees());
                let _ = (self.decode_undoes_encode(), self.header_fits());
                Ok(())
            }
            Promise::BytesAlone => self.bytes_alone(),
            Promise::DecidedForGood => self.decided_for_good(),
            Promise::ShortestHeader => self.shortest_header(),
            Promise::NoOverRead => self.no_over_read(),
            Promise::HonestNeed => self.honest_need(),
            Promise::HeaderFits => self.header_fits(),
            Promise::TrueMaxPayload => self.true_max_payload(),
            Promise::WholeHeaderAgrees => self.whole_header_agrees(),
            Promise::ResumeHeaderAgrees => self.resume_header_agrees(),
            Promise::OwnErrorCodes => self.own_error_codes(),
            Promise::DecodeUndoesEncode => self.decode_undoes_encode(),
            Promise::EncodeUndoesDecode => self.encode_undoes_decode(),
            Promise::SingleBitErrors => self.single_bit_errors(),
            Promise::ResyncIsExact => self.header_of_one_length(),
            _ => Ok(()),
        }
    }

    fn prefix(&self, len: usize) -> &'a [u8] {
        self.bytes.get(..len).unwrap_or_default()
    }

    /// Returns the answers, each with the length of its prefix.
    fn each(&self) -> impl Iterator<Item = (usize, &Answer<F::Meta>)> {
        self.answers.iter().enumerate()
    }

    fn headers(&self) -> impl Iterator<Item = (usize, &Header<F::Meta>)> {
        self.each().filter_map(|(len, answer)| match answer {
            Ok(Parsed::Header(header)) => Some((len, header)),
            _ => None,
        })
    }

    /// Returns the header at the start of the bytes, if the answer to exactly its own bytes is that
    /// header.
    fn exact_header(&self) -> Option<(&'a [u8], &Header<F::Meta>)> {
        let (len, header) = self.headers().next()?;
        (header.header_len == len).then(|| (self.prefix(len), header))
    }

    fn bytes_alone(&self) -> Check {
        // In reverse order, and each after other bytes.
        for (len, first) in self.each().collect::<Vec<_>>().into_iter().rev() {
            let prefix = self.prefix(len);
            let now = self.format.decode_header(prefix);
            ensure!(now == *first, BytesAlone, prefix, "first {first:?}, and then {now:?}");
            let _ = self.format.decode_header(b"?");
            let now = self.format.decode_header(prefix);
            ensure!(now == *first, BytesAlone, prefix, "first {first:?}, and then {now:?}");
        }
        Ok(())
    }

    fn decided_for_good(&self) -> Check {
        let decided = |(_, answer): &(usize, &Answer<_>)| !matches!(answer, Ok(Parsed::Need(_)));
        let Some((at, first)) = self.each().find(decided) else { return Ok(()) };
        let same = |answer: &Answer<_>| match first {
            Err(_) => answer.is_err(),
            Ok(_) => answer == first,
        };
        let changed = |bytes: &[u8], answer: &Answer<_>| -> Check {
            fail!(
                DecidedForGood,
                bytes,
                "{} gave {first:?}, and with what follows {answer:?}",
                count(at)
            )
        };
        if let Some((len, answer)) = self.each().skip(at).find(|(_, answer)| !same(answer)) {
            return changed(self.prefix(len), answer);
        }
        for tail in TAILS {
            for len in [1, 2, tail.len()] {
                let tail = tail.get(..len).unwrap_or_default();
                let longer = [self.prefix(at), tail].concat();
                let answer = self.format.decode_header(&longer);
                if !same(&answer) {
                    return changed(&longer, &answer);
                }
            }
        }
        Ok(())
    }

    fn shortest_header(&self) -> Check {
        for (len, header) in self.headers() {
            let own = header.header_len;
            let prefix = self.prefix(len);
            ensure!(own >= 1, ShortestHeader, prefix, "a header of no bytes: {header:?}");
            ensure!(own <= len, ShortestHeader, prefix, "{} are no {header:?}", count(len));
            let shorter = self.headers().find(|(shorter, _)| *shorter < own);
            if let Some((shorter, other)) = shorter {
                let shorter = count(shorter);
                fail!(ShortestHeader, prefix, "{header:?}, but {shorter} gave {other:?}");
            }
        }
        Ok(())
    }

    fn no_over_read(&self) -> Check {
        for (len, header) in self.headers() {
            let own = header.header_len;
            let Some(answer) = self.answers.get(own).filter(|_| own < len) else { continue };
            let same = matches!(answer, Ok(Parsed::Header(first)) if first == header);
            ensure!(
                same,
                NoOverRead,
                self.prefix(len),
                "{header:?}, but its own {} gave {answer:?}",
                count(own)
            );
        }
        Ok(())
    }

    fn honest_need(&self) -> Check {
        let mut most = 0;
        for (len, answer) in self.each() {
            let prefix = self.prefix(len);
            match answer {
                Ok(Parsed::Need(need)) => {
                    ensure!(*need > len, HonestNeed, prefix, "`Need({need})` of {}", count(len));
                    most = most.max(*need);
                }
                Ok(Parsed::Header(header)) => ensure!(
                    header.header_len >= most,
                    HonestNeed,
                    prefix,
                    "{header:?}, but fewer bytes gave `Need({most})`"
                ),
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn header_fits(&self) -> Check {
        let (most, room) = (self.format.max_header_len(), F::HeaderBuf::LEN);
        for (len, header) in self.headers() {
            let own = header.header_len;
            ensure!(
                (1..=room).contains(&most),
                HeaderFits,
                self.prefix(len),
                "`max_header_len` is {most}, `HeaderBuf` has {room}"
            );
            ensure!(
                own <= most,
                HeaderFits,
                self.prefix(len),
                "a header of {own} bytes; `max_header_len` is {most}, `HeaderBuf` has {room} \
                 (refuse a longer one, or ask for a byte more than there is room for)"
            );
        }
        Ok(())
    }

    fn true_max_payload(&self) -> Check {
        let most = self.format.max_payload_len();
        for (len, header) in self.headers() {
            let announced = header.payload_len;
            ensure!(
                announced <= most,
                TrueMaxPayload,
                self.prefix(len),
                "a header announces {announced} bytes; `max_payload_len` is {most}"
            );
        }
        Ok(())
    }

    fn whole_header_agrees(&self) -> Check {
        for (len, answer) in self.each() {
            let prefix = self.prefix(len);
            let whole = self.format.whole_header(prefix);
            let same = match answer {
                Ok(Parsed::Header(header)) => whole.as_ref() == Some(header),
                _ => whole.is_none(),
            };
            ensure!(same, WholeHeaderAgrees, prefix, "it gives {whole:?}, the other {answer:?}");
        }
        Ok(())
    }

    fn resume_header_agrees(&self) -> Check {
        for (len, answer) in self.each() {
            let prefix = self.prefix(len);
            for seen in 0..len {
                if seen > 0 && !matches!(self.answers.get(seen), Some(Ok(Parsed::Need(_)))) {
                    break;
                }
                // For a long header, only the lengths at both ends.
                if (3..len.saturating_sub(2)).contains(&seen) {
                    continue;
                }
                let resumed = self.format.resume_header(prefix, seen);
                ensure!(
                    resumed == *answer,
                    ResumeHeaderAgrees,
                    prefix,
                    "with {seen} seen it gives {resumed:?}, `decode_header` {answer:?}"
                );
            }
        }
        Ok(())
    }

    fn own_error_codes(&self) -> Check {
        for (len, answer) in self.each() {
            if let Err(HeaderError::Custom { code, .. }) = answer {
                ensure!(
                    *code >= 0x8000,
                    OwnErrorCodes,
                    self.prefix(len),
                    "refused with code 0x{code:04x}"
                );
            }
        }
        Ok(())
    }

    /// Checks that a decoded header, encoded again, is decoded to the same values.
    fn decode_undoes_encode(&self) -> Check {
        let Some((bytes, header)) = self.exact_header() else { return Ok(()) };
        let mut out = F::HeaderBuf::ZERO;
        let written = self.format.encode_header(&header.meta, header.payload_len, &mut out);
        let Some(again) = written.ok().and_then(|len| out.as_ref().get(..len)) else {
            return Ok(());
        };
        match self.format.decode_header(again) {
            Ok(Parsed::Header(Header { meta, payload_len, .. }))
                if meta == header.meta && payload_len == header.payload_len =>
            {
                Ok(())
            }
            answer => fail!(
                DecodeUndoesEncode,
                bytes,
                "{header:?}, written again as {}, is read as {answer:?}",
                Hex(again)
            ),
        }
    }

    fn encode_undoes_decode(&self) -> Check {
        let Some((bytes, header)) = self.exact_header() else { return Ok(()) };
        if !self.canonical || header.payload_len > self.format.max_payload_len() {
            return Ok(());
        }
        let mut out = F::HeaderBuf::ZERO;
        let written = self.format.encode_header(&header.meta, header.payload_len, &mut out);
        let again = match written {
            Ok(len) => out.as_ref().get(..len).unwrap_or_default(),
            Err(error) => fail!(
                EncodeUndoesDecode,
                bytes,
                "{header:?} was read, and is refused when it is written: {error}"
            ),
        };
        ensure!(
            again == bytes,
            EncodeUndoesDecode,
            bytes,
            "{header:?} is written as {}; if a header may have several forms, call \
             `Kit::not_canonical`; but if the header has a check, or reserved bits that must be \
             refused, `decode_header` accepts too much",
            Hex(again)
        );
        Ok(())
    }

    fn single_bit_errors(&self) -> Check {
        let (Some((bytes, _)), Some(unchecked)) = (self.exact_header(), &self.unchecked) else {
            return Ok(());
        };
        single_bit_errors(self.format, bytes, unchecked)
    }

    fn header_of_one_length(&self) -> Check {
        let searched = self.unchecked.is_some();
        let Some((bytes, header)) = self.exact_header().filter(|_| searched) else {
            return Ok(());
        };
        let room = F::HeaderBuf::LEN;
        ensure!(
            header.header_len == room,
            ResyncIsExact,
            bytes,
            "a header of {} bytes; in a `SelfChecking` format all have the {room} of `HeaderBuf`",
            header.header_len
        );
        Ok(())
    }
}

/// Checks that this header is invalid after any single bit is changed, except the bits that are
/// unchecked on purpose.
pub(super) fn single_bit_errors<F: Format>(
    format: &F,
    header: &[u8],
    unchecked: &F::HeaderBuf,
) -> Check {
    let mut changed = header.to_vec();
    for (at, left_out) in (0..header.len()).zip(unchecked.as_ref()) {
        for bit in (0..8).map(|bit| 1_u8 << bit).filter(|bit| left_out & bit == 0) {
            let flip = |bytes: &mut [u8]| {
                bytes.get_mut(at).map_or(0, |byte| {
                    *byte ^= bit;
                    *byte
                })
            };
            let now = flip(&mut changed);
            let answer = format.decode_header(&changed);
            ensure!(
                !matches!(answer, Ok(Parsed::Header(_))),
                SingleBitErrors,
                header,
                "with byte {at} changed to {now:02x} it is still a header, {answer:?}; does the \
                 check cover that byte? If it leaves out bits on purpose, name them with \
                 `Kit::unchecked_bits`"
            );
            flip(&mut changed);
        }
    }
    Ok(())
}

fn count(bytes: usize) -> std::string::String {
    if bytes == 1 { "1 byte".into() } else { format!("{bytes} bytes") }
}

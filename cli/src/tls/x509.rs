//! What a listener says about its own certificate before a peer does: when it is valid, and whether it is
//! that of a CA.

/// The parts of a certificate that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The first and the last second at which it is valid, since 1970.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    pub(super) is_ca: bool,
}

const INTEGER: u8 = 0x02;
const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version, and the extensions.
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_3: u8 = 0xa3;
/// 2.5.29.19
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// Elements of DER.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Takes the next element: its tag and its contents.
    fn next(&mut self) -> Option<(u8, Der<'a>)> {
        let (tag, rest) = self.0.split_first()?;
        let (first, mut rest) = rest.split_first()?;
        let len = match first {
            0..=0x7f => usize::from(*first),
            0x81..=0x84 => {
                let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
                rest = after;
                bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte))
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((*tag, Der(contents)))
    }

    /// Takes the next element, which has to have this tag.
    fn take(&mut self, tag: u8) -> Option<Der<'a>> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, contents)| contents)
    }
}

/// Reads a certificate. `None` if it is not understood, in which case there is nothing to say about it.
pub(super) fn facts(certificate: &[u8]) -> Option<Facts> {
    let mut body = Der(certificate).take(SEQUENCE)?.take(SEQUENCE)?;
    if body.0.first() == Some(&CONTEXT_0) {
        body.next()?;
    }
    body.take(INTEGER)?; // the serial number
    body.take(SEQUENCE)?; // the algorithm
    body.take(SEQUENCE)?; // the issuer
    let mut validity = body.take(SEQUENCE)?;
    let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
    let mut is_ca = false;
    while let Some((tag, mut contents)) = body.next() {
        if tag == CONTEXT_3 {
            let mut extensions = contents.take(SEQUENCE)?;
            while let Some(extension) = extensions.take(SEQUENCE) {
                is_ca |= makes_ca(extension).unwrap_or(false);
            }
        }
    }
    Some(Facts { not_before, not_after, is_ca })
}

/// Returns whether an extension says that the certificate is that of a CA.
fn makes_ca(mut extension: Der<'_>) -> Option<bool> {
    if extension.take(OID)?.0 != BASIC_CONSTRAINTS {
        return Some(false);
    }
    let (mut tag, mut value) = extension.next()?;
    if tag == BOOLEAN {
        (tag, value) = extension.next()?; // after whether it is critical
    }
    let is_ca = (tag == OCTET_STRING).then_some(value)?.take(SEQUENCE)?.take(BOOLEAN)?;
    Some(is_ca.0 != [0])
}

/// Takes a time: `YYMMDDhhmmssZ` of 1950 to 2049, or `YYYYMMDDhhmmssZ`.
fn time(validity: &mut Der<'_>) -> Option<i64> {
    let (tag, text) = validity.next()?;
    let text = std::str::from_utf8(text.0).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let year: i64 = text.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        GENERALIZED_TIME => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    // The days of years that begin in March (after Howard Hinnant's `days_from_civil`).
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let in_era = year.rem_euclid(400);
    let days =
        era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + (153 * month + 2) / 5 + day
            - 719_469;
    Some(days * 86_400 + part(4)? * 3600 + part(6)? * 60 + part(8)?)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn dates_and_constraints_are_read() {
        for (year, month, day) in
            [(1970, 1, 1), (2000, 2, 29), (2021, 12, 31), (2049, 3, 1), (2051, 1, 1)]
        {
            let (from, to) = (date_time_ymd(year, month, day), date_time_ymd(4096, 1, 1));
            let der = certificate(|params| (params.not_before, params.not_after) = (from, to));
            let found = facts(&der).unwrap();
            assert_eq!(found.not_before, from.unix_timestamp());
            assert_eq!(found.not_after, to.unix_timestamp());
            assert!(!found.is_ca);
        }
        for (is_ca, expected) in [
            (IsCa::NoCa, false),
            (IsCa::ExplicitNoCa, false),
            (IsCa::Ca(BasicConstraints::Unconstrained), true),
            (IsCa::Ca(BasicConstraints::Constrained(0)), true),
        ] {
            let der = certificate(|params| params.is_ca = is_ca);
            assert_eq!(facts(&der).unwrap().is_ca, expected, "{is_ca:?}");
        }
    }

    #[test]
    fn no_prefix_and_no_changed_byte_makes_it_fail() {
        let der = certificate(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        for end in 0..der.len() {
            assert_eq!(facts(&der[..end]), None);
        }
        for at in 0..der.len() {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut changed = der.clone();
                changed[at] = byte;
                let _ = facts(&changed);
            }
        }
    }
}

//! What went wrong with TLS, in words: what a certificate lacks, what an alert of the peer means, and what
//! it speaks instead of TLS.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

use super::pin::NotPinned;
use crate::term::preview::preview;

/// How a certificate is made that is no CA's.
pub(super) const NO_CA: &str = "make it with `-addext basicConstraints=CA:FALSE`";

/// What is said of a certificate without extensions, which TLS does not take.
pub(super) const VERSION_1: &str = "is X.509 version 1, as `openssl x509 -req` makes it; add -extfile with \
                                    basicConstraints=CA:FALSE";

/// The side whose error is explained.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Listener,
    Sender,
}

/// An alert of the peer.
#[derive(Debug)]
struct Alert(AlertDescription);

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer ended TLS: {}", meaning(self.0, None))
    }
}

impl StdError for Alert {}

/// Returns the error with the meaning of the alert, if it is one.
pub(super) fn alert(error: io::Error) -> io::Error {
    match tls_error(&error) {
        Some(Error::AlertReceived(alert)) => {
            let alert = Alert(*alert);
            io::Error::new(error.kind(), alert)
        }
        _ => error,
    }
}

/// Returns whether the error is an alert of the peer, which says everything itself.
pub(crate) fn is_alert(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Alert>())
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Returns what an alert means, and what to try. The side is known in a handshake.
fn meaning(alert: AlertDescription, side: Option<Side>) -> String {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired | A::NoCertificate => {
            "it demands a certificate; give --tls-cert and --tls-key".to_owned()
        }
        A::UnknownCA => {
            "it does not know the CA of this side's certificate; is that CA in its --tls-ca?".to_owned()
        }
        A::CertificateExpired => {
            "this side's certificate has expired, or is not valid yet; renew it, or is a clock wrong?"
                .to_owned()
        }
        A::CertificateRevoked => {
            "this side's certificate is revoked; take another --tls-cert".to_owned()
        }
        A::BadCertificate | A::CertificateUnknown | A::UnsupportedCertificate => format!(
            "it refuses this side's certificate ({alert:?}); {}is it for the name or address that the \
             peer knows this side by, and no CA's? If it is one, {NO_CA}",
            // A listener that is refused in the handshake: senders alone have pins.
            if side == Some(Side::Listener) { "has the sender another --tls-pin? Or " } else { "" }
        ),
        A::DecryptError => {
            "a signature is wrong (DecryptError); do certificate and key belong together?".to_owned()
        }
        A::ProtocolVersion => {
            "it speaks no version of TLS that this side does; this one speaks 1.2 and 1.3".to_owned()
        }
        A::HandshakeFailure | A::InsufficientSecurity => format!(
            "it has no cipher or kind of key in common with this side ({alert:?}); take a key of \
             ECDSA P-256 or of RSA"
        ),
        A::AccessDenied => "it gives no access; does it take this side's certificate?".to_owned(),
        A::UnexpectedMessage | A::DecodeError | A::RecordOverflow => format!(
            "it did not understand ({alert:?}); does it speak TLS at this port, and not in the middle \
             of another protocol?"
        ),
        alert => format!("{alert:?}; does it speak TLS 1.2 or 1.3?"),
    }
}

/// Explains why a handshake failed. `first` is what the peer sent first.
pub(super) fn handshake(side: Side, error: &io::Error, first: &[u8]) -> String {
    if let Some(text) = without_tls(side, first) {
        return text;
    }
    match tls_error(error) {
        Some(Error::AlertReceived(alert)) => {
            return format!("the peer ended TLS: {}", meaning(*alert, Some(side)));
        }
        Some(Error::InvalidCertificate(why)) => {
            return format!("no TLS with this peer: {}", certificate(side, why));
        }
        Some(Error::NoCertificatesPresented) => {
            return "no TLS with this peer: it has no certificate, which --tls-ca demands; it has to \
                    give --tls-cert and --tls-key"
                .to_owned();
        }
        _ => {}
    }
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    let is_cut = matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof);
    if is_cut && first.is_empty() {
        return "no TLS with this peer: it ended the connection without a word of TLS; does it speak \
                TLS?"
            .to_owned();
    }
    if is_cut {
        return "no TLS with this peer: it ended the connection in the middle of the handshake; does it \
                know the CA of this side's certificate?"
            .to_owned();
    }
    format!("no TLS with this peer: {error}; does it speak TLS?")
}

/// Returns what a peer speaks whose first bytes are no TLS; `None` if they are, or if nothing came.
pub(super) fn without_tls(side: Side, first: &[u8]) -> Option<String> {
    // The types of records: change of ciphers, alert, handshake, and data.
    if matches!(first.first()?, 0x14..=0x17) && first.get(1).is_none_or(|major| *major == 3) {
        return None;
    }
    let what = if first.starts_with(&[0xf5]) {
        "v1 without TLS".to_owned()
    } else {
        let shown = preview(first, first.len() as u64, 40);
        format!("without TLS, its first bytes are {shown}")
    };
    Some(match side {
        Side::Listener => format!("the peer speaks {what}; it has to give --tls-ca or --tls-pin"),
        Side::Sender => format!(
            "the peer speaks {what}; leave --tls-ca and --tls-pin out, or start it with --tls-cert and \
             --tls-key"
        ),
    })
}

/// Returns what is wrong with the peer's certificate, and what to try.
fn certificate(side: Side, error: &CertificateError) -> String {
    use CertificateError as C;
    let renew = "it has to be renewed, or is this machine's clock wrong?";
    match error {
        C::ExpiredContext { time, not_after } => format!(
            "its certificate expired on {}, and here it is {}; {renew}",
            date(not_after.as_secs()),
            date(time.as_secs())
        ),
        C::NotValidYetContext { time, not_before } => format!(
            "its certificate is valid from {} on, and here it is {}; is a clock wrong?",
            date(not_before.as_secs()),
            date(time.as_secs())
        ),
        C::Expired => format!("its certificate has expired; {renew}"),
        C::UnknownIssuer => format!(
            "no CA in --tls-ca has signed its certificate (UnknownIssuer); take the file of the CA \
             that {}",
            if side == Side::Sender { "did, or --tls-pin" } else { "did" }
        ),
        C::NotValidForName | C::NotValidForNameContext { .. } => {
            format!(
                "{error}; connect to a name that it has, or put this one into its subjectAltName"
            )
        }
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
            let usage = if side == Side::Sender { "serverAuth" } else { "clientAuth" };
            format!("{error}; make the certificate with extendedKeyUsage={usage}")
        }
        C::Other(other) => {
            if let Some(other) = other.0.downcast_ref::<NotPinned>() {
                return other.to_string();
            }
            let text = other.0.to_string();
            if text.contains("CaUsedAsEndEntity") {
                let other = if side == Side::Sender {
                    ", or give --tls-pin instead of --tls-ca"
                } else {
                    ""
                };
                return format!(
                    "its certificate is that of a CA (CaUsedAsEndEntity), as a plain `openssl req \
                     -x509` makes it; {NO_CA}{other}"
                );
            }
            if text.contains("UnsupportedCertVersion") {
                return format!("its certificate {VERSION_1}");
            }
            format!("its certificate is refused: {text}; is it an X.509 certificate of version 3?")
        }
        error => format!("its certificate is refused: {error}; is --tls-ca the right one?"),
    }
}

/// Formats a time in seconds since 1970 as a date.
pub(super) fn date(seconds: u64) -> String {
    // The days of eras of 400 years, which begin in March (after Howard Hinnant's `civil_from_days`).
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (1_609_459_199, "2020-12-31"),
            (1_609_459_200, "2021-01-01"),
            (4_107_542_400, "2100-03-01"),
            (253_402_300_799, "9999-12-31"),
        ] {
            assert_eq!(date(seconds), text);
        }
    }

    #[test]
    fn bytes_that_are_no_tls_are_named() {
        for first in [&b""[..], b"\x16", b"\x16\x03\x01", b"\x15\x03\x03\0\x02\x02\x28"] {
            assert_eq!(without_tls(Side::Sender, first), None, "{first:?}");
        }
        for (first, what) in [
            (&b"\xf5\x01"[..], "the peer speaks v1 without TLS; "),
            (b"GET / HTTP/1.1", "without TLS, its first bytes are \"GET / HTTP/1.1\"; "),
            (b"\x16\x00", "without TLS, its first bytes are 16 00; "),
            (b"\x1b[31m", "without TLS, its first bytes are "),
        ] {
            for side in [Side::Sender, Side::Listener] {
                let text = without_tls(side, first).unwrap();
                assert!(text.contains(what) && !text.contains('\u{1b}'), "{text}");
            }
        }
    }

    #[test]
    fn every_alert_has_something_to_try() {
        for number in 0..=255 {
            let text = meaning(AlertDescription::from(number), Some(Side::Listener));
            assert!(text.contains("; "), "{text}");
        }
    }
}

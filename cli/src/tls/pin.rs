//! Certificates known by their fingerprint, without a CA.

use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
};

use crate::term::preview::plain_hex;

const PREFIX: &str = "sha256:";

/// The SHA-256 of a certificate's DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin([u8; 32]);

impl Pin {
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", plain_hex(&self.0))
    }
}

impl FromStr for Pin {
    type Err = String;

    /// Parses `sha256:` and 64 hexadecimal digits, with or without colons between bytes, as `listen` and
    /// `openssl x509 -fingerprint -sha256` print them.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        let digits = [PREFIX, "sha256 fingerprint=", "sha256="]
            .into_iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(&text);
        let wrong = || {
            "give sha256: and the 64 hexadecimal digits that the listener prints, or that \
             `openssl x509 -noout -fingerprint -sha256 -in FILE` does"
                .to_owned()
        };
        let digits: Vec<_> = digits.bytes().filter(|byte| *byte != b':').collect();
        if digits.len() != 64 {
            return Err(wrong());
        }
        let mut pin = [0; 32];
        for (byte, pair) in pin.iter_mut().zip(digits.chunks(2)) {
            let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
            let both = digit(0).zip(digit(1)).ok_or_else(wrong)?;
            *byte = u8::try_from(both.0 * 16 + both.1).map_err(|_| wrong())?;
        }
        Ok(Self(pin))
    }
}

/// The error for a certificate with another fingerprint.
#[derive(Debug)]
pub(super) struct NotPinned {
    found: Pin,
}

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "its certificate is another one than that of --tls-pin, {}; was it renewed, or is this \
             another listener?",
            self.found
        )
    }
}

impl StdError for NotPinned {}

/// Takes exactly the certificate with a fingerprint, for any name and at any time. That the peer has its
/// key is verified as ever.
#[derive(Debug)]
pub(super) struct Pinned {
    pin: Pin,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    pub(super) fn new(pin: Pin, provider: &CryptoProvider) -> Arc<Self> {
        Arc::new(Self { pin, algorithms: provider.signature_verification_algorithms })
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = Pin::of(end_entity);
        if found == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        let error = OtherError(Arc::new(NotPinned { found }));
        Err(CertificateError::Other(error).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
    use tokio_rustls::rustls::version::{TLS12, TLS13};
    use tokio_rustls::rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// Performs a handshake with a server that shows a certificate and signs with a key, which need not
    /// belong together.
    async fn handshake(
        pin: Pin,
        certificate: &CertificateDer<'static>,
        key: &KeyPair,
        version: &'static SupportedProtocolVersion,
    ) -> Result<(), String> {
        let provider = Arc::new(ring::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let shown = CertifiedKey::new(vec![certificate.clone()], any_supported_type(&key).unwrap());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Pinned::new(pin, &provider))
            .with_no_client_auth();
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let accepting = TlsAcceptor::from(Arc::new(server)).accept(theirs);
        tokio::spawn(async move { accepting.await.map(drop) });
        let name = ServerName::try_from("localhost").unwrap();
        let connected = TlsConnector::from(Arc::new(client)).connect(name, ours).await;
        connected.map(drop).map_err(|error| error.to_string())
    }

    /// Whoever copies the certificate, which everybody sees, does not have its key.
    #[tokio::test]
    async fn a_copied_certificate_is_refused_without_its_key() {
        let (own, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let params = CertificateParams::new(vec!["any.test".to_owned()]).unwrap();
        let certificate = params.self_signed(&own).unwrap().der().clone();
        let pin = Pin::of(&certificate);
        for version in [&TLS12, &TLS13] {
            assert_eq!(handshake(pin, &certificate, &own, version).await, Ok(()));
            let error = handshake(pin, &certificate, &other, version).await.unwrap_err();
            assert!(error.contains("BadSignature"), "{error}");
            let error = handshake(Pin([0; 32]), &certificate, &own, version).await.unwrap_err();
            assert!(error.contains("NotPinned"), "{error}");
        }
    }

    #[test]
    fn fingerprints_are_parsed_as_they_are_printed() {
        let pin = Pin::of(&CertificateDer::from(b"x".to_vec()));
        let text = pin.to_string();
        let digits = text.strip_prefix(PREFIX).unwrap();
        let colons: Vec<_> =
            digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
        let colons = colons.join(":").to_ascii_uppercase();
        for text in [
            text.clone(),
            text.to_ascii_uppercase(),
            digits.to_owned(),
            colons.clone(),
            format!("SHA256:{colons}"),
            format!("sha256 Fingerprint={colons}\n"),
        ] {
            assert_eq!(text.parse(), Ok(pin), "{text}");
        }
        for text in ["", "sha256:", "sha1:00", &digits[1..], &format!("{digits}0"), &"x".repeat(64)]
        {
            assert!(text.parse::<Pin>().is_err(), "{text}");
        }
        let wide = "é".repeat(32);
        assert!(wide.parse::<Pin>().is_err());
    }
}

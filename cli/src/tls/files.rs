//! Certificates and keys in files.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::explain::{NO_CA, date};
use super::pin::Pin;
use super::x509;
use crate::term::output::{Failure, note};

/// A certificate with the chain after it, and its key.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(super) fn read(cert: &Path, key: &Path) -> Result<Self, Failure> {
        let chain = certificates(cert)?;
        Ok(Self { chain, key: private_key(key)? })
    }

    /// Warns of what peers are going to refuse.
    pub(super) fn warn(&self, cert: &Path, of_listener: bool) {
        let Some(first) = self.chain.first() else { return };
        let Some(facts) = x509::facts(first) else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let shown = |time: i64| date(time.try_into().unwrap_or(0));
        let warn = |what: String| note(&format!("unstick: warning: {} {what}", cert.display()));
        if now > facts.not_after {
            warn(format!(
                "expired on {}, and peers refuse it; renew it, or is the clock wrong ({} here)?",
                shown(facts.not_after),
                shown(now)
            ));
        }
        if now < facts.not_before {
            warn(format!(
                "is valid from {} on, and peers refuse it until then; is the clock wrong ({} here)?",
                shown(facts.not_before),
                shown(now)
            ));
        }
        if facts.is_ca {
            let pin = if of_listener {
                format!(", or let senders give --tls-pin {}", Pin::of(first))
            } else {
                String::new()
            };
            warn(format!(
                "is the certificate of a CA, as a plain `openssl req -x509` makes it, and peers \
                 refuse it here; {NO_CA}{pin}"
            ));
        }
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    let text = fs::read(path).map_err(|error| unreadable(path, &error))?;
    warn_of_mode(path);
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
        if has(b"-BEGIN ENCRYPTED PRIVATE KEY-") || has(b"Proc-Type: 4,ENCRYPTED") {
            let path = path.display();
            return Failure::job(format!(
                "cannot use {path}: the key is encrypted with a passphrase; decrypt it with \
                 `openssl pkey -in {path} -out KEY.pem`, and give that file"
            ));
        }
        if has(b"-BEGIN CERTIFICATE-") {
            return Failure::job(format!(
                "cannot use {}: it has a certificate and no private key; give the key's file as \
                 --tls-key",
                path.display()
            ));
        }
        unreadable(path, &error)
    })
}

/// Warns of a key that every user of the machine can read.
pub(super) fn warn_of_mode(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if let Ok(found) = fs::metadata(path)
            && found.is_file()
            && found.permissions().mode() & 0o004 != 0
        {
            let path = path.display();
            note(&format!(
                "unstick: warning: every user of this machine can read the key in {path}; \
                 `chmod 600 {path}`"
            ));
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

pub(super) fn roots(path: &Path) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    // Certificates that cannot be parsed are ignored.
    let (used, _) = roots.add_parsable_certificates(certificates(path)?);
    if used == 0 {
        return Err(unreadable(path, &"no certificate of a CA in it"));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(|all| all.collect::<Result<_, _>>())
        .map_err(|error| unreadable(path, &error))?;
    if certificates.is_empty() {
        return Err(unreadable(path, &"no certificate in it"));
    }
    Ok(certificates)
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::job(format!("cannot use {}: {error}; is it PEM?", path.display()))
}

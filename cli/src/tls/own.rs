//! The key and the certificate that a listener makes for itself, and keeps.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::files::{Identity, warn_of_mode};
use crate::send::secret::{private, state_dir};
use crate::term::output::{Failure, note};

/// The file with both. It is replaced as a whole, so it never holds half of them.
const NAME: &str = "tls-self-signed.pem";

/// Returns the identity of this user's listeners; makes it if there is none. If it cannot be kept, says so,
/// and returns one for this run.
pub(super) fn identity() -> Result<Identity, Failure> {
    let failed = match state_dir() {
        Some(dir) => match stored(&dir) {
            Ok(identity) => return Ok(identity),
            Err(error) => format!("it cannot be kept in {}: {error}", dir.display()),
        },
        None => "there is no folder to keep it in: set HOME".to_owned(),
    };
    note(&format!("unstick: warning: the certificate is for this run only, {failed}"));
    parse(&new().map_err(|error| Failure::job(format!("cannot make a certificate: {error}")))?)
        .ok_or_else(|| Failure::job("cannot make a certificate"))
}

/// Returns the identity in this folder; makes it if there is none.
fn stored(dir: &Path) -> io::Result<Identity> {
    let path = dir.join(NAME);
    if let Some(identity) = read(&path)? {
        return Ok(identity);
    }
    fs::create_dir_all(dir)?;
    // One process at a time makes it.
    let lock = private().open(dir.join(format!("{NAME}.lock")))?;
    let _ = lock.lock();
    if let Some(identity) = read(&path)? {
        return Ok(identity);
    }
    let text = new()?;
    let draft = dir.join(format!("{NAME}.{}.new", std::process::id()));
    let written = write(&draft, &text).and_then(|()| fs::rename(&draft, &path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written?;
    parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn write(path: &PathBuf, text: &str) -> io::Result<()> {
    let mut file = private().truncate(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Reads an identity. `None` if there is no file, or one with another content: the machine may have failed.
fn read(path: &Path) -> io::Result<Option<Identity>> {
    match fs::read_to_string(path) {
        Ok(text) => {
            warn_of_mode(path);
            let found = parse(&text);
            if found.is_none() {
                note(&format!(
                    "unstick: warning: {} was damaged and is made anew, so it has another fingerprint",
                    path.display()
                ));
            }
            Ok(found)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(text: &str) -> Option<Identity> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().ok()?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).ok()?;
    (chain.len() == 1).then_some(Identity { chain, key })
}

/// Makes a key, and a certificate of it that is no CA's and has no end.
fn new() -> io::Result<String> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params =
        CertificateParams::new(vec!["localhost".to_owned()]).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, "unstick, self-signed");
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    Ok(key.serialize_pem() + &certificate.pem())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn an_identity_is_kept_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("state/unstick");
        let identity = stored(&dir).unwrap();
        assert_eq!(stored(&dir).unwrap().chain, identity.chain);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(dir.join(NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let facts = super::super::x509::facts(&identity.chain[0]).unwrap();
        assert!(!facts.is_ca);
    }

    #[test]
    fn all_who_make_an_identity_at_once_get_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let start = std::sync::Barrier::new(8);
        let all: Vec<_> = thread::scope(|scope| {
            let one = || {
                start.wait();
                stored(folder.path()).unwrap().chain
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(all.iter().all(|chain| *chain == all[0]));
    }

    #[test]
    fn a_damaged_identity_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let first = stored(folder.path()).unwrap().chain;
        let path = folder.path().join(NAME);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        let second = stored(folder.path()).unwrap().chain;
        assert_ne!(first, second);
        assert_eq!(stored(folder.path()).unwrap().chain, second);
    }
}

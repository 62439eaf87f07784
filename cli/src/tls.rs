//! TLS on both sides, with rustls. The server has a certificate; a client needs one if the server
//! is given a CA.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

pub(crate) use tokio_rustls::TlsAcceptor;

use crate::addr::{Addr, BoxedReader, BoxedWriter, Halves};
use crate::term::output::Failure;

/// The TLS options of both commands.
#[derive(clap::Args)]
pub(crate) struct TlsArgs {
    /// Speak TLS with this certificate, and the chain after it, as PEM. A listener needs one; a
    /// sender only where the listener asks for it.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Speak TLS, and take only peers whose certificate one of these CAs signed, as PEM. (A
    /// sender's list of the system's is often /etc/ssl/certs/ca-certificates.crt.)
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

impl TlsArgs {
    pub(crate) fn is_given(&self) -> bool {
        self.tls_cert.is_some() || self.tls_ca.is_some()
    }

    /// Creates the server side, if the options ask for TLS.
    pub(crate) fn acceptor(&self, addr: &Addr) -> Result<Option<TlsAcceptor>, Failure> {
        let Some((chain, key)) = self.identity()? else {
            return match self.tls_ca {
                Some(_) => Err(usage("a listener with --tls-ca needs --tls-cert and --tls-key")),
                None => Ok(None),
            };
        };
        server_name(addr)?;
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(failed)?;
        let config = match self.roots()? {
            Some(roots) => config.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(failed)?,
            ),
            None => config.with_no_client_auth(),
        };
        let config = config.with_single_cert(chain, key).map_err(failed)?;
        Ok(Some(TlsAcceptor::from(Arc::new(config))))
    }

    /// Creates the client side, if the options ask for TLS.
    pub(crate) fn connector(&self, addr: &Addr) -> Result<Option<TlsClient>, Failure> {
        let identity = self.identity()?;
        let Some(roots) = self.roots()? else {
            return match identity {
                Some(_) => {
                    Err(usage("a sender with --tls-cert needs --tls-ca, to know the listener by"))
                }
                None => Ok(None),
            };
        };
        let name = server_name(addr)?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_root_certificates(roots);
        let config = match identity {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).map_err(failed)?,
            None => config.with_no_client_auth(),
        };
        Ok(Some(TlsClient { connector: TlsConnector::from(Arc::new(config)), name }))
    }

    fn identity(
        &self,
    ) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, Failure> {
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
        Ok(Some((certificates(cert)?, private)))
    }

    fn roots(&self) -> Result<Option<RootCertStore>, Failure> {
        let Some(path) = &self.tls_ca else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        // Certificates that cannot be parsed are ignored.
        let (used, _) = roots.add_parsable_certificates(certificates(path)?);
        if used == 0 {
            return Err(unreadable(path, &"no certificate of a CA in it"));
        }
        Ok(Some(roots))
    }
}

/// The client side of TLS.
pub(crate) struct TlsClient {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl TlsClient {
    /// Performs the handshake over this connection; returns the halves of the TLS stream.
    pub(crate) async fn connect(
        &self,
        incoming: BoxedReader,
        outgoing: BoxedWriter,
    ) -> Result<Halves, Failure> {
        let joined = Joined { incoming, outgoing };
        match self.connector.connect(self.name.clone(), joined).await {
            Ok(stream) => Ok(split(stream)),
            Err(error) => Err(Failure::job(format!(
                "no TLS with this peer: {error}; does it speak TLS, is --tls-ca the right one, and \
                 does it ask for --tls-cert?"
            ))),
        }
    }
}

/// Performs the server's handshake, with a time limit; returns the halves of the TLS stream.
pub(crate) async fn accept(
    acceptor: &TlsAcceptor,
    incoming: BoxedReader,
    outgoing: BoxedWriter,
    within: Duration,
) -> Result<Halves, String> {
    match timeout(within, acceptor.accept(Joined { incoming, outgoing })).await {
        Ok(Ok(stream)) => Ok(split(stream)),
        Ok(Err(error)) => Err(format!("no TLS with this peer: {error}; does it have --tls-ca?")),
        Err(_) => Err(format!("no TLS with this peer within {within:?}; does it speak TLS?")),
    }
}

fn split(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Halves {
    let (incoming, outgoing) = tokio::io::split(stream);
    (Box::new(incoming), Box::new(outgoing))
}

/// The halves of a connection joined into one stream.
struct Joined {
    incoming: BoxedReader,
    outgoing: BoxedWriter,
}

impl AsyncRead for Joined {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.incoming).poll_read(cx, buf)
    }
}

impl AsyncWrite for Joined {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.outgoing).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.outgoing).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.outgoing.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.outgoing).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.outgoing).poll_shutdown(cx)
    }
}

/// Returns the name that the certificate of a peer at this address has to have.
fn server_name(addr: &Addr) -> Result<ServerName<'static>, Failure> {
    match addr {
        Addr::Tcp { host, .. } => ServerName::try_from(host.clone())
            .map_err(|_| usage(&format!("`{host}` is no name that a certificate can have"))),
        _ => Err(usage("TLS needs a HOST:PORT; other addresses do not leave this machine")),
    }
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

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::job(format!("cannot set up TLS: {error}; do certificate and key belong together?"))
}

fn usage(message: &str) -> Failure {
    Failure::Usage(message.to_owned())
}

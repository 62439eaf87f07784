//! TLS on both sides, with rustls. The server has a certificate; a client needs one if the server
//! is given a CA.

mod explain;
mod files;
mod own;
mod pin;
mod reload;
mod sniff;
mod stream;
mod x509;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, Join};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use unstick::{Framing, V1};
use unstick_session::message::{self, Code, Message};

pub(crate) use explain::is_alert;
pub(crate) use pin::Pin;
pub(crate) use reload::Reload;
pub(crate) use sniff::{Seen, sniff};
pub(crate) use tokio_rustls::TlsAcceptor;

use crate::addr::{Addr, BoxedReader, BoxedWriter, CLOSE_TIMEOUT, Halves, shut_down};
use crate::help;
use crate::term::bytes::parse_seconds;
use crate::term::output::Failure;
use explain::{Side, VERSION_1};
use files::Identity;
use stream::{Named, Peeked};

/// What a sender without TLS is told. Its user reads it.
const SPEAKS_TLS: &str = "this listener speaks TLS, give --tls-ca or --tls-pin";

/// The TLS options of both commands.
#[derive(clap::Args, Clone)]
struct TlsFiles {
    /// The certificate of this side, and the chain after it, as PEM.
    ///
    /// A listener speaks TLS with it. A sender needs one only where the listener asks for it.
    #[arg(long, help_heading = help::TLS, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, as PEM.
    #[arg(long, help_heading = help::TLS, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// The TLS options of a listener.
#[derive(clap::Args, Clone)]
pub(crate) struct ListenTls {
    /// Speak TLS with a certificate that is made at the first start.
    ///
    /// It is kept with its key in the state folder ($XDG_STATE_HOME/unstick or
    /// ~/.local/state/unstick). Prints the line for senders, with
    /// the certificate's fingerprint.
    #[arg(long, help_heading = help::TLS, conflicts_with = "tls_cert")]
    tls_self_signed: bool,
    #[command(flatten)]
    files: TlsFiles,
    /// Take only peers whose certificate is in this file, or signed by a CA in it.
    ///
    /// The file is PEM. For one sender alone, give its own certificate here, made with: openssl req -x509 -newkey ec
    /// -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=alice -keyout alice.key -out alice.pem
    /// -addext basicConstraints=CA:FALSE
    #[arg(long, help_heading = help::TLS, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Look at this interval whether the certificates have changed, and read them anew.
    ///
    /// These are the files of --tls-cert, --tls-key and --tls-ca. SIGHUP does that at once, in any
    /// case.
    #[arg(long, help_heading = help::TLS, value_name = "SECONDS", requires = "tls_cert",
          value_parser = parse_seconds, hide_short_help = true)]
    pub(crate) tls_reload: Option<Duration>,
}

/// The TLS options of a sender.
#[derive(clap::Args, Clone)]
pub(crate) struct SendTls {
    /// Speak TLS, and take only the certificate with this SHA-256.
    ///
    /// `listen --tls-self-signed` prints that of its own.
    #[arg(long, help_heading = help::TLS, value_name = "sha256:HEX", conflicts_with = "tls_ca")]
    tls_pin: Option<Pin>,
    #[command(flatten)]
    files: TlsFiles,
    /// Take only a listener whose certificate one of these CAs signed, as PEM.
    ///
    /// Speaks TLS with it. The system's own list is often /etc/ssl/certs/ca-certificates.crt.
    #[arg(long, help_heading = help::TLS, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

impl TlsFiles {
    fn identity(&self, of_listener: bool) -> Result<Option<Identity>, Failure> {
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let identity = Identity::read(cert, key)?;
        identity.warn(cert, of_listener);
        Ok(Some(identity))
    }
}

impl ListenTls {
    pub(crate) fn is_given(&self) -> bool {
        self.tls_self_signed || self.files.tls_cert.is_some() || self.tls_ca.is_some()
    }

    /// Returns whether only senders with a certificate are taken.
    pub(crate) fn knows_senders(&self) -> bool {
        self.tls_ca.is_some()
    }

    /// Returns the fingerprint of the certificate that was made here.
    pub(crate) fn own_pin(&self) -> Result<Option<Pin>, Failure> {
        if !self.tls_self_signed {
            return Ok(None);
        }
        Ok(own::identity()?.chain.first().map(Pin::of))
    }

    /// Returns the files that are read.
    fn paths(&self) -> Vec<PathBuf> {
        let TlsFiles { tls_cert, tls_key } = &self.files;
        [tls_cert, tls_key, &self.tls_ca].into_iter().flatten().cloned().collect()
    }

    /// Creates the server side, if the options ask for TLS.
    pub(crate) fn acceptor(&self, addr: &Addr) -> Result<Option<TlsAcceptor>, Failure> {
        let identity = if self.tls_self_signed {
            Some(own::identity()?)
        } else {
            self.files.identity(true)?
        };
        let Some(Identity { chain, key }) = identity else {
            return match self.tls_ca {
                Some(_) => Err(usage(
                    "a listener with --tls-ca needs --tls-cert and --tls-key, or --tls-self-signed",
                )),
                None => Ok(None),
            };
        };
        if !matches!(addr, Addr::Tcp { .. }) {
            return Err(usage(NOT_LOCAL));
        }
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(failed)?;
        let config = match &self.tls_ca {
            Some(path) => config.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(
                    Arc::new(files::roots(path)?),
                    provider,
                )
                .build()
                .map_err(failed)?,
            ),
            None => config.with_no_client_auth(),
        };
        let config = config.with_single_cert(chain, key).map_err(failed)?;
        Ok(Some(TlsAcceptor::from(Arc::new(config))))
    }
}

impl SendTls {
    pub(crate) fn is_given(&self) -> bool {
        self.tls_pin.is_some() || self.files.tls_cert.is_some() || self.tls_ca.is_some()
    }

    /// Creates the client side, if the options ask for TLS.
    pub(crate) fn connector(&self, addr: &Addr) -> Result<Option<TlsClient>, Failure> {
        let identity = self.files.identity(false)?;
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(failed)?;
        let config = match (&self.tls_ca, self.tls_pin) {
            (Some(path), _) => config.with_root_certificates(files::roots(path)?),
            (None, Some(pin)) => config
                .dangerous()
                .with_custom_certificate_verifier(pin::Pinned::new(pin, &provider)),
            (None, None) => {
                return match identity {
                    Some(_) => Err(usage(
                        "a sender with --tls-cert needs --tls-ca or --tls-pin, to know the listener \
                         by",
                    )),
                    None => Ok(None),
                };
            }
        };
        let name = server_name(addr, self.tls_pin.is_some())?;
        let config = match identity {
            Some(Identity { chain, key }) => {
                config.with_client_auth_cert(chain, key).map_err(failed)?
            }
            None => config.with_no_client_auth(),
        };
        Ok(Some(TlsClient { connector: TlsConnector::from(Arc::new(config)), name }))
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
        let joined = tokio::io::join(Peeked::new(incoming), outgoing);
        match self.connector.connect(self.name.clone(), joined).into_fallible().await {
            Ok(stream) => Ok(split(stream)),
            Err((error, joined)) => {
                Err(Failure::Job(explain::handshake(Side::Sender, &error, joined.reader().first())))
            }
        }
    }
}

/// A peer that there is no TLS with.
pub(crate) struct Refused {
    pub(crate) why: String,
    /// The connection, unless it was given up.
    left: Option<(Join<Peeked, BoxedWriter>, bool)>,
}

impl Refused {
    /// Tells the peer, and ends the connection: what it is told may be lost if the socket is closed while
    /// it still sends.
    pub(crate) async fn end(self) {
        let Some((joined, speaks_v1)) = self.left else { return };
        let (incoming, mut outgoing) = joined.into_inner();
        if speaks_v1 {
            // It is shorter than any buffer. If the peer has gone, nobody is there to be told.
            let _ = timeout(CLOSE_TIMEOUT, outgoing.write_all(&refusal())).await;
        }
        shut_down(incoming, outgoing).await;
    }
}

/// Performs the server's handshake, with a time limit; returns the halves of the TLS stream.
pub(crate) async fn accept(
    acceptor: &TlsAcceptor,
    incoming: BoxedReader,
    outgoing: BoxedWriter,
    within: Duration,
) -> Result<Halves, Refused> {
    let accepting = async {
        let mut joined = tokio::io::join(Peeked::new(incoming), outgoing);
        let first = joined.reader_mut().peek().await.unwrap_or_default();
        if first.starts_with(&[0xf5]) {
            let why = explain::without_tls(Side::Listener, first).unwrap_or_default();
            return Err(Refused { why, left: Some((joined, true)) });
        }
        match acceptor.accept(joined).into_fallible().await {
            Ok(stream) => Ok(split(stream)),
            Err((error, joined)) => {
                let why = explain::handshake(Side::Listener, &error, joined.reader().first());
                Err(Refused { why, left: Some((joined, false)) })
            }
        }
    };
    timeout(within, accepting).await.unwrap_or_else(|_late| {
        let why = format!("no TLS with this peer within {within:?}; does it speak TLS?");
        Err(Refused { why, left: None })
    })
}

/// Returns the close for a sender of version 1 without TLS.
fn refusal() -> Vec<u8> {
    let close = Message::Close(message::Close { code: Code::BAD_MAGIC, reason: SPEAKS_TLS });
    let mut frame = Vec::new();
    if let Ok(encoded) = close.encode() {
        // The reason is shorter than any limit, so nothing fails.
        let _ = Framing::new(V1).encode(encoded.kind(), encoded.to_payload(), &mut frame);
    }
    frame
}

fn split(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Halves {
    let (incoming, outgoing) = tokio::io::split(Named::new(stream));
    (Box::new(incoming), Box::new(outgoing))
}

/// The error for an address that TLS does not go with.
const NOT_LOCAL: &str = "TLS needs a HOST:PORT; other addresses do not leave this machine";

/// Returns the name that the certificate of a peer at this address has to have. A zone, which has a meaning
/// on this machine only, is not part of it. With `any`, no name is looked for.
fn server_name(addr: &Addr, any: bool) -> Result<ServerName<'static>, Failure> {
    let Addr::Tcp { host, .. } = addr else { return Err(usage(NOT_LOCAL)) };
    let name = host.split_once('%').map_or(host.as_str(), |(ip, _zone)| ip);
    match ServerName::try_from(name.to_owned()) {
        Ok(name) => Ok(name),
        Err(_) if any => {
            ServerName::try_from("localhost").map_err(|error| Failure::job(error.to_string()))
        }
        Err(_) => Err(usage(&format!("`{host}` is no name that a certificate can have"))),
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    let error = error.to_string();
    if error.contains("UnsupportedCertVersion") {
        return Failure::job(format!("cannot set up TLS: the certificate {VERSION_1}"));
    }
    let hint = if error.contains("failed to parse private key") {
        "take a key of ECDSA P-256 or P-384, Ed25519, or RSA"
    } else {
        "do certificate and key belong together?"
    };
    Failure::job(format!("cannot set up TLS: {error}; {hint}"))
}

fn usage(message: &str) -> Failure {
    Failure::Usage(message.to_owned())
}

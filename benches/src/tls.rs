//! Both ends of a connection over TLS, with a certificate made for it.

use std::sync::{Arc, OnceLock};

use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The name in the certificate.
pub(crate) const NAME: &str = "localhost";

/// Returns what a server and its client wrap a connection with.
pub(crate) fn ends() -> (TlsAcceptor, TlsConnector) {
    static CONFIGS: OnceLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = OnceLock::new();
    let (server, client) = CONFIGS.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let certificate = made.cert.der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let server = ServerConfig::builder().with_no_client_auth();
        let client = ClientConfig::builder().with_root_certificates(roots);
        (
            Arc::new(server.with_single_cert(vec![certificate], key).unwrap()),
            Arc::new(client.with_no_client_auth()),
        )
    });
    (TlsAcceptor::from(Arc::clone(server)), TlsConnector::from(Arc::clone(client)))
}

//! TLS of a client: the server's certificate and name are verified in full.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Where systems keep the certificates they trust.
const SYSTEM_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// TLS that trusts the CA in the file `ca`; in the system's, if that is empty.
///
/// # Errors
/// No CA is there, in words.
pub fn client(ca: &str) -> Result<ClientConfig, String> {
    let path = if ca.is_empty() {
        let asked = std::env::var("SSL_CERT_FILE").ok();
        let known = SYSTEM_ROOTS.iter().map(|path| (*path).to_owned());
        asked
            .into_iter()
            .chain(known)
            .find(|path| Path::new(path).is_file())
            .ok_or("the image has no CA certificates; name the CA in the spec")?
    } else {
        ca.to_owned()
    };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(&path)
        .map_err(|error| format!("cannot read the CA certificates in {path}: {error}"))?;
    // A system's file may hold one that rustls doesn't take; the others do.
    roots.add_parsable_certificates(certificates.flatten());
    if roots.is_empty() {
        return Err(format!("{path} holds no CA certificate in PEM"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS can't be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

//! A mounted certificate, which may come late and is read again when it changes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// How often a missing or changed certificate is looked for.
const LOOK: Duration = Duration::from_secs(5);

/// `tls.crt` and `tls.key` of a folder. A broken new certificate leaves the old one in force.
#[derive(Debug)]
pub struct Certificate {
    dir: PathBuf,
    config: RwLock<Option<Arc<ServerConfig>>>,
    wrong: AtomicBool,
}

impl Certificate {
    /// Reads the certificate, and again whenever its files change, as long as somebody has it.
    pub fn watch(dir: PathBuf) -> Arc<Certificate> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificate = Arc::new(Certificate {
            dir,
            config: RwLock::default(),
            wrong: AtomicBool::new(false),
        });
        let mut seen = changed(&certificate.dir);
        certificate.read();
        let watched: Weak<Certificate> = Arc::downgrade(&certificate);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(certificate) = watched.upgrade() else {
                    return;
                };
                let now = changed(&certificate.dir);
                if now != seen || !certificate.is_there() {
                    seen = now;
                    certificate.read();
                }
            }
        });
        certificate
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// True: there is none, or a new one that can't be used.
    pub fn is_wrong(&self) -> bool {
        self.wrong.load(Ordering::Acquire)
    }

    pub(super) fn is_there(&self) -> bool {
        self.config().is_some()
    }

    pub(super) fn config(&self) -> Option<Arc<ServerConfig>> {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn read(&self) {
        let there = self.is_there();
        match config(&self.dir) {
            Ok(config) => {
                let mut place = self.config.write().unwrap_or_else(PoisonError::into_inner);
                *place = Some(Arc::new(config));
                self.wrong.store(false, Ordering::Release);
                if there {
                    tracing::info!("the certificate in {} was read again", self.dir.display());
                }
            }
            Err(error) => {
                let first = !self.wrong.swap(true, Ordering::AcqRel);
                if first {
                    let old = if there { ", the old one stays" } else { "" };
                    tracing::warn!(
                        reason = "SecretMissing",
                        "no usable certificate in {}{old}: {error}",
                        self.dir.display()
                    );
                }
            }
        }
    }
}

fn config(dir: &Path) -> io::Result<ServerConfig> {
    let invalid = |error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidData, error.to_string())
    };
    let chain = std::fs::read(dir.join("tls.crt"))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(&format!("tls.crt: {error}")))?;
    let key = std::fs::read(dir.join("tls.key"))?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|error| invalid(&format!("tls.key: {error}")))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| invalid(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// When the two files were last written; `None` for one that isn't there.
fn changed(dir: &Path) -> [Option<SystemTime>; 2] {
    ["tls.crt", "tls.key"].map(|name| {
        std::fs::metadata(dir.join(name))
            .and_then(|file| file.modified())
            .ok()
    })
}

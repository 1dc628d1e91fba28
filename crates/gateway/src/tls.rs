//! TLS of the listener: certificates by name, callers' certificates, and new files taken over without
//! a connection noticing.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use taraf_base::Tasks;
use tokio::time::MissedTickBehavior;

use crate::config::{ClientCertificates, Tls as Files, TlsVersion};

mod peer;

pub use peer::PeerCertificate;

/// HTTP/2 by application-layer protocol negotiation (RFC 9113 §3.2).
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";
/// The largest file that is read: chains and lists of authorities are far smaller.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No certificate is named.
    #[error("`gateway.tls.certificates` names no certificate")]
    NoCertificates,
    /// A file cannot be read.
    #[error("failed to read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file holds something else than it should.
    #[error("{} holds no usable {wanted}: {reason}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// Why not.
        reason: String,
    },
    /// rustls takes none of it.
    #[error("these settings of TLS do not go together")]
    Settings(#[source] rustls::Error),
}

/// The listener's TLS.
///
/// Invariant: `current` is always a configuration that was read whole, because a new one takes its
/// place only after all of its files were read and fit together. A handshake takes the one that
/// stands as it begins and keeps it.
pub(crate) struct Tls {
    files: Files,
    offers_http2: bool,
    current: RwLock<Arc<ServerConfig>>,
    /// What was read last, so that files that did not change are not taken over again.
    read: Mutex<u64>,
}

impl Tls {
    /// Reads all files.
    pub(crate) fn load(files: Files, offers_http2: bool) -> Result<Self, Error> {
        let (config, read) = read(&files, offers_http2)?;
        Ok(Self {
            current: RwLock::new(Arc::new(config)),
            read: Mutex::new(read),
            files,
            offers_http2,
        })
    }

    /// What the next handshake uses.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// Takes over files that changed. What cannot be used is told and changes nothing.
    pub(crate) fn reload(&self) {
        let mut before = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match read(&self.files, self.offers_http2) {
            Ok((_, read)) if read == *before => {}
            Ok((config, read)) => {
                *before = read;
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(config);
                tracing::info!("new certificates are in use");
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "new certificates cannot be used; the old ones stay");
            }
        }
    }

    /// Looks at the files now and then until the tasks stop.
    pub(crate) async fn follow(self: Arc<Self>, tasks: Tasks) {
        let mut looks = tokio::time::interval(self.files.reload);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.tick().await;
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = tasks.stopping() => return,
            }
            let tls = Arc::clone(&self);
            tasks.spawn_blocking("certificates", move || tls.reload());
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish()
    }
}

/// A configuration from the files, and a number that differs when they do.
fn read(files: &Files, offers_http2: bool) -> Result<(ServerConfig, u64), Error> {
    let mut hasher = DefaultHasher::new();
    let provider = Arc::new(ring::default_provider());
    let mut certificates = Vec::with_capacity(files.certificates.len());
    for pair in &files.certificates {
        let chain = bytes(&pair.certificate, &mut hasher)?;
        let key = bytes(&pair.key, &mut hasher)?;
        let content = |file: &Path, wanted, reason: &dyn fmt::Display| Error::Content {
            file: file.to_owned(),
            wanted,
            reason: reason.to_string(),
        };
        let chain = certificates_of(&pair.certificate, &chain)?;
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|error| content(&pair.key, "private key", &error))?;
        let names =
            names(&chain).map_err(|error| content(&pair.certificate, "certificate", &error))?;
        let key = CertifiedKey::from_der(chain, key, &provider)
            .map_err(|error| content(&pair.key, "private key of the certificate", &error))?;
        certificates.push((names, Arc::new(key)));
    }
    if certificates.is_empty() {
        return Err(Error::NoCertificates);
    }
    let verifier = verifier(files, &provider, &mut hasher)?;
    let has_callers_certificates = verifier.is_some();
    let versions: &[&rustls::SupportedProtocolVersion] = match files.minimum {
        TlsVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder
        .with_protocol_versions(versions)
        .map_err(Error::Settings)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByName(certificates)));
    config.alpn_protocols = vec![ALPN_HTTP1.to_vec()];
    if offers_http2 {
        config.alpn_protocols.insert(0, ALPN_HTTP2.to_vec());
    }
    if has_callers_certificates {
        // A resumed session would be believed without its certificate being looked at again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
    } else if let Ok(ticketer) = ring::Ticketer::new() {
        config.ticketer = ticketer;
    }
    Ok((config, hasher.finish()))
}

/// Who verifies callers' certificates, when they are asked for.
fn verifier(
    files: &Files,
    provider: &Arc<CryptoProvider>,
    hasher: &mut DefaultHasher,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Error> {
    let Some(file) = &files.client_ca else {
        return Ok(None);
    };
    let content = |error: &dyn fmt::Display| Error::Content {
        file: file.clone(),
        wanted: "certificate of an authority",
        reason: error.to_string(),
    };
    let bytes = bytes(file, hasher)?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates_of(file, &bytes)? {
        roots.add(certificate).map_err(|error| content(&error))?;
    }
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match files.client_certificates {
        ClientCertificates::Required => builder,
        ClientCertificates::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map(Some).map_err(|error| content(&error))
}

fn bytes(file: &Path, hasher: &mut DefaultHasher) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read {
        file: file.to_owned(),
        source,
    };
    let size = fs::metadata(file).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        let source = std::io::Error::other(format!("{size} bytes are more than {FILE_BYTES_MAX}"));
        return Err(failed(source));
    }
    let bytes = fs::read(file).map_err(failed)?;
    bytes.hash(hasher);
    Ok(bytes)
}

fn certificates_of(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let content = |reason: String| Error::Content {
        file: file.to_owned(),
        wanted: "certificate",
        reason,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| content(error.to_string()))?;
    if chain.is_empty() {
        return Err(content("there is none in it".to_owned()));
    }
    Ok(chain)
}

/// The names that the first certificate of a chain is for, in small letters.
fn names(chain: &[CertificateDer<'static>]) -> Result<Vec<String>, webpki::Error> {
    let Some(first) = chain.first() else {
        return Ok(Vec::new());
    };
    let certificate = webpki::EndEntityCert::try_from(first)?;
    let names = certificate.valid_dns_names();
    Ok(names.map(str::to_ascii_lowercase).collect())
}

/// Certificates with the names that they are for.
#[derive(Debug)]
struct ByName(Vec<(Vec<String>, Arc<CertifiedKey>)>);

impl ResolvesServerCert for ByName {
    /// The first with the very name, else the first with a wildcard that covers it, else the first.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        let find = |fits: &dyn Fn(&str) -> bool| {
            let mut all = self.0.iter();
            all.find(|(names, _)| names.iter().any(|name| fits(name)))
        };
        let found = asked.and_then(|asked| {
            let covers = |name: &str| {
                // RFC 6125 §6.4.3: a wildcard stands for one whole label.
                let rest = name.strip_prefix("*.");
                rest.is_some() && asked.split_once('.').map(|(_, parent)| parent) == rest
            };
            find(&|name| name == asked).or_else(|| find(&covers))
        });
        let (_, key) = found.or_else(|| self.0.first())?;
        Some(Arc::clone(key))
    }
}

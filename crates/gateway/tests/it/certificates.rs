//! What the shared authority of tests signs, as the gateway and its callers take it.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use taraf_gateway::{Certificate, TlsConfig};

pub(crate) use super::authority::Authority;

impl Authority {
    /// Signs a certificate for these names.
    pub(crate) fn sign(&self, name: &str, subject: &str, names: &str) -> Certificate {
        let signed = self.issue(name, subject, names);
        Certificate {
            certificate: signed.certificate,
            key: signed.key,
        }
    }

    /// TLS of a caller that trusts this authority and shows a certificate when it has one.
    pub(crate) fn client(&self, own: Option<&Certificate>, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.path("ca.pem")).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let certificate = CertificateDer::from_pem_file(&own.certificate).unwrap();
                let key = PrivateKeyDer::from_pem_file(&own.key).unwrap();
                builder
                    .with_client_auth_cert(vec![certificate], key)
                    .unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

/// TLS of a listener with these certificates.
pub(crate) fn tls(certificates: Vec<Certificate>) -> TlsConfig {
    TlsConfig {
        certificates,
        minimum: taraf_gateway::TlsVersion::default(),
        client_ca: None,
        client_certificates: taraf_gateway::ClientCertificates::default(),
        reload: std::time::Duration::from_millis(20),
    }
}

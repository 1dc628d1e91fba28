//! An authority of the test's own, and certificates signed by it, made by OpenSSL's program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use taraf_gateway::{Certificate, TlsConfig};
use tempfile::TempDir;

/// An authority in a folder of its own.
pub(crate) struct Authority {
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Without this OpenSSL adds what its own configuration says.
        fs::write(
            folder.path().join("empty.cnf"),
            "[req]\ndistinguished_name = dn\n[dn]\n",
        )
        .unwrap();
        let authority = Self { folder };
        let extension = "basicConstraints=critical,CA:TRUE";
        authority.request("ca", "/CN=authority", extension, &[]);
        authority
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs a certificate for these names: `NAME.pem` and `NAME.key`.
    pub(crate) fn sign(&self, name: &str, subject: &str, names: &str) -> Certificate {
        let (ca, key) = (self.path("ca.pem"), self.path("ca.key"));
        let by = [Path::new("-CA"), &ca, Path::new("-CAkey"), &key];
        self.request(name, subject, &format!("subjectAltName={names}"), &by);
        Certificate {
            certificate: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        }
    }

    fn request(&self, name: &str, subject: &str, extension: &str, by: &[&Path]) {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "30"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-subj", subject, "-addext", extension])
            .arg("-config")
            .arg(self.path("empty.cnf"))
            .arg("-keyout")
            .arg(self.path(&format!("{name}.key")))
            .arg("-out")
            .arg(self.path(&format!("{name}.pem")))
            .args(by)
            .output()
            .expect("the Debian package openssl is installed: cargo xtask setup");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
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

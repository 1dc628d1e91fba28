//! Authorities that calls over TLS trust besides those that the web trusts.

use std::fs;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The largest file of certificates.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Certificates of authorities.
#[derive(Clone, Default)]
pub struct Roots {
    certificates: Vec<CertificateDer<'static>>,
}

/// Why a file of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("use the certificates of {}: {why}", .file.display())]
pub struct RootsError {
    file: PathBuf,
    why: String,
}

impl Roots {
    /// Reads a PEM file of one certificate or more.
    ///
    /// # Errors
    /// When it cannot be read, or a certificate in it is none of an authority.
    pub fn read(file: &Path) -> Result<Self, RootsError> {
        let refuse = |why: String| RootsError {
            file: file.to_owned(),
            why,
        };
        let about = fs::metadata(file).map_err(|error| refuse(error.to_string()))?;
        if about.len() > FILE_BYTES_MAX {
            return Err(refuse(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        let pem = fs::read(file).map_err(|error| refuse(error.to_string()))?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let certificates = certificates.map_err(|error| refuse(error.to_string()))?;
        if certificates.is_empty() {
            return Err(refuse("it has no certificate".to_owned()));
        }
        let mut store = RootCertStore::empty();
        for (n, certificate) in certificates.iter().enumerate() {
            store
                .add(certificate.clone())
                .map_err(|error| refuse(format!("its certificate {}: {error}", n + 1)))?;
        }
        Ok(Self { certificates })
    }

    pub(crate) fn add_to(&self, store: &mut RootCertStore) {
        // Each was accepted when it was read.
        store.add_parsable_certificates(self.certificates.iter().cloned());
    }
}

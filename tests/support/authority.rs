//! An authority of the test's own, and certificates signed by it, made by OpenSSL's program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// An authority in a folder of its own: `ca.pem`, `ca.key`.
pub(crate) struct Authority {
    folder: TempDir,
}

/// The files of a certificate and its key.
pub(crate) struct Signed {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Without this OpenSSL adds what its own configuration says.
        let empty = "[req]\ndistinguished_name = dn\n[dn]\n";
        fs::write(folder.path().join("empty.cnf"), empty).unwrap();
        let authority = Self { folder };
        authority.make(
            "ca",
            "/CN=authority",
            "basicConstraints=critical,CA:TRUE",
            &[],
        );
        authority
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs a certificate for these names, such as `DNS:a.test,URI:spiffe://a/b`: `NAME.pem` and `NAME.key`.
    pub(crate) fn issue(&self, name: &str, subject: &str, names: &str) -> Signed {
        let (ca, key) = (self.path("ca.pem"), self.path("ca.key"));
        let by = [Path::new("-CA"), &ca, Path::new("-CAkey"), &key];
        self.make(name, subject, &format!("subjectAltName={names}"), &by);
        Signed {
            certificate: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        }
    }

    fn make(&self, name: &str, subject: &str, extension: &str, by: &[&Path]) {
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
}

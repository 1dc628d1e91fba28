//! Calls over TLS to a server whose certificate an authority of our own signed.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use taraf_base::Tasks;
use taraf_service::client::{Config, Roots};
use taraf_service::{CallError, CallPolicy, Client, Directory, body};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;

const LIMIT: Duration = Duration::from_secs(10);

impl Authority {
    /// A server that answers every connection that shakes hands once.
    async fn serve(&self, tasks: &Tasks) -> u16 {
        let own = self.issue("server", "/CN=server", "DNS:localhost");
        let certificate = CertificateDer::from_pem_file(own.certificate).unwrap();
        let key = PrivateKeyDer::from_pem_file(own.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stopping = tasks.token();
        tasks.spawn("tls server", async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap(),
                    () = stopping.cancelled() => return,
                };
                let Ok(mut stream) = acceptor.accept(accepted.0).await else {
                    continue;
                };
                let mut head = [0; 1_024];
                let read = stream.read(&mut head).await.unwrap();
                assert!(head[..read].starts_with(b"GET /x HTTP/1.1\r\n"));
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        port
    }
}

async fn call(roots: Option<Roots>, port: u16) -> Result<String, CallError> {
    let tasks = Tasks::new();
    let (_known, directory) = watch::channel(Arc::new(Directory::new()));
    let client = match roots {
        Some(roots) => Client::with_roots(directory, Config::default(), roots, &tasks),
        None => Client::new(directory, Config::default(), &tasks),
    };
    let mut request = Request::new(body::empty());
    *request.uri_mut() = format!("https://localhost:{port}/x").parse().unwrap();
    let answer = client.call(request, &CallPolicy::default()).await?;
    let bytes = body::collect(answer.into_body(), 100).await.unwrap();
    tasks.drain(LIMIT).await;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn a_server_of_an_own_authority_is_trusted_by_who_knows_the_authority() {
    let (ours, other) = (Authority::new(), Authority::new());
    let tasks = Tasks::new();
    let port = ours.serve(&tasks).await;
    let roots = Roots::read(&ours.path("ca.pem")).unwrap();
    assert_eq!(call(Some(roots), port).await.unwrap(), "hi");
    let strange = Roots::read(&other.path("ca.pem")).unwrap();
    for roots in [None, Some(strange)] {
        let refused = call(roots, port).await.unwrap_err();
        let CallError::Connect { source, .. } = &refused else {
            panic!("{refused}");
        };
        assert!(source.to_string().contains("certificate"), "{source}");
    }
    tasks.drain(LIMIT).await;
}

#[test]
fn a_file_without_certificates_is_refused_by_its_name() {
    let authority = Authority::new();
    fs::write(
        authority.path("broken.pem"),
        "-----BEGIN CERTIFICATE-----\naGk=\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    for (name, told) in [
        ("none.pem", "No such file"),
        ("empty.cnf", "no certificate"),
        ("broken.pem", "its certificate 1"),
    ] {
        let refused = Roots::read(&authority.path(name))
            .err()
            .unwrap()
            .to_string();
        assert!(
            refused.contains(told) && refused.contains(name),
            "{refused}"
        );
    }
}

//! TLS at the listener: certificates by name, taken over when their files change, and callers' own.

use std::fs;
use std::sync::Arc;

use http::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use taraf_base::Tasks;
use taraf_gateway::{Certificate, ClientCertificates, Config, TlsConfig, TlsVersion};
use taraf_service::body;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificates::{Authority, tls};
use crate::stack::{NoFlows, Stack, echo, eventually_async, json, route, upstream};

async fn stack(tls: TlsConfig) -> Stack {
    let up = upstream(&Tasks::new(), echo).await;
    let config = Config {
        tls: Some(tls),
        ..Config::default()
    };
    let routes = vec![route(Method::GET, "/x")];
    Stack::with(config, Arc::new(NoFlows), routes, &[up]).await
}

async fn connect(
    stack: &Stack,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(stack.handle.addr()).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::clone(config))
        .connect(name, stream)
        .await
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain[0].clone().into_owned()
}

/// The certificate that a caller asking for the name is shown.
async fn certificate(stack: &Stack, authority: &Authority, name: &str) -> CertificateDer<'static> {
    let config = authority.client(None, &[]);
    shown(&connect(stack, name, &config).await.unwrap())
}

#[tokio::test]
async fn a_call_by_tls_is_answered_and_the_service_knows() {
    let authority = Authority::new();
    let pair = authority.sign("a", "/CN=a", "DNS:gateway.test");
    let stack = stack(tls(vec![pair])).await;
    let config = authority.client(None, &[b"http/1.1"]);
    let stream = connect(&stack, "gateway.test", &config).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    stack.back.spawn("test connection", async move {
        let _ended = connection.await;
    });
    let request = Request::get("/x")
        .header("host", "gateway.test")
        .header("x-api-key", &stack.key)
        .header("x-forwarded-proto", "forged");
    let response = sender.send_request(request.body(body::empty()).unwrap());
    let seen = json(response.await.unwrap()).await;
    assert_eq!(seen["headers"]["x-forwarded-proto"], "https");
}

#[tokio::test]
async fn a_caller_is_shown_the_certificate_of_the_name_it_asks_for() {
    let authority = Authority::new();
    let first = authority.sign("first", "/CN=first", "DNS:first.test");
    let wild = authority.sign("wild", "/CN=wild", "DNS:*.wild.test");
    let exact = authority.sign("exact", "/CN=exact", "DNS:exact.wild.test,DNS:other.test");
    let stack = stack(tls(vec![first, wild, exact])).await;
    let first = certificate(&stack, &authority, "first.test").await;
    let wild = certificate(&stack, &authority, "a.wild.test").await;
    let exact = certificate(&stack, &authority, "EXACT.wild.test").await;
    assert_eq!(certificate(&stack, &authority, "other.test").await, exact);
    assert!(first != wild && wild != exact && first != exact);
    // The wildcard is for one label, so this caller is shown the first and refuses it.
    let config = authority.client(None, &[]);
    let error = connect(&stack, "a.b.wild.test", &config).await.unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn new_certificates_are_taken_over_and_broken_ones_are_not() {
    let authority = Authority::new();
    let pair = authority.sign("a", "/CN=old", "DNS:gateway.test");
    let stack = stack(tls(vec![pair.clone()])).await;
    let old = certificate(&stack, &authority, "gateway.test").await;
    let config = authority.client(None, &[]);
    let stream = connect(&stack, "gateway.test", &config).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    stack.back.spawn("test connection", async move {
        let _ended = connection.await;
    });

    // A key that is not the certificate's, and a file that is none.
    let other = authority.sign("b", "/CN=new", "DNS:gateway.test");
    fs::copy(&other.certificate, &pair.certificate).unwrap();
    stack.handle.reload_certificates();
    assert_eq!(certificate(&stack, &authority, "gateway.test").await, old);
    fs::write(&pair.key, "no key").unwrap();
    stack.handle.reload_certificates();
    assert_eq!(certificate(&stack, &authority, "gateway.test").await, old);

    // Seen without being told to look.
    fs::copy(&other.key, &pair.key).unwrap();
    eventually_async("the new certificate is shown", async || {
        certificate(&stack, &authority, "gateway.test").await != old
    })
    .await;
    let request = Request::get("/x")
        .header("host", "gateway.test")
        .header("x-api-key", &stack.key);
    let response = sender.send_request(request.body(body::empty()).unwrap());
    assert_eq!(response.await.unwrap().status(), 200);
}

/// Whether a caller gets as far as an answer.
async fn is_answered(stack: &Stack, config: &Arc<ClientConfig>) -> bool {
    let Ok(stream) = connect(stack, "gateway.test", config).await else {
        return false;
    };
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    stack.back.spawn("test connection", async move {
        let _ended = connection.await;
    });
    let request = Request::get("/health/live").header("host", "gateway.test");
    let response = sender.send_request(request.body(body::empty()).unwrap());
    // TLS 1.3 lets a caller finish its part before it hears that its certificate is missing.
    response
        .await
        .is_ok_and(|response| response.status() == 200)
}

#[tokio::test]
async fn a_caller_without_a_verified_certificate_is_refused_where_one_is_required() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let pair = authority.sign("a", "/CN=a", "DNS:gateway.test");
    let own = authority.sign(
        "caller",
        "/O=Example/CN=ana",
        "URI:spiffe://example.org/ana",
    );
    let foreign = stranger.sign("caller", "/O=Example/CN=ana", "DNS:ana");
    for (rule, without) in [
        (ClientCertificates::Required, false),
        (ClientCertificates::Optional, true),
    ] {
        let config = TlsConfig {
            client_ca: Some(authority.path("ca.pem")),
            client_certificates: rule,
            ..tls(vec![pair.clone()])
        };
        let stack = stack(config).await;
        let call = async |own: Option<&Certificate>| {
            is_answered(&stack, &authority.client(own, &[])).await
        };
        assert!(call(Some(&own)).await, "{rule:?}");
        assert!(!call(Some(&foreign)).await, "{rule:?}");
        assert_eq!(call(None).await, without, "{rule:?}");
    }
}

#[tokio::test]
async fn a_caller_that_speaks_no_newer_version_than_allowed_is_refused() {
    let authority = Authority::new();
    let pair = authority.sign("a", "/CN=a", "DNS:gateway.test");
    let old = {
        let mut roots = rustls::RootCertStore::empty();
        use rustls::pki_types::pem::PemObject as _;
        let ca = CertificateDer::from_pem_file(authority.path("ca.pem")).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    };
    for (minimum, is_taken) in [(TlsVersion::Tls12, true), (TlsVersion::Tls13, false)] {
        let config = TlsConfig {
            minimum,
            ..tls(vec![pair.clone()])
        };
        let stack = stack(config).await;
        assert_eq!(is_answered(&stack, &old).await, is_taken, "{minimum:?}");
    }
}

#[tokio::test]
async fn a_gateway_does_not_start_without_usable_certificates() {
    let authority = Authority::new();
    let pair = authority.sign("a", "/CN=a", "DNS:gateway.test");
    let other = authority.sign("b", "/CN=b", "DNS:gateway.test");
    let mixed = Certificate {
        key: other.key,
        ..pair.clone()
    };
    let missing = Certificate {
        key: authority.path("missing.key"),
        ..pair
    };
    let start = async |certificates| {
        let config = Config {
            tls: Some(tls(certificates)),
            ..Config::default()
        };
        let started = Stack::try_with(config, Arc::new(NoFlows), Vec::new(), &[]).await;
        let error = started.err().expect("it must not start");
        format!("{error}: {}", std::error::Error::source(&error).unwrap())
    };
    let said = start(vec![mixed]).await;
    assert!(
        said.contains("b.key") && said.contains("private key of"),
        "{said}"
    );
    let said = start(vec![missing]).await;
    assert!(said.contains("missing.key"), "{said}");
    assert!(start(Vec::new()).await.contains("names no certificate"));
}

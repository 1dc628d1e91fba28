//! Tokens and client certificates beside keys, against an issuer whose keys change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json as value};
use taraf_base::{Tasks, Timestamp};
use taraf_gateway::auth::{Authenticators, Config};
use taraf_gateway::{Auth, Authenticator, Route, Routes};
use taraf_service::{Client, Directory, body, client};
use tokio::sync::watch;

use super::stack::{Stack, echo, json, route, upstream};

/// An issuer's key.
struct Signer {
    id: &'static str,
    key: EncodingKey,
    jwk: Value,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        let chance = ring::rand::SystemRandom::new();
        let form = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(form, &chance).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(form, document.as_ref(), &chance).unwrap();
        // An uncompressed point: 4, x, y.
        let point = &pair.public_key().as_ref()[1..];
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = value!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id,
            "x": text(&point[..32]), "y": text(&point[32..]),
        });
        Self {
            id,
            key: EncodingKey::from_ec_der(document.as_ref()),
            jwk,
        }
    }

    fn sign(&self, more: &Value) -> String {
        let now = Timestamp::now().as_millis() / 1_000;
        let mut claims = value!({
            "iss": "https://id.test", "aud": "taraf", "sub": "ana", "exp": now + 300, "scope": "read",
        });
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.to_owned());
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}

struct Issuer {
    keys: Arc<watch::Sender<Value>>,
    asked: Arc<AtomicUsize>,
    stack: Stack,
    _directory: watch::Sender<Arc<Directory>>,
}

impl Issuer {
    async fn start(first: &Signer, accepted: Vec<Authenticator>) -> Self {
        let tasks = Tasks::new();
        let keys = Arc::new(watch::Sender::new(value!({"keys": [first.jwk]})));
        let asked = Arc::<AtomicUsize>::default();
        let (set, count) = (Arc::clone(&keys), Arc::clone(&asked));
        let issuer = upstream(&tasks, move |_request: Request<Incoming>| {
            count.fetch_add(1, Ordering::SeqCst);
            let set = set.borrow().to_string();
            Box::pin(async move { Response::new(body::full(set)) })
        })
        .await;
        let up = upstream(&tasks, echo).await;
        let stack = Stack::start(Vec::new(), &[up]).await;
        let config: Config = serde_json::from_value(value!({"jwt": {"partner": {
            "issuer": "https://id.test", "audience": ["taraf"], "jwks_url": format!("http://{issuer}/jwks"),
            "identity": {"plan": "wide"},
        }}, "certificates": [{"name": "dns:shop.test", "account": "shop", "plan": "wide"}]}))
        .unwrap();
        let (directory, follow) = watch::channel(Arc::new(Directory::new()));
        let client = Client::new(follow, client::Config::default(), &stack.back);
        let authenticators = Authenticators::start(&config, &client, &stack.back).unwrap();
        let route = Route {
            auth: Auth::Any(accepted),
            ..route(Method::GET, "/x")
        };
        let routes = Routes::build(vec![route])
            .unwrap()
            .with(Arc::new(authenticators));
        stack.routes.send_replace(Arc::new(routes.unwrap()));
        Self {
            keys,
            asked,
            stack,
            _directory: directory,
        }
    }

    async fn call(&self, token: &str) -> Response<Incoming> {
        let request = Request::get("/x").header("host", "gateway");
        let request = request.header("authorization", format!("Bearer {token}"));
        self.stack.send(request.body(body::empty()).unwrap()).await
    }
}

fn tokens(scopes: &[&str]) -> Authenticator {
    Authenticator::Jwt {
        issuer: "partner".to_owned(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
    }
}

#[tokio::test]
async fn a_token_stands_for_an_account_and_is_charged_to_it() {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&signer, vec![tokens(&["read"]), Authenticator::Key]).await;
    let taken = issuer.call(&signer.sign(&value!({}))).await;
    assert_eq!(taken.status(), 200);
    assert!(taken.headers().contains_key("x-ratelimit-limit"));
    let told = json(taken).await;
    assert_eq!(told["headers"]["x-taraf-plan"], "wide");
    assert!(told["headers"].get("authorization").is_none());
    assert_eq!(
        json(issuer.call(&signer.sign(&value!({}))).await).await["headers"]["x-taraf-key-id"],
        told["headers"]["x-taraf-key-id"]
    );
    let keys = issuer
        .stack
        .accounts
        .list_keys(Some("partner:ana"))
        .await
        .unwrap();
    assert_eq!(keys.len(), 1);
    let usage = issuer.stack.accounts.key_usage(keys[0].id).await.unwrap();
    assert_eq!(usage.used, 2);
    // A key is taken beside tokens.
    assert_eq!(issuer.stack.get("/x").await.status(), 200);
    assert_eq!(issuer.call(&issuer.stack.key).await.status(), 200);
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_told_why() {
    let (signer, stranger) = (Signer::new("one"), Signer::new("one"));
    let issuer = Issuer::start(&signer, vec![tokens(&["read"])]).await;
    let check = async |token: String, status: u16, error: &str, detail: &str| {
        let refused = issuer.call(&token).await;
        assert_eq!(refused.status(), status, "{detail}");
        let challenge = refused.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(challenge.contains(error), "{challenge}");
        let said = json(refused).await["detail"].as_str().unwrap().to_owned();
        assert!(said.contains(detail), "{said}");
    };
    let invalid = "error=\"invalid_token\"";
    check(signer.sign(&value!({"exp": 1})), 401, invalid, "expired").await;
    check(
        signer.sign(&value!({"aud": "other"})),
        401,
        invalid,
        "`aud`",
    )
    .await;
    check(stranger.sign(&value!({})), 401, invalid, "signature").await;
    check("a.b.c".to_owned(), 401, invalid, "not a token").await;
    let unsigned = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}"),
        URL_SAFE_NO_PAD.encode("{}")
    );
    check(unsigned, 401, invalid, "not a token").await;
    // The public key as a shared secret: the oldest trick.
    let secret = EncodingKey::from_secret(signer.jwk.to_string().as_bytes());
    let forged = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &value!({"sub": "ana"}),
        &secret,
    )
    .unwrap();
    check(forged, 401, invalid, "algorithm").await;
    check(
        signer.sign(&value!({"scope": "write"})),
        403,
        "insufficient_scope",
        "`read`",
    )
    .await;
    let none = issuer
        .stack
        .send(
            Request::get("/x")
                .header("host", "g")
                .body(body::empty())
                .unwrap(),
        )
        .await;
    assert_eq!(
        (
            none.status().as_u16(),
            none.headers()["www-authenticate"].as_bytes()
        ),
        (401, &b"Bearer realm=\"taraf\""[..])
    );
    // A key is none of what the route takes.
    assert_eq!(issuer.stack.get("/x").await.status(), 401);
}

#[tokio::test]
async fn many_tokens_of_unknown_keys_are_no_more_than_one_question() {
    let (first, second) = (Signer::new("one"), Signer::new("two"));
    let issuer = Issuer::start(&first, vec![tokens(&[])]).await;
    assert_eq!(issuer.call(&first.sign(&value!({}))).await.status(), 200);
    for _ in 0..5 {
        assert_eq!(issuer.call(&second.sign(&value!({}))).await.status(), 401);
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn new_keys_of_an_issuer_are_asked_for_when_a_token_names_one() {
    let (first, second) = (Signer::new("one"), Signer::new("two"));
    let issuer = Issuer::start(&first, vec![tokens(&[])]).await;
    assert_eq!(issuer.call(&first.sign(&value!({}))).await.status(), 200);
    issuer
        .keys
        .send_replace(value!({"keys": [first.jwk, second.jwk]}));
    let token = second.sign(&value!({}));
    let mut taken = issuer.call(&token).await;
    // Questions keep a distance from each other.
    let end = tokio::time::Instant::now() + super::stack::LIMIT;
    while taken.status() != 200 {
        assert!(tokio::time::Instant::now() < end, "the new key in time");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        taken = issuer.call(&token).await;
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 2);
}

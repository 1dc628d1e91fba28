//! What calls do while nothing fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request};
use taraf_base::Tasks;
use taraf_service::client::{Config, Egress, Rewrite};
use taraf_service::{Body, CallError, CallPolicy, ServiceName, Target, body};

use crate::peer::{Peer, Rig, eventually, get, nobody, post, whole};

#[tokio::test]
async fn calls_one_after_another_share_one_connection() {
    let tasks = Tasks::new();
    let peer = Peer::echo(&tasks).await;
    let rig = Rig::new(&[peer.address], Config::default(), &tasks);
    for n in 0..50 {
        let (status, text) = rig.get(&format!("/{n}")).await.unwrap();
        assert_eq!((status, text), (200, format!("GET /{n} HTTP/1.1").into()));
    }
    assert_eq!((peer.connections(), peer.requests()), (1, 50));
    let view = &rig.client.pools()[0].endpoints[0];
    assert_eq!((view.calls, view.in_flight, view.idle), (50, 0, 1));
}

#[tokio::test]
async fn the_host_header_is_the_service_and_the_path_alone_is_asked() {
    let tasks = Tasks::new();
    let peer = Peer::start(&tasks, |mut talk| async move {
        while let Some(head) = talk.head().await {
            talk.answer("200 OK", &head.to_ascii_lowercase()).await;
        }
    })
    .await;
    let rig = Rig::new(&[peer.address], Config::default(), &tasks);
    let (_, head) = rig
        .send(post("/a?b=c", "hello"), &CallPolicy::default())
        .await
        .unwrap();
    let head = String::from_utf8(head.to_vec()).unwrap();
    assert!(head.starts_with("post /a?b=c http/1.1\r\n"), "{head}");
    for line in [
        "host: peer.service\r\n",
        "content-length: 5\r\n",
        "user-agent: taraf/",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
}

/// Most requests are written as bytes; those that say something of their connection are not. The service
/// cannot tell them apart.
#[tokio::test]
async fn a_request_has_the_same_head_however_it_is_written() {
    let tasks = Tasks::new();
    let peer = Peer::start(&tasks, |mut talk| async move {
        while let Some(head) = talk.head().await {
            talk.answer("200 OK", &head.to_ascii_lowercase()).await;
        }
    })
    .await;
    let rig = Rig::new(&[peer.address], Config::default(), &tasks);
    for (method, text, length) in [
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "", Some("content-length: 0")),
        ("PUT", "x", Some("content-length: 1")),
        ("GET", "xy", Some("content-length: 2")),
    ] {
        let mut heads = Vec::new();
        for special in [None, Some("trailers")] {
            let mut request = Request::builder()
                .method(method)
                .uri("http://peer.service/a?b=c")
                .header("x-twice", "1")
                .header("x-twice", "2");
            if let Some(value) = special {
                request = request.header("te", value);
            }
            let request = request.body(body::full(text)).unwrap();
            let (_, head) = rig.send(request, &CallPolicy::default()).await.unwrap();
            let head = String::from_utf8(head.to_vec()).unwrap();
            let mut lines: Vec<_> = head.lines().map(str::to_owned).collect();
            lines.retain(|line| !line.starts_with("te:"));
            lines.sort_unstable();
            heads.push(lines);
        }
        assert_eq!(heads[0], heads[1], "{method} {text:?}");
        let is_length = |line: &&String| line.starts_with("content-length");
        let found = heads[0].iter().find(is_length).map(String::as_str);
        assert_eq!(found, length, "{method} {text:?}");
    }
}

#[tokio::test]
async fn a_forwarded_request_loses_what_concerns_one_connection() {
    let tasks = Tasks::new();
    let peer = Peer::start(&tasks, |mut talk| async move {
        while let Some(head) = talk.head().await {
            let (head, length) = (head.to_ascii_lowercase(), head.len());
            let answer = format!(
                "HTTP/1.1 200 OK\r\nkeep-alive: 9\r\nx-kept: 1\r\ncontent-length: {length}\r\n\r\n{head}"
            );
            talk.write(&answer).await;
        }
    })
    .await;
    let rig = Rig::new(&[peer.address], Config::default(), &tasks);
    let target = Target::service(ServiceName::new("peer").unwrap());
    let mut request = Request::get("http://front.example/x?y")
        .body(body::empty())
        .unwrap();
    for (name, value) in [("connection", "x-mine"), ("x-mine", "1"), ("x-other", "2")] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let policy = CallPolicy::default();
    let answer = rig.client.forward(request, &target, &policy).await.unwrap();
    assert!(answer.headers().get("keep-alive").is_none());
    assert_eq!(answer.headers()["x-kept"], "1");
    let (_, head) = whole(answer).await.unwrap();
    let head = String::from_utf8(head.to_vec()).unwrap();
    assert!(head.starts_with("get /x?y http/1.1\r\n"), "{head}");
    assert!(head.contains("host: peer.service\r\n") && head.contains("x-other: 2\r\n"));
    assert!(!head.contains("x-mine"), "{head}");
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    const PIECES: usize = 64;
    let tasks = Tasks::new();
    let service = axum::Router::new().route(
        "/echo",
        axum::routing::post(|body: axum::body::Body| async { body }),
    );
    let peer = serve_router(service, &tasks).await;
    let rig = Rig::new(&[peer], Config::default(), &tasks);
    let (pieces, receiver) = tokio::sync::mpsc::channel::<bytes::Bytes>(1);
    let request = Request::post("http://peer.service/echo")
        .body(Body::new(Pieces(receiver)))
        .unwrap();
    let sent = async move {
        for _ in 0..PIECES {
            pieces.send(vec![7; 16 * 1024].into()).await.unwrap();
        }
    };
    let policy = CallPolicy::default();
    let (_, answer) = tokio::join!(sent, rig.send(request, &policy));
    let (status, bytes) = answer.unwrap();
    assert_eq!((status, bytes.len()), (200, PIECES * 16 * 1024));
}

#[tokio::test]
async fn a_call_counts_until_its_body_was_read_and_then_frees_its_connection() {
    let tasks = Tasks::new();
    let big = "x".repeat(1 << 20);
    let peer = Peer::start(&tasks, move |mut talk| {
        let big = big.clone();
        async move {
            while talk.head().await.is_some() {
                talk.answer("200 OK", &big).await;
            }
        }
    })
    .await;
    let rig = Rig::new(&[peer.address], Config::default(), &tasks);
    let view = || rig.client.pools()[0].endpoints[0].clone();
    let policy = CallPolicy::default();
    let answer = rig.client.call(get("/"), &policy).await.unwrap();
    assert_eq!(view().in_flight, 1);
    assert_eq!(whole(answer).await.unwrap().1.len(), 1 << 20);
    assert_eq!((view().in_flight, view().idle), (0, 1));
    // A body that is dropped takes its connection with it.
    drop(rig.client.call(get("/"), &policy).await.unwrap());
    assert_eq!(
        (view().in_flight, view().idle, peer.connections()),
        (0, 0, 1)
    );
}

#[tokio::test]
async fn answers_of_every_shape_leave_the_connection_usable() {
    let tasks = Tasks::new();
    let peer = Peer::start(&tasks, |mut talk| async move {
        while let Some(head) = talk.head().await {
            let answer = match head.split(' ').nth(1).unwrap() {
                "/none" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/empty" => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                "/head" => "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n",
                "/same" => "HTTP/1.1 304 Not Modified\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            };
            talk.write("HTTP/1.1 103 Early Hints\r\n\r\n").await;
            talk.write(answer).await;
        }
    })
    .await;
    let rig = Rig::new(&[peer.address], Config::default(), &tasks);
    for _ in 0..3 {
        assert_eq!(rig.get("/none").await.unwrap(), (204, "".into()));
        assert_eq!(rig.get("/empty").await.unwrap(), (200, "".into()));
        assert_eq!(rig.get("/same").await.unwrap(), (304, "".into()));
        assert_eq!(rig.get("/chunks").await.unwrap(), (200, "hi".into()));
        let head = Request::head("http://peer.service/head")
            .body(body::empty())
            .unwrap();
        let answer = rig.client.call(head, &CallPolicy::default()).await.unwrap();
        assert_eq!(answer.headers()["content-length"], "99");
        assert_eq!(whole(answer).await.unwrap(), (200, "".into()));
    }
    assert_eq!(peer.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changing_directory_fails_no_call() {
    const CALLERS: usize = 8;
    let tasks = Tasks::new();
    let peers = [
        Peer::echo(&tasks).await,
        Peer::echo(&tasks).await,
        Peer::echo(&tasks).await,
    ];
    let addresses: Vec<_> = peers.iter().map(|peer| peer.address).collect();
    let rig = Arc::new(Rig::new(&addresses, Config::default(), &tasks));
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (results, mut received) = tokio::sync::mpsc::channel(CALLERS);
    for _ in 0..CALLERS {
        let (rig, is_over, results) = (rig.clone(), is_over.clone(), results.clone());
        tasks.spawn("caller", async move {
            let mut calls = 0_usize;
            let mut failed = Vec::new();
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                calls += 1;
                let policy = CallPolicy {
                    retries: 0,
                    ..CallPolicy::default()
                };
                if let Err(error) = rig.send(post("/", "x"), &policy).await {
                    failed.push(error.to_string());
                }
            }
            results.send((calls, failed)).await.unwrap();
        });
    }
    for n in 0..100 {
        rig.publish(&[addresses[n % 3], addresses[(n + 1) % 3]]);
        // Some calls pass under each directory.
        let before = peers.iter().map(Peer::requests).sum::<usize>();
        eventually("calls flow", || {
            peers.iter().map(Peer::requests).sum::<usize>() > before + 5
        })
        .await;
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut calls = 0;
    for _ in 0..CALLERS {
        let (count, failed) = received.recv().await.unwrap();
        assert_eq!(failed, Vec::<String>::new());
        calls += count;
    }
    assert_eq!(calls, peers.iter().map(Peer::requests).sum::<usize>());
    let used: BTreeSet<_> = peers.iter().map(|peer| peer.requests() > 0).collect();
    assert_eq!(used, BTreeSet::from([true]));
}

#[tokio::test]
async fn what_nobody_offers_is_told_from_what_has_no_endpoint() {
    let tasks = Tasks::new();
    let rig = Rig::new(&[], Config::default(), &tasks);
    assert!(matches!(rig.get("/").await, Err(CallError::NoEndpoint(name)) if name == "peer"));
    let other = Request::get("http://other.service/")
        .body(body::empty())
        .unwrap();
    let result = rig.client.call(other, &CallPolicy::default()).await;
    assert!(matches!(result, Err(CallError::NoSuchService(name)) if name == "other"));
    // A directory published later is seen by the next call.
    let peer = Peer::echo(&tasks).await;
    rig.publish(&[peer.address]);
    assert_eq!(rig.get("/").await.unwrap().0, 200);
}

#[tokio::test]
async fn a_drained_endpoint_takes_no_new_calls_and_keeps_those_under_way() {
    let tasks = Tasks::new();
    let goes_on = Arc::new(tokio::sync::Semaphore::new(0));
    let held = Arc::clone(&goes_on);
    let slow = Peer::start(&tasks, move |mut talk| {
        let held = Arc::clone(&held);
        async move {
            while talk.head().await.is_some() {
                talk.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
                    .await;
                held.acquire().await.unwrap().forget();
                talk.write("ok").await;
            }
        }
    })
    .await;
    let peers = [slow, Peer::echo(&tasks).await];
    let both = peers.each_ref().map(|peer| peer.address);
    let rig = Rig::new(&both, Config::default(), &tasks);
    // The answer's head is there, its body is not: the call is under way.
    let under_way = loop {
        let call = rig.client.call(get("/"), &CallPolicy::default()).await;
        let call = call.unwrap();
        if peers[0].requests() > 0 {
            break call;
        }
    };
    rig.drain(&both, &both[..1]);
    let before = peers[0].requests();
    for _ in 0..20 {
        assert_eq!(rig.get("/").await.unwrap().0, 200);
    }
    assert_eq!(peers[0].requests(), before);
    let states = || rig.client.pools()[0].endpoints.clone();
    assert_eq!(states()[0].state, taraf_service::EndpointState::Drained);
    assert_eq!(states()[0].in_flight, 1);
    goes_on.add_permits(20);
    whole(under_way).await.unwrap();
    assert_eq!(states()[0].in_flight, 0);
    rig.drain(&both, &both);
    assert!(matches!(rig.get("/").await, Err(CallError::NoEndpoint(_))));
    rig.publish(&both);
    assert_eq!(rig.get("/").await.unwrap().0, 200);
    assert_eq!(states()[0].state, taraf_service::EndpointState::Closed);
}

#[tokio::test]
async fn other_hosts_are_called_as_the_policy_allows_and_the_table_rewrites() {
    let tasks = Tasks::new();
    let peer = Peer::echo(&tasks).await;
    let config = Config {
        egress: Egress::Only(vec!["localhost".to_owned()]),
        rewrites: vec![Rewrite {
            from: "https://api.example/v1".to_owned(),
            to: format!("http://{}/stub", peer.address),
        }],
        ..Config::default()
    };
    let rig = Rig::new(&[], config, &tasks);
    let call = async |uri: String| {
        let request = Request::get(uri).body(body::empty()).unwrap();
        rig.send(request, &CallPolicy::default()).await
    };
    let (_, line) = call(format!("http://localhost:{}/x", peer.address.port()))
        .await
        .unwrap();
    assert_eq!(line, "GET /x HTTP/1.1");
    let (_, line) = call("https://api.example/v1/y?z".to_owned()).await.unwrap();
    assert_eq!(line, "GET /stub/y?z HTTP/1.1");
    let denied = call(format!("http://{}/", peer.address)).await;
    assert!(matches!(denied, Err(CallError::Denied(_))));
    let names: Vec<_> = rig
        .client
        .pools()
        .into_iter()
        .map(|pool| pool.name)
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[tokio::test]
async fn tls_to_a_server_without_it_is_a_failed_connection() {
    let tasks = Tasks::new();
    let peer = Peer::echo(&tasks).await;
    let rig = Rig::new(&[], Config::default(), &tasks);
    let uri = format!("https://{}/", peer.address);
    let request = Request::get(uri).body(body::empty()).unwrap();
    let policy = CallPolicy {
        retries: 0,
        deadline: Duration::from_secs(5),
        ..CallPolicy::default()
    };
    let result = rig.client.call(request, &policy).await;
    assert!(
        matches!(
            result,
            Err(CallError::Connect { .. } | CallError::Timeout { .. })
        ),
        "{result:?}"
    );
    assert!(nobody().await.port() > 0);
}

/// A body of pieces as they come.
struct Pieces(tokio::sync::mpsc::Receiver<bytes::Bytes>);

impl http_body::Body for Pieces {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|piece| piece.map(|piece| Ok(http_body::Frame::data(piece))))
    }
}

async fn serve_router(router: axum::Router, tasks: &Tasks) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let document = serde_json::json!({"openapi": "3.1.0"});
    let descriptor = taraf_service::Descriptor::from_openapi("peer", document).unwrap();
    let service = taraf_service::Service::new(descriptor, router);
    let config = taraf_service::serve::Config::default();
    let served = taraf_service::serve::serve(listener, vec![service], config, tasks);
    served.await.unwrap().addr
}

//! What calls do when the other side fails.

use std::time::{Duration, Instant};

use http::Request;
use taraf_base::Tasks;
use taraf_service::client::Config;
use taraf_service::{Body, CallError, CallPolicy, EndpointState, body, breaker};

use crate::peer::{LIMIT, Peer, Rig, Talk, eventually, get, nobody, post, whole};

fn once() -> CallPolicy {
    CallPolicy {
        retries: 0,
        ..CallPolicy::default()
    }
}

/// A server that acts so, and a client of it.
async fn facing<F, R>(tasks: &Tasks, act: F) -> (Peer, Rig)
where
    F: Fn(Talk) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let peer = Peer::start(tasks, act).await;
    let rig = Rig::new(&[peer.address], Config::default(), tasks);
    (peer, rig)
}

/// The second request of each connection is read and not answered.
async fn answers_once(mut talk: Talk) {
    if talk.head().await.is_some() {
        talk.answer("200 OK", "first").await;
        talk.head().await;
    }
}

/// Requests are read, and the end of the connection is the only thing that comes after them.
async fn never_answers(mut talk: Talk) {
    talk.head().await;
    talk.head().await;
}

/// A server that answers one request a connection and closes it without saying so.
async fn forgetful(tasks: &Tasks) -> Peer {
    Peer::start(tasks, |mut talk| async move {
        if talk.head().await.is_some() {
            talk.answer("200 OK", "once").await;
        }
    })
    .await
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_not_used_again() {
    let tasks = Tasks::new();
    let peer = forgetful(&tasks).await;
    let rig = Rig::new(&[peer.address], Config::default(), &tasks);
    for _ in 0..20 {
        // Not even what must not be sent twice fails: nothing of it went into the dead connection.
        assert_eq!(rig.send(post("/", "x"), &once()).await.unwrap().0, 200);
        eventually("the talk has ended", || tasks.running() == 2).await;
    }
    assert_eq!(peer.requests(), 20);
}

#[tokio::test]
async fn a_kept_connection_that_dies_under_a_request_is_replaced_once_for_what_is_idempotent() {
    let tasks = Tasks::new();
    let (peer, rig) = facing(&tasks, answers_once).await;
    assert_eq!(rig.send(get("/"), &once()).await.unwrap().0, 200);
    assert_eq!(rig.send(get("/"), &once()).await.unwrap().0, 200);
    assert_eq!((peer.connections(), peer.requests()), (2, 3));
    // A POST may have had its effect: the failure is told.
    let result = rig.send(post("/", "x"), &once()).await;
    assert!(matches!(result, Err(CallError::Closed(_))), "{result:?}");
    // The caller may say that it is harmless.
    assert_eq!(rig.send(post("/", "x"), &once()).await.unwrap().0, 200);
    let harmless = CallPolicy {
        idempotent: true,
        ..once()
    };
    assert_eq!(rig.send(post("/", "x"), &harmless).await.unwrap().0, 200);
    let view = &rig.client.pools()[0].endpoints[0];
    assert_eq!(view.state, EndpointState::Closed);
}

#[tokio::test]
async fn a_refused_connection_is_tried_on_another_endpoint_whatever_the_method() {
    let tasks = Tasks::new();
    let peer = Peer::echo(&tasks).await;
    let rig = Rig::new(&[nobody().await, peer.address], Config::default(), &tasks);
    for _ in 0..20 {
        let answer = rig.send(post("/", "x"), &CallPolicy::default()).await;
        assert_eq!(answer.unwrap().0, 200);
    }
    assert_eq!(peer.requests(), 20);
}

#[tokio::test]
async fn a_breaker_opens_after_failures_and_one_call_tries_later() {
    let tasks = Tasks::new();
    let address = nobody().await;
    let breaker = breaker::Config {
        failures: 3,
        open_first: Duration::from_millis(50),
        open_max: Duration::from_millis(50),
    };
    let config = Config {
        breaker,
        ..Config::default()
    };
    let rig = Rig::new(&[address], config, &tasks);
    for _ in 0..3 {
        let result = rig.send(get("/"), &once()).await;
        assert!(
            matches!(result, Err(CallError::Connect { .. })),
            "{result:?}"
        );
    }
    let result = rig.send(get("/"), &once()).await;
    assert!(
        matches!(result, Err(CallError::BreakerOpen(_))),
        "{result:?}"
    );
    assert_eq!(
        rig.client.pools()[0].endpoints[0].state,
        EndpointState::Open
    );
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tasks.spawn("late server", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            let mut buffer = [0; 1024];
            let _read = stream.readable().await;
            let _count = stream.try_read(&mut buffer);
            let _written = stream.try_write(answer);
        }
    });
    let wait = async {
        while rig.send(get("/"), &once()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap();
    assert_eq!(
        rig.client.pools()[0].endpoints[0].state,
        EndpointState::Closed
    );
}

#[tokio::test]
async fn a_slow_answer_ends_at_the_deadline_and_its_connection_with_it() {
    let tasks = Tasks::new();
    let (_, rig) = facing(&tasks, |mut talk| async move {
        talk.head().await;
        // The end of the connection is the only thing that comes.
        assert_eq!(talk.head().await, None);
    })
    .await;
    let policy = CallPolicy {
        deadline: Duration::from_millis(30),
        ..once()
    };
    let began = Instant::now();
    let result = rig.send(get("/"), &policy).await;
    assert!(
        matches!(result, Err(CallError::Timeout { what: "answer", .. })),
        "{result:?}"
    );
    assert!(began.elapsed() < LIMIT);
    eventually("the connection is closed", || tasks.running() == 2).await;
    let view = rig.client.pools()[0].endpoints[0].clone();
    assert_eq!((view.in_flight, view.failures), (0, 1));
}

#[tokio::test]
async fn an_attempt_that_is_slow_is_followed_by_another() {
    let tasks = Tasks::new();
    let (_, rig) = facing(&tasks, |mut talk| async move {
        talk.head().await;
        if talk.number > 0 {
            talk.answer("200 OK", "second").await;
        }
        talk.head().await;
    })
    .await;
    let policy = CallPolicy {
        attempt: Some(Duration::from_millis(30)),
        ..CallPolicy::default()
    };
    assert_eq!(
        rig.send(get("/"), &policy).await.unwrap(),
        (200, "second".into())
    );
}

#[tokio::test]
async fn answers_that_say_not_now_are_asked_again_and_the_last_one_stands() {
    let tasks = Tasks::new();
    let (peer, rig) = facing(&tasks, |mut talk| async move {
        let mut count = 0;
        while let Some(head) = talk.head().await {
            count += 1;
            let is_done = head.starts_with("GET /heals") && count == 2;
            let status = if is_done {
                "200 OK"
            } else {
                "503 Service Unavailable"
            };
            talk.answer(status, "").await;
        }
    })
    .await;
    assert_eq!(rig.get("/heals").await.unwrap().0, 200);
    assert_eq!(peer.requests(), 2);
    assert_eq!(rig.get("/never").await.unwrap().0, 503);
    assert_eq!(peer.requests(), 4);
    let answer = rig.send(post("/", "x"), &CallPolicy::default()).await;
    assert_eq!(answer.unwrap().0, 503);
    assert_eq!(peer.requests(), 5);
    // Answers with errors do not open the breaker: the endpoint lives.
    assert_eq!(
        rig.client.pools()[0].endpoints[0].state,
        EndpointState::Closed
    );
}

#[tokio::test]
async fn retries_stop_when_the_budget_is_spent() {
    let tasks = Tasks::new();
    let peer = Peer::start(&tasks, |mut talk| async move {
        while talk.head().await.is_some() {
            talk.answer("503 Service Unavailable", "").await;
        }
    })
    .await;
    let retry = taraf_service::retry::Config {
        percent: 10,
        per_second_min: 0,
        wait_first: Duration::ZERO,
        ..taraf_service::retry::Config::default()
    };
    let rig = Rig::new(
        &[peer.address],
        Config {
            retry,
            ..Config::default()
        },
        &tasks,
    );
    let policy = CallPolicy {
        retries: 5,
        ..CallPolicy::default()
    };
    for _ in 0..100 {
        assert_eq!(rig.send(get("/"), &policy).await.unwrap().0, 503);
    }
    assert_eq!(peer.requests(), 110);
}

#[tokio::test]
async fn a_body_that_is_cut_is_an_error_and_not_a_short_answer() {
    let tasks = Tasks::new();
    let (_, rig) = facing(&tasks, |mut talk| async move {
        let head = talk.head().await.unwrap();
        if head.contains("/chunks") {
            let begun = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
            talk.write(begun).await;
        } else {
            talk.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
                .await;
        }
    })
    .await;
    for path in ["/length", "/chunks"] {
        let result = rig.get(path).await;
        assert!(
            matches!(result, Err(CallError::Closed(_))),
            "{path}: {result:?}"
        );
    }
    assert_eq!(rig.client.pools()[0].endpoints[0].in_flight, 0);
}

#[tokio::test]
async fn a_body_that_pauses_too_long_is_given_up() {
    let tasks = Tasks::new();
    let (_, rig) = facing(&tasks, |mut talk| async move {
        talk.head().await;
        talk.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
            .await;
        talk.head().await;
    })
    .await;
    let policy = CallPolicy {
        body_idle: Duration::from_millis(20),
        ..once()
    };
    let result = rig.send(get("/"), &policy).await;
    assert!(
        matches!(result, Err(CallError::Timeout { .. })),
        "{result:?}"
    );
    eventually("the connection is closed", || tasks.running() == 2).await;
}

#[tokio::test]
async fn what_is_not_http_and_heads_that_are_too_large_are_errors() {
    let tasks = Tasks::new();
    let (_, rig) = facing(&tasks, |mut talk| async move {
        let head = talk.head().await.unwrap();
        if head.contains("/large") {
            talk.write(&format!(
                "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n",
                "y".repeat(1 << 17)
            ))
            .await;
        } else {
            talk.write("* OK this is IMAP\r\n\r\n").await;
        }
        talk.head().await;
    })
    .await;
    for path in ["/imap", "/large"] {
        let result = rig.send(get(path), &once()).await;
        assert!(
            matches!(result, Err(CallError::Closed(_))),
            "{path}: {result:?}"
        );
    }
}

#[tokio::test]
async fn a_longer_answer_than_the_caller_takes_is_refused() {
    let tasks = Tasks::new();
    let (_, rig) = facing(&tasks, |mut talk| async move {
        talk.head().await;
        talk.answer("200 OK", "0123456789").await;
    })
    .await;
    let answer = rig.client.call(get("/"), &once()).await.unwrap();
    let error = CallError::from(body::collect(answer.into_body(), 9).await.unwrap_err());
    assert!(matches!(error, CallError::TooLarge { max: 9 }), "{error:?}");
}

#[tokio::test]
async fn more_calls_than_an_endpoint_may_have_are_refused_at_once() {
    let tasks = Tasks::new();
    let big = "x".repeat(1 << 22);
    let peer = Peer::start(&tasks, move |mut talk| {
        let big = big.clone();
        async move {
            talk.head().await;
            talk.answer("200 OK", &big).await;
        }
    })
    .await;
    let config = Config {
        in_flight_max: 1,
        ..Config::default()
    };
    let rig = Rig::new(&[peer.address], config, &tasks);
    let answer = rig.client.call(get("/"), &once()).await.unwrap();
    let result = rig.client.call(get("/"), &once()).await;
    assert!(
        matches!(result, Err(CallError::Overloaded(_))),
        "{result:?}"
    );
    whole(answer).await.unwrap();
    assert!(rig.client.call(get("/"), &once()).await.is_ok());
}

#[tokio::test]
async fn a_request_whose_body_breaks_off_blames_nobody() {
    let tasks = Tasks::new();
    let peer = Peer::echo(&tasks).await;
    let rig = Rig::new(&[peer.address], Config::default(), &tasks);
    let request = Request::post("http://peer.service/")
        .body(Body::new(Broken))
        .unwrap();
    let result = rig.client.call(request, &once()).await;
    assert!(matches!(result, Err(CallError::Invalid(_))), "{result:?}");
    assert_eq!(rig.client.pools()[0].endpoints[0].failures, 0);
}

#[tokio::test]
async fn a_request_whose_body_does_not_come_blames_nobody() {
    let tasks = Tasks::new();
    let (_, rig) = facing(&tasks, never_answers).await;
    let policy = CallPolicy {
        deadline: Duration::from_millis(50),
        ..once()
    };
    let request = Request::post("http://peer.service/")
        .body(Body::new(Absent))
        .unwrap();
    let result = rig.client.call(request, &policy).await;
    assert!(
        matches!(result, Err(CallError::Timeout { .. })),
        "{result:?}"
    );
    assert_eq!(rig.client.pools()[0].endpoints[0].failures, 0);
    // An endpoint that has it all and does not answer is to blame.
    let result = rig.client.call(post("/", "x"), &policy).await;
    assert!(result.is_err());
    assert_eq!(rig.client.pools()[0].endpoints[0].failures, 1);
}

#[tokio::test]
async fn what_must_go_once_is_not_sent_again_though_its_method_may() {
    let tasks = Tasks::new();
    let (peer, rig) = facing(&tasks, answers_once).await;
    let policy = CallPolicy {
        once: true,
        ..CallPolicy::default()
    };
    assert_eq!(rig.send(get("/"), &policy).await.unwrap().0, 200);
    let result = rig.send(get("/"), &policy).await;
    assert!(matches!(result, Err(CallError::Closed(_))), "{result:?}");
    assert_eq!(peer.requests(), 2);
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_nothing_behind() {
    let tasks = Tasks::new();
    let (peer, rig) = facing(&tasks, never_answers).await;
    tokio::select! {
        _never = rig.get("/") => panic!("nothing answers"),
        () = eventually("the request arrived", || peer.requests() == 1) => {}
    }
    let view = rig.client.pools()[0].endpoints[0].clone();
    assert_eq!((view.in_flight, view.idle, view.calls), (0, 0, 0));
    eventually("the connection is closed", || tasks.running() == 2).await;
}

/// A body that never comes.
struct Absent;

impl http_body::Body for Absent {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

/// A body that fails at once.
struct Broken;

impl http_body::Body for Broken {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        std::task::Poll::Ready(Some(Err(std::io::ErrorKind::BrokenPipe.into())))
    }
}

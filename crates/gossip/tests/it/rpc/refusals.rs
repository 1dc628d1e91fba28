//! What the server refuses, byte for byte as Serf does, and what it does not put up with.

use taraf_gossip::rpc::codec::{AnswerHeader, Reader, Request, RequestHeader, VERSION, encode};
use taraf_gossip::rpc::{Client, Settings};
use taraf_gossip::wire::msgpack::Encoder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Served, limits, within};

/// A client that says what it likes.
struct Raw {
    stream: TcpStream,
    reader: Reader,
    seq: u64,
}

impl Raw {
    async fn connect(served: &Served) -> Self {
        Self {
            stream: TcpStream::connect(served.address).await.unwrap(),
            reader: Reader::new(1 << 20),
            seq: 0,
        }
    }

    async fn shaken(served: &Served) -> Self {
        let mut raw = Self::connect(served).await;
        assert_eq!(raw.ask(Request::Handshake { version: VERSION }).await, "");
        raw
    }

    async fn header(&mut self, command: &str) {
        self.seq += 1;
        let header = RequestHeader {
            command: command.to_owned(),
            seq: self.seq,
        };
        self.stream.write_all(&encode(&[&header])).await.unwrap();
    }

    /// Sends a request, and gives the error of its answer.
    async fn ask(&mut self, request: Request) -> String {
        self.header(request.command().word()).await;
        let mut body = bytes::BytesMut::new();
        request.encode_body(&mut Encoder::rpc(&mut body));
        self.stream.write_all(&body).await.unwrap();
        self.answer().await.expect("an answer")
    }

    /// The error of the next answer; none when the server closed the connection.
    async fn answer(&mut self) -> Option<String> {
        within(async {
            loop {
                if let Some(header) = self.reader.read::<AnswerHeader>().unwrap() {
                    assert_eq!(header.seq, self.seq);
                    return Some(header.error);
                }
                let read = self.stream.read_buf(self.reader.buffer()).await;
                if read.unwrap_or(0) == 0 {
                    return None;
                }
            }
        })
        .await
    }
}

#[tokio::test]
async fn hands_are_shaken_first_and_once_and_in_the_right_version() {
    let served = Served::start().await;
    let mut raw = Raw::connect(&served).await;
    raw.header("members").await;
    assert_eq!(raw.answer().await.as_deref(), Some("Handshake required"));
    assert_eq!(raw.answer().await, None);
    let mut raw = Raw::connect(&served).await;
    assert_eq!(
        raw.ask(Request::Handshake { version: 99 }).await,
        "Unsupported IPC version"
    );
    assert_eq!(raw.ask(Request::Handshake { version: VERSION }).await, "");
    assert_eq!(
        raw.ask(Request::Handshake { version: VERSION }).await,
        "Handshake already performed"
    );
    assert_eq!(raw.ask(Request::Stop { stream: 999 }).await, "");
}

#[tokio::test]
async fn without_the_key_nothing_is_done() {
    let settings = Settings {
        key: "secret".to_owned().into(),
        ..Settings::default()
    };
    let served = Served::with(settings).await;
    let mut raw = Raw::shaken(&served).await;
    let event = || Request::Event {
        name: "e".into(),
        payload: bytes::Bytes::new(),
        coalesce: false,
    };
    assert_eq!(raw.ask(event()).await, "Authentication required");
    assert_eq!(raw.ask(Request::Stats).await, "Authentication required");
    assert_eq!(
        raw.ask(Request::Auth {
            key: "secreT".into()
        })
        .await,
        "Invalid authentication token"
    );
    assert_eq!(raw.ask(event()).await, "Authentication required");
    assert!(served.agent.did().is_empty());
    assert_eq!(
        raw.ask(Request::Auth {
            key: "secret".into()
        })
        .await,
        ""
    );
    assert_eq!(raw.ask(event()).await, "");
    let address = served.address.to_string();
    assert!(Client::connect(&address, "secret").await.is_ok());
    let wrong = Client::connect(&address, "wrong").await.err().unwrap();
    assert_eq!(wrong.to_string(), "Invalid authentication token");
    let mut without = Client::connect(&address, "").await.unwrap();
    assert_eq!(
        without.members().await.unwrap_err().to_string(),
        "Authentication required"
    );
}

#[tokio::test]
async fn a_key_where_none_is_wanted_is_wrong() {
    let served = Served::start().await;
    let mut raw = Raw::shaken(&served).await;
    assert_eq!(
        raw.ask(Request::Auth { key: "x".into() }).await,
        "Invalid authentication token"
    );
    assert_eq!(raw.ask(Request::Auth { key: String::new() }).await, "");
}

#[tokio::test]
async fn requests_that_make_no_sense_are_answered_in_serfs_words() {
    let served = Served::start().await;
    let mut raw = Raw::shaken(&served).await;
    assert_eq!(
        raw.ask(Request::Stream {
            kinds: "bogus".into()
        })
        .await,
        "Invalid event filter"
    );
    assert_eq!(
        raw.ask(Request::Monitor {
            level: "bogus".into()
        })
        .await,
        "Unknown log level: BOGUS"
    );
    assert_eq!(
        raw.ask(Request::Respond {
            id: 7,
            payload: bytes::Bytes::new()
        })
        .await,
        "No pending queries matching ID"
    );
    assert_eq!(
        raw.ask(Request::Monitor {
            level: "info".into()
        })
        .await,
        ""
    );
    assert_eq!(
        raw.ask(Request::Monitor {
            level: "info".into()
        })
        .await,
        "Monitor already exists"
    );
    let query = |name: &str, payload| {
        let payload = Option::<&[u8]>::map(payload, bytes::Bytes::copy_from_slice);
        Request::Query(taraf_gossip::rpc::QueryRequest {
            name: name.into(),
            payload,
            ..Default::default()
        })
    };
    let internal = "Queries cannot contain the '_serf_' prefix";
    assert_eq!(raw.ask(query("_serf_x", None)).await, internal);
    assert_eq!(raw.ask(query("_serf_ping", Some(b""))).await, internal);
    // A stream's number is that of its request: twice the same is refused.
    raw.seq -= 1;
    let seq = raw.seq;
    assert_eq!(
        raw.ask(Request::Stream {
            kinds: "user".into()
        })
        .await,
        ""
    );
    raw.seq = seq;
    assert_eq!(
        raw.ask(Request::Stream {
            kinds: "user".into()
        })
        .await,
        "Stream with given sequence exists"
    );
    raw.header("bogus").await;
    assert_eq!(raw.answer().await.as_deref(), Some("Unsupported command"));
    assert_eq!(raw.answer().await, None);
}

#[tokio::test]
async fn an_expression_that_is_none_closes_the_connection() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let closed = client
        .members_filtered(Default::default(), String::new(), "[".into())
        .await;
    assert_eq!(closed.unwrap_err().to_string(), "client closed");
}

#[tokio::test]
async fn bytes_that_are_no_request_or_too_many_close_the_connection() {
    let served = Served::start().await;
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\xc6\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc1",
        b"\x90",
    ] {
        let mut raw = Raw::connect(&served).await;
        raw.stream.write_all(bytes).await.unwrap();
        raw.stream.write_all(bytes).await.unwrap();
        match raw.answer().await.as_deref() {
            None | Some("Handshake required") => {}
            other => panic!("{bytes:?}: {other:?}"),
        }
    }
    let mut raw = Raw::shaken(&served).await;
    raw.header("join").await;
    // A list that claims to have more addresses than a request may have bytes.
    raw.stream
        .write_all(b"\x81\xa8Existing\xdd\x00\xff\xff\xff")
        .await
        .unwrap();
    assert_eq!(raw.answer().await, None);
}

#[tokio::test]
async fn clients_beyond_the_limit_are_closed_and_come_in_when_one_goes() {
    let served = Served::with(limits(|limits| {
        limits.connections_max = 1;
    }))
    .await;
    let first = Raw::shaken(&served).await;
    let mut second = Raw::connect(&served).await;
    assert_eq!(second.answer().await, None);
    drop(first);
    within(async {
        while Client::connect(&served.address.to_string(), "")
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused() {
    let served = Served::with(limits(|limits| limits.streams_max = 1)).await;
    let mut client = served.client().await;
    let first = client.stream("*").await.unwrap();
    let error = client.stream("*").await.unwrap_err().to_string();
    assert_eq!(error, "There are 1 streams on this connection already");
    client.stop(first).await.unwrap();
    client.stream("*").await.unwrap();
}

#[tokio::test]
async fn a_client_that_never_shakes_hands_is_closed() {
    let served = Served::with(limits(|limits| {
        limits.patience = std::time::Duration::from_millis(20);
    }))
    .await;
    let mut raw = Raw::connect(&served).await;
    assert_eq!(raw.answer().await, None);
}

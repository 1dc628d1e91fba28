//! `dig` and `kdig` ask our server.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use taraf_base::Tasks;
use taraf_service::dns::{Config, Names, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{LIMIT, dig, names, short, tool};

struct Asked {
    server: Server,
    names: watch::Sender<Arc<Names>>,
    tasks: Tasks,
}

impl Asked {
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            listen: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()],
            ..Config::default()
        };
        change(&mut config);
        let first = names(&[
            ("web1", "10.0.0.1", 80, 3, true),
            ("web2", "10.0.0.2", 81, 1, true),
            ("web6", "2001:db8::6", 82, 0, true),
        ]);
        let (names, follow) = watch::channel(first);
        let tasks = Tasks::new();
        let server = Server::start(&config, follow, &tasks).await.unwrap();
        Self {
            server,
            names,
            tasks,
        }
    }

    fn v4(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    fn v6(&self) -> SocketAddr {
        self.server.addresses()[1]
    }

    fn count(&self, what: &str) -> u64 {
        let rows = self.server.counters().rows();
        rows.iter().find(|(name, _)| *name == what).unwrap().1
    }

    async fn stop(self) {
        assert!(self.tasks.drain(LIMIT).await.is_empty());
    }
}

#[tokio::test]
async fn dig_finds_nodes_and_services_over_both_families_and_transports() {
    let asked = Asked::start(|_| {}).await;
    for server in [asked.v4(), asked.v6()] {
        for transport in ["+notcp", "+tcp"] {
            let ask = async |words: &[&str]| short(server, &[words, &[transport]].concat()).await;
            assert_eq!(ask(&["web1.node.taraf", "A"]).await, ["10.0.0.1"]);
            assert_eq!(ask(&["web6.node.taraf", "AAAA"]).await, ["2001:db8::6"]);
            let texts = ["\"service=web\"", "\"version=2\""];
            assert_eq!(ask(&["web1.node.taraf", "TXT"]).await, texts);
            let both = ["10.0.0.1", "10.0.0.2"];
            assert_eq!(ask(&["web.service.taraf"]).await, both);
            assert_eq!(ask(&["version-2.web.service.taraf"]).await, both);
            let places = [
                "1 1 81 web2.node.taraf.",
                "1 3 80 web1.node.taraf.",
                "2 0 82 web6.node.taraf.",
            ];
            assert_eq!(ask(&["_web._tcp.service.taraf", "SRV"]).await, places);
        }
    }
    assert!(asked.count("udp") >= 12 && asked.count("tcp") >= 12);
    asked.stop().await;
}

#[tokio::test]
async fn dig_sees_flags_and_sections_as_an_authority_has_them() {
    let asked = Asked::start(|config| config.ttl = Duration::from_secs(9)).await;
    let server = asked.v4();
    let nothing = dig(server, &["web9.node.taraf", "+norec"]).await;
    assert!(
        nothing.contains("status: NXDOMAIN") && nothing.contains("flags: qr aa;"),
        "{nothing}"
    );
    let soa = "taraf.\t\t\t9\tIN\tSOA\tns.taraf. hostmaster.taraf. 7 60 10 3600 9";
    assert!(nothing.contains(soa), "{nothing}");
    let empty = dig(server, &["web1.node.taraf", "AAAA"]).await;
    assert!(
        empty.contains("status: NOERROR") && empty.contains("ANSWER: 0, AUTHORITY: 1"),
        "{empty}"
    );
    let places = dig(server, &["web.service.taraf", "SRV"]).await;
    assert!(
        places.contains("ANSWER: 3, AUTHORITY: 0, ADDITIONAL: 4"),
        "{places}"
    );
    assert!(
        places.contains("web2.node.taraf.\t9\tIN\tA\t10.0.0.2"),
        "{places}"
    );
    assert_eq!(short(server, &["taraf", "NS"]).await, ["ns.taraf."]);
    let own = asked.v4().ip().to_string();
    assert_eq!(short(server, &["ns.taraf", "A"]).await, [own]);
    for words in [
        ["example.com", "A"],
        ["taraf", "AXFR"],
        ["version.bind", "TXT"],
    ] {
        let refused = dig(server, &[&words[..], &["+tcp"]].concat()).await;
        let is_refused = refused.contains("REFUSED") || refused.contains("Transfer failed");
        assert!(is_refused, "{refused}");
    }
    let edns = dig(server, &["web1.node.taraf", "+edns=3", "+noednsneg"]).await;
    assert!(edns.contains("status: BADVERS"), "{edns}");
    asked.stop().await;
}

#[tokio::test]
async fn answers_follow_the_snapshot_and_begin_with_each_in_turn() {
    let asked = Asked::start(|_| {}).await;
    let mut firsts = BTreeSet::new();
    for _ in 0..60 {
        let text = dig(asked.v4(), &["web.service.taraf", "+short"]).await;
        firsts.extend(text.lines().next().map(str::to_owned));
        if firsts.len() == 2 {
            break;
        }
    }
    assert_eq!(firsts.len(), 2, "{firsts:?}");
    let later = [
        ("web1", "10.0.0.1", 80, 1, false),
        ("web3", "10.0.0.3", 80, 1, true),
    ];
    asked.names.send_replace(names(&later));
    assert_eq!(
        short(asked.v4(), &["web.service.taraf"]).await,
        ["10.0.0.3"]
    );
    let failed = dig(asked.v4(), &["web1.node.taraf"]).await;
    assert!(
        failed.contains("status: NOERROR") && failed.contains("ANSWER: 0"),
        "{failed}"
    );
    asked.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_is_cut_and_asked_for_again_over_tcp() {
    let asked = Asked::start(|config| config.answers_max = 1_000).await;
    let crowd: Vec<_> = (0..200)
        .map(|n| (format!("node-{n}"), format!("10.0.1.{n}")))
        .collect();
    let crowd: Vec<_> = crowd
        .iter()
        .map(|(name, address)| (name.as_str(), address.as_str(), 80, 1, true))
        .collect();
    asked.names.send_replace(names(&crowd));
    let server = asked.v4();
    let cut = dig(server, &["web.service.taraf", "+ignore", "+noedns"]).await;
    assert!(
        cut.contains("flags: qr aa tc rd") && cut.contains("ANSWER: 29,"),
        "{cut}"
    );
    let larger = dig(server, &["web.service.taraf", "+ignore", "+bufsize=4096"]).await;
    assert!(
        larger.contains("flags: qr aa tc rd") && larger.contains("udp: 1232"),
        "{larger}"
    );
    assert_eq!(
        short(server, &["web.service.taraf", "SRV"]).await.len(),
        200
    );
    let arguments = [
        "+tcp",
        "+short",
        "-p",
        &server.port().to_string(),
        "@127.0.0.1",
    ];
    let kdig = tool(
        "kdig",
        &[&arguments[..], &["web.service.taraf", "SRV"]].concat(),
    )
    .await;
    assert_eq!(String::from_utf8_lossy(&kdig.stdout).lines().count(), 200);
    asked.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_too_much_is_sent_to_tcp_and_gets_its_answer_there() {
    let asked = Asked::start(|config| config.answers_per_second = 1).await;
    let server = asked.v4();
    assert_eq!(
        short(server, &["web1.node.taraf", "+ignore"]).await,
        ["10.0.0.1"]
    );
    // `dig` itself goes on over TCP.
    assert_eq!(short(server, &["web2.node.taraf"]).await, ["10.0.0.2"]);
    assert!(asked.count("limited") >= 1);
    asked.stop().await;
}

#[tokio::test]
async fn packets_that_are_no_questions_harm_nobody() {
    let asked = Asked::start(|_| {}).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(asked.v4()).await.unwrap();
    // An answer, too little, and nothing at all are not answered; the broken question after them is.
    for silent in [
        &[0, 1, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
        &[1, 2, 3],
        &[],
    ] {
        socket.send(silent).await.unwrap();
    }
    socket
        .send(&[9, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    let mut buffer = [0; 512];
    let length = timeout(LIMIT, socket.recv(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((length, &buffer[..4]), (12, &[9, 9, 0x81, 1][..]));
    // Over TCP: a length that no question has ends the connection, others' go on.
    let mut stream = TcpStream::connect(asked.v4()).await.unwrap();
    stream.write_all(&[0xff, 0xff, 0]).await.unwrap();
    let ended = timeout(LIMIT, stream.read(&mut buffer)).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)));
    assert_eq!(
        short(asked.v4(), &["web1.node.taraf", "+tcp"]).await,
        ["10.0.0.1"]
    );
    asked.stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let asked = Asked::start(|_| {}).await;
    let config = Config {
        listen: vec![asked.v4()],
        ..Config::default()
    };
    let follow = asked.names.subscribe();
    let error = Server::start(&config, follow, &asked.tasks)
        .await
        .unwrap_err();
    let expected = format!("failed to listen on {} for DNS over UDP", asked.v4());
    assert_eq!(error.to_string(), expected);
    asked.stop().await;
}

//! What flows and routes call: it counts every call under the process that made it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::super::program::eventually;

/// What one process of the program called.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) round: u64,
    /// Calls of flows: step and run's number, effect key, how often.
    pub(crate) effects: BTreeMap<(String, u64), BTreeMap<String, u64>>,
    /// Calls through the gateway, by the key's mark in the path.
    pub(crate) spent: BTreeMap<String, u64>,
}

/// Answers until it is ended.
pub(crate) struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    is_over: Arc<AtomicBool>,
    open: Arc<()>,
    acceptor: JoinHandle<()>,
}

impl Upstream {
    pub(crate) fn start(round: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen {
            round,
            ..Seen::default()
        };
        let (seen, is_over, open) = (
            Arc::new(Mutex::new(seen)),
            Arc::new(AtomicBool::new(false)),
            Arc::new(()),
        );
        let (counted, over, held) = (Arc::clone(&seen), Arc::clone(&is_over), Arc::clone(&open));
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                let (counted, held) = (Arc::clone(&counted), Arc::clone(&held));
                let stream = stream.unwrap();
                std::thread::spawn(move || {
                    serve(stream, &counted);
                    drop(held);
                });
            }
        });
        Self {
            address,
            seen,
            is_over,
            open,
            acceptor,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it saw, once its caller is dead and every byte that it had sent is read.
    pub(crate) fn end(self) -> Seen {
        self.is_over.store(true, Ordering::Release);
        // The connections that wait to be accepted come first, then this one, which ends the loop.
        drop(TcpStream::connect(self.address).unwrap());
        self.acceptor.join().unwrap();
        let Self { seen, open, .. } = self;
        eventually("the connections of the dead end", || {
            (Arc::strong_count(&open) == 1).then_some(())
        });
        std::mem::take(&mut *seen.lock().unwrap())
    }
}

/// Requests without a body that matters, one after the other, until the caller is gone.
fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) {
    let (mut bytes, mut part) = (Vec::new(), [0; 4_096]);
    loop {
        let Ok(read @ 1..) = stream.read(&mut part) else {
            return;
        };
        bytes.extend_from_slice(&part[..read]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        assert_eq!(bytes.len(), end + 4, "a body was not expected: {head}");
        bytes.clear();
        let answer = count(&head, &mut seen.lock().unwrap());
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
        let answer = format!("{head}: {}\r\n\r\n{answer}", answer.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Counts a call before it is answered.
fn count(head: &str, seen: &mut Seen) -> String {
    let path = head.split(' ').nth(1).unwrap();
    let (place, last) = path.rsplit_once('/').unwrap();
    match place {
        "/debit" | "/credit" => {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            let mut keys = lines.filter(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
            let key = keys
                .next()
                .expect("each call carries its effect key")
                .1
                .to_owned();
            let n: u64 = last.parse().unwrap();
            let step = (place[1..].to_owned(), n);
            *seen
                .effects
                .entry(step)
                .or_default()
                .entry(key)
                .or_default() += 1;
            format!("{{\"n\":{n},\"step\":\"{}\"}}", &place[1..])
        }
        "/validate/cif" => {
            *seen.spent.entry(last.to_owned()).or_default() += 1;
            "{\"valid\":true}".to_owned()
        }
        _ => unreachable!("nobody calls {path}"),
    }
}

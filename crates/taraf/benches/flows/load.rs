//! The loader: callers in a closed loop over kept connections, each answer checked.
//!
//! It speaks HTTP by hand: the machine's cores are shared with the server under test, and a client library would cost
//! the faster server more than the slower one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::process::START_LIMIT;

const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What one measured time saw.
pub(crate) struct Sample {
    /// From request to answer, of each run that ended within the time.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) elapsed: Duration,
}

impl Sample {
    pub(crate) fn runs(&self) -> u64 {
        self.latencies.len() as u64
    }

    pub(crate) fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.latencies.len()).unwrap()) / self.elapsed.as_secs_f64()
    }
}

/// Sends `request` again and again over each of `in_flight` connections.
pub(crate) async fn run(
    to: SocketAddr,
    request: &[u8],
    proof: &'static str,
    in_flight: usize,
    time: Duration,
) -> Sample {
    let mut connections = Vec::new();
    for _ in 0..in_flight {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        connections.push(stream);
    }
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for stream in connections {
        callers.spawn(caller(stream, request.to_vec(), proof, began + time));
    }
    let mut latencies = Vec::new();
    while let Some(of_one) = callers.join_next().await {
        latencies.extend(of_one.unwrap());
    }
    let elapsed = began.elapsed();
    Sample { latencies, elapsed }
}

/// Sends one request that must succeed.
pub(crate) async fn once(to: SocketAddr, request: &[u8]) {
    let answer = exchange(to, request).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 20"), "{}", shown(&answer));
}

/// Sends a request until it succeeds, to a server that is still starting.
pub(crate) async fn until_answered(to: SocketAddr, request: &[u8]) {
    let end = Instant::now() + START_LIMIT;
    loop {
        let answer = exchange(to, request).await.unwrap_or_default();
        if answer.starts_with(b"HTTP/1.1 20") {
            return;
        }
        assert!(Instant::now() < end, "{}", shown(&answer));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn exchange(to: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    while !is_whole(&answer) {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(answer)
}

async fn caller(
    mut stream: TcpStream,
    request: Vec<u8>,
    proof: &'static str,
    end: Instant,
) -> Vec<Duration> {
    let (mut latencies, mut answer) = (Vec::new(), Vec::with_capacity(4_096));
    loop {
        let sent = Instant::now();
        if sent >= end {
            return latencies;
        }
        stream.write_all(&request).await.unwrap();
        answer.clear();
        while !is_whole(&answer) {
            let read = stream.read_buf(&mut answer).await.unwrap();
            assert!(
                read > 0 && answer.len() < ANSWER_BYTES_MAX,
                "{}",
                shown(&answer)
            );
        }
        latencies.push(sent.elapsed());
        let is_good =
            answer.starts_with(b"HTTP/1.1 200 ") && find(&answer, proof.as_bytes()).is_some();
        assert!(is_good, "expected {proof}: {}", shown(&answer));
    }
}

/// Whether head and body are there; both servers name the length of theirs.
fn is_whole(answer: &[u8]) -> bool {
    const LENGTH: &[u8] = b"content-length: ";
    let Some(end) = find(answer, b"\r\n\r\n") else {
        return false;
    };
    let head = answer[..end].to_ascii_lowercase();
    let start = find(&head, LENGTH).unwrap_or_else(|| panic_without_length(answer)) + LENGTH.len();
    let digits = head[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    answer.len() >= end + 4 + length
}

fn panic_without_length(answer: &[u8]) -> usize {
    unreachable!("no length: {}", shown(answer))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

fn shown(answer: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(answer)
}

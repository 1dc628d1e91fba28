//! The load and what it calls: callers that count and time, and a service that always says the same.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The body of every answer has so many bytes.
pub(crate) const BODY_BYTES: usize = 515;
const BUFFER_BYTES: usize = 4 << 10;
/// Latencies are counted by the microsecond up to here.
const LATENCY_US_MAX: usize = 1_000_000;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What a stretch of load came to.
pub(crate) struct Measured {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    latencies: Vec<u32>,
}

impl Measured {
    /// The latency in microseconds below which this share of the calls lies.
    pub(crate) fn quantile(&self, share: f64) -> usize {
        let total: u64 = self.latencies.iter().copied().map(u64::from).sum();
        let mut below = 0;
        for (us, count) in self.latencies.iter().enumerate() {
            below += u64::from(*count);
            if below as f64 >= total as f64 * share {
                return us;
            }
        }
        LATENCY_US_MAX
    }
}

/// Callers on connections that stay.
pub(crate) struct Load {
    pub(crate) to: SocketAddr,
    pub(crate) requests: Arc<Vec<Vec<u8>>>,
    pub(crate) connections: usize,
    /// Calls a second, all connections together; as many as possible without it.
    pub(crate) rate: Option<u64>,
}

#[derive(Default)]
struct Counts {
    is_counting: AtomicBool,
    has_ended: AtomicBool,
    failed: AtomicU64,
}

impl Load {
    /// Calls for a while, and measures what lies between `began` and `ended`, which are told on the
    /// spot: after a warming up, and before the callers stop.
    pub(crate) fn measure(
        &self,
        warm: Duration,
        time: Duration,
        began: impl FnOnce(),
        ended: impl FnOnce(),
    ) -> Measured {
        let counts = Arc::new(Counts::default());
        let callers = {
            let (counts, to, connections) = (Arc::clone(&counts), self.to, self.connections);
            let (requests, pace) = (Arc::clone(&self.requests), self.pace());
            thread::spawn(move || {
                let callers = (0..connections).map(|number| Caller {
                    number,
                    connections,
                    requests: Arc::clone(&requests),
                    pace,
                    latencies: vec![0; LATENCY_US_MAX + 1],
                    buffer: Vec::with_capacity(BUFFER_BYTES),
                });
                run(to, callers.collect(), &counts)
            })
        };
        thread::sleep(warm);
        began();
        counts.is_counting.store(true, Ordering::Relaxed);
        thread::sleep(time);
        counts.is_counting.store(false, Ordering::Relaxed);
        ended();
        counts.has_ended.store(true, Ordering::Relaxed);
        let latencies = callers.join().expect("the callers do not panic");
        Measured {
            calls: latencies.iter().copied().map(u64::from).sum(),
            failed: counts.failed.load(Ordering::Relaxed),
            latencies,
        }
    }

    /// The time between two calls of one connection.
    fn pace(&self) -> Option<Duration> {
        let connections = u32::try_from(self.connections).unwrap();
        self.rate
            .map(|rate| Duration::from_secs(1) * connections / u32::try_from(rate).unwrap())
    }
}

fn run(to: SocketAddr, callers: Vec<Caller>, counts: &Arc<Counts>) -> Vec<u32> {
    runtime().block_on(async {
        let tasks: Vec<_> = callers
            .into_iter()
            .map(|caller| spawn(caller.run(to, Arc::clone(counts))))
            .collect();
        let mut sum = vec![0; LATENCY_US_MAX + 1];
        for task in tasks {
            let latencies = task.await.expect("a caller does not panic");
            for (sum, count) in sum.iter_mut().zip(latencies) {
                *sum += count;
            }
        }
        sum
    })
}

struct Caller {
    number: usize,
    connections: usize,
    requests: Arc<Vec<Vec<u8>>>,
    pace: Option<Duration>,
    latencies: Vec<u32>,
    buffer: Vec<u8>,
}

impl Caller {
    async fn run(mut self, to: SocketAddr, counts: Arc<Counts>) -> Vec<u32> {
        let mut stream = connect(to).await;
        let mut next = self.number;
        let mut due = tokio::time::Instant::now();
        if let Some(pace) = self.pace {
            // So that the connections do not call in step.
            due += pace * u32::try_from(self.number).unwrap()
                / u32::try_from(self.connections).unwrap();
        }
        while !counts.has_ended.load(Ordering::Relaxed) {
            if let Some(pace) = self.pace {
                tokio::time::sleep_until(due).await;
                due += pace;
            }
            let began = Instant::now();
            let request = &self.requests[next % self.requests.len()];
            next += self.connections;
            let answered = call(&mut stream, request, &mut self.buffer).await;
            if !answered.unwrap_or(false) {
                counts.failed.fetch_add(1, Ordering::Relaxed);
                stream = connect(to).await;
            } else if counts.is_counting.load(Ordering::Relaxed) {
                let us = usize::try_from(began.elapsed().as_micros()).unwrap();
                self.latencies[us.min(LATENCY_US_MAX)] += 1;
            }
        }
        self.latencies
    }
}

async fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).await.expect("the proxy listens");
    stream.set_nodelay(true).expect("the option exists");
    stream
}

/// One call; whether it was answered 200 with the whole body.
async fn call(stream: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) -> io::Result<bool> {
    stream.write_all(request).await?;
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            return Ok(false);
        }
        let Some(head) = answer.windows(4).position(|four| four == HEAD_END) else {
            continue;
        };
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Ok(false);
        }
        if answer.len() >= head + HEAD_END.len() + BODY_BYTES {
            return Ok(answer.len() == head + HEAD_END.len() + BODY_BYTES);
        }
    }
}

/// A service on a thread of its own that answers every request with the same body.
pub(crate) fn service() -> SocketAddr {
    let listener = StdListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    listener.set_nonblocking(true).expect("the option exists");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        runtime().block_on(async {
            let listener = TcpListener::from_std(listener).expect("it does not block");
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("the option exists");
                drop(spawn(answer(stream)));
            }
        });
    });
    address
}

async fn answer(mut stream: TcpStream) {
    let body = "x".repeat(BODY_BYTES);
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {BODY_BYTES}\r\n\r\n{body}"
    );
    let mut request = Vec::with_capacity(BUFFER_BYTES);
    loop {
        match stream.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if request.ends_with(HEAD_END) {
            request.clear();
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime starts")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bench ends with its tasks and has nothing to drain"
)]
fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}

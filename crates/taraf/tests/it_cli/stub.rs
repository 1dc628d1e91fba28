//! An HTTP server that answers what a test tells it, one connection at a time, and remembers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What is answered: a status and a body, or nothing at all for as long as the caller waits.
pub(crate) enum Reply {
    Json(u16, Value),
    Silence,
}

pub(crate) struct Stub {
    pub(crate) url: String,
    requests: Receiver<Request>,
}

impl Stub {
    /// Answers each request by the function.
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(request) = read(&stream) else {
                    continue;
                };
                let reply = answer(&request);
                if sender.send(request).is_err() {
                    return;
                }
                match reply {
                    Reply::Json(status, body) => write(stream, status, &body),
                    Reply::Silence => silent.push(stream),
                }
            }
        });
        Self { url, requests }
    }

    /// The same answer to everything.
    pub(crate) fn always(status: u16, body: Value) -> Self {
        Self::start(move |_| Reply::Json(status, body.clone()))
    }

    /// The next request; waits for it.
    pub(crate) fn next(&self) -> Request {
        self.requests.recv().unwrap()
    }

    /// All requests that have arrived.
    pub(crate) fn all(&self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        target,
        headers,
        body: String::from_utf8(body).ok()?,
    })
}

fn write(mut stream: TcpStream, status: u16, body: &Value) {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    // The caller may have gone; the test sees that at the caller.
    drop(stream.write_all(answer.as_bytes()));
}

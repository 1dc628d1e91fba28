//! One kept connection: a request, its answer, or nothing when the program is gone.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Speaks to one listener of the program.
pub(crate) struct Client {
    address: String,
    /// The operator's token.
    bearer: Option<String>,
    stream: Option<TcpStream>,
}

/// The program does not answer any more.
#[derive(Debug)]
pub(crate) struct Gone;

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        format!("{}: {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

impl Client {
    /// To `http://ADDRESS`; with `bearer` as the operator.
    pub(crate) fn new(url: &str, bearer: Option<&str>) -> Self {
        Self {
            address: url.strip_prefix("http://").unwrap().to_owned(),
            bearer: bearer.map(|token| token.trim().to_owned()),
            stream: None,
        }
    }

    /// Asks once. After [`Gone`] nobody knows whether it was done.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, Gone> {
        let answer = self.exchange(method, path, headers, body);
        if answer.is_none() {
            self.stream = None;
        }
        answer.ok_or(Gone)
    }

    fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<Answer> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            self.address,
            body.len()
        );
        let bearer = self.bearer.as_ref().map(|token| format!("Bearer {token}"));
        let bearer = bearer.as_deref().map(|value| ("authorization", value));
        for (name, value) in headers.iter().copied().chain(bearer) {
            request = request + name + ": " + value + "\r\n";
        }
        request = request + "\r\n" + body;
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.address).ok()?;
            stream.set_nodelay(true).ok()?;
            stream.set_read_timeout(Some(LIMIT)).ok()?;
            self.stream = Some(stream);
        }
        let stream = self.stream.as_mut()?;
        stream.write_all(request.as_bytes()).ok()?;
        read(stream)
    }
}

/// Head, then as many bytes as it names.
fn read(stream: &mut TcpStream) -> Option<Answer> {
    let (mut bytes, mut part) = (Vec::new(), [0; 16 << 10]);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec())
                .ok()?
                .to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(Some(0), |length| length.parse().ok())?;
            assert!(
                !head.contains("\ntransfer-encoding:"),
                "an answer without a length: {head}"
            );
            if bytes.len() >= end + 4 + length {
                let status = head.split(' ').nth(1)?.parse().ok()?;
                let body = bytes.split_off(end + 4);
                return Some(Answer { status, body });
            }
        }
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&part[..read]),
        }
    }
}

//! Services for the gateway to call, a thread for each connection, that remember what they were asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method and target.
    pub(crate) line: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A service that answers until the test ends.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Upstream {
    /// Each request without a body is remembered, then answered by the function.
    pub(crate) fn start(
        answer: impl Fn(&Request, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Request>>>::default();
        let (all, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (all, answer) = (Arc::clone(&all), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &all, &*answer));
            }
        });
        Self { address, asked }
    }

    /// What it was asked for so far, in order.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// How often it was asked for this path.
    pub(crate) fn count(&self, path: &str) -> usize {
        let line = format!("GET {path}");
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|request| request.line == line).count()
    }
}

/// The caller may go at any time; the test sees that at the caller.
fn serve(
    stream: TcpStream,
    asked: &Mutex<Vec<Request>>,
    answer: &dyn Fn(&Request, &mut TcpStream) -> std::io::Result<()>,
) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        asked.lock().unwrap().push(request.clone());
        if answer(&request, &mut writer).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" if lines.is_empty() => return None,
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let (line, _version) = lines.first()?.rsplit_once(' ')?;
    let headers = lines
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    Some(Request {
        line: line.to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
    })
}

/// Writes a whole answer; `headers` are lines with their ends.
pub(crate) fn say(
    stream: &mut TcpStream,
    status: &str,
    headers: &str,
    body: &str,
) -> std::io::Result<()> {
    let length = match status.split(' ').next() {
        Some("304") => String::new(),
        _ => format!("content-length: {}\r\n", body.len()),
    };
    write!(stream, "HTTP/1.1 {status}\r\n{headers}{length}\r\n{body}")
}

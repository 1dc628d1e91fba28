//! A strict reader of HTTP/1.1 messages: it knows one way to write each thing, and says of anything
//! else that it is strange.
#![allow(dead_code, reason = "each target uses a part of it")]

/// A request or an answer.
#[derive(Clone, Debug)]
pub struct Message {
    /// Of a request.
    pub method: String,
    /// Of a request.
    pub target: String,
    status: u16,
    headers: Vec<(String, String)>,
}

/// What was read.
#[derive(Debug)]
pub struct Outcome {
    pub messages: Vec<Message>,
    /// Bytes of the messages.
    pub used: usize,
    pub rest: Rest,
}

/// What follows the last whole message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing, or the beginning of a message.
    Open,
    /// What this reader does not know, though another may.
    Strange,
}

enum Step {
    Whole(Message, usize),
    Open,
    Strange,
}

impl Message {
    pub fn has(&self, name: &str) -> bool {
        self.count(name) > 0
    }

    /// How many headers have this name.
    pub fn count(&self, name: &str) -> usize {
        self.all(name).len()
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|(own, _)| own == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }
}

/// Reads requests from the front.
pub fn requests(bytes: &[u8]) -> Outcome {
    read(bytes, |_, bytes| step(bytes, request_line, false))
}

/// Reads the final answers to these requests.
pub fn responses(bytes: &[u8], requests: &[Message]) -> Vec<Message> {
    let outcome = read(bytes, |before: &[Message], bytes| {
        let finals = before.iter().filter(|answer| answer.status >= 200).count();
        let is_head = requests
            .get(finals)
            .is_some_and(|request| request.method == "HEAD");
        step(bytes, status_line, is_head)
    });
    assert!(
        outcome.rest == Rest::Open,
        "strange answer: {:?}",
        String::from_utf8_lossy(bytes)
    );
    outcome
        .messages
        .into_iter()
        .filter(|answer| answer.status >= 200)
        .collect()
}

/// Where the answer at the front ends, when it is whole and nothing about it is strange.
pub fn end_of_answer(bytes: &[u8], is_head: bool) -> Option<usize> {
    match step(bytes, status_line, is_head) {
        Step::Whole(_, length) => Some(length),
        Step::Open | Step::Strange => None,
    }
}

fn read(bytes: &[u8], step: impl Fn(&[Message], &[u8]) -> Step) -> Outcome {
    let mut outcome = Outcome {
        messages: Vec::new(),
        used: 0,
        rest: Rest::Open,
    };
    while outcome.used < bytes.len() {
        match step(&outcome.messages, &bytes[outcome.used..]) {
            Step::Whole(message, length) => {
                outcome.used += length;
                // What follows these is no message, or none that is answered.
                let ends = message
                    .all("connection")
                    .iter()
                    .any(|value| !value.eq_ignore_ascii_case("keep-alive"))
                    || message.has("upgrade")
                    || message.has("expect")
                    || message.method == "CONNECT";
                outcome.messages.push(message);
                if ends {
                    outcome.rest = if outcome.used < bytes.len() {
                        Rest::Strange
                    } else {
                        Rest::Open
                    };
                    return outcome;
                }
            }
            Step::Open => return outcome,
            Step::Strange => {
                outcome.rest = Rest::Strange;
                return outcome;
            }
        }
    }
    outcome
}

type FirstLine = fn(&str) -> Option<Message>;

fn step(bytes: &[u8], first: FirstLine, has_no_body: bool) -> Step {
    let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else {
        // A head that can only become strange is not waited for.
        return if is_plain(bytes) {
            Step::Open
        } else {
            Step::Strange
        };
    };
    if !is_plain(&bytes[..end]) {
        return Step::Strange;
    }
    // Values may hold bytes that are no text (RFC 9110 section 5.5); names and first lines must not.
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let Some(mut message) = lines.next().and_then(first) else {
        return Step::Strange;
    };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return Step::Strange;
        };
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Step::Strange;
        }
        message.headers.push((
            name.to_ascii_lowercase(),
            value.trim_matches([' ', '\t']).to_owned(),
        ));
    }
    let body = &bytes[end + 4..];
    let length = if has_no_body || matches!(message.status, 100..200 | 204 | 304) {
        Some(Some(0))
    } else {
        body_length(&message, body)
    };
    match length {
        Some(Some(length)) => Step::Whole(message, end + 4 + length),
        Some(None) => Step::Open,
        None => Step::Strange,
    }
}

/// Visible characters, blanks, bytes beyond ASCII, and whole line ends.
fn is_plain(bytes: &[u8]) -> bool {
    let is_visible = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    let ends = bytes.windows(2).filter(|part| part == b"\r\n").count();
    let returns = bytes.iter().filter(|byte| **byte == b'\r').count();
    let open = usize::from(bytes.last() == Some(&b'\r'));
    lines == ends + 1
        && returns == ends + open
        && bytes
            .iter()
            .all(|byte| is_visible(byte) || matches!(byte, b'\r' | b'\n'))
}

/// The length of the body: nothing inside while it is open, nothing outside when it is strange.
fn body_length(message: &Message, body: &[u8]) -> Option<Option<usize>> {
    let (lengths, codings) = (
        message.all("content-length"),
        message.all("transfer-encoding"),
    );
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Some(Some(0)),
        ([length], []) => {
            let is_number = length.bytes().all(|byte| byte.is_ascii_digit()) && length.len() < 8;
            let length: usize = length.parse().ok().filter(|_| is_number)?;
            Some((body.len() >= length).then_some(length))
        }
        ([], ["chunked"]) => chunked(body),
        _ => None,
    }
}

fn chunked(body: &[u8]) -> Option<Option<usize>> {
    let mut at = 0;
    loop {
        let rest = &body[at..];
        let Some(end) = rest.windows(2).position(|part| part == b"\r\n") else {
            let is_size = rest.len() < 8
                && rest
                    .iter()
                    .all(|byte| byte.is_ascii_hexdigit() || *byte == b'\r');
            return is_size.then_some(None);
        };
        let size = std::str::from_utf8(&rest[..end]).ok()?;
        let is_size =
            size.len() < 8 && !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(size, 16).ok().filter(|_| is_size)?;
        at += end + 2;
        let Some(data) = body.get(at..).filter(|data| data.len() >= size + 2) else {
            return Some(None);
        };
        if &data[size..size + 2] != b"\r\n" {
            // After the last chunk: trailers, which this reader does not know.
            return None;
        }
        at += size + 2;
        if size == 0 {
            return Some(Some(at));
        }
    }
}

fn request_line(line: &str) -> Option<Message> {
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_word = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_path = target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic());
    let is_known = version == "HTTP/1.1" && words.next().is_none();
    (is_word && is_path && is_known).then(|| Message {
        method: method.to_owned(),
        target: target.to_owned(),
        status: 0,
        headers: Vec::new(),
    })
}

fn status_line(line: &str) -> Option<Message> {
    let rest = line
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| line.strip_prefix("HTTP/1.0 "))?;
    Some(Message {
        method: String::new(),
        target: String::new(),
        status: rest.get(..3)?.parse().ok()?,
        headers: Vec::new(),
    })
}

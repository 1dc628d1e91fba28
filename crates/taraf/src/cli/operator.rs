//! The operator client: where the server is, how commands prove who they are, one call.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use taraf_base::{Secret, Tasks};

use super::failure::{Exit, Failure};

const DEFAULT_ADDRESS: &str = "http://127.0.0.1:7401";
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Of one call; a call that waits for a run adds what it waits.
const CALL_LIMIT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Written by `taraf dev` into its data: where it answers, and the token alone.
const READY_FILE: &str = ".taraf/ready.json";
const TOKEN_FILE: &str = ".taraf/operator.token";
/// What stays readable in a path segment or a query value.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Which server a command talks to.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServerArgs {
    /// Operator API; else TARAF_OPERATOR, else the `taraf dev` of this folder, else 127.0.0.1:7401.
    #[arg(long, global = true, value_name = "URL", help_heading = "Server")]
    operator: Option<String>,
    /// File that holds the operator token; else TARAF_OPERATOR_TOKEN, else .taraf/operator-token.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Server")]
    token_file: Option<PathBuf>,
}

/// The operator API of one server.
pub(crate) struct Operator {
    host: String,
    port: u16,
    address: String,
    /// Where the address came from, for the message that nobody answers there.
    source: String,
    token: Option<Secret>,
    tasks: Tasks,
}

/// A call of the operator API.
pub(crate) struct Call {
    method: http::Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    limit: Duration,
}

/// An answer that is a success.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON; null when it is empty.
    pub(crate) fn json(&self) -> Result<Value, Failure> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("the server's answer is not JSON: {error}"),
            )
        })
    }
}

// === impl Call ===

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(http::Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(http::Method::POST, path)
    }

    pub(crate) fn new(method: http::Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            limit: CALL_LIMIT,
        }
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string())
    }

    pub(crate) fn bytes(mut self, media_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", media_type)
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The server may take this much longer before it answers.
    pub(crate) fn waiting(mut self, longer: Duration) -> Self {
        self.limit += longer;
        self
    }
}

/// A value as it stands in a path or a query.
pub(crate) fn escaped(value: &str) -> String {
    utf8_percent_encode(value, KEPT).to_string()
}

// === impl Operator ===

impl Operator {
    /// Finds the address and the token. Connects to nothing yet.
    pub(crate) fn find(args: &ServerArgs) -> Result<Self, Failure> {
        let project = Project::find();
        let in_environment = std::env::var("TARAF_OPERATOR").ok();
        let (address, source) = if let Some(address) = &args.operator {
            (address.clone(), "from --operator".to_owned())
        } else if let Some(address) = in_environment.filter(|address| !address.is_empty()) {
            (address, "from TARAF_OPERATOR".to_owned())
        } else if let Some((address, file)) = &project.operator {
            (address.clone(), format!("from {file}"))
        } else {
            (DEFAULT_ADDRESS.to_owned(), "the default".to_owned())
        };
        let token = find_token(args.token_file.as_deref(), project)?;
        Self::at(address, source, token)
    }

    /// An endpoint of a service, called as the operator API is, without a token.
    pub(crate) fn endpoint(address: &str) -> Result<Self, Failure> {
        Self::at(
            address.to_owned(),
            "an endpoint of the service".to_owned(),
            None,
        )
    }

    fn at(address: String, source: String, token: Option<Secret>) -> Result<Self, Failure> {
        let (host, port) = parse_address(&address)
            .map_err(|reason| Failure::usage(format!("`{address}` ({source}) {reason}")))?;
        Ok(Self {
            host,
            port,
            address,
            source,
            token,
            tasks: Tasks::new(),
        })
    }

    /// The answer's JSON.
    pub(crate) async fn json(&self, call: Call) -> Result<Value, Failure> {
        self.call(call).await?.json()
    }

    /// Makes one call. An answer that is no success is a failure with the server's own words.
    pub(crate) async fn call(&self, call: Call) -> Result<Answer, Failure> {
        let limit = call.limit;
        let Call { method, path, .. } = &call;
        let what = format!("{method} {path}");
        match tokio::time::timeout(limit, self.exchange(call)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(Failure::new(
                Exit::TimedOut,
                format!(
                    "{} did not answer {what} within {}",
                    self.address,
                    taraf_base::duration::format(limit)
                ),
            )),
        }
    }

    /// Makes a call whose answer may be of any length, and leaves it to be read.
    pub(crate) async fn open(&self, call: Call) -> Result<http::Response<Incoming>, Failure> {
        let limit = call.limit;
        let opened = tokio::time::timeout(limit, self.send(call)).await;
        let answer = opened.unwrap_or_else(|_elapsed| {
            let limit = taraf_base::duration::format(limit);
            let message = format!("{} did not answer within {limit}", self.address);
            Err(Failure::new(Exit::TimedOut, message))
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        self.read(answer).await.and_then(|answer| {
            let body = serde_json::from_slice(&answer.body).ok();
            Err(Failure::of_answer(answer.status, body))
        })
    }

    async fn exchange(&self, call: Call) -> Result<Answer, Failure> {
        let answer = self.send(call).await?;
        self.read(answer).await
    }

    async fn send(&self, call: Call) -> Result<http::Response<Incoming>, Failure> {
        let connect = tokio::net::TcpStream::connect((self.host.as_str(), self.port));
        let stream = match tokio::time::timeout(CONNECT_LIMIT, connect).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.cannot_reach(&error.to_string())),
            Err(_elapsed) => return Err(self.cannot_reach("no answer to connecting")),
        };
        let broken = |error: hyper::Error| self.cannot_reach(&format!("{error}"));
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        self.tasks.spawn("operator connection", async move {
            // The call itself sees the error that ends its connection.
            drop(connection.await);
        });
        let request = self.request(call)?;
        sender.send_request(request).await.map_err(broken)
    }

    async fn read(&self, answer: http::Response<Incoming>) -> Result<Answer, Failure> {
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| self.cannot_reach(&format!("the answer broke off: {error}")))?
            .to_bytes();
        if (200..300).contains(&status) {
            return Ok(Answer { status, body });
        }
        let failure = Failure::of_answer(status, serde_json::from_slice(&body).ok());
        Err(match (status, &self.token) {
            (401, None) => failure.with_help(format!(
                "no operator token was found: set TARAF_OPERATOR_TOKEN, pass --token-file, or run \
                 inside a project whose `taraf dev` wrote {TOKEN_FILE}"
            )),
            (401 | 403, Some(_)) => failure.with_help(format!(
                "the operator token is not the one of {}",
                self.address
            )),
            _ => failure,
        })
    }

    fn request(&self, call: Call) -> Result<http::Request<Full<Bytes>>, Failure> {
        let mut request = http::Request::builder()
            .method(call.method)
            .uri(&call.path)
            .header("user-agent", concat!("taraf/", env!("CARGO_PKG_VERSION")))
            .header("accept", "application/json");
        if call.headers.iter().all(|(name, _)| *name != "host") {
            request = request.header("host", format!("{}:{}", self.host, self.port));
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        request
            .body(Full::new(call.body))
            .map_err(|error| Failure::usage(format!("this cannot be sent: {error}")))
    }

    fn cannot_reach(&self, reason: &str) -> Failure {
        Failure::new(
            Exit::CannotReach,
            format!("cannot reach {} ({}): {reason}", self.address, self.source),
        )
        .with_help("start a server with `taraf dev`, or name one with --operator URL")
    }
}

/// Host and port of an address such as `http://127.0.0.1:7401`, or why it is none.
fn parse_address(address: &str) -> Result<(String, u16), String> {
    let with_scheme = if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    let url = url::Url::parse(&with_scheme).map_err(|error| format!("is no URL: {error}"))?;
    if url.scheme() != "http" {
        return Err(format!(
            "has the scheme `{}`; the operator API speaks http (put a tunnel in front of it)",
            url.scheme()
        ));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        return Err("has a path; only scheme, host and port belong there".to_owned());
    }
    let host = url.host_str().ok_or("names no host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), url.port().unwrap_or(80)))
}

/// What a `taraf dev` in this directory, or in one above it, left for commands.
#[derive(Default)]
struct Project {
    /// The operator's address and the file that said so.
    operator: Option<(String, String)>,
    token: Option<String>,
}

impl Project {
    fn find() -> Self {
        let Ok(here) = std::env::current_dir() else {
            return Self::default();
        };
        let found = here.ancestors().map(Self::read);
        found
            .into_iter()
            .find(|project| project.operator.is_some() || project.token.is_some())
            .unwrap_or_default()
    }

    fn read(folder: &Path) -> Self {
        let file = folder.join(READY_FILE);
        let ready: Value = std::fs::read_to_string(&file)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let member = |name: &str| ready.get(name)?.as_str().map(str::to_owned);
        let token = || std::fs::read_to_string(folder.join(TOKEN_FILE)).ok();
        Self {
            operator: member("operator").map(|address| (address, file.display().to_string())),
            token: member("operator_token").or_else(token),
        }
    }
}

/// The operator token: from the named file, the environment, or the project. Without one the call
/// is made bare, and the server says what it wants.
fn find_token(file: Option<&Path>, project: Project) -> Result<Option<Secret>, Failure> {
    if let Some(file) = file {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Failure::usage(format!(
                "failed to read --token-file {}: {error}",
                file.display()
            ))
        })?;
        return token_of(&text, &file.display().to_string()).map(Some);
    }
    if let Ok(text) = std::env::var("TARAF_OPERATOR_TOKEN") {
        return token_of(&text, "TARAF_OPERATOR_TOKEN").map(Some);
    }
    let token = project.token;
    token.map(|text| token_of(&text, TOKEN_FILE)).transpose()
}

fn token_of(text: &str, source: &str) -> Result<Secret, Failure> {
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::usage(format!("{source} holds no operator token")));
    }
    Ok(Secret::new(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_scheme() {
        let check = |text: &str, host: &str, port| {
            assert_eq!(parse_address(text), Ok((host.to_owned(), port)), "{text}");
        };
        check("http://127.0.0.1:7401", "127.0.0.1", 7401);
        check("http://127.0.0.1:7401/", "127.0.0.1", 7401);
        check("localhost:9", "localhost", 9);
        check("http://[::1]:7401", "::1", 7401);
        check("http://node", "node", 80);
    }

    #[test]
    fn an_address_that_cannot_work_says_why() {
        for (text, part) in [
            ("https://node:7401", "speaks http"),
            ("http://node/v1", "has a path"),
            ("http://", "is no URL"),
        ] {
            let error = parse_address(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_token_is_trimmed_and_must_be_printable() {
        assert_eq!(token_of("op_abc\n", "file").unwrap().expose(), "op_abc");
        for text in ["", " \n", "a b", "a\u{1}"] {
            assert!(token_of(text, "file").is_err(), "{text:?}");
        }
    }
}

//! Signed questions and updates over one connection to a server.

use std::time::Duration;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use taraf_base::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::Error;
use super::key::Key;
use super::tsig::{self, Signed};

/// How long a server may take to be reached, and to answer.
const CONNECT_MAX: Duration = Duration::from_secs(5);
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A connection to a server, over TCP since answers may be long and updates must not be sent twice.
pub(super) struct Exchange {
    server: String,
    zone: String,
    key: Key,
    stream: TcpStream,
}

impl Exchange {
    /// Connects to a server, `HOST:PORT`.
    ///
    /// # Errors
    /// When it cannot be found or reached.
    pub(super) async fn connect(server: &str, zone: &str, key: &Key) -> Result<Self, Error> {
        let connecting = timeout(CONNECT_MAX, TcpStream::connect(server)).await;
        let stream = connecting
            .map_err(|_why| late(server, CONNECT_MAX))?
            .map_err(|source| Error::Connect {
                server: server.to_owned(),
                source,
            })?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "failed to set TCP_NODELAY");
        }
        Ok(Self {
            server: server.to_owned(),
            zone: zone.to_owned(),
            key: key.clone(),
            stream,
        })
    }

    /// Sends a message and returns its answer, whatever that says of records and prerequisites.
    ///
    /// # Errors
    /// When there is none, when it is not from whoever has the key, or when the server refuses to listen.
    pub(super) async fn ask(&mut self, message: Message) -> Result<Message, Error> {
        let opcode = message.op_code;
        let signed = tsig::sign(message, &self.key, seconds())?;
        let asking = timeout(ANSWER_MAX, self.exchange(&signed)).await;
        let answer = asking.map_err(|_why| late(&self.server, ANSWER_MAX))??;
        let answer = signed.open(&answer, &self.key, seconds())?;
        self.check(&answer, opcode)?;
        Ok(answer)
    }

    async fn exchange(&mut self, signed: &Signed) -> Result<Vec<u8>, Error> {
        let broken = |source| Error::Broken {
            server: self.server.clone(),
            source,
        };
        let length = u16::try_from(signed.bytes.len());
        let length = length.map_err(|_why| Error::Malformed {
            why: "what is asked is too long for a message".to_owned(),
        })?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(&signed.bytes);
        self.stream.write_all(&framed).await.map_err(broken)?;
        let length = self.stream.read_u16().await.map_err(broken)?;
        let mut answer = vec![0; length.into()];
        self.stream.read_exact(&mut answer).await.map_err(broken)?;
        Ok(answer)
    }

    fn check(&self, answer: &Message, opcode: OpCode) -> Result<(), Error> {
        let zone = self.zone.clone();
        let code = || answer.response_code.to_string();
        match answer.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain if opcode == OpCode::Query => {
                if answer.authoritative && !answer.truncation {
                    return Ok(());
                }
                let code = match answer.truncation {
                    true => "its answer is cut".to_owned(),
                    false => "it answers without authority".to_owned(),
                };
                Err(Error::NotAuthoritative { zone, code })
            }
            ResponseCode::NoError
            | ResponseCode::NXDomain
            | ResponseCode::YXDomain
            | ResponseCode::YXRRSet
            | ResponseCode::NXRRSet => Ok(()),
            ResponseCode::Refused => Err(Error::Refused {
                key: self.key.name.to_ascii(),
                zone,
            }),
            ResponseCode::NotAuth | ResponseCode::NotZone => {
                Err(Error::NotAuthoritative { zone, code: code() })
            }
            _ => Err(Error::Failed { zone, code: code() }),
        }
    }
}

fn late(server: &str, limit: Duration) -> Error {
    Error::Late {
        server: server.to_owned(),
        seconds: limit.as_secs(),
    }
}

/// Seconds since 1970.
fn seconds() -> u64 {
    Timestamp::now().since(Timestamp::EPOCH).as_secs()
}

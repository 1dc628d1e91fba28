//! One connection: bytes in to the machine, its answer out, then closed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::timeout;

use super::Input;
use crate::swim::StreamId;

/// How many bytes are read at a time at most.
const READ_BYTES: usize = 16 << 10;
/// How long the last bytes of an answer may take to be taken by the system.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a connection tells what comes, and hears what to do.
pub(super) struct Ends {
    pub(super) id: StreamId,
    pub(super) inputs: mpsc::Sender<Input>,
    /// An answer to write; gone when the stream is to be closed.
    pub(super) answer: oneshot::Receiver<Bytes>,
}

/// Serves a connection that another opened. `_permit` counts it until the end.
pub(super) async fn accepted(stream: TcpStream, ends: Ends, _permit: OwnedSemaphorePermit) {
    serve(stream, ends).await;
}

/// Connects, writes the request and serves the rest.
pub(super) async fn opened(to: SocketAddr, shown: SocketAddr, request: Bytes, mut ends: Ends) {
    let connected = tokio::select! {
        connected = connect(to, &request) => connected,
        // The machine gave up.
        _ = &mut ends.answer => return,
    };
    match connected {
        Ok(stream) => serve(stream, ends).await,
        Err(error) => {
            let why = format!("dial tcp {shown}: connect: {}", text_of(&error));
            if error.kind() == io::ErrorKind::ConnectionRefused {
                let refused = Input::StreamRefused { id: ends.id, why };
                // Without a receiver the agent has ended.
                drop(ends.inputs.send(refused).await);
            } else {
                end(&ends, Some(why)).await;
            }
        }
    }
}

async fn connect(to: SocketAddr, request: &[u8]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(request).await?;
    Ok(stream)
}

/// Hands over what comes until the machine answers or closes, or the other side does.
async fn serve(stream: TcpStream, mut ends: Ends) {
    let mut buffer = BytesMut::new();
    loop {
        tokio::select! {
            answer = &mut ends.answer => {
                if let Ok(answer) = answer {
                    write_last(stream, &answer).await;
                }
                return;
            }
            // Room is only made when there is something: most connections that are held never say anything.
            read = read(&stream, &mut buffer) => match read {
                Ok(0) => return half_closed(stream, ends).await,
                Ok(_) => {
                    let input = Input::StreamBytes { id: ends.id, bytes: buffer.split() };
                    if ends.inputs.send(input).await.is_err() {
                        return;
                    }
                }
                Err(error) => return end(&ends, Some(text_of(&error))).await,
            },
        }
    }
}

/// Safe to cancel: nothing is taken before it returns.
async fn read(stream: &TcpStream, buffer: &mut BytesMut) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        buffer.reserve(READ_BYTES);
        match stream.try_read_buf(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// The other side writes no more; it may still wait for our answer.
async fn half_closed(stream: TcpStream, mut ends: Ends) {
    // What it wrote last lies before this in the queue, so that an answer to it comes first.
    end(&ends, None).await;
    if let Ok(answer) = (&mut ends.answer).await {
        write_last(stream, &answer).await;
    }
}

async fn write_last(mut stream: TcpStream, answer: &[u8]) {
    let write = async {
        stream.write_all(answer).await?;
        stream.shutdown().await
    };
    match timeout(WRITE_TIMEOUT, write).await {
        Ok(Ok(())) => {}
        // The other side learns of it by itself, and the exchange is repeated anyway.
        Ok(Err(error)) => tracing::debug!("failed to write an answer: {error}"),
        Err(_elapsed) => tracing::debug!("failed to write an answer in {WRITE_TIMEOUT:?}"),
    }
}

async fn end(ends: &Ends, why: Option<String>) {
    // Without a receiver the agent has ended.
    drop(
        ends.inputs
            .send(Input::StreamEnded { id: ends.id, why })
            .await,
    );
}

/// What the system says, as Go writes it: in lower case, without a number.
fn text_of(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

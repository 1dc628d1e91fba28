//! Answers of the ordinary way, written to the caller of a conversation.

use std::io;
use std::pin::Pin;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, TRANSFER_ENCODING};
use http::{Method, Response, StatusCode};
use http_body::Body as _;

use super::line::Waited;
use super::request::Shape;
use super::{Conversation, PIECE_BYTES, heads};
use crate::bodies::Outbound;
use crate::forward::write_line as field;

/// How the end of a body is told to the caller.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// There is no body, whatever the headers say.
    None,
    Length,
    Chunked,
}

impl Conversation {
    /// Writes an answer. Answers whether the conversation goes on.
    pub(super) async fn write(
        &mut self,
        shape: &Shape,
        response: Response<Outbound>,
    ) -> io::Result<bool> {
        let (parts, mut body) = response.into_parts();
        let is_last = shape.is_last || closes(&parts.headers) || self.stop.is_cancelled();
        let framing = framing(&shape.method, parts.status, &body);
        self.answer.clear();
        write_head(&mut self.answer, &parts, &body, framing, is_last);
        if framing != Framing::None {
            self.write_body(&mut body, framing).await?;
        }
        self.line.write(&self.answer).await?;
        Ok(!is_last)
    }

    async fn write_body(&mut self, body: &mut Outbound, framing: Framing) -> io::Result<()> {
        let mut body = Pin::new(body);
        let mut left = body.size_hint().exact();
        loop {
            // What waits to be written does not wait for what is still to come.
            let mut next = std::pin::pin!(std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)));
            let at_hand = futures_now(next.as_mut()).await;
            let frame = match at_hand {
                Some(frame) => frame,
                None => {
                    self.line.write(&self.answer).await?;
                    self.answer.clear();
                    // The body knows its own limits.
                    match self.line.while_there(next, None).await {
                        Waited::Done(frame) => frame,
                        Waited::Gone | Waited::Late => {
                            return Err(io::ErrorKind::ConnectionAborted.into());
                        }
                    }
                }
            };
            let Some(frame) = frame else {
                break;
            };
            let Ok(data) = frame.map_err(io::Error::other)?.into_data() else {
                // Fields behind the body: whoever asked for them is not answered here.
                continue;
            };
            if data.is_empty() {
                continue;
            }
            let size = u64::try_from(data.len()).unwrap_or(u64::MAX);
            if let Some(left) = &mut left {
                *left = left
                    .checked_sub(size)
                    .ok_or_else(|| io::Error::other("the answer is longer than it says"))?;
            }
            if framing == Framing::Chunked {
                self.answer
                    .extend_from_slice(format!("{size:x}\r\n").as_bytes());
            }
            if data.len() < PIECE_BYTES {
                self.answer.extend_from_slice(&data);
            } else {
                self.line.write(&self.answer).await?;
                self.answer.clear();
                self.line.write(&data).await?;
            }
            if framing == Framing::Chunked {
                self.answer.extend_from_slice(b"\r\n");
            }
            if self.answer.len() >= PIECE_BYTES {
                self.line.write(&self.answer).await?;
                self.answer.clear();
            }
        }
        match (framing, left) {
            (Framing::Chunked, _) => self.answer.extend_from_slice(b"0\r\n\r\n"),
            (_, None | Some(0)) => {}
            (_, Some(_)) => return Err(io::Error::other("the answer is shorter than it says")),
        }
        Ok(())
    }
}

/// What a future gives at once, if it does.
async fn futures_now<F: Future>(mut work: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
        std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

fn closes(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .any(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

fn framing(method: &Method, status: StatusCode, body: &Outbound) -> Framing {
    let is_without = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if *method == Method::HEAD || is_without {
        Framing::None
    } else if body.size_hint().exact().is_some() {
        Framing::Length
    } else {
        Framing::Chunked
    }
}

fn write_head(
    out: &mut Vec<u8>,
    parts: &http::response::Parts,
    body: &Outbound,
    framing: Framing,
    is_last: bool,
) {
    heads::first_line(out, parts.status.as_u16());
    for (name, value) in &parts.headers {
        // Of an answer without a body the length is that of another one; 204 has none at all.
        let is_ours = *name == CONNECTION || *name == TRANSFER_ENCODING;
        let is_length = *name == CONTENT_LENGTH;
        let has_other_length = framing != Framing::None || parts.status == StatusCode::NO_CONTENT;
        if is_ours || (is_length && has_other_length) {
            continue;
        }
        field(out, name.as_str(), value.as_bytes());
    }
    match framing {
        Framing::None => {}
        Framing::Length => {
            heads::length_field(out, body.size_hint().exact().unwrap_or_default());
        }
        Framing::Chunked => field(out, "transfer-encoding", b"chunked"),
    }
    if !parts.headers.contains_key(DATE) {
        heads::date_field(out);
    }
    if is_last {
        field(out, "connection", b"close");
    }
    out.extend_from_slice(b"\r\n");
}

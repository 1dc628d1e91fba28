//! HTTP/1.1 as bytes (RFC 9112): heads that are read where they lie, bodies whose end is told from
//! what follows them. For calls that are passed on without being taken apart.

mod body;
mod buffer;
mod head;

pub use body::{BodyReader, Framing, Malformed, Step};
pub use buffer::Buffer;
pub use head::{
    AnswerHead, Found, HEADERS_MAX, Header, RequestHead, answer, may_be_whole, request,
};

//! Answers of services that pass as bytes: they end at the same place in whatever pieces they come, and
//! where a strict reader sees their end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use taraf_service::wire::{self, BodyReader, Found, Framing};

#[path = "../support/http.rs"]
mod strict;

/// An answer: its framing, its body, and where it ends. Nothing when it is broken or not whole.
fn read(bytes: &[u8], is_head: bool, piece: usize) -> Option<(Framing, Vec<u8>, usize)> {
    let found = wire::answer(bytes, |head| (head.length, head.framing(is_head)));
    let Found::Whole((mut used, Some(framing))) = found else {
        return None;
    };
    let (mut reader, mut body, mut end) = (BodyReader::new(framing), Vec::new(), used);
    while !reader.is_done() {
        if used == end {
            if end == bytes.len() {
                reader.end().ok()?;
                break;
            }
            end = (end + piece).min(bytes.len());
        }
        let step = reader.read(&bytes[used..end]).ok()?;
        assert!(step.data.end <= step.used && used + step.used <= end);
        body.extend_from_slice(&bytes[used..end][step.data]);
        used += step.used;
    }
    Some((framing, body, used))
}

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (is_head, piece, bytes) = input;
    let whole = read(bytes, is_head, bytes.len().max(1));
    let pieces = read(bytes, is_head, usize::from(piece).max(1));
    assert_eq!(whole, pieces, "in pieces of {piece}");
    // Without a length the strict reader sees no body, and we one that goes on.
    if let Some((Framing::Length(_) | Framing::Chunked, _, used)) = whole
        && let Some(expected) = strict::end_of_answer(bytes, is_head)
    {
        assert_eq!(used, expected, "the answer ends elsewhere");
    }
});

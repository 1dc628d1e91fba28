//! Serf's messages, states, filters, tags, coordinates and keys of arbitrary bytes: what is read is written and
//! read again.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use taraf_gossip::wire::serf::{
    ConflictResponse, Coordinate, Filter, KeyRequest, KeyResponse, Message, PushPull, Tags,
};

fn written(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    encode(&mut out);
    out.freeze()
}

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(message) = Message::decode(&bytes) {
        let again = written(|out| message.encode(out));
        assert_eq!(Message::decode(&again).as_ref(), Ok(&message));
        if let Message::Query(query) = &message {
            for filter in &query.filters {
                let _read_or_not = Filter::decode(filter);
            }
        }
    }
    if let Ok(state) = PushPull::decode(&bytes) {
        let again = written(|out| state.encode(out));
        assert_eq!(PushPull::decode(&again), Ok(state));
    }
    if let Ok(conflict) = ConflictResponse::decode(&bytes) {
        assert_eq!(ConflictResponse::decode(&conflict.to_bytes()), Ok(conflict));
    }
    if let Ok(request) = KeyRequest::decode(&bytes) {
        assert_eq!(KeyRequest::decode(&request.to_bytes()), Ok(request));
    }
    if let Ok(response) = KeyResponse::decode(&bytes) {
        // What is no text is replaced by longer text, which may be too long.
        if let Ok(again) = KeyResponse::decode(&response.to_bytes()) {
            assert_eq!(again, response);
        }
    }
    if let Ok(filter) = Filter::decode(&bytes)
        && let Ok(again) = Filter::decode(&filter.to_bytes())
    {
        assert_eq!(again, filter);
    }
    if let Ok(tags) = Tags::decode(&bytes)
        && let Ok(again) = tags.to_bytes()
    {
        assert_eq!(Tags::decode(&again), Ok(tags));
    }
    if let Ok(coordinate) = Coordinate::decode(&bytes) {
        let again = Coordinate::decode(&coordinate.to_bytes()).expect("our own bytes");
        let bits = |it: Coordinate| it.vector.map(f64::to_bits);
        assert_eq!(bits(again), bits(coordinate));
    }
});

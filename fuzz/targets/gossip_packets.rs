//! Packets of arbitrary bytes, their checksums and seals made right: whatever is read is written and read again.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use taraf_gossip::wire::memberlist::Message;
use taraf_gossip::wire::packet::{self, Builder, Options};

#[path = "../support/gossip.rs"]
#[expect(dead_code, reason = "streams have sides")]
mod gossip;

/// Each part of a compound takes two bytes for its length, in at most so many layers.
const MESSAGES_MAX: usize = packet::PLAIN_BYTES_MAX / 2 * packet::LAYERS_MAX;

fuzz_target!(|bytes: &[u8]| {
    let Some((&flags, bytes)) = bytes.split_first() else {
        return;
    };
    let envelope = gossip::envelope(flags);
    // As it is: what is not ours must not be read.
    let as_it_is = packet::decode(BytesMut::from(bytes), &envelope);
    if flags & gossip::LOCKED != 0 {
        assert!(as_it_is.is_err(), "opened without the key");
    }
    // And as one of ours, with everything around it right.
    let plain = gossip::layered(flags, bytes);
    let options = Options {
        has_checksum: flags & 16 != 0,
        compresses: flags & 32 != 0,
    };
    let sealed = packet::seal(&plain, options, &envelope, || [1; 12]);
    let opened = packet::open(BytesMut::from(&sealed[..]), &envelope);
    let Ok(opened) = opened else {
        // Only what begins as a checksum itself does not come back.
        assert!(
            plain.is_empty() || plain[0] == 12 || plain[0] == 244,
            "{plain:?}"
        );
        return;
    };
    let messages: Vec<_> = packet::messages(opened).collect();
    assert!(messages.len() <= MESSAGES_MAX);
    let good: Vec<Message> = messages.into_iter().filter_map(Result::ok).collect();
    again(&good);
});

/// In packets of our own, one after the other.
fn again(messages: &[Message]) {
    let envelope = gossip::envelope(gossip::LOCKED);
    let mut builder = Builder::new(&envelope);
    let mut sent = Vec::new();
    for message in messages {
        let mut out = BytesMut::new();
        message.encode(&mut out);
        let part: Bytes = out.freeze();
        assert_eq!(&Message::decode(&part).expect("our own bytes"), message);
        if builder.push(part) {
            sent.push(message.clone());
        }
    }
    let Some(plain) = builder.finish() else {
        return;
    };
    let read: Result<Vec<_>, _> = packet::messages(plain).collect();
    assert_eq!(read.expect("our own packet"), sent);
}

//! Bytes that Serf 0.9.4 sent: read as what they are, and written the same again.

use bytes::{Bytes, BytesMut};
use taraf_gossip::wire::memberlist::Message;

fn hex(text: &str) -> Bytes {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn same_again(text: &str) -> Message {
    let bytes = hex(text);
    let message = Message::decode(&bytes).unwrap();
    let mut again = BytesMut::new();
    message.encode(&mut again);
    assert_eq!(again, bytes, "{message:?}");
    message
}

#[test]
fn a_golden_ping_is_read_and_written() {
    let message = same_again(
        "0085a44e6f6465a27079a55365714e6f03aa536f7572636541646472a47f000003aa536f757263654e6f6465a26132aa536f75726365506f7274cd1f0a",
    );
    let Message::Ping(ping) = message else {
        unreachable!("{message:?}");
    };
    assert_eq!((ping.seq, &*ping.node.text()), (3, "py"));
}

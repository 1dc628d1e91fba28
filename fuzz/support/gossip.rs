//! Layers around made-up bytes, so that the readers inside of them are reached.

use bytes::{BufMut, Bytes, BytesMut};
use taraf_gossip::wire::Envelope;
use taraf_gossip::wire::keyring::Keyring;
use taraf_gossip::wire::memberlist::code;
use taraf_gossip::wire::msgpack::Encoder;

/// Bits of the first byte of an input.
pub const COMPRESSED: u8 = 1;
pub const LOCKED: u8 = 2;
pub const LABELLED: u8 = 4;
pub const ANSWER: u8 = 8;

/// The envelope that these bits ask for.
pub fn envelope(flags: u8) -> Envelope {
    let keyring = (flags & LOCKED != 0).then(|| Keyring::new(&[7; 32]).expect("32 bytes"));
    let label: &[u8] = if flags & LABELLED != 0 { b"blue" } else { b"" };
    Envelope::new(label, keyring).expect("a short label")
}

/// The bytes, compressed if these bits ask for it.
pub fn layered(flags: u8, bytes: &[u8]) -> Bytes {
    if flags & COMPRESSED == 0 {
        return Bytes::copy_from_slice(bytes);
    }
    let mut lzw = weezl::encode::Encoder::new(weezl::BitOrder::Lsb, 8);
    let held = lzw.encode(bytes).expect("any bytes");
    let mut out = BytesMut::new();
    out.put_u8(code::COMPRESSED);
    let mut encoder = Encoder::gossip(&mut out);
    encoder.map(2);
    encoder.key("Algo").uint(0_u8);
    encoder.key("Buf").bytes(held);
    out.freeze()
}

//! [pure] Values of msgpack into bytes, each in its shortest form.

use bytes::{BufMut, BytesMut};

/// Which forms strings and bytes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Packets, streams, tags, coordinates, keys: one family `raw` for both, of 5, 16 or 32 bits of length.
    Gossip,
    /// RPC: strings with a length of 5, 8, 16 or 32 bits, bytes as `bin`.
    Rpc,
}

/// Writes values behind what a buffer holds.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut BytesMut,
    dialect: Dialect,
}

impl<'a> Encoder<'a> {
    /// Of packets and streams.
    pub fn gossip(out: &'a mut BytesMut) -> Self {
        Self::new(out, Dialect::Gossip)
    }

    /// Of RPC.
    pub fn rpc(out: &'a mut BytesMut) -> Self {
        Self::new(out, Dialect::Rpc)
    }

    /// Of either.
    pub fn new(out: &'a mut BytesMut, dialect: Dialect) -> Self {
        Self { out, dialect }
    }

    /// What a Go program has where there is no map, list or slice of bytes.
    pub fn nil(&mut self) {
        self.out.put_u8(0xc0);
    }

    /// A truth.
    pub fn bool(&mut self, value: bool) {
        self.out.put_u8(if value { 0xc3 } else { 0xc2 });
    }

    /// A number from 0.
    pub fn uint(&mut self, value: impl Into<u64>) {
        let value = value.into();
        if let Ok(small) = u8::try_from(value) {
            if small >= 0x80 {
                self.out.put_u8(0xcc);
            }
            self.out.put_u8(small);
        } else if let Ok(value) = u16::try_from(value) {
            self.out.put_u8(0xcd);
            self.out.put_u16(value);
        } else if let Ok(value) = u32::try_from(value) {
            self.out.put_u8(0xce);
            self.out.put_u32(value);
        } else {
            self.out.put_u8(0xcf);
            self.out.put_u64(value);
        }
    }

    /// A number with a sign.
    pub fn int(&mut self, value: impl Into<i64>) {
        let value = value.into();
        if let Ok(value) = u64::try_from(value) {
            self.uint(value);
        } else if let Ok(value) = i8::try_from(value) {
            if value < -32 {
                self.out.put_u8(0xd0);
            }
            self.out.put_i8(value);
        } else if let Ok(value) = i16::try_from(value) {
            self.out.put_u8(0xd1);
            self.out.put_i16(value);
        } else if let Ok(value) = i32::try_from(value) {
            self.out.put_u8(0xd2);
            self.out.put_i32(value);
        } else {
            self.out.put_u8(0xd3);
            self.out.put_i64(value);
        }
    }

    /// A length or a count.
    pub fn size(&mut self, value: usize) {
        self.uint(u64::try_from(value).unwrap_or(u64::MAX));
    }

    /// A fraction, in 64 bits always.
    pub fn float(&mut self, value: f64) {
        self.out.put_u8(0xcb);
        self.out.put_f64(value);
    }

    /// A string; also one that is no text, since Go's need not be.
    pub fn text(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        let short = match self.dialect {
            Dialect::Gossip => None,
            Dialect::Rpc => Some(0xd9),
        };
        match u8::try_from(text.len()) {
            Ok(length) if length < 32 => self.out.put_u8(0xa0 | length),
            _ => self.length(text.len(), [short, Some(0xda), Some(0xdb)]),
        }
        self.out.put_slice(text);
    }

    /// Bytes.
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) {
        match self.dialect {
            Dialect::Gossip => self.text(bytes),
            Dialect::Rpc => {
                let bytes = bytes.as_ref();
                self.length(bytes.len(), [Some(0xc4), Some(0xc5), Some(0xc6)]);
                self.out.put_slice(bytes);
            }
        }
    }

    /// Bytes, or nil when there are none.
    pub fn bytes_or_nil(&mut self, bytes: impl AsRef<[u8]>) {
        if bytes.as_ref().is_empty() {
            self.nil();
        } else {
            self.bytes(bytes);
        }
    }

    /// The head of an array; as many values follow.
    pub fn array(&mut self, count: usize) {
        match u8::try_from(count) {
            Ok(count) if count < 16 => self.out.put_u8(0x90 | count),
            _ => self.length(count, [None, Some(0xdc), Some(0xdd)]),
        }
    }

    /// The head of a map; as many pairs of key and value follow.
    pub fn map(&mut self, count: usize) {
        match u8::try_from(count) {
            Ok(count) if count < 16 => self.out.put_u8(0x80 | count),
            _ => self.length(count, [None, Some(0xde), Some(0xdf)]),
        }
    }

    /// A key of a structure, whose value follows: `encoder.key("LTime").uint(7)`.
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.text(key);
        self
    }

    /// A length with its marker: of 8, 16 or 32 bits, the shortest that there is.
    ///
    /// Nothing that is written here reaches 4 GiB: messages are held to their limits before.
    fn length(&mut self, length: usize, [eight, sixteen, thirty_two]: [Option<u8>; 3]) {
        if let (Some(marker), Ok(length)) = (eight, u8::try_from(length)) {
            self.out.put_u8(marker);
            self.out.put_u8(length);
        } else if let (Some(marker), Ok(length)) = (sixteen, u16::try_from(length)) {
            self.out.put_u8(marker);
            self.out.put_u16(length);
        } else if let Some(marker) = thirty_two {
            self.out.put_u8(marker);
            self.out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        }
    }
}

//! [pure] What is answered.

use super::{Body, list, map, name, put_tags, tags, text};
use crate::rpc::agent::{Coordinate, Joined, KeysAnswer, Stats};
use crate::rpc::event::{Member, Status, Versions};
use crate::wire::msgpack::{Decoder, Encoder};
use crate::wire::{Address, Error};

/// What stands in front of every answer and record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerHeader {
    /// The number of the request.
    pub seq: u64,
    /// Why it was not done; empty when it was.
    pub error: String,
}

impl Body for AnswerHeader {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.map(2);
        out.key("Error").text(&self.error);
        out.key("Seq").uint(self.seq);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut header = Self::default();
        from.fields("an answer's header", &["Seq", "Error"], |from, field| {
            match field {
                "Seq" => header.seq = from.uint()?,
                _ => header.error = text(from)?,
            }
            Ok(())
        })?;
        Ok(header)
    }
}

/// Of `join`; the error is in the header.
impl Body for Joined {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.map(1);
        out.key("Num").uint(self.count);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut joined = Self::default();
        from.fields("join's answer", &["Num"], |from, _| {
            joined.count = from.uint()?;
            Ok(())
        })?;
        Ok(joined)
    }
}

/// Of `members` and `members-filtered`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MembersAnswer(pub Vec<Member>);

impl Body for MembersAnswer {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.map(1);
        put_members(out.key("Members"), &self.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut members = Vec::new();
        from.fields("members' answer", &["Members"], |from, _| {
            members = list(from, Member::decode)?;
            Ok(())
        })?;
        Ok(Self(members))
    }
}

pub(super) fn put_members(out: &mut Encoder<'_>, members: &[Member]) {
    out.array(members.len());
    for member in members {
        member.encode(out);
    }
}

const MEMBER: [&str; 11] = [
    "Name",
    "Addr",
    "Port",
    "Tags",
    "Status",
    "ProtocolMin",
    "ProtocolMax",
    "ProtocolCur",
    "DelegateMin",
    "DelegateMax",
    "DelegateCur",
];

impl Body for Member {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.map(MEMBER.len());
        match &self.address {
            Some(address) => out.key("Addr").bytes(address.as_bytes()),
            None => out.key("Addr").nil(),
        }
        out.key("DelegateCur").uint(self.delegate.current);
        out.key("DelegateMax").uint(self.delegate.max);
        out.key("DelegateMin").uint(self.delegate.min);
        out.key("Name").text(self.name.as_bytes());
        out.key("Port").uint(self.port);
        out.key("ProtocolCur").uint(self.protocol.current);
        out.key("ProtocolMax").uint(self.protocol.max);
        out.key("ProtocolMin").uint(self.protocol.min);
        out.key("Status").text(self.status.word());
        put_tags(out.key("Tags"), &self.tags);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut member = Self::default();
        let (mut protocol, mut delegate) = (Versions::default(), Versions::default());
        from.fields("a member", &MEMBER, |from, field| {
            match field {
                "Name" => member.name = name(from)?,
                "Addr" => member.address = Address::from_bytes(from.slice()?).ok(),
                "Port" => member.port = from.uint()?,
                "Tags" => member.tags = tags(from)?,
                "Status" => member.status = status(&text(from)?),
                "ProtocolMin" => protocol.min = from.uint()?,
                "ProtocolMax" => protocol.max = from.uint()?,
                "ProtocolCur" => protocol.current = from.uint()?,
                "DelegateMin" => delegate.min = from.uint()?,
                "DelegateMax" => delegate.max = from.uint()?,
                _ => delegate.current = from.uint()?,
            }
            Ok(())
        })?;
        Ok(Self {
            protocol,
            delegate,
            ..member
        })
    }
}

fn status(word: &str) -> Status {
    let known = Status::ALL.into_iter().find(|status| status.word() == word);
    known.unwrap_or_default()
}

/// Of the commands about keys; the error is in the header.
impl Body for KeysAnswer {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.map(5);
        match &self.keys {
            Some(keys) => {
                out.key("Keys").map(keys.len());
                for (key, count) in keys {
                    out.text(key);
                    out.uint(*count);
                }
            }
            None => out.key("Keys").nil(),
        }
        put_tags(out.key("Messages"), &self.messages);
        out.key("NumErr").uint(self.failed);
        out.key("NumNodes").uint(self.asked);
        out.key("NumResp").uint(self.answered);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut answer = Self::default();
        let fields = ["Messages", "Keys", "NumNodes", "NumErr", "NumResp"];
        from.fields("an answer about keys", &fields, |from, field| {
            match field {
                "Messages" => answer.messages = tags(from)?,
                "Keys" if from.nil() => answer.keys = None,
                "Keys" => answer.keys = Some(map(from, Decoder::uint)?),
                "NumNodes" => answer.asked = from.uint()?,
                "NumErr" => answer.failed = from.uint()?,
                _ => answer.answered = from.uint()?,
            }
            Ok(())
        })?;
        Ok(answer)
    }
}

/// Of `stats`.
impl Body for Stats {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.map(self.len());
        for (section, values) in self {
            out.text(section);
            put_tags(out, values);
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        map(from, tags)
    }
}

/// Of `get-coordinate`: none where none is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CoordinateAnswer(pub Option<Coordinate>);

impl Body for CoordinateAnswer {
    fn encode(&self, out: &mut Encoder<'_>) {
        let nowhere = Coordinate::default();
        let coordinate = self.0.as_ref().unwrap_or(&nowhere);
        out.map(2);
        out.key("Coord").map(4);
        out.key("Adjustment").float(coordinate.adjustment);
        out.key("Error").float(coordinate.error);
        out.key("Height").float(coordinate.height);
        match &self.0 {
            Some(coordinate) => {
                out.key("Vec").array(coordinate.vector.len());
                for part in &coordinate.vector {
                    out.float(*part);
                }
            }
            None => out.key("Vec").nil(),
        }
        out.key("Ok").bool(self.0.is_some());
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        let (mut coordinate, mut is_known) = (Coordinate::default(), false);
        from.fields("a coordinate's answer", &["Coord", "Ok"], |from, field| {
            match field {
                "Coord" => coordinate = decode_coordinate(from)?,
                _ => is_known = from.bool()?,
            }
            Ok(())
        })?;
        Ok(Self(is_known.then_some(coordinate)))
    }
}

fn decode_coordinate(from: &mut Decoder<'_>) -> Result<Coordinate, Error> {
    let mut coordinate = Coordinate::default();
    let fields = ["Vec", "Error", "Adjustment", "Height"];
    from.fields("a coordinate", &fields, |from, field| {
        match field {
            "Vec" => coordinate.vector = list(from, Decoder::float)?,
            "Error" => coordinate.error = from.float()?,
            "Adjustment" => coordinate.adjustment = from.float()?,
            _ => coordinate.height = from.float()?,
        }
        Ok(())
    })?;
    Ok(coordinate)
}

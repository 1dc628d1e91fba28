//! [pure] Signatures of messages: made for what we send, checked on what comes back (RFC 8945).

use hickory_proto::op::{Header, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::TSIG;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError, make_tsig_record, message_tbs};
use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder, BinEncoder};
use ring::hmac;

use super::error::Error;
use super::key::Key;

/// How far the clocks of both sides may differ, in seconds (RFC 8945 §10).
const FUDGE: u16 = 300;

/// A message as it is sent, and what its answer is checked with.
pub(super) struct Signed {
    pub(super) bytes: Vec<u8>,
    mac: Vec<u8>,
    id: u16,
    time: u64,
}

/// Signs a message at a time, in seconds since 1970.
///
/// # Errors
/// When the message is too long.
pub(super) fn sign(mut message: Message, key: &Key, time: u64) -> Result<Signed, Error> {
    let id = message.id;
    let unsigned = unsigned(id, time);
    let malformed = |error: hickory_proto::ProtoError| Error::Malformed {
        why: error.to_string(),
    };
    let signed = message_tbs(&message, &unsigned, &key.name).map_err(malformed)?;
    let mac = hmac::sign(&key.secret, &signed).as_ref().to_vec();
    let record = make_tsig_record(key.name.clone(), unsigned.set_mac(mac.clone()));
    message.signature = Some(Box::new(record));
    Ok(Signed {
        bytes: message.to_vec().map_err(malformed)?,
        mac,
        id,
        time,
    })
}

impl Signed {
    /// Reads the answer to this message, which came at a time, in seconds since 1970.
    ///
    /// # Errors
    /// When it is not from whoever has the key, or says that the signature was not accepted.
    pub(super) fn open(&self, answer: &[u8], key: &Key, now: u64) -> Result<Message, Error> {
        let malformed = |why: &str| Error::Malformed {
            why: why.to_owned(),
        };
        let message = Message::from_vec(answer).map_err(|error| malformed(&error.to_string()))?;
        if message.id != self.id {
            return Err(malformed("it answers another question"));
        }
        let unsigned = |why| Error::Unsigned {
            key: key.name.to_ascii(),
            why,
        };
        let Some((name, tsig)) = message.additionals.last().and_then(signature) else {
            // Whoever does not know what a signature is cannot sign its refusal.
            return match message.response_code {
                ResponseCode::NoError => Err(unsigned("there is none")),
                _ => Ok(message),
            };
        };
        match tsig.error {
            None => {}
            Some(TsigError::BadKey) => {
                return Err(Error::UnknownKey {
                    key: key.name.to_ascii(),
                });
            }
            Some(TsigError::BadSig) => {
                return Err(Error::BadSignature {
                    key: key.name.to_ascii(),
                });
            }
            Some(TsigError::BadTime) => {
                return Err(Error::Clock {
                    theirs: tsig
                        .other
                        .iter()
                        .fold(0, |time, &byte| time << 8 | u64::from(byte)),
                    ours: self.time,
                });
            }
            Some(_) => return Err(unsigned("it names an error of signatures")),
        }
        if *name != key.name || tsig.algorithm != TsigAlgorithm::HmacSha256 {
            return Err(unsigned("it is made with another key"));
        }
        let digested = self.digested(answer, tsig, &key.name)?;
        if hmac::verify(&key.secret, &digested, &tsig.mac).is_err() {
            return Err(unsigned("it is not what the key makes of the answer"));
        }
        if now.abs_diff(tsig.time) > u64::from(FUDGE.max(tsig.fudge)) {
            return Err(unsigned("it is too old"));
        }
        Ok(message)
    }

    /// An answer to this message as a server makes it.
    #[cfg(test)]
    pub(super) fn answered(&self, code: ResponseCode, key: &Key, time: u64) -> Vec<u8> {
        let mut answer = Message::error_msg(self.id, hickory_proto::op::OpCode::Update, code);
        let tsig = unsigned(self.id, time);
        let mut digested = u16::try_from(self.mac.len())
            .unwrap()
            .to_be_bytes()
            .to_vec();
        digested.extend(&self.mac);
        digested.extend(message_tbs(&answer, &tsig, &key.name).unwrap());
        let mac = hmac::sign(&key.secret, &digested).as_ref().to_vec();
        answer.signature = Some(Box::new(make_tsig_record(
            key.name.clone(),
            tsig.set_mac(mac),
        )));
        answer.to_vec().unwrap()
    }

    /// What the signature of an answer is made of: ours, the answer without its own, and what that says (§4.3).
    fn digested(&self, answer: &[u8], tsig: &TSIG, key: &Name) -> Result<Vec<u8>, Error> {
        let bad = || Error::Malformed {
            why: "its records do not end where it does".to_owned(),
        };
        let end = before_last_record(answer).ok_or_else(bad)?;
        let mut digested = u16::try_from(self.mac.len())
            .unwrap_or(0)
            .to_be_bytes()
            .to_vec();
        digested.extend(&self.mac);
        let mut unsigned = answer.get(..end).ok_or_else(bad)?.to_vec();
        // The signature is not counted, and the number is the one that was signed.
        let [id1, id2, _, _, _, _, _, _, _, _, high, low] =
            unsigned.first_chunk_mut::<12>().ok_or_else(bad)?;
        let additionals = u16::from_be_bytes([*high, *low]).saturating_sub(1);
        [*high, *low] = additionals.to_be_bytes();
        [*id1, *id2] = tsig.oid.to_be_bytes();
        digested.extend(unsigned);
        let mut said = Vec::new();
        let mut encoder = BinEncoder::new(&mut said);
        tsig.emit_tsig_for_mac(&mut encoder, key)
            .map_err(|_why| bad())?;
        digested.extend(said);
        Ok(digested)
    }
}

fn unsigned(id: u16, time: u64) -> TSIG {
    let (algorithm, none) = (TsigAlgorithm::HmacSha256, Vec::new());
    TSIG::new(algorithm, time, FUDGE, none.clone(), id, None, none)
}

fn signature(record: &Record) -> Option<(&Name, &TSIG)> {
    match &record.data {
        RData::TSIG(tsig) => Some((&record.name, tsig)),
        _ => None,
    }
}

/// Where the last record of a message begins.
fn before_last_record(message: &[u8]) -> Option<usize> {
    let mut decoder = BinDecoder::new(message);
    let counts = Header::read(&mut decoder).ok()?.counts;
    for _ in 0..counts.queries {
        Query::read(&mut decoder).ok()?;
    }
    let records = [counts.answers, counts.authorities, counts.additionals];
    let mut last = None;
    for _ in 0..records.iter().copied().map(u32::from).sum() {
        last = Some(decoder.index());
        Record::read(&mut decoder).ok()?;
    }
    last.filter(|_| decoder.is_empty())
}

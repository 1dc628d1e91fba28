//! [pure] Values as text within an evaluation: whole and charged for, or shortened for messages.

use jaq_json::Val;

use super::budget::{charge, charge_bytes};
use crate::data::number_text;

/// How much of a value a message shows.
const SHORT: usize = 80;

/// JSON as jq writes it: what JSON cannot hold becomes `null`.
pub(crate) fn json(value: &Val) -> Vec<u8> {
    let mut text = Vec::new();
    put(&mut text, value, usize::MAX);
    text
}

/// The beginning of a value's JSON.
pub(crate) fn short(value: &Val) -> String {
    let mut text = Vec::new();
    put(&mut text, value, SHORT);
    short_text(&String::from_utf8_lossy(&text))
}

/// The beginning of a text.
pub(crate) fn short_text(text: &str) -> String {
    match text.char_indices().nth(SHORT * 3) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn put(to: &mut Vec<u8>, value: &Val, limit: usize) {
    charge(1);
    if to.len() > limit {
        return;
    }
    match value {
        Val::Null => to.extend_from_slice(b"null"),
        Val::Bool(truth) => to.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Val::Num(number) => {
            let text = number_text(number).unwrap_or_else(|| "null".to_owned());
            to.extend_from_slice(text.as_bytes());
        }
        Val::TStr(text) | Val::BStr(text) => {
            let text = text.get(..limit.min(text.len())).unwrap_or_default();
            charge_bytes(to.len().min(text.len()) + text.len());
            crate::data::string(to, text);
        }
        Val::Arr(items) => {
            to.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    to.push(b',');
                }
                put(to, item, limit);
                if to.len() > limit {
                    return;
                }
            }
            to.push(b']');
        }
        Val::Obj(members) => {
            to.push(b'{');
            for (index, (key, item)) in members.iter().enumerate() {
                if index > 0 {
                    to.push(b',');
                }
                put(to, key, limit);
                to.push(b':');
                put(to, item, limit);
                if to.len() > limit {
                    return;
                }
            }
            to.push(b'}');
        }
    }
    if to.len() > super::budget::MAX_STRING {
        super::budget::end(super::budget::Spent::Size);
    }
}

//! [pure] Equality and order of values, charged for each part that is looked at.
//!
//! Two values that share their parts can be exponentially larger than what they cost to make.

use std::cmp::Ordering;

use jaq_json::{Rc, Val};

use super::budget::{charge, charge_bytes, charge_items};

/// Whether two values are equal, as in jq: numbers by value, objects without order.
pub(crate) fn equal(a: &Val, b: &Val) -> bool {
    charge(1);
    match (a, b) {
        (Val::Arr(a), Val::Arr(b)) => {
            Rc::ptr_eq(a, b)
                || a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(a, b))
        }
        (Val::Obj(a), Val::Obj(b)) => {
            Rc::ptr_eq(a, b)
                || a.len() == b.len()
                    && a.iter()
                        .all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (Val::TStr(a) | Val::BStr(a), Val::TStr(b) | Val::BStr(b)) => {
            charge_bytes(a.len().min(b.len()));
            a == b
        }
        _ => a == b,
    }
}

/// The order of jq.
pub(crate) fn compare(a: &Val, b: &Val) -> Ordering {
    charge(1);
    match (a, b) {
        (Val::Arr(a), Val::Arr(b)) => {
            let parts = a.iter().zip(b.iter()).map(|(a, b)| compare(a, b));
            first_difference(parts).then(a.len().cmp(&b.len()))
        }
        (Val::Obj(a), Val::Obj(b)) => {
            charge_items(a.len() + b.len());
            let sorted = |map: &Rc<jaq_json::Map>| {
                let mut entries: Vec<_> = map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
                entries.sort_by(|(a, _), (b, _)| compare(a, b));
                entries
            };
            let (a, b) = (sorted(a), sorted(b));
            let keys = a.iter().zip(&b).map(|((a, _), (b, _))| compare(a, b));
            first_difference(keys)
                .then(a.len().cmp(&b.len()))
                .then_with(|| {
                    first_difference(a.iter().zip(&b).map(|((_, a), (_, b))| compare(a, b)))
                })
        }
        (Val::TStr(a) | Val::BStr(a), Val::TStr(b) | Val::BStr(b)) => {
            charge_bytes(a.len().min(b.len()));
            a.cmp(b)
        }
        _ => a.cmp(b),
    }
}

fn first_difference(mut parts: impl Iterator<Item = Ordering>) -> Ordering {
    parts
        .find(|part| *part != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

/// jq's `contains`.
pub(crate) fn contains(a: &Val, b: &Val) -> bool {
    charge(1);
    match (a, b) {
        (Val::TStr(a), Val::TStr(b)) => {
            charge_bytes(a.len());
            let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
            a.contains(&*b)
        }
        (Val::Arr(a), Val::Arr(b)) => b.iter().all(|b| a.iter().any(|a| contains(a, b))),
        (Val::Obj(a), Val::Obj(b)) => b
            .iter()
            .all(|(key, b)| a.get(key).is_some_and(|a| contains(a, b))),
        _ => equal(a, b),
    }
}

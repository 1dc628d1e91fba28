//! [pure] The value that jaq works on: jaq's own JSON value, charged for everything done to it.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use jaq_core::ops::Math;
use jaq_core::val::Range;
use jaq_core::{Error, ValR, ValX, path};
use jaq_json::{Map, Num, Rc, Val};

use super::budget::{self, STEP, Spent, charge, charge_bytes, charge_items};
use super::change::{map_item, map_member};
use super::compare::{compare, equal};
use super::render;

/// The most bits of an integer.
const MAX_BITS: u64 = 8_192;
/// What a clone costs: all that branches without doing anything clones.
const CLONE: u64 = 2;
/// What making an array or an object costs. Each level of nesting is made by one such act, so this
/// also bounds how deep a value can get, and with it the stack that dropping it needs.
const MAKE: u64 = 2 * STEP;

/// A value within an evaluation.
#[derive(Debug)]
pub(crate) struct Value(pub(crate) Val);

type Result<T = Value> = ValR<T, Value>;

impl Clone for Value {
    fn clone(&self) -> Self {
        charge(CLONE);
        Self(self.0.clone())
    }
}

/// Takes jaq's result. Its errors hold whole values and print them without bound, so what can fail is
/// tested before and told in our words.
fn lift(result: ValR<Val>) -> Result {
    result
        .map(Value)
        .map_err(|_unbounded| Error::str("the operation is not possible on these values"))
}

fn cannot_calculate(a: Val, operator: Math, b: Val) -> Result {
    Err(Error::math(Value(a), operator, Value(b)))
}

const ITERABLE: &str = "iterable (array or object)";

/// Refuses integers that only grow.
fn bounded(value: Value) -> Value {
    if let Val::Num(Num::BigInt(whole)) = &value.0
        && whole.bits() > MAX_BITS
    {
        budget::end(Spent::Size);
    }
    value
}

fn length(value: &Val) -> usize {
    match value {
        Val::TStr(text) | Val::BStr(text) => text.len() / 8,
        Val::Arr(items) => items.len(),
        Val::Obj(members) => members.len(),
        Val::Null | Val::Bool(_) | Val::Num(_) => 0,
    }
}

/// Charges for changing a value in place: a shared one is copied first.
fn charge_change(value: &Val) {
    charge(MAKE);
    match value {
        Val::Arr(items) if Rc::strong_count(items) > 1 => charge_items(items.len()),
        Val::Obj(members) if Rc::strong_count(members) > 1 => charge_items(members.len() * 4),
        Val::TStr(text) | Val::BStr(text) => charge_bytes(text.len()),
        Val::Null | Val::Bool(_) | Val::Num(_) | Val::Arr(_) | Val::Obj(_) => {}
    }
}

fn key(index: &Value) -> Result<()> {
    match &index.0 {
        Val::TStr(_) => Ok(()),
        other => Err(Error::str(format!(
            "cannot use {} as an object's key",
            render::short(other)
        ))),
    }
}

impl jaq_core::ValT for Value {
    fn from_num(text: &str) -> Result {
        charge(STEP);
        charge_bytes(text.len());
        if text.len() > crate::data::MAX_DIGITS {
            budget::end(Spent::Size);
        }
        lift(Val::from_num(text))
    }

    fn from_map<I: IntoIterator<Item = (Self, Self)>>(entries: I) -> Result {
        charge(MAKE);
        let mut map = Map::default();
        for (name, value) in entries {
            charge(STEP);
            key(&name)?;
            map.insert(name.0, value.0);
        }
        Ok(Self(Val::obj(map)))
    }

    fn key_values(self) -> Box<dyn Iterator<Item = Result<(Self, Self)>>> {
        charge(STEP);
        charge_items(length(&self.0));
        if !matches!(self.0, Val::Arr(_) | Val::Obj(_)) {
            return Box::new(std::iter::once(Err(Error::typ(self, ITERABLE))));
        }
        Box::new(self.0.key_values().flatten().map(|(key, value)| {
            charge(2);
            Ok((Self(key), Self(value)))
        }))
    }

    fn values(self) -> Box<dyn Iterator<Item = Result>> {
        charge(STEP);
        charge_items(length(&self.0));
        if !matches!(self.0, Val::Arr(_) | Val::Obj(_)) {
            return Box::new(std::iter::once(Err(Error::typ(self, ITERABLE))));
        }
        Box::new(self.0.values().map(|value| {
            charge(2);
            lift(value)
        }))
    }

    fn index(self, index: &Self) -> Result {
        charge(STEP);
        let found = match (&self.0, &index.0) {
            (Val::Null, _) => None,
            (Val::Obj(members), Val::TStr(_)) => members.get(&index.0).cloned(),
            (Val::Arr(items), Val::Num(_)) => {
                let at = whole(&index.0).and_then(|at| absolute(at, items.len()));
                at.and_then(|at| items.get(at).cloned())
            }
            (Val::Arr(_), Val::Arr(_)) => return super::natives::indices(&self, index),
            (Val::TStr(_) | Val::Arr(_), Val::Obj(bounds)) => {
                let bound = |name| bounds.get(&crate::data::text(name)).cloned().map(Self);
                let (start, end) = (bound("start"), bound("end"));
                return self.range(start.as_ref()..end.as_ref());
            }
            _ => return Err(Error::index(self, index.clone())),
        };
        Ok(Self(found.unwrap_or_default()))
    }

    fn range(self, range: Range<&Self>) -> Result {
        charge(MAKE);
        charge_items(length(&self.0));
        match &self.0 {
            Val::Null => Ok(self),
            Val::Arr(items) => {
                let (start, end) = bounds(&range, items.len())?;
                Ok(Self(items.iter().take(end).skip(start).cloned().collect()))
            }
            Val::TStr(text) => {
                let text = String::from_utf8_lossy(text);
                let (start, end) = bounds(&range, text.chars().count())?;
                let part: String = text.chars().take(end).skip(start).collect();
                Ok(Self(Val::from(part)))
            }
            _ => Err(Error::typ(self, "rangeable (array or string)")),
        }
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        opt: path::Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        charge(MAKE);
        charge_items(length(&self.0));
        match self.0 {
            Val::Arr(items) => {
                let mut mapped = Vec::with_capacity(items.len());
                for item in Rc::unwrap_or_clone(items) {
                    for value in f(Self(item)) {
                        charge(2);
                        mapped.push(value?.0);
                    }
                }
                Ok(Self(mapped.into_iter().collect()))
            }
            Val::Obj(members) => {
                let mut mapped = Map::default();
                for (name, item) in Rc::unwrap_or_clone(members) {
                    if let Some(value) = f(Self(item)).next() {
                        charge(2);
                        mapped.insert(name, value?.0);
                    }
                }
                Ok(Self(Val::obj(mapped)))
            }
            other => opt.fail(Self(other), |v| Error::typ(v, ITERABLE).into()),
        }
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        index: &Self,
        opt: path::Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        charge_change(&self.0);
        match (self.0, &index.0) {
            (value @ (Val::TStr(_) | Val::Arr(_) | Val::Null), Val::Obj(bounds)) => {
                let bound = |name| bounds.get(&crate::data::text(name)).cloned().map(Self);
                let (start, end) = (bound("start"), bound("end"));
                Self(value).map_range(start.as_ref()..end.as_ref(), opt, f)
            }
            // As in jq: assignment makes the object or array that is not there.
            (Val::Null, Val::TStr(_)) => map_member(Rc::new(Map::default()), index, f),
            (Val::Null, Val::Num(_)) => map_item(Rc::new(Vec::new()), index, opt, f),
            (Val::Obj(members), Val::TStr(_)) => map_member(members, index, f),
            (Val::Arr(items), Val::Num(_)) => map_item(items, index, opt, f),
            (other, index) => {
                opt.fail(Self(other), |v| Error::index(v, Self(index.clone())).into())
            }
        }
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        range: Range<&Self>,
        opt: path::Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        charge_change(&self.0);
        let items = match self.0 {
            Val::Null => Rc::new(Vec::new()),
            Val::Arr(items) => items,
            other => return opt.fail(Self(other), |v| Error::typ(v, "array").into()),
        };
        let (start, end) = match bounds(&range, items.len()) {
            Ok(bounds) => bounds,
            Err(error) => return opt.fail(Self(Val::Arr(items)), |_| error.into()),
        };
        charge_items(items.len());
        let part: Val = items.iter().take(end).skip(start).cloned().collect();
        let replacement = match f(Self(part)).next().transpose()? {
            None => Rc::new(Vec::new()),
            Some(Self(Val::Arr(replacement))) => replacement,
            Some(other) => return Err(Error::typ(other, "array").into()),
        };
        charge_items(replacement.len());
        let mut items = Rc::unwrap_or_clone(items);
        items.splice(start..end, replacement.iter().cloned());
        Ok(Self(items.into_iter().collect()))
    }

    fn as_bool(&self) -> bool {
        !matches!(self.0, Val::Null | Val::Bool(false))
    }

    fn into_string(self) -> Self {
        match self.0 {
            Val::TStr(text) | Val::BStr(text) => Self(Val::TStr(text)),
            other => Self(Val::utf8_str(render::json(&other))),
        }
    }
}

pub(super) fn whole(index: &Val) -> Option<isize> {
    match index {
        Val::Num(number @ (Num::Int(_) | Num::BigInt(_))) => number.as_isize(),
        Val::Num(Num::Float(float)) if float.fract() == 0.0 => format!("{float:.0}").parse().ok(),
        _ => None,
    }
}

pub(super) fn absolute(index: isize, len: usize) -> Option<usize> {
    if index >= 0 {
        usize::try_from(index).ok()
    } else {
        len.checked_sub(index.unsigned_abs())
    }
}

fn bounds(range: &Range<&Value>, len: usize) -> Result<(usize, usize)> {
    let bound = |value: Option<&Value>, default| match value.map(|v| &v.0) {
        None | Some(Val::Null) => Ok(default),
        Some(value) => match whole(value) {
            Some(at) => Ok(absolute(at, len).unwrap_or(0).min(len)),
            None => Err(Error::str("a slice's bounds are whole numbers")),
        },
    };
    let (start, end) = (bound(range.start, 0)?, bound(range.end, len)?);
    Ok((start, end.max(start)))
}

impl jaq_std::ValT for Value {
    fn into_seq<S: FromIterator<Self>>(self) -> std::result::Result<S, Self> {
        charge(STEP);
        charge_items(length(&self.0));
        match self.0 {
            Val::Arr(items) => Ok(Rc::unwrap_or_clone(items).into_iter().map(Self).collect()),
            other => Err(Self(other)),
        }
    }

    fn is_int(&self) -> bool {
        self.0.is_int()
    }

    fn as_isize(&self) -> Option<isize> {
        self.0.as_isize()
    }

    fn as_f64(&self) -> Option<f64> {
        charge(1);
        self.0.as_f64()
    }

    fn is_utf8_str(&self) -> bool {
        self.0.is_utf8_str()
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        let bytes = self.0.as_bytes();
        charge(1);
        charge_bytes(bytes.map_or(0, <[u8]>::len));
        bytes
    }

    fn as_sub_str(&self, sub: &[u8]) -> Self {
        charge(2);
        Self(self.0.as_sub_str(sub))
    }

    fn from_utf8_bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Self {
        charge(STEP);
        charge_bytes(bytes.as_ref().len());
        Self(Val::from_utf8_bytes(bytes))
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        charge(1);
        Self(Val::Bool(truth))
    }
}

impl From<isize> for Value {
    fn from(whole: isize) -> Self {
        charge(1);
        Self(Val::from(whole))
    }
}

impl From<usize> for Value {
    fn from(whole: usize) -> Self {
        charge(1);
        Self(Val::from(whole))
    }
}

impl From<f64> for Value {
    fn from(float: f64) -> Self {
        charge(1);
        Self(Val::from(float))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        charge(STEP);
        charge_bytes(text.len());
        Self(Val::from(text))
    }
}

impl From<Range<Self>> for Value {
    fn from(range: Range<Self>) -> Self {
        charge(MAKE);
        Self(Val::from(range.start.map(|v| v.0)..range.end.map(|v| v.0)))
    }
}

impl FromIterator<Self> for Value {
    fn from_iter<T: IntoIterator<Item = Self>>(items: T) -> Self {
        charge(MAKE);
        let items = items.into_iter().map(|item| {
            charge(1);
            item.0
        });
        Self(items.collect())
    }
}

impl Add for Value {
    type Output = Result;
    fn add(self, other: Self) -> Result {
        charge(STEP);
        match (&self.0, &other.0) {
            (Val::TStr(a) | Val::BStr(a), Val::TStr(b) | Val::BStr(b)) => {
                if a.len() + b.len() > budget::MAX_STRING {
                    budget::end(Spent::Size);
                }
                charge_bytes(b.len() + if a.is_unique() { 0 } else { a.len() });
            }
            (Val::Arr(a), Val::Arr(b)) => {
                charge_items(b.len() + if Rc::strong_count(a) > 1 { a.len() } else { 0 });
            }
            (Val::Obj(a), Val::Obj(b)) => {
                let copied = if Rc::strong_count(a) > 1 { a.len() } else { 0 };
                charge_items((b.len() + copied) * 4);
            }
            (Val::Null, _) | (_, Val::Null) | (Val::Num(_), Val::Num(_)) => {}
            _ => return cannot_calculate(self.0, Math::Add, other.0),
        }
        lift(self.0 + other.0).map(bounded)
    }
}

impl Sub for Value {
    type Output = Result;
    fn sub(self, other: Self) -> Result {
        charge(STEP);
        match (self.0, other.0) {
            (Val::Arr(a), Val::Arr(b)) => {
                charge_items(a.len() + b.len());
                let kept = a.iter().filter(|a| !b.iter().any(|b| equal(a, b)));
                Ok(Self(kept.cloned().collect()))
            }
            (Val::Num(a), Val::Num(b)) => Ok(bounded(Self(Val::Num(a - b)))),
            (a, b) => cannot_calculate(a, Math::Sub, b),
        }
    }
}

impl Mul for Value {
    type Output = Result;
    fn mul(self, other: Self) -> Result {
        charge(STEP);
        match (self.0, other.0) {
            (Val::TStr(text), Val::Num(times)) | (Val::Num(times), Val::TStr(text)) => {
                repeat(&text, &times)
            }
            (Val::Obj(a), Val::Obj(b)) => Ok(Self(Val::Obj(merge(a, &b)))),
            (Val::Num(a), Val::Num(b)) => Ok(bounded(Self(Val::Num(a * b)))),
            (a, b) => cannot_calculate(a, Math::Mul, b),
        }
    }
}

/// A string so many times; `null` for none, as in jq.
fn repeat(text: &[u8], times: &Num) -> Result {
    let times = jaq_std::ValT::as_f64(&Val::Num(times.clone())).unwrap_or(0.0);
    if times <= 0.0 || times.is_nan() {
        return Ok(Value(Val::Null));
    }
    let times = if times < 1.0 { 1.0 } else { times.floor() };
    // The length is a small number: no precision is lost.
    let times = format!("{times:.0}").parse::<usize>().unwrap_or(usize::MAX);
    charge_bytes(text.len().max(1).saturating_mul(times));
    Ok(Value(Val::utf8_str(text.repeat(times))))
}

fn merge(mut a: Rc<Map>, b: &Rc<Map>) -> Rc<Map> {
    charge(MAKE);
    charge_items((a.len() + b.len()) * 4);
    let map = Rc::make_mut(&mut a);
    for (key, value) in b.iter() {
        let old = map.get_mut(key).map(std::mem::take);
        let new = match (old, value) {
            (Some(Val::Obj(a)), Val::Obj(b)) => Val::Obj(merge(a, b)),
            (_, value) => value.clone(),
        };
        map.insert(key.clone(), new);
    }
    a
}

impl Div for Value {
    type Output = Result;
    fn div(self, other: Self) -> Result {
        charge(MAKE);
        if let (Val::TStr(text), Val::TStr(separator)) = (&self.0, &other.0) {
            charge_bytes(text.len());
            if separator.is_empty() {
                charge_items(text.len() * 8);
            } else {
                charge_items(text.len() * 4 / separator.len());
            }
        }
        match (self.0, other.0) {
            (Val::Num(a), Val::Num(b)) => Ok(Self(Val::Num(a / b))),
            (a @ Val::TStr(_), b @ Val::TStr(_)) => lift(a / b),
            (a, b) => cannot_calculate(a, Math::Div, b),
        }
    }
}

impl Rem for Value {
    type Output = Result;
    fn rem(self, other: Self) -> Result {
        charge(STEP);
        match (self.0, other.0) {
            (a @ Val::Num(_), b @ Val::Num(_)) => lift(a % b),
            (a, b) => cannot_calculate(a, Math::Rem, b),
        }
    }
}

impl Neg for Value {
    type Output = Result;
    fn neg(self) -> Result {
        charge(STEP);
        match self.0 {
            Val::Num(number) => Ok(Self(Val::Num(-number))),
            other => Err(Error::typ(Self(other), "number")),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.0, &other.0)
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render::short(&self.0))
    }
}

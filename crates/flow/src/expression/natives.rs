//! [pure] Functions made in Rust: those of jaq that are safe, ours in place of those that are not.

use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_core::{Error, ValR};
use jaq_json::Val;
use jaq_std::ValT as _;

use super::Engine;
use super::budget::{STEP, charge, charge_bytes, charge_items, units};
use super::compare::{compare, contains, equal};
use super::render;
use super::value::Value;

/// Functions of jaq that reach outside, end the process, or take as long as their argument says.
const REFUSED: [&str; 10] = [
    "env",
    "halt",
    "now",
    "debug_empty",
    "stderr_empty",
    "localtime",
    "strflocaltime",
    "implode",
    "jn",
    "yn",
];

type Result = ValR<Value>;

/// All functions that expressions may call, directly or through definitions.
pub(crate) fn functions() -> impl Iterator<Item = Fun<Engine>> {
    let std = jaq_std::funs::<Engine>()
        .filter(|(name, ..)| !REFUSED.contains(name))
        .map(|(name, args, native)| (renamed(name), args, native));
    jaq_core::funs::<Engine>().chain(std).chain(ours())
}

/// The regular expression functions are charged for by definitions of the same name.
fn renamed(name: &'static str) -> &'static str {
    match name {
        "matches" => "regex_matches",
        "split_matches" => "regex_split_matches",
        "split_" => "regex_split",
        name => name,
    }
}

fn ours() -> Vec<Fun<Engine>> {
    vec![
        run(("tick", v(0), |cv| {
            charge(STEP);
            bome(Ok(cv.1))
        })),
        run(("now", v(0), |cv| bome(Ok(Value::from(cv.0.data().now))))),
        run(("regex_cost", v(1), |cv| {
            unary(cv, |value, pattern| {
                charge_regex(&value.0, &pattern.0);
                Ok(value)
            })
        })),
        run(("implode", v(0), |cv| bome(implode(&cv.1)))),
        run(("fromjson", v(0), |cv| bome(from_json(&cv.1)))),
        run(("tojson", v(0), |cv| {
            bome(Ok(Value(Val::utf8_str(render::json(&cv.1.0)))))
        })),
        run(("length", v(0), |cv| bome(length(&cv.1)))),
        run(("contains", v(1), |cv| {
            unary(cv, |a, b| Ok(Value::from(contains(&a.0, &b.0))))
        })),
        run(("has", v(1), |cv| unary(cv, |value, key| has(&value, &key)))),
        run(("indices", v(1), |cv| {
            unary(cv, |value, part| indices(&value, &part))
        })),
        run(("bsearch", v(1), |cv| {
            unary(cv, |value, item| bsearch(&value, &item))
        })),
        run(("tostream_of", v(1), |cv| {
            unary(cv, |value, path| {
                let mut stream = Vec::new();
                let mut path = path.into_seq::<Vec<Value>>().unwrap_or_default();
                to_stream(&value.0, &mut path, &mut stream);
                Ok(stream.into_iter().collect())
            })
        })),
    ]
}

/// Compiling a regular expression costs more than using it; repetitions multiply.
fn charge_regex(text: &Val, pattern: &Val) {
    let length = |value: &Val| match value {
        Val::TStr(text) => text.len(),
        _ => 0,
    };
    charge(units(length(text)));
    if let Val::TStr(pattern) = pattern {
        let weight = |byte: &u8| match byte {
            b'{' => 500,
            b'\\' => 20,
            _ => 2,
        };
        charge(STEP * (20 + pattern.iter().map(weight).sum::<u64>()));
    }
}

fn from_json(value: &Value) -> Result {
    let Val::TStr(text) = &value.0 else {
        return Err(Error::typ(value.clone(), "string"));
    };
    charge(STEP + units(text.len()));
    crate::data::parse(text)
        .map(Value)
        .map_err(|error| Error::str(format!("{} is {error}", render::short(&value.0))))
}

fn implode(value: &Value) -> Result {
    let Val::Arr(points) = &value.0 else {
        return Err(Error::typ(value.clone(), "array"));
    };
    charge_items(points.len() * 4);
    let text: Option<String> = points.iter().map(character).collect();
    match text {
        Some(text) => Ok(Value::from(text)),
        None => Err(Error::str("implode takes an array of code points")),
    }
}

fn character(point: &Val) -> Option<char> {
    let Val::Num(point) = point else {
        return None;
    };
    char::from_u32(u32::try_from(point.as_isize()?).ok()?)
}

fn length(value: &Value) -> Result {
    charge(STEP);
    let count = match &value.0 {
        Val::Null => 0,
        Val::TStr(text) => {
            charge_bytes(text.len());
            String::from_utf8_lossy(text).chars().count()
        }
        Val::BStr(bytes) => bytes.len(),
        Val::Arr(items) => items.len(),
        Val::Obj(members) => members.len(),
        Val::Num(_) if compare(&value.0, &Val::from(0_usize)).is_lt() => {
            return -value.clone();
        }
        Val::Num(_) => return Ok(value.clone()),
        Val::Bool(_) => return Err(Error::str("a boolean has no length")),
    };
    Ok(Value::from(count))
}

fn has(value: &Value, key: &Value) -> Result {
    charge(STEP);
    match (&value.0, &key.0) {
        (Val::Obj(members), Val::TStr(_)) => Ok(Value::from(members.contains_key(&key.0))),
        (Val::Arr(items), Val::Num(number)) => {
            let index = number.as_isize().and_then(|at| usize::try_from(at).ok());
            Ok(Value::from(index.is_some_and(|at| at < items.len())))
        }
        _ => Err(Error::index(value.clone(), key.clone())),
    }
}

/// Where a part occurs in a string (in characters) or an array.
pub(crate) fn indices(value: &Value, part: &Value) -> Result {
    charge(STEP);
    let found: Vec<usize> = match (&value.0, &part.0) {
        (Val::Null, _) => return Ok(Value(Val::Null)),
        (Val::TStr(text), Val::TStr(part)) => {
            charge_bytes(text.len().saturating_mul(8));
            let (text, part) = (String::from_utf8_lossy(text), String::from_utf8_lossy(part));
            charge(units(text.len() / 4));
            charge(units(text.len() / 32).saturating_mul(units(part.len() / 32)));
            let starts = text.char_indices().enumerate();
            let matching = starts.filter(|(_, (at, _))| {
                !part.is_empty() && text.get(*at..).is_some_and(|rest| rest.starts_with(&*part))
            });
            matching.map(|(index, _)| index).collect()
        }
        (Val::Arr(_), Val::Arr(part)) if part.is_empty() => Vec::new(),
        (Val::Arr(items), Val::Arr(part)) => {
            charge_items(items.len());
            let windows = items.windows(part.len()).enumerate();
            let same = |window: &[Val]| window.iter().zip(part.iter()).all(|(a, b)| equal(a, b));
            windows.filter(|(_, w)| same(w)).map(|(i, _)| i).collect()
        }
        (Val::Arr(items), part) => {
            let equal = items
                .iter()
                .enumerate()
                .filter(|(_, item)| equal(item, part));
            equal.map(|(index, _)| index).collect()
        }
        _ => return Err(Error::index(value.clone(), part.clone())),
    };
    charge_items(found.len());
    Ok(found.into_iter().map(Value::from).collect())
}

fn bsearch(value: &Value, item: &Value) -> Result {
    let Val::Arr(items) = &value.0 else {
        return Err(Error::typ(value.clone(), "array"));
    };
    let found = items.binary_search_by(|other| compare(other, &item.0));
    let index = match found {
        Ok(index) => isize::try_from(index).unwrap_or(isize::MAX),
        Err(index) => -1 - isize::try_from(index).unwrap_or(isize::MAX),
    };
    Ok(Value::from(index))
}

fn to_stream(value: &Val, path: &mut Vec<Value>, stream: &mut Vec<Value>) {
    let entries: Vec<(Value, &Val)> = match value {
        Val::Arr(items) => {
            let entry = |(index, item)| (Value::from(index), item);
            items.iter().enumerate().map(entry).collect()
        }
        Val::Obj(members) => members.iter().map(|(k, v)| (Value(k.clone()), v)).collect(),
        _ => Vec::new(),
    };
    let leaf = entries.is_empty();
    let mut last = None;
    for (key, item) in entries {
        path.push(key.clone());
        to_stream(item, path, stream);
        path.pop();
        last = Some(key);
    }
    if leaf {
        let whole: Value = path.iter().cloned().collect();
        stream.push([whole, Value(value.clone())].into_iter().collect());
    }
    if let Some(last) = last {
        let closing: Value = path.iter().cloned().chain([last]).collect();
        stream.push([closing].into_iter().collect());
    }
}

//! [pure] One immutable JSON document: its bytes and its value for expressions, each made when asked for.

mod elsewhere;
mod read;
mod serial;
mod write;

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jaq_json::{Map, Num, Val};

use elsewhere::Elsewhere;
pub use elsewhere::{DataName, Keeper};
pub(crate) use read::parse;
pub(crate) use write::{Written, number_text, string, write};

/// The deepest nesting of arrays and objects.
pub(crate) const MAX_DEPTH: usize = 256;
/// The most bytes that one document may have.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;
/// The most characters of one number.
pub(crate) const MAX_DIGITS: usize = 1_000;

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The text is not JSON.
    #[error("not JSON at byte {at}: {what}")]
    Syntax {
        /// Where, in bytes from 0.
        at: usize,
        /// What was expected.
        what: &'static str,
    },
    /// Nested too deeply.
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// Too large.
    #[error("larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// A number that JSON cannot hold.
    #[error("the number {0} has no form in JSON")]
    Number(String),
    /// A key that is no string.
    #[error("the object key {0} is no string")]
    Key(String),
    /// Bytes that are no text.
    #[error("binary data have no form in JSON; use @base64")]
    Binary,
}

/// What is seen of a document that cannot be had.
static NULL: Val = Val::Null;
static NULL_TEXT: Bytes = Bytes::from_static(b"null");

/// One immutable JSON document. Cheap to clone.
///
/// A long one may be kept elsewhere: then it has a [name](Data::name), and is fetched when it is looked
/// at. What cannot be fetched is seen as `null`, and its [`Keeper`] knows why.
#[derive(Clone)]
pub struct Data(Arc<Inner>);

enum Inner {
    Here {
        bytes: OnceLock<Bytes>,
        value: OnceLock<Val>,
    },
    Elsewhere(Elsewhere),
}

impl Data {
    /// Reads JSON text.
    ///
    /// # Errors
    /// When it is not JSON, or over a limit.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DataError> {
        let value = parse(&bytes)?;
        Ok(Self::new(Some(bytes), Some(value)))
    }

    /// Takes JSON text that was checked before, such as our own log's; it is parsed when first needed.
    #[must_use]
    pub fn from_trusted(bytes: Bytes) -> Self {
        Self::new(Some(bytes), None)
    }

    /// Takes a JSON value.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Self {
        Self::from_value(to_val(json))
    }

    /// `null`.
    #[must_use]
    pub fn null() -> Self {
        Self::from_value(Val::Null)
    }

    /// `{}`.
    #[must_use]
    pub fn object() -> Self {
        Self::from_value(Val::obj(Map::default()))
    }

    /// A string.
    #[must_use]
    pub fn string(text: &str) -> Self {
        Self::from_value(Val::utf8_str(text.as_bytes().to_vec()))
    }

    /// An array of documents.
    #[must_use]
    pub fn array(items: impl IntoIterator<Item = Self>) -> Self {
        Self::from_value(items.into_iter().map(|item| item.value().clone()).collect())
    }

    /// An object of documents.
    pub fn from_entries<K: AsRef<str>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let entry = |(key, item): (K, Self)| (text(key.as_ref()), item.value().clone());
        Self::from_value(Val::obj(entries.into_iter().map(entry).collect()))
    }

    fn new(bytes: Option<Bytes>, value: Option<Val>) -> Self {
        let lock = |bytes| {
            let lock = OnceLock::new();
            if let Some(bytes) = bytes {
                lock.get_or_init(|| bytes);
            }
            lock
        };
        Self(Arc::new(Inner::Here {
            bytes: lock(bytes),
            value: value.map_or_else(OnceLock::new, OnceLock::from),
        }))
    }

    /// A document that is kept elsewhere. Without a keeper it is a name alone.
    #[must_use]
    pub fn kept(name: DataName, by: Option<Arc<dyn Keeper>>) -> Self {
        Self(Arc::new(Inner::Elsewhere(Elsewhere::kept(name, by))))
    }

    /// A document that is made when it is first looked at.
    pub fn lazy(make: impl Fn() -> Self + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner::Elsewhere(Elsewhere::made(make))))
    }

    /// Its name, when it is kept elsewhere.
    #[must_use]
    pub fn name(&self) -> Option<&DataName> {
        match &*self.0 {
            Inner::Here { .. } => None,
            Inner::Elsewhere(elsewhere) => elsewhere.name(),
        }
    }

    /// How many bytes its text has; nothing is fetched for it.
    #[must_use]
    pub fn size(&self) -> usize {
        self.name().map_or_else(
            || self.as_bytes().len(),
            |name| usize::try_from(name.len).unwrap_or(usize::MAX),
        )
    }

    /// Whether both are one document in memory.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether both have the same text; nothing is fetched when their names or sizes tell.
    #[must_use]
    pub fn has_text_of(&self, other: &Self) -> bool {
        if self.is_same(other) {
            return true;
        }
        match (self.name(), other.name()) {
            (Some(name), Some(other)) => name == other,
            _ if self.size() != other.size() => false,
            (Some(name), None) => *name == DataName::of(other.as_bytes()),
            (None, Some(name)) => *name == DataName::of(self.as_bytes()),
            (None, None) => self.as_bytes() == other.as_bytes(),
        }
    }

    /// Whether it can be looked at: it is here, or can be fetched.
    #[must_use]
    pub fn is_to_be_had(&self) -> bool {
        match &*self.0 {
            Inner::Here { .. } => true,
            Inner::Elsewhere(elsewhere) => elsewhere.look().is_some(),
        }
    }

    /// Takes a value that is known to be JSON.
    pub(crate) fn from_value(value: Val) -> Self {
        Self::new(None, Some(value))
    }

    /// Takes what an expression produced, if it is JSON within the limits.
    pub(crate) fn from_result(value: Val) -> Result<Self, DataError> {
        let Written { bytes, exact } = write(&value)?;
        Ok(Self::new(Some(bytes.into()), exact.then_some(value)))
    }

    /// The value that expressions work on.
    pub(crate) fn value(&self) -> &Val {
        match &*self.0 {
            Inner::Here { bytes, value } => value.get_or_init(|| {
                let bytes = bytes.get();
                bytes.map_or(Val::Null, |bytes| parse(bytes).unwrap_or_default())
            }),
            Inner::Elsewhere(elsewhere) => elsewhere.look().map_or(&NULL, Self::value),
        }
    }

    /// The JSON text.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        match &*self.0 {
            Inner::Here { bytes, value } => bytes.get_or_init(|| {
                let value = value.get();
                let written = value.and_then(|value| write(value).ok());
                written.map_or_else(|| NULL_TEXT.clone(), |text| text.bytes.into())
            }),
            Inner::Elsewhere(elsewhere) => elsewhere.look().map_or(&NULL_TEXT, Self::as_bytes),
        }
    }

    /// The document as a `serde_json` value.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        from_val(self.value())
    }

    /// The member of that name, when this is an object that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Self> {
        match self.value() {
            Val::Obj(map) => map.get(&text(key)).cloned().map(Self::from_value),
            _ => None,
        }
    }

    /// The items, when this is an array.
    #[must_use]
    pub fn items(&self) -> Option<Vec<Self>> {
        match self.value() {
            Val::Arr(items) => Some(items.iter().cloned().map(Self::from_value).collect()),
            _ => None,
        }
    }

    /// The members, when this is an object.
    #[must_use]
    pub fn entries(&self) -> Option<Vec<(String, Self)>> {
        let Val::Obj(map) = self.value() else {
            return None;
        };
        let entry = |(key, item): (&Val, &Val)| {
            (
                as_text(key).unwrap_or_default(),
                Self::from_value(item.clone()),
            )
        };
        Some(map.iter().map(entry).collect())
    }

    /// The text, when this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<String> {
        as_text(self.value())
    }

    /// The truth, when this is a boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.value() {
            Val::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The number, when this is one that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self.value() {
            Val::Num(number) => {
                let whole = number
                    .as_isize()
                    .and_then(|whole| i64::try_from(whole).ok());
                whole.or_else(|| from_val(self.value()).as_i64())
            }
            _ => None,
        }
    }

    /// The number, when this is one.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        jaq_std::ValT::as_f64(self.value())
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.value(), Val::Null)
    }

    /// Whether this is an array.
    #[must_use]
    pub fn is_array(&self) -> bool {
        matches!(self.value(), Val::Arr(_))
    }

    /// Whether this is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        matches!(self.value(), Val::Obj(_))
    }
}

pub(crate) fn text(text: &str) -> Val {
    Val::utf8_str(text.as_bytes().to_vec())
}

fn as_text(value: &Val) -> Option<String> {
    match value {
        Val::TStr(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    }
}

fn to_val(json: &serde_json::Value) -> Val {
    use serde_json::Value;
    match json {
        Value::Null => Val::Null,
        Value::Bool(truth) => Val::Bool(*truth),
        Value::Number(number) => read::number(&number.to_string()),
        Value::String(string) => text(string),
        Value::Array(items) => items.iter().map(to_val).collect(),
        Value::Object(members) => {
            let member = |(key, item): (&String, &Value)| (text(key), to_val(item));
            Val::obj(members.iter().map(member).collect())
        }
    }
}

fn from_val(value: &Val) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Val::Null => Value::Null,
        Val::Bool(truth) => Value::Bool(*truth),
        Val::Num(Num::Int(whole)) => Value::from(*whole),
        Val::Num(number) => number_text(number)
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
        Val::BStr(bytes) | Val::TStr(bytes) => {
            Value::String(String::from_utf8_lossy(bytes).into_owned())
        }
        Val::Arr(items) => Value::Array(items.iter().map(from_val).collect()),
        Val::Obj(members) => {
            let member = |(key, item)| Some((as_text(key)?, from_val(item)));
            Value::Object(members.iter().filter_map(member).collect())
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self::null()
    }
}

/// Equal when their values are. What cannot be had equals what has its name.
impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        if self.is_same(other) {
            return true;
        }
        if (self.name().is_some() || other.name().is_some())
            && (self.has_text_of(other) || !self.is_to_be_had() || !other.is_to_be_had())
        {
            return self.has_text_of(other);
        }
        self.value() == other.value()
    }
}

impl Eq for Data {}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            // What is told of in passing is not fetched for that.
            Some(name) => write!(f, "(kept as {name})"),
            None => f.write_str(&String::from_utf8_lossy(self.as_bytes())),
        }
    }
}

impl From<serde_json::Value> for Data {
    fn from(json: serde_json::Value) -> Self {
        Self::from_json(&json)
    }
}

#[cfg(test)]
mod tests;

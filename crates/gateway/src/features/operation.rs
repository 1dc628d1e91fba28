//! [pure] The operation of a service's OpenAPI document that a route leads to.

use http::Method;
use serde_json::{Map, Value};

use crate::path::{Pattern, Segment};

/// How far references are followed: a document may refer in circles.
const REFERENCES_MAX: usize = 32;

/// An operation and the document that it stands in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'d> {
    pub(crate) document: &'d Value,
    /// The path as the document writes it.
    pub(crate) path: &'d str,
    /// The path's item, with what all its operations share.
    pub(crate) item: &'d Map<String, Value>,
    pub(crate) operation: &'d Value,
}

/// The operation at a path that differs from `to` in the names of its parameters alone.
pub(crate) fn find<'d>(document: &'d Value, method: &Method, to: &str) -> Option<Found<'d>> {
    let (path, item) = same_shape(document, to)?;
    let operation = item.get(&method.as_str().to_lowercase())?;
    Some(Found {
        document,
        path,
        item,
        operation,
    })
}

/// The path of a document that differs from `to` in the names of parameters alone.
pub(crate) fn same_shape<'d>(
    document: &'d Value,
    to: &str,
) -> Option<(&'d str, &'d Map<String, Value>)> {
    let wanted = shape(to)?;
    let paths = document.get("paths")?.as_object()?;
    let mut fitting = paths
        .iter()
        .filter(|(path, _)| shape(path).as_ref() == Some(&wanted));
    let (path, item) = fitting.next()?;
    Some((path, item.as_object()?))
}

fn shape(path: &str) -> Option<Vec<Option<String>>> {
    let pattern = Pattern::parse(path).ok()?;
    let segments = pattern.segments().iter();
    let shape = segments.map(|segment| match segment {
        Segment::Literal(text) => Some(text.clone()),
        Segment::Parameter(_) | Segment::Tail(_) => None,
    });
    Some(shape.collect())
}

/// What a part says itself or, when it is a reference, what it refers to; nothing for one that leads
/// nowhere or in circles.
pub(crate) fn resolve<'d>(document: &'d Value, mut part: &'d Value) -> Option<&'d Value> {
    for _ in 0..REFERENCES_MAX {
        let Some(reference) = part.get("$ref").and_then(Value::as_str) else {
            return Some(part);
        };
        part = document.pointer(reference.strip_prefix('#')?)?;
    }
    None
}

//! [pure] The patterns as a tree of segments, searched from the most to the least specific.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::path::Segment;

/// Which entry takes which method; names, as `Method` has no order.
pub(super) type Methods = BTreeMap<String, usize>;

/// What may follow a part of a path.
///
/// The search goes back at most once per segment and kind, and a path has few segments
/// (`path::SEGMENTS_MAX`); a tail ends it. The depth of the recursion is that of the longest pattern.
#[derive(Debug, Default)]
pub(super) struct Node {
    literals: BTreeMap<String, Self>,
    parameter: Option<Box<Self>>,
    tail: Option<Methods>,
    end: Option<Methods>,
}

impl Node {
    /// The methods at the end of a pattern, made when new.
    pub(super) fn insert(&mut self, segments: &[Segment]) -> &mut Methods {
        match segments.split_first() {
            None => self.end.get_or_insert_with(Methods::new),
            Some((Segment::Literal(text), rest)) => {
                self.literals.entry(text.clone()).or_default().insert(rest)
            }
            Some((Segment::Parameter(_), rest)) => {
                self.parameter.get_or_insert_with(Box::default).insert(rest)
            }
            Some((Segment::Tail(_), _)) => self.tail.get_or_insert_with(Methods::new),
        }
    }

    /// The methods of the most specific pattern that fits.
    pub(super) fn find(&self, segments: &[Cow<'_, str>]) -> Option<&Methods> {
        let Some((first, rest)) = segments.split_first() else {
            return self.end.as_ref();
        };
        let literal = self.literals.get(first.as_ref());
        literal
            .and_then(|node| node.find(rest))
            .or_else(|| self.parameter.as_ref().and_then(|node| node.find(rest)))
            .or(self.tail.as_ref())
    }
}

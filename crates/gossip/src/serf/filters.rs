//! [pure] Filters of a query: which members are meant.

use bytes::Bytes;
use regex::RegexBuilder;
use tracing::warn;

use super::Tags;
use crate::swim::Name;
use crate::wire::serf::Filter;

/// Largest compiled expression, in bytes: what others send must not fill our memory.
const COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// Whether all `filters` mean the member of this name and these tags. One that cannot be read means nobody.
pub(super) fn mean(filters: &[Bytes], name: &Name, tags: &Tags) -> bool {
    filters.iter().all(|filter| match Filter::decode(filter) {
        Ok(Filter::Nodes(nodes)) => nodes.contains(name),
        Ok(Filter::Tag { tag, expression }) => {
            let value = tags.0.get(&tag).map_or("", String::as_str);
            matches(&expression, value)
        }
        Err(error) => {
            warn!("failed to decode filter: {error}");
            false
        }
    })
}

/// Go's syntax for expressions is that of the crate `regex`: both come from RE2.
fn matches(expression: &str, value: &str) -> bool {
    let compiled = RegexBuilder::new(expression)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build();
    match compiled {
        Ok(regex) => regex.is_match(value),
        Err(error) => {
            warn!("failed to compile filter regex ({expression}): {error}");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn check(filters: &[Filter], expected: bool) {
        let tags = [("role", "webserver"), ("dc", "east-1")];
        let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let tags = Tags(BTreeMap::from(tags));
        let encoded: Vec<Bytes> = filters.iter().map(Filter::to_bytes).collect();
        assert_eq!(
            mean(&encoded, &Name::from("a1"), &tags),
            expected,
            "{filters:?}"
        );
    }

    fn nodes(names: &[&str]) -> Filter {
        Filter::Nodes(names.iter().map(|name| Name::from(*name)).collect())
    }

    fn tag(tag: &str, expression: &str) -> Filter {
        Filter::Tag {
            tag: tag.to_owned(),
            expression: expression.to_owned(),
        }
    }

    #[test]
    fn no_filter_means_everybody() {
        check(&[], true);
    }

    #[test]
    fn names_are_compared_whole() {
        check(&[nodes(&["b", "a1"])], true);
        check(&[nodes(&["a", "a11"])], false);
        check(&[nodes(&[])], false);
    }

    #[test]
    fn an_expression_is_looked_for_anywhere_in_the_value() {
        check(&[tag("role", "web")], true);
        check(&[tag("role", "^server")], false);
        check(&[tag("role", "server$")], true);
        check(&[tag("dc", r"^(east|west)-\d$")], true);
    }

    #[test]
    fn a_missing_tag_is_empty() {
        check(&[tag("zone", "^$")], true);
        check(&[tag("zone", ".")], false);
    }

    #[test]
    fn all_filters_must_mean_us() {
        check(
            &[nodes(&["a1"]), tag("role", "web"), tag("dc", "east")],
            true,
        );
        check(
            &[nodes(&["a1"]), tag("role", "web"), tag("dc", "west")],
            false,
        );
    }

    #[test]
    fn what_cannot_be_read_means_nobody() {
        check(&[tag("role", "(")], false);
        check(&[tag("role", &"(a{1000}){1000}".repeat(3))], false);
        let unknown = [Bytes::from_static(b"\x02\x90"), Bytes::new()];
        for filter in unknown {
            assert!(!mean(&[filter], &Name::from("a1"), &Tags::default()));
        }
    }
}

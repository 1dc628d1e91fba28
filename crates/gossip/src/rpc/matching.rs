//! [pure] Which members match what somebody asked for.

use regex::{Regex, RegexBuilder};

use super::event::{Member, Tags};

/// How large an expression may grow when it is prepared: far beyond any that a person writes.
const EXPRESSION_BYTES_MAX: usize = 256 << 10;

/// Expressions for a member's tags, status and name; each must match the whole.
pub(super) struct Matcher {
    tags: Vec<(String, Regex)>,
    status: Option<Regex>,
    name: Option<Regex>,
}

impl Matcher {
    /// Prepares the expressions. An empty one for status or name takes any; one for a tag takes an empty or
    /// missing tag alone.
    pub(super) fn new(tags: &Tags, status: &str, name: &str) -> Result<Self, regex::Error> {
        let unless_empty = |text: &str| -> Result<_, _> {
            // Prepared all the same, as Serf does: an error must not wait for a text.
            let regex = whole(text)?;
            Ok((!text.is_empty()).then_some(regex))
        };
        let tag = |(key, text): (&String, &String)| Ok((key.clone(), whole(text)?));
        Ok(Self {
            tags: tags.iter().map(tag).collect::<Result<_, regex::Error>>()?,
            status: unless_empty(status)?,
            name: unless_empty(name)?,
        })
    }

    pub(super) fn takes(&self, member: &Member) -> bool {
        let tag = |key: &String| member.tags.get(key).map_or("", String::as_str);
        let is_match = |regex: &Option<Regex>, text: &str| {
            regex.as_ref().is_none_or(|regex| regex.is_match(text))
        };
        self.tags
            .iter()
            .all(|(key, regex)| regex.is_match(tag(key)))
            && is_match(&self.status, member.status.word())
            && is_match(&self.name, &member.name.text())
    }
}

/// As Serf puts it together: in `a|b` the beginning belongs to `a` and the end to `b`.
fn whole(text: &str) -> Result<Regex, regex::Error> {
    let mut regex = RegexBuilder::new(&format!("^{text}$"));
    regex.size_limit(EXPRESSION_BYTES_MAX);
    regex.dfa_size_limit(EXPRESSION_BYTES_MAX);
    regex.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::event::Status;

    fn check(tags: &[(&str, &str)], status: &str, name: &str, takes: bool) {
        let member = Member {
            name: "web1".into(),
            tags: [("role".to_owned(), "web".to_owned())].into(),
            status: Status::Alive,
            ..Member::default()
        };
        let pairs = tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let matcher = Matcher::new(&pairs.collect(), status, name).unwrap();
        assert_eq!(matcher.takes(&member), takes, "{tags:?} {status} {name}");
    }

    #[test]
    fn expressions_match_the_whole_of_tag_status_and_name() {
        check(&[], "", "", true);
        check(&[("role", "w.*")], "alive", "web.", true);
        check(&[("role", "w")], "", "", false);
        check(&[("role", "")], "", "", false);
        check(&[("dc", "")], "", "", true);
        check(&[("dc", ".+")], "", "", false);
        check(&[], "ali", "", false);
        check(&[], "failed", "", false);
        check(&[], "", "web", false);
        check(&[], "", "web|zzz", true);
    }

    #[test]
    fn what_is_no_expression_or_a_huge_one_is_refused() {
        let refused = |name: &str| Matcher::new(&Tags::new(), "", name).is_err();
        assert!(refused("["));
        assert!(refused("((a{1000}){1000}){1000}"));
        assert!(!refused("a"));
    }
}

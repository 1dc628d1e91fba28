//! [pure] Which script is run for which events: `SCRIPT`, `TYPE=SCRIPT`, `user:NAME,query:NAME=SCRIPT`.

use crate::rpc::Filter;

/// A script and one kind of event that it is run for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The events.
    pub filter: Filter,
    /// What the shell runs.
    pub script: String,
}

/// A handler names what is no kind of event; the text is Serf's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Event '{kind}' invoking '{script}'")]
pub struct InvalidSpec {
    kind: String,
    script: String,
}

impl Spec {
    /// Reads one setting, which may name several kinds of event.
    ///
    /// What stands before the first `=` is taken for kinds of event, so that a script that contains one needs
    /// `*=` in front of it.
    ///
    /// # Errors
    /// At the first kind of event that there is not.
    pub fn parse(text: &str) -> Result<Vec<Self>, InvalidSpec> {
        let (kinds, script) = text.split_once('=').unwrap_or(("", text));
        let filters = Filter::parse_list(kinds).map_err(|invalid| InvalidSpec {
            kind: invalid.kind,
            script: script.to_owned(),
        })?;
        let spec = |filter| Self {
            filter,
            script: script.to_owned(),
        };
        Ok(filters.into_iter().map(spec).collect())
    }

    /// Reads all settings, in their order.
    ///
    /// # Errors
    /// As [`Spec::parse`].
    pub fn parse_all<T: AsRef<str>>(texts: &[T]) -> Result<Vec<Self>, InvalidSpec> {
        let mut specs = Vec::new();
        for text in texts {
            specs.extend(Self::parse(text.as_ref())?);
        }
        Ok(specs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let specs = Spec::parse(text).unwrap();
        let found: Vec<_> = specs
            .iter()
            .map(|spec| (spec.filter.to_string(), spec.script.as_str()))
            .collect();
        let found: Vec<_> = found
            .iter()
            .map(|(kind, script)| (kind.as_str(), *script))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_setting_names_events_and_a_script() {
        check("event.sh", &[("*:", "event.sh")]);
        check("member-join=join.sh -x", &[("member-join:", "join.sh -x")]);
        check(
            "user:deploy,query:load=a=b",
            &[("user:deploy", "a=b"), ("query:load", "a=b")],
        );
        check("=x", &[("*:", "x")]);
    }

    #[test]
    fn a_kind_of_event_that_there_is_not_is_refused_in_serfs_words() {
        let error = Spec::parse("member-join,foo=x").unwrap_err().to_string();
        assert_eq!(error, "Event 'foo' invoking 'x'");
        // The trap of a script that contains an equals sign.
        let error = Spec::parse("FOO=1 run.sh").unwrap_err().to_string();
        assert_eq!(error, "Event 'FOO' invoking '1 run.sh'");
        assert!(Spec::parse_all(&["ok.sh", "bad=x"]).is_err());
    }
}

//! Flags as Go's programs take them: `-name`, `--name`, `-name=value`, `-name value`, up to the first argument that
//! is none, with Go's errors.

use std::collections::BTreeMap;
use std::time::Duration;

use taraf_gossip::config::duration;

use super::number;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text; of several the last counts.
    Text,
    /// Several texts.
    Texts,
    /// A truth, which needs no value and takes one only behind `=`.
    Switch,
    /// A whole number.
    Number,
    /// A length of time.
    Time,
}

/// A flag, and its line in the help.
#[derive(Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Behind the name in the help: `=foo`, ` key=value`.
    pub(super) value: &'static str,
    pub(super) help: &'static str,
}

/// Arguments are no flags that the command has; the words are Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FlagError {
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
    #[error("invalid boolean value {value:?} for -{flag}: parse error")]
    Switch { flag: String, value: String },
    #[error("invalid value {value:?} for flag -{flag}: {why}")]
    Value {
        flag: String,
        value: String,
        why: &'static str,
    },
}

/// The flags that were given, and the arguments behind them.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    given: BTreeMap<&'static str, Vec<String>>,
    /// All of them as they came.
    order: Vec<(&'static str, String)>,
    rest: Vec<String>,
}

impl Parsed {
    pub(super) fn new(flags: &[&'static [Flag]], arguments: &[String]) -> Result<Self, FlagError> {
        let mut parsed = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let dashed = argument.strip_prefix('-').filter(|rest| !rest.is_empty());
            let Some(text) = dashed else {
                parsed.rest.push(argument.clone());
                break;
            };
            if text == "-" {
                break;
            }
            let text = text.strip_prefix('-').unwrap_or(text);
            if text.starts_with(['-', '=']) {
                return Err(FlagError::Syntax(argument.clone()));
            }
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (text, None),
            };
            let mut all = flags.iter().copied().flatten();
            let flag = all.find(|flag| flag.name == name);
            let flag = flag.ok_or_else(|| FlagError::Unknown(name.to_owned()))?;
            let value = match (value, flag.kind) {
                (Some(value), _) => value,
                (None, Kind::Switch) => "true".to_owned(),
                (None, _) => {
                    let value = arguments.next();
                    value
                        .cloned()
                        .ok_or_else(|| FlagError::NoValue(name.to_owned()))?
                }
            };
            check(flag, &value)?;
            parsed.order.push((flag.name, value.clone()));
            parsed.given.entry(flag.name).or_default().push(value);
        }
        parsed.rest.extend(arguments.cloned());
        Ok(parsed)
    }

    /// The arguments behind the flags.
    pub(super) fn rest(&self) -> &[String] {
        &self.rest
    }

    /// The text of a flag; the last one given.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts(name).last().map(String::as_str)
    }

    /// The text of a flag that is not empty; an empty one is as good as none in Serf.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// All texts of a flag.
    pub(super) fn texts(&self, name: &str) -> &[String] {
        self.given.get(name).map_or(&[], Vec::as_slice)
    }

    /// All texts of several flags, in the order in which they were given.
    pub(super) fn in_order(&self, names: &[&str]) -> Vec<String> {
        let given = self.order.iter().filter(|(name, _)| names.contains(name));
        given.map(|(_, value)| value.clone()).collect()
    }

    /// The truth of a switch.
    pub(super) fn switch(&self, name: &str, otherwise: bool) -> bool {
        self.text(name).and_then(truth).unwrap_or(otherwise)
    }

    /// The number of a flag.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.text(name).and_then(|text| number::parse(text).ok())
    }

    /// The time of a flag.
    pub(super) fn time(&self, name: &str) -> Option<Duration> {
        self.text(name).and_then(|text| duration::parse(text).ok())
    }
}

fn check(flag: &Flag, value: &str) -> Result<(), FlagError> {
    let invalid = |why| FlagError::Value {
        flag: flag.name.to_owned(),
        value: value.to_owned(),
        why,
    };
    match flag.kind {
        Kind::Text | Kind::Texts => Ok(()),
        Kind::Switch => match truth(value) {
            Some(_) => Ok(()),
            None => Err(FlagError::Switch {
                flag: flag.name.to_owned(),
                value: value.to_owned(),
            }),
        },
        Kind::Number => number::parse(value).map(drop).map_err(|error| match error {
            number::Error::Syntax => invalid("parse error"),
            number::Error::Range => invalid("value out of range"),
        }),
        Kind::Time => duration::parse(value)
            .map(drop)
            .map_err(|_no_duration| invalid("parse error")),
    }
}

/// What Go takes for a truth.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn flag(name: &'static str, kind: Kind) -> Flag {
        Flag {
            name,
            kind,
            value: "",
            help: "",
        }
    }

    const FLAGS: &[Flag] = &[
        flag("name", Kind::Text),
        flag("tag", Kind::Texts),
        flag("list", Kind::Switch),
        flag("n", Kind::Number),
        flag("wait", Kind::Time),
    ];

    fn parse(line: &str) -> Result<Parsed, FlagError> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Parsed::new(&[FLAGS], &arguments)
    }

    #[test]
    fn one_dash_or_two_and_the_value_behind_a_sign_or_a_space() {
        for line in [
            "-name=x a -b",
            "--name=x a -b",
            "-name x a -b",
            "--name y -name x -- a -b",
        ] {
            let parsed = parse(line).unwrap();
            assert_eq!(parsed.text("name"), Some("x"), "{line}");
            assert_eq!(parsed.rest(), ["a", "-b"], "{line}");
        }
        let parsed = parse("-tag a=1 -tag=b=2 -n 0x10 -wait=1.5s -").unwrap();
        assert_eq!(parsed.texts("tag"), ["a=1", "b=2"]);
        assert_eq!(parsed.number("n"), Some(16));
        assert_eq!(parsed.time("wait"), Some(Duration::from_millis(1500)));
        assert_eq!(parsed.rest(), ["-"]);
    }

    #[test]
    fn a_switch_takes_a_value_only_behind_a_sign() {
        let parsed = parse("-list false").unwrap();
        assert!(parsed.switch("list", false));
        assert_eq!(parsed.rest(), ["false"]);
        assert!(!parse("-list=F").unwrap().switch("list", true));
        assert!(parse("").unwrap().switch("list", true));
    }

    #[test]
    fn what_is_no_flag_is_refused_in_gos_words() {
        let check = |line: &str, expected: &str| {
            assert_eq!(parse(line).unwrap_err().to_string(), expected);
        };
        check("-bogus", "flag provided but not defined: -bogus");
        check("-name", "flag needs an argument: -name");
        check("-=x", "bad flag syntax: -=x");
        check("---x", "bad flag syntax: ---x");
        check(
            "-list=maybe",
            "invalid boolean value \"maybe\" for -list: parse error",
        );
        check("-wait=1", "invalid value \"1\" for flag -wait: parse error");
        check("-n=x", "invalid value \"x\" for flag -n: parse error");
        check(
            "-n=99999999999999999999",
            "invalid value \"99999999999999999999\" for flag -n: value out of range",
        );
    }
}

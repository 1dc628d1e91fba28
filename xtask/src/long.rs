//! Long checks: tests of which the suite runs a short form, run optimised for as long as wanted.

use anyhow::{Result, bail};

use crate::report::{self, Measurement, PROFILE};

const DOCUMENT: &str = "docs/reference/reliability.md";

/// An option such as `--rounds 1000` reaches the test as the variable `TARAF_LONG_ROUNDS`.
pub(crate) const PREFIX: &str = "TARAF_LONG_";

/// One check.
struct Long {
    name: &'static str,
    /// What it shows when it passes.
    shows: &'static str,
    /// The package and the target of its test, as cargo's arguments.
    target: &'static [&'static str],
    /// The test's whole path within its target.
    test: &'static str,
    minutes_max: u32,
}

const CHECKS: &[Long] = &[
    Long {
        name: "kill",
        shows: "whatever the moment of a kill -9, nothing acknowledged is lost or there twice",
        target: &["--package", "taraf", "--test", "it"],
        test: "kill::nothing_acknowledged_is_lost_or_done_twice_however_often_the_program_is_killed",
        minutes_max: 90,
    },
    Long {
        name: "onrc",
        shows: "the trade register at full size: imported in bounded memory, resumed after kill -9, searched",
        target: &["--package", "taraf-romania", "--test", "it"],
        test: "register::a_killed_import_goes_on_and_a_search_is_answered_at_once",
        minutes_max: 30,
    },
];

/// Runs one check, or lists them. `--print` leaves the document as it is.
///
/// # Errors
/// When there is no check of that name, an option has no value, or the check fails.
pub(crate) fn run_named(words: &[&str]) -> Result<()> {
    let Some((wanted, rest)) = words.split_first() else {
        for check in CHECKS {
            let Long {
                name,
                shows,
                minutes_max,
                ..
            } = check;
            println!("{name:<10} {shows} (at most {minutes_max} minutes)");
        }
        return Ok(());
    };
    let Some(check) = CHECKS.iter().find(|check| check.name == *wanted) else {
        bail!("no long check named `{wanted}`; `cargo xtask long` lists them");
    };
    let (print, rest): (Vec<&str>, Vec<&str>) = rest.iter().partition(|word| **word == "--print");
    let mut cargo = vec!["test", "--profile", PROFILE];
    cargo.extend(check.target);
    report::take(&Measurement {
        command: &format!("long {}", check.name),
        cargo: &cargo,
        words: &[check.test, "--exact", "--nocapture"],
        variables: &variables(&rest)?,
        minutes_max: check.minutes_max,
        document: DOCUMENT,
        given: &format!("long {}", words.join(" ")),
        print_only: !print.is_empty(),
    })
}

/// `--rounds 1000` as a variable and its value.
fn variables(words: &[&str]) -> Result<Vec<(String, String)>> {
    let pairs = words.chunks(2).map(|pair| match pair {
        [option, value] if option.starts_with("--") => {
            let name = option.trim_start_matches("--").to_ascii_uppercase();
            Ok((
                format!("{PREFIX}{}", name.replace('-', "_")),
                (*value).to_owned(),
            ))
        }
        _ => bail!(
            "options are pairs such as `--rounds 1000`; this is not one: `{}`",
            pair.join(" ")
        ),
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_variables_and_a_lone_one_is_refused() {
        let found = variables(&["--rounds", "1000", "--first-seed", "7"]).unwrap();
        let expected = [
            ("TARAF_LONG_ROUNDS", "1000"),
            ("TARAF_LONG_FIRST_SEED", "7"),
        ];
        assert_eq!(
            found,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        let error = variables(&["--rounds"]).unwrap_err().to_string();
        assert!(error.contains("`--rounds`"), "{error}");
    }
}

//! `taraf explain CODE`: what a finding or a problem means, and what to do.

use serde_json::{Value, json};

use super::failure::{Exit, Failure};
use super::output::Output;
use super::table::{Column, lookup};

const COLUMNS: [Column; 3] = [
    Column::text("code", "code"),
    Column::number("status", "status"),
    Column::text("title", "title"),
];

/// The applications with codes of their own.
const APPLICATIONS: &[(&str, &[taraf_service::problem::Kind])] =
    &[("Romania", taraf_romania::problems::TABLE)];

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf explain T0312
  taraf explain quota_exceeded")]
pub(crate) struct Args {
    /// A code as a finding or a problem shows it; without one, all codes.
    code: Option<String>,
}

pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let all = all();
    let Some(code) = &args.code else {
        output.list(&all, &COLUMNS)?;
        return Ok(Exit::Done);
    };
    let named = |entry: &&Value| {
        let known = lookup(entry, "code").as_str().unwrap_or("");
        known.eq_ignore_ascii_case(code)
    };
    let Some(entry) = all.iter().find(named) else {
        return Err(
            Failure::not_found(format!("no finding or problem has the code `{code}`"))
                .with_help("`taraf explain` shows all codes"),
        );
    };
    if output.is_structured() {
        output.one(entry, &COLUMNS)?;
    } else {
        output.text(&page(entry))?;
    }
    Ok(Exit::Done)
}

/// Every code that the program shows: findings of the checker, then problems of the API.
fn all() -> Vec<Value> {
    let findings = taraf_flow::CODES
        .iter()
        .map(|(code, title, meaning)| json!({ "code": code, "title": title, "meaning": meaning }));
    let applications = APPLICATIONS.iter().flat_map(|(_, kinds)| *kinds);
    let problems = taraf_service::problem::TABLE.iter().chain(applications);
    let problems = problems.map(|kind| {
        json!({
            "code": kind.code, "status": kind.status, "title": kind.title,
            "meaning": kind.meaning, "help": kind.help,
        })
    });
    findings.chain(problems).collect()
}

fn page(entry: &Value) -> String {
    let part = |name: &str| lookup(entry, name).as_str().unwrap_or("").to_owned();
    let status = lookup(entry, "status")
        .as_u64()
        .map(|status| format!(" (HTTP {status})"))
        .unwrap_or_default();
    let mut text = format!("{}: {}{status}\n", part("code"), part("title"));
    for paragraph in [part("meaning"), part("help")] {
        let is_new = !paragraph.is_empty() && paragraph.trim_end_matches('.') != part("title");
        if is_new {
            text.extend(["\n", &paragraph, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_has_two_meanings() {
        let all = all();
        let mut codes: Vec<_> = all
            .iter()
            .map(|entry| lookup(entry, "code").to_string())
            .collect();
        codes.sort_unstable();
        let count = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }

    #[test]
    fn golden_reference_of_the_codes_is_up_to_date() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/reference/errors.md"
        );
        let reference = taraf_service::problem::reference(APPLICATIONS);
        if std::env::var_os("TARAF_GOLDEN_UPDATE").is_some() {
            std::fs::write(path, &reference).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        assert_eq!(written, reference, "TARAF_GOLDEN_UPDATE=1 writes it anew");
    }
}

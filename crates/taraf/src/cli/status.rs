//! `taraf status`: the server on one screen.

use serde_json::{Value, json};

use super::failure::{Exit, Failure};
use super::operator::{Call, Operator, ServerArgs};
use super::output::Output;
use super::table::{self, lookup};

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf status
  taraf status --operator http://node2:7401 --format json")]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args, output: &Output) -> Result<Exit, Failure> {
    let operator = Operator::find(&args.server)?;
    let status = operator.json(Call::get("/v1/status")).await?;
    if output.is_structured() {
        output.one(&status, &[])?;
    } else {
        output.text(&screen(&status, &output.style))?;
    }
    Ok(Exit::Done)
}

/// Members of one line first, then each group under its name.
fn screen(status: &Value, style: &table::Style) -> String {
    let no_members = serde_json::Map::new();
    let members = status.as_object().unwrap_or(&no_members);
    let mut facts = json!({});
    let mut groups = String::new();
    for (name, member) in members {
        match member {
            Value::Object(group) if !group.is_empty() => {
                groups.push_str(&format_group(name, group, style));
            }
            Value::Object(_) => {}
            fact => facts[name.as_str()] = fact.clone(),
        }
    }
    let mut text = lines(&facts, "", style);
    text.push_str(&groups);
    text
}

fn format_group(
    name: &str,
    group: &serde_json::Map<String, Value>,
    style: &table::Style,
) -> String {
    if style.width.is_none() {
        return lines(&Value::Object(group.clone()), &format!("{name}."), style);
    }
    let lines = lines(&Value::Object(group.clone()), "  ", style);
    format!("\n{name}\n{lines}")
}

fn lines(facts: &Value, prefix: &str, style: &table::Style) -> String {
    let no_members = serde_json::Map::new();
    let facts = facts.as_object().unwrap_or(&no_members);
    let wide = facts
        .keys()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (name, fact) in facts {
        let shown = match (name.as_str(), fact) {
            ("uptime_ms", fact) => fact.as_u64().map_or_else(
                || fact.to_string(),
                |ms| taraf_base::duration::format(std::time::Duration::from_millis(ms)),
            ),
            (_, Value::String(word)) => table::state(word, style),
            (_, Value::Object(_)) => endpoint_summary(fact),
            (_, other) => other.to_string(),
        };
        let label = name.strip_suffix("_ms").unwrap_or(name);
        let line = match style.width {
            Some(_) => format!("{prefix}{label:wide$}  {shown}\n"),
            None => format!("{prefix}{label}\t{shown}\n"),
        };
        text.push_str(&line);
    }
    text
}

fn endpoint_summary(fact: &Value) -> String {
    match (
        lookup(fact, "up").as_u64(),
        lookup(fact, "endpoints").as_u64(),
    ) {
        (Some(up), Some(all)) => format!("{up} of {all} endpoints up"),
        _ => fact.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: table::Style = table::Style {
        width: None,
        is_colored: false,
        has_marks: false,
    };

    #[test]
    fn facts_come_first_and_groups_keep_their_name() {
        let status = json!({
            "version": "0.1.0", "uptime_ms": 61_000, "runs": {"running": 2, "faulted": 0},
            "services": {"companies": {"up": 1, "endpoints": 2}}, "gone": {},
        });
        assert_eq!(
            screen(&status, &PIPE),
            "version\t0.1.0\nuptime\t1m1s\nruns.running\t2\nruns.faulted\t0\n\
             services.companies\t1 of 2 endpoints up\n"
        );
        let terminal = table::Style {
            width: Some(80),
            ..PIPE
        };
        assert_eq!(
            screen(
                &json!({"version": "0.1.0", "runs": {"running": 2}}),
                &terminal
            ),
            "version  0.1.0\n\nruns\n  running  2\n"
        );
    }
}

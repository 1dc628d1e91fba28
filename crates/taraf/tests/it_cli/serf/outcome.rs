//! What a call did, and how two are compared.

use std::process::Output;

/// The exit code and what was printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    /// The same, with lines and the tags in them in an order, since Serf has none; and without what stands at the
    /// end of lines, which depends on which line is the last.
    pub(crate) fn sorted(self) -> Self {
        let sort = |text: &str| {
            let line = |line: &str| {
                let field = |field: &str| {
                    let mut parts: Vec<&str> = field.split(',').collect();
                    parts.sort_unstable();
                    parts.join(",")
                };
                let fields: Vec<String> = line.trim_end().split("  ").map(field).collect();
                fields.join("  ")
            };
            let mut lines: Vec<String> = text.lines().map(line).collect();
            lines.sort_unstable();
            lines.join("\n")
        };
        Self {
            out: sort(&self.out),
            err: sort(&self.err),
            ..self
        }
    }

    /// The same, with the words of help replaced by what programs rely on: the usage line and the names of flags.
    pub(crate) fn without_words(self) -> Self {
        Self {
            out: skeleton(&self.out),
            err: skeleton(&self.err),
            ..self
        }
    }
}

/// Of a text that has help in it: what stands before the usage line, that line, and the flags, in an order.
fn skeleton(text: &str) -> String {
    let Some(at) = text.find("Usage: ") else {
        return text.to_owned();
    };
    let (before, help) = text.split_at(at);
    let usage = help.lines().next().unwrap_or_default();
    let flag = |line: &str| {
        let rest = line.strip_prefix("  -")?;
        let name: String = rest
            .chars()
            .take_while(|character| character.is_ascii_alphanumeric() || *character == '-')
            .collect();
        Some(name)
    };
    let command = |line: &str| {
        let rest = line
            .strip_prefix("    ")
            .filter(|rest| !rest.starts_with(' '))?;
        rest.split_once("   ")
            .map(|(name, _)| name.trim().to_owned())
    };
    let is_list = help.contains("Available commands are:");
    let mut names: Vec<String> = help
        .lines()
        .filter_map(|line| if is_list { command(line) } else { flag(line) })
        .collect();
    names.sort_unstable();
    format!("{before}{usage}\n{}", names.join("\n"))
}

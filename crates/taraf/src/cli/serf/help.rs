//! What `-h` shows of a command, and the list of all commands.

use super::command::Spec;
use super::flags::Flag;

/// The width of the column of flags, with the two spaces in front.
const FLAGS_WIDTH: usize = 28;

/// Commands and flags that Serf does not have: not shown by a program of that name.
const OURS: [(&str, &str); 2] = [("members", "watch"), ("query", "wait")];

/// The width of a terminal that has no other.
const WIDTH: usize = 80;

/// The help of a command, without a line end behind it.
pub(super) fn of(spec: &Spec, program: &str) -> String {
    let mut text = format!("Usage: {program} {} {}", spec.name, spec.usage);
    text.truncate(text.trim_end().len());
    for line in spec.about.lines() {
        text.push_str(if line.is_empty() { "\n" } else { "\n  " });
        text.push_str(line);
    }
    let is_shown = |flag: &&Flag| program != "serf" || !OURS.contains(&(spec.name, flag.name));
    let flags = spec.flags.iter().copied().flatten().filter(is_shown);
    let flags: Vec<_> = flags.collect();
    if !flags.is_empty() {
        text.push_str("\n\nOptions:\n");
    }
    for flag in flags {
        text.push_str(&entry(flag));
    }
    text
}

/// A flag and its words beside it, in lines that begin with their end.
fn entry(flag: &Flag) -> String {
    let name = format!("  -{}{}", flag.name, flag.value);
    let mut lines = wrap(flag.help, WIDTH - FLAGS_WIDTH).into_iter();
    // A flag that is longer than its column has its words on the next line.
    let first = if name.len() + 1 < FLAGS_WIDTH {
        format!("\n{name:<FLAGS_WIDTH$}{}", lines.next().unwrap_or_default())
    } else {
        format!("\n{name}")
    };
    let rest = lines.map(|line| format!("\n{:FLAGS_WIDTH$}{line}", ""));
    std::iter::once(first).chain(rest).collect()
}

/// What `serf` shows when it is not told what to do.
pub(super) fn of_all<'a>(program: &str, specs: impl Iterator<Item = &'a Spec> + Clone) -> String {
    let mut specs: Vec<&Spec> = specs.collect();
    specs.sort_unstable_by_key(|spec| spec.name);
    let width = specs.iter().map(|spec| spec.name.len()).max().unwrap_or(0);
    let line = |spec: &&Spec| format!("    {:<width$}    {}\n", spec.name, spec.synopsis);
    let lines: String = specs.iter().map(line).collect();
    format!(
        "Usage: {program} [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n{lines}"
    )
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

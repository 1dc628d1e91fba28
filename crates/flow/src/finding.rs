//! [pure] What a check has to say about a definition: code, place, sentence, help.

use std::fmt;
use std::sync::Arc;

use crate::document::Definition;
use crate::yaml::lines_of;

pub use crate::check::CODES;

/// Whether a definition can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It cannot be used.
    Error,
    /// It can, but is probably not what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A stable code: `T0312`.
    pub code: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
    /// How many characters it covers in its line, at least 1.
    pub length: u32,
    /// JSON Pointer into the document.
    pub pointer: String,
    /// One sentence.
    pub message: String,
    /// What would help.
    pub help: Option<String>,
}

impl Finding {
    /// One line: `FILE:LINE:COL: error[CODE]: message`.
    #[must_use]
    pub fn line(&self, file: &str) -> String {
        let Self {
            code,
            severity,
            line,
            column,
            message,
            ..
        } = self;
        format!("{file}:{line}:{column}: {severity}[{code}]: {message}")
    }

    /// Several lines, with the place in the source.
    #[must_use]
    pub fn long(&self, file: &str, source: &str) -> String {
        let Self {
            code,
            severity,
            line,
            column,
            message,
            ..
        } = self;
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let text = lines_of(source).nth(index).unwrap_or_default();
        let before = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
        let width = usize::try_from(self.length.max(1)).unwrap_or(1);
        let rest = text.chars().count().saturating_sub(before).max(1);
        let blank = " ".repeat(line.to_string().len());
        let indent: String = text
            .chars()
            .take(before)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let marks = "^".repeat(width.min(rest));
        let mut long = format!(
            "{severity}[{code}]: {message}\n{blank}--> {file}:{line}:{column}\n{blank} |\n{line} | {text}\n{blank} | {indent}{marks}\n"
        );
        if let Some(help) = &self.help {
            long = format!("{long}  help: {help}\n");
        }
        format!("{long}  more: taraf explain {code}")
    }
}

/// What a check gives.
#[derive(Debug)]
pub struct Report {
    /// The definition, unless there are errors.
    pub definition: Option<Arc<Definition>>,
    /// All that was found, in the order of the text.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The errors among the findings.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        let findings = self.findings.iter();
        findings.filter(|finding| finding.severity == Severity::Error)
    }

    /// The warnings among the findings.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        let findings = self.findings.iter();
        findings.filter(|finding| finding.severity == Severity::Warning)
    }
}

/// The known name that is nearest to a misspelt one, if any is near.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match name.chars().count() {
        0..=2 => 1,
        3..=6 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .filter(|other| *other != name)
        .map(|other| (distance(name, other), other))
        .filter(|(distance, other)| *distance <= limit && *distance < other.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// How many letters must be changed, swapped with their neighbour, added or removed, whatever their case.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let letters = |text: &str| -> Vec<char> {
        let letters = text.chars().take(LONGEST);
        letters.flat_map(char::to_lowercase).collect()
    };
    let (a, b) = (letters(a), letters(b));
    let mut rows: [Vec<usize>; 3] = [Vec::new(), Vec::new(), (0..=b.len()).collect()];
    for (i, x) in a.iter().enumerate() {
        rows.rotate_left(1);
        let [older, old, new] = &mut rows;
        new.clear();
        new.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut least = (old[j] + usize::from(x != y))
                .min(old[j + 1] + 1)
                .min(new[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *y && *x == b[j - 1] {
                least = least.min(older[j - 1] + 1);
            }
            new.push(least);
        }
    }
    rows[2][b.len()]
}

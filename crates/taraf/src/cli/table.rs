//! [pure] Lists as tables: aligned and cut to the width of a terminal, tab-separated elsewhere.

use std::fmt::Write as _;

use serde_json::Value;

const GAP: &str = "  ";

/// How the reader sees: a terminal has a width, a pipe has none.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    pub(crate) width: Option<usize>,
    pub(crate) is_colored: bool,
    /// Marks such as ✓ before states: only where the locale is UTF-8 and a person reads.
    pub(crate) has_marks: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// To the right, as numbers are.
    Number,
    /// A word of the state of a run or a service: with its mark and colour.
    State,
}

/// One column: its title, and where its value lies in an item (`a.b` is member `b` of `a`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) value: Source,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    Path(&'static str),
    Of(fn(&Value) -> String),
}

impl Column {
    pub(crate) const fn text(title: &'static str, path: &'static str) -> Self {
        Self {
            title,
            value: Source::Path(path),
            kind: Kind::Text,
        }
    }

    pub(crate) const fn number(title: &'static str, path: &'static str) -> Self {
        Self {
            title,
            value: Source::Path(path),
            kind: Kind::Number,
        }
    }

    pub(crate) const fn state(title: &'static str, path: &'static str) -> Self {
        Self {
            title,
            value: Source::Path(path),
            kind: Kind::State,
        }
    }

    pub(crate) const fn of(title: &'static str, value: fn(&Value) -> String) -> Self {
        Self {
            title,
            value: Source::Of(value),
            kind: Kind::Text,
        }
    }

    pub(crate) const fn state_of(title: &'static str, value: fn(&Value) -> String) -> Self {
        Self {
            title,
            value: Source::Of(value),
            kind: Kind::State,
        }
    }

    fn cell(&self, item: &Value) -> String {
        match self.value {
            Source::Path(path) => plain(lookup(item, path)),
            Source::Of(value) => value(item),
        }
    }
}

/// The member at a dotted path, null when there is none.
pub(crate) fn lookup<'a>(item: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .try_fold(item, |value, name| value.get(name))
        .unwrap_or(&Value::Null)
}

/// A value as a cell: text bare, nothing for null, all else as JSON; control characters and line
/// ends become spaces, as a cell is one line.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let words: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            words.join(",")
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The mark and the colour of a state's word.
fn mark(word: &str) -> (&'static str, &'static str) {
    const GREY: &str = "90";
    const BLUE: &str = "34";
    const AMBER: &str = "33";
    const GREEN: &str = "32";
    const RED: &str = "31";
    match word {
        "pending" => ("○", GREY),
        "running" => ("↻", BLUE),
        "waiting" => ("◔", AMBER),
        "suspended" => ("❚❚", AMBER),
        "completed" | "alive" | "closed" | "active" | "ok" | "up" | "passed" => ("✓", GREEN),
        "faulted" | "failed" | "open" | "ejected" | "revoked" | "down" => ("✕", RED),
        "suspect" | "half-open" | "rotating" => ("!", AMBER),
        "cancelled" => ("⊘", GREY),
        _ => ("", ""),
    }
}

/// A state's word as a person sees it.
pub(crate) fn state(word: &str, style: &Style) -> String {
    let (mark, color) = mark(word);
    let text = if style.has_marks && !mark.is_empty() {
        format!("{mark} {word}")
    } else {
        word.to_owned()
    };
    if style.is_colored && !color.is_empty() {
        format!("\x1b[{color}m{text}\x1b[0m")
    } else {
        text
    }
}

/// A list: a header and a row an item.
pub(crate) fn rows(items: &[Value], columns: &[Column], style: &Style) -> String {
    let cells: Vec<Vec<String>> = items
        .iter()
        .map(|item| columns.iter().map(|column| column.cell(item)).collect())
        .collect();
    let Some(width) = style.width else {
        return tab_separated(&cells, columns);
    };
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| {
            let cells = cells
                .iter()
                .map(|row| shown_width(&row[at], columns[at].kind, style));
            cells
                .chain([columns[at].title.chars().count()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let kept = fitting(&widths, width);
    let mut text = String::new();
    let titles: Vec<String> = columns
        .iter()
        .map(|column| column.title.to_uppercase())
        .collect();
    push_row(&mut text, &titles, columns, &widths[..kept], None);
    for row in &cells {
        push_row(
            &mut text,
            row,
            columns,
            &widths[..kept],
            Some((style, width)),
        );
    }
    text
}

fn tab_separated(cells: &[Vec<String>], columns: &[Column]) -> String {
    let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
    let mut text = titles.join("\t");
    text.push('\n');
    for row in cells {
        text.push_str(&row.join("\t"));
        text.push('\n');
    }
    text
}

/// How many columns fit from the left; the first always does.
fn fitting(widths: &[usize], width: usize) -> usize {
    let mut used = 0;
    let fits = widths.iter().take_while(|column| {
        used += **column + GAP.len();
        used <= width + GAP.len()
    });
    // A last column of free text is worth showing cut; one that leaves no room is not.
    fits.count().max(1)
}

fn push_row(
    text: &mut String,
    row: &[String],
    columns: &[Column],
    widths: &[usize],
    cells_in: Option<(&Style, usize)>,
) {
    let mut line = String::new();
    for (at, wide) in widths.iter().enumerate() {
        if at > 0 {
            line.push_str(GAP);
        }
        let kind = columns[at].kind;
        let shown = match cells_in {
            Some((style, _)) if kind == Kind::State => state(&row[at], style),
            Some((_, width)) => cut(&row[at], width),
            None => row[at].clone(),
        };
        let used = match cells_in {
            Some((style, _)) => shown_width(&row[at], kind, style),
            None => row[at].chars().count(),
        };
        let padding = " ".repeat(wide.saturating_sub(used));
        if kind == Kind::Number {
            line.push_str(&padding);
            line.push_str(&shown);
        } else {
            line.push_str(&shown);
            line.push_str(&padding);
        }
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn shown_width(cell: &str, kind: Kind, style: &Style) -> usize {
    let marked = kind == Kind::State && style.has_marks;
    let extra = if marked {
        match mark(cell).0 {
            "" => 0,
            mark => mark.chars().count() + 1,
        }
    } else {
        0
    };
    cell.chars().count() + extra
}

fn cut(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    let mut short: String = cell.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// One object: `title  value`, a line each, members without a value left out.
pub(crate) fn fields(item: &Value, columns: &[Column], style: &Style) -> String {
    let wide = columns
        .iter()
        .map(|column| column.title.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for column in columns {
        let cell = column.cell(item);
        if cell.is_empty() {
            continue;
        }
        let shown = if column.kind == Kind::State {
            state(&cell, style)
        } else {
            cell
        };
        let title = column.title;
        let written = match style.width {
            Some(_) => writeln!(text, "{title:wide$}{GAP}{shown}"),
            None => writeln!(text, "{title}\t{shown}"),
        };
        written.expect("a string takes all that is written");
    }
    text
}

/// RFC 4180, header first.
pub(crate) fn csv(items: &[Value], columns: &[Column]) -> String {
    let quoted = |cell: &str| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.to_owned()
        }
    };
    let titles: Vec<String> = columns.iter().map(|column| quoted(column.title)).collect();
    let mut text = titles.join(",");
    text.push_str("\r\n");
    for item in items {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| quoted(&column.cell(item)))
            .collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::text("id", "id"),
        Column::state("status", "status"),
        Column::text("flow", "flow.name"),
    ];

    fn items() -> Vec<Value> {
        vec![
            json!({"id": "run_1", "status": "completed", "flow": {"name": "profile"}}),
            json!({"id": "run_22", "status": "strange", "flow": null}),
        ]
    }

    fn terminal(width: usize) -> Style {
        Style {
            width: Some(width),
            is_colored: false,
            has_marks: true,
        }
    }

    const PIPE: Style = Style {
        width: None,
        is_colored: false,
        has_marks: false,
    };

    #[test]
    fn a_terminal_gets_aligned_columns_with_marks() {
        let text = rows(&items(), &COLUMNS, &terminal(80));
        assert_eq!(
            text,
            "ID      STATUS       FLOW\nrun_1   ✓ completed  profile\nrun_22  strange\n"
        );
    }

    #[test]
    fn columns_that_do_not_fit_are_dropped_from_the_right() {
        let text = rows(&items(), &COLUMNS, &terminal(20));
        assert_eq!(
            text,
            "ID      STATUS\nrun_1   ✓ completed\nrun_22  strange\n"
        );
        let text = rows(&items(), &COLUMNS, &terminal(3));
        assert_eq!(text, "ID\nru…\nru…\n");
    }

    #[test]
    fn a_pipe_gets_all_columns_with_tabs() {
        let text = rows(&items(), &COLUMNS, &PIPE);
        assert_eq!(
            text,
            "id\tstatus\tflow\nrun_1\tcompleted\tprofile\nrun_22\tstrange\t\n"
        );
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let items = [json!({"id": "a,\"b\"", "status": 1})];
        assert_eq!(
            csv(&items, &COLUMNS),
            "id,status,flow\r\n\"a,\"\"b\"\"\",1,\r\n"
        );
    }

    #[test]
    fn a_cell_is_one_line_without_control_characters() {
        assert_eq!(plain(&json!("a\tb\nc\u{1b}[31m")), "a b c [31m");
        assert_eq!(plain(&json!(["a", "b"])), "a,b");
        assert_eq!(plain(&json!({"a": 1})), "{\"a\":1}");
    }

    #[test]
    fn colour_is_put_around_the_word_only() {
        let style = Style {
            width: Some(80),
            is_colored: true,
            has_marks: false,
        };
        assert_eq!(state("faulted", &style), "\x1b[31mfaulted\x1b[0m");
        assert_eq!(state("strange", &style), "strange");
    }
}

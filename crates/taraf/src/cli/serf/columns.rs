//! Columns as Serf prints them: fields separated by `|`, trimmed, two spaces apart, the last one as long as it is.

/// Lays out lines of fields. What stands around the whole is cut.
pub(super) fn columns(lines: &[String]) -> String {
    let rows: Vec<Vec<&str>> = lines
        .iter()
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let mut widths = Vec::new();
    for row in &rows {
        for (index, field) in row.iter().enumerate() {
            let width = field.chars().count();
            match widths.get_mut(index) {
                Some(known) => *known = width.max(*known),
                None => widths.push(width),
            }
        }
    }
    let lay = |row: &Vec<&str>| {
        let last = row.len() - 1;
        let fields = row.iter().zip(&widths).enumerate();
        let padded = fields.map(|(index, (field, width))| {
            if index == last {
                (*field).to_owned()
            } else {
                format!("{field:<width$}  ")
            }
        });
        padded.collect::<String>()
    };
    let text: Vec<String> = rows.iter().map(lay).collect();
    text.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Serf printed it.
    #[test]
    fn fields_stand_under_one_another_and_only_the_last_line_loses_its_end() {
        let check = |lines: &[&str], expected: &str| {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            assert_eq!(columns(&lines), expected);
        };
        check(
            &[
                "a2|127.0.0.3:7946|alive|",
                "a1|127.0.0.2:7946|alive|x=1,role=web",
            ],
            "a2  127.0.0.3:7946  alive  \na1  127.0.0.2:7946  alive  x=1,role=web",
        );
        check(
            &["a1|x|alive|", "a22|y|failed|"],
            "a1   x  alive   \na22  y  failed",
        );
        check(&["failed: | a1 | why not"], "failed:  a1  why not");
        check(&[], "");
    }
}

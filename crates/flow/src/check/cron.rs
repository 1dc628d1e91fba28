//! [pure] Whether a text is a cron expression.

const WORDS: [&str; 7] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
];
const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    words: &'static [&'static str],
}

const fn field(name: &'static str, least: u32, most: u32, words: &'static [&'static str]) -> Field {
    Field {
        name,
        least,
        most,
        words,
    }
}

const FIELDS: [Field; 6] = [
    field("second", 0, 59, &[]),
    field("minute", 0, 59, &[]),
    field("hour", 0, 23, &[]),
    field("day", 1, 31, &[]),
    field("month", 1, 12, &MONTHS),
    field("weekday", 0, 7, &DAYS),
];

/// Says what is wrong with the text, if something is.
pub(super) fn check(text: &str) -> Result<(), String> {
    if text.starts_with('@') {
        let known = WORDS.contains(&text);
        return known
            .then_some(())
            .ok_or_else(|| format!("`{text}` is not one of {}", WORDS.join(", ")));
    }
    let parts: Vec<&str> = text.split_whitespace().collect();
    let fields = match parts.len() {
        5 => FIELDS.get(1..).unwrap_or_default(),
        6 => &FIELDS,
        count => return Err(format!("a cron expression has 5 or 6 fields, not {count}")),
    };
    for (part, field) in parts.into_iter().zip(fields) {
        for item in part.split(',') {
            if !fits(item, field) {
                return Err(format!(
                    "`{part}` is no {} of a cron expression",
                    field.name
                ));
            }
        }
    }
    Ok(())
}

fn fits(item: &str, field: &Field) -> bool {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    let step_fits = step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step > 0));
    let range_fits = match range.split_once('-') {
        _ if range == "*" => true,
        _ if range == "?" => field.name == "day" || field.name == "weekday",
        Some((from, to)) => {
            let (from, to) = (number(from, field), number(to, field));
            from.zip(to).is_some_and(|(from, to)| from <= to)
        }
        None => number(range, field).is_some(),
    };
    step_fits && range_fits
}

fn number(text: &str, field: &Field) -> Option<u32> {
    let upper = text.to_ascii_uppercase();
    if let Some(index) = field.words.iter().position(|word| *word == upper) {
        return Some(u32::try_from(index).ok()? + field.least);
    }
    let number = text.parse().ok()?;
    (field.least..=field.most)
        .contains(&number)
        .then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_expressions_are_told_from_other_text() {
        for text in [
            "0 0 * * *",
            "*/5 9-17 * * MON-FRI",
            "0 0 0 1 jan ?",
            "@daily",
            "1,2 0 1 1 7",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "@never",
            "a * * * *",
            "? * * * *",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}

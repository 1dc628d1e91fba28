//! Thousands of identifiers, compared both ways with python-stdnum.

use std::io::Write;
use std::process::{Command, Stdio};

use jiff::civil::date;
use taraf_base::Rng;
use taraf_romania::cnp::Cnp;
use taraf_romania::cui::Cui;
use taraf_romania::iban::Iban;

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/interop/identifiers.py"
);
const COUNT: usize = 5_000;

/// Asks python-stdnum; one answer a line.
fn stdnum(lines: &[String]) -> Vec<String> {
    let mut python = Command::new("python3")
        .arg(SCRIPT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed");
    let mut stdin = python.stdin.take().unwrap();
    let text = lines.join("\n") + "\n";
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = python.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "is python-stdnum installed for python3?"
    );
    writer.join().unwrap().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<String> = answers.lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), lines.len());
    answers
}

/// What we say, in the same form: the normalized value, or nothing.
fn ours(kind: &str, value: &str) -> Option<String> {
    match kind {
        "cui" => Cui::parse(value).ok().map(|cui| cui.to_string()),
        "cnp" => Cnp::parse(value, date(2099, 12, 31))
            .ok()
            .map(|cnp| cnp.reveal()),
        _ => Iban::parse(value).ok().map(|iban| iban.to_string()),
    }
}

fn theirs(kind: &str, values: &[String]) -> Vec<Option<String>> {
    let lines: Vec<String> = values
        .iter()
        .map(|value| format!("check {kind} {value}"))
        .collect();
    let answers = stdnum(&lines);
    answers
        .iter()
        .map(|answer| answer.strip_prefix("1 ").map(str::to_owned))
        .collect()
}

/// Values that they made are valid here, and every change of one digit or letter is judged alike.
fn compare(kind: &str, documented: impl Fn(&str) -> bool) {
    let seed = taraf_base::random_u64();
    let mut chance = Rng::new(seed);
    let asks: Vec<String> = (0..COUNT)
        .map(|_| format!("make {kind} {}", chance.next_u64()))
        .collect();
    let made = stdnum(&asks);
    for value in &made {
        assert_eq!(
            ours(kind, value).as_ref(),
            Some(value),
            "made by stdnum, seed {seed}"
        );
    }
    let changed: Vec<String> = made
        .iter()
        .map(|value| change(value, &mut chance))
        .collect();
    let mut valid = 0;
    for (value, their) in changed.iter().zip(theirs(kind, &changed)) {
        valid += usize::from(their.is_some());
        if !documented(value) {
            assert_eq!(ours(kind, value), their, "`{value}`, seed {seed}");
        }
    }
    // Otherwise nothing was compared.
    assert!(valid < COUNT && valid > 0, "{valid} of {COUNT} are valid");
}

/// Changes one to three characters, or the length, or writes the value in another way.
fn change(value: &str, chance: &mut Rng) -> String {
    let mut pick = |below: usize| -> usize {
        usize::try_from(chance.below(u64::try_from(below).unwrap())).unwrap()
    };
    let mut bytes = value.as_bytes().to_vec();
    match pick(10) {
        0 => bytes.push(b'0'),
        1 => drop(bytes.pop()),
        2 => bytes.insert(pick(value.len()), b' '),
        3 => {
            let at = pick(value.len() - 1);
            bytes.swap(at, at + 1);
        }
        _ => {
            for _ in 0..=pick(2) {
                let at = pick(value.len());
                bytes[at] = match bytes[at] {
                    b'0'..=b'9' => b'0' + u8::try_from(pick(10)).unwrap(),
                    _ => b'A' + u8::try_from(pick(26)).unwrap(),
                };
            }
        }
    }
    String::from_utf8(bytes).unwrap().trim().to_owned()
}

#[test]
fn fiscal_codes_are_judged_alike() {
    compare("cui", |_| false);
}

#[test]
fn personal_numbers_are_judged_alike_but_for_the_documented_differences() {
    // stdnum removes blanks anywhere, takes 1900 as the century of residents from abroad, and knows
    // neither the running number 000 nor today.
    compare("cnp", |value| {
        value.contains(' ')
            || value.get(9..12) == Some("000")
            || (value.starts_with(['7', '8', '9']) && value.get(1..7) == Some("000229"))
    });
}

#[test]
fn ibans_are_judged_alike_but_for_the_documented_differences() {
    // stdnum accepts check digits that are never computed.
    compare("iban", |value| {
        matches!(value.get(2..4), Some("00" | "01" | "99"))
    });
}

#[test]
fn the_documented_differences_are_still_there() {
    for (kind, value, valid_here, valid_there) in [
        // Hyphens and dots are not blanks.
        ("cui", "185-472-90", false, true),
        ("iban", "RO49-AAAA-1B31-0075-9384-0000", false, true),
        ("iban", "RO49.AAAA.1B31.0075.9384.0000", false, true),
        // Blanks inside a personal number are a slip.
        ("cnp", "5000229 320019", false, true),
        // The running number 000 is never issued.
        ("cnp", "5000229320000", false, true),
        // Of residents from abroad the century is not encoded.
        ("cnp", "7000229320012", true, false),
    ] {
        assert_eq!(ours(kind, value).is_some(), valid_here, "{kind} {value}");
        let their = theirs(kind, &[value.to_owned()]);
        assert_eq!(their[0].is_some(), valid_there, "{kind} {value}");
    }
}

//! What the program says, compared with files; `cargo xtask golden --update` writes them anew.

use std::path::PathBuf;

use crate::program::Place;

/// Compares with `tests/golden/cli/NAME`, or writes it.
#[track_caller]
pub(crate) fn check(name: &str, actual: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/cli")
        .join(name);
    if std::env::var_os("TARAF_GOLDEN_UPDATE").is_some() {
        std::fs::write(&file, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(actual, expected, "{} differs", file.display());
}

#[test]
fn golden_help_of_the_program_and_of_its_commands() {
    let place = Place::new();
    let mut text = String::new();
    for arguments in [
        &[][..],
        &["-h"],
        &["--help"],
        &["dev", "--help"],
        &["service", "--help"],
        &["service", "companies", "import", "--help"],
        &["key", "-h"],
        &["key", "create", "--help"],
        &["flow", "-h"],
        &["flow", "check", "--help"],
        &["flow", "try", "--help"],
        &["flow", "test", "--help"],
        &["start", "--help"],
        &["run", "-h"],
        &["run", "list", "--help"],
        &["services", "-h"],
        &["call", "--help"],
        &["explain", "--help"],
    ] {
        let ended = place.run(arguments).expect(0);
        assert_eq!(ended.err, "", "{arguments:?}");
        text.extend(["$ taraf ", &arguments.join(" "), "\n", &ended.out, "\n"]);
    }
    check("help.txt", &text);
}

#[test]
fn golden_words_about_wrong_usage() {
    let place = Place::new();
    let mut text = String::new();
    for arguments in [
        &["strt"][..],
        &["--operatr", "x"],
        &["run", "show"],
        &["start", "a/b/c"],
        &["key", "rotate", "key_1", "--overlap", "5"],
        &["flow", "try", "x.yaml", "--map", "a=b"],
        &["flow", "check", "missing.yaml"],
        &["run", "cancel", "run_1"],
        &["status", "--operator", "https://node:7401"],
        &["status", "--token-file", "missing"],
    ] {
        let ended = place.run(arguments).expect(2);
        assert_eq!(ended.out, "", "{arguments:?}");
        text.extend(["$ taraf ", &arguments.join(" "), "\n", &ended.err, "\n"]);
    }
    check("usage.txt", &text);
}

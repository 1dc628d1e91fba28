//! A document becomes a definition or findings, each with a place inside it, twice the same.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Corpus::Reject;
    };
    let report = taraf_flow::check(text);
    // As YAML breaks them; what is missing at the end stands on the line behind the last.
    let broken = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines = u64::try_from(broken.lines().count()).unwrap_or(u64::MAX) + 1;
    for finding in &report.findings {
        let line = u64::from(finding.line);
        assert!(
            (1..=lines).contains(&line),
            "a finding at line {line} of {lines}: {finding:?}"
        );
    }
    assert!(
        report.definition.is_some() || !report.findings.is_empty(),
        "neither sound nor not"
    );
    let again = taraf_flow::check(text);
    assert_eq!(
        format!("{:?}", report.findings),
        format!("{:?}", again.findings)
    );
    Corpus::Keep
});

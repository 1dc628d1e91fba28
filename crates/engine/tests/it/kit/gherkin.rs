//! [pure] Reads the kit's feature files: scenarios, their steps, and the documents of the steps.

/// One scenario of a feature file.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

/// One step: its text without the keyword, and the document that follows it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) text: String,
    pub(crate) document: Option<String>,
}

const KEYWORDS: [&str; 5] = ["Given ", "When ", "Then ", "And ", "But "];
const FENCE: &str = "\"\"\"";

/// The scenarios of a feature file, in order.
pub(crate) fn read(feature: &str) -> Vec<Scenario> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    let mut lines = feature.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("Scenario:") {
            scenarios.push(Scenario {
                name: name.trim().to_owned(),
                steps: Vec::new(),
            });
            continue;
        }
        let Some(scenario) = scenarios.last_mut() else {
            continue;
        };
        if line.starts_with(FENCE) {
            let body: Vec<&str> = lines
                .by_ref()
                .take_while(|line| line.trim() != FENCE)
                .collect();
            let step = scenario
                .steps
                .last_mut()
                .expect("a document follows a step");
            step.document = Some(unindent(&body));
        } else if let Some(text) = KEYWORDS
            .iter()
            .find_map(|keyword| line.strip_prefix(keyword))
        {
            let text = text.strip_prefix("given ").unwrap_or(text);
            scenario.steps.push(Step {
                text: text.to_owned(),
                document: None,
            });
        }
    }
    scenarios
}

/// Takes the indentation that all lines share.
fn unindent(lines: &[&str]) -> String {
    let shared = lines
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let cut: Vec<&str> = lines
        .iter()
        .map(|line| line.get(shared..).unwrap_or(""))
        .collect();
    cut.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_keep_their_documents_without_the_shared_indentation() {
        let feature = "Feature: F\n  text\n  Scenario: One\n    Given a thing:\n      \"\"\"yaml\n      a:\n        b: 1\n      \"\"\"\n    And given the input is:\n    \"\"\"yaml\n    1\n    \"\"\"\n    When it runs\n";
        let scenarios = read(feature);
        assert_eq!(scenarios.len(), 1);
        let steps = &scenarios[0].steps;
        assert_eq!(steps[0].document.as_deref(), Some("a:\n  b: 1"));
        assert_eq!(steps[1].text, "the input is:");
        assert_eq!(steps[2].text, "it runs");
    }
}

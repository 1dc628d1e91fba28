//! Crates import lower floors only, along arrows that are written down.

use serde_json::Value;

use super::{Rules, items, string};

pub(super) fn check(members: &Value, rules: &Rules) -> Vec<String> {
    let mut findings = Vec::new();
    for package in items(members, "packages") {
        let name = string(package, "name");
        for dependency in items(package, "dependencies") {
            let imported = string(dependency, "name");
            if let Some(instead) = rules.banned.get(imported) {
                findings.push(format!("{name} depends on {imported}: {instead}"));
            }
            let for_tests = string(dependency, "kind") == "dev";
            if dependency.get("path").is_some_and(Value::is_string) && !for_tests {
                findings.extend(arrow(name, imported, rules));
            }
        }
    }
    findings
}

fn arrow(from: &str, to: &str, rules: &Rules) -> Option<String> {
    let is_beside = |name: &str| rules.beside.iter().any(|beside| beside == name);
    if is_beside(to) {
        return Some(format!("{from} imports {to}, which nothing may import"));
    }
    if is_beside(from) {
        return None;
    }
    let (Some(upper), Some(lower)) = (rules.floors.get(from), rules.floors.get(to)) else {
        return Some(format!(
            "{from} imports {to}: one of them has no floor in xtask/tidy.toml"
        ));
    };
    if lower >= upper {
        return Some(format!(
            "{from} (floor {upper}) imports {to} (floor {lower}): only lower floors"
        ));
    }
    match rules.imports.get(from) {
        Some(allowed) if !allowed.iter().any(|name| name == to) => Some(format!(
            "{from} imports {to}: a new arrow needs a decision record and a line in xtask/tidy.toml"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> Rules {
        toml::from_str(
            r#"
            beside = ["sim"]
            [floors]
            base = 0
            log = 1
            flow = 1
            engine = 2
            [imports]
            engine = ["log"]
            [banned]
            chrono = "use jiff"
            [limits]
            file_lines = 1
            base_lines = 1
            architecture_lines = 1
            [long_files]
            "#,
        )
        .unwrap()
    }

    fn findings(from: &str, to: &str) -> Vec<String> {
        let dependency = json!({"name": to, "kind": null, "path": "/there"});
        check(
            &json!({"packages": [{"name": from, "dependencies": [dependency]}]}),
            &rules(),
        )
    }

    #[test]
    fn lower_floors_may_be_imported() {
        assert!(findings("log", "base").is_empty());
        assert!(findings("engine", "log").is_empty());
    }

    #[test]
    fn the_same_floor_an_upper_one_and_unknown_arrows_are_found() {
        for (from, to) in [
            ("log", "flow"),
            ("base", "log"),
            ("engine", "flow"),
            ("log", "new"),
        ] {
            assert_eq!(findings(from, to).len(), 1, "{from} -> {to}");
        }
    }

    #[test]
    fn what_stands_beside_imports_anything_and_is_imported_by_nothing() {
        assert!(findings("sim", "engine").is_empty());
        assert_eq!(findings("engine", "sim").len(), 1);
    }

    #[test]
    fn banned_crates_are_found() {
        let package = json!({"name": "log", "dependencies": [{"name": "chrono", "kind": null}]});
        assert_eq!(check(&json!({"packages": [package]}), &rules()).len(), 1);
    }
}

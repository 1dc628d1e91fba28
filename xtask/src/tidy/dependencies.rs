//! `deny.toml` against what the build really takes in, and manifests that name versions once.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{items, licence, string};

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// The one feature that a member may add: time that its tests move themselves.
const TEST_FEATURE: &str = "test-util";

pub(super) fn check(root: &Path, members: &Value, all: &Value) -> Result<Vec<String>> {
    let mut findings = allowed(root, all)?;
    for package in items(members, "packages") {
        let manifest = Path::new(string(package, "manifest_path"));
        let text = fs::read_to_string(manifest)?;
        let shown = manifest
            .strip_prefix(root)
            .unwrap_or(manifest)
            .display()
            .to_string();
        findings.extend(own_versions(&shown, &toml::from_str(&text)?));
    }
    Ok(findings)
}

/// What `deny.toml` does not allow of all that a workspace takes in.
pub(super) fn allowed(root: &Path, all: &Value) -> Result<Vec<String>> {
    let policy: toml::Table = toml::from_str(&fs::read_to_string(root.join("deny.toml"))?)?;
    against_policy(&policy, all)
}

fn against_policy(policy: &toml::Table, all: &Value) -> Result<Vec<String>> {
    let list = |section: &str, name: &str| policy.get(section)?.get(name)?.as_array();
    let allowed: Vec<String> = list("licenses", "allow")
        .context("deny.toml has no licenses.allow")?
        .iter()
        .filter_map(|licence| licence.as_str().map(str::to_owned))
        .collect();
    let banned = list("bans", "deny").context("deny.toml has no bans.deny")?;
    let reason = |name: &str| {
        let entry = banned
            .iter()
            .find(|entry| entry.get("crate").and_then(toml::Value::as_str) == Some(name))?;
        Some(entry.get("reason")?.as_str().unwrap_or_default().to_owned())
    };
    let mut findings = Vec::new();
    for package in items(all, "packages") {
        let (name, source) = (string(package, "name"), string(package, "source"));
        if let Some(reason) = reason(name) {
            findings.push(format!("{name} is in the build: {reason} (deny.toml)"));
        }
        if !source.is_empty() && source != REGISTRY {
            findings.push(format!(
                "{name} comes from {source}, which deny.toml does not know"
            ));
        }
        let licence = string(package, "license");
        if !licence::is_allowed(licence, &allowed) {
            findings.push(format!(
                "{name} has the licence `{licence}`, which deny.toml does not allow"
            ));
        }
    }
    Ok(findings)
}

/// Versions and features stand in the root manifest alone.
fn own_versions(manifest: &str, table: &toml::Table) -> Vec<String> {
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    let entries = sections
        .iter()
        .filter_map(|section| table.get(*section)?.as_table())
        .flatten();
    entries
        .filter(|(_, entry)| {
            let features = entry.get("features").and_then(toml::Value::as_array);
            let adds =
                features.is_some_and(|all| all.iter().any(|f| f.as_str() != Some(TEST_FEATURE)));
            entry.get("workspace").and_then(toml::Value::as_bool) != Some(true) || adds
        })
        .map(|(name, _)| format!("{manifest}: write `{name}.workspace = true` and nothing more"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy() -> toml::Table {
        toml::from_str(
            r#"
            licenses.allow = ["MIT"]
            bans.deny = [{ crate = "openssl", reason = "rustls" }]
            "#,
        )
        .unwrap()
    }

    fn check_package(name: &str, licence: &str, source: &str, expected: usize) {
        let all = json!({"packages": [{"name": name, "license": licence, "source": source}]});
        assert_eq!(
            against_policy(&policy(), &all).unwrap().len(),
            expected,
            "{name}"
        );
    }

    #[test]
    fn bans_licences_and_sources_are_held() {
        check_package("serde", "MIT", REGISTRY, 0);
        check_package("openssl", "MIT", REGISTRY, 1);
        check_package("viral", "GPL-3.0", REGISTRY, 1);
        check_package("stray", "MIT", "git+https://example.org/stray", 1);
    }

    #[test]
    fn a_member_that_names_a_version_or_a_feature_is_found() {
        let table = toml::from_str(
            r#"
            [dependencies]
            good.workspace = true
            bad = "1"
            greedy = { workspace = true, features = ["all"] }
            [dev-dependencies]
            tokio = { workspace = true, features = ["test-util"] }
            "#,
        )
        .unwrap();
        assert_eq!(own_versions("Cargo.toml", &table).len(), 2);
    }
}

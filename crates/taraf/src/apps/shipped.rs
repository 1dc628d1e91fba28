//! The applications that are built into the program.

use include_dir::{Dir, include_dir};

use taraf_engine::Beside;

use super::manifest::{App, FlowSource};

/// The file beside its cases that holds a flow.
const FLOW_FILE: &str = "flow.yaml";

struct Shipped {
    name: &'static str,
    manifest: &'static str,
    flows: &'static Dir<'static>,
}

static ROMANIA_FLOWS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../apps/romania/flows");

static SHIPPED: [Shipped; 1] = [Shipped {
    name: "romania",
    manifest: include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../apps/romania/app.yaml"
    )),
    flows: &ROMANIA_FLOWS,
}];

/// Those of the shipped applications that are enabled.
pub(crate) fn shipped(enabled: &[String]) -> anyhow::Result<Vec<App>> {
    enabled.iter().map(|name| one(name)).collect()
}

fn one(name: &str) -> anyhow::Result<App> {
    let Some(shipped) = SHIPPED.iter().find(|shipped| shipped.name == name) else {
        let known: Vec<_> = SHIPPED.iter().map(|shipped| shipped.name).collect();
        anyhow::bail!(
            "no application is called `{name}`; there is {}",
            known.join(", ")
        );
    };
    let place = format!("apps/{name}/app.yaml");
    let mut app = App::parse(&place, shipped.manifest)?;
    for folder in shipped.flows.dirs() {
        let file = folder.path().join(FLOW_FILE);
        let source = shipped
            .flows
            .get_file(&file)
            .and_then(|file| file.contents_utf8());
        if let Some(source) = source {
            app.flows.push(FlowSource {
                place: format!("apps/{name}/flows/{}", file.display()),
                source: source.to_owned(),
                beside: Beside::new(),
            });
        }
    }
    Ok(app)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_application_is_sound() {
        for shipped in &SHIPPED {
            let app = one(shipped.name).unwrap();
            assert!(!app.services.is_empty() && !app.routes.is_empty());
            for flow in &app.flows {
                let report = taraf_flow::check(&flow.source);
                assert!(
                    report.findings.is_empty(),
                    "{}: {:?}",
                    flow.place,
                    report.findings
                );
            }
            taraf_gateway::Routes::build(app.routes).unwrap();
        }
    }

    #[test]
    fn an_unknown_application_is_refused() {
        let error = shipped(&["romanai".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("there is romania"), "{error}");
    }
}

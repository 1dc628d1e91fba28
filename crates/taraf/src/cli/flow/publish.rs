//! `taraf flow publish`, `list`, `show`: flows of the server.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::check;
use crate::cli::failure::{Exit, Failure};
use crate::cli::flow_name::{self, FlowName, Resolved, items};
use crate::cli::operator::{Call, Operator, ServerArgs, escaped};
use crate::cli::output::Output;
use crate::cli::table::{Column, lookup};
use crate::operator::PUBLICATION;

const COLUMNS: [Column; 4] = [
    Column::text("namespace", "namespace"),
    Column::text("name", "name"),
    Column::text("version", "version"),
    Column::text("title", "title"),
];

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf flow publish flows/order/flow.yaml
  taraf flow publish flow.yaml --operator http://node2:7401")]
pub(crate) struct PublishArgs {
    /// The flow document.
    file: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf flow list
  taraf flow list --format json")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf flow show company-profile
  taraf flow show shop/order@1.2.0 > order.yaml")]
pub(crate) struct ShowArgs {
    /// [NAMESPACE/]NAME[@VERSION]; the latest version unless one is named.
    flow: FlowName,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn publish(args: PublishArgs, output: &Output) -> Result<Exit, Failure> {
    let operator = Operator::find(&args.server)?;
    let source = check::read(&args.file)?;
    let (definition, beside) = check::sound(&args.file, &source, Exit::Failed, output)?;
    let id = &definition.document;
    let path = format!(
        "/v1/flows/{}/{}/{}",
        escaped(&id.namespace),
        escaped(&id.name),
        escaped(&id.version)
    );
    let call = Call::new(http::Method::PUT, path);
    let call = if beside.is_empty() {
        call.bytes("application/yaml", source)
    } else {
        let publication = json!({"source": source, "beside": beside});
        call.bytes(PUBLICATION, publication.to_string())
    };
    let answer = operator.call(call).await?;
    let name = format!("{}/{}@{}", id.namespace, id.name, id.version);
    for warning in elsewhere(&answer.json()?) {
        output.say(&warning);
    }
    if output.is_structured() {
        output.one(&answer.json()?, &COLUMNS)?;
    } else {
        output.line(&name)?;
    }
    if answer.status == 201 {
        output.say(&format!("start it: taraf start {name} --wait"));
    } else {
        output.say("this version was there already, with the same content");
    }
    Ok(Exit::Done)
}

/// What the server could not look at again; all else the check here has told.
fn elsewhere(answer: &Value) -> Vec<String> {
    let warnings = answer.get("warnings").and_then(Value::as_array);
    let warnings = warnings.into_iter().flatten();
    let elsewhere = warnings.filter(|warning| warning["code"] == "T0417");
    let messages = elsewhere.filter_map(|warning| warning["message"].as_str());
    messages.map(str::to_owned).collect()
}

pub(crate) async fn list(args: ListArgs, output: &Output) -> Result<Exit, Failure> {
    let operator = Operator::find(&args.server)?;
    let flows = flow_name::list(&operator).await?;
    output.list(&flows, &COLUMNS)?;
    if flows.is_empty() {
        output.say("no flows; publish one: taraf flow publish FILE");
    }
    Ok(Exit::Done)
}

pub(crate) async fn show(args: ShowArgs, output: &Output) -> Result<Exit, Failure> {
    let operator = Operator::find(&args.server)?;
    let flow = args.flow.resolve(&operator).await?;
    let version = match &flow.version {
        Some(version) => version.clone(),
        None => latest(&operator, &flow).await?,
    };
    let path = format!("{}/{}", flow.path(), escaped(&version));
    let found = operator.json(Call::get(path)).await?;
    match lookup(&found, "source").as_str() {
        Some(source) if !output.is_structured() => output.text(source)?,
        _ => output.one(&found, &COLUMNS)?,
    }
    Ok(Exit::Done)
}

/// The version that runs are started of where none is named.
async fn latest(operator: &Operator, flow: &Resolved) -> Result<String, Failure> {
    let versions = items(operator.json(Call::get(flow.path())).await?);
    let latest = versions
        .iter()
        .find(|version| lookup(version, "latest") == true)
        .and_then(|version| lookup(version, "version").as_str());
    latest.map(str::to_owned).ok_or_else(|| {
        let name = format!("{}/{}", flow.namespace, flow.name);
        Failure::not_found(format!("the flow {name} has no latest version"))
    })
}

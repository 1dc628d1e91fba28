//! `taraf call`: one call of a service, or of a flow, from the command line.

use std::time::Duration;

use serde_json::{Map, Value};

use super::failure::{Exit, Failure};
use super::flow_name::FlowName;
use super::operator::{Call, Operator, ServerArgs, escaped};
use super::output::Output;
use super::{services, start};

const FLOW_WAIT: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf call companies/companies/13548146
  taraf call company-profile cif=38744563")]
pub(crate) struct Args {
    /// SERVICE/PATH, or a flow as [NAMESPACE/]NAME[@VERSION].
    target: String,
    /// Fields: the query of a GET, else the JSON body or input. `name:=JSON` for what is no text.
    #[arg(value_name = "FIELD=VALUE")]
    fields: Vec<String>,
    /// HTTP method of a service call.
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    method: http::Method,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args, output: &Output) -> Result<Exit, Failure> {
    let fields = parse_fields(&args.fields)?;
    let operator = Operator::find(&args.server)?;
    let (first, path) = args
        .target
        .split_once('/')
        .unwrap_or((args.target.as_str(), ""));
    let services = services::list(&operator).await?;
    let service = services
        .iter()
        .find(|service| service.get("name").and_then(Value::as_str) == Some(first));
    if let Some(service) = service {
        return call_service(output, service, first, path, &args.method, &fields).await;
    }
    let flow: FlowName = args.target.parse().map_err(|_not_a_flow| {
        Failure::not_found(format!("no service is named `{first}`"))
            .with_help("`taraf services list` and `taraf flow list` show what can be called")
    })?;
    let flow = flow.resolve(&operator).await?;
    let input = Value::Object(fields);
    let call = start::call(&flow, Some(&input), None, Some(FLOW_WAIT));
    start::finish(output, &operator.json(call).await?)
}

/// Calls the first endpoint of the service directly, with the host that tells services apart.
async fn call_service(
    output: &Output,
    service: &Value,
    name: &str,
    path: &str,
    method: &http::Method,
    fields: &Map<String, Value>,
) -> Result<Exit, Failure> {
    let endpoint = services::endpoints(service)
        .iter()
        .find_map(services::address);
    let Some(address) = endpoint else {
        return Err(Failure::new(
            Exit::CannotReach,
            format!("service `{name}` has no endpoint"),
        ));
    };
    let has_body = !matches!(
        *method,
        http::Method::GET | http::Method::HEAD | http::Method::DELETE
    );
    let mut target = format!("/{path}");
    let mut call = if has_body {
        Call::new(method.clone(), target).json(&Value::Object(fields.clone()))
    } else {
        let mut divider = if path.contains('?') { '&' } else { '?' };
        for (field, value) in fields {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            target.push(divider);
            target.extend([&escaped(field), "=", &escaped(&value)]);
            divider = '&';
        }
        Call::new(method.clone(), target)
    };
    call = call.header("host", &format!("{name}.service"));
    let answer = Operator::endpoint(&address)?.call(call).await?;
    match answer.json() {
        Ok(value) => output.document(&value)?,
        Err(_not_json) => output.text(&String::from_utf8_lossy(&answer.body))?,
    }
    Ok(Exit::Done)
}

/// `name=text` and `name:=JSON`.
fn parse_fields(fields: &[String]) -> Result<Map<String, Value>, Failure> {
    let parse = |field: &String| {
        let (name, value) = field.split_once('=')?;
        match name.strip_suffix(':') {
            Some(name) => Some((name.to_owned(), serde_json::from_str(value).ok()?)),
            None => Some((name.to_owned(), Value::from(value))),
        }
    };
    let read = |field| {
        parse(field)
            .ok_or_else(|| Failure::usage(format!("`{field}` is neither NAME=TEXT nor NAME:=JSON")))
    };
    fields.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_text_unless_marked_as_json() {
        let fields = ["a=1", "b:=1", "c=x=y", "d:=[true]"].map(str::to_owned);
        let read = parse_fields(&fields).unwrap();
        assert_eq!(
            Value::Object(read),
            json!({"a": "1", "b": 1, "c": "x=y", "d": [true]})
        );
        for wrong in ["a", "b:={", ""] {
            assert!(parse_fields(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}

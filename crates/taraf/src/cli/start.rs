//! `taraf start FLOW`: starts a run on the server, and waits for it when asked.

use std::time::Duration;

use serde_json::{Value, json};

use super::failure::{Exit, Failure};
use super::flow_name::{FlowName, Resolved};
use super::operator::{Call, Operator, ServerArgs, escaped};
use super::output::{Output, complain};
use super::{input, run_view};

/// How long one call lets the server wait; a longer wait is several calls.
const WAIT_SLICE: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf start company-profile --input '{\"cif\":\"38744563\"}' --wait
  taraf start shop/order@1.2.0 --input @order.json --idempotency-key order-17")]
pub(crate) struct Args {
    /// [NAMESPACE/]NAME[@VERSION]; the latest version unless one is named.
    flow: FlowName,
    /// Input of the run: JSON, @FILE, or - for standard input.
    #[arg(short, long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    input: Option<String>,
    /// Wait until the run ends, or at most this long; print its output.
    #[arg(short, long, value_name = "DURATION", num_args = 0..=1, require_equals = true,
          value_parser = taraf_base::duration::parse, default_missing_value = "1d")]
    wait: Option<Duration>,
    /// The same key starts the same run once.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args, output: &Output) -> Result<Exit, Failure> {
    let input = match &args.input {
        Some(given) => Some(input::read("--input", given)?),
        None => None,
    };
    let operator = Operator::find(&args.server)?;
    let flow = args.flow.resolve(&operator).await?;
    let slice = args.wait.map(|wait| wait.min(WAIT_SLICE));
    let call = call(
        &flow,
        input.as_ref(),
        args.idempotency_key.as_deref(),
        slice,
    );
    let started = operator.json(call).await?;
    let Some(id) = started.get("id").and_then(Value::as_str) else {
        return Err(Failure::new(
            Exit::Failed,
            "the server started a run and did not name it",
        ));
    };
    let Some(wait) = args.wait else {
        if output.is_structured() {
            output.one(&started, &run_view::ONE)?;
        } else {
            output.line(id)?;
        }
        output.say(&format!("watch it: taraf run watch {id}"));
        return Ok(Exit::Done);
    };
    let rest = wait.saturating_sub(slice.unwrap_or_default());
    let ended = if run_view::is_final(&started) {
        started
    } else {
        wait_for(&operator, id, rest).await?
    };
    finish(output, &ended)
}

/// The call that starts a run and lets the server wait for its end.
pub(crate) fn call(
    flow: &Resolved,
    input: Option<&Value>,
    idempotency_key: Option<&str>,
    wait: Option<Duration>,
) -> Call {
    let wait = wait.unwrap_or_default();
    let mut path = format!(
        "{}/runs?wait={}",
        flow.path(),
        taraf_base::duration::format(wait)
    );
    if let Some(version) = &flow.version {
        path.push_str("&version=");
        path.push_str(&escaped(version));
    }
    let call = Call::post(path).json(input.unwrap_or(&json!({})));
    let call = match idempotency_key {
        Some(key) => call.header("idempotency-key", key),
        None => call,
    };
    call.waiting(wait)
}

/// Asks for a run until it has ended or `limit` has passed; the run as it was seen last.
pub(crate) async fn wait_for(
    operator: &Operator,
    id: &str,
    limit: Duration,
) -> Result<Value, Failure> {
    let started = tokio::time::Instant::now();
    loop {
        let left = limit.saturating_sub(started.elapsed());
        let slice = left.min(WAIT_SLICE);
        let path = format!(
            "/v1/runs/{}?wait={}",
            escaped(id),
            taraf_base::duration::format(slice)
        );
        let run = operator.json(Call::get(path).waiting(slice)).await?;
        if run_view::is_final(&run) || left.is_zero() {
            return Ok(run);
        }
    }
}

/// Tells how a run ended: its output on stdout, its problem on stderr.
pub(crate) fn finish(output: &Output, run: &Value) -> Result<Exit, Failure> {
    match run_view::status(run) {
        "completed" => output.document(run.get("output").unwrap_or(&Value::Null))?,
        "faulted" => complain(&run_view::problem(run).to_string()),
        _ => complain(&run_view::why(run)),
    }
    let id = run.get("id").and_then(Value::as_str).unwrap_or("ID");
    let exit = run_view::exit(run);
    match exit {
        Exit::Done => {}
        Exit::TimedOut => output.say(&format!("the run goes on; watch it: taraf run watch {id}")),
        _ => output.say(&format!("look at it: taraf run show {id}")),
    }
    Ok(exit)
}

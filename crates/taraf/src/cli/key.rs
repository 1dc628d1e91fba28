//! `taraf key …`: API keys of the gateway.

use serde_json::{Value, json};

use super::failure::{Exit, Failure};
use super::flow_name::items;
use super::operator::{Call, Operator, ServerArgs, escaped};
use super::output::Output;
use super::table::{Column, lookup};

const COLUMNS: [Column; 8] = [
    Column::text("id", "id"),
    Column::text("account", "account"),
    Column::text("plan", "plan"),
    Column::state_of("state", state),
    Column::text("created", "created"),
    Column::text("ends", "ends"),
    Column::text("last used", "last_used"),
    Column::text("label", "label"),
];

/// A key works, works until its successor's overlap ends, or is refused.
fn state(key: &Value) -> String {
    let is_revoked = lookup(key, "revoked").as_bool() == Some(true);
    let word = match (is_revoked, lookup(key, "ends")) {
        (true, _) => "revoked",
        (false, Value::Null) => "active",
        (false, _) => "rotating",
    };
    word.to_owned()
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf key create --account acme --plan pro
  taraf key rotate key_01K9X4TQ8M3Z6BDW7QF2ZZ5K1A --overlap 24h")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key; it is printed once, alone on stdout.
    #[command(before_long_help = "Examples:
  taraf key create --account acme
  KEY=$(taraf key create --account acme --plan pro)")]
    Create {
        /// Who the key is for; made when it is new.
        #[arg(long, value_name = "NAME")]
        account: String,
        /// Allowance of the key [default: the gateway's default plan].
        #[arg(long)]
        plan: Option<String>,
    },
    /// Keys, without their secrets.
    #[command(before_long_help = "Examples:
  taraf key list
  taraf key list --account acme --format json")]
    List {
        /// Only those of this account.
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
    },
    /// Make a successor; both work until the overlap ends.
    #[command(before_long_help = "Examples:
  taraf key rotate KEY_ID
  taraf key rotate KEY_ID --overlap 24h")]
    Rotate {
        /// The key's id, as `taraf key list` shows it.
        id: String,
        /// How long the old key works beside the new one [default: the server's].
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        overlap: Option<String>,
    },
    /// Make a key invalid at once and for good.
    #[command(before_long_help = "Examples:
  taraf key revoke KEY_ID
  taraf key revoke KEY_ID --yes")]
    Revoke {
        /// The key's id.
        id: String,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
        /// Say what would be done, do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// What a key has used, and what is left.
    #[command(before_long_help = "Examples:
  taraf key usage KEY_ID
  taraf key usage KEY_ID --format json")]
    Usage {
        /// The key's id.
        id: String,
    },
}

/// Checks a duration here, so that the mistake is one of usage; the server reads it again.
fn duration(text: &str) -> Result<String, taraf_base::duration::Error> {
    taraf_base::duration::parse(text).map(|_sound| text.to_owned())
}

pub(crate) async fn run(args: Args, output: &Output) -> Result<Exit, Failure> {
    let operator = Operator::find(&args.server)?;
    match args.command {
        Command::Create { account, plan } => create(&operator, output, &account, plan).await?,
        Command::List { account } => list(&operator, output, account).await?,
        Command::Rotate { id, overlap } => rotate(&operator, output, &id, overlap).await?,
        Command::Revoke { id, yes, dry_run } => {
            let question = format!("Revoke {id}? Calls with it are refused at once.");
            if dry_run {
                output.say(&format!(
                    "would revoke {id}: calls with it are refused at once"
                ));
                return Ok(Exit::Done);
            }
            output.confirm(yes, &question)?;
            let path = format!("/v1/keys/{}", escaped(&id));
            operator.call(Call::new(http::Method::DELETE, path)).await?;
            output.say(&format!("revoked {id}"));
        }
        Command::Usage { id } => usage(&operator, output, &id).await?,
    }
    Ok(Exit::Done)
}

async fn create(
    operator: &Operator,
    output: &Output,
    account: &str,
    plan: Option<String>,
) -> Result<(), Failure> {
    let mut body = json!({ "account": account });
    if let Some(plan) = plan {
        body["plan"] = json!(plan);
    }
    let made = operator.json(Call::post("/v1/keys").json(&body)).await?;
    print_secret(output, &made)?;
    output.say("the key is shown only now; calls send it in the header x-api-key");
    Ok(())
}

async fn rotate(
    operator: &Operator,
    output: &Output,
    id: &str,
    overlap: Option<String>,
) -> Result<(), Failure> {
    let mut body = json!({});
    if let Some(overlap) = overlap {
        body["overlap"] = json!(overlap);
    }
    let path = format!("/v1/keys/{}/rotate", escaped(id));
    let made = operator.json(Call::post(path).json(&body)).await?;
    print_secret(output, &made)?;
    output.say(&format!(
        "watch the old one fall silent: taraf key usage {id}"
    ));
    Ok(())
}

/// The new key alone, so that `KEY=$(taraf key create …)` works.
fn print_secret(output: &Output, made: &Value) -> Result<(), Failure> {
    if output.is_structured() {
        return output.one(made, &COLUMNS);
    }
    let Some(key) = made.get("key").and_then(Value::as_str) else {
        return Err(Failure::new(
            Exit::Failed,
            "the server made a key and did not say it",
        ));
    };
    output.line(key)
}

async fn list(
    operator: &Operator,
    output: &Output,
    account: Option<String>,
) -> Result<(), Failure> {
    let path = match account {
        Some(account) => format!("/v1/keys?account={}", escaped(&account)),
        None => "/v1/keys".to_owned(),
    };
    let keys = items(operator.json(Call::get(path)).await?);
    output.list(&keys, &COLUMNS)?;
    if keys.is_empty() {
        output.say("no keys; make one: taraf key create --account NAME");
    }
    Ok(())
}

async fn usage(operator: &Operator, output: &Output, id: &str) -> Result<(), Failure> {
    let path = format!("/v1/keys/{}/usage", escaped(id));
    let used = operator.json(Call::get(path)).await?;
    output.one(
        &used,
        &[
            Column::text("id", "id"),
            Column::text("plan", "plan"),
            Column::number("used", "used"),
            Column::number("limit", "limit"),
            Column::number("remaining", "remaining"),
            Column::text("label", "label"),
        ],
    )
}

//! The key that `dev` prints: made once and kept with the data, so that it survives a restart.

use taraf_base::Secret;
use taraf_gateway::Accounts;

use crate::node::{DataPlace, data};

/// The file of the key in the data directory.
const API_KEY: &str = "api.key";

/// The account that has the key.
const ACCOUNT: &str = "dev";

/// The kept key where it is still taken, else a new one.
pub(crate) async fn api_key(
    accounts: &Accounts,
    place: &DataPlace,
    plan: &str,
) -> anyhow::Result<Secret> {
    let file = match place {
        DataPlace::Folder(dir) => Some(dir.join(API_KEY)),
        DataPlace::Memory => None,
    };
    if let Some(file) = &file
        && let Some(kept) = data::read_secret(file)?
    {
        match accounts.adopt_key(ACCOUNT, plan, &kept).await {
            Ok(key) => return Ok(key.secret),
            Err(error) => tracing::warn!(%error, "the kept key is not taken; a new one is made"),
        }
    }
    let key = accounts
        .create_key(ACCOUNT, Some(plan), "taraf dev")
        .await?;
    if let Some(file) = &file {
        data::write_private(file, key.secret.expose().as_bytes())?;
    }
    Ok(key.secret)
}

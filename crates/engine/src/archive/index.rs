//! The index of one month: a row for each finished run, made from the pack and made again when lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, params, params_from_iter};
use taraf_base::Timestamp;

use super::place::Error;
use super::retention::Retention;
use super::rows::{Naming, Row, number, run_at, sequence, status};
use crate::{Filter, RunId, Status};

/// The layout of the tables; an index of another one is made again from its pack.
const LAYOUT: i64 = 2;
/// Rows deleted in one transaction, so that others can write between two.
const DELETED_TOGETHER: usize = 1_000;
/// How long a reader or writer waits for another.
const BUSY: Duration = Duration::from_secs(5);
/// Pages of one connection's cache, in KiB.
const CACHE_KIB: i64 = 2_048;
/// Statements that a connection keeps prepared.
const STATEMENTS_KEPT: usize = 32;
/// How far the order of ids and that of records may differ.
const SKEW_MILLIS: i64 = 60_000;
/// What SQLite adds to the name of a database for its side files.
const SIDE_FILES: [&str; 3] = ["", "-wal", "-shm"];

const SCHEMA: &str = "
CREATE TABLE run (
  sequence BLOB PRIMARY KEY,
  status INTEGER NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  owner TEXT,
  key TEXT,
  created INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  error TEXT,
  block INTEGER NOT NULL,
  place INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX run_by_status ON run (status, sequence);
CREATE INDEX run_by_flow ON run (namespace, name, sequence);
CREATE INDEX run_by_owner ON run (owner, sequence) WHERE owner IS NOT NULL;
CREATE INDEX run_by_key ON run (key, owner) WHERE key IS NOT NULL;
CREATE TABLE state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
";
/// Since layout 2: which runs name which payloads. No run of an index before names any.
const PAYLOADS: &str = "
CREATE TABLE payload (
  hash BLOB NOT NULL,
  sequence BLOB NOT NULL,
  PRIMARY KEY (hash, sequence)
) WITHOUT ROWID;
";
const COLUMNS: &str =
    "sequence, status, namespace, name, version, owner, key, created, ended, error, block, place";

/// A connection to the index of one month.
pub(super) struct Index {
    connection: Connection,
}

impl Index {
    /// Opens or makes the index. Nothing when the file is none that this program can use.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Error> {
        let index = match Self::connect(path) {
            Ok(index) => index,
            Err(error) if error.is_lost_index() => return Ok(None),
            Err(error) => return Err(error),
        };
        match index.prepare_tables() {
            Ok(usable) => Ok(usable.then_some(index)),
            Err(error) if error.is_lost_index() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Another connection to an index that is there.
    pub(super) fn connect(path: &Path) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // The pack is synced before its rows are written: rows lost with the power are made again.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        Ok(Self { connection })
    }

    /// Removes the files of an index.
    pub(super) fn remove(path: &Path) -> Result<(), Error> {
        for side in SIDE_FILES {
            let mut name = path.as_os_str().to_owned();
            name.push(side);
            let file = PathBuf::from(name);
            match fs::remove_file(&file) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("remove", &file)(error)),
            }
        }
        Ok(())
    }

    fn prepare_tables(&self) -> Result<bool, Error> {
        let layout: i64 = self
            .connection
            .pragma_query_value(None, "user_version", |row| row.get(0))?;
        if layout == 0 {
            let schema = format!(
                "BEGIN; {SCHEMA} {PAYLOADS} INSERT INTO state VALUES ('applied_position', 0); \
                 PRAGMA user_version = {LAYOUT}; COMMIT;"
            );
            self.connection.execute_batch(&schema)?;
            return Ok(true);
        }
        if layout == 1 {
            let grow = format!("BEGIN; {PAYLOADS} PRAGMA user_version = {LAYOUT}; COMMIT;");
            self.connection.execute_batch(&grow)?;
            return Ok(true);
        }
        Ok(layout == LAYOUT)
    }

    /// Up to which byte the pack's blocks are in the index; 0 for an index that was just made.
    pub(super) fn applied(&self) -> Result<u64, Error> {
        let sql = "SELECT value FROM state WHERE name = 'applied_position'";
        let applied: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(u64::try_from(applied).unwrap_or(0))
    }

    /// Adds rows, and says up to which byte the pack is in the index now: both or neither.
    pub(super) fn add(&mut self, rows: &[Naming], applied: u64) -> Result<(), Error> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(&format!(
                "INSERT OR REPLACE INTO run ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
            ))?;
            let mut name = transaction
                .prepare_cached("INSERT OR REPLACE INTO payload (hash, sequence) VALUES (?,?)")?;
            for (row, payloads) in rows {
                for payload in payloads {
                    name.execute(params![payload.hash, sequence(row.id)])?;
                }
                insert.execute(params![
                    sequence(row.id),
                    number(row.status),
                    row.namespace,
                    row.name,
                    row.version,
                    row.owner,
                    row.key,
                    row.created.as_millis(),
                    row.ended.as_millis(),
                    row.error,
                    signed(row.place.0),
                    row.place.1,
                ])?;
            }
            transaction
                .prepare_cached("UPDATE state SET value = ? WHERE name = 'applied_position'")?
                .execute([signed(applied)])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The row of a run.
    pub(super) fn find(&self, id: RunId) -> Result<Option<Row>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM run WHERE sequence = ?");
        let mut query = self.connection.prepare_cached(&sql)?;
        let found = query.query_row([sequence(id)], read).optional()?;
        Ok(found.flatten())
    }

    /// The run that was started with this key.
    pub(super) fn by_key(&self, owner: Option<&str>, key: &str) -> Result<Option<Row>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM run WHERE key = ?1 AND owner IS ?2 \
             ORDER BY sequence DESC LIMIT 1"
        );
        let mut query = self.connection.prepare_cached(&sql)?;
        let found = query.query_row(params![key, owner], read).optional()?;
        Ok(found.flatten())
    }

    /// Whether a run names the payload of this hash.
    pub(super) fn names(&self, hash: &[u8; 32]) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM payload WHERE hash = ? LIMIT 1";
        let mut query = self.connection.prepare_cached(sql)?;
        Ok(query.exists([hash.as_slice()])?)
    }

    /// Rows that the filter lets through, newest first, those before `before`. The filter's text is
    /// in small letters. Past `deadline` the search is given up with [`Error::TooLong`].
    pub(super) fn list(
        &self,
        filter: &Filter,
        before: Option<RunId>,
        limit: usize,
        deadline: Instant,
    ) -> Result<Vec<Row>, Error> {
        let (sql, values) = select(filter, before);
        let mut query = self.connection.prepare_cached(&sql)?;
        let mut rows = query.query(params_from_iter(values))?;
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(row) = rows.next()?
        {
            if let Some(row) = read(row)?
                && row.passes(filter)
            {
                found.push(row);
            }
            if Instant::now() > deadline {
                return Err(Error::TooLong);
            }
        }
        Ok(found)
    }

    /// Deletes runs that are no longer kept, some at a time; answers how many.
    pub(super) fn expire(&self, retention: &Retention, now: Timestamp) -> Result<usize, Error> {
        let flows: Vec<(String, String)> = self
            .connection
            .prepare_cached("SELECT DISTINCT namespace, name FROM run")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let mut delete = self.connection.prepare_cached(
            "DELETE FROM run WHERE sequence IN (SELECT sequence FROM run \
             WHERE namespace = ?1 AND name = ?2 AND sequence < ?3 AND ended < ?4 LIMIT ?5)",
        )?;
        for (namespace, name) in flows {
            let cutoff = retention.cutoff(&namespace, &name, now);
            // What ended before began before: the index of the flow need not be read further.
            let began = sequence(RunId::compose(taraf_log::PartitionId(0), cutoff, 0));
            let deleted = delete.execute(params![
                namespace,
                name,
                began,
                cutoff.as_millis(),
                i64::try_from(DELETED_TOGETHER).unwrap_or(i64::MAX)
            ])?;
            if deleted > 0 {
                self.connection
                    .prepare_cached(
                        "DELETE FROM payload WHERE sequence NOT IN (SELECT sequence FROM run)",
                    )?
                    .execute([])?;
                return Ok(deleted);
            }
        }
        Ok(0)
    }

    /// How many runs ended how.
    pub(super) fn counts(&self) -> Result<BTreeMap<Status, u64>, Error> {
        let sql = "SELECT status, count(*) FROM run GROUP BY status";
        let mut query = self.connection.prepare_cached(sql)?;
        let mut rows = query.query([])?;
        let mut counts = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let count: i64 = row.get(1)?;
            if let Some(status) = status(row.get(0)?) {
                counts.insert(status, u64::try_from(count).unwrap_or(0));
            }
        }
        Ok(counts)
    }

    /// Whether no run is left.
    pub(super) fn is_empty(&self) -> Result<bool, Error> {
        let mut query = self
            .connection
            .prepare_cached("SELECT 1 FROM run LIMIT 1")?;
        Ok(!query.exists([])?)
    }
}

/// The statement that finds candidates by the best index, newest first.
fn select(filter: &Filter, before: Option<RunId>) -> (String, Vec<Value>) {
    let mut conditions = Vec::new();
    let mut values = Vec::new();
    let mut also = |condition: &str, value: Value| {
        conditions.push(condition.to_owned());
        values.push(value);
    };
    if let Some(before) = before {
        also("sequence < ?", Value::Blob(sequence(before).to_vec()));
    }
    if let Some(status) = filter.status {
        also("status = ?", Value::Integer(number(status)));
    }
    if let Some(flow) = &filter.flow {
        also("namespace = ?", Value::Text(flow.namespace.clone()));
        also("name = ?", Value::Text(flow.name.clone()));
    }
    if let Some(owner) = &filter.owner {
        also("owner = ?", Value::Text(owner.clone()));
    }
    if let Some(since) = filter.since {
        // The order of ids and that of records may differ by the skew; the filter is exact.
        let since = since.as_millis().saturating_sub(SKEW_MILLIS);
        let first = RunId::compose(taraf_log::PartitionId(0), Timestamp::from_millis(since), 0);
        also("sequence >= ?", Value::Blob(sequence(first).to_vec()));
    }
    let conditions = if conditions.is_empty() {
        "1".to_owned()
    } else {
        conditions.join(" AND ")
    };
    let sql = format!("SELECT {COLUMNS} FROM run WHERE {conditions} ORDER BY sequence DESC");
    (sql, values)
}

/// Reads a row; nothing when it holds what this program never wrote.
fn read(row: &SqlRow<'_>) -> Result<Option<Row>, rusqlite::Error> {
    let Some(status) = status(row.get(1)?) else {
        return Ok(None);
    };
    let block: i64 = row.get(10)?;
    Ok(Some(Row {
        id: run_at(row.get(0)?),
        status,
        namespace: row.get(2)?,
        name: row.get(3)?,
        version: row.get(4)?,
        owner: row.get(5)?,
        key: row.get(6)?,
        created: Timestamp::from_millis(row.get(7)?),
        ended: Timestamp::from_millis(row.get(8)?),
        error: row.get(9)?,
        place: (u64::try_from(block).unwrap_or(0), row.get(11)?),
    }))
}

/// SQLite's integers have a sign; a file never has that many bytes.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

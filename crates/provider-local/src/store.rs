//! What must survive: functions, secrets, namespaces, image tags and which packages are whole, in one SQLite file.
//!
//! Every write is one transaction, on disk when it returns (WAL, `synchronous=FULL`). The calls block; callers use them
//! off the runtime. Errors are SQLite's, with the cause; nothing is half written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use faas_api::{Digest, FunctionDeployment, FunctionId, FunctionNamespace, Namespace};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

/// A deployed function.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) function: FunctionId,
    pub(crate) deployment: FunctionDeployment,
    /// What runs it.
    pub(crate) package: Digest,
    /// Replicas wanted, as last deployed or scaled.
    pub(crate) replicas: u32,
    /// Grows with each deployment of the function.
    pub(crate) revision: u64,
    pub(crate) created_at: Timestamp,
}

/// The layout of the tables; a later one migrates from it.
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE functions (
        namespace TEXT NOT NULL, name TEXT NOT NULL, deployment TEXT NOT NULL, package TEXT NOT NULL,
        replicas INTEGER NOT NULL, revision INTEGER NOT NULL, created_at TEXT NOT NULL,
        PRIMARY KEY (namespace, name)) STRICT;
    CREATE TABLE namespaces (
        name TEXT PRIMARY KEY, labels TEXT NOT NULL, annotations TEXT NOT NULL) STRICT;
    CREATE TABLE secrets (
        namespace TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (namespace, name)) STRICT;
    CREATE TABLE packages (digest TEXT PRIMARY KEY, used_at INTEGER NOT NULL) STRICT;
    CREATE TABLE images (
        namespace TEXT NOT NULL, image TEXT NOT NULL, package TEXT NOT NULL,
        PRIMARY KEY (namespace, image)) STRICT;
    PRAGMA user_version = 1;";

/// An open database.
pub(crate) struct Store(Connection);

/// The open database, for callers on a runtime. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Database(Arc<Mutex<Store>>);

impl Database {
    pub(crate) fn new(store: Store) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    /// Runs `work` off the runtime, one caller after the other; `what` is being done, for the error.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Store) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, faas_provider::Error> {
        let store = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            work(&mut store.lock().unwrap_or_else(PoisonError::into_inner))
        });
        let failed = faas_provider::Error::internal::<rusqlite::Error>(what);
        done.await.map_err(faas_provider::Error::internal(what))?.map_err(failed)
    }
}

type Result<T> = std::result::Result<T, rusqlite::Error>;

impl Store {
    /// Opens the file or makes it, refusing one that a newer version wrote.
    pub(crate) fn open(path: &Path) -> std::result::Result<Self, OpenError> {
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            SCHEMA_VERSION => {}
            0 => {
                let transaction = connection.transaction()?;
                transaction.execute_batch(SCHEMA)?;
                transaction.commit()?;
            }
            newer => return Err(OpenError::Newer(newer)),
        }
        Ok(Self(connection))
    }

    pub(crate) fn functions(&self) -> Result<Vec<Record>> {
        let mut statement = self.0.prepare_cached(
            "SELECT namespace, name, deployment, package, replicas, revision, created_at FROM functions",
        )?;
        statement.query_map([], read_record)?.collect()
    }

    /// Writes a function's record, new or not, and notes that its package is used, and the one that it replaces was.
    pub(crate) fn put_function(
        &mut self,
        record: &Record,
        replaced: Option<&Digest>,
        now: Timestamp,
    ) -> Result<()> {
        let transaction = self.0.transaction()?;
        for package in [Some(&record.package), replaced].into_iter().flatten() {
            touch(&transaction, package, now)?;
        }
        insert_function(&transaction, record)?;
        transaction.commit()
    }

    pub(crate) fn set_replicas(&self, function: &FunctionId, replicas: u32) -> Result<()> {
        let mut statement =
            self.0.prepare_cached("UPDATE functions SET replicas = ?3 WHERE namespace = ?1 AND name = ?2")?;
        statement.execute(params![function.namespace.as_str(), function.name.as_str(), replicas])?;
        Ok(())
    }

    /// Removes a function; its package was used until now.
    pub(crate) fn delete_function(&mut self, record: &Record, now: Timestamp) -> Result<()> {
        let (namespace, name) = (record.function.namespace.as_str(), record.function.name.as_str());
        let transaction = self.0.transaction()?;
        touch(&transaction, &record.package, now)?;
        transaction.execute("DELETE FROM functions WHERE namespace = ?1 AND name = ?2", [namespace, name])?;
        transaction.commit()
    }

    pub(crate) fn namespaces(&self) -> Result<Vec<FunctionNamespace>> {
        let mut statement =
            self.0.prepare_cached("SELECT name, labels, annotations FROM namespaces ORDER BY name")?;
        let rows = statement.query_map([], |row| {
            Ok(FunctionNamespace {
                name: row.get(0)?,
                labels: from_json(1, &row.get::<_, String>(1)?)?,
                annotations: from_json(2, &row.get::<_, String>(2)?)?,
            })
        })?;
        rows.collect()
    }

    /// Writes a namespace, new or not.
    pub(crate) fn put_namespace(&self, namespace: &FunctionNamespace) -> Result<()> {
        self.0.execute(
            "INSERT OR REPLACE INTO namespaces (name, labels, annotations) VALUES (?1, ?2, ?3)",
            params![namespace.name, to_json(&namespace.labels)?, to_json(&namespace.annotations)?],
        )?;
        Ok(())
    }

    /// Removes a namespace with its functions, secrets and tags, all or nothing.
    pub(crate) fn delete_namespace(&mut self, namespace: &Namespace, now: Timestamp) -> Result<()> {
        let transaction = self.0.transaction()?;
        transaction.execute(
            "UPDATE packages SET used_at = ?2
             WHERE digest IN (SELECT package FROM functions WHERE namespace = ?1)",
            params![namespace.as_str(), now.as_second()],
        )?;
        for table in ["functions", "secrets", "images"] {
            transaction
                .execute(&format!("DELETE FROM {table} WHERE namespace = ?1"), [namespace.as_str()])?;
        }
        transaction.execute("DELETE FROM namespaces WHERE name = ?1", [namespace.as_str()])?;
        transaction.commit()
    }

    pub(crate) fn secret_names(&self, namespace: &Namespace) -> Result<Vec<String>> {
        let mut statement =
            self.0.prepare_cached("SELECT name FROM secrets WHERE namespace = ?1 ORDER BY name")?;
        statement.query_map([namespace.as_str()], |row| row.get(0))?.collect()
    }

    pub(crate) fn secret(&self, namespace: &Namespace, name: &str) -> Result<Option<Vec<u8>>> {
        let mut statement =
            self.0.prepare_cached("SELECT value FROM secrets WHERE namespace = ?1 AND name = ?2")?;
        statement.query_row(params![namespace.as_str(), name], |row| row.get(0)).optional()
    }

    /// Writes a secret, new or not.
    pub(crate) fn put_secret(&self, namespace: &Namespace, name: &str, value: &[u8]) -> Result<()> {
        self.0.execute(
            "INSERT OR REPLACE INTO secrets (namespace, name, value) VALUES (?1, ?2, ?3)",
            params![namespace.as_str(), name, value],
        )?;
        Ok(())
    }

    /// Whether there was one to remove.
    pub(crate) fn delete_secret(&self, namespace: &Namespace, name: &str) -> Result<bool> {
        let removed = self.0.execute(
            "DELETE FROM secrets WHERE namespace = ?1 AND name = ?2",
            params![namespace.as_str(), name],
        )?;
        Ok(removed > 0)
    }

    /// Notes that a package is whole, or that something used it just now.
    pub(crate) fn touch_package(&self, digest: &Digest, now: Timestamp) -> Result<()> {
        touch(&self.0, digest, now)
    }

    pub(crate) fn packages(&self) -> Result<Vec<Digest>> {
        let mut statement = self.0.prepare_cached("SELECT digest FROM packages")?;
        statement.query_map([], |row| read_digest(row, 0))?.collect()
    }

    /// Forgets the packages that no function runs and nothing has used for `untagged`, or for `tagged` while a tag names
    /// them, less those that are `running`; returns them.
    pub(crate) fn forget_unused_packages(
        &mut self,
        now: Timestamp,
        untagged: Duration,
        tagged: Duration,
        running: &[Digest],
    ) -> Result<Vec<Digest>> {
        let before = |age: Duration| now.as_second() - i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        let transaction = self.0.transaction()?;
        let mut unused: Vec<Digest> = transaction
            .prepare_cached(
                "SELECT digest FROM packages WHERE digest NOT IN (SELECT package FROM functions)
                 AND (used_at <= ?2 OR (used_at <= ?1 AND digest NOT IN (SELECT package FROM images)))
                 ORDER BY digest",
            )?
            .query_map(params![before(untagged), before(tagged)], |row| read_digest(row, 0))?
            .collect::<Result<_>>()?;
        unused.retain(|digest| !running.contains(digest));
        for digest in &unused {
            transaction.execute("DELETE FROM packages WHERE digest = ?1", [digest.to_string()])?;
            transaction.execute("DELETE FROM images WHERE package = ?1", [digest.to_string()])?;
        }
        transaction.commit()?;
        Ok(unused)
    }

    /// Writes what an image's name stands for, new or not.
    pub(crate) fn put_image(
        &mut self,
        namespace: &Namespace,
        image: &str,
        package: &Digest,
        now: Timestamp,
    ) -> Result<()> {
        let transaction = self.0.transaction()?;
        touch(&transaction, package, now)?;
        transaction.execute(
            "INSERT OR REPLACE INTO images (namespace, image, package) VALUES (?1, ?2, ?3)",
            params![namespace.as_str(), image, package.to_string()],
        )?;
        transaction.commit()
    }

    pub(crate) fn image(&self, namespace: &Namespace, image: &str) -> Result<Option<Digest>> {
        let mut statement =
            self.0.prepare_cached("SELECT package FROM images WHERE namespace = ?1 AND image = ?2")?;
        statement.query_row(params![namespace.as_str(), image], |row| read_digest(row, 0)).optional()
    }
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite's own reason.
    #[error("failed to open the database")]
    Sqlite(#[from] rusqlite::Error),
    /// Its layout is not known here.
    #[error("a newer version of faas wrote it (layout {0}): run that version, or use another data directory")]
    Newer(i64),
}

fn insert_function(connection: &Connection, record: &Record) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO functions
             (namespace, name, deployment, package, replicas, revision, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    statement.execute(params![
        record.function.namespace.as_str(),
        record.function.name.as_str(),
        to_json(&record.deployment)?,
        record.package.to_string(),
        record.replicas,
        i64::try_from(record.revision).unwrap_or(i64::MAX),
        record.created_at.to_string(),
    ])?;
    Ok(())
}

fn touch(connection: &Connection, package: &Digest, now: Timestamp) -> Result<()> {
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO packages (digest, used_at) VALUES (?1, ?2)")?;
    statement.execute(params![package.to_string(), now.as_second()])?;
    Ok(())
}

fn read_record(row: &Row<'_>) -> Result<Record> {
    let revision: i64 = row.get(5)?;
    Ok(Record {
        function: FunctionId::new(parse(1, &row.get::<_, String>(1)?)?, parse(0, &row.get::<_, String>(0)?)?),
        deployment: from_json(2, &row.get::<_, String>(2)?)?,
        package: read_digest(row, 3)?,
        replicas: row.get(4)?,
        revision: revision.unsigned_abs(),
        created_at: parse(6, &row.get::<_, String>(6)?)?,
    })
}

fn read_digest(row: &Row<'_>, column: usize) -> Result<Digest> {
    parse(column, &row.get::<_, String>(column)?)
}

fn parse<T>(column: usize, text: &str) -> Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse().map_err(|error| unreadable(column, error))
}

fn from_json<T: serde::de::DeserializeOwned>(column: usize, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

/// A namespace marked as ours, both ways that peers mark them.
pub(crate) fn marked(mut namespace: FunctionNamespace) -> FunctionNamespace {
    for notes in [&mut namespace.labels, &mut namespace.annotations] {
        notes.insert(faas_api::labels::NAMESPACE.into(), "1".into());
    }
    namespace
}

/// The default namespace as it is made at first start.
pub(crate) fn default_namespace(name: &Namespace) -> FunctionNamespace {
    marked(FunctionNamespace {
        name: name.to_string(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, package: &Digest) -> Record {
        Record {
            function: FunctionId::parse(name, &Namespace::default()).unwrap(),
            deployment: FunctionDeployment { service: name.into(), ..FunctionDeployment::default() },
            package: package.clone(),
            replicas: 2,
            revision: 7,
            created_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("faas.db")).unwrap();
        (folder, store)
    }

    #[test]
    fn what_is_written_is_read_after_reopening() {
        let (folder, mut store) = store();
        let written = record("f", &Digest::from_bytes(&[1; 32]));
        store.put_function(&written, None, at(0)).unwrap();
        store.put_secret(&Namespace::default(), "s", b"\0value").unwrap();
        drop(store);
        let store = Store::open(&folder.path().join("faas.db")).unwrap();
        let read = store.functions().unwrap().pop().unwrap();
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
        assert_eq!(store.secret(&Namespace::default(), "s").unwrap().unwrap(), b"\0value");
    }

    #[test]
    fn a_newer_layout_is_refused() {
        let (folder, store) = store();
        store.0.pragma_update(None, "user_version", 99).unwrap();
        drop(store);
        assert!(matches!(Store::open(&folder.path().join("faas.db")), Err(OpenError::Newer(99))));
    }

    #[test]
    fn only_packages_that_nothing_uses_are_forgotten() {
        let (_folder, mut store) = store();
        let digest = |byte| Digest::from_bytes(&[byte; 32]);
        let namespace = Namespace::default();
        for (byte, used_at) in [(1, 0), (2, 0), (3, 0), (4, 100), (5, 0)] {
            store.touch_package(&digest(byte), at(used_at)).unwrap();
        }
        store.put_function(&record("f", &digest(1)), None, at(0)).unwrap();
        store.put_image(&namespace, "g:latest", &digest(2), at(0)).unwrap();
        let (untagged, tagged) = (Duration::from_secs(10), Duration::from_secs(1000));
        let forgotten = |store: &mut Store, now| {
            store.forget_unused_packages(at(now), untagged, tagged, &[digest(5)]).unwrap()
        };
        assert_eq!(forgotten(&mut store, 100), [digest(3)]);
        assert_eq!(forgotten(&mut store, 1100), [digest(2), digest(4)]);
        assert!(store.image(&namespace, "g:latest").unwrap().is_none());
        assert_eq!(store.packages().unwrap(), [digest(1), digest(5)], "one is deployed, one still runs");
    }

    #[test]
    fn a_namespace_goes_with_all_that_is_in_it() {
        let (_folder, mut store) = store();
        let dev: Namespace = "dev".parse().unwrap();
        store.put_namespace(&default_namespace(&dev)).unwrap();
        store.put_secret(&dev, "s", b"x").unwrap();
        store.put_function(&record("f.dev", &Digest::from_bytes(&[1; 32])), None, at(0)).unwrap();
        store.delete_namespace(&dev, at(1)).unwrap();
        assert!(store.functions().unwrap().is_empty() && store.namespaces().unwrap().is_empty());
        assert!(store.secret_names(&dev).unwrap().is_empty());
    }
}

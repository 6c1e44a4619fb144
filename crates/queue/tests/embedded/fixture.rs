//! What tests of the engine share.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use faas_api::{FunctionId, Namespace};
use faas_queue::{Body, CallId, Job};
use futures_util::TryStreamExt as _;
use jiff::Timestamp;

pub(crate) fn function(name: &str) -> FunctionId {
    FunctionId::parse(name, &Namespace::default()).unwrap()
}

pub(crate) fn id(name: &str) -> CallId {
    name.parse().unwrap()
}

/// A job as a gateway would write it.
pub(crate) fn job(name: &str, function: &FunctionId) -> Job {
    Job {
        id: id(name),
        fresh: false,
        function: function.clone(),
        method: "POST".into(),
        path: String::new(),
        query: format!("name={name}"),
        host: "127.0.0.1:8080".into(),
        headers: vec![("Content-Type".into(), "application/octet-stream".into())],
        callback: None,
        annotations: BTreeMap::new(),
        accepted_at: Timestamp::now(),
    }
}

pub(crate) async fn read(body: Body) -> std::io::Result<Bytes> {
    match body {
        Body::Whole(bytes) => Ok(bytes),
        Body::Stream(stream) => Ok(stream.try_collect::<Vec<_>>().await?.concat().into()),
    }
}

/// Splitmix64: the same numbers for the same seed, everywhere.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }

    pub(crate) fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.roll(of.len())) }
    }
}

/// What a killed process leaves on disk: the files as they are. The log before the file, since the file only changes
/// when the log is copied into it, and the index of the log is not needed.
pub(crate) fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("bodies")).unwrap();
    for name in ["queue.db-wal", "queue.db"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
    for entry in std::fs::read_dir(from.join("bodies")).unwrap() {
        let entry = entry.unwrap();
        let _ = std::fs::copy(entry.path(), to.join("bodies").join(entry.file_name()));
    }
}

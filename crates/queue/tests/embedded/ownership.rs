//! Who may open a queue, and what an earlier process left beside it.

use std::fs;

use bytes::Bytes;
use faas_queue::embedded::{Embedded, OpenError};
use faas_queue::{Body, Error, Queue, Record, Settings, Then};
use futures_util::{StreamExt as _, stream};
use tempfile::TempDir;

use crate::fixture::{function, id, job, read};

const LARGE: usize = 2 << 20;

fn files(folder: &TempDir) -> usize {
    fs::read_dir(folder.path().join("bodies")).unwrap().count()
}

#[tokio::test]
async fn a_second_process_is_told_which_lock_is_held() {
    let folder = TempDir::new().unwrap();
    let queue = Embedded::open(folder.path(), Settings::default()).unwrap();
    let lock = folder.path().join("queue.lock");
    let Err(error) = Embedded::open(folder.path(), Settings::default()) else {
        panic!("it was opened twice")
    };
    assert!(matches!(&error, OpenError::Locked { path } if *path == lock), "{error}");
    assert!(error.to_string().contains("queue.lock"), "{error}");
    queue.append(job("one", &function("echo")), Body::Whole(Bytes::new())).await.unwrap();
    drop(queue);
    let queue = Embedded::open(folder.path(), Settings::default()).unwrap();
    assert!(queue.find(&id("one")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let folder = TempDir::new().unwrap();
    drop(Embedded::open(folder.path(), Settings::default()).unwrap());
    let path = folder.path().join("queue.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 7).unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    let opened = Embedded::open(folder.path(), Settings::default());
    assert!(matches!(opened, Err(OpenError::Newer { found: 7, .. })));
    assert!(fs::read(&path).unwrap() == before, "the file was changed");
}

#[tokio::test]
async fn bodies_that_no_job_names_are_removed_at_start() {
    let (folder, echo) = (TempDir::new().unwrap(), function("echo"));
    let queue = Embedded::open(folder.path(), Settings::default()).unwrap();
    let large = Bytes::from(vec![b'x'; LARGE]);
    queue.append(job("one", &echo), Body::Whole(large.clone())).await.unwrap();
    drop(queue);
    for name in ["0123456789abcdef-0", "0123456789abcdef-1", "anything"] {
        fs::write(folder.path().join("bodies").join(name), "left").unwrap();
    }
    let queue = Embedded::open(folder.path(), Settings::default()).unwrap();
    assert_eq!(files(&folder), 1, "of four files one is a job's");
    let taken = queue.take(&echo, 1).await.unwrap().pop().unwrap();
    assert!(read(taken.body).await.unwrap() == large);
}

#[tokio::test]
async fn files_go_with_their_jobs_and_with_requests_that_are_refused() {
    let (folder, echo) = (TempDir::new().unwrap(), function("echo"));
    let queue = Embedded::open(folder.path(), Settings::default()).unwrap();
    let large = || Body::Whole(Bytes::from(vec![b'x'; LARGE]));
    for name in ["done", "cancelled", "dead"] {
        queue.append(job(name, &echo), large()).await.unwrap();
    }
    assert!(matches!(queue.append(job("done", &echo), large()).await, Err(Error::Exists(_))));
    let start = Bytes::from(vec![b'x'; LARGE]);
    let broken = stream::iter([Ok(start), Err(std::io::Error::other("gone"))]).boxed();
    assert!(matches!(queue.append(job("broken", &echo), Body::Stream(broken)).await, Err(Error::Body(_))));
    assert_eq!(files(&folder), 3);
    let taken = queue.take(&echo, 1).await.unwrap().pop().unwrap();
    queue.keep_result(&taken.lease, large()).await.unwrap();
    queue.keep_result(&taken.lease, large()).await.unwrap();
    assert_eq!(files(&folder), 4, "the first result's file is gone");
    queue.settle(&taken.lease, &Record::default(), Then::Done).await.unwrap();
    assert_eq!(files(&folder), 3, "the body's file is gone, the result's is kept");
    queue.cancel(&id("cancelled")).await.unwrap();
    let taken = queue.take(&echo, 1).await.unwrap().pop().unwrap();
    queue.settle(&taken.lease, &Record::default(), Then::Dead).await.unwrap();
    assert_eq!(files(&folder), 2);
    assert_eq!(queue.purge(&echo, faas_queue::Shelf::Dead).await.unwrap(), 1);
    assert_eq!(files(&folder), 1);
}

#[tokio::test]
async fn a_body_whose_file_is_gone_breaks_off_and_the_job_can_be_settled() {
    let (folder, echo) = (TempDir::new().unwrap(), function("echo"));
    let queue = Embedded::open(folder.path(), Settings::default()).unwrap();
    queue.append(job("one", &echo), Body::Whole(Bytes::from(vec![b'x'; LARGE]))).await.unwrap();
    for entry in fs::read_dir(folder.path().join("bodies")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let taken = queue.take(&echo, 1).await.unwrap().pop().unwrap();
    assert!(read(taken.body).await.is_err());
    queue.settle(&taken.lease, &Record::default(), Then::Dead).await.unwrap();
}

//! A disk that is full: nothing is accepted that is not kept, and all goes on when there is room.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use bytes::Bytes;
use faas_queue::embedded::Embedded;
use faas_queue::{Body, Error, Queue, Record, Settings, Then};
use tempfile::TempDir;

use crate::fixture::{function, id, job, read};

/// A file system of 16 MiB in memory.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where only root may mount.
    fn mount() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(folder.path());
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// Leaves room for 2 MiB.
fn fill(path: &Path) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    let block = [0; 4096];
    while io::Write::write_all(&mut file, &block).is_ok() {}
    file.set_len(file.metadata()?.len().saturating_sub(2 << 20))
}

fn is_unavailable<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Unavailable { .. }))
}

#[tokio::test]
async fn a_full_disk_refuses_jobs_until_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: only root can mount a small file system");
        return;
    };
    let (queue, echo) = (Embedded::open(disk.path(), Settings::default()).unwrap(), function("echo"));
    let (filler, body) = (disk.path().join("filler"), Bytes::from(vec![b'x'; 20_000]));
    let mut accepted = Vec::new();
    for round in 0..3 {
        fill(&filler).unwrap();
        let mut refused = 0;
        for number in 0..500 {
            let name = format!("job-{round}-{number}");
            let appended = queue.append(job(&name, &echo), Body::Whole(body.clone())).await;
            if is_unavailable(&appended) {
                refused += 1;
            } else {
                appended.unwrap();
                accepted.push(name);
            }
        }
        assert!(refused > 0, "round {round}: the disk was never full");
        assert!(!accepted.is_empty(), "round {round}: nothing was accepted while there was room");
        let large = Body::Whole(Bytes::from(vec![b'x'; 1 << 20]));
        assert!(is_unavailable(&queue.append(job("large", &echo), large).await));
        fs::remove_file(&filler).unwrap();
        recovers(&queue, round).await;
    }
    drop(queue);
    let queue = Embedded::open(disk.path(), Settings::default()).unwrap();
    for name in &accepted {
        assert!(queue.find(&id(name)).await.unwrap().is_some(), "{name} was accepted and is lost");
    }
    let mut served = 0;
    while let Some(taken) = queue.take(&echo, 1).await.unwrap().pop() {
        assert!(read(taken.body).await.unwrap() == body);
        queue.settle(&taken.lease, &Record::default(), Then::Done).await.unwrap();
        served += 1;
    }
    assert_eq!(served, accepted.len());
    println!("{served} jobs were accepted in 3 rounds on a full disk, and served");
}

/// By itself: whoever asks again is answered.
async fn recovers(queue: &Embedded, round: usize) {
    let other = function("other");
    for _ in 0..600 {
        let name = format!("after-{round}");
        if queue.append(job(&name, &other), Body::Whole(Bytes::new())).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("there is room, and nothing is accepted");
}

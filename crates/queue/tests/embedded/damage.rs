//! Files that are not as they were written: pages flipped, overwritten or cut off. Whatever the damage, the queue opens,
//! serves what is whole, byte for byte, and goes on; what was damaged is set aside.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::Bytes;
use faas_queue::embedded::{Clock, Embedded, Options};
use faas_queue::{Body, Queue, Record, Settings, Then};
use tempfile::TempDir;

use crate::fixture::{Dice, copy_files, function, id, job, read};

const JOBS: usize = 400;
const PAGE: u64 = 4096;

fn open(folder: &Path) -> Embedded {
    let options = Options { clock: Clock::default(), sync: false };
    Embedded::open_with(folder, Settings::default(), options).unwrap()
}

/// From 100 bytes to beyond a few pages, different for each job.
fn body(number: usize) -> Bytes {
    let size = 100 + number * number % 9_000;
    (0..size).map(|at| (at.wrapping_mul(31) ^ number).to_le_bytes()[0]).collect::<Vec<_>>().into()
}

/// Jobs of four functions in a closed file, so that all are in it and none in its log.
async fn fill(folder: &Path) {
    let queue = open(folder);
    for number in 0..JOBS {
        let job = job(&format!("job-{number}"), &function(&format!("f{}", number % 4)));
        queue.append(job, Body::Whole(body(number))).await.unwrap();
    }
    // What is gone leaves free pages.
    for number in 0..50 {
        let job = job(&format!("gone-{number}"), &function("gone"));
        queue.append(job, Body::Whole(body(number * 3))).await.unwrap();
    }
    while let Some(taken) = queue.take(&function("gone"), 1).await.unwrap().pop() {
        queue.settle(&taken.lease, &Record::default(), Then::Done).await.unwrap();
    }
}

/// Serves all that there is to serve, and says how many.
async fn serve(folder: &Path, damage: &str) -> usize {
    let mut served = BTreeSet::new();
    {
        let queue = open(folder);
        for name in ["f0", "f1", "f2", "f3"].map(function) {
            loop {
                let taken = queue.take(&name, 10).await.unwrap_or_else(|error| panic!("{damage}: {error:?}"));
                if taken.is_empty() {
                    break;
                }
                for taken in taken {
                    let number = taken.job.id.as_str().strip_prefix("job-").unwrap().parse().unwrap();
                    assert_eq!(taken.job.function, name, "{damage}");
                    assert!(
                        read(taken.body).await.unwrap() == body(number),
                        "{damage}: job {number} differs"
                    );
                    let settled = queue.settle(&taken.lease, &Record::default(), Then::Done).await;
                    if settled.is_ok() {
                        assert!(served.insert(number), "{damage}: job {number} was served twice");
                    }
                }
            }
        }
        queue.append(job("new", &function("f0")), Body::Whole("new".into())).await.unwrap();
        assert!(
            queue.depths().await.unwrap().iter().map(|depth| depth.waiting).sum::<u64>() >= 1,
            "{damage}"
        );
    }
    let queue = open(folder);
    assert!(queue.find(&id("new")).await.unwrap().is_some(), "{damage}: what came later is gone");
    served.len()
}

fn set_aside(folder: &Path) -> bool {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.into_iter().any(|name| name.to_string_lossy().starts_with("queue.db.corrupt-"))
}

/// Up to three pages at random are changed: a bit, a part, or the whole.
fn damage_pages(path: &Path, dice: &mut Dice) -> String {
    let file = File::options().write(true).read(true).open(path).unwrap();
    let pages = file.metadata().unwrap().len() / PAGE;
    let mut done = Vec::new();
    for _ in 0..=dice.roll(3) {
        let page = dice.roll(usize::try_from(pages).unwrap()) as u64;
        let (at, many) = match dice.roll(3) {
            0 => (dice.roll(4096) as u64, 1),
            1 => (512 * dice.roll(8) as u64, 512),
            _ => (0, 4096),
        };
        let mut bytes = vec![0; many];
        file.read_exact_at(&mut bytes, page * PAGE + at).unwrap();
        let mask = [0xFF, 1 << dice.roll(8), 0x55][dice.roll(3)];
        for byte in &mut bytes {
            *byte ^= mask;
        }
        file.write_all_at(&bytes, page * PAGE + at).unwrap();
        done.push((page, at, many, mask));
    }
    format!("of {pages} pages {done:?}")
}

#[tokio::test]
async fn flipped_pages_cost_what_lay_in_them_and_no_more() {
    let (whole, rounds) = (TempDir::new().unwrap(), 40);
    fill(whole.path()).await;
    let (mut served, mut aside, mut dice) = (0, 0, Dice(7));
    for _ in 0..rounds {
        let folder = TempDir::new().unwrap();
        copy_files(whole.path(), folder.path());
        let damage = damage_pages(&folder.path().join("queue.db"), &mut dice);
        let here = serve(folder.path(), &damage).await;
        assert!(here >= JOBS / 2, "{damage}: only {here} of {JOBS} were served");
        served += here;
        aside += usize::from(set_aside(folder.path()));
    }
    println!(
        "{rounds} files of {JOBS} accepted jobs: {served} of {} served, {aside} set aside",
        rounds * JOBS
    );
    assert!(served >= rounds * JOBS * 9 / 10, "{served} of {}", rounds * JOBS);
    assert!(aside > rounds / 2, "damage was noticed in {aside} of {rounds} files only");
}

#[tokio::test]
async fn a_file_that_was_cut_off_serves_what_is_left() {
    let whole = TempDir::new().unwrap();
    fill(whole.path()).await;
    let size = fs::metadata(whole.path().join("queue.db")).unwrap().len();
    let mut lengths = vec![0, 1, 99, 100, 511, 4095, 4096, 4097, 8192, size - 1, size - 4096];
    lengths.extend((1..20).map(|part| size * part / 20));
    let mut report = Vec::new();
    for length in lengths {
        let folder = TempDir::new().unwrap();
        copy_files(whole.path(), folder.path());
        let file = File::options().write(true).open(folder.path().join("queue.db")).unwrap();
        file.set_len(length).unwrap();
        drop(file);
        let served = serve(folder.path(), &format!("cut to {length} of {size}")).await;
        report.push(format!("{}%: {served}", length * 100 / size));
        assert!(length + 8192 < size || served > JOBS * 9 / 10, "only {served} of {JOBS} were served");
    }
    println!("of {JOBS} accepted jobs were served, with so much of the file left: {}", report.join(", "));
}

#[tokio::test]
async fn a_log_that_is_damaged_in_the_middle_is_set_aside() {
    let (running, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let queue = open(running.path());
    for number in 0..JOBS {
        let job = job(&format!("job-{number}"), &function(&format!("f{}", number % 4)));
        queue.append(job, Body::Whole(body(number))).await.unwrap();
    }
    // As a killed process leaves it: every job is in the log.
    copy_files(running.path(), folder.path());
    assert!(log_is_untouched(folder.path()).await, "a whole log was set aside");
    let file = File::options().write(true).open(folder.path().join("queue.db-wal")).unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    file.write_all_at(&[0xA5; 100], middle).unwrap();
    let served = serve(folder.path(), "the log").await;
    println!("{served} of {JOBS} accepted jobs were served, the log was damaged in the middle");
    assert!(served > JOBS / 4 && served < JOBS, "{served}");
    assert!(set_aside(folder.path()), "nothing was set aside");
}

#[tokio::test]
async fn jobs_in_the_log_of_a_file_that_is_empty_are_served() {
    let (running, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let queue = open(running.path());
    for number in 0..JOBS {
        let job = job(&format!("job-{number}"), &function(&format!("f{}", number % 4)));
        queue.append(job, Body::Whole(body(number))).await.unwrap();
    }
    copy_files(running.path(), folder.path());
    File::options().write(true).open(folder.path().join("queue.db")).unwrap().set_len(0).unwrap();
    assert_eq!(serve(folder.path(), "an empty file").await, JOBS);
    assert!(set_aside(folder.path()), "nothing was set aside");
}

/// SQLite does not look at what a column holds: each place where the function's name stands is tried by itself, in the
/// table and in each of its indexes.
#[tokio::test]
async fn a_name_that_is_no_text_any_more_is_damage() {
    let whole = TempDir::new().unwrap();
    fill(whole.path()).await;
    let bytes = fs::read(whole.path().join("queue.db")).unwrap();
    let name = function("f1").to_string();
    let found = bytes.windows(name.len()).enumerate().filter(|(_, seen)| *seen == name.as_bytes());
    let pages: std::collections::BTreeMap<usize, usize> = found.map(|(at, _)| (at / 4096, at)).collect();
    assert!(pages.len() > 4, "{pages:?}");
    for at in pages.into_values() {
        let folder = TempDir::new().unwrap();
        copy_files(whole.path(), folder.path());
        let file = File::options().write(true).open(folder.path().join("queue.db")).unwrap();
        file.write_all_at(&[bytes[at] | 0x80], at as u64).unwrap();
        let served = serve(folder.path(), &format!("a letter at {at}")).await;
        assert!(served >= JOBS - 1, "only {served} of {JOBS} were served, a letter at {at} changed");
    }
}

async fn log_is_untouched(folder: &Path) -> bool {
    let again = TempDir::new().unwrap();
    copy_files(folder, again.path());
    let served = serve(again.path(), "nothing").await;
    served == JOBS && !set_aside(again.path())
}

#[tokio::test]
async fn damage_under_an_open_queue_is_mended_while_it_runs() {
    let folder = TempDir::new().unwrap();
    fill(folder.path()).await;
    let queue = open(folder.path());
    let (path, mut served) = (folder.path().join("queue.db"), 0);
    let file = File::options().write(true).open(&path).unwrap();
    let pages = file.metadata().unwrap().len() / PAGE;
    for page in pages / 2..pages / 2 + 20 {
        file.write_all_at(&[0xA5; 4096], page * PAGE).unwrap();
    }
    for name in ["f0", "f1", "f2", "f3"].map(function) {
        while let Some(taken) = queue.take(&name, 1).await.unwrap().pop() {
            queue.settle(&taken.lease, &Record::default(), Then::Done).await.unwrap();
            served += 1;
        }
    }
    println!("{served} of {JOBS} accepted jobs were served, 20 of {pages} pages were overwritten");
    assert!(served > JOBS / 2, "{served}");
    assert!(set_aside(folder.path()), "nothing was set aside");
}

#[tokio::test]
async fn a_salvage_that_was_killed_is_finished_at_the_next_start() {
    let folder = TempDir::new().unwrap();
    fill(folder.path()).await;
    let path = folder.path().join("queue.db");
    // Killed after the damaged file was moved away, and before the new one had its name.
    fs::rename(&path, folder.path().join("queue.db.salvage")).unwrap();
    fs::write(folder.path().join("queue.db-wal"), [0x37; 8192]).unwrap();
    assert_eq!(serve(folder.path(), "a salvage that was killed").await, JOBS);
}

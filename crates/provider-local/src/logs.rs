//! What replicas write, kept in files and handed to those who follow.
//!
//! `logs/NAMESPACE/NAME/INSTANCE.log`, a line each: RFC 3339 time, a space, the text. Bounded: a line is cut at
//! [`LINE_BYTES`], a replica's file is rotated once at [`FILE_BYTES`], the files of [`INSTANCES`] replicas that ended are kept, so
//! that the traceback of one that died can still be read. A follower that falls [`BEHIND`] lines back is told how many
//! it missed. Writing goes to the page cache from the task that reads the pipe; lines that are read together are
//! written together.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead as _, Write as _};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use faas_api::{FunctionId, LogMessage, Namespace};
use faas_provider::{Error, LogQuery};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use jiff::Timestamp;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

/// The longest line that is kept whole.
const LINE_BYTES: usize = 64 << 10;
/// A file is moved to `.log.1`, over the one there, at this size.
const FILE_BYTES: u64 = 1 << 20;
/// Replicas of a function that have ended and whose files are kept.
const INSTANCES: usize = 5;
/// A traceback's worth.
const LAST_LINES: Option<NonZeroU64> = NonZeroU64::new(20);
/// Lines that wait for a slow follower.
const BEHIND: usize = 1024;
/// Lines that are written together at most. Fewer than the runtime lets a follower take in one turn.
const TOGETHER: usize = 64;

/// The logs of one data directory.
pub(crate) struct Logs {
    root: PathBuf,
    functions: Mutex<HashMap<FunctionId, broadcast::Sender<LogMessage>>>,
    /// Files of replicas that run: these are not the ones to forget.
    open: Mutex<HashSet<PathBuf>>,
}

impl Logs {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { root: data_dir.join("logs"), functions: Mutex::default(), open: Mutex::default() }
    }

    fn folder(&self, function: &FunctionId) -> PathBuf {
        self.root.join(function.namespace.as_str()).join(function.name.as_str())
    }

    /// Reads a replica's output, in a task that ends when every holder of the pipe's other end has closed it.
    pub(crate) fn collect(
        self: &Arc<Self>,
        function: &FunctionId,
        instance: &str,
        output: OwnedFd,
    ) -> io::Result<JoinHandle<()>> {
        let mut output = BufReader::new(pipe::Receiver::from_owned_fd(output)?);
        let mut writer = self.writer(function, instance)?;
        self.open().insert(writer.path.clone());
        let logs = Arc::clone(self);
        let function = function.clone();
        Ok(tokio::spawn(async move {
            let mut lines = Vec::new();
            while let Ok(true) = read_lines(&mut output, &mut lines).await {
                logs.write(&mut writer, &function, &lines);
                lines.clear();
                if !output.buffer().is_empty() {
                    tokio::task::yield_now().await;
                }
            }
            logs.open().remove(&writer.path);
        }))
    }

    /// A replica's last words: at most [`LAST_LINES`], for a person who asks why it ended.
    pub(crate) async fn last_words(&self, function: &FunctionId, instance: &str) -> String {
        let query = LogQuery {
            function: function.clone(),
            instance: Some(instance.to_owned()),
            tail: LAST_LINES,
            since: None,
            follow: false,
        };
        match self.read(query).await {
            Ok(lines) => lines.map(|line| line.text).collect().await,
            Err(_) => String::new(),
        }
    }

    /// Adds the platform's own words to a replica's log.
    pub(crate) fn append(&self, function: &FunctionId, instance: &str, text: &str) {
        if let Ok(mut writer) = self.writer(function, instance) {
            self.write(&mut writer, function, text.as_bytes());
        }
    }

    /// Into the file first: who begins to follow in between finds the lines there.
    fn write(&self, writer: &mut Writer, function: &FunctionId, lines: &[u8]) {
        let (text, now) = (String::from_utf8_lossy(lines), Timestamp::now());
        let lines = || stamped(&text, now);
        if !writer.broken
            && let Err(error) = writer.write(lines())
        {
            // Once a replica: it may be the handler that fills the disk, or its function may be gone.
            writer.broken = true;
            tracing::warn!(%function, %error, "failed to write a replica's log, which ends here");
        }
        let followers = self.lock().get(function).cloned();
        if let Some(followers) = followers {
            for (timestamp, line) in lines() {
                // No follower is no error.
                let _ = followers.send(message(function, &writer.instance, timestamp, line));
            }
        }
    }

    fn writer(&self, function: &FunctionId, instance: &str) -> io::Result<Writer> {
        let folder = self.folder(function);
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{instance}.log"));
        if !path.exists() {
            forget_oldest(&folder, &self.open())?;
        }
        Writer::open(path, instance)
    }

    /// Removes what a function's replicas wrote, and lets its followers go.
    pub(crate) fn remove(&self, function: &FunctionId) {
        self.lock().remove(function);
        let _ = fs::remove_dir_all(self.folder(function));
    }

    /// The same for all functions of a namespace.
    pub(crate) fn remove_namespace(&self, namespace: &Namespace) {
        self.lock().retain(|function, _| function.namespace != *namespace);
        let _ = fs::remove_dir_all(self.root.join(namespace.as_str()));
    }

    /// Lines as asked, oldest first; with `follow` those to come, none missing and none twice between the two.
    pub(crate) async fn read(&self, query: LogQuery) -> Result<BoxStream<'static, LogMessage>, Error> {
        let followed = query.follow.then(|| self.subscribe(&query.function));
        let folder = self.folder(&query.function);
        let (past, query) = tokio::task::spawn_blocking(move || (read_past(&folder, &query), query))
            .await
            .map_err(Error::internal("read the logs"))?;
        let past = past.map_err(Error::internal("read the logs"))?;
        let last: HashMap<_, _> =
            past.iter().map(|message| (message.instance.clone(), message.timestamp)).collect();
        let past = stream::iter(past);
        Ok(match followed {
            Some(receiver) => past.chain(to_come(receiver, query, last)).boxed(),
            None => past.boxed(),
        })
    }

    fn subscribe(&self, function: &FunctionId) -> broadcast::Receiver<LogMessage> {
        let mut functions = self.lock();
        functions.retain(|_, followers| followers.receiver_count() > 0);
        functions.entry(function.clone()).or_insert_with(|| broadcast::Sender::new(BEHIND)).subscribe()
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<FunctionId, broadcast::Sender<LogMessage>>> {
        self.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One replica's file.
struct Writer {
    instance: String,
    path: PathBuf,
    file: File,
    bytes: u64,
    broken: bool,
}

impl Writer {
    fn open(path: PathBuf, instance: &str) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { instance: instance.to_owned(), path, file, bytes, broken: false })
    }

    fn write<'a>(&mut self, lines: impl Iterator<Item = (Timestamp, &'a str)>) -> io::Result<()> {
        if self.bytes >= FILE_BYTES {
            fs::rename(&self.path, rotated(&self.path))?;
            *self = Self::open(std::mem::take(&mut self.path), &self.instance)?;
        }
        let mut text = Vec::new();
        for (timestamp, line) in lines {
            writeln!(text, "{timestamp} {line}")?;
        }
        self.bytes += text.len() as u64;
        self.file.write_all(&text)
    }
}

/// Each line with a time of its own: by it a follower tells what it has read from the file.
fn stamped(lines: &str, now: Timestamp) -> impl Iterator<Item = (Timestamp, &str)> {
    let times = (now.as_nanosecond()..).map(move |time| Timestamp::from_nanosecond(time).unwrap_or(now));
    times.zip(lines.split_inclusive('\n').map(|line| line.trim_end_matches('\n')))
}

fn message(function: &FunctionId, instance: &str, timestamp: Timestamp, line: &str) -> LogMessage {
    LogMessage {
        name: function.name.to_string(),
        namespace: function.namespace.to_string(),
        instance: instance.to_owned(),
        timestamp,
        text: format!("{line}\n"),
    }
}

fn rotated(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// The next lines, at most [`TOGETHER`] of those at hand; one without an end is cut at the bound, and what is beyond it becomes a line
/// of its own. False at the end.
async fn read_lines(reader: &mut (impl AsyncBufRead + Unpin), lines: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let bytes = reader.fill_buf().await?;
        if bytes.is_empty() {
            return Ok(!lines.is_empty());
        }
        let room = &bytes[..bytes.len().min(LINE_BYTES - lines.len())];
        let ends = room.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let end = ends.take(TOGETHER).last().map(|(index, _)| index + 1);
        let taken = end.unwrap_or(room.len());
        lines.extend_from_slice(&room[..taken]);
        reader.consume(taken);
        if end.is_some() || lines.len() == LINE_BYTES {
            return Ok(true);
        }
    }
}

/// Makes room for one more replica's file.
fn forget_oldest(folder: &Path, open: &HashSet<PathBuf>) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") && !open.contains(&path) {
            files.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    files.sort();
    let surplus = files.len().saturating_sub(INSTANCES - 1);
    for (_, path) in &files[..surplus] {
        fs::remove_file(path)?;
        let _ = fs::remove_file(rotated(path));
    }
    Ok(())
}

fn read_past(folder: &Path, query: &LogQuery) -> io::Result<Vec<LogMessage>> {
    let mut messages = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(messages),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((instance, _)) = name.split_once(".log") else { continue };
        let file = match File::open(&path) {
            // Rotated or forgotten since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        let (mut file, mut line) = (io::BufReader::new(file), Vec::new());
        // What has no end is being written; who follows gets it whole.
        while file.read_until(b'\n', &mut line)? > 0 && line.pop() == Some(b'\n') {
            messages.extend(parse(query, instance, &line).filter(|message| wanted(query, message)));
            line.clear();
        }
    }
    messages.sort_by_key(|message| message.timestamp);
    let tail = query.tail.map_or(usize::MAX, |tail| usize::try_from(tail.get()).unwrap_or(usize::MAX));
    Ok(messages.split_off(messages.len().saturating_sub(tail)))
}

fn parse(query: &LogQuery, instance: &str, line: &[u8]) -> Option<LogMessage> {
    let line = String::from_utf8_lossy(line);
    let (timestamp, text) = line.split_once(' ')?;
    Some(message(&query.function, instance, timestamp.parse().ok()?, text))
}

fn wanted(query: &LogQuery, message: &LogMessage) -> bool {
    query.instance.as_ref().is_none_or(|instance| *instance == message.instance)
        && query.since.is_none_or(|since| message.timestamp >= since)
}

fn to_come(
    receiver: broadcast::Receiver<LogMessage>,
    query: LogQuery,
    last: HashMap<String, Timestamp>,
) -> BoxStream<'static, LogMessage> {
    let name = (query.function.name.to_string(), query.function.namespace.to_string());
    let messages = BroadcastStream::new(receiver).map(move |received| match received {
        Ok(message) => message,
        Err(BroadcastStreamRecvError::Lagged(lines)) => LogMessage {
            name: name.0.clone(),
            namespace: name.1.clone(),
            instance: String::new(),
            timestamp: Timestamp::now(),
            text: format!("{lines} lines were skipped: they came faster than they were read\n"),
        },
    });
    let new = messages.filter(move |message| {
        let new = last.get(&message.instance).is_none_or(|last| message.timestamp > *last)
            && (message.instance.is_empty() || wanted(&query, message));
        std::future::ready(new)
    });
    new.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str) -> LogQuery {
        let function = FunctionId::parse(name, &Namespace::default()).unwrap();
        LogQuery { function, instance: None, tail: None, since: None, follow: false }
    }

    async fn texts(logs: &Logs, query: LogQuery) -> Vec<String> {
        logs.read(query).await.unwrap().map(|message| message.text).collect().await
    }

    #[tokio::test]
    async fn lines_are_read_back_by_time_tail_and_instance() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(folder.path());
        let function = query("f").function;
        for (instance, text) in [("a", "1\n"), ("b", "2"), ("a", "3 4\n")] {
            logs.append(&function, instance, text);
        }
        assert_eq!(texts(&logs, query("f")).await, ["1\n", "2\n", "3 4\n"]);
        assert_eq!(texts(&logs, LogQuery { tail: 1.try_into().ok(), ..query("f") }).await, ["3 4\n"]);
        let of_b = LogQuery { instance: Some("b".into()), ..query("f") };
        assert_eq!(texts(&logs, of_b).await, ["2\n"]);
        assert!(texts(&logs, query("f.dev")).await.is_empty());
        logs.remove(&function);
        assert!(texts(&logs, query("f")).await.is_empty());
    }

    #[tokio::test]
    async fn followers_get_past_and_new_lines_once_each() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(folder.path());
        let function = query("f").function;
        logs.append(&function, "a", "past 1\npast 2");
        let file = logs.folder(&function).join("a.log");
        let mut file = File::options().append(true).open(file).unwrap();
        file.write_all(format!("{} written in pa", Timestamp::now()).as_bytes()).unwrap();
        let mut lines = logs.read(LogQuery { follow: true, ..query("f") }).await.unwrap();
        logs.append(&function, "b", "new 1\nnew 2");
        for line in ["past 1\n", "past 2\n", "new 1\n", "new 2\n"] {
            assert_eq!(lines.next().await.unwrap().text, line);
        }
        logs.remove(&function);
        assert!(lines.next().await.is_none());
    }

    #[tokio::test]
    async fn a_follower_that_reads_misses_nothing_of_many_short_lines() {
        const LINES: usize = 20_000;
        let folder = tempfile::tempdir().unwrap();
        let logs = Arc::new(Logs::new(folder.path()));
        let function = query("f").function;
        let lines = logs.read(LogQuery { follow: true, ..query("f") }).await.unwrap();
        let (output, mut input) = std::io::pipe().unwrap();
        logs.collect(&function, "a", output.into()).unwrap();
        let writing = std::thread::spawn(move || input.write_all("x\n".repeat(LINES).as_bytes()));
        let short = lines.take(LINES).all(|line| std::future::ready(line.text == "x\n"));
        assert!(short.await, "some were skipped");
        writing.join().unwrap().unwrap();
    }

    #[tokio::test]
    async fn files_and_their_number_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(folder.path());
        let function = query("f").function;
        let line = "x".repeat(LINE_BYTES - 1);
        for instance in 0..20 {
            logs.append(&function, &format!("i{instance}"), &line);
        }
        for _ in 0..100 {
            logs.append(&function, "i19", &line);
        }
        let files: Vec<_> = fs::read_dir(logs.folder(&function)).unwrap().map(|f| f.unwrap()).collect();
        assert!(files.len() <= INSTANCES + 1, "{}", files.len());
        let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
        assert!(bytes < 4 * FILE_BYTES, "{bytes}");
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut() {
        let endless = vec![b'x'; LINE_BYTES + 3];
        assert_eq!(read(&endless).await, [LINE_BYTES, 3]);
    }

    #[tokio::test]
    async fn lines_at_hand_are_read_together_and_have_times_of_their_own() {
        assert_eq!(read(b"1\n2\n3").await, [4, 1]);
        let lines: Vec<_> = stamped("1\n\n2", Timestamp::UNIX_EPOCH).collect();
        assert_eq!(lines.iter().map(|line| line.1).collect::<Vec<_>>(), ["1", "", "2"]);
        assert!(lines.is_sorted_by(|a, b| a.0 < b.0), "{lines:?}");
    }

    /// How long the pieces are that are read.
    async fn read(mut bytes: &[u8]) -> Vec<usize> {
        let (mut lengths, mut lines) = (Vec::new(), Vec::new());
        while read_lines(&mut bytes, &mut lines).await.unwrap() {
            lengths.push(lines.len());
            lines.clear();
        }
        lengths
    }
}

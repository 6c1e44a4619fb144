//! The engine on SQLite: one folder, one process.
//!
//! It owns `queue.db` (WAL, `synchronous=FULL`), the folder `bodies/` beside it with the bodies that are too long for a
//! row, and the thread that writes. What a method changed is in a transaction that is on disk when it returns; all
//! requests that wait become one transaction, so that many callers share one fsync. Reads have a connection of their own.
//!
//! Bounds: requests that wait for the writer, in number and in bytes (callers beyond wait); bodies in memory only up to
//! the inline limit; nothing in memory per job; jobs that wait per function ([`Settings::most_waiting`]). A disk that is
//! full makes every change fail with [`Error::Unavailable`] until there is room.

mod bodies;
mod book;
mod check;
mod clock;
mod file;
mod log;
mod queue;
mod reader;
mod salvage;
mod schema;
mod steering;
mod step;
mod upkeep;
mod writer;

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use faas_api::FunctionId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use self::bodies::{Bodies, Kept};
use self::book::Book;
use self::check::Check;
use self::file::QueueFile;
use self::reader::{Reader, Stored};
use self::steering::{Done, Portion};
use self::step::{Alarms, Leased, Outcome, Step, Terms};
use self::writer::{Call, Work, Writer};
use crate::{Body, Error, Job, Lease, Record, Settings, Taken};

pub use clock::Clock;
pub use file::OpenError;

/// Requests that wait for the writer; callers beyond wait to be one of them.
const MOST_REQUESTS: usize = 4_096;
/// Kibibytes of bodies that wait for the writer.
const MOST_KIBIBYTES: usize = 64 << 10;

/// A queue in a folder. It is closed when dropped, which waits for what was begun.
pub struct Embedded {
    requests: Option<mpsc::Sender<Box<dyn Work>>>,
    writer: Option<JoinHandle<()>>,
    check: Option<Check>,
    room: Arc<Semaphore>,
    reader: Arc<Reader>,
    bodies: Arc<Bodies>,
    book: Arc<Book>,
    most_waiting: u64,
}

/// What tests and simulations change.
#[derive(Debug, Clone)]
#[doc(hidden)]
pub struct Options {
    /// Tells the time.
    pub clock: Clock,
    /// Whether anything is synced. Without it jobs are lost when the machine dies.
    pub sync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock: Clock::default(), sync: true }
    }
}

impl Embedded {
    /// Opens the queue in `folder`, or makes one. Blocks: it reads an index of the jobs that are there.
    pub fn open(folder: &Path, settings: Settings) -> Result<Self, OpenError> {
        Self::open_with(folder, settings, Options::default())
    }

    /// With another clock, or without syncing.
    #[doc(hidden)]
    pub fn open_with(folder: &Path, settings: Settings, options: Options) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Folder { path: folder.to_owned(), source };
        let (opened, reader) = QueueFile::open(folder, options.sync)?;
        let run = random().map_err(unusable)?;
        let bodies = Bodies::open(folder.join("bodies"), run, settings.most_body, options.sync);
        let bodies = Arc::new(bodies.map_err(unusable)?);
        remove_orphans(&bodies, folder, &opened.connection).map_err(unusable)?;
        let book = Arc::<Book>::default();
        book.replace(opened.counts);
        let (requests, receiver) = mpsc::channel(MOST_REQUESTS);
        let mut writer = Writer {
            runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(unusable)?,
            requests: receiver,
            file: opened.file,
            connection: opened.connection,
            book: Arc::clone(&book),
            bodies: Arc::clone(&bodies),
            clock: options.clock,
            terms: terms(settings),
            alarms: Alarms { timers: Cell::new(Some(i64::MIN)), sweep: Cell::new(Some(i64::MIN)) },
            tokens: Cell::new(run),
            void: true,
            failing: false,
            mended: None,
            broken: false,
        };
        writer.begin();
        let thread = std::thread::Builder::new().name("queue".to_owned()).spawn(move || writer.run());
        let check = Check::begin(Arc::clone(&reader), requests.downgrade()).ok();
        Ok(Self {
            requests: Some(requests),
            writer: Some(thread.map_err(unusable)?),
            check,
            room: Arc::new(Semaphore::new(MOST_KIBIBYTES)),
            reader,
            bodies,
            book,
            most_waiting: settings.most_waiting,
        })
    }

    /// Lets the writer look at the clock, for simulations.
    #[doc(hidden)]
    pub async fn glance(&self) -> Result<(), Error> {
        self.change("look at the clock", None, |_| Ok(Ok(()))).await
    }

    /// Has the writer do something, and waits until that is on disk.
    async fn change<T: Send + 'static>(
        &self,
        what: &'static str,
        permit: Option<OwnedSemaphorePermit>,
        work: impl FnMut(&mut Step<'_>) -> Outcome<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (call, answer) = Call::request(what, permit, work);
        let Some(requests) = &self.requests else { return Err(ended(what)) };
        requests.send(call).await.map_err(|_| ended(what))?;
        answer.await.map_err(|_| ended(what))?
    }

    /// Reads off the runtime. Damage that shows is mended, and the read tried once more.
    async fn read<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl Fn(&rusqlite::Connection) -> Result<T, rusqlite::Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        let generation = self.reader.generation();
        match self.read_once(what, work.clone()).await? {
            Err(error) if schema::is_corrupt(&error) => {
                self.change(what, None, move |step| step.report_damage(generation).map(Ok)).await?;
                self.read_once(what, work).await?.map_err(Error::unavailable(what))
            }
            read => read.map_err(Error::unavailable(what)),
        }
    }

    async fn read_once<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<Result<T, rusqlite::Error>, Error> {
        let reader = Arc::clone(&self.reader);
        let reading = tokio::task::spawn_blocking(move || reader.read(work));
        reading.await.map_err(Error::unavailable(what))
    }

    /// Room for a body that waits for the writer.
    async fn room(&self, body: &Kept) -> Option<OwnedSemaphorePermit> {
        let Kept::Inline(bytes) = body else { return None };
        let kibibytes = u32::try_from(bytes.len() >> 10).unwrap_or(u32::MAX);
        if kibibytes == 0 {
            return None;
        }
        Arc::clone(&self.room).acquire_many_owned(kibibytes).await.ok()
    }

    fn open_body(&self, stored: Stored) -> Body {
        match stored {
            Stored::Inline(bytes) => Body::Whole(bytes.into()),
            Stored::File { name, size } => match self.bodies.open_file(&name, size) {
                Ok(file) => Body::Stream(bodies::stream_file(file)),
                Err(error) => Body::Stream(Box::pin(futures_util::stream::iter([Err::<Bytes, _>(error)]))),
            },
        }
    }

    fn taken(&self, function: &FunctionId, leased: &Leased, job: Job, body: Stored) -> Taken {
        let record = reader::read_record(leased.record.as_deref()).unwrap_or_else(|error| {
            tracing::warn!(call_id = %job.id, error = %error, "a record cannot be read, and begins anew");
            Record::default()
        });
        Taken {
            lease: Lease { id: job.id.clone(), function: function.clone(), token: leased.token.to_string() },
            body: self.open_body(body),
            first_taken_at: clock::timestamp(leased.first_taken),
            job,
            record,
        }
    }

    /// Portion by portion, so that others get their turn.
    async fn in_portions(
        &self,
        what: &'static str,
        work: impl FnMut(&mut Step<'_>, Portion) -> Result<Done, rusqlite::Error> + Clone + Send + 'static,
    ) -> Result<u64, Error> {
        let (mut sum, mut next) = (0, Some(Portion::FIRST));
        while let Some(portion) = next {
            let mut work = work.clone();
            let done = self.change(what, None, move |step| work(step, portion).map(Ok)).await?;
            sum += done.0;
            next = done.1;
        }
        Ok(sum)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.check = None;
        // The last connection to close empties the log into the file, if it may write.
        drop(self.reader.close());
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn terms(settings: Settings) -> Terms {
    Terms {
        lease: clock::span(settings.lease),
        keep_ended: clock::span(settings.keep_ended),
        most_waiting: settings.most_waiting,
    }
}

fn ended(what: &'static str) -> Error {
    Error::unavailable(what)(std::io::Error::other("the queue's writer has ended"))
}

fn random() -> std::io::Result<i64> {
    getrandom::u64().map(u64::cast_signed).map_err(std::io::Error::other)
}

/// Unless a damaged file is set aside: they may belong to jobs that only it has.
fn remove_orphans(bodies: &Bodies, folder: &Path, connection: &rusqlite::Connection) -> std::io::Result<()> {
    if salvage::is_aside(&folder.join(file::NAME))? {
        return Ok(());
    }
    let named = |name: &str| reader::names_file(connection, name).map_err(std::io::Error::other);
    let removed = bodies.remove_orphans(named)?;
    if removed > 0 {
        tracing::info!(removed, "bodies were left by requests that broke off");
    }
    Ok(())
}

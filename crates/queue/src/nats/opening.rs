//! A queue whose NATS may be away when its program starts, or not be as it must be yet.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tracing::{info, warn};

use super::connect::{OpenError, Options};
use super::{Engine, Jetstream, events};
use crate::{Error, Event};

/// The engine, or why there is none yet.
pub(super) type Opened = Result<Arc<Engine>, Arc<OpenError>>;

/// Between tries, at first and at most.
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

impl Jetstream {
    /// Connects, checks the server, makes or migrates the streams. Reconnects for ever from then on.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        Ok(Self(watch::channel(Ok(Engine::open(&options).await?)).1))
    }

    /// As [`Self::open`], tried until it succeeds; says each time why not. Until then every call is
    /// [`Error::Unavailable`], and nothing happens.
    pub fn start(options: Options) -> Self {
        let (opened, receiver) = watch::channel(Err(Arc::new(OpenError::NotYet)));
        tokio::spawn(keep_trying(options, opened));
        Self(receiver)
    }

    /// Once NATS has come.
    pub async fn opened(&self) {
        if self.0.clone().wait_for(Result::is_ok).await.is_err() {
            // Only the end of the runtime stops who tries.
            std::future::pending::<()>().await;
        }
    }

    /// How often the connection was lost and made anew.
    pub fn reconnects(&self) -> u64 {
        self.engine().map_or(0, |engine| engine.store.reconnects())
    }

    pub(super) fn engine(&self) -> Result<Arc<Engine>, Error> {
        self.0.borrow().clone().map_err(Error::unavailable("use NATS"))
    }

    pub(super) fn events_once_opened(&self) -> BoxStream<'static, Event> {
        if let Ok(engine) = self.engine() {
            return events::stream(&engine);
        }
        let queue = self.clone();
        let later = async move {
            queue.opened().await;
            queue.engine().map_or_else(|_| stream::empty().boxed(), |engine| events::stream(&engine))
        };
        later.into_stream().flatten().boxed()
    }
}

/// Until it is open or nobody waits for it any more.
async fn keep_trying(options: Options, opened: watch::Sender<Opened>) {
    let mut wait = SHORTEST;
    loop {
        let tried = tokio::select! {
            tried = Engine::open(&options) => tried,
            () = opened.closed() => return,
        };
        match tried {
            Ok(engine) => {
                info!("NATS keeps the queue");
                let _ = opened.send_replace(Ok(engine));
                return;
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "NATS cannot be used, and is tried again");
                let _ = opened.send_replace(Err(Arc::new(error)));
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST);
    }
}

//! The suite that every engine passes. Each case has a server of its own.

use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use faas_queue::conformance::Harness;
use faas_queue::nats::{Jetstream, Options};
use faas_queue::{Queue, Settings, queue_conformance_tests};
use faas_testing::Nats;

use crate::support::options;

struct Server(Mutex<(Nats, Settings)>);

impl Server {
    fn options(&self, settings: Option<Settings>, kill: bool) -> Options {
        let mut server = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        server.1 = settings.unwrap_or(server.1);
        if kill {
            server.0.kill();
            server.0.restart();
        }
        Options { settings: server.1, ..options(&server.0, server.1.lease) }
    }
}

#[async_trait]
impl Harness for Server {
    async fn start(&self, settings: Settings) -> Arc<dyn Queue> {
        Arc::new(Jetstream::open(self.options(Some(settings), false)).await.unwrap())
    }

    /// The server is killed as well.
    async fn restart(&self) -> Arc<dyn Queue> {
        Arc::new(Jetstream::open(self.options(None, true)).await.unwrap())
    }
}

fn server() -> Option<Server> {
    Some(Server(Mutex::new((Nats::start()?, Settings::default()))))
}

queue_conformance_tests!(match server() {
    Some(server) => ready(server),
    None => return,
});

//! The conformance suite. A restart closes the queue and opens its folder again.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use faas_queue::conformance::Harness;
use faas_queue::embedded::Embedded;
use faas_queue::{Queue, Settings};
use tempfile::TempDir;

struct OnDisk {
    folder: TempDir,
    queue: Mutex<Option<(Arc<Embedded>, Settings)>>,
}

impl OnDisk {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), queue: Mutex::new(None) }
    }

    fn open(&self, settings: Settings) -> Arc<dyn Queue> {
        let queue = Arc::new(Embedded::open(self.folder.path(), settings).unwrap());
        *self.queue.lock().unwrap() = Some((Arc::clone(&queue), settings));
        queue
    }
}

#[async_trait]
impl Harness for OnDisk {
    async fn start(&self, settings: Settings) -> Arc<dyn Queue> {
        self.open(settings)
    }

    async fn restart(&self) -> Arc<dyn Queue> {
        let (queue, settings) = self.queue.lock().unwrap().take().unwrap();
        assert_eq!(Arc::strong_count(&queue), 1, "the case has dropped its own");
        drop(queue);
        self.open(settings)
    }
}

faas_queue::queue_conformance_tests!(async { OnDisk::new() });

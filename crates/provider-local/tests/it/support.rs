//! A local provider in a folder of its own, and packages for it.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use faas_api::{Digest, FunctionDeployment, Namespace, Version};
use faas_package::{Manifest, Runtime, Signature, Source, pack};
use faas_process::{Orphans, Spawner};
use faas_provider::Provider;
use faas_provider::conformance::{Behaviour, Harness};
use faas_provider_local::{Config, Interpreters, Local};
use tempfile::TempDir;

/// One per process, whose tests run side by side; what a test's replicas leave behind is not another's to kill.
static SPAWNER: OnceLock<Spawner> = OnceLock::new();

pub(crate) struct World {
    pub(crate) local: Local,
    folder: TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: folder.path().join("data"),
            watchdog: faas_testing::binary("faas-watchdog"),
            namespace: Namespace::default(),
            upstream_timeout: Duration::from_mins(1),
            version: Version::default(),
        };
        let interpreters = Interpreters::find("/usr/bin:/bin".as_ref());
        let spawner = SPAWNER.get_or_init(|| Spawner::start(Orphans::Reap, || Ok(())).unwrap());
        let local = Local::start(config, interpreters, spawner.clone()).await.unwrap();
        Self { local, folder }
    }

    /// Packs one file, and uploads it unless it is there.
    pub(crate) async fn upload(&self, manifest: &Manifest, file: &str, text: &str) -> Digest {
        let source = tempfile::tempdir_in(self.folder.path()).unwrap();
        fs::write(source.path().join(file), text).unwrap();
        let zip = source.path().join("out.zip");
        let digest = pack_folder(source.path(), manifest, &zip);
        let body = fs::read(&zip).unwrap();
        if !self.local.has_package(&digest).await.unwrap() {
            let body = futures_util::stream::iter([Ok(body.into())]);
            self.local.put_package(&digest, Box::pin(body)).await.unwrap();
        }
        digest
    }
}

fn pack_folder(handler: &Path, manifest: &Manifest, zip: &Path) -> Digest {
    pack(&Source { handler, dependencies: None, manifest }, zip).unwrap()
}

#[async_trait]
impl Harness for World {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(self.local.clone())
    }

    async fn deployable(&self, behaviour: Behaviour, _namespace: &Namespace) -> FunctionDeployment {
        let script = Manifest::new(Runtime::Bash, Signature::Stdin, "handler.sh");
        let python = Manifest::new(Runtime::Python3, Signature::Http, "handler.handle");
        let digest = match behaviour {
            Behaviour::Echo => self.upload(&script, "handler.sh", "cat\n").await,
            Behaviour::Environment => self.upload(&script, "handler.sh", "env\n").await,
            Behaviour::Secret => {
                self.upload(&script, "handler.sh", "cat \"$FAAS_SECRETS_DIR/api-key\"\n").await
            }
            Behaviour::Broken => {
                self.upload(&python, "handler.py", "raise RuntimeError('this handler is broken')\n").await
            }
        };
        FunctionDeployment { package: Some(digest), ..FunctionDeployment::default() }
    }
}

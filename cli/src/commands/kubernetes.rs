//! The roles of an installation on Kubernetes, and the client that they use.

pub(crate) mod gateway;
pub(crate) mod operator;
pub(crate) mod queue_worker;
mod variables;

use std::time::Duration;

use crate::failure::failure;

/// Of the kubeconfig file if there is one, else of the cluster that this process runs in.
async fn client() -> anyhow::Result<kube::Client> {
    let explain = |error: &dyn std::error::Error| {
        failure(format!("cannot find a Kubernetes cluster: {error}"))
            .hint("run this in a pod with a service account, or name a kubeconfig file in KUBECONFIG")
    };
    let mut config = kube::Config::infer().await.map_err(|error| explain(&error))?;
    // A server that is gone without a word; watches hear from one that lives every minute.
    config.read_timeout = Some(Duration::from_mins(5));
    Ok(kube::Client::try_from(config).map_err(|error| explain(&error))?)
}

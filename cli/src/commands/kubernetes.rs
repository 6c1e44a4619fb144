//! The roles of an installation on Kubernetes, and the client that they use.

pub(crate) mod gateway;
pub(crate) mod operator;
mod variables;

use crate::failure::failure;

/// Of the kubeconfig file if there is one, else of the cluster that this process runs in.
async fn client() -> anyhow::Result<kube::Client> {
    let explain = |error: &dyn std::error::Error| {
        failure(format!("cannot find a Kubernetes cluster: {error}"))
            .hint("run this in a pod with a service account, or name a kubeconfig file in KUBECONFIG")
    };
    let config = kube::Config::infer().await.map_err(|error| explain(&error))?;
    Ok(kube::Client::try_from(config).map_err(|error| explain(&error))?)
}

//! The Kubernetes provider and the operator against a real cluster: the one that `FAAS_TEST_KUBECONFIG` names.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod conformance;
mod provider;
mod support;

//! The Service, for those who call a function without the gateway. The gateway itself calls pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::deployment::annotations;
use crate::{PORT, Valid, labels};

/// The Service of `function`.
pub fn build_service(function: &Valid, owner: Option<OwnerReference>) -> Service {
    let own = BTreeMap::from([(labels::FUNCTION.to_owned(), function.name.to_string())]);
    Service {
        metadata: ObjectMeta {
            name: Some(function.name.to_string()),
            namespace: Some(function.namespace.clone()),
            labels: Some(own.clone()),
            annotations: Some(annotations(function)),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(own),
            ports: Some(vec![ServicePort {
                name: Some("http".into()),
                port: i32::from(PORT),
                protocol: Some("TCP".into()),
                target_port: Some(IntOrString::Int(i32::from(PORT))),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

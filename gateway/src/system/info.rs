//! `GET /system/info`.

use axum::Json;
use axum::extract::State;
use faas_api::Info;

use crate::Gateway;

pub(crate) async fn info(State(gateway): State<Gateway>) -> Json<Info> {
    Json(Info {
        provider: gateway.0.provider.info(),
        version: gateway.0.config.version.clone(),
        arch: std::env::consts::ARCH.to_owned(),
    })
}

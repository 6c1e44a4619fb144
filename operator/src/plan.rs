//! What a function wants, or why that cannot be: dereference, validate, build.

use std::sync::Arc;

use faas_k8s::{
    Function, Stalled, Valid, annotations, build_deployment, build_service, owner_reference, validate,
};
use kube::ResourceExt as _;

use crate::dereference;
use crate::error::Error;
use crate::memory::Plan;
use crate::reconcile::Context;

/// The objects to apply. A plan that was sound is asked anew when the function has changed, or is in `doubt`; one that was
/// not is asked each time, since what stood in its way may have gone.
pub(crate) async fn plan(
    function: &Function,
    context: &Context,
    doubt: bool,
) -> Result<Result<Arc<Plan>, Stalled>, Error> {
    let known = context.memory.plan(function).and_then(Result::ok);
    if let Some(plan) = known.as_ref().filter(|_| !doubt) {
        return Ok(Ok(Arc::clone(plan)));
    }
    let secrets = dereference::secrets(&context.client, function).await?;
    let plan = match (validate(function, &secrets, &context.defaults), known) {
        (Err(stalled), _) => Err(stalled),
        (Ok(_), Some(known)) => return Ok(Ok(known)),
        (Ok(valid), None) => dereference::names_are_free(&context.client, function)
            .await?
            .map(|()| Arc::new(build(function, &valid, context))),
    };
    context.memory.set_plan(function, Some(plan.clone()));
    Ok(plan)
}

fn build(function: &Function, valid: &Valid, context: &Context) -> Plan {
    let deployed_at = function.annotations().get(annotations::DEPLOYED_AT);
    let owner = owner_reference(function);
    Plan {
        deployment: build_deployment(
            valid,
            &context.settings,
            owner.clone(),
            deployed_at.map(String::as_str),
        ),
        service: build_service(valid, owner),
    }
}

//! `faas remove`.

use clap::Args;
use faas_api::DeleteFunctionRequest;
use ureq::http::Method;

use crate::auth::Preference;
use crate::cli::Context;
use crate::client::{self, Client, Request};
use crate::commands::{GatewayArgs, NamespaceArgs};
use crate::failure::failure;
use crate::output;

/// Flags of `remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Function to remove; all of the YAML file unless given
    name: Option<String>,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

/// Removes one function, or all of the stack file.
pub(crate) fn run(args: &RemoveArgs, context: &Context) -> anyhow::Result<()> {
    let stack = args.gateway.load_stack(context)?;
    let gateway = args.gateway.url(stack.as_ref(), context);
    let has_stack = stack.is_some();
    let functions = stack.map(|loaded| loaded.stack.functions).unwrap_or_default();
    let wanted = choose(args, functions, has_stack, context)?;
    let client = args.gateway.client_for(gateway, Preference::Saved, client::TIMEOUT, context)?;
    let mut failed = Vec::new();
    let is_one = wanted.len() == 1;
    for request in wanted {
        // One that fails keeps nobody else's function alive; a missing login ends it all.
        match remove(&client, &request)? {
            Ok(()) => {}
            Err(error) if is_one => return Err(failure(error).into()),
            Err(error) => {
                output::talk(error);
                failed.push(request.function_name);
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(failure(format!("not removed: {}", failed.join(", "))).into())
}

/// A name wins over the stack file.
fn choose(
    args: &RemoveArgs,
    functions: Vec<faas_api::stack::Function>,
    has_stack: bool,
    context: &Context,
) -> anyhow::Result<Vec<DeleteFunctionRequest>> {
    let namespace = &args.namespace.namespace;
    if let Some(name) = &args.name {
        return Ok(vec![DeleteFunctionRequest { function_name: name.clone(), namespace: namespace.clone() }]);
    }
    if functions.is_empty() {
        if has_stack {
            return Err(failure("there are no functions in the YAML file").into());
        }
        return Err(failure("please provide the name of a function to delete")
            .hint(format!("{} remove NAME, or {} remove -f FILE", context.env.program, context.env.program))
            .into());
    }
    let request = |function: faas_api::stack::Function| DeleteFunctionRequest {
        function_name: function.name,
        namespace: if namespace.is_empty() { function.namespace } else { namespace.clone() },
    };
    Ok(functions.into_iter().map(request).collect())
}

/// The outer error ends the command, the inner one concerns this function.
fn remove(client: &Client, request: &DeleteFunctionRequest) -> anyhow::Result<Result<(), String>> {
    output::line(format!("Deleting: {}.{}", request.function_name, request.namespace))?;
    let mut answer = client.send(Request::new(Method::DELETE, "/system/functions").json(request)?)?;
    Ok(match answer.status.as_u16() {
        200..=202 => {
            output::line("Removing old function.")?;
            Ok(())
        }
        404 => Err("No existing function to remove".to_owned()),
        status => {
            Err(format!("Server returned unexpected status code {status} {}", answer.text().trim_end()))
        }
    })
}

//! `faas deploy`.
//!
//! The gateway is asked first what it takes, with credentials, before anything is built: it says whether a function
//! goes as a package or as an image. Then the function is written by PUT, and by POST where there is none yet.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use faas_api::stack::{Function, parse_environment_file};
use faas_api::{DeleteFunctionRequest, FunctionDeployment, Info, ProviderInfo};
use ureq::http::Method;

use crate::auth::Preference;
use crate::cli::Context;
use crate::client::{self, Answer, Client, Request};
use crate::commands::build;
use crate::commands::functions::{FunctionArgs, Work};
use crate::commands::{GatewayArgs, NamespaceArgs, duration, suffix};
use crate::deployment::{DeploymentFlags, build_deployment};
use crate::failure::failure;
use crate::{gateway, go_flags, output, packages, templates};

const MISSING: &str = "to deploy a function give --yaml/-f or a --image and --name flag";

/// Flags of `deploy`.
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    functions: FunctionArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    flags: DeployFlags,
}

/// Flags that say what to deploy, and how.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, Clone, Args)]
pub(crate) struct DeployFlags {
    #[command(flatten)]
    pub(crate) namespace: NamespaceArgs,
    #[command(flatten)]
    deployment: DeploymentFlags,
    /// Remove a function that is there before deploying it
    #[arg(long)]
    replace: bool,
    /// Update a function that is there
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, value_parser = go_flags::parse_bool, action = clap::ArgAction::Set)]
    update: bool,
    /// Deploy packages even where images are taken too
    #[arg(long)]
    pub(crate) package: bool,
    /// Read fprocess from the language's template
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, value_parser = go_flags::parse_bool, action = clap::ArgAction::Set)]
    read_template: bool,
    /// How long the gateway may take to answer
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Accepted for compatibility
    #[arg(long, hide = true)]
    network: Option<String>,
}

/// What a function is deployed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Package,
    Image,
}

/// Deploys all functions.
pub(crate) fn run(args: &DeployArgs, context: &Context) -> anyhow::Result<()> {
    args.flags.check()?;
    let work = args.functions.load(args.gateway.envsubst.envsubst, MISSING, context)?;
    let url = gateway::choose(args.gateway.gateway.as_deref(), &work.gateway, &context.env);
    let client = args.gateway.client_for(url, Preference::Saved, args.flags.timeout, context)?;
    let provider = fetch_provider(&client)?;
    deploy_all(&client, &provider, &work, &args.flags, context)
}

impl DeployFlags {
    /// Checks what clap cannot.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.update && self.replace {
            return Err(failure("cannot specify --update and --replace at the same time")
                .hint("--replace removes a function before deploying it anew, --update changes it in place and is the default: give --replace --update=false")
                .into());
        }
        Ok(())
    }
}

/// Asks what the provider takes. A gateway that does not say takes images.
pub(crate) fn fetch_provider(client: &Client) -> anyhow::Result<ProviderInfo> {
    let mut answer = client.send(Request::get("/system/info"))?;
    match answer.status.as_u16() {
        200 => Ok(client.parse::<Info>(&answer.text())?.provider),
        404 | 501 => Ok(ProviderInfo::default()),
        _ => Err(answer.unexpected().into()),
    }
}

/// Package or image? Where both are taken, an image without a registry is a package.
pub(crate) fn choose(
    function: &Function,
    provider: &ProviderInfo,
    force_package: bool,
) -> anyhow::Result<Target> {
    let has_package = packages::manifest_of(function).is_some() && !function.handler.is_empty();
    let name = &function.name;
    if force_package || !provider.accepts_images() {
        return match (has_package, function.lang.as_str()) {
            (true, _) => Ok(Target::Package),
            // The platform may remember a package pushed under this image's name.
            (false, "") if !force_package => Ok(Target::Image),
            (false, "") => Err(failure(format!("function {name}: a package needs lang and handler")).into()),
            (false, lang) if packages::manifest_of(function).is_some() => {
                Err(failure(format!("function {name}: lang {lang} needs a handler folder")).into())
            }
            (false, lang) if lang.eq_ignore_ascii_case("dockerfile") || force_package => {
                Err(image_refused(function, provider))
            }
            (false, lang) => match templates::find(lang)? {
                Some(_) => Err(image_refused(function, provider)),
                None => Err(templates::unknown(lang).into()),
            },
        };
    }
    let is_package = has_package && provider.accepts_packages() && !function.image.contains('/');
    Ok(if is_package { Target::Package } else { Target::Image })
}

fn image_refused(function: &Function, provider: &ProviderInfo) -> anyhow::Error {
    let Function { name, lang, .. } = function;
    let provider = if provider.name.is_empty() { "this provider" } else { &provider.name };
    failure(format!("function {name}: lang {lang} makes an image, and images need Kubernetes: {provider} runs packages only"))
        .hint("the other languages make packages")
        .into()
}

/// Deploys one function after the other; one that fails does not keep the next from being tried.
pub(crate) fn deploy_all(
    client: &Client,
    provider: &ProviderInfo,
    work: &Work,
    flags: &DeployFlags,
    context: &Context,
) -> anyhow::Result<()> {
    let deploy = Deploy { client, provider, work, flags, context };
    let mut failed = Vec::new();
    for function in &work.functions {
        match deploy.run(function) {
            Ok(None) => {}
            Ok(Some(status)) => {
                let name = &function.name;
                failed.push(
                    failure(format!("function '{name}' failed to deploy with status code: {status}")).into(),
                );
            }
            Err(error) if ends_all(&error) => {
                failed.push(error);
                break;
            }
            Err(error) => failed.push(error),
        }
    }
    build::combine(failed).map_or(Ok(()), Err)
}

/// Whether the next function would fare no better: no login, no gateway, nobody who reads our output.
fn ends_all(error: &anyhow::Error) -> bool {
    error.is::<output::Closed>() || client::is_gateways(error)
}

struct Deploy<'a> {
    client: &'a Client,
    provider: &'a ProviderInfo,
    work: &'a Work,
    flags: &'a DeployFlags,
    context: &'a Context,
}

impl Deploy<'_> {
    /// The status that the gateway refused it with, if it did.
    fn run(&self, function: &Function) -> anyhow::Result<Option<u16>> {
        output::line(format!("Deploying: {}.", function.name))?;
        let mut body = self.body(function)?;
        let target = choose(function, self.provider, self.flags.package)?;
        let zip_missing = function.skip_build && !packages::path_of(function).exists();
        if target == Target::Package && !zip_missing {
            self.add_package(function, &mut body)?;
        } else if body.env_process.is_empty() && target == Target::Image {
            body.env_process = self.template_process(function)?;
        }
        let mut answer = self.send(&body)?;
        self.tell(&body, &mut answer)
    }

    fn body(&self, function: &Function) -> anyhow::Result<FunctionDeployment> {
        let files: anyhow::Result<Vec<_>> =
            function.environment_file.iter().map(|path| read_environment(path)).collect();
        let namespace = &self.flags.namespace.namespace;
        let namespace = if namespace.is_empty() { &function.namespace } else { namespace };
        if self.work.from_stack {
            return build_deployment(function, &self.flags.deployment, namespace, files?);
        }
        let (limits, requests) = self.flags.deployment.resources();
        let function = Function { limits, requests, ..function.clone() };
        build_deployment(&function, &self.flags.deployment, namespace, files?)
    }

    fn add_package(&self, function: &Function, body: &mut FunctionDeployment) -> anyhow::Result<()> {
        let copy = &self.work.configuration.copy;
        let stack = self.work.path.as_deref();
        let package = if function.skip_build {
            packages::open(function)?
        } else {
            let (package, was_built) = packages::ensure(function, stack, copy, &[], &self.context.env)?;
            if was_built {
                packages::announce(&package)?;
            }
            package
        };
        packages::upload(self.client, function, &package, None)?;
        body.runtime = package.runtime;
        body.package = Some(package.digest);
        Ok(())
    }

    /// Images of a template expect to be told its process.
    fn template_process(&self, function: &Function) -> anyhow::Result<String> {
        let lang = &function.lang;
        if lang.is_empty() || lang.eq_ignore_ascii_case("dockerfile") || !self.flags.read_template {
            return Ok(String::new());
        }
        let template = templates::find(lang)?.ok_or_else(|| {
            failure(format!("template directory may be missing or invalid: {}", templates::unknown(lang)))
                .hint(format!("put the template into ./template/{lang}, or give --read-template=false"))
        })?;
        Ok(template.settings.fprocess)
    }

    fn send(&self, body: &FunctionDeployment) -> anyhow::Result<Answer> {
        const PATH: &str = "/system/functions";
        if self.flags.replace {
            let request = DeleteFunctionRequest {
                function_name: body.service.clone(),
                namespace: body.namespace.clone(),
            };
            // There may be none.
            self.client.send(Request::new(Method::DELETE, PATH).json(&request)?)?;
        } else if self.flags.update {
            let answer = self.client.send(Request::new(Method::PUT, PATH).json(body)?)?;
            if answer.status.as_u16() != 404 {
                return Ok(answer);
            }
        }
        self.client.send(Request::new(Method::POST, PATH).json(body)?)
    }

    fn tell(&self, body: &FunctionDeployment, answer: &mut Answer) -> anyhow::Result<Option<u16>> {
        let status = answer.status.as_u16();
        if !matches!(status, 200..=202) {
            output::talk(format!("Unexpected status: {status}, message: {}", answer.text().trim_end()));
            return Ok(Some(status));
        }
        if status == 200 {
            output::line(format!("Function {} already exists, attempting rolling-update.", body.service))?;
        }
        let url = format!("{}/function/{}{}", self.client.gateway, body.service, suffix(&body.namespace));
        output::print(&format!("\nDeployed. {}.\nURL: {url}\n\n", answer.status_line()))?;
        Ok(None)
    }
}

fn read_environment(path: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read the environment file {path}"))?;
    Ok(parse_environment_file(&text, path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(accepts: &[&str]) -> ProviderInfo {
        let accepts = accepts.iter().map(|&kind| kind.to_owned()).collect();
        ProviderInfo { name: "p".into(), accepts, ..ProviderInfo::default() }
    }

    fn function(lang: &str, image: &str) -> Function {
        let handler = if lang.is_empty() { "" } else { "./f" };
        Function {
            name: "f".into(),
            lang: lang.into(),
            image: image.into(),
            handler: handler.into(),
            ..Function::default()
        }
    }

    #[test]
    fn the_provider_decides_and_where_it_takes_both_the_image_does() {
        use Target::{Image, Package};
        for (lang, image, accepts, expect) in [
            ("python3", "f:latest", vec!["package"], Package),
            ("python", "ghcr.io/a/f:1", vec!["package"], Package),
            ("", "f:latest", vec!["package"], Image),
            ("python3", "f:latest", vec!["image", "package"], Package),
            ("python3", "ghcr.io/a/f:1", vec!["image", "package"], Image),
            ("dockerfile", "f:latest", vec!["image", "package"], Image),
            ("python3", "f:latest", vec!["image"], Image),
            ("python3", "f:latest", vec![], Image),
        ] {
            assert_eq!(
                choose(&function(lang, image), &provider(&accepts), false).unwrap(),
                expect,
                "{lang} {image} {accepts:?}"
            );
        }
        let both = provider(&["image", "package"]);
        assert_eq!(choose(&function("bash", "r/f"), &both, true).unwrap(), Package);
        assert!(choose(&function("", "r/f"), &both, true).is_err());
    }

    #[test]
    fn an_image_where_only_packages_run_is_refused_plainly() {
        let error = choose(&function("dockerfile", "f"), &provider(&["package"]), false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "function f: lang dockerfile makes an image, and images need Kubernetes: p runs packages only"
        );
        let error = choose(&function("cobol", "f"), &provider(&["package"]), false).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("unknown language \"cobol\": the languages are bash, dockerfile, node, python3"),
            "{error}"
        );
    }
}

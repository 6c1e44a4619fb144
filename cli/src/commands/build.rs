//! `faas build`.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Args;
use faas_api::ProviderInfo;
use faas_api::stack::Function;

use crate::cli::Context;
use crate::commands::EnvsubstArgs;
use crate::commands::deploy::{self, Target};
use crate::commands::functions::{FunctionArgs, Work};
use crate::env::Env;
use crate::failure::{Failure, failure};
use crate::images::{self, ImageFlags};
use crate::templates::{self, Template};
use crate::{go_flags, output, packages};

const MISSING: &str = "please provide a YAML file by -f, or --image, --handler, --name and --lang";

/// Flags of `build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    functions: FunctionArgs,
    #[command(flatten)]
    flags: BuildFlags,
    #[command(flatten)]
    envsubst: EnvsubstArgs,
}

/// Flags that say how to build.
#[derive(Debug, Clone, Args)]
pub(crate) struct BuildFlags {
    /// Functions to build at a time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) parallel: usize,
    #[command(flatten)]
    pub(crate) image: ImageFlags,
    /// Accepted for compatibility: no templates are fetched
    #[arg(long, hide = true)]
    disable_stack_pull: bool,
    /// Accepted for compatibility: no templates are fetched
    #[arg(long, hide = true, value_name = "BOOL", default_value = "true", default_missing_value = "true",
          num_args = 0..=1, require_equals = true, value_parser = go_flags::parse_bool,
          action = clap::ArgAction::Set)]
    overwrite: bool,
    /// Accepted for compatibility: no templates are fetched
    #[arg(long, hide = true)]
    debug: bool,
}

/// Why the whole of a `build` builds, and what for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose<'a> {
    /// Everything anew, as each function's language and image say.
    Build,
    /// What is not up to date, for this provider where there is one; with the flag, packages wherever there are any.
    Deploy(Option<&'a ProviderInfo>, bool),
}

/// How a function is built.
pub(crate) enum Kind {
    Package,
    Image(Option<Template>),
}

/// Builds all functions.
pub(crate) fn run(args: &BuildArgs, context: &Context) -> anyhow::Result<()> {
    let work = args.functions.load(args.envsubst.envsubst, MISSING, context)?;
    build_all(&work, &args.flags, Purpose::Build, context)
}

/// A package, unless the language has none, or the image has a registry and its template a Dockerfile.
pub(crate) fn kind_of(function: &Function) -> anyhow::Result<Kind> {
    let has_package = packages::manifest_of(function).is_some();
    if has_package && !function.image.contains('/') {
        return Ok(Kind::Package);
    }
    if function.lang.eq_ignore_ascii_case("dockerfile") {
        return Ok(Kind::Image(None));
    }
    let template = templates::find(&function.lang)?;
    let is_image = |template: &Template| {
        template.local_folder().is_some_and(|folder| folder.join("Dockerfile").is_file())
    };
    match template.filter(is_image) {
        Some(template) => Ok(Kind::Image(Some(template))),
        None if has_package => Ok(Kind::Package),
        None => Err(templates::unknown(&function.lang).into()),
    }
}

/// Builds what is to be built.
pub(crate) fn build_all(
    work: &Work,
    flags: &BuildFlags,
    purpose: Purpose<'_>,
    context: &Context,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let queue = Mutex::new(work.functions.iter());
    let failures = Mutex::new(Vec::new());
    let workers = flags.parallel.clamp(1, work.functions.len().max(1));
    let build = Build { work, flags, purpose, env: &context.env };
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (queue, failures, build) = (&queue, &failures, &build);
            scope.spawn(move || build.work_off(worker, queue, failures));
        }
    });
    let failures = failures.into_inner().unwrap_or_default();
    if let Some(error) = combine(failures) {
        return Err(error);
    }
    output::line(format!("\nTotal build time: {:.2}s", started.elapsed().as_secs_f64()))
}

/// One failure is told as it is, several one a line.
pub(crate) fn combine(mut failures: Vec<anyhow::Error>) -> Option<anyhow::Error> {
    if failures.len() < 2 {
        return failures.pop();
    }
    let text = |error: &anyhow::Error| match error.downcast_ref::<Failure>().and_then(Failure::as_hint) {
        Some(hint) => format!("{error:#}\nhint: {hint}"),
        None => format!("{error:#}"),
    };
    let texts: Vec<_> = failures.iter().map(text).collect();
    Some(failure(texts.join("\n")).into())
}

struct Build<'a> {
    work: &'a Work,
    flags: &'a BuildFlags,
    purpose: Purpose<'a>,
    env: &'a Env,
}

impl<'a> Build<'a> {
    fn work_off(
        &self,
        worker: usize,
        queue: &Mutex<std::slice::Iter<'a, Function>>,
        failures: &Mutex<Vec<anyhow::Error>>,
    ) {
        let next = || queue.lock().ok().and_then(|mut queue| queue.next());
        while let Some(function) = next() {
            if let Err(error) = self.build(worker, function) {
                failures.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                return;
            }
        }
        let _ = output::line(format!("[{worker}] Worker done."));
    }

    fn build(&self, worker: usize, function: &Function) -> anyhow::Result<()> {
        let name = &function.name;
        if function.skip_build {
            return output::line(format!("Skipping build of: {name}."));
        }
        if function.lang.is_empty() {
            return Err(failure(format!(
                "function {name}: lang is missing, one of the languages of \"{} new --list\"",
                self.env.program
            ))
            .into());
        }
        let started = Instant::now();
        output::line(format!("[{worker}] > Building {name}."))?;
        match self.kind(function)? {
            Kind::Package => self.build_package(function)?,
            Kind::Image(template) => self.build_image(function, template.as_ref())?,
        }
        output::line(format!("[{worker}] < Building {name} done in {:.2}s.", started.elapsed().as_secs_f64()))
    }

    /// A provider that takes packages only gets one, whatever the image is called.
    fn kind(&self, function: &Function) -> anyhow::Result<Kind> {
        if let Purpose::Deploy(Some(provider), force_package) = self.purpose
            && deploy::choose(function, provider, force_package)? == Target::Package
        {
            return Ok(Kind::Package);
        }
        kind_of(function)
    }

    /// Paths that go with every handler.
    fn extra(&self) -> Vec<String> {
        extra(self.work, &self.flags.image)
    }

    fn build_package(&self, function: &Function) -> anyhow::Result<()> {
        let image = &function.image;
        output::line(format!("Building: {image} with {} template. Please wait..", function.lang))?;
        let (stack, copy) = (self.work.path.as_deref(), &self.work.configuration.copy);
        let image_flags = &self.flags.image;
        let package = if matches!(self.purpose, Purpose::Deploy(..)) {
            packages::ensure(function, stack, copy, &image_flags.copy_extra, self.env)?.0
        } else {
            packages::build(function, stack, copy, &image_flags.copy_extra, image_flags.no_cache, self.env)?
        };
        output::line(format!("Image: {image} built."))?;
        packages::announce(&package)
    }

    fn build_image(&self, function: &Function, template: Option<&Template>) -> anyhow::Result<()> {
        let context = images::write_context(function, template, &self.extra())?;
        if self.flags.image.shrinkwrap {
            return output::line(format!("{} shrink-wrapped to ./{}/", function.name, context.display()));
        }
        output::line(format!("Building: {} with {} template. Please wait..", function.image, function.lang))?;
        images::build(function, template, &context, &self.flags.image, self.env)?;
        output::line(format!("Image: {} built.", function.image))
    }
}

/// Paths that go with every handler, from the stack file and from flags.
pub(crate) fn extra(work: &Work, flags: &ImageFlags) -> Vec<String> {
    work.configuration.copy.iter().chain(&flags.copy_extra).cloned().collect()
}

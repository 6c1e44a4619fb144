//! `faas new`: a handler folder from a template, and its stack file. Nothing that is there is overwritten.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use faas_api::stack::Stack;
use faas_api::{parse_bytes, parse_millicores};

use crate::cli::Context;
use crate::commands::functions;
use crate::failure::failure;
use crate::templates::{self, Template};
use crate::{gateway, output, text};

/// Flags of `new`.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Name of the function
    name: Option<String>,
    /// Language, a template's name
    #[arg(long)]
    lang: Option<String>,
    /// List the languages
    #[arg(long)]
    list: bool,
    /// Add the function to this YAML file
    #[arg(short, long, value_name = "FILE")]
    append: Option<String>,
    /// Folder of the handler [default: the function's name]
    #[arg(long, value_name = "DIR")]
    handler: Option<String>,
    /// Registry or user before the image's name [default: `OPENFAAS_PREFIX`]
    #[arg(short, long)]
    prefix: Option<String>,
    /// URL of the gateway
    #[arg(short, long, value_name = "URL")]
    gateway: Option<String>,
    /// Most memory a replica may use
    #[arg(long, value_name = "QUANTITY", default_value = "", hide_default_value = true)]
    memory_limit: String,
    /// Most processor a replica may use
    #[arg(long, value_name = "QUANTITY", default_value = "", hide_default_value = true)]
    cpu_limit: String,
    /// Memory promised to a replica
    #[arg(long, value_name = "QUANTITY", default_value = "", hide_default_value = true)]
    memory_request: String,
    /// Processor promised to a replica
    #[arg(long, value_name = "QUANTITY", default_value = "", hide_default_value = true)]
    cpu_request: String,
    /// Leave out the notes at the end
    #[arg(short, long)]
    quiet: bool,
}

/// Makes a function.
pub(crate) fn run(args: &NewArgs, context: &Context) -> anyhow::Result<()> {
    if args.list {
        return list();
    }
    let name = args.name.as_deref().ok_or_else(|| failure("please provide a name for the function"))?;
    functions::check_name(name, || "function name can only contain a-z, 0-9 and dashes".to_owned())?;
    let lang = args.lang.as_deref().filter(|lang| !lang.is_empty());
    let lang = lang.ok_or_else(|| {
        failure("you must supply a function language with the --lang flag")
            .hint(format!("\"{} new --list\" lists the languages", context.env.program))
    })?;
    let template = templates::find(lang)?.ok_or_else(|| templates::unknown(lang))?;
    let handler = args.handler.as_deref().unwrap_or(name);
    let plan = StackPlan::make(args, name, handler, &template, context)?;
    if Path::new(handler).exists() {
        return Err(failure(format!("folder: {handler} already exists")).into());
    }

    template.write_handler(Path::new(handler))?;
    output::line(format!("Folder: {handler} created."))?;
    plan.write()?;
    extend_gitignore()?;
    tell(args, handler, &template, &plan, &context.env.program)
}

fn list() -> anyhow::Result<()> {
    let names = text::lines(templates::list().iter().map(|(name, _)| format!("- {name}")));
    output::print(&format!("Languages available as templates:\n{names}"))
}

/// Limits go through the stack file, where a wrong one would be found only when the function is deployed.
fn check_resources(args: &NewArgs) -> anyhow::Result<()> {
    let memory = [("--memory-limit", &args.memory_limit), ("--memory-request", &args.memory_request)];
    let cpu = [("--cpu-limit", &args.cpu_limit), ("--cpu-request", &args.cpu_request)];
    let memory = memory.map(|(flag, text)| (flag, text, parse_bytes as fn(&str) -> Result<u64, _>));
    let cpu = cpu.map(|(flag, text)| (flag, text, parse_millicores as fn(&str) -> Result<u64, _>));
    for (flag, text, parse) in memory.into_iter().chain(cpu) {
        if !text.is_empty() {
            parse(text).map_err(|error| failure(format!("{flag}: {error}")))?;
        }
    }
    Ok(())
}

fn tell(
    args: &NewArgs,
    handler: &str,
    template: &Template,
    plan: &StackPlan,
    program: &str,
) -> anyhow::Result<()> {
    output::line(format!("\nFunction created in folder: {handler}"))?;
    let verb = if plan.is_new { "written" } else { "updated" };
    output::line(format!("Stack file {verb}: {}", plan.path))?;
    let welcome = template.settings.welcome_message.trim_end();
    if !args.quiet && !welcome.is_empty() {
        output::line(format!("\nNotes:\n{welcome}"))?;
    }
    if !args.quiet {
        output::talk(format!("hint: {program} up -f {} builds and deploys it", plan.path));
    }
    Ok(())
}

/// A stack file to write, complete before anything is made.
#[derive(Debug)]
struct StackPlan {
    path: String,
    text: String,
    is_new: bool,
}

impl StackPlan {
    fn make(
        args: &NewArgs,
        name: &str,
        handler: &str,
        template: &Template,
        context: &Context,
    ) -> anyhow::Result<Self> {
        check_resources(args)?;
        let block = function_block(args, name, handler, template, context);
        if let Some(path) = &args.append {
            let old = std::fs::read_to_string(path).with_context(|| format!("failed to read {path}"))?;
            return Ok(Self { path: path.clone(), text: append(&old, name, &block, path)?, is_new: false });
        }
        let path = format!("{name}.yml");
        if Path::new(&path).exists() {
            let program = &context.env.program;
            return Err(failure(format!(
                "file: {path} already exists. Try \"{program} new --append {path}\" instead"
            ))
            .into());
        }
        let gateway = scalar(&gateway::choose(args.gateway.as_deref(), "", &context.env));
        let text = format!(
            "version: 1.0\nprovider:\n  name: openfaas\n  gateway: {gateway}\nfunctions:\n{}",
            indent(&block, 2)
        );
        Stack::parse(&text, &path)?;
        Ok(Self { path, text, is_new: true })
    }

    fn write(&self) -> anyhow::Result<()> {
        if self.is_new {
            let created = OpenOptions::new().write(true).create_new(true).open(&self.path);
            let written = created.and_then(|mut file| file.write_all(self.text.as_bytes()));
            return written.with_context(|| format!("failed to write {}", self.path));
        }
        std::fs::write(&self.path, &self.text).with_context(|| format!("failed to write {}", self.path))
    }
}

/// The function's lines, not indented.
fn function_block(
    args: &NewArgs,
    name: &str,
    handler: &str,
    template: &Template,
    context: &Context,
) -> String {
    let prefix = args.prefix.as_deref().or_else(|| context.env.image_prefix()).unwrap_or_default();
    let prefix = prefix.trim_end_matches('/');
    let image = if prefix.is_empty() { format!("{name}:latest") } else { format!("{prefix}/{name}:latest") };
    let is_plain = !handler.starts_with(['/', '.']);
    let handler = if is_plain { format!("./{handler}") } else { handler.to_owned() };
    let (lang, handler, image) = (scalar(&template.name), scalar(&handler), scalar(&image));
    let mut block = format!("{}:\n  lang: {lang}\n  handler: {handler}\n  image: {image}\n", scalar(name));
    let sets = [
        ("limits", &args.memory_limit, &args.cpu_limit),
        ("requests", &args.memory_request, &args.cpu_request),
    ];
    for (key, memory, cpu) in sets {
        if !memory.is_empty() || !cpu.is_empty() {
            let _ = writeln!(block, "  {key}:");
        }
        for (key, value) in [("memory", memory), ("cpu", cpu)] {
            if !value.is_empty() {
                let _ = writeln!(block, "    {key}: {}", scalar(value));
            }
        }
    }
    block
}

/// A value as YAML spells it: in quotes where it would mean something else without.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./@:+".contains(c);
    let is_safe = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.' || c == '/')
        && !text.ends_with(':')
        && text.chars().all(is_plain)
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    // YAML reads JSON's strings.
    if is_safe { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn indent(block: &str, by: usize) -> String {
    text::lines(block.lines().map(|line| format!("{:by$}{line}", "")))
}

/// Puts the block at the end of `functions`, and makes sure that nothing else changed.
fn append(old: &str, name: &str, block: &str, path: &str) -> anyhow::Result<String> {
    let before = Stack::parse(old, path)?;
    if before.functions.iter().any(|function| function.name == name) {
        return Err(failure(format!("function {name} already exists in {path}")).into());
    }
    let text = insert(old, block);
    let fits = |after: &Stack| {
        after.functions.iter().filter(|function| function.name != name).eq(before.functions.iter())
            && after.functions.len() == before.functions.len() + 1
            && after.configuration == before.configuration
    };
    match Stack::parse(&text, path) {
        Ok(after) if fits(&after) => Ok(text),
        _ => Err(failure(format!(
            "{path} is laid out in a way that no function can be added to it by program"
        ))
        .hint(format!("add it by hand:\n{}", indent(block, 2)))
        .into()),
    }
}

fn insert(old: &str, block: &str) -> String {
    let lines: Vec<&str> = old.lines().collect();
    let is_top = |line: &&str| !line.is_empty() && !line.starts_with([' ', '\t', '#']);
    let Some(start) = lines.iter().position(|line| line.trim_end() == "functions:") else {
        return format!("{}\nfunctions:\n{}", old.trim_end(), indent(block, 2));
    };
    let rest = lines.get(start + 1..).unwrap_or_default();
    let section = rest.iter().position(is_top).unwrap_or(rest.len());
    let section = rest.get(..section).unwrap_or_default();
    // Empty lines before the next key stay before it.
    let filled = section.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
    let first = section.iter().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let width = first.map_or(2, |line| line.len() - line.trim_start().len());
    let (head, tail) = lines.split_at(start + 1 + filled);
    let mut grown = text::lines(head);
    grown += &indent(block, width);
    grown + &text::lines(tail)
}

/// What builds leave behind is nothing to commit.
fn extend_gitignore() -> anyhow::Result<()> {
    const PATH: &str = ".gitignore";
    let old = match std::fs::read_to_string(PATH) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        other => other.with_context(|| format!("failed to read {PATH}"))?,
    };
    let has = |wanted: &str| old.lines().any(|line| line.trim().trim_matches('/') == wanted);
    let missing = text::lines(["template", "build", ".secrets"].iter().filter(|name| !has(name)));
    if missing.is_empty() {
        return Ok(());
    }
    let gap = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
    let opened = OpenOptions::new().append(true).create(true).open(PATH);
    let written = opened.and_then(|mut file| file.write_all(format!("{gap}{missing}").as_bytes()));
    written.with_context(|| format!("failed to write {PATH}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "b:\n  lang: bash\n";

    fn appended(old: &str) -> anyhow::Result<String> {
        append(old, "b", BLOCK, "s.yml")
    }

    #[test]
    fn a_function_is_added_at_the_end_of_the_functions() {
        let head = "version: 1.0\nprovider:\n  name: openfaas\n";
        for (old, expect) in [
            (
                "functions:\n  a:\n    lang: node\n",
                "functions:\n  a:\n    lang: node\n  b:\n    lang: bash\n",
            ),
            (
                "functions:\n    a:\n        lang: node",
                "functions:\n    a:\n        lang: node\n    b:\n      lang: bash\n",
            ),
            ("functions:\n", "functions:\n  b:\n    lang: bash\n"),
            ("", "functions:\n  b:\n    lang: bash\n"),
            (
                "functions:\n  # first\n  a:\n    lang: node # it\n\nconfiguration:\n  copy: [x]\n",
                "functions:\n  # first\n  a:\n    lang: node # it\n  b:\n    lang: bash\n\nconfiguration:\n  copy: [x]\n",
            ),
        ] {
            assert_eq!(appended(&format!("{head}{old}")).unwrap(), format!("{head}{expect}"), "{old}");
        }
    }

    #[test]
    fn values_are_quoted_where_yaml_would_read_something_else() {
        for plain in ["./f", "r/f:latest", "128Mi", "http://gw:8080", "f@sha256:0"] {
            assert_eq!(scalar(plain), plain);
        }
        for text in ["a b", "a: b", "a #b", "-x", "&a", "null", "no", "x:", "\"", "ä", "{a}", "a\nb"] {
            let file =
                format!("provider: {{name: openfaas}}\nfunctions: {{f: {{handler: {}}}}}\n", scalar(text));
            assert!(scalar(text).starts_with('"'), "{text}");
            assert_eq!(Stack::parse(&file, "s").unwrap().functions[0].handler, text);
        }
    }

    #[test]
    fn what_cannot_be_added_changes_nothing() {
        let head = "provider: {name: openfaas}\n";
        let twice = appended(&format!("{head}functions:\n  b:\n    lang: bash\n")).unwrap_err();
        assert_eq!(twice.to_string(), "function b already exists in s.yml");
        assert!(appended(&format!("{head}functions: {{a: {{lang: node}}}}\n")).is_err());
        assert!(appended("text").is_err());
    }
}

//! `faas template`.

use clap::Subcommand;

use crate::{output, table, templates};

/// Commands on templates.
#[derive(Debug, Subcommand)]
pub(crate) enum TemplateCommand {
    /// List the templates for new functions
    #[command(visible_alias = "ls")]
    List,
}

/// Runs one.
pub(crate) fn run(command: &TemplateCommand) -> anyhow::Result<()> {
    match command {
        TemplateCommand::List => list(),
    }
}

fn list() -> anyhow::Result<()> {
    let mut rows = vec![vec!["NAME".to_owned(), "SOURCE".to_owned()]];
    for (name, is_local) in templates::list() {
        let source = if is_local { format!("./template/{name}") } else { "embedded".to_owned() };
        rows.push(vec![name, source]);
    }
    output::print(&table::align(&rows))
}

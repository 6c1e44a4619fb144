//! Requests per second and processor time per request at few and many connections: nginx `proxy_pass` with one worker,
//! with two, and our gateway, in front of the same static server.

use super::{Contest, NAME, print, tools};
use crate::args::Args;
use crate::load::Wrk;
use crate::report::Report;

const CONNECTIONS: [u32; 3] = [1, 32, 128];

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let Some((wrk, nginx)) = tools(args, report) else { return Ok(()) };
    let contest = Contest::start(&nginx, [NAME.to_owned()])?;
    for connections in CONNECTIONS {
        let runs = contest.measure(&Wrk { connections, ..wrk.clone() })?;
        print(&runs, &label(connections), report);
    }
    Ok(())
}

fn label(connections: u32) -> String {
    format!("{connections} connection{}", if connections == 1 { "" } else { "s" })
}

//! nginx, the reference for what stands before a server, and a server that does next to nothing.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use faas_provider::Address;
use faas_testing::wait_for;
use tempfile::TempDir;

use crate::child::{Server, find, free_port};
use crate::{descriptors, process};

/// What a server of it answers.
pub(crate) const ANSWER: &str = "Hello from nginx.\n";

/// What it does with every request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Job<'a> {
    /// Answers [`ANSWER`].
    Answer,
    /// Gives it to a server, over connections that it keeps.
    Forward(&'a Address),
}

/// A server, ended when dropped.
pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    /// The processes that do the work.
    pub(crate) workers: Vec<u32>,
    // In this order: nginx first.
    _master: Server,
    _folder: TempDir,
}

impl Nginx {
    /// Its program, if it is installed.
    pub(crate) fn find() -> Option<PathBuf> {
        find("nginx")
    }

    pub(crate) fn start(program: &Path, workers: usize, job: Job<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let configuration = folder.path().join("nginx.conf");
        fs::write(&configuration, text(folder.path(), address, workers, job))?;
        let errors = folder.path().join("error.log");
        let master =
            Server::start(Command::new(program).arg("-e").arg(&errors).arg("-c").arg(&configuration))?;
        wait_for("nginx", || TcpStream::connect(address).ok());
        let workers = wait_for("nginx's workers", || {
            process::children(master.pid()).ok().filter(|children| children.len() == workers)
        });
        Ok(Self { address, workers, _master: master, _folder: folder })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

fn text(folder: &Path, address: SocketAddr, workers: usize, job: Job<'_>) -> String {
    let (folder, descriptors) = (folder.display(), descriptors::most());
    // Else its workers become another user, who may not open our sockets.
    let user = if rustix::process::geteuid().is_root() { "user root root;" } else { "" };
    // Else one of them may take nearly all connections.
    let (shared, cores) = if workers > 1 { ("reuseport", "worker_cpu_affinity auto;") } else { ("", "") };
    let (upstream, action) = match job {
        Job::Answer => (String::new(), format!("return 200 \"{}\";", ANSWER.escape_default())),
        Job::Forward(to) => (
            format!(
                "upstream them {{ server {}; keepalive 256; keepalive_requests 100000000; }}",
                server(to)
            ),
            "proxy_pass http://them; proxy_http_version 1.1; proxy_set_header Connection \"\";".to_owned(),
        ),
    };
    format!(
        "daemon off; worker_processes {workers}; {cores} {user} pid {folder}/pid; error_log {folder}/error.log;
worker_rlimit_nofile {descriptors};
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000; keepalive_timeout 1h;
    {upstream}
    server {{
        listen {address} {shared};
        location / {{ {action} }}
    }}
}}
"
    )
}

fn server(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => format!("unix:{}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_told_in_its_words() {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let text = |workers, job| text(Path::new("/f"), address, workers, job);
        assert!(text(1, Job::Answer).contains("listen 127.0.0.1:80 ;"));
        assert!(text(1, Job::Answer).contains(r#"return 200 "Hello from nginx.\n";"#));
        let to = Address::Unix("/s".into());
        let forward = text(2, Job::Forward(&to));
        assert!(forward.contains("worker_processes 2;") && forward.contains("server unix:/s;"));
        assert!(forward.contains("reuseport") && forward.contains("worker_cpu_affinity auto;"));
    }
}

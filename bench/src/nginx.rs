//! nginx with one worker and `proxy_pass` before this program as a handler: the reference for what stands before one.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use faas_package::HTTP_SOCKET_VARIABLE;
use faas_testing::wait_for;
use tempfile::TempDir;

use crate::child::{Server, as_handler, free_port};
use crate::process;

/// A server, ended when dropped.
pub(crate) struct Nginx {
    pub(crate) url: String,
    /// The process that does the work.
    pub(crate) worker: u32,
    // In this order: nginx first.
    _master: Server,
    pub(crate) handler: Server,
    _folder: TempDir,
}

impl Nginx {
    pub(crate) fn start(program: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("h.sock");
        let handler =
            Server::start(as_handler(&std::env::current_exe()?).env(HTTP_SOCKET_VARIABLE, &socket))?;
        wait_for("the handler's socket", || socket.exists().then_some(()));
        let port = free_port()?;
        let configuration = folder.path().join("nginx.conf");
        fs::write(&configuration, text(folder.path(), &socket, port))?;
        let errors = folder.path().join("error.log");
        let nginx =
            Server::start(Command::new(program).arg("-e").arg(&errors).arg("-c").arg(&configuration))?;
        wait_for("nginx", || TcpStream::connect(("127.0.0.1", port)).ok());
        let worker = wait_for("nginx's worker", || process::children(nginx.pid()).ok()?.first().copied());
        let url = format!("http://127.0.0.1:{port}/");
        Ok(Self { url, worker, _master: nginx, handler, _folder: folder })
    }
}

fn text(folder: &Path, socket: &Path, port: u16) -> String {
    let (folder, socket) = (folder.display(), socket.display());
    // Else its worker becomes another user, who may not open our socket.
    let user = if rustix::process::geteuid().is_root() { "user root root;" } else { "" };
    format!(
        "daemon off; worker_processes 1; {user} pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    upstream handler {{ server unix:{socket}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://handler; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}
    }}
}}
"
    )
}

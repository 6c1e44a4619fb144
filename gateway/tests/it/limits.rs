//! What a client may take, and how it is stopped: heads, time, connections, HTTP/2.

mod connections;
mod heads;
mod http2;
mod time;

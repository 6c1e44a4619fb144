//! What passes between callers and functions, in both versions of HTTP and beyond them.

mod answers;
mod expect;
mod grpc;
mod http2;
mod methods;
mod streaming;
mod trailers;
mod upgrade;

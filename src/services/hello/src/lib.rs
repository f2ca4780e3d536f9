//! An ordinary service: one page that tells what can be seen from inside a sandbox, and what was tried in vain.
//!
//! In:  requests of HTTP/1.1, one at a time, from anybody in the home. Out: `/` for people, `/facts.json` for programs.
//!
//! It knows nothing of the gateway but what any service could: it imports none of its rooms, is given no right, and speaks with it by the
//! socket that each service has. Everything that it
//! reads is bounded; it keeps nothing.
//!
//! Not here: TLS, sessions, scripts. Nothing on the page comes from anywhere else.
//!
//! Sources: RFC 9112; proc(5).
#![forbid(unsafe_code)]

pub mod request;
pub mod serve;

pub mod facts;
pub mod gateway;
pub mod kernel;
pub mod probe;

pub mod json;
pub mod page;

use std::fmt;
use std::io;

/// Why it does not serve.
#[derive(Debug)]
pub enum Error {
    /// The port could not be opened.
    Port(u16, io::Error),
    /// Nobody could be told that it is ready.
    Ready(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port, cause) => write!(f, "hello: port {port}: {cause}"),
            Self::Ready(cause) => write!(f, "hello: cannot say that it is ready: {cause}"),
        }
    }
}

impl std::error::Error for Error {}

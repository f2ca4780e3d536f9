//! What a daemon is started with: its wires, and a descriptor to say that it is ready.
//!
//! The supervisor leaves the wires at 3, 4, … and names them in `LISTEN_FDNAMES` (`attach:learn:show`), and the notify descriptor at
//! the number in `NOTIFY_FD`.
//!
//! Source: sd_listen_fds(3); s6's `notification-fd` (one line: ready).

use std::convert::Infallible;
use std::fmt::Display;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::process::ExitCode;

use contract::wires::Wire;
use log::error;
use sys::descriptor;

use crate::Listener;

/// Where the first wire lies.
const FIRST: RawFd = 3;

/// Takes the listener of `wire` that this process was started with. `None` where it was not. To be called at the head of `main`.
#[must_use]
pub fn take(wire: Wire) -> Option<Listener> {
    socket(wire).map(|socket| Listener::new(wire, socket))
}

/// The same of a wire whose clients are not of this house ([`Wire::is_stream`]). It does not block.
#[must_use]
pub fn take_stream(wire: Wire) -> Option<UnixListener> {
    socket(wire).map(UnixListener::from)
}

fn socket(wire: Wire) -> Option<OwnedFd> {
    let names = std::env::var("LISTEN_FDNAMES").ok()?;
    let place = names.split(':').position(|name| name == wire.name)?;
    let number = FIRST.checked_add(RawFd::try_from(place).ok()?)?;
    descriptor::inherited(number)
}

/// Says once that this process is ready. Without a `NOTIFY_FD` nobody asked.
pub fn notify_ready() {
    let number = std::env::var("NOTIFY_FD").ok().and_then(|number| number.parse().ok());
    let notify: Option<OwnedFd> = number.and_then(descriptor::inherited);
    if let Some(notify) = notify {
        // If the supervisor has died, its next life asks again by the same pipe, which PID 1 keeps open.
        let _ = descriptor::write(&notify, b"ready\n");
    }
}

/// A daemon, from its start to its end: takes its wires, opens what it holds, says that it is ready, runs.
///
/// All `wires` have the same server, by whose name it logs. It returns what `main` ends with: 2 where nobody gave it its wires.
pub fn serve<const N: usize, R, E: Display>(
    wires: [Wire; N],
    open: impl FnOnce([Listener; N]) -> Result<R, E>,
    run: impl FnOnce(&mut R) -> Result<Infallible, E>,
) -> ExitCode {
    let taken = wires.map(take);
    sys::logger::to_stderr(wires.first().map_or("daemon", |wire| wire.server));
    let missing = wires.iter().zip(&taken).find(|(_, listener)| listener.is_none());
    let missing = missing.map_or("", |(wire, _)| wire.name);
    let Ok(listeners) = <[Listener; N]>::try_from(taken.into_iter().flatten().collect::<Vec<_>>()) else {
        error!("wire {missing}: not handed to us; the supervisor starts this program");
        return ExitCode::from(2);
    };
    let end = open(listeners).and_then(|mut room| {
        notify_ready();
        run(&mut room)
    });
    match end {
        Ok(never) => match never {},
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

//! PID 1 inside a sandbox: runs the service, passes signals on, reaps whoever is left, ends as the service ended.
//!
//! In:  `reaper [--probe TIMEOUT_MS COUNT WORD…] PROGRAM ARGUMENT…`. Out: the service's exit code, or 128 and the signal that ended it.
//!
//! A service that were PID 1 itself would reap nothing and ignore SIGTERM. There is one reaper for each running service, so on the
//! gateway it is built without the standard library; anywhere else with it, so that the usual tools work.
//!
//! It says `unsafe` because it speaks to the C library itself: docs/decisions/0003-the-fence.md.
//!
//! Source: pid_namespaces(7), "The namespace init process"; sigwaitinfo(2), waitpid(2).
#![cfg_attr(target_env = "musl", no_std, no_main)]

mod probe;
mod reap;

/// Where the C library begins.
#[cfg(target_env = "musl")]
#[allow(unsafe_code, reason = "this is the symbol that the C runtime calls")]
// SAFETY: there is no other `main` in this program, and this one has the signature that C gives it.
#[unsafe(no_mangle)]
extern "C" fn main(_count: libc::c_int, arguments: reap::Words, environment: reap::Words) -> libc::c_int {
    reap::run(arguments, environment)
}

#[cfg(target_env = "musl")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    reap::end(127)
}

#[cfg(not(target_env = "musl"))]
fn main() {
    reap::run_with_std();
}

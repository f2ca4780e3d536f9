//! The only room that says `unsafe`: what `nix` and `caps` do not wrap.
//!
//! In:  plain values and descriptors. Out: plain values and descriptors, or an `Errno`.
//!
//! A wrapper is one call, one error, one test. This room decides nothing, retries nothing (but after EINTR) and logs nothing; what
//! nix wraps well is not wrapped again.

pub mod by_link;
pub mod clock;
pub mod datagrams;
pub mod descriptor;
pub mod entropy;
pub mod group;
pub mod logger;
pub mod mroute;
pub mod packet;
pub mod ppp;
pub mod seqpacket;
pub mod stream;
pub mod wall;

pub mod bpf;
pub mod clone;
pub mod device_mapper;
pub mod exec;
pub mod landlock;
pub mod loop_device;
pub mod mount;
pub mod pidfd;
pub mod privilege;
pub mod quota;
pub mod uevent;
pub mod userns;
pub mod wait;

pub mod heap;
pub mod watchdog;

pub use nix::errno::Errno;

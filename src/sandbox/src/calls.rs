//! Which system calls a service may use: filters that were compiled from the texts in `policy/`.
//!
//! In:  a profile, and whether routes may be read. Out: a filter.
//!
//! i386 has twins: 64-bit time, 64-bit file offsets, 32-bit ids; programs of old and new libraries use the one or the other.
//!
//! `socketcall` (i386) hides the address family behind a pointer, so a filter cannot see it. *strict* refuses it; *glibc* needs it.
//!
//! Source: docs/policies.md.

use contract::manifest::Profile;
use sys::privilege::Instruction;

include!(concat!(env!("OUT_DIR"), "/filters.rs"));

/// The filter of `profile`, for the architecture that this program is compiled for.
///
/// * `routes` — it may read links, addresses and routes by netlink.
#[must_use]
pub fn program(profile: Profile, routes: bool) -> &'static [Instruction] {
    match (profile, routes) {
        (Profile::Strict, false) => STRICT,
        (Profile::Strict, true) => STRICT_ROUTES,
        (Profile::Glibc, false) => GLIBC,
        (Profile::Glibc, true) => GLIBC_ROUTES,
    }
}

#[cfg(test)]
mod tests {
    use super::program;
    use crate::bpf::{Code, assemble, run, walk};
    use crate::policy::tests::TABLE;
    use crate::policy::{Abi, numbers, read};
    use contract::manifest::Profile;

    const ALLOW: u32 = 0x7fff_0000;
    const EPERM: u32 = 0x0005_0001;
    const ENOSYS: u32 = 0x0005_0026;
    const EAFNOSUPPORT: u32 = 0x0005_0061;

    #[cfg(target_arch = "x86")]
    const OURS: Abi = Abi::I386;
    #[cfg(target_arch = "x86_64")]
    const OURS: Abi = Abi::X86_64;

    /// The filter of both profiles for an ABI, from the same texts as `build.rs`.
    fn filter(profile: Profile, routes: bool, abi: Abi) -> Vec<Code> {
        let all = ("all", include_str!("../policy/all.policy"));
        let own = match profile {
            Profile::Strict => ("strict", include_str!("../policy/strict.policy")),
            Profile::Glibc => ("glibc", include_str!("../policy/glibc.policy")),
        };
        let routes = routes.then_some(("routes", include_str!("../policy/routes.policy")));
        let texts: Vec<_> = [all, own].into_iter().chain(routes).collect();
        assemble(&read(TABLE, &texts, abi).unwrap()).unwrap()
    }

    fn answer(profile: Profile, routes: bool, abi: Abi, (call, arguments): (&str, [u64; 3])) -> u32 {
        let number = numbers(TABLE, abi).unwrap()[call].expect(call);
        let [a, b, c] = arguments;
        run(&filter(profile, routes, abi), abi.architecture(), number, [a, b, c, 0, 0, 0]).unwrap()
    }

    #[test]
    fn what_was_built_is_what_the_texts_say() {
        for (profile, routes) in
            [Profile::Strict, Profile::Glibc].into_iter().flat_map(|p| [(p, false), (p, true)])
        {
            let built: Vec<Code> =
                program(profile, routes).iter().map(|i| (i.code, i.yes, i.no, i.operand)).collect();
            assert_eq!(built, filter(profile, routes, OURS));
        }
    }

    /// Call, its first arguments, the answer for every profile and ABI.
    const ANSWERS: &[(&str, [u64; 3], u32)] = &[
        ("read", [0; 3], ALLOW),
        ("execveat", [9, 0, 0], ALLOW), // after the word to go
        ("exit_group", [0; 3], ALLOW),
        ("clone", [0x003d_0f00, 0, 0], ALLOW), // a thread
        ("clone", [0x1000_0000, 0, 0], EPERM), // CLONE_NEWUSER
        ("clone", [0x80, 0, 0], EPERM),        // CLONE_NEWTIME
        ("clone3", [0; 3], ENOSYS),
        ("unshare", [0x1000_0000, 0, 0], EPERM),
        ("setns", [3, 0, 0], EPERM),
        ("mount", [0; 3], EPERM),
        ("fsopen", [0; 3], EPERM),
        ("open_tree", [0; 3], EPERM),
        ("move_mount", [0; 3], EPERM),
        ("mount_setattr", [0; 3], EPERM),
        ("pivot_root", [0; 3], EPERM),
        ("chroot", [0; 3], EPERM),
        ("bpf", [0; 3], EPERM),
        ("io_uring_setup", [0; 3], EPERM),
        ("userfaultfd", [0; 3], EPERM),
        ("perf_event_open", [0; 3], EPERM),
        ("keyctl", [0; 3], EPERM),
        ("add_key", [0; 3], EPERM),
        ("request_key", [0; 3], EPERM),
        ("kexec_load", [0; 3], EPERM),
        ("init_module", [0; 3], EPERM),
        ("finit_module", [0; 3], EPERM),
        ("delete_module", [0; 3], EPERM),
        ("swapon", [0; 3], EPERM),
        ("swapoff", [0; 3], EPERM),
        ("reboot", [0; 3], EPERM),
        ("clock_settime", [0; 3], EPERM),
        ("settimeofday", [0; 3], EPERM),
        ("quotactl", [0; 3], EPERM),
        ("quotactl_fd", [0; 3], EPERM),
        ("ptrace", [0; 3], EPERM),
        ("process_vm_readv", [0; 3], EPERM),
        ("process_vm_writev", [0; 3], EPERM),
        ("pidfd_getfd", [0; 3], EPERM),
        ("open_by_handle_at", [0; 3], EPERM),
        ("mknod", [0; 3], EPERM),
        ("mknodat", [0; 3], EPERM),
        ("iopl", [3, 0, 0], EPERM),
        ("ioperm", [0; 3], EPERM),
        ("sched_setscheduler", [0; 3], EPERM),
        ("sched_setattr", [0; 3], EPERM),
        ("acct", [0; 3], EPERM),
        ("syslog", [3, 0, 0], EPERM),
        ("seccomp", [1, 0, 0], EPERM),
        ("socket", [2, 1, 0], ALLOW),
        ("socket", [2, 0x8_0801, 6], ALLOW), // with SOCK_CLOEXEC and SOCK_NONBLOCK
        ("socket", [2, 3, 255], EAFNOSUPPORT), // raw
        ("socket", [17, 3, 0], EAFNOSUPPORT), // AF_PACKET
        ("socket", [16, 3, 0], EAFNOSUPPORT), // AF_NETLINK
        ("socket", [38, 5, 0], EAFNOSUPPORT), // AF_ALG
        ("socket", [40, 1, 0], EAFNOSUPPORT), // AF_VSOCK
        ("socketpair", [16, 3, 0], EAFNOSUPPORT),
        ("ioctl", [0, 0x5412, 0], EPERM),           // TIOCSTI
        ("ioctl", [0, 0x1_0000_5412, 0], EPERM),    // what the kernel cuts off does not help
        ("ioctl", [0, 0x541c, 0], EPERM),           // TIOCLINUX
        ("ioctl", [0, 0x5421, 0], ALLOW),           // FIONBIO
        ("personality", [0x004_0000, 0, 0], EPERM), // ADDR_NO_RANDOMIZE
        ("personality", [0xffff_ffff, 0, 0], ALLOW),
        ("prctl", [15, 0, 0], ALLOW), // PR_SET_NAME
        ("prctl", [35, 0, 0], EPERM), // PR_SET_MM
    ];

    #[test]
    fn what_a_service_needs_is_allowed_and_what_hurts_is_not() {
        for abi in [Abi::I386, Abi::X86_64] {
            for profile in [Profile::Strict, Profile::Glibc] {
                for (call, arguments, want) in ANSWERS {
                    let got = answer(profile, false, abi, (call, *arguments));
                    assert_eq!(got, *want, "{abi:?} {profile:?} {call} {arguments:x?}");
                }
            }
        }
    }

    #[test]
    fn old_calls_of_i386_that_do_the_same_are_closed_too() {
        for (call, want) in [
            ("umount", EPERM),
            ("stime", EPERM),
            ("vm86", EPERM),
            ("vm86old", EPERM),
            ("modify_ldt", EPERM),
            ("uselib", EPERM),
            ("clock_settime64", EPERM),
        ] {
            assert_eq!(answer(Profile::Strict, false, Abi::I386, (call, [0; 3])), want, "{call}");
        }
    }

    #[test]
    fn what_only_x86_64_has_is_closed_too() {
        assert_eq!(answer(Profile::Strict, false, Abi::X86_64, ("kexec_file_load", [0; 3])), EPERM);
    }

    #[test]
    fn socketcall_is_for_glibc_only() {
        assert_eq!(answer(Profile::Strict, false, Abi::I386, ("socketcall", [1, 0, 0])), ENOSYS);
        assert_eq!(answer(Profile::Glibc, false, Abi::I386, ("socketcall", [1, 0, 0])), ALLOW);
        assert_eq!(answer(Profile::Glibc, false, Abi::I386, ("socketcall", [21, 0, 0])), EPERM);
    }

    #[test]
    fn routes_are_for_whom_it_was_granted() {
        for abi in [Abi::I386, Abi::X86_64] {
            for (routes, arguments, want) in [
                (false, [16, 3, 0], EAFNOSUPPORT),
                (true, [16, 3, 0], ALLOW),
                (true, [16, 0x8_0002, 0], ALLOW),
                (true, [16, 3, 12], EAFNOSUPPORT), // NETLINK_NETFILTER
                (true, [17, 3, 0], EAFNOSUPPORT),
                (true, [2, 1, 0], ALLOW),
            ] {
                assert_eq!(
                    answer(Profile::Strict, routes, abi, ("socket", arguments)),
                    want,
                    "{arguments:?}"
                );
            }
        }
    }

    #[test]
    fn a_call_of_the_future_is_not_there() {
        for abi in [Abi::I386, Abi::X86_64] {
            let program = filter(Profile::Strict, false, abi);
            assert_eq!(run(&program, abi.architecture(), 463, [0; 6]), Some(ENOSYS));
            assert_eq!(run(&program, abi.architecture(), 0x4000_0003, [0; 6]), Some(0x8000_0000), "x32");
            let other = if abi == Abi::I386 { Abi::X86_64 } else { Abi::I386 };
            assert_eq!(run(&program, other.architecture(), 3, [0; 6]), Some(0x8000_0000), "another ABI");
        }
    }
    #[test]
    fn a_start_does_not_wait_for_a_long_filter() {
        // The kernel tries every call when a filter is loaded: a list of comparisons took 87 000 steps for 470 of them.
        for abi in [Abi::I386, Abi::X86_64] {
            for profile in [Profile::Strict, Profile::Glibc] {
                let program = filter(profile, true, abi);
                let steps =
                    (0..500).map(|number| walk(&program, abi.architecture(), number, [0; 6]).unwrap().1);
                let (steps, length) = (steps.sum::<usize>(), program.len());
                assert!(steps < 10_000 && length < 400, "{abi:?}: {steps} steps, {length} instructions");
            }
        }
    }
}

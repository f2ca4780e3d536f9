//! Which system calls a service may use: one list, for i386 and for x86_64.
//!
//! In:  a profile. Out: a filter.
//!
//! What is not named is refused. Named are calls that work on a process's own memory, files, sockets, time and children. Not named:
//! mounts, namespaces, modules, keys, BPF, perf, io_uring, userfaultfd, ptrace and its kin, clocks that can be set, swap, reboot,
//! quotas, file handles, raw device ports.
//!
//! i386 has twins: 64-bit time, 64-bit file offsets, 32-bit ids; programs of old and new libraries use the one or the other.
//!
//! `socketcall` (i386) hides the address family behind a pointer, so a filter cannot see it. *strict* refuses it; *glibc* needs it
//! (Debian 12's i386 library knows nothing else) and closes by sub-call what it can; families are closed elsewhere (no right over
//! the network namespace, and no AF_ALG or AF_VSOCK in the board kernel).
//!
//! Source: the kernel's syscall_32.tbl and syscall_64.tbl; linux/audit.h; linux/net.h; asm-generic/ioctls.h; linux/sched.h.

use contract::manifest::Profile;
use sys::privilege::Instruction;

use crate::bpf::{Rule, When, assemble};

#[cfg(target_arch = "x86")]
const ARCHITECTURE: u32 = 0x4000_0003; // AUDIT_ARCH_I386
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e; // AUDIT_ARCH_X86_64

/// x32 calls have this bit; no call of i386 has such a number.
const FOREIGN_FROM: u32 = 0x4000_0000;
/// `mseal` is 462 in both tables: what comes after it is newer than the board's kernel.
const UNKNOWN_FROM: u32 = 463;

/// Namespaces that a child could be made in: every `CLONE_NEW` flag of clone(2).
const NEW_NAMESPACES: u32 = 0x7e02_0080;
const ENOSYS: u16 = 38;
const EAFNOSUPPORT: u16 = 97;
/// AF_UNIX, AF_INET, AF_INET6.
const FAMILIES: &[u32] = &[1, 2, 10];
/// TIOCSTI, TIOCLINUX, TIOCSETD: typing for another, the console's own, line disciplines.
const TERMINAL_TRICKS: &[u32] = &[0x5412, 0x541c, 0x5423];
/// The present one (asked with all bits), plain Linux, and 32-bit Linux: none that weakens address layout.
const PERSONALITIES: &[u32] = &[0xffff_ffff, 0, 8];
/// Sub-calls 1 to 20 of linux/net.h, `SYS_SENDMMSG` the last.
#[cfg(target_arch = "x86")]
const SUB_CALLS: &[u32] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];

/// The filter of `profile`, for the architecture that this program is compiled for.
#[must_use]
pub fn program(profile: Profile) -> Vec<Instruction> {
    assemble(ARCHITECTURE, FOREIGN_FROM, UNKNOWN_FROM, &rules(profile))
}

fn rules(profile: Profile) -> Vec<Rule> {
    let plain = BOTH.iter().chain(OWN).map(|number| (*number, When::Always));
    let special = [
        // glibc and musl go on with clone.
        (libc::SYS_clone3, When::Never(ENOSYS)),
        (libc::SYS_clone, When::NoBit(0, NEW_NAMESPACES)),
        (libc::SYS_socket, When::OneOf(0, FAMILIES, EAFNOSUPPORT)),
        (libc::SYS_ioctl, When::NoneOf(1, TERMINAL_TRICKS)),
        (libc::SYS_personality, When::OneOf(0, PERSONALITIES, 1)),
    ];
    special.into_iter().chain(socket_call(profile)).chain(plain).collect()
}

#[cfg(target_arch = "x86")]
fn socket_call(profile: Profile) -> Option<Rule> {
    let when = match profile {
        Profile::Strict => When::Never(ENOSYS),
        Profile::Glibc => When::OneOf(0, SUB_CALLS, 1),
    };
    Some((libc::SYS_socketcall, when))
}

#[cfg(target_arch = "x86_64")]
fn socket_call(_profile: Profile) -> Option<Rule> {
    None // There is no such call.
}

/// Calls that both architectures have.
#[rustfmt::skip]
const BOTH: &[libc::c_long] = {
    use libc as c;
    &[
        c::SYS_read, c::SYS_write, c::SYS_open, c::SYS_close, c::SYS_openat,
        c::SYS_openat2, c::SYS_creat, c::SYS_lseek, c::SYS_pread64, c::SYS_pwrite64,
        c::SYS_readv, c::SYS_writev, c::SYS_preadv, c::SYS_pwritev, c::SYS_preadv2,
        c::SYS_pwritev2, c::SYS_sendfile, c::SYS_copy_file_range, c::SYS_splice, c::SYS_tee,
        c::SYS_access, c::SYS_faccessat, c::SYS_faccessat2, c::SYS_stat, c::SYS_fstat,
        c::SYS_lstat, c::SYS_statx, c::SYS_statfs, c::SYS_fstatfs, c::SYS_readlink,
        c::SYS_readlinkat, c::SYS_getdents, c::SYS_getdents64, c::SYS_getcwd, c::SYS_chdir,
        c::SYS_fchdir,
        c::SYS_mkdir, c::SYS_mkdirat, c::SYS_rmdir, c::SYS_unlink, c::SYS_unlinkat,
        c::SYS_rename, c::SYS_renameat, c::SYS_renameat2, c::SYS_link, c::SYS_linkat,
        c::SYS_symlink, c::SYS_symlinkat, c::SYS_chmod, c::SYS_fchmod, c::SYS_fchmodat,
        c::SYS_chown, c::SYS_fchown, c::SYS_lchown, c::SYS_fchownat, c::SYS_umask,
        c::SYS_truncate, c::SYS_ftruncate, c::SYS_fallocate, c::SYS_fadvise64, c::SYS_fsync,
        c::SYS_fdatasync, c::SYS_sync_file_range, c::SYS_flock, c::SYS_utime, c::SYS_utimes,
        c::SYS_utimensat, c::SYS_futimesat, c::SYS_getxattr, c::SYS_lgetxattr,
        c::SYS_fgetxattr, c::SYS_listxattr, c::SYS_llistxattr, c::SYS_flistxattr,
        c::SYS_dup, c::SYS_dup2, c::SYS_dup3, c::SYS_fcntl, c::SYS_pipe, c::SYS_pipe2,
        c::SYS_close_range, c::SYS_eventfd, c::SYS_eventfd2, c::SYS_memfd_create,
        c::SYS_poll, c::SYS_ppoll, c::SYS_pselect6, c::SYS_epoll_create, c::SYS_epoll_create1,
        c::SYS_epoll_ctl, c::SYS_epoll_wait, c::SYS_epoll_pwait, c::SYS_epoll_pwait2,
        c::SYS_inotify_init, c::SYS_inotify_init1, c::SYS_inotify_add_watch,
        c::SYS_inotify_rm_watch, c::SYS_signalfd, c::SYS_signalfd4, c::SYS_timerfd_create,
        c::SYS_timerfd_settime, c::SYS_timerfd_gettime,
        c::SYS_socketpair, c::SYS_bind, c::SYS_connect, c::SYS_listen, c::SYS_accept4,
        c::SYS_getsockname, c::SYS_getpeername, c::SYS_getsockopt, c::SYS_setsockopt,
        c::SYS_sendto, c::SYS_sendmsg, c::SYS_sendmmsg, c::SYS_recvfrom, c::SYS_recvmsg,
        c::SYS_recvmmsg, c::SYS_shutdown,
        c::SYS_brk, c::SYS_mmap, c::SYS_munmap, c::SYS_mprotect, c::SYS_mremap,
        c::SYS_madvise, c::SYS_mincore, c::SYS_msync, c::SYS_mlock, c::SYS_munlock,
        c::SYS_membarrier,
        c::SYS_exit, c::SYS_exit_group, c::SYS_execve, c::SYS_execveat, c::SYS_fork,
        c::SYS_vfork, c::SYS_wait4, c::SYS_waitid, c::SYS_kill, c::SYS_tgkill,
        c::SYS_tkill, c::SYS_pidfd_open, c::SYS_pidfd_send_signal, c::SYS_getpid,
        c::SYS_getppid, c::SYS_gettid, c::SYS_getpgid, c::SYS_getpgrp, c::SYS_getsid,
        c::SYS_setpgid, c::SYS_setsid,
        c::SYS_getuid, c::SYS_geteuid, c::SYS_getgid, c::SYS_getegid, c::SYS_getresuid,
        c::SYS_getresgid, c::SYS_getgroups, c::SYS_setuid, c::SYS_setgid, c::SYS_setresuid,
        c::SYS_setresgid, c::SYS_setreuid, c::SYS_setregid, c::SYS_setgroups, c::SYS_setfsuid,
        c::SYS_setfsgid, c::SYS_capget,
        c::SYS_rt_sigaction, c::SYS_rt_sigprocmask, c::SYS_rt_sigpending, c::SYS_rt_sigreturn,
        c::SYS_rt_sigsuspend, c::SYS_rt_sigtimedwait, c::SYS_rt_sigqueueinfo, c::SYS_sigaltstack,
        c::SYS_pause, c::SYS_alarm, c::SYS_restart_syscall,
        c::SYS_futex, c::SYS_futex_waitv, c::SYS_set_robust_list, c::SYS_get_robust_list,
        c::SYS_set_tid_address, c::SYS_sched_yield, c::SYS_sched_getaffinity,
        c::SYS_sched_setaffinity, c::SYS_sched_getparam, c::SYS_sched_getscheduler,
        c::SYS_getpriority, c::SYS_setpriority, c::SYS_getcpu,
        c::SYS_nanosleep, c::SYS_clock_nanosleep, c::SYS_clock_gettime, c::SYS_clock_getres,
        c::SYS_gettimeofday, c::SYS_time, c::SYS_times, c::SYS_getitimer, c::SYS_setitimer,
        c::SYS_timer_create, c::SYS_timer_settime, c::SYS_timer_gettime, c::SYS_timer_getoverrun,
        c::SYS_timer_delete,
        c::SYS_getrandom, c::SYS_getrlimit, c::SYS_prlimit64, c::SYS_getrusage,
        c::SYS_sysinfo, c::SYS_uname, c::SYS_prctl, c::SYS_set_thread_area,
        c::SYS_get_thread_area,
                        c::SYS_mq_open, c::SYS_mq_unlink, c::SYS_mq_timedsend,
        c::SYS_mq_timedreceive, c::SYS_mq_notify, c::SYS_mq_getsetattr,
    ]
};

/// Calls that only x86_64 has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OWN: &[libc::c_long] = {
    use libc as c;
    &[
        c::SYS_accept, c::SYS_newfstatat, c::SYS_select, c::SYS_arch_prctl, c::SYS_rseq,
        c::SYS_semget, c::SYS_semop, c::SYS_semctl, c::SYS_semtimedop, c::SYS_shmget, c::SYS_shmat, c::SYS_shmdt, c::SYS_shmctl, c::SYS_msgget, c::SYS_msgsnd, c::SYS_msgrcv, c::SYS_msgctl,
    ]
};

/// Calls that only i386 has: `accept` and `select` come by other numbers.
#[cfg(target_arch = "x86")]
#[rustfmt::skip]
const OWN: &[libc::c_long] = {
    use libc as c;
    &[
        c::SYS_mmap2, c::SYS__llseek, c::SYS_fcntl64, c::SYS_stat64, c::SYS_lstat64,
        c::SYS_fstat64, c::SYS_fstatat64, c::SYS_statfs64, c::SYS_fstatfs64,
        c::SYS_truncate64, c::SYS_ftruncate64, c::SYS_sendfile64, c::SYS_fadvise64_64,
        c::SYS_ugetrlimit, c::SYS__newselect, c::SYS_waitpid, c::SYS_sigreturn,
        c::SYS_sigaction, c::SYS_sigprocmask, c::SYS_sigpending, c::SYS_sigsuspend,
        c::SYS_signal, c::SYS_nice, c::SYS_ipc,
        c::SYS_getuid32, c::SYS_geteuid32, c::SYS_getgid32, c::SYS_getegid32,
        c::SYS_getresuid32, c::SYS_getresgid32, c::SYS_getgroups32, c::SYS_setuid32,
        c::SYS_setgid32, c::SYS_setresuid32, c::SYS_setresgid32, c::SYS_setreuid32,
        c::SYS_setregid32, c::SYS_setgroups32, c::SYS_setfsuid32, c::SYS_setfsgid32,
        c::SYS_chown32, c::SYS_fchown32, c::SYS_lchown32,
                                                // Younger than the tables of the crate `libc` for this target. syscall_32.tbl
        386 /* rseq */, 393 /* semget */, 394 /* semctl */, 395 /* shmget */, 396 /* shmctl */,
        397 /* shmat */, 398 /* shmdt */, 399 /* msgget */, 400 /* msgsnd */, 401 /* msgrcv */,
        402 /* msgctl */, 403 /* clock_gettime64 */, 406 /* clock_getres_time64 */,
        407 /* clock_nanosleep_time64 */, 408 /* timer_gettime64 */, 409 /* timer_settime64 */,
        410 /* timerfd_gettime64 */, 411 /* timerfd_settime64 */, 412 /* utimensat_time64 */,
        413 /* pselect6_time64 */, 414 /* ppoll_time64 */, 417 /* recvmmsg_time64 */,
        418 /* mq_timedsend_time64 */, 419 /* mq_timedreceive_time64 */, 420 /* semtimedop_time64 */,
        421 /* rt_sigtimedwait_time64 */, 422 /* futex_time64 */,
    ]
};

#[cfg(test)]
mod tests {
    use super::{ARCHITECTURE, program};
    use crate::bpf::run;
    use contract::manifest::Profile;

    const ALLOW: u32 = 0x7fff_0000;

    fn answer(profile: Profile, number: libc::c_long, arguments: [u64; 6]) -> u32 {
        run(&program(profile), ARCHITECTURE, u32::try_from(number).unwrap(), arguments).unwrap()
    }

    #[test]
    fn it_fits_into_the_kernels_limit() {
        for profile in [Profile::Strict, Profile::Glibc] {
            assert!(program(profile).len() <= 4096, "BPF_MAXINSNS");
        }
    }

    #[test]
    fn what_a_service_needs_is_allowed_and_what_hurts_is_not() {
        let refused = 0x0005_0001;
        let table: &[(&str, libc::c_long, u64, u64, u32)] = &[
            ("read", libc::SYS_read, 0, 0, ALLOW),
            ("wait for the word to go, then exec", libc::SYS_execveat, 9, 0, ALLOW),
            ("exit", libc::SYS_exit_group, 0, 0, ALLOW),
            ("thread", libc::SYS_clone, 0x003d_0f00, 0, ALLOW),
            ("user namespace", libc::SYS_clone, 0x1000_0000, 0, refused),
            ("unshare", libc::SYS_unshare, 0x1000_0000, 0, refused),
            ("setns", libc::SYS_setns, 3, 0, refused),
            ("mount", libc::SYS_mount, 0, 0, refused),
            ("bpf", libc::SYS_bpf, 0, 0, refused),
            ("io_uring", libc::SYS_io_uring_setup, 0, 0, refused),
            ("ptrace", libc::SYS_ptrace, 0, 0, refused),
            ("process_vm_writev", libc::SYS_process_vm_writev, 0, 0, refused),
            ("open_by_handle_at", libc::SYS_open_by_handle_at, 0, 0, refused),
            ("mknod", libc::SYS_mknodat, 0, 0, refused),
            ("reboot", libc::SYS_reboot, 0, 0, refused),
            ("AF_INET", libc::SYS_socket, 2, 1, ALLOW),
            ("AF_PACKET", libc::SYS_socket, 17, 3, 0x0005_0061),
            ("AF_NETLINK", libc::SYS_socket, 16, 3, 0x0005_0061),
            ("TIOCSTI", libc::SYS_ioctl, 0, 0x5412, refused),
            ("FIONBIO", libc::SYS_ioctl, 0, 0x5421, ALLOW),
            ("ADDR_NO_RANDOMIZE", libc::SYS_personality, 0x004_0000, 0, refused),
            ("clone3", libc::SYS_clone3, 0, 0, 0x0005_0026),
            ("a call of the future", 500, 0, 0, 0x0005_0026),
        ];
        for (what, number, first, second, want) in table {
            assert_eq!(answer(Profile::Strict, *number, [*first, *second, 0, 0, 0, 0]), *want, "{what}");
        }
        let other = run(&program(Profile::Strict), ARCHITECTURE ^ 1, 0, [0; 6]);
        assert_eq!(other, Some(0x8000_0000), "another architecture ends the process");
    }

    #[cfg(target_arch = "x86")]
    #[test]
    fn socketcall_is_for_glibc_only() {
        assert_eq!(answer(Profile::Strict, libc::SYS_socketcall, [1, 0, 0, 0, 0, 0]), 0x0005_0026);
        assert_eq!(answer(Profile::Glibc, libc::SYS_socketcall, [1, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(answer(Profile::Glibc, libc::SYS_socketcall, [21, 0, 0, 0, 0, 0]), 0x0005_0001);
    }
}

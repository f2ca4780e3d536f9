//! Resource limits of a service's processes: what is set, and how the kernel calls it when asked.
//!
//! Source: getrlimit(2), proc_pid_limits(5).

use nix::sys::resource::Resource;

use crate::Plan;

/// Each limit, its name in `/proc/<pid>/limits`, and its value.
pub(crate) fn all(plan: &Plan) -> [(Resource, &'static str, u64); 6] {
    [
        (Resource::RLIMIT_NOFILE, "Max open files", plan.limits.descriptors.into()),
        (Resource::RLIMIT_CORE, "Max core file size", 0),
        (Resource::RLIMIT_RTPRIO, "Max realtime priority", 0),
        (Resource::RLIMIT_NICE, "Max nice priority", 0),
        // What may be pinned; the rest counts as memory of its cgroup.
        (Resource::RLIMIT_MEMLOCK, "Max locked memory", 64 << 10),
        // Messages of POSIX queues, in bytes: the kernel's default, said aloud.
        (Resource::RLIMIT_MSGQUEUE, "Max msgqueue size", 819_200),
    ]
}

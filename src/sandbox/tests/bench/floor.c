// What the kernel alone asks for a sandbox: the floor under every runtime, in static C; and a stopwatch for others' programs.
//
// In:  `floor warm ROOT` | `floor cold ROOT CGROUP` | `floor run PROGRAM [WORD]...`; a line on standard input for each round.
// Out: a line for each round: nanoseconds, microseconds of CPU, KiB of the largest process.
//
// warm: seven namespaces, id maps, a bound root, /proc, pivot_root, a filter, exec of /bin/true, exit, wait.
// cold: the same with a network namespace kept for a moment, a cgroup, a sealed detached root, /dev with five devices, /tmp.
// run:  vfork, exec, wait.
//
// Not here: checks, reading back, limits, capabilities: a floor has none.
//
// Sources: clone(2), user_namespaces(7), pivot_root(2), seccomp(2), mount_setattr(2).
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Of sys/mount.h, which quarrels with linux/mount.h.
int mount(const char *, const char *, const char *, unsigned long, const void *);
int umount2(const char *, int);

#define DEVICES 5
static const char *const device[DEVICES] = {"null", "zero", "full", "random", "urandom"};

static void need(int holds, const char *what) {
    if (!holds) {
        perror(what);
        _exit(99);
    }
}

static void write_to(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    need(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text), path);
    close(file);
}

static void dev_and_tmp(void) {
    char from[32], to[32];
    need(!mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=16k,nr_inodes=16"), "dev");
    for (int i = 0; i < DEVICES; i++) {
        snprintf(from, sizeof from, "/dev/%s", device[i]);
        snprintf(to, sizeof to, "dev/%s", device[i]);
        close(open(to, O_CREAT | O_EXCL | O_CLOEXEC, 0666));
        need(!mount(from, to, 0, MS_BIND, 0), from);
    }
    need(!mount("tmpfs", "tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64k"), "tmp");
}

static void inside(int go, int root, const char *path, int cold) {
    char word;
    need(read(go, &word, 1) == 1, "maps");
    need(!setresgid(0, 0, 0) && !setresuid(0, 0, 0) && !sethostname("floor", 5), "user");
    need(!mount(0, "/", 0, MS_REC | MS_PRIVATE, 0), "private");
    if (cold)
        need(!syscall(SYS_move_mount, root, "", AT_FDCWD, "/run", MOVE_MOUNT_F_EMPTY_PATH) && !chdir("/run"), "root");
    else
        need(!mount(path, path, 0, MS_BIND | MS_REC, 0) && !chdir(path), "root");
    need(!mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0), "proc");
    if (cold)
        dev_and_tmp();
    need(!syscall(SYS_pivot_root, ".", ".") && !umount2(".", 2) && !chdir("/"), "pivot");
    static struct sock_filter filter[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, filter};
    need(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "filter");
    char *const words[] = {"true", 0};
    execv("/bin/true", words);
    need(0, "/bin/true");
}

static int floor_round(const char *path, const char *cgroup) {
    int go[2], pidfd = -1, root = -1, network = -1, group = -1, status;
    char file[64];
    need(!pipe2(go, O_CLOEXEC), "pipe");
    struct clone_args how = {.exit_signal = SIGCHLD, .pidfd = (unsigned long)&pidfd};
    how.flags = CLONE_PIDFD | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP;
    if (cgroup) {
        struct mount_attr sealed = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
        need((root = syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC)) >= 0, "open_tree");
        need(!syscall(SYS_mount_setattr, root, "", AT_EMPTY_PATH, &sealed, sizeof sealed), "seal");
        need(!mkdir(cgroup, 0755) && (group = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0, "cgroup");
        how.flags |= CLONE_INTO_CGROUP;
        how.cgroup = group;
        need((network = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) >= 0 && !unshare(CLONE_NEWNET), "network");
    } else {
        how.flags |= CLONE_NEWNET;
    }
    pid_t child = syscall(SYS_clone3, &how, sizeof how);
    need(child >= 0, "clone3");
    if (child == 0)
        inside(go[0], root, path, cgroup != 0);
    for (int i = 0; i < 2; i++) {
        snprintf(file, sizeof file, "/proc/%d/%cid_map", child, "ug"[i]);
        write_to(file, "0 1048576 65536\n");
    }
    need(write(go[1], "m", 1) == 1, "go");
    if (cgroup)
        need(!setns(network, CLONE_NEWNET), "home");
    need(waitpid(child, &status, 0) == child, "wait");
    close(go[0]), close(go[1]), close(pidfd);
    if (cgroup) {
        close(root), close(network), close(group);
        need(!rmdir(cgroup), "rmdir");
    }
    return status;
}

static int run_round(char **words) {
    int status;
    pid_t child = vfork();
    need(child >= 0, "vfork");
    if (child == 0) {
        execv(words[0], words);
        _exit(98);
    }
    need(waitpid(child, &status, 0) == child, "wait");
    return status;
}

static long cpu_us(void) {
    long sum = 0;
    int who[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
    for (int i = 0; i < 2; i++) {
        struct rusage used;
        getrusage(who[i], &used);
        sum += (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
    }
    return sum;
}

static long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(int count, char **words) {
    char line[16];
    if (count < 3 || (!strcmp(words[1], "cold") && count < 4))
        return 2;
    while (fgets(line, sizeof line, stdin)) {
        long began = now_ns(), cpu = cpu_us();
        int status = !strcmp(words[1], "run") ? run_round(words + 2)
                                              : floor_round(words[2], words[1][0] == 'c' ? words[3] : 0);
        long ended = now_ns();
        struct rusage used;
        getrusage(RUSAGE_CHILDREN, &used);
        if (status != 0)
            fprintf(stderr, "floor: status %x\n", status);
        printf("%ld %ld %ld\n", status == 0 ? ended - began : -1, cpu_us() - cpu, used.ru_maxrss);
        fflush(stdout);
    }
    return 0;
}

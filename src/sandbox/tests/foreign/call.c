// Asks for its own number by the way of another ABI than its own, to which a filter's numbers mean other calls.
//
// In:  `call own|i386|x32`. Out: `through`, or `absent` where the kernel has no such way; or it is ended.
//
// Sources: syscall(2), "Architecture calling conventions"; seccomp(2), on x32 and __X32_SYSCALL_BIT.

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define I386_GETPID 20
#define X32_BIT 0x40000000

static long by_int80(long number) {
	long answer;
	__asm__ volatile("int $0x80" : "=a"(answer) : "a"(number) : "r8", "r9", "r10", "r11", "memory");
	return answer;
}

int main(int count, char **words) {
	const char *way = count == 2 ? words[1] : "";
	long answer = -1;
	if (!strcmp(way, "own"))
		answer = syscall(SYS_getpid);
	else if (!strcmp(way, "i386"))
		answer = by_int80(I386_GETPID);
	else if (!strcmp(way, "x32"))
		answer = syscall(X32_BIT | SYS_getpid);
	const char *said = answer == getpid() ? "through\n" : "absent\n";
	return write(1, said, strlen(said)) < 0;
}

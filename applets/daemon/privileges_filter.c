/*
 * privileges_filter - the system calls that are left to a process which serves strangers
 *
 * What is not in its list fails with EPERM. A login part opens no file, executes nothing, touches
 * no other process, makes no socket but a pair; auth's reader opens files to read and no more.
 * Memory is never made executable. A call by another interface of the processor than ours (32-bit,
 * x32) ends the process, as numbers mean others there.
 *
 * The list goes by the names of the C library's <sys/syscall.h>, so it holds for every processor;
 * the number of its interface is known for those below, and elsewhere there is no filter, which
 * `postfix check -v` says. Builds with sanitizers have none either: they open and map as they like.
 *
 * seccomp(2), linux/seccomp.h, linux/filter.h, linux/audit.h.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "base/str.h"
#include "applets/daemon/privileges.h"

#if defined(__x86_64__)
#define MACHINE (EM_X86_64 | 0xc0000000U)
#elif defined(__aarch64__)
#define MACHINE (EM_AARCH64 | 0xc0000000U)
#elif defined(__riscv) && __riscv_xlen == 64
#define MACHINE (EM_RISCV | 0xc0000000U)
#elif defined(__arm__) && !defined(__ARMEB__)
#define MACHINE (EM_ARM | 0x40000000U)
#elif defined(__i386__)
#define MACHINE (EM_386 | 0x40000000U)
#endif

#if defined(MACHINE) && !defined(__SANITIZE_ADDRESS__)

/* struct sock_filter and what it does, which musl's headers do not have. */
struct instruction {
	uint16_t code;
	uint8_t yes, no;
	uint32_t k;
};

struct program {
	unsigned short len;
	struct instruction *code;
};

enum { LOAD = 0x20, IS_EQUAL = 0x15, HAS_BITS = 0x45, AT_LEAST = 0x35, RETURN = 0x06 };
enum { OFFSET_NUMBER = 0, OFFSET_MACHINE = 4, OFFSET_ARGS = 16 };
#define OPEN_TO_WRITE (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_PATH)
#define ALLOW 0x7fff0000U
#define REFUSE (0x00050000U | EPERM)
#define END_PROCESS 0x80000000U
enum { X32_BIT = 0x40000000, MODE_FILTER = 2, PROGRAM_MAX = 200 };

/* What every sealed process does. */
/* clang-format off */
static const int calls[] = {
	SYS_read, SYS_readv, SYS_write, SYS_writev, SYS_close, SYS_recvmsg, SYS_sendmsg,
	SYS_ppoll, SYS_getrandom, SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk, SYS_futex,
	SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_restart_syscall, SYS_getpid,
	SYS_gettid, SYS_getuid, SYS_geteuid, SYS_exit, SYS_exit_group, SYS_clock_gettime,
	SYS_nanosleep, SYS_clock_nanosleep,
#ifdef SYS_recvfrom
	SYS_recvfrom, SYS_sendto,
#endif
#ifdef SYS_recv
	SYS_recv, SYS_send,
#endif
#ifdef SYS_poll
	SYS_poll,
#endif
#ifdef SYS_fcntl64
	SYS_fcntl64,
#else
	SYS_fcntl,
#endif
#ifdef SYS_gettimeofday
	SYS_gettimeofday,
#endif
#ifdef SYS_time
	SYS_time,
#endif
#ifdef SYS_clock_gettime64
	SYS_clock_gettime64,
#endif
#ifdef SYS_ppoll_time64
	SYS_ppoll_time64,
#endif
#ifdef SYS_getuid32
	SYS_getuid32, SYS_geteuid32,
#endif
#ifdef SYS_sigreturn
	SYS_sigreturn,
#endif
};
/* clang-format on */

/* And a login part: its clients. */
/* clang-format off */
static const int login_calls[] = {
	SYS_shutdown, SYS_accept4, SYS_getsockname, SYS_getpeername, SYS_getsockopt,
	SYS_setsockopt, SYS_epoll_ctl, SYS_epoll_pwait,
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
#endif
};
/* clang-format on */

/* And auth's reader: files that it opens to read. */
/* clang-format off */
static const int reader_calls[] = {
	SYS_lseek, SYS_pread64, SYS_faccessat,
#ifdef SYS_access
	SYS_access,
#endif
#ifdef SYS_fstat
	SYS_fstat,
#endif
#ifdef SYS_stat
	SYS_stat, SYS_lstat,
#endif
#ifdef SYS_newfstatat
	SYS_newfstatat,
#endif
#ifdef SYS_fstat64
	SYS_fstat64, SYS_stat64, SYS_lstat64,
#endif
#ifdef SYS_fstatat64
	SYS_fstatat64,
#endif
#ifdef SYS__llseek
	SYS__llseek,
#endif
#ifdef SYS_statx
	SYS_statx,
#endif
};
/* clang-format on */

struct making {
	struct instruction code[PROGRAM_MAX];
	unsigned short len;
};

static void put(struct making *m, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	m->code[m->len++] = (struct instruction){ code, yes, no, k };
}

/* allow_if - call number, when its argument is value (bits: when it has none of them) */
static void allow_if(struct making *m, int number, int argument, uint32_t value, bool bits)
{
	put(m, IS_EQUAL, (uint32_t)number, 0, 4);
	put(m, LOAD, (uint32_t)(OFFSET_ARGS + 8 * argument), 0, 0);
	put(m, bits ? HAS_BITS : IS_EQUAL, value, bits ? 1 : 0, bits ? 0 : 1);
	put(m, RETURN, ALLOW, 0, 0);
	put(m, RETURN, REFUSE, 0, 0);
}

static void allow_all(struct making *m, const int *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		put(m, IS_EQUAL, (uint32_t)list[i], 0, 1);
		put(m, RETURN, ALLOW, 0, 0);
	}
}

static void make(struct making *m, enum process_kind kind)
{
	put(m, LOAD, OFFSET_MACHINE, 0, 0);
	put(m, IS_EQUAL, MACHINE, 1, 0);
	put(m, RETURN, END_PROCESS, 0, 0);
	put(m, LOAD, OFFSET_NUMBER, 0, 0);
#if defined(__x86_64__)
	put(m, AT_LEAST, X32_BIT, 0, 1);
	put(m, RETURN, END_PROCESS, 0, 0);
#endif
	allow_all(m, calls, ARRAY_LEN(calls));
#ifdef SYS_mmap2
	allow_if(m, SYS_mmap2, 2, PROT_EXEC, true);
#else
	allow_if(m, SYS_mmap, 2, PROT_EXEC, true);
#endif
	allow_if(m, SYS_mprotect, 2, PROT_EXEC, true);
	if (kind == PROCESS_LOGIN) {
		allow_all(m, login_calls, ARRAY_LEN(login_calls));
		allow_if(m, SYS_socketpair, 0, AF_UNIX, false);
	} else {
		allow_all(m, reader_calls, ARRAY_LEN(reader_calls));
		allow_if(m, SYS_openat, 2, OPEN_TO_WRITE, true);
#ifdef SYS_open
		allow_if(m, SYS_open, 1, OPEN_TO_WRITE, true);
#endif
	}
	put(m, RETURN, REFUSE, 0, 0);
}

bool privileges_filter_there(enum process_kind kind)
{
	return kind == PROCESS_LOGIN || kind == PROCESS_READER;
}

void privileges_filter(enum process_kind kind)
{
	struct making m = { .len = 0 };
	struct program program = { 0, m.code };

	make(&m, kind);
	program.len = m.len;
	if (prctl(PR_SET_SECCOMP, MODE_FILTER, &program, 0, 0) != 0) {
		/* A kernel without it (EINVAL): other limits have to do. */
		log_warn("no filter for system calls: %m");
	}
}

#else

bool privileges_filter_there(enum process_kind kind)
{
	(void)kind;
	return false;
}

void privileges_filter(enum process_kind kind)
{
	(void)kind;
}

#endif

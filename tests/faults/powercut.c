/* tests/faults/powercut.c: an LD_PRELOAD shim that writes down what a program does to the files under one folder, when
 * it syncs them, and what it answers on its sockets, in the order in which it happened.
 *
 *   VT_SHIM_ROOT=/var/tmp/archive VT_SHIM_TRACE=/var/tmp/trace LD_PRELOAD=libpowercut.so vitrined ...
 *
 * tests/faults/powercut.py reads the trace and builds what a power cut would have left at any moment. Rules that keep
 * that honest: a write counts from its end, a sync covers what had ended before the sync began, an answer is written down
 * before it leaves. Changes of names and of the descriptor table happen under one lock, so their order is the true one. What
 * the shim cannot see (stdio, shared writable mappings) the replayer notices: it compares the end of the trace with the disk. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum op { OP_OPEN = 1, OP_CLOSE, OP_DUP, OP_WRITE, OP_TRUNCATE, OP_ALLOCATE, OP_RENAME, OP_UNLINK, OP_MKDIR, OP_RMDIR, OP_LINK,
          OP_SYNC_BEGIN, OP_SYNC_END, OP_ANSWER, OP_MAP };
enum sync { SYNC_DATA, SYNC_FILE, SYNC_FILE_SYSTEM, SYNC_ALL, SYNC_RANGE };
enum { FDS = 65536, ANSWER_MAX = 4096, FRAMES = 16, FRAME_TEXT = 160 };

struct record {
    uint32_t op, thread;
    int64_t a, b, c;
    uint32_t size1, size2;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int trace = -1;
static char root[PATH_MAX];
static size_t root_size;
static bool tracked[FDS];
static int64_t syncs;

__attribute__((constructor)) static void begin(void)
{
    const char *folder = getenv("VT_SHIM_ROOT"), *file = getenv("VT_SHIM_TRACE");
    void *warm[2];
    if (!folder || !file)
        return;
    snprintf(root, sizeof root, "%s", folder);
    root_size = strlen(root);
    trace = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    backtrace(warm, 2);     /* loads what it needs now */
}

/* Under the lock, or of a single op that needs no order. */
static void put(enum op op, int64_t a, int64_t b, int64_t c, const void *bytes1, size_t size1, const void *bytes2, size_t size2)
{
    struct record record = { .op = op, .thread = (uint32_t)syscall(SYS_gettid), .a = a, .b = b, .c = c,
                             .size1 = (uint32_t)size1, .size2 = (uint32_t)size2 };
    struct iovec parts[] = { { &record, sizeof record }, { (void *)(uintptr_t)bytes1, size1 }, { (void *)(uintptr_t)bytes2, size2 } };
    const int saved = errno;
    const ssize_t want = (ssize_t)(sizeof record + size1 + size2);
    if (syscall(SYS_writev, trace, parts, 3) != want)
        abort();            /* a trace with a gap proves nothing */
    errno = saved;
}

static void put_locked(enum op op, int64_t a, int64_t b, int64_t c, const void *bytes, size_t size)
{
    pthread_mutex_lock(&lock);
    put(op, a, b, c, bytes, size, NULL, 0);
    pthread_mutex_unlock(&lock);
}

static bool is_tracked(int fd)
{
    return trace >= 0 && fd >= 0 && fd < FDS && __atomic_load_n(&tracked[fd], __ATOMIC_ACQUIRE);
}

static void set_tracked(int fd, bool value)
{
    if (fd >= 0 && fd < FDS)
        __atomic_store_n(&tracked[fd], value, __ATOMIC_RELEASE);
}

/* The absolute path; false: not below the root. */
static bool below_root(int folder, const char *path, char out[PATH_MAX])
{
    char base[PATH_MAX] = "", link[64];
    if (trace < 0 || !path)
        return false;
    if (path[0] != '/') {
        snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
        ssize_t size = readlink(link, base, sizeof base - 1);
        if (size < 0)
            return false;
        base[size] = '\0';
    }
    const int size = snprintf(out, PATH_MAX, "%s%s%s", base, base[0] ? "/" : "", path);
    if (size < 0 || size >= PATH_MAX)
        return false;
    return strncmp(out, root, root_size) == 0 && (out[root_size] == '/' || out[root_size] == '\0');
}

/* ---- opening and closing ---- */

static int open_at(int folder, const char *path, int flags, mode_t mode)
{
    char full[PATH_MAX];
    if (!below_root(folder, path, full))
        return (int)syscall(SYS_openat, folder, path, flags, mode);
    pthread_mutex_lock(&lock);
    const int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (fd >= 0) {
        put(OP_OPEN, fd, flags, mode, full, strlen(full), NULL, 0);
        set_tracked(fd, true);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t mode_of(int flags, va_list args)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, mode_t) : 0;
}

#define OPEN_LIKE(NAME)                                                                                                            \
    int NAME(const char *path, int flags, ...)                                                                                     \
    {                                                                                                                              \
        va_list args;                                                                                                              \
        va_start(args, flags);                                                                                                     \
        const mode_t mode = mode_of(flags, args);                                                                                  \
        va_end(args);                                                                                                              \
        return open_at(AT_FDCWD, path, flags, mode);                                                                               \
    }
#define OPENAT_LIKE(NAME)                                                                                                          \
    int NAME(int folder, const char *path, int flags, ...)                                                                         \
    {                                                                                                                              \
        va_list args;                                                                                                              \
        va_start(args, flags);                                                                                                     \
        const mode_t mode = mode_of(flags, args);                                                                                  \
        va_end(args);                                                                                                              \
        return open_at(folder, path, flags, mode);                                                                                 \
    }
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int folder, const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags);
OPEN_LIKE(open)
OPEN_LIKE(open64)
OPENAT_LIKE(openat)
OPENAT_LIKE(openat64)
int __open_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
int __openat_2(int folder, const char *path, int flags) { return open_at(folder, path, flags, 0); }
int __openat64_2(int folder, const char *path, int flags) { return open_at(folder, path, flags, 0); }
int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode); }

int close(int fd)
{
    if (trace < 0)
        return (int)syscall(SYS_close, fd);
    pthread_mutex_lock(&lock);
    put(OP_CLOSE, fd, 0, 0, NULL, 0, NULL, 0);
    set_tracked(fd, false);
    const int result = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return result;
}

static int duplicated(int from, long call, long to, long flags)
{
    if (!is_tracked(from))
        return (int)syscall(call, from, to, flags);
    pthread_mutex_lock(&lock);
    const int fd = (int)syscall(call, from, to, flags);
    if (fd >= 0) {
        put(OP_DUP, from, fd, 0, NULL, 0, NULL, 0);
        set_tracked(fd, true);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}
int dup(int fd) { return duplicated(fd, SYS_dup, 0, 0); }
int dup2(int fd, int to) { return fd == to ? to : duplicated(fd, SYS_dup3, to, 0); }
int dup3(int fd, int to, int flags) { return duplicated(fd, SYS_dup3, to, flags); }

static int control(int fd, int command, void *argument)
{
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        return duplicated(fd, SYS_fcntl, command, (long)argument);
    return (int)syscall(SYS_fcntl, fd, command, argument);
}
#define FCNTL_LIKE(NAME)                                                                                                           \
    int NAME(int fd, int command, ...)                                                                                             \
    {                                                                                                                              \
        va_list args;                                                                                                              \
        va_start(args, command);                                                                                                   \
        void *argument = va_arg(args, void *);                                                                                     \
        va_end(args);                                                                                                              \
        return control(fd, command, argument);                                                                                     \
    }
FCNTL_LIKE(fcntl)
FCNTL_LIKE(fcntl64)

/* ---- writing ---- */

static bool all_zero(const uint8_t *bytes, size_t size)
{
    return size > 64 && bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static void put_write(int fd, int64_t offset, const void *bytes, size_t size)
{
    const bool zero = all_zero(bytes, size);
    put_locked(OP_WRITE, fd, offset, (int64_t)size, bytes, zero ? 0 : size);
}

static void put_written(int fd, int64_t offset, const struct iovec *parts, int count, ssize_t written)
{
    size_t left = written > 0 ? (size_t)written : 0;
    if (offset < 0)      /* at the file's position, which is behind it now */
        offset = (int64_t)syscall(SYS_lseek, fd, 0, SEEK_CUR) - (int64_t)left;
    for (int i = 0; i < count && left > 0; i++) {
        const size_t size = parts[i].iov_len < left ? parts[i].iov_len : left;
        put_write(fd, offset, parts[i].iov_base, size);
        offset += (int64_t)size;
        left -= size;
    }
}

static bool is_socket(int fd)
{
    struct stat st;
    return trace >= 0 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Before it leaves. The whole size is told, so that the reader can keep its place in the stream. */
static void put_answer(int fd, const struct iovec *parts, size_t count)
{
    uint8_t bytes[ANSWER_MAX];
    size_t held = 0, whole = 0;
    for (size_t i = 0; i < count; i++) {
        size_t size = parts[i].iov_len;
        whole += size;
        if (size > sizeof bytes - held)
            size = sizeof bytes - held;
        if (size)
            memcpy(bytes + held, parts[i].iov_base, size);
        held += size;
    }
    put_locked(OP_ANSWER, fd, (int64_t)whole, 0, bytes, held);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    const struct iovec part = { (void *)(uintptr_t)bytes, size };
    const bool ours = is_tracked(fd);
    if (!ours && is_socket(fd))
        put_answer(fd, &part, 1);
    const ssize_t written = syscall(SYS_write, fd, bytes, size);
    if (ours && written > 0)
        put_written(fd, -1, &part, 1, written);
    return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    const bool ours = is_tracked(fd);
    if (!ours && is_socket(fd))
        put_answer(fd, parts, (size_t)count);
    const ssize_t written = syscall(SYS_writev, fd, parts, count);
    if (ours && written > 0)
        put_written(fd, -1, parts, count, written);
    return written;
}

static ssize_t write_at(int fd, const void *bytes, size_t size, off_t offset)
{
    const ssize_t written = syscall(SYS_pwrite64, fd, bytes, size, offset);
    if (written > 0 && is_tracked(fd))
        put_write(fd, offset, bytes, (size_t)written);
    return written;
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) { return write_at(fd, bytes, size, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) { return write_at(fd, bytes, size, offset); }

static ssize_t writev_at(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    const ssize_t written = syscall(SYS_pwritev2, fd, parts, count, offset, 0, flags);
    if (written > 0 && is_tracked(fd))
        put_written(fd, offset, parts, count, written);
    return written;
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return writev_at(fd, parts, count, at, 0); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { return writev_at(fd, parts, count, at, 0); }
ssize_t pwritev2(int fd, const struct iovec *parts, int n, off_t at, int flags) { return writev_at(fd, parts, n, at, flags); }
ssize_t pwritev64v2(int fd, const struct iovec *parts, int n, off64_t at, int f) { return writev_at(fd, parts, n, at, f); }

/* What the kernel copied is read back. */
static void put_copied(int fd, int64_t offset, ssize_t size)
{
    if (size <= 0 || !is_tracked(fd))
        return;
    uint8_t *bytes = malloc((size_t)size);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const int again = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (!bytes || again < 0 || syscall(SYS_pread64, again, bytes, size, offset) != size)
        abort();
    put_write(fd, offset, bytes, (size_t)size);
    syscall(SYS_close, again);
    free(bytes);
}

ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t size, unsigned flags)
{
    const ssize_t copied = syscall(SYS_copy_file_range, in, in_at, out, out_at, size, flags);
    if (copied > 0)
        put_copied(out, (out_at ? *out_at : syscall(SYS_lseek, out, 0, SEEK_CUR)) - copied, copied);
    return copied;
}

static ssize_t send_file(int out, int in, off_t *at, size_t size)
{
    const ssize_t copied = syscall(SYS_sendfile, out, in, at, size);
    if (copied > 0 && is_tracked(out))
        put_copied(out, syscall(SYS_lseek, out, 0, SEEK_CUR) - copied, copied);
    return copied;
}
ssize_t sendfile(int out, int in, off_t *at, size_t size);
ssize_t sendfile64(int out, int in, off64_t *at, size_t size);
ssize_t sendfile(int out, int in, off_t *at, size_t size) { return send_file(out, in, at, size); }
ssize_t sendfile64(int out, int in, off64_t *at, size_t size) { return send_file(out, in, at, size); }

static int truncate_fd(int fd, off_t size)
{
    const int result = (int)syscall(SYS_ftruncate, fd, size);
    if (result == 0 && is_tracked(fd))
        put_locked(OP_TRUNCATE, fd, size, 0, NULL, 0);
    return result;
}
int ftruncate(int fd, off_t size) { return truncate_fd(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncate_fd(fd, size); }

static int truncate_path(const char *path, off_t size)
{
    const int fd = open_at(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
    const int result = fd < 0 ? -1 : truncate_fd(fd, size);
    if (fd >= 0)
        close(fd);
    return result;
}
int truncate(const char *path, off_t size) { return truncate_path(path, size); }
int truncate64(const char *path, off64_t size) { return truncate_path(path, size); }

static int allocate(int fd, int mode, off_t offset, off_t size)
{
    const int result = (int)syscall(SYS_fallocate, fd, mode, offset, size);
    if (result == 0 && is_tracked(fd))
        put_locked(OP_ALLOCATE, fd, mode, offset, &size, sizeof size);
    return result;
}
int fallocate(int fd, int mode, off_t offset, off_t size) { return allocate(fd, mode, offset, size); }
int fallocate64(int fd, int mode, off64_t offset, off64_t size) { return allocate(fd, mode, offset, size); }
int posix_fallocate(int fd, off_t at, off_t size) { return allocate(fd, 0, at, size) == 0 ? 0 : errno; }
int posix_fallocate64(int fd, off64_t at, off64_t size) { return allocate(fd, 0, at, size) == 0 ? 0 : errno; }

static void *map(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (is_tracked(fd) && (flags & MAP_SHARED) && (protection & PROT_WRITE))
        put_locked(OP_MAP, fd, offset, (int64_t)size, NULL, 0);
    return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}
void *mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset) { return map(at, size, prot, flags, fd, offset); }
void *mmap64(void *at, size_t size, int prot, int flags, int fd, off64_t offset) { return map(at, size, prot, flags, fd, offset); }

/* ---- names ---- */

static int rename_at(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    char old[PATH_MAX], new[PATH_MAX];
    const bool ours = below_root(from_folder, from, old), theirs = below_root(to_folder, to, new);
    if (!ours && !theirs)
        return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    if (!ours || !theirs)
        abort();        /* out of or into the archive: nothing a replay could follow */
    pthread_mutex_lock(&lock);
    const int result = (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    if (result == 0)
        put(OP_RENAME, flags, 0, 0, old, strlen(old), new, strlen(new));
    pthread_mutex_unlock(&lock);
    return result;
}
int rename(const char *from, const char *to) { return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char *from, int b, const char *to) { return rename_at(a, from, b, to, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { return rename_at(a, from, b, to, flags); }

static int name_op(enum op op, long call, int folder, const char *path, long argument)
{
    char full[PATH_MAX];
    if (!below_root(folder, path, full))
        return (int)syscall(call, folder, path, argument);
    pthread_mutex_lock(&lock);
    const int result = (int)syscall(call, folder, path, argument);
    if (result == 0)
        put(op, argument, 0, 0, full, strlen(full), NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int unlink(const char *path) { return name_op(OP_UNLINK, SYS_unlinkat, AT_FDCWD, path, 0); }
int unlinkat(int folder, const char *path, int flags)
{
    return name_op(flags & AT_REMOVEDIR ? OP_RMDIR : OP_UNLINK, SYS_unlinkat, folder, path, flags);
}
int rmdir(const char *path) { return name_op(OP_RMDIR, SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR); }
int mkdir(const char *path, mode_t mode) { return name_op(OP_MKDIR, SYS_mkdirat, AT_FDCWD, path, (long)mode); }
int mkdirat(int folder, const char *path, mode_t mode) { return name_op(OP_MKDIR, SYS_mkdirat, folder, path, (long)mode); }

int remove(const char *path)
{
    const int result = unlink(path);
    return result != 0 && (errno == EISDIR || errno == EPERM) ? rmdir(path) : result;
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    char old[PATH_MAX], new[PATH_MAX];
    if (!below_root(to_folder, to, new))
        return (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    if (!below_root(from_folder, from, old))      /* /proc/self/fd/N, or an empty name with AT_EMPTY_PATH */
        snprintf(old, sizeof old, "%s", flags & AT_EMPTY_PATH ? "" : from);
    pthread_mutex_lock(&lock);
    const int result = (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    if (result == 0)
        put(OP_LINK, from_folder, flags, 0, old, strlen(old), new, strlen(new));
    pthread_mutex_unlock(&lock);
    return result;
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

/* ---- syncing ---- */

/* Who syncs: "file+offset" of each frame, innermost first. */
static size_t callers(char *out, size_t room)
{
    void *frames[FRAMES];
    size_t size = 0;
    const int count = backtrace(frames, FRAMES);
    Dl_info own = { 0 };
    dladdr(&lock, &own);
    for (int i = 0; i < count && size + FRAME_TEXT < room; i++) {
        Dl_info info;
        if (!dladdr(frames[i], &info) || !info.dli_fname || info.dli_fbase == own.dli_fbase)
            continue;
        size += (size_t)snprintf(out + size, room - size, "%s+0x%lx\n", info.dli_fname,
                                 (unsigned long)((char *)frames[i] - (char *)info.dli_fbase));
    }
    return size < room ? size : room - 1;
}

static int synced(enum sync kind, int fd, long call)
{
    char stack[FRAMES * PATH_MAX / 4];
    if (kind != SYNC_ALL && !is_tracked(fd))
        return (int)syscall(call, fd);
    const size_t size = callers(stack, sizeof stack);
    pthread_mutex_lock(&lock);
    const int64_t id = ++syncs;
    put(OP_SYNC_BEGIN, id, kind, fd, NULL, 0, stack, size);
    pthread_mutex_unlock(&lock);
    const int result = (int)syscall(call, fd);
    const int saved = errno;
    put_locked(OP_SYNC_END, id, result, 0, NULL, 0);
    errno = saved;
    return result;
}
__attribute__((noinline)) int fdatasync(int fd) { return synced(SYNC_DATA, fd, SYS_fdatasync); }
__attribute__((noinline)) int fsync(int fd) { return synced(SYNC_FILE, fd, SYS_fsync); }
__attribute__((noinline)) int syncfs(int fd) { return synced(SYNC_FILE_SYSTEM, fd, SYS_syncfs); }
void sync(void)
{
    if (trace >= 0)
        synced(SYNC_ALL, -1, SYS_sync);
    else
        syscall(SYS_sync);
}
/* Promises nothing about metadata or the drive's cache: counts for nothing. */
int sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags)
{
    return (int)syscall(SYS_sync_file_range, fd, offset, size, flags);
}

/* ---- answering ---- */

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    const struct iovec part = { (void *)(uintptr_t)bytes, size };
    if (trace >= 0)
        put_answer(fd, &part, 1);
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (trace >= 0)
        put_answer(fd, message->msg_iov, message->msg_iovlen);
    return syscall(SYS_sendmsg, fd, message, flags);
}

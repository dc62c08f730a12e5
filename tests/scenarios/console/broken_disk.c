/* Preloaded into a node: while the file $VT_BROKEN_DISK is there, nothing is synced: EIO. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/syscall.h>

static int is_broken(void)
{
    const char *mark = getenv("VT_BROKEN_DISK");

    return mark && access(mark, F_OK) == 0;
}

int fsync(int fd)
{
    if (is_broken()) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    if (is_broken()) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

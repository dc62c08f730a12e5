/* tests/faults/failsync.c: preloaded into a program: fsync and fdatasync fail with EIO as long as the file that VT_SHIM_FAIL names is
 * there, as on a disk that lost its writes. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int sync_unless(const char *name, int fd)
{
    const char *mark = getenv("VT_SHIM_FAIL");
    int (*real)(int) = NULL;

    if (mark && access(mark, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    *(void **)&real = dlsym(RTLD_NEXT, name);
    return real(fd);
}

int fsync(int fd)
{
    return sync_unless("fsync", fd);
}

int fdatasync(int fd)
{
    return sync_unless("fdatasync", fd);
}

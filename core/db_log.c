#include "core/db_log.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A frame of the log: this, then a page. Its second word is not zero in a transaction's last frame. The default VFS
 * writes less than 128 KB at once. */
enum { FRAME_HEADER = 24, GATHER_BYTES = 120 << 10 };

struct log_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct, of the default VFS */
    uint8_t *bytes;     /* GATHER_BYTES; those from `at` on are not written yet */
    size_t used;
    sqlite3_int64 at;
    bool last;          /* the frame that is being written ends a transaction */
};

static pthread_once_t registered = PTHREAD_ONCE_INIT;
static sqlite3_vfs gathering, *standard;
static bool usable;

static struct log_file *self(sqlite3_file *file)
{
    return (struct log_file *)(void *)file;
}

static int flush(struct log_file *log)
{
    size_t used = log->used;

    log->used = 0;
    return used == 0 ? SQLITE_OK
                     : log->real->pMethods->xWrite(log->real, log->bytes, (int)used, log->at);
}

static int log_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at)
{
    struct log_file *log = self(file);
    size_t count = (size_t)size;
    int result = SQLITE_OK;

    if (at != log->at + (sqlite3_int64)log->used || log->used + count > GATHER_BYTES)
        result = flush(log);
    if (result != SQLITE_OK)
        return result;
    if (count > GATHER_BYTES)
        return log->real->pMethods->xWrite(log->real, bytes, size, at);
    if (log->used == 0)
        log->at = at;
    memcpy(log->bytes + log->used, bytes, count);
    log->used += count;
    if (count == FRAME_HEADER) {
        const uint8_t *pages = (const uint8_t *)bytes + 4;
        log->last = pages[0] || pages[1] || pages[2] || pages[3];
        return SQLITE_OK;
    }
    return log->last ? flush(log) : SQLITE_OK;
}

static int log_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 at)
{
    int result = flush(self(file));

    return result ? result : self(file)->real->pMethods->xRead(self(file)->real, bytes, size, at);
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int result = flush(self(file));

    return result ? result : self(file)->real->pMethods->xTruncate(self(file)->real, size);
}

static int log_sync(sqlite3_file *file, int flags)
{
    int result = flush(self(file));

    return result ? result : self(file)->real->pMethods->xSync(self(file)->real, flags);
}

static int log_size(sqlite3_file *file, sqlite3_int64 *out_size)
{
    int result = flush(self(file));

    return result ? result : self(file)->real->pMethods->xFileSize(self(file)->real, out_size);
}

static int log_close(sqlite3_file *file)
{
    struct log_file *log = self(file);
    int written = flush(log), closed = log->real->pMethods->xClose(log->real);

    free(log->bytes);
    log->bytes = NULL;
    return written ? written : closed;
}

static int log_lock(sqlite3_file *file, int level)
{
    return self(file)->real->pMethods->xLock(self(file)->real, level);
}

static int log_unlock(sqlite3_file *file, int level)
{
    return self(file)->real->pMethods->xUnlock(self(file)->real, level);
}

static int log_reserved(sqlite3_file *file, int *out)
{
    return self(file)->real->pMethods->xCheckReservedLock(self(file)->real, out);
}

static int log_control(sqlite3_file *file, int operation, void *argument)
{
    return self(file)->real->pMethods->xFileControl(self(file)->real, operation, argument);
}

static int log_sector(sqlite3_file *file)
{
    return self(file)->real->pMethods->xSectorSize(self(file)->real);
}

static int log_device(sqlite3_file *file)
{
    return self(file)->real->pMethods->xDeviceCharacteristics(self(file)->real);
}

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector,
    .xDeviceCharacteristics = log_device,
};

/* Files that are no log belong to the default VFS alone. */
static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *out_flags)
{
    struct log_file *log = self(file);

    (void)vfs;
    if (!(flags & SQLITE_OPEN_WAL))
        return standard->xOpen(standard, name, file, flags, out_flags);
    *log = (struct log_file){ .real = (sqlite3_file *)(void *)(log + 1) };
    memset(log->real, 0, (size_t)standard->szOsFile);
    if (!(log->bytes = malloc(GATHER_BYTES)))
        return SQLITE_NOMEM;
    int result = standard->xOpen(standard, name, log->real, flags, out_flags);
    if (log->real->pMethods) {
        log->base.pMethods = &methods;
        return result;
    }
    free(log->bytes);
    return result;
}

static void register_it(void)
{
    standard = sqlite3_vfs_find(NULL);
    if (!standard)
        return;
    gathering = *standard;
    gathering.pNext = NULL;
    gathering.zName = "vitrine-log";
    gathering.szOsFile = (int)sizeof(struct log_file) + standard->szOsFile;
    gathering.xOpen = open_file;
    usable = sqlite3_vfs_register(&gathering, 0) == SQLITE_OK;
}

const char *vt_db_log_vfs(void)
{
    pthread_once(&registered, register_it);
    return usable ? gathering.zName : NULL;
}

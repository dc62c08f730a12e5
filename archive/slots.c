#include "archive/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "archive/apply.h"
#include "core/err.h"
#include "core/io.h"

enum { SLOT_MODE = 0640, SLOTS_MAX = 2 * VT_SLOTS_BATCH };

struct vt_slots {
    int staging; /* fixed */
    atomic_uint_fast64_t next_id;
    atomic_bool used;     /* somebody stores large objects: slots are worth making */
    pthread_mutex_t lock; /* guards the rest */
    size_t count;
    uint64_t ids[SLOTS_MAX];
};

struct vt_slots *vt_slots_new(int staging, uint64_t first_id)
{
    struct vt_slots *slots = calloc(1, sizeof *slots);

    if (!slots)
        return NULL;
    slots->staging = staging;
    atomic_store(&slots->next_id, first_id);
    pthread_mutex_init(&slots->lock, NULL);
    return slots;
}

static void remove_file(struct vt_slots *slots, uint64_t id)
{
    char name[VT_STAGING_NAME];

    vt_staging_name(id, name);
    unlinkat(slots->staging, name, 0);
}

void vt_slots_free(struct vt_slots *slots)
{
    if (!slots)
        return;
    for (size_t i = 0; i < slots->count; i++)
        remove_file(slots, slots->ids[i]);
    pthread_mutex_destroy(&slots->lock);
    free(slots);
}

static uint64_t take_id(struct vt_slots *slots)
{
    uint64_t id = 0;

    atomic_store(&slots->used, true);
    pthread_mutex_lock(&slots->lock);
    if (slots->count > 0)
        id = slots->ids[--slots->count];
    pthread_mutex_unlock(&slots->lock);
    return id;
}

int vt_slots_take(struct vt_slots *slots, uint64_t *out_id, bool *out_synced, bool *out_direct,
                  struct vt_err *err)
{
    uint64_t id = take_id(slots);
    int make = id == 0 ? O_CREAT | O_EXCL : 0;
    char name[VT_STAGING_NAME];

    *out_synced = id != 0;
    *out_id = id != 0 ? id : atomic_fetch_add(&slots->next_id, 1);
    vt_staging_name(*out_id, name);
    int fd = openat(slots->staging, name, O_WRONLY | O_CLOEXEC | O_DIRECT | make, SLOT_MODE);
    *out_direct = fd >= 0;
    /* Some file systems make the file and refuse the flag afterwards. */
    if (fd < 0 && errno == EINVAL)
        fd = openat(slots->staging, name, O_WRONLY | O_CLOEXEC | (make ? O_CREAT : 0), SLOT_MODE);
    if (fd < 0)
        vt_fail_errno(err, "a file in staging");
    return fd;
}

bool vt_slots_wanted(struct vt_slots *slots)
{
    pthread_mutex_lock(&slots->lock);
    bool few = slots->count < VT_SLOTS_BATCH;
    pthread_mutex_unlock(&slots->lock);
    return few && atomic_load(&slots->used);
}

static bool make_batch(struct vt_slots *slots, uint64_t ids[static VT_SLOTS_BATCH],
                       size_t *out_count, struct vt_err *err)
{
    char name[VT_STAGING_NAME];

    for (*out_count = 0; *out_count < VT_SLOTS_BATCH; ++*out_count) {
        ids[*out_count] = atomic_fetch_add(&slots->next_id, 1);
        vt_staging_name(ids[*out_count], name);
        vt_autoclose fd =
            openat(slots->staging, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, SLOT_MODE);
        if (fd < 0)
            return vt_fail_errno(err, "making files in staging");
    }
    return vt_io_sync_folder(slots->staging, "staging", err);
}

bool vt_slots_fill(struct vt_slots *slots, struct vt_err *err)
{
    uint64_t ids[VT_SLOTS_BATCH];
    size_t count = 0;

    atomic_store(&slots->used, false);
    if (!make_batch(slots, ids, &count, err)) {
        while (count > 0)
            remove_file(slots, ids[--count]);
        return false;
    }
    pthread_mutex_lock(&slots->lock);
    for (size_t i = 0; i < count && slots->count < SLOTS_MAX; i++)
        slots->ids[slots->count++] = ids[i];
    pthread_mutex_unlock(&slots->lock);
    return true;
}

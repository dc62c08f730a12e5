/* What is being done with domains, and how often each was reset. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "hypervisor/libvirt_state.h"

enum { DEEDS_MAX = 1024 };

struct item {
    char uuid[VIR_UUID_STRING_BUFLEN];
    struct vt_libvirt_deed deed;
    int64_t until; /* monotonic: the operation has ended by then, whatever was heard */
    uint64_t touched;
};

struct vt_libvirt_deeds {
    pthread_mutex_t lock; /* guards what follows */
    struct item items[DEEDS_MAX];
    size_t count;
    uint64_t touches;
};

struct vt_libvirt_deeds *vt_libvirt_deeds_new(void)
{
    struct vt_libvirt_deeds *deeds = calloc(1, sizeof *deeds);

    if (deeds)
        pthread_mutex_init(&deeds->lock, NULL);
    return deeds;
}

void vt_libvirt_deeds_free(struct vt_libvirt_deeds *deeds)
{
    if (!deeds)
        return;
    pthread_mutex_destroy(&deeds->lock);
    free(deeds);
}

/* Holding the lock. NULL: nothing is known of it. */
static struct item *find(struct vt_libvirt_deeds *deeds, const char *uuid)
{
    for (size_t i = 0; i < deeds->count; i++)
        if (strcmp(deeds->items[i].uuid, uuid) == 0)
            return &deeds->items[i];
    return NULL;
}

static struct item *oldest(struct vt_libvirt_deeds *deeds)
{
    struct item *item = &deeds->items[0];

    for (size_t i = 1; i < deeds->count; i++)
        if (deeds->items[i].touched < item->touched)
            item = &deeds->items[i];
    return item;
}

/* Holding the lock. When all places are taken the one goes that was touched the longest ago: its VM
 * may look rebooted, no more. */
static struct item *take(struct vt_libvirt_deeds *deeds, const char *uuid)
{
    struct item *item = find(deeds, uuid);

    if (!item && deeds->count < DEEDS_MAX)
        item = &deeds->items[deeds->count++];
    if (!item)
        item = oldest(deeds);
    if (strcmp(item->uuid, uuid) != 0) {
        *item = (struct item){ .until = 0 };
        snprintf(item->uuid, sizeof item->uuid, "%s", uuid);
    }
    item->touched = ++deeds->touches;
    return item;
}

void vt_libvirt_deed_begin(struct vt_libvirt_deeds *deeds, const char *uuid, const char *operation,
                           int64_t ns)
{
    pthread_mutex_lock(&deeds->lock);
    struct item *item = take(deeds, uuid);
    snprintf(item->deed.operation, sizeof item->deed.operation, "%s", operation);
    item->until = vt_clock_mono() + ns;
    pthread_mutex_unlock(&deeds->lock);
}

void vt_libvirt_deed_end(struct vt_libvirt_deeds *deeds, const char *uuid)
{
    pthread_mutex_lock(&deeds->lock);
    struct item *item = find(deeds, uuid);
    if (item)
        item->deed.operation[0] = '\0';
    pthread_mutex_unlock(&deeds->lock);
}

void vt_libvirt_deed_reset(struct vt_libvirt_deeds *deeds, const char *uuid)
{
    pthread_mutex_lock(&deeds->lock);
    struct item *item = take(deeds, uuid);
    item->deed.resets++;
    if (strstr(item->deed.operation, "reboot"))
        item->deed.operation[0] = '\0';
    pthread_mutex_unlock(&deeds->lock);
}

struct vt_libvirt_deed vt_libvirt_deed_of(struct vt_libvirt_deeds *deeds, const char *uuid)
{
    struct vt_libvirt_deed deed = { .resets = 0 };

    pthread_mutex_lock(&deeds->lock);
    const struct item *item = find(deeds, uuid);
    if (item)
        deed = item->deed;
    if (item && vt_clock_mono() >= item->until)
        deed.operation[0] = '\0';
    pthread_mutex_unlock(&deeds->lock);
    return deed;
}

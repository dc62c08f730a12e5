#include <stdio.h>
#include <sys/statvfs.h>

#include "archive/inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"

#define SPACE_CHECK_NS (100 * VT_NS_PER_MS)

static void read_space(struct vt_archive *archive)
{
    struct statvfs info;

    if (fstatvfs(archive->root, &info) < 0)
        return;
    archive->space_free = (uint64_t)info.f_bavail * info.f_frsize;
    archive->space_total = (uint64_t)info.f_blocks * info.f_frsize;
}

static uint64_t mark(uint64_t chosen, uint64_t total, uint64_t percent, uint64_t cap)
{
    uint64_t part = total / 100 * percent;

    if (chosen > 0)
        return chosen;
    return part < cap ? part : cap;
}

uint64_t vt_space_stop(uint64_t chosen, uint64_t total)
{
    return mark(chosen, total, 1, UINT64_C(1) << 30);
}

uint64_t vt_space_warn(uint64_t chosen, uint64_t total)
{
    return mark(chosen, total, 5, UINT64_C(10) << 30);
}

static enum vt_space judge(const struct vt_archive *archive)
{
    uint64_t total = archive->space_total;
    uint64_t stop = vt_space_stop(archive->options.stop_free, total);
    uint64_t warn = vt_space_warn(archive->options.warn_free, total);

    if (total == 0 || archive->space_free >= warn)
        return archive->space_free < stop ? VT_SPACE_FULL : VT_SPACE_OK;
    return archive->space_free < stop ? VT_SPACE_FULL : VT_SPACE_WARN;
}

static double percent_used(uint64_t free_bytes, uint64_t total)
{
    return total ? 100.0 - 100.0 * (double)free_bytes / (double)total : 100.0;
}

void vt_space_read(struct vt_archive *archive, uint64_t *out_free, uint64_t *out_total,
                   enum vt_space *out_state)
{
    static const char *const kinds[] = { "volume.ok", "volume.warn", "volume.full" };

    pthread_mutex_lock(&archive->space_lock);
    int64_t now = vt_clock_mono();
    enum vt_space before = (enum vt_space)archive->space_state;
    if (archive->space_checked == 0 || now - archive->space_checked >= SPACE_CHECK_NS) {
        read_space(archive);
        archive->space_checked = now;
        archive->space_state = (int)judge(archive);
    }
    enum vt_space state = (enum vt_space)archive->space_state;
    *out_free = archive->space_free;
    *out_total = archive->space_total;
    *out_state = state;
    pthread_mutex_unlock(&archive->space_lock);
    if (state != before) {
        char detail[128];
        snprintf(detail, sizeof detail, "{\"free\":%llu,\"total\":%llu}",
                 (unsigned long long)*out_free, (unsigned long long)*out_total);
        vt_events_publish(archive->options.events, kinds[state], archive->path, detail);
    }
}

void vt_space_forget(struct vt_archive *archive)
{
    pthread_mutex_lock(&archive->space_lock);
    archive->space_checked = 0;
    pthread_mutex_unlock(&archive->space_lock);
}

bool vt_space_check(struct vt_archive *archive, struct vt_err *err)
{
    uint64_t free_bytes, total;
    enum vt_space state;

    vt_space_read(archive, &free_bytes, &total, &state);
    return state != VT_SPACE_FULL || vt_fail_dimse(err, VT_E_FULL, 0xA700, "volume full %.1f%%",
                                                   percent_used(free_bytes, total));
}

bool vt_archive_takes(struct vt_archive *archive, struct vt_err *err)
{
    return vt_archive_writable(archive, err) && vt_space_check(archive, err);
}

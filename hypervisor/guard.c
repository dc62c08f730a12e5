#include "hypervisor/guard.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/auto.h"
#include "hypervisor/picture.h"

const struct vt_guard_limits vt_guard_defaults = {
    .chain_max = VT_CHAIN_MAX,
    .free_percent = VT_FREE_PERCENT,
    .free_bytes = VT_FREE_BYTES,
    .storm_host = VT_STORM_HOST,
    .storm_sr = VT_STORM_SR,
    .storm_minute = VT_STORM_MINUTE,
    .storm_hour = VT_STORM_HOUR,
    .running = VT_RUNNING_MAX,
    .running_sr = VT_RUNNING_SR,
    .repeat = VT_REPEAT_NS,
    .queue = VT_QUEUE_NS,
    .quarantine = VT_QUARANTINE_NS,
};

static const char *const names[VT_GUARDS] = {
    [VT_GUARD_OK] = "ok",
    [VT_GUARD_LATER] = "later",
    [VT_GUARD_NOT_WANTED] = "not-wanted",
    [VT_GUARD_NOT_ALLOWED] = "not-allowed",
    [VT_GUARD_NO_DISK] = "no-disk",
    [VT_GUARD_REPEATED] = "repeated",
    [VT_GUARD_TOO_SOON] = "too-soon",
    [VT_GUARD_TOO_OLD] = "too-old",
    [VT_GUARD_QUARANTINED] = "storage-quarantined",
    [VT_GUARD_CHAIN] = "chain-depth",
    [VT_GUARD_COALESCE] = "coalesce-pending",
    [VT_GUARD_SPACE] = "storage-space",
    [VT_GUARD_STORM_HOST] = "storm-host",
    [VT_GUARD_STORM_SR] = "storm-storage",
    [VT_GUARD_STORM_MINUTE] = "storm-minute",
    [VT_GUARD_STORM_HOUR] = "storm-hour",
};

const char *vt_guard_name(enum vt_guard guard)
{
    return guard < VT_GUARDS ? names[guard] : "";
}

/* ---- the decision ---- */

struct saying {
    char *out;
    size_t room;
};

static enum vt_guard say(const struct saying *saying, enum vt_guard guard, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum vt_guard say(const struct saying *saying, enum vt_guard guard, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(saying->out, saying->room, format, args);
    va_end(args);
    return guard;
}

static enum vt_guard check_vm(const struct vt_guard_facts *f, const struct vt_guard_limits *l,
                              const struct saying *s)
{
    if (!f->wanted)
        return say(s, VT_GUARD_NOT_WANTED, "no snapshot is wanted of this VM");
    if (f->has_one)
        return say(s, VT_GUARD_REPEATED, "this incident has its snapshot already");
    if (f->age > l->queue)
        return say(s, VT_GUARD_TOO_OLD, "it waited %lld s, more than %lld s",
                   (long long)(f->age / VT_NS_PER_S), (long long)(l->queue / VT_NS_PER_S));
    if (f->since_last >= 0 && f->since_last < l->repeat)
        return say(s, VT_GUARD_TOO_SOON, "the VM's last one is %lld s old, less than %lld s",
                   (long long)(f->since_last / VT_NS_PER_S), (long long)(l->repeat / VT_NS_PER_S));
    if (f->storage.disks == 0)
        return say(s, VT_GUARD_NO_DISK, "the VM has no disk");
    if (!f->allowed)
        return say(s, VT_GUARD_NOT_ALLOWED, "the pool does not allow a snapshot of it now");
    return VT_GUARD_OK;
}

static enum vt_guard check_storage(const struct vt_guard_facts *f, const struct vt_guard_limits *l,
                                   const struct saying *s)
{
    const struct vt_guard_storage *storage = &f->storage;
    int64_t floor = storage->size_bytes / 100 * l->free_percent;

    if (f->quarantined)
        return say(s, VT_GUARD_QUARANTINED, "a snapshot on %.60s failed less than %lld s ago",
                   storage->sr_name, (long long)(l->quarantine / VT_NS_PER_S));
    if (storage->chain_depth >= l->chain_max)
        return say(s, VT_GUARD_CHAIN, "its chain has %d links, %d are allowed of %d",
                   storage->chain_depth, l->chain_max, VT_CHAIN_LIMIT);
    if (storage->coalesce_pending)
        return say(s, VT_GUARD_COALESCE, "%.60s has not merged what was deleted in its chain",
                   storage->sr_name);
    if (floor < l->free_bytes)
        floor = l->free_bytes;
    if (storage->free_bytes - storage->need_bytes < floor)
        return say(s, VT_GUARD_SPACE, "%.60s has %lld MiB free, it needs %lld and keeps %lld",
                   storage->sr_name, (long long)(storage->free_bytes >> 20),
                   (long long)(storage->need_bytes >> 20), (long long)(floor >> 20));
    return VT_GUARD_OK;
}

static enum vt_guard check_storm(const struct vt_guard_facts *f, const struct vt_guard_limits *l,
                                 const struct saying *s)
{
    static const char words[] = "%d were begun %s, %d are allowed";

    if (f->hour >= l->storm_hour)
        return say(s, VT_GUARD_STORM_HOUR, words, f->hour, "in the last hour", l->storm_hour);
    if (f->minute >= l->storm_minute)
        return say(s, VT_GUARD_STORM_MINUTE, words, f->minute, "in the last minute",
                   l->storm_minute);
    if (f->minute_host >= l->storm_host)
        return say(s, VT_GUARD_STORM_HOST, words, f->minute_host, "on its host in the last minute",
                   l->storm_host);
    if (f->minute_sr >= l->storm_sr)
        return say(s, VT_GUARD_STORM_SR, words, f->minute_sr, "on its storage in the last minute",
                   l->storm_sr);
    if (f->running >= l->running || f->running_sr >= l->running_sr)
        return say(s, VT_GUARD_LATER, "%d run, %d on its storage", f->running, f->running_sr);
    return VT_GUARD_OK;
}

enum vt_guard vt_guard_check(const struct vt_guard_facts *facts,
                             const struct vt_guard_limits *limits, char *out, size_t room)
{
    const struct saying saying = { out, room };

    if (room > 0)
        out[0] = '\0';
    enum vt_guard guard = check_vm(facts, limits, &saying);
    if (guard == VT_GUARD_OK)
        guard = check_storage(facts, limits, &saying);
    return guard == VT_GUARD_OK ? check_storm(facts, limits, &saying) : guard;
}

/* ---- the disks of a VM ---- */

/* Links behind the disk: each has one parent, by uuid. A circle ends at the drivers' own limit. */
static int chain_of(const struct vt_picture *picture, const struct vt_object *vdi,
                    const struct vt_object *out_links[static VT_CHAIN_LIMIT])
{
    int depth = 0;

    while (vdi && depth < VT_CHAIN_LIMIT) {
        const char *parent = vt_object_map(vdi, "sm_config", "vhd-parent");
        out_links[depth++] = vdi;
        vdi = parent ? vt_picture_by_uuid(picture, VT_CLASS_VDI, parent) : NULL;
    }
    return depth;
}

/* Files behind a disk that are no disks of the picture. */
static int behind(const struct vt_object *vdi)
{
    const char *count = vt_object_map(vdi, "sm_config", VT_GUARD_BEHIND);
    long number = count ? strtol(count, NULL, 10) : 0;

    return number < 0 ? 0 : number > VT_CHAIN_LIMIT ? VT_CHAIN_LIMIT : (int)number;
}

static bool is_merged_soon(const struct vt_picture *picture, const struct vt_object *parent)
{
    const char *uuid = vt_object_text(parent, "uuid");
    unsigned children = 0, unmanaged = 0;

    if (vt_object_bool(parent, "managed"))
        return false;
    VT_PICTURE_EACH(picture, VT_CLASS_VDI, vdi)
    {
        const char *its = vt_object_map(vdi, "sm_config", "vhd-parent");
        if (!its || strcmp(its, uuid) != 0)
            continue;
        children++;
        unmanaged += !vt_object_bool(vdi, "managed");
    }
    return children == 1 && unmanaged == 1;
}

static bool coalesce_pending(const struct vt_picture *picture, const struct vt_object *const *links,
                             int depth)
{
    for (int i = 1; i < depth; i++)
        if (is_merged_soon(picture, links[i]))
            return true;
    return false;
}

static bool is_thick(const struct vt_object *sr)
{
    return strncmp(vt_object_text(sr, "type"), "lvm", 3) == 0;
}

/* What the storages need for one VM; a storage counts once for all its disks. */
struct need {
    const struct vt_object *sr;
    int64_t bytes;
};

static struct need *need_of(struct need needs[static 8], unsigned *count,
                            const struct vt_object *sr)
{
    for (unsigned i = 0; i < *count; i++)
        if (needs[i].sr == sr)
            return &needs[i];
    if (*count == 8)
        return &needs[7];
    needs[*count] = (struct need){ .sr = sr };
    return &needs[(*count)++];
}

static void add_disk(const struct vt_picture *picture, const struct vt_object *vbd,
                     struct need *needs, unsigned *count, struct vt_guard_storage *out)
{
    const struct vt_object *vdi = vt_picture_follow(picture, vbd, "VDI");
    const struct vt_object *sr = vdi ? vt_picture_follow(picture, vdi, "SR") : NULL;
    const struct vt_object *links[VT_CHAIN_LIMIT];

    if (!sr || strcmp(vt_object_text(vbd, "type"), "Disk") != 0)
        return;
    out->disks++;
    int length = chain_of(picture, vdi, links), depth = length + behind(vdi);
    if (depth > out->chain_depth)
        out->chain_depth = depth;
    out->coalesce_pending |= coalesce_pending(picture, links, length);
    struct need *need = need_of(needs, count, sr);
    need->bytes += is_thick(sr) ? vt_object_int(vdi, "virtual_size") : 0;
}

static int64_t free_of(const struct vt_object *sr)
{
    return vt_object_int(sr, "physical_size") - vt_object_int(sr, "physical_utilisation");
}

static void choose_shortest(const struct need *needs, unsigned count, struct vt_guard_storage *out)
{
    const struct need *shortest = count ? &needs[0] : NULL;

    for (unsigned i = 0; i < count; i++) {
        snprintf(out->srs[i], sizeof out->srs[i], "%s", vt_object_ref(needs[i].sr));
        if (free_of(needs[i].sr) - needs[i].bytes < free_of(shortest->sr) - shortest->bytes)
            shortest = &needs[i];
    }
    out->sr_count = count;
    if (!shortest)
        return;
    out->free_bytes = free_of(shortest->sr);
    out->size_bytes = vt_object_int(shortest->sr, "physical_size");
    out->need_bytes = shortest->bytes;
    snprintf(out->sr, sizeof out->sr, "%s", vt_object_ref(shortest->sr));
    snprintf(out->sr_name, sizeof out->sr_name, "%s", vt_object_text(shortest->sr, "name_label"));
}

void vt_guard_storage_of(const struct vt_picture *picture, const struct vt_object *vm,
                         bool checkpoint, struct vt_guard_storage *out)
{
    const char *const *vbds = NULL;
    struct need needs[8];
    unsigned count = 0;

    *out = (struct vt_guard_storage){ 0 };
    size_t vbd_count = vt_object_list(vm, "VBDs", &vbds);
    for (size_t i = 0; i < vbd_count; i++) {
        const struct vt_object *vbd = vt_picture_get(picture, vbds[i]);
        if (vbd)
            add_disk(picture, vbd, needs, &count, out);
    }
    if (checkpoint && count > 0)
        needs[0].bytes += vt_object_int(vm, "memory_static_max");
    choose_shortest(needs, count, out);
}

/* ---- the storm budget ---- */

enum { HOUR_S = 3600, MINUTE_S = 60 };

static void forget_old(struct vt_budget *budget, int64_t now)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < budget->count; i++)
        if (budget->shots[i].running || now - budget->shots[i].at < HOUR_S * VT_NS_PER_S)
            budget->shots[kept++] = budget->shots[i];
    budget->count = kept;
}

bool vt_budget_begin(struct vt_budget *budget, uint64_t id, int64_t now, const char *host,
                     const char *sr)
{
    forget_old(budget, now);
    if (budget->count == VT_SHOTS_HISTORY)
        return false;
    budget->shots[budget->count].at = now;
    budget->shots[budget->count].id = id;
    budget->shots[budget->count].running = true;
    snprintf(budget->shots[budget->count].host, sizeof budget->shots[0].host, "%s", host);
    snprintf(budget->shots[budget->count].sr, sizeof budget->shots[0].sr, "%s", sr);
    budget->count++;
    return true;
}

void vt_budget_end(struct vt_budget *budget, uint64_t id)
{
    for (unsigned i = 0; i < budget->count; i++)
        if (budget->shots[i].id == id)
            budget->shots[i].running = false;
}

void vt_budget_count(struct vt_budget *budget, int64_t now, const char *host, const char *sr,
                     struct vt_guard_facts *facts)
{
    forget_old(budget, now);
    facts->minute_host = facts->minute_sr = facts->minute = facts->hour = 0;
    facts->running = facts->running_sr = 0;
    for (unsigned i = 0; i < budget->count; i++) {
        bool same_host = strcmp(budget->shots[i].host, host) == 0;
        bool same_sr = strcmp(budget->shots[i].sr, sr) == 0;
        bool late = now - budget->shots[i].at < MINUTE_S * VT_NS_PER_S;
        facts->minute_host += same_host && late;
        facts->minute_sr += same_sr && late;
        facts->minute += late;
        facts->hour += now - budget->shots[i].at < HOUR_S * VT_NS_PER_S;
        facts->running += budget->shots[i].running;
        facts->running_sr += budget->shots[i].running && same_sr;
    }
}

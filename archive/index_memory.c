/* The memory driver: worlds, transactions, lookups. */
#include "archive/index_memory.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"

static struct mem_index *self(struct vt_index *base)
{
    return (struct mem_index *)(void *)base;
}

/* ---- worlds ---- */

static void world_free(struct mem_world *world)
{
    if (!world)
        return;
    for (size_t i = 0; i < world->patient_count; i++)
        vt_buf_fini(&world->patients[i].attributes);
    for (size_t i = 0; i < world->study_count; i++) {
        vt_buf_fini(&world->studies[i].patient_attributes);
        vt_buf_fini(&world->studies[i].attributes);
    }
    for (size_t i = 0; i < world->series_count; i++)
        vt_buf_fini(&world->series[i].attributes);
    for (size_t i = 0; i < world->instance_count; i++) {
        vt_buf_fini(&world->instances[i].attributes);
        vt_buf_fini(&world->instances[i].frames);
    }
    free(world->patients);
    free(world->studies);
    free(world->series);
    free(world->instances);
    free(world);
}

bool mem_copy_bytes(struct vt_buf *out, const struct vt_buf *from, struct vt_err *err)
{
    vt_buf_init(out, from->limit);
    return vt_buf_append(out, from->data, from->size, err);
}

static bool copy_array(void **out, const void *from, size_t count, size_t size, struct vt_err *err)
{
    *out = malloc(count * size + 1);
    if (!*out)
        return vt_fail(err, VT_E_NOMEM, "no memory for %zu rows", count);
    if (count > 0)
        memcpy(*out, from, count * size);
    return true;
}

/* Buffers are owned once each is copied: the counts grow row by row, so a half-made copy can be
 * freed. */
static bool copy_rows(struct mem_world *to, const struct mem_world *from, struct vt_err *err)
{
    if (!copy_array((void **)&to->patients, from->patients, from->patient_count,
                    sizeof *to->patients, err) ||
        !copy_array((void **)&to->studies, from->studies, from->study_count, sizeof *to->studies,
                    err) ||
        !copy_array((void **)&to->series, from->series, from->series_count, sizeof *to->series,
                    err) ||
        !copy_array((void **)&to->instances, from->instances, from->instance_count,
                    sizeof *to->instances, err))
        return false;
    for (size_t i = 0; i < from->patient_count; i++, to->patient_count++)
        if (!mem_copy_bytes(&to->patients[i].attributes, &from->patients[i].attributes, err))
            return false;
    for (size_t i = 0; i < from->study_count; i++, to->study_count++) {
        vt_buf_init(&to->studies[i].attributes, 0);
        if (!mem_copy_bytes(&to->studies[i].patient_attributes,
                            &from->studies[i].patient_attributes, err))
            return false;
        if (!mem_copy_bytes(&to->studies[i].attributes, &from->studies[i].attributes, err)) {
            vt_buf_fini(&to->studies[i].patient_attributes);
            return false;
        }
    }
    for (size_t i = 0; i < from->series_count; i++, to->series_count++)
        if (!mem_copy_bytes(&to->series[i].attributes, &from->series[i].attributes, err))
            return false;
    for (size_t i = 0; i < from->instance_count; i++, to->instance_count++) {
        vt_buf_init(&to->instances[i].frames, 0);
        if (!mem_copy_bytes(&to->instances[i].attributes, &from->instances[i].attributes, err))
            return false;
        if (!mem_copy_bytes(&to->instances[i].frames, &from->instances[i].frames, err)) {
            vt_buf_fini(&to->instances[i].attributes);
            return false;
        }
    }
    return true;
}

static struct mem_world *world_copy(const struct mem_world *from, struct vt_err *err)
{
    struct mem_world *to = calloc(1, sizeof *to);

    if (!to) {
        vt_fail(err, VT_E_NOMEM, "no memory for the index");
        return NULL;
    }
    to->references = 1;
    to->sequence = from->sequence;
    if (copy_rows(to, from, err))
        return to;
    world_free(to);
    return NULL;
}

struct mem_world *mem_world_take(struct mem_index *index)
{
    pthread_mutex_lock(&index->lock);
    struct mem_world *world = index->world;
    world->references++;
    pthread_mutex_unlock(&index->lock);
    return world;
}

void mem_world_give(struct mem_index *index, struct mem_world *world)
{
    pthread_mutex_lock(&index->lock);
    bool last = --world->references == 0;
    pthread_mutex_unlock(&index->lock);
    if (last)
        world_free(world);
}

/* ---- the table ---- */

static void mem_close(struct vt_index *base)
{
    struct mem_index *index = self(base);

    if (!index)
        return;
    world_free(index->working);
    world_free(index->world);
    pthread_mutex_destroy(&index->lock);
    free(index);
}

static struct vt_index *mem_open(const struct vt_index_options *options, struct vt_err *err)
{
    struct mem_index *index = calloc(1, sizeof *index);

    (void)options;
    if (index && (index->world = calloc(1, sizeof *index->world))) {
        index->driver = &vt_index_memory;
        index->world->references = 1;
        pthread_mutex_init(&index->lock, NULL);
        return (struct vt_index *)(void *)index;
    }
    free(index);
    vt_fail(err, VT_E_NOMEM, "no memory for the index");
    return NULL;
}

static bool mem_begin(struct vt_index *base, struct vt_err *err)
{
    struct mem_index *index = self(base);

    if (index->working)
        return vt_fail(err, VT_E_INTERNAL, "a transaction within a transaction");
    return (index->working = world_copy(index->world, err)) != NULL;
}

static bool within(struct mem_index *index, struct vt_err *err)
{
    return index->working || vt_fail(err, VT_E_INTERNAL, "written outside a transaction");
}

static bool table_put(struct vt_index *base, const struct vt_instance *instance,
                      unsigned *out_flags, struct vt_err *err)
{
    return within(self(base), err) && mem_put(self(base)->working, instance, out_flags, err);
}

static bool table_remove(struct vt_index *base, const char *sop_uid, bool *out_removed,
                         struct vt_err *err)
{
    if (!within(self(base), err))
        return false;
    mem_remove(self(base)->working, sop_uid, out_removed);
    return true;
}

static bool table_move_study(struct vt_index *base, const char *study_uid,
                             const uint8_t *attributes, size_t size, struct vt_err *err)
{
    return within(self(base), err) &&
           mem_move_study(self(base)->working, study_uid, attributes, size, err);
}

static bool table_relocate(struct vt_index *base, const struct vt_index_entry *entry,
                           bool *out_found, struct vt_err *err)
{
    struct mem_index *index = self(base);

    if (!within(index, err))
        return false;
    *out_found = false;
    for (size_t i = 0; i < index->working->instance_count && !*out_found; i++) {
        struct mem_instance *row = &index->working->instances[i];
        *out_found = !row->gone && strcmp(row->entry.sop_uid, entry->sop_uid) == 0;
        if (*out_found)
            memcpy(row->entry.file, entry->file, sizeof row->entry.file);
    }
    return true;
}

static bool mem_commit(struct vt_index *base, uint64_t sequence, struct vt_err *err)
{
    struct mem_index *index = self(base);

    if (!within(index, err))
        return false;
    index->working->sequence = sequence;
    pthread_mutex_lock(&index->lock);
    struct mem_world *old = index->world;
    index->world = index->working;
    pthread_mutex_unlock(&index->lock);
    index->working = NULL;
    mem_world_give(index, old);
    return true;
}

static void mem_rollback(struct vt_index *base)
{
    struct mem_index *index = self(base);

    world_free(index->working);
    index->working = NULL;
}

static bool mem_checkpoint(struct vt_index *base, struct vt_err *err)
{
    (void)base, (void)err;
    return true; /* nothing survives the process, so nothing can be made to */
}

static bool mem_applied(struct vt_index *base, uint64_t *out_sequence, struct vt_err *err)
{
    struct mem_world *world = mem_world_take(self(base));

    (void)err;
    *out_sequence = world->sequence;
    mem_world_give(self(base), world);
    return true;
}

static const struct mem_instance *instance_of(const struct mem_world *world, const char *sop_uid)
{
    for (size_t i = 0; i < world->instance_count; i++)
        if (!world->instances[i].gone && strcmp(world->instances[i].entry.sop_uid, sop_uid) == 0)
            return &world->instances[i];
    return NULL;
}

static bool mem_lookup(struct vt_index *base, const char *sop_uid, struct vt_index_entry *out,
                       bool *out_found, struct vt_err *err)
{
    struct mem_world *world = mem_world_take(self(base));
    const struct mem_instance *instance = instance_of(world, sop_uid);

    (void)err;
    *out_found = instance != NULL;
    if (instance)
        *out = instance->entry;
    mem_world_give(self(base), world);
    return true;
}

static bool mem_frames(struct vt_index *base, const char *sop_uid, struct vt_buf *out,
                       struct vt_err *err)
{
    struct mem_world *world = mem_world_take(self(base));
    const struct mem_instance *instance = instance_of(world, sop_uid);
    bool ok = !instance || vt_buf_append(out, instance->frames.data, instance->frames.size, err);

    mem_world_give(self(base), world);
    return ok;
}

static bool mem_counts(struct vt_index *base, struct vt_index_counts *out, struct vt_err *err)
{
    struct mem_world *world = mem_world_take(self(base));
    struct vt_index_counts counts = { 0 };

    (void)err;
    for (size_t i = 0; i < world->patient_count; i++)
        counts.patients += !world->patients[i].gone;
    for (size_t i = 0; i < world->study_count; i++)
        counts.studies += !world->studies[i].gone;
    for (size_t i = 0; i < world->series_count; i++)
        counts.series += !world->series[i].gone;
    for (size_t i = 0; i < world->instance_count; i++)
        if (!world->instances[i].gone) {
            counts.instances++;
            counts.bytes += world->instances[i].entry.file_size;
        }
    mem_world_give(self(base), world);
    *out = counts;
    return true;
}

static bool mem_empty(struct vt_index *base, bool *out_empty, struct vt_err *err)
{
    struct vt_index_counts counts;

    if (!mem_counts(base, &counts, err))
        return false;
    *out_empty = counts.instances == 0;
    return true;
}

const struct vt_index_driver vt_index_memory = {
    .name = "memory",
    .open = mem_open,
    .close = mem_close,
    .begin = mem_begin,
    .put = table_put,
    .remove = table_remove,
    .move_study = table_move_study,
    .relocate = table_relocate,
    .commit = mem_commit,
    .rollback = mem_rollback,
    .checkpoint = mem_checkpoint,
    .applied = mem_applied,
    .lookup = mem_lookup,
    .frames = mem_frames,
    .find = mem_find,
    .next = mem_next,
    .cursor_free = mem_cursor_free,
    .select = mem_find,
    .select_next = mem_select_next,
    .counts = mem_counts,
    .empty = mem_empty,
};

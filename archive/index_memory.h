/* archive/index_memory.h: the index in arrays, for tests and for keeping the driver table honest:
 * no search structure, every question walks everything.
 *
 * A world is all rows at one moment. A transaction works on a copy, commit makes the copy the
 * world; readers keep the world they began with (counted references). Rows that went stay in their
 * place, marked, so rows name each other by place. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "archive/columns.h"
#include "archive/index.h"
#include "core/buf.h"

enum { MEM_MODALITIES = 512, MEM_CLASSES = 4096 };

struct mem_patient {
    bool gone;
    char anonymous[VT_UID_MAX + 1]; /* study UID of a patient without ID */
    struct vt_patient_columns columns;
    struct vt_buf attributes;
};

struct mem_study {
    bool gone;
    size_t patient;
    char uid[VT_UID_MAX + 1];
    struct vt_patient_columns about; /* the patient as this study has it */
    struct vt_study_columns columns;
    struct vt_buf patient_attributes, attributes;
    char modalities[MEM_MODALITIES], classes[MEM_CLASSES];
};

struct mem_series {
    bool gone;
    size_t study;
    char uid[VT_UID_MAX + 1];
    struct vt_series_columns columns;
    struct vt_buf attributes;
};

struct mem_instance {
    bool gone;
    size_t series;
    bool has_number;
    int64_t number;
    struct vt_index_entry entry;
    struct vt_buf attributes, frames;
};

struct mem_world {
    unsigned references; /* guarded by the index's lock */
    uint64_t sequence;
    struct mem_patient *patients;
    struct mem_study *studies;
    struct mem_series *series;
    struct mem_instance *instances;
    size_t patient_count, study_count, series_count, instance_count;
};

struct mem_index {
    const struct vt_index_driver *driver;
    pthread_mutex_t lock;
    struct mem_world *world;   /* guarded by lock; never NULL */
    struct mem_world *working; /* the writer's, within a transaction */
};

struct mem_world *mem_world_take(struct mem_index *index);
void mem_world_give(struct mem_index *index, struct mem_world *world);

/* index_memory_put.c: on the working copy. */
bool mem_put(struct mem_world *world, const struct vt_instance *instance, unsigned *out_flags,
             struct vt_err *err);
void mem_remove(struct mem_world *world, const char *sop_uid, bool *out_removed);
bool mem_move_study(struct mem_world *world, const char *study_uid, const uint8_t *attributes,
                    size_t size, struct vt_err *err);
bool mem_copy_bytes(struct vt_buf *out, const struct vt_buf *from, struct vt_err *err);

/* index_memory_find.c */
struct vt_cursor *mem_find(struct vt_index *base, const struct vt_plan *plan, struct vt_err *err);
bool mem_next(struct vt_cursor *base, struct vt_row *out, bool *out_more, struct vt_err *err);
void mem_cursor_free(struct vt_cursor *base);
bool mem_select_next(struct vt_cursor *base, struct vt_index_entry *out, bool *out_more,
                     struct vt_err *err);

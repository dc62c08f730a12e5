/* Calls through the driver table. */
#include "archive/index.h"

/* Every driver's index and cursor begin with this. */
struct vt_index {
    const struct vt_index_driver *driver;
};
struct vt_cursor {
    const struct vt_index_driver *driver;
};

struct vt_index *vt_index_open(const struct vt_index_driver *driver,
                               const struct vt_index_options *options, struct vt_err *err)
{
    return driver->open(options, err);
}

void vt_index_free(struct vt_index *index)
{
    if (index)
        index->driver->close(index);
}

bool vt_index_begin(struct vt_index *index, struct vt_err *err)
{
    return index->driver->begin(index, err);
}

bool vt_index_put(struct vt_index *index, const struct vt_instance *instance, unsigned *out_flags,
                  struct vt_err *err)
{
    return index->driver->put(index, instance, out_flags, err);
}

bool vt_index_remove(struct vt_index *index, const char *sop_uid, bool *out_removed,
                     struct vt_err *err)
{
    return index->driver->remove(index, sop_uid, out_removed, err);
}

bool vt_index_move_study(struct vt_index *index, const char *study_uid,
                         const uint8_t *patient_attributes, size_t size, struct vt_err *err)
{
    return index->driver->move_study(index, study_uid, patient_attributes, size, err);
}

bool vt_index_relocate(struct vt_index *index, const struct vt_index_entry *entry, bool *out_found,
                       struct vt_err *err)
{
    return index->driver->relocate(index, entry, out_found, err);
}

bool vt_index_commit(struct vt_index *index, uint64_t sequence, struct vt_err *err)
{
    return index->driver->commit(index, sequence, err);
}

void vt_index_rollback(struct vt_index *index)
{
    index->driver->rollback(index);
}

bool vt_index_checkpoint(struct vt_index *index, struct vt_err *err)
{
    return index->driver->checkpoint(index, err);
}

bool vt_index_applied(struct vt_index *index, uint64_t *out_sequence, struct vt_err *err)
{
    return index->driver->applied(index, out_sequence, err);
}

bool vt_index_lookup(struct vt_index *index, const char *sop_uid, struct vt_index_entry *out,
                     bool *out_found, struct vt_err *err)
{
    return index->driver->lookup(index, sop_uid, out, out_found, err);
}

bool vt_index_frames(struct vt_index *index, const char *sop_uid, struct vt_buf *out,
                     struct vt_err *err)
{
    return index->driver->frames(index, sop_uid, out, err);
}

struct vt_cursor *vt_index_find(struct vt_index *index, const struct vt_plan *plan,
                                struct vt_err *err)
{
    return index->driver->find(index, plan, err);
}

bool vt_cursor_next(struct vt_cursor *cursor, struct vt_row *out, bool *out_more,
                    struct vt_err *err)
{
    return cursor->driver->next(cursor, out, out_more, err);
}

struct vt_cursor *vt_index_select(struct vt_index *index, const struct vt_plan *plan,
                                  struct vt_err *err)
{
    return index->driver->select(index, plan, err);
}

bool vt_cursor_select_next(struct vt_cursor *cursor, struct vt_index_entry *out, bool *out_more,
                           struct vt_err *err)
{
    return cursor->driver->select_next(cursor, out, out_more, err);
}

void vt_cursor_free(struct vt_cursor *cursor)
{
    if (cursor)
        cursor->driver->cursor_free(cursor);
}

bool vt_index_counts(struct vt_index *index, struct vt_index_counts *out, struct vt_err *err)
{
    return index->driver->counts(index, out, err);
}

bool vt_index_empty(struct vt_index *index, bool *out_empty, struct vt_err *err)
{
    return index->driver->empty(index, out_empty, err);
}

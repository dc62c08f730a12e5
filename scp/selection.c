#include "scp/selection.h"

#include <stdlib.h>
#include <string.h>

#include "archive/index.h"
#include "core/buf.h"
#include "core/err.h"

struct item {
    uint32_t uid;                        /* where it starts in uids */
    uint16_t sop_class, transfer_syntax; /* in names */
};

typedef char name[VT_UID_MAX + 1];

struct vt_selection {
    struct vt_buf uids, items, names; /* text with zeroes; struct item; name */
};

enum { UIDS_MAX = VT_SELECTION_MAX * (VT_UID_MAX + 1) };

void vt_selection_free(struct vt_selection *selection)
{
    if (!selection)
        return;
    vt_buf_fini(&selection->uids);
    vt_buf_fini(&selection->items);
    vt_buf_fini(&selection->names);
    free(selection);
}

static size_t name_count(const struct vt_selection *selection)
{
    return selection->names.size / sizeof(name);
}

static const char *name_at(const struct vt_selection *selection, size_t i)
{
    return (const char *)selection->names.data + i * sizeof(name);
}

/* The number of a text, the same for the same text. The last ones are the likeliest. */
static bool number_of(struct vt_selection *selection, const char *text, uint16_t *out,
                      struct vt_err *err)
{
    name copy = { 0 };

    for (size_t i = name_count(selection); i-- > 0;)
        if (strcmp(name_at(selection, i), text) == 0) {
            *out = (uint16_t)i;
            return true;
        }
    memcpy(copy, text, strnlen(text, sizeof copy - 1));
    *out = (uint16_t)name_count(selection);
    return vt_buf_append(&selection->names, copy, sizeof copy, err);
}

static bool add(struct vt_selection *selection, const struct vt_index_entry *entry,
                struct vt_err *err)
{
    struct item item = { .uid = (uint32_t)selection->uids.size };

    return number_of(selection, entry->sop_class, &item.sop_class, err) &&
           number_of(selection, entry->transfer_syntax, &item.transfer_syntax, err) &&
           vt_buf_append(&selection->uids, entry->sop_uid, strlen(entry->sop_uid) + 1, err) &&
           vt_buf_append(&selection->items, &item, sizeof item, err);
}

struct vt_selection *vt_selection_new(struct vt_index *index, const struct vt_plan *plan,
                                      struct vt_err *err)
{
    VT_AUTO(vt_selection) selection = calloc(1, sizeof *selection);
    struct vt_index_entry entry;
    bool more;

    if (!selection) {
        vt_fail(err, VT_E_NOMEM, "no memory for the list of instances");
        return NULL;
    }
    vt_buf_init(&selection->uids, UIDS_MAX);
    vt_buf_init(&selection->items, VT_SELECTION_MAX * sizeof(struct item));
    vt_buf_init(&selection->names, VT_SELECTION_NAMES_MAX * sizeof(name));

    VT_AUTO(vt_cursor) cursor = vt_index_select(index, plan, err);
    if (!cursor)
        return NULL;
    do {
        if (!vt_cursor_select_next(cursor, &entry, &more, err) ||
            (more && !add(selection, &entry, err)))
            return NULL;
    } while (more);
    return vt_take(&selection);
}

size_t vt_selection_count(const struct vt_selection *selection)
{
    return selection->items.size / sizeof(struct item);
}

static const struct item *item_at(const struct vt_selection *selection, size_t i)
{
    return (const struct item *)(const void *)selection->items.data + i;
}

const char *vt_selection_sop_uid(const struct vt_selection *selection, size_t i)
{
    return (const char *)selection->uids.data + item_at(selection, i)->uid;
}

const char *vt_selection_sop_class(const struct vt_selection *selection, size_t i)
{
    return name_at(selection, item_at(selection, i)->sop_class);
}

const char *vt_selection_transfer_syntax(const struct vt_selection *selection, size_t i)
{
    return name_at(selection, item_at(selection, i)->transfer_syntax);
}

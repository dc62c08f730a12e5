#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/command.h"
#include "dicom/element.h"
#include "scu/commit.h"

enum { INVALID_ARGUMENT = 0x0115 };

void vt_commit_list_fini(struct vt_commit_list *list)
{
    free(list->items);
    *list = (struct vt_commit_list){ .count = 0 };
}

bool vt_commit_list_add(struct vt_commit_list *list, const char *sop_class, const char *sop_uid,
                        uint16_t reason, struct vt_err *err)
{
    if (list->count == VT_COMMIT_REFERENCES_MAX)
        return vt_fail_dimse(err, VT_E_LIMIT, 0x0213, "more than %d instances in one transaction",
                             VT_COMMIT_REFERENCES_MAX);
    if (list->count == list->capacity) {
        size_t wanted = list->capacity ? list->capacity * 2 : 64;
        struct vt_commit_reference *grown = reallocarray(list->items, wanted, sizeof *grown);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for a list of instances");
        list->items = grown;
        list->capacity = wanted;
    }
    struct vt_commit_reference *item = &list->items[list->count++];
    snprintf(item->sop_class, sizeof item->sop_class, "%s", sop_class);
    snprintf(item->sop_uid, sizeof item->sop_uid, "%s", sop_uid);
    item->reason = reason;
    return true;
}

size_t vt_commit_list_failed(const struct vt_commit_list *list)
{
    size_t failed = 0;

    for (size_t i = 0; i < list->count; i++)
        failed += list->items[i].reason != 0;
    return failed;
}

/* ---- encoding ---- */

static bool encode_item(struct vt_writer *w, const struct vt_commit_reference *item,
                        struct vt_err *err)
{
    return vt_write_item_begin(w, err) &&
           vt_write_text(w, VT_TAG_REFERENCED_SOP_CLASS_UID, "UI", item->sop_class, err) &&
           vt_write_text(w, VT_TAG_REFERENCED_SOP_INSTANCE_UID, "UI", item->sop_uid, err) &&
           (item->reason == 0 || vt_write_us(w, VT_TAG_FAILURE_REASON, item->reason, err)) &&
           vt_write_item_end(w, err);
}

static bool encode_sequence(struct vt_writer *w, const struct vt_commit_list *list, bool failed,
                            struct vt_err *err)
{
    bool ok = vt_write_sequence_begin(
        w, failed ? VT_TAG_FAILED_SOP_SEQUENCE : VT_TAG_REFERENCED_SOP_SEQUENCE, err);

    for (size_t i = 0; ok && i < list->count; i++)
        if ((list->items[i].reason != 0) == failed)
            ok = encode_item(w, &list->items[i], err);
    return ok && vt_write_sequence_end(w, err);
}

bool vt_commit_encode(const struct vt_commit_list *list, const char *retrieve_ae_title,
                      enum vt_encoding encoding, struct vt_buf *out, struct vt_err *err)
{
    struct vt_writer w = { out, encoding };
    size_t failed = vt_commit_list_failed(list);

    return (!retrieve_ae_title ||
            vt_write_text(&w, VT_TAG_RETRIEVE_AE_TITLE, "AE", retrieve_ae_title, err)) &&
           vt_write_text(&w, VT_TAG_TRANSACTION_UID, "UI", list->transaction_uid, err) &&
           (failed == 0 || encode_sequence(&w, list, true, err)) &&
           (failed == list->count || encode_sequence(&w, list, false, err));
}

/* ---- decoding ---- */

static bool invalid(struct vt_err *err, const char *what)
{
    return vt_fail_dimse(err, VT_E_INVALID, INVALID_ARGUMENT, "%s", what);
}

static bool decode_item(const struct vt_element *element, enum vt_encoding encoding, bool failed,
                        struct vt_commit_list *out, struct vt_err *err)
{
    char sop_class[VT_UID_MAX + 2] = "", sop_uid[VT_UID_MAX + 2] = "";
    int64_t reason = failed ? VT_STATUS_PROCESSING_FAILURE : 0;
    struct vt_walk walk;
    struct vt_element it;
    bool more;

    vt_walk_item(&walk, element, encoding);
    while (vt_walk_next(&walk, &it, &more, err) && more) {
        if (it.tag == VT_TAG_REFERENCED_SOP_CLASS_UID)
            vt_element_text(&it, sop_class, sizeof sop_class);
        else if (it.tag == VT_TAG_REFERENCED_SOP_INSTANCE_UID)
            vt_element_text(&it, sop_uid, sizeof sop_uid);
        else if (failed && it.tag == VT_TAG_FAILURE_REASON)
            vt_element_number(&it, encoding, &reason);
    }
    if (vt_failed(err))
        return false;
    if (!vt_uid_usable(sop_class) || !vt_uid_usable(sop_uid))
        return invalid(err, "a reference without class and instance");
    if (reason == 0 && failed)
        reason = VT_STATUS_PROCESSING_FAILURE;
    return vt_commit_list_add(out, sop_class, sop_uid, (uint16_t)reason, err);
}

static bool decode_sequence(const uint8_t *bytes, size_t size, enum vt_encoding encoding,
                            bool failed, struct vt_commit_list *out, struct vt_err *err)
{
    uint32_t tag = failed ? VT_TAG_FAILED_SOP_SEQUENCE : VT_TAG_REFERENCED_SOP_SEQUENCE;
    struct vt_element sequence, item;
    struct vt_walk walk;
    bool more;

    if (!vt_element_find(bytes, size, encoding, tag, &sequence))
        return true;
    vt_walk_items(&walk, &sequence, encoding);
    while (vt_walk_next(&walk, &item, &more, err) && more)
        if (!decode_item(&item, encoding, failed, out, err))
            return false;
    return !vt_failed(err);
}

static int compare(const void *a, const void *b)
{
    const struct vt_commit_reference *const *left = a, *const *right = b;

    return strcmp((*left)->sop_uid, (*right)->sop_uid);
}

/* PS3.4 J.3.2.1.1: each instance once. */
static bool check_once(const struct vt_commit_list *list, struct vt_err *err)
{
    vt_autofree const struct vt_commit_reference **sorted = calloc(list->count, sizeof *sorted);

    if (!sorted)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of instances");
    for (size_t i = 0; i < list->count; i++)
        sorted[i] = &list->items[i];
    qsort(sorted, list->count, sizeof *sorted, compare);
    for (size_t i = 1; i < list->count; i++)
        if (strcmp(sorted[i - 1]->sop_uid, sorted[i]->sop_uid) == 0)
            return invalid(err, "an instance is referenced twice");
    return true;
}

bool vt_commit_decode(const uint8_t *bytes, size_t size, enum vt_encoding encoding,
                      struct vt_commit_list *out, struct vt_err *err)
{
    const struct vt_element_limits limits = { 4, 8 * VT_COMMIT_REFERENCES_MAX,
                                              VT_COMMIT_BYTES_MAX };
    struct vt_element transaction;
    char uid[VT_UID_MAX + 2] = "";

    out->count = 0;
    if (!vt_element_check(bytes, size, encoding, &limits, err)) {
        err->dimse_status = VT_STATUS_MISTYPED_ARGUMENT;
        return false;
    }
    if (vt_element_find(bytes, size, encoding, VT_TAG_TRANSACTION_UID, &transaction))
        vt_element_text(&transaction, uid, sizeof uid);
    if (!vt_uid_usable(uid))
        return invalid(err, "no Transaction UID");
    memcpy(out->transaction_uid, uid, sizeof out->transaction_uid);
    if (!decode_sequence(bytes, size, encoding, false, out, err) ||
        !decode_sequence(bytes, size, encoding, true, out, err))
        return false;
    if (out->count == 0)
        return invalid(err, "no instance is referenced");
    return check_once(out, err);
}

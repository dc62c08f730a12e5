#include "archive/record.h"

#include <string.h>

#include "core/err.h"

enum { RECORD_FORMAT = 1 };

static bool put_number(struct vt_buf *out, uint64_t value, struct vt_err *err)
{
    return vt_buf_append(out, &value, sizeof value, err);
}

static bool put_bytes(struct vt_buf *out, const void *bytes, size_t size, struct vt_err *err)
{
    uint32_t length = (uint32_t)size;

    return vt_buf_append(out, &length, sizeof length, err) && vt_buf_append(out, bytes, size, err);
}

static bool put_text(struct vt_buf *out, const char *text, struct vt_err *err)
{
    return put_bytes(out, text, strlen(text), err);
}

struct reader {
    const uint8_t *at, *end;
    bool ok;
};

static const uint8_t *get(struct reader *from, size_t size)
{
    const uint8_t *at = from->at;

    if (!from->ok || size > (size_t)(from->end - from->at)) {
        from->ok = false;
        return NULL;
    }
    from->at += size;
    return at;
}

static uint64_t get_number(struct reader *from)
{
    const uint8_t *at = get(from, sizeof(uint64_t));
    uint64_t value = 0;

    if (at)
        memcpy(&value, at, sizeof value);
    return value;
}

static const uint8_t *get_bytes(struct reader *from, size_t *out_size)
{
    const uint8_t *at = get(from, sizeof(uint32_t));
    uint32_t length = 0;

    if (at)
        memcpy(&length, at, sizeof length);
    *out_size = length;
    return get(from, length);
}

static void get_text(struct reader *from, char *out, size_t room)
{
    size_t size = 0;
    const uint8_t *at = get_bytes(from, &size);

    if (!at || size >= room) {
        from->ok = false;
        return;
    }
    memcpy(out, at, size);
    out[size] = '\0';
}

/* What an instance and an index entry have in common; struct members are named alike. */
#define PUT_COMMON(out, x, err)                                                                    \
    (put_text(out, (x)->study_uid, err) && put_text(out, (x)->series_uid, err) &&                  \
     put_text(out, (x)->sop_uid, err) && put_text(out, (x)->sop_class, err) &&                     \
     put_text(out, (x)->transfer_syntax, err) && put_text(out, (x)->file, err) &&                  \
     put_number(out, (x)->version, err) && put_number(out, (x)->file_size, err) &&                 \
     put_number(out, (x)->data_set_offset, err) && put_number(out, (x)->data_set_size, err) &&     \
     put_number(out, (x)->has_pixels, err) && put_number(out, (x)->pixel_offset, err) &&           \
     put_number(out, (x)->pixel_length, err) &&                                                    \
     vt_buf_append(out, (x)->data_set_digest.bytes, sizeof(struct vt_digest), err) &&              \
     vt_buf_append(out, (x)->pixel_digest.bytes, sizeof(struct vt_digest), err) &&                 \
     put_number(out, (uint64_t)(x)->arrived, err))

static void get_digest(struct reader *from, struct vt_digest *out)
{
    const uint8_t *at = get(from, sizeof *out);

    if (at)
        memcpy(out, at, sizeof *out);
}

#define GET_COMMON(from, x)                                                                        \
    do {                                                                                           \
        get_text(from, (x)->study_uid, sizeof(x)->study_uid);                                      \
        get_text(from, (x)->series_uid, sizeof(x)->series_uid);                                    \
        get_text(from, (x)->sop_uid, sizeof(x)->sop_uid);                                          \
        get_text(from, (x)->sop_class, sizeof(x)->sop_class);                                      \
        get_text(from, (x)->transfer_syntax, sizeof(x)->transfer_syntax);                          \
        get_text(from, (x)->file, sizeof(x)->file);                                                \
        (x)->version = (uint32_t)get_number(from);                                                 \
        (x)->file_size = get_number(from);                                                         \
        (x)->data_set_offset = get_number(from);                                                   \
        (x)->data_set_size = get_number(from);                                                     \
        (x)->has_pixels = get_number(from) != 0;                                                   \
        (x)->pixel_offset = get_number(from);                                                      \
        (x)->pixel_length = get_number(from);                                                      \
        get_digest(from, &(x)->data_set_digest);                                                   \
        get_digest(from, &(x)->pixel_digest);                                                      \
        (x)->arrived = (int64_t)get_number(from);                                                  \
    } while (0)

bool vt_record_encode(const struct vt_record_body *body, struct vt_buf *out, struct vt_err *err)
{
    const struct vt_instance *instance = body->instance;

    if (!put_number(out, RECORD_FORMAT, err) || !put_number(out, body->staging, err) ||
        !put_number(out, body->reread, err) || !put_number(out, body->status, err) ||
        !put_text(out, body->reason, err) || !put_number(out, body->has_previous, err))
        return false;
    if (body->has_previous && !PUT_COMMON(out, &body->previous, err))
        return false;
    if (!PUT_COMMON(out, instance, err) || !put_text(out, instance->calling_ae_title, err) ||
        !put_text(out, instance->host, err))
        return false;
    for (int level = 0; level < VT_LEVELS && !body->reread; level++)
        if (!put_bytes(out, instance->attributes[level].data, instance->attributes[level].size,
                       err))
            return false;
    return body->reread || put_bytes(out, instance->frames.data, instance->frames.size, err);
}

static bool get_buf(struct reader *from, struct vt_buf *out, struct vt_err *err)
{
    size_t size = 0;
    const uint8_t *at = get_bytes(from, &size);

    vt_buf_reset(out);
    return !at || vt_buf_append(out, at, size, err);
}

bool vt_record_decode(const uint8_t *bytes, size_t size, struct vt_record_body *body,
                      struct vt_err *err)
{
    struct vt_instance *instance = body->instance;
    struct reader from = { bytes, bytes + size, true };

    if (get_number(&from) != RECORD_FORMAT)
        return vt_fail(err, VT_E_CORRUPT,
                       "a journal record is of a format this program does not know");
    *body = (struct vt_record_body){ .instance = instance };
    body->staging = get_number(&from);
    body->reread = get_number(&from) != 0;
    body->status = (uint16_t)get_number(&from);
    get_text(&from, body->reason, sizeof body->reason);
    body->has_previous = get_number(&from) != 0;
    if (body->has_previous)
        GET_COMMON(&from, &body->previous);
    GET_COMMON(&from, instance);
    get_text(&from, instance->calling_ae_title, sizeof instance->calling_ae_title);
    get_text(&from, instance->host, sizeof instance->host);
    for (int level = 0; level < VT_LEVELS && !body->reread; level++)
        if (!get_buf(&from, &instance->attributes[level], err))
            return false;
    if (!body->reread && !get_buf(&from, &instance->frames, err))
        return false;
    if (!from.ok)
        return vt_fail(err, VT_E_CORRUPT, "a journal record is cut short");
    body->bytes = from.at;
    body->size = (size_t)(from.end - from.at);
    return true;
}

#include "dicom/transcode.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/io.h"
#include "dicom/dataset.h"
#include "dicom/header.h"
#include "dicom/transcode_inside.h"

enum { SCAN_PIECE = 1 << 20 };

static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;

void vt_transcoded_init(struct vt_transcoded *out)
{
    *out = (struct vt_transcoded){ .fd = -1 };
    vt_buf_init(&out->bytes, VT_TRANSCODE_MEMORY_MAX);
}

void vt_transcoded_fini(struct vt_transcoded *out)
{
    vt_buf_fini(&out->bytes);
    if (out->fd >= 0)
        close(out->fd);
    out->fd = -1;
}

static void start_over(struct vt_transcoded *out)
{
    vt_buf_reset(&out->bytes);
    if (out->fd >= 0)
        close(out->fd);
    out->fd = -1;
    out->size = 0;
    out->sop_uid[0] = '\0';
}

bool vt_transcode_scan(const struct vt_transcode *what, struct vt_header *header, struct vt_err *err)
{
    struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;
    const struct vt_transfer_syntax *from = vt_transfer_syntax_find(what->from);
    vt_autofree uint8_t *piece = malloc(SCAN_PIECE);

    if (!piece)
        return vt_fail(err, VT_E_NOMEM, "no memory to read an instance");
    vt_header_reset(header, from->encoding, from->encapsulated, &limits);
    for (uint64_t at = 0; at < what->size;) {
        size_t size = what->size - at < SCAN_PIECE ? (size_t)(what->size - at) : SCAN_PIECE;
        if (!vt_io_pread(what->fd, piece, size, what->offset + at, "a stored instance", err) ||
            !vt_header_feed(header, piece, size, err))
            return false;
        at += size;
    }
    return vt_header_finish(header, err);
}

/* A deflated one may be much larger than its file: counted before it is read into memory. */
static bool inflates_small(const struct vt_transcode *what, struct vt_err *err)
{
    uint64_t offset = 0, length = 0;

    if (strcmp(what->from, VT_UID_DEFLATED_LE) != 0)
        return true;
    VT_AUTO(vt_header) header = vt_header_new();
    if (!header)
        return vt_fail(err, VT_E_NOMEM, "no memory to read an instance");
    if (!vt_transcode_scan(what, header, err))
        return false;
    if (!vt_header_pixel_data(header, &offset, &length) || offset + length <= VT_TRANSCODE_STORED_MAX)
        return true;
    return vt_fail(err, VT_E_LIMIT, "inflated, it is too large to be re-encoded as the peer asks");
}

static struct vt_dataset *load(const struct vt_transcode *what, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_TRANSCODE_STORED_MAX);
    size_t size = (size_t)what->size;

    if (!inflates_small(what, err) || !vt_buf_reserve(&bytes, size, err) ||
        !vt_io_pread(what->fd, bytes.data, size, what->offset, "a stored instance", err))
        return NULL;
    return vt_dataset_parse(bytes.data, size, what->from, err);
}

/* `fallback` when it is absent or no number. */
static uint64_t number_of(struct vt_dataset *data_set, const char *keyword, uint64_t fallback)
{
    VT_AUTO_BUF(text, 256);
    struct vt_err none = { 0 };
    bool there = false;

    if (!vt_dataset_get(data_set, keyword, &text, &there, &none) || !there)
        return fallback;
    const char *digits = vt_buf_string(&text, &none);
    uint64_t number = digits ? strtoull(digits, NULL, 10) : 0;
    return number > 0 && number <= UINT32_MAX ? number : fallback;
}

/* Bytes of the decoded pixel data as the attributes claim, or UINT64_MAX. */
static uint64_t decoded_size(struct vt_dataset *data_set)
{
    static const char *const factors[] = { "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames" };
    uint64_t size = (number_of(data_set, "BitsAllocated", 8) + 7) / 8;

    for (size_t i = 0; i < VT_COUNT(factors); i++)
        if (__builtin_mul_overflow(size, number_of(data_set, factors[i], 1), &size))
            return UINT64_MAX;
    return size;
}

/* Only a lossy target changes whose instance it is. */
static bool note_uid(struct vt_dataset *data_set, const char *before, struct vt_transcoded *out, struct vt_err *err)
{
    VT_AUTO_BUF(uid, VT_UID_MAX + 2);
    bool there = false;

    if (!vt_dataset_get(data_set, "SOPInstanceUID", &uid, &there, err))
        return false;
    const char *text = there ? vt_buf_string(&uid, err) : "";
    if (text && strcmp(text, before) != 0)
        snprintf(out->sop_uid, sizeof out->sop_uid, "%s", text);
    return text;
}

static bool encode(struct vt_dataset *data_set, const struct vt_transcode *what, struct vt_transcoded *out,
                   struct vt_err *err)
{
    VT_AUTO_BUF(uid, VT_UID_MAX + 2);
    struct vt_err unknown = { 0 };
    bool there = false;

    vt_dataset_get(data_set, "SOPInstanceUID", &uid, &there, &unknown);
    const char *before = there ? vt_buf_string(&uid, err) : "";
    bool ok = before && (what->lossy ? vt_dataset_transcode_lossy(data_set, what->to, err)
                                     : vt_dataset_transcode(data_set, what->to, err));
    return ok && note_uid(data_set, before, out, err) &&
           vt_dataset_encode(data_set, what->to, &out->bytes, err);
}

static bool in_memory(const struct vt_transcode *what, struct vt_transcoded *out, bool *out_too_large,
                      struct vt_err *err)
{
    *out_too_large = what->size > VT_TRANSCODE_STORED_MAX;
    if (*out_too_large)
        return false;
    VT_AUTO(vt_dataset) data_set = load(what, err);
    if (!data_set)
        return false;
    *out_too_large = decoded_size(data_set) > VT_TRANSCODE_MEMORY_MAX;
    return !*out_too_large && encode(data_set, what, out, err);
}

static bool transcode(const struct vt_transcode *what, struct vt_transcoded *out, struct vt_err *err)
{
    bool too_large = false;

    if (in_memory(what, out, &too_large, err)) {
        out->size = out->bytes.size;
        return true;
    }
    if (!too_large)
        return false;
    if (!vt_transcode_streams(what))
        return vt_fail(err, VT_E_LIMIT, "too large to be re-encoded as the peer asks");
    return vt_transcode_stream(what, out, err);
}

bool vt_transcode(const struct vt_transcode *what, struct vt_transcoded *out, struct vt_err *err)
{
    bool large = what->size >= VT_TRANSCODE_ALONE;

    start_over(out);
    if (vt_transcode_rank(what->from, what->to, what->lossy) == 0)
        return vt_fail(err, VT_E_UNSUPPORTED, "%s cannot become %s here", what->from, what->to);
    if (large)
        pthread_mutex_lock(&alone);
    bool ok = transcode(what, out, err);
    if (large)
        pthread_mutex_unlock(&alone);
    return ok;
}

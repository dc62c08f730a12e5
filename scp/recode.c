#include "scp/recode.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "archive/archive.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/dataset.h"
#include "dicom/uids.h"

static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;

bool vt_recode_possible(const char *stored_syntax)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(stored_syntax);

    return syntax && syntax->lossless;
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

/* Inflated, a deflated one may be much larger; the index knows where its pixel data end. */
static bool check_size(const struct vt_stored *stored, struct vt_err *err)
{
    uint64_t end =
        stored->entry.has_pixels ? stored->entry.pixel_offset + stored->entry.pixel_length : 0;

    if (stored->data_set_size <= VT_RECODE_STORED_MAX && end <= VT_RECODE_MAX)
        return true;
    return vt_fail(err, VT_E_LIMIT, "too large to be re-encoded as the peer asks");
}

static struct vt_dataset *load(const struct vt_stored *stored, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_RECODE_STORED_MAX);
    size_t size = (size_t)stored->data_set_size;

    if (!vt_buf_reserve(&bytes, size, err) ||
        !vt_io_pread(stored->fd, bytes.data, size, stored->data_set_offset, stored->entry.file,
                     err))
        return NULL;
    return vt_dataset_parse(bytes.data, size, stored->entry.transfer_syntax, err);
}

static bool recode(const struct vt_stored *stored, const char *transfer_syntax, struct vt_buf *out,
                   struct vt_err *err)
{
    VT_AUTO(vt_dataset) data_set = load(stored, err);

    if (!data_set)
        return false;
    if (decoded_size(data_set) > VT_RECODE_MAX)
        return vt_fail(err, VT_E_LIMIT, "too large to be decoded as the peer asks");
    return vt_dataset_transcode(data_set, transfer_syntax, err) &&
           vt_dataset_encode(data_set, transfer_syntax, out, err);
}

bool vt_recode(const struct vt_stored *stored, const char *transfer_syntax, struct vt_buf *out,
               struct vt_err *err)
{
    bool large = stored->data_set_size >= VT_RECODE_ALONE;

    vt_buf_reset(out);
    if (!check_size(stored, err))
        return false;
    if (large)
        pthread_mutex_lock(&alone);
    bool ok = recode(stored, transfer_syntax, out, err);
    if (large)
        pthread_mutex_unlock(&alone);
    return ok;
}

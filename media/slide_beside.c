#include "media/slide_beside.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "core/err.h"
#include "core/io.h"
#include "dicom/tags.h"
#include "media/slide_dataset.h"
#include "media/slide_part.h"
#include "media/slide_residue.h"
#include "media/slide_write.h"

enum { FILE_MODE = 0640 };

/* ---- reading ---- */

/* NAME.xml for NAME.svs. */
static bool path_beside(const char *slide_path, char out[static PATH_MAX])
{
    const char *slash = strrchr(slide_path, '/');
    const char *dot = strrchr(slash ? slash : slide_path, '.');
    int stem = dot ? (int)(dot - slide_path) : (int)strlen(slide_path);

    return snprintf(out, PATH_MAX, "%.*s.xml", stem, slide_path) < PATH_MAX;
}

static void tell_left(struct vt_slide_beside *beside)
{
    const struct vt_slide_marks *marks = &beside->marks;

    if (marks->left > 0)
        snprintf(beside->note, sizeof beside->note, "%u of %u annotations are kept in %.64s only: %.60s",
                 marks->left, marks->left + marks->shapes, beside->name, marks->why);
}

bool vt_slide_beside_read(const char *slide_path, struct vt_slide_beside *out, struct vt_err *err)
{
    char path[PATH_MAX];
    struct vt_err why = { 0 };

    *out = (struct vt_slide_beside){ .there = false };
    vt_buf_init(&out->bytes, VT_MARKS_FILE_MAX);
    if (!path_beside(slide_path, path) || access(path, R_OK) != 0)
        return true;
    const char *slash = strrchr(path, '/');
    snprintf(out->name, sizeof out->name, "%.255s", slash ? slash + 1 : path);
    if (!vt_io_read_file(path, &out->bytes, err))
        return false;
    out->there = true;
    if (vt_slide_marks_read(out->bytes.data, out->bytes.size, out->name, &out->marks, &why)) {
        tell_left(out);
        return true;
    }
    vt_slide_marks_fini(&out->marks);
    if (why.code == VT_E_NOMEM) {
        *err = why;
        return false;
    }
    snprintf(out->note, sizeof out->note, "kept as it is: %.180s", why.text);
    return true;
}

void vt_slide_beside_fini(struct vt_slide_beside *beside)
{
    vt_slide_marks_fini(&beside->marks);
    vt_buf_fini(&beside->bytes);
}

/* ---- planning and writing ---- */

bool vt_slide_beside_plan(const struct vt_slide_beside *beside, struct vt_slide_plan *plan, struct vt_err *err)
{
    char role[80], hex[40];

    if (!beside->there || plan->label != VT_LABEL_KEEP)
        return true;
    XXH128_hash_t hash = XXH3_128bits(beside->bytes.data, beside->bytes.size);
    snprintf(hex, sizeof hex, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
    snprintf(role, sizeof role, "file beside %s", hex);
    if (!vt_slide_uid(plan->fingerprint, role, plan->beside_uid, err))
        return false;
    snprintf(role, sizeof role, "annotations %s", hex);
    return beside->marks.shapes == 0 ||
           (vt_slide_uid(plan->fingerprint, "annotation series", plan->marks_series_uid, err) &&
            vt_slide_uid(plan->fingerprint, role, plan->marks_uid, err));
}

static bool put_file(const struct vt_slide_writing *writing, const struct vt_slide_beside *beside,
                     struct vt_buf *out, struct vt_err *err)
{
    struct vt_slide_put put = { .w = { out, VT_EXPLICIT_LE }, .err = err };

    vt_slide_put_raw_header(&put, writing, writing->plan->beside_uid, "Annotation file beside the original slide", 2);
    vt_put_text(&put, VT_TAG_RESIDUE_CREATOR, "LO", VT_RESIDUE_CREATOR);
    vt_put_text(&put, VT_TAG_BESIDE_NAME, "UT", beside->name);
    vt_put_bytes(&put, VT_TAG_BESIDE, "OB", beside->bytes.data, beside->bytes.size);
    vt_put_ul(&put, VT_TAG_BESIDE_SIZE, beside->bytes.size);
    vt_put_empty(&put, 0x00400555);
    return !put.failed;
}

static bool send(const struct vt_slide_writing *writing, const struct vt_slide_arrival *arrival,
                 const struct vt_buf *bytes, struct vt_err *err)
{
    const struct vt_slide_target *target = writing->target;

    return target->begin(target->context, arrival, err) &&
           vt_slide_pipe_write(writing->pipe, bytes->data, bytes->size, err) &&
           vt_slide_pipe_drain(writing->pipe, err) && target->end(target->context, err);
}

bool vt_slide_beside_write(const struct vt_slide_writing *writing, const struct vt_slide_beside *beside,
                           struct vt_err *err)
{
    const struct vt_slide_plan *plan = writing->plan;
    const struct vt_slide_arrival file = { VT_UID_RAW_DATA, plan->beside_uid, VT_UID_EXPLICIT_LE, "annotation-file", plan };
    const struct vt_slide_arrival marks = { VT_UID_BULK_ANNOTATIONS, plan->marks_uid, VT_UID_EXPLICIT_LE, "annotations", plan };
    VT_AUTO_BUF(bytes, VT_MARKS_DATASET_MAX);

    if (!plan->beside_uid[0])
        return true;
    if (!put_file(writing, beside, &bytes, err) || !send(writing, &file, &bytes, err))
        return false;
    vt_buf_reset(&bytes);
    return !plan->marks_uid[0] || (vt_slide_marks_dataset(writing->slide, plan, &beside->marks, &bytes, err) &&
                                   send(writing, &marks, &bytes, err));
}

/* ---- giving it back ---- */

static bool read_size(const struct vt_slide_part *part, uint64_t longest, uint64_t *out, struct vt_err *err)
{
    struct vt_slide_value value;
    uint8_t bytes[4];
    bool there;

    if (!vt_slide_part_find(part, VT_TAG_BESIDE_SIZE, &value, &there, err))
        return false;
    if (!there || value.length != sizeof bytes)
        return vt_fail(err, VT_E_CORRUPT, "instance %s does not say how long its file is", part->name);
    if (!vt_io_pread(part->fd, bytes, sizeof bytes, value.offset, part->name, err))
        return false;
    *out = bytes[0] | (uint64_t)bytes[1] << 8 | (uint64_t)bytes[2] << 16 | (uint64_t)bytes[3] << 24;
    return *out <= longest || vt_fail(err, VT_E_CORRUPT, "instance %s is cut short", part->name);
}

bool vt_slide_beside_save(const struct vt_slide_part *part, const char *slide_path, char out_path[static PATH_MAX],
                          bool *out_there, struct vt_err *err)
{
    struct vt_slide_value value;
    uint64_t size = 0;

    if (!vt_slide_part_find(part, VT_TAG_BESIDE, &value, out_there, err) || !*out_there)
        return !vt_failed(err);
    if (value.length > VT_MARKS_FILE_MAX)
        return vt_fail(err, VT_E_LIMIT, "the file in instance %s is larger than %d bytes", part->name, VT_MARKS_FILE_MAX);
    if (!read_size(part, value.length, &size, err))
        return false;
    if (!path_beside(slide_path, out_path))
        return vt_fail(err, VT_E_INVALID, "'%.60s...' is too long for a path", slide_path);
    if (access(out_path, F_OK) == 0)
        return vt_fail(err, VT_E_EXISTS, "%s is there already", out_path);
    vt_autofree uint8_t *bytes = malloc(size + 1);
    if (!bytes)
        return vt_fail(err, VT_E_NOMEM, "no memory for annotations");
    return vt_io_pread(part->fd, bytes, size, value.offset, part->name, err) &&
           vt_io_write_file(out_path, bytes, size, FILE_MODE, err);
}

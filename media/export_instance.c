/* One instance on its way to a medium: transcoded for the profile, de-identified, with an icon, streamed. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "archive/archive.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/dataset.h"
#include "dicom/element.h"
#include "dicom/header.h"
#include "dicom/render.h"
#include "media/deidentify.h"
#include "media/export_inside.h"
#include "media/iso.h"

enum { META_MAX = 4096, PIXEL_HEADER = 12, DELIMITER = 8 };

/* What goes out of it: bytes that come first, then a part of a file, or of other bytes. */
struct source {
    const uint8_t *first;
    size_t first_size;
    int fd;                  /* -1: bytes */
    const uint8_t *bytes;
    uint64_t offset, size;
    const char *transfer_syntax;
};

static bool read_part(const struct source *source, uint64_t at, void *out, size_t size, struct vt_err *err)
{
    if (source->fd >= 0)
        return vt_io_pread(source->fd, out, size, source->offset + at, "an instance", err);
    memcpy(out, source->bytes + source->offset + at, size);
    return true;
}

static bool each_block(struct vt_exporting *exporting, const struct source *source, uint64_t end,
                       bool (*take)(void *context, const uint8_t *bytes, size_t size, struct vt_err *err), void *context,
                       struct vt_err *err)
{
    if (source->first_size > 0 && !take(context, source->first, source->first_size, err))
        return false;
    for (uint64_t done = 0; done < end;) {
        size_t size = end - done < VT_EXPORT_BLOCK ? (size_t)(end - done) : VT_EXPORT_BLOCK;
        const uint8_t *bytes = source->fd < 0 ? source->bytes + source->offset + done : exporting->block;
        if (source->fd >= 0 && !read_part(source, done, exporting->block, size, err))
            return false;
        if (!take(context, bytes, size, err))
            return false;
        done += size;
    }
    return true;
}

static bool feed(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    return vt_header_feed(context, bytes, size, err);
}

static bool put(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    return vt_medium_write(context, bytes, size, err);
}

/* ---- in which transfer syntax ---- */

static bool choose(struct vt_exporting *exporting, const struct vt_stored *stored, struct source *out, struct vt_err *err)
{
    const struct vt_export_profile *profile = exporting->profile;
    const struct vt_transcode what = {
        .fd = stored->fd,
        .offset = stored->data_set_offset,
        .size = stored->data_set_size,
        .from = stored->entry.transfer_syntax,
        .to = profile->syntaxes[0],
    };

    *out = (struct source){ .fd = stored->fd,
                            .offset = stored->data_set_offset,
                            .size = stored->data_set_size,
                            .transfer_syntax = stored->entry.transfer_syntax };
    for (size_t i = 0; i < VT_EXPORT_SYNTAXES_MAX && profile->syntaxes[i]; i++)
        if (strcmp(profile->syntaxes[i], stored->entry.transfer_syntax) == 0)
            return true;
    if (!vt_transfer_syntax_find(what.from))
        return vt_fail(err, VT_E_UNSUPPORTED, "its private transfer syntax %s is on no medium of a general profile: send it instead",
                       what.from);
    if (!vt_transcode_rank(what.from, what.to, false))
        return vt_fail(err, VT_E_UNSUPPORTED, "%s does not allow transfer syntax %s, and it cannot be transcoded", profile->name,
                       what.from);
    if (!vt_transcode(&what, &exporting->other, err))
        return false;
    bool file = exporting->other.fd >= 0;
    *out = (struct source){ .fd = file ? exporting->other.fd : -1,
                            .bytes = exporting->other.bytes.data,
                            .size = file ? exporting->other.size : exporting->other.bytes.size,
                            .transfer_syntax = what.to };
    exporting->result.transcoded++;
    return true;
}

/* ---- what is in it ---- */

static bool read_header(struct vt_exporting *exporting, const struct source *source, uint64_t end, struct vt_err *err)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(source->transfer_syntax);
    const struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;

    vt_header_reset(exporting->header, syntax ? syntax->encoding : VT_EXPLICIT_LE, syntax && syntax->encapsulated, &limits);
    return each_block(exporting, source, end, feed, exporting->header, err) && vt_header_finish(exporting->header, err);
}

/* Where the element of pixel data begins and where it ends; the whole twice when there is none. */
static bool find_pixels(struct vt_exporting *exporting, const struct source *source, uint64_t *out_begin, uint64_t *out_end,
                        struct vt_err *err)
{
    uint64_t offset, length;
    uint8_t element[PIXEL_HEADER];

    *out_begin = *out_end = source->size;
    if (!vt_header_pixel_data(exporting->header, &offset, &length) || offset < PIXEL_HEADER)
        return true;
    if (!read_part(source, offset - PIXEL_HEADER, element, sizeof element, err))
        return false;
    bool open = element[8] == 0xff && element[9] == 0xff && element[10] == 0xff && element[11] == 0xff;
    *out_begin = offset - PIXEL_HEADER;
    *out_end = offset + length + (open ? DELIMITER : 0);
    return *out_end <= source->size || vt_fail(err, VT_E_CORRUPT, "its pixel data ends behind its end");
}

static bool read_attributes(struct vt_exporting *exporting, const struct source *source, uint64_t size, struct vt_err *err)
{
    struct vt_buf *out = &exporting->attributes;

    vt_buf_reset(out);
    if (size > VT_DEID_HEADER_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d MB before its pixel data", VT_DEID_HEADER_MAX >> 20);
    if (!vt_buf_reserve(out, (size_t)size + 1, err) || !read_part(source, 0, out->data, (size_t)size, err))
        return false;
    out->size = (size_t)size;
    return true;
}

/* ---- an icon ---- */

/* The first frame as it is stored; false: no icon of it. */
static bool first_frame(struct vt_exporting *exporting, const struct source *source, struct vt_err *err)
{
    uint64_t offset, length;
    size_t count = 0;
    const struct vt_frame *frames = vt_header_frames(exporting->header, &count);
    int64_t columns = 0, rows = 0, samples = 1, bits = 0;
    struct vt_element element;
    const struct {
        uint32_t tag;
        int64_t *value;
    } list[] = { { VT_TAG_COLUMNS, &columns }, { VT_TAG_ROWS, &rows }, { VT_TAG_SAMPLES_PER_PIXEL, &samples }, { VT_TAG_BITS_ALLOCATED, &bits } };

    if (!vt_header_pixel_data(exporting->header, &offset, &length))
        return false;
    for (size_t i = 0; i < VT_COUNT(list); i++)
        if (vt_header_find(exporting->header, list[i].tag, &element))
            vt_element_number(&element, VT_EXPLICIT_LE, list[i].value);
    if (count > 0 && frames[0].length > DELIMITER) {
        offset = frames[0].offset + DELIMITER;
        length = frames[0].length - DELIMITER;
    } else {
        uint64_t frame = (uint64_t)columns * (uint64_t)rows * (uint64_t)samples * (uint64_t)bits / 8;
        length = frame < length ? frame : length;
    }
    if (length == 0 || length > VT_EXPORT_FRAME_MAX || offset + length > source->size)
        return false;
    vt_buf_reset(&exporting->frame);
    if (!vt_buf_reserve(&exporting->frame, (size_t)length, err) ||
        !read_part(source, offset, exporting->frame.data, (size_t)length, err))
        return false;
    exporting->frame.size = (size_t)length;
    return true;
}

/* In the middle of a black square. What cannot be drawn has no icon. */
static const uint8_t *make_icon(struct vt_exporting *exporting, const struct source *source)
{
    struct vt_err why = { 0 };
    struct vt_rendered drawn = { 0 };
    VT_AUTO_BUF(pixels, VT_DIRECTORY_ICON * VT_DIRECTORY_ICON);

    if (!first_frame(exporting, source, &why))
        return NULL;
    const struct vt_render what = { .attributes = exporting->attributes.data,
                                    .attributes_size = exporting->attributes.size,
                                    .transfer_syntax = source->transfer_syntax,
                                    .pixels = exporting->frame.data,
                                    .pixels_size = exporting->frame.size,
                                    .columns = VT_DIRECTORY_ICON,
                                    .rows = VT_DIRECTORY_ICON,
                                    .grey = true };
    if (!vt_render_jpeg(&what, &pixels, &drawn, &why) || drawn.columns > VT_DIRECTORY_ICON || drawn.rows > VT_DIRECTORY_ICON ||
        !vt_buf_reserve(&exporting->icon, VT_DIRECTORY_ICON * VT_DIRECTORY_ICON, &why))
        return NULL;
    size_t left = (VT_DIRECTORY_ICON - drawn.columns) / 2, top = (VT_DIRECTORY_ICON - drawn.rows) / 2;
    memset(exporting->icon.data, 0, VT_DIRECTORY_ICON * VT_DIRECTORY_ICON);
    for (size_t row = 0; row < drawn.rows; row++)
        memcpy(exporting->icon.data + (top + row) * VT_DIRECTORY_ICON + left, pixels.data + row * drawn.columns, drawn.columns);
    return exporting->icon.data;
}

/* ---- without who it was ---- */

/* *out_left: left out by rule. */
static bool deidentify(struct vt_exporting *exporting, struct source *source, uint64_t begin, uint64_t end,
                       struct vt_index_entry *entry, bool *out_left, struct vt_err *err)
{
    const struct vt_buf *attributes = &exporting->attributes;
    char uid[VT_UID_MAX + 1];
    const char *why, *warning;

    if (!vt_deid_allows(exporting->deid, attributes->data, attributes->size, VT_EXPLICIT_LE, &why, &warning)) {
        *out_left = !why;
        return vt_fail(err, VT_E_DENIED, "%s", why ? why : "left out: it holds a label, or what nobody knows");
    }
    vt_deid_uid(exporting->deid, entry->sop_uid, uid);
    if (warning && !vt_export_say(exporting, "warning", uid, warning, err))
        return false;
    vt_buf_reset(&exporting->clean);
    if (!vt_deid_run(exporting->deid, attributes->data, attributes->size, VT_EXPLICIT_LE, &exporting->clean, err))
        return false;
    memcpy(entry->sop_uid, uid, sizeof entry->sop_uid);
    source->first = exporting->clean.data;
    source->first_size = exporting->clean.size;
    source->offset += begin;
    source->size = end - begin;
    /* The directory's records are made of what goes out. */
    return read_header(exporting, source, 0, err);
}

/* ---- onto the medium ---- */

static bool fits(const struct vt_exporting *exporting, uint64_t size, struct vt_err *err)
{
    uint64_t capacity = exporting->call->capacity;
    uint64_t need = size + VT_EXPORT_MEDIUM_OVERHEAD + VT_EXPORT_RECORD_OVERHEAD + VT_EXPORT_SECTOR + exporting->viewer_bytes;

    if (capacity && need > capacity)
        return vt_fail(err, VT_E_LIMIT, "it does not fit on one medium");
    if (exporting->form == VT_MEDIUM_ISO && size > VT_ISO_FILE_MAX)
        return vt_fail(err, VT_E_LIMIT, "a file of an ISO 9660 image has less than 4 GiB");
    return true;
}

static bool write_instance(struct vt_exporting *exporting, const struct source *source, const struct vt_index_entry *entry,
                           const uint8_t *icon, bool *out_fatal, struct vt_err *err)
{
    const struct vt_file_meta meta = { entry->sop_class, entry->sop_uid, source->transfer_syntax, NULL };
    const struct vt_directory_entry record = { exporting->header, entry->sop_class, entry->sop_uid, source->transfer_syntax, icon };
    char path[VT_DIRECTORY_ID_MAX];
    VT_AUTO_BUF(head, META_MAX);

    if (!vt_write_file_meta(&head, &meta, err))
        return false;
    uint64_t size = head.size + source->first_size + source->size;
    if (!fits(exporting, size, err))
        return false;
    if (!vt_export_make_room(exporting, size, err)) {
        *out_fatal = true;
        return false;
    }
    if (!vt_directory_add(exporting->directory, &record, path, err)) {
        *out_fatal = err->code != VT_E_UNSUPPORTED;
        return false;
    }
    *out_fatal = true;
    struct vt_medium *medium = exporting->media[exporting->media_count - 1];
    if (!vt_medium_begin(medium, path, size, err) || !vt_medium_write(medium, head.data, head.size, err) ||
        !each_block(exporting, source, source->size, put, medium, err) || !vt_medium_end(medium, err))
        return false;
    exporting->counts[exporting->media_count - 1]++;
    exporting->result.instances++;
    exporting->result.bytes += size;
    return true;
}

/* As much of it as is asked for is read; what stands before the pixel data is enough for the directory. */
static bool prepare(struct vt_exporting *exporting, struct source *source, struct vt_index_entry *entry, bool whole,
                    const uint8_t **out_icon, bool *out_left, struct vt_err *err)
{
    uint64_t begin, end;

    *out_icon = NULL;
    if (!read_header(exporting, source, source->size, err))
        return false;
    if (!whole)
        return true;
    if (!find_pixels(exporting, source, &begin, &end, err) || !read_attributes(exporting, source, begin, err))
        return false;
    if (exporting->call->icons)
        *out_icon = make_icon(exporting, source);
    return !exporting->deid || deidentify(exporting, source, begin, end, entry, out_left, err);
}

bool vt_export_instance(struct vt_exporting *exporting, const struct vt_index_entry *entry, bool *out_fatal, bool *out_left,
                        struct vt_err *err)
{
    bool whole = exporting->deid || exporting->call->icons;
    struct vt_stored stored;
    struct source source;
    const uint8_t *icon;

    if (!vt_archive_open_instance(exporting->call->archive, entry, &stored, err))
        return false;
    bool ok = (!stored.corrected || vt_archive_outgoing(exporting->call->archive, &stored, err)) &&
              choose(exporting, &stored, &source, err) &&
              prepare(exporting, &source, &stored.entry, whole, &icon, out_left, err) &&
              write_instance(exporting, &source, &stored.entry, icon, out_fatal, err);
    vt_stored_close(&stored);
    if (!ok && exporting->deid && err->code == VT_E_EXISTS)
        *out_fatal = true; /* a second patient under a given name */
    return ok;
}

bool vt_export_say(const struct vt_exporting *exporting, const char *result, const char *sop_uid, const char *text,
                   struct vt_err *err)
{
    json_t *row = json_pack("{s:s, s:s, s:s}", "result", result, "sop_instance_uid", sop_uid, "text", text);
    bool more = !row || exporting->call->row(exporting->call->context, row);

    json_decref(row);
    return more || vt_fail(err, VT_E_CANCELLED, "stopped");
}

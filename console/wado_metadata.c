/* Metadata (PS3.18 10.4.1.1.2): the attributes of each instance from its bytes before the pixel data; what is long is named
 * by a BulkDataURI. One instance is in memory at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "console/instances.h"
#include "console/wado_inside.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/dataset.h"
#include "dicom/element.h"
#include "dicom/json.h"

enum { BULK_ABOVE = 1024, INSTANCE_MAX = 64 << 20, ANSWER_MAX = 512 << 20, URL_MAX = 1024 };

struct describing {
    const struct vt_console *console;
    char base[512];
    struct vt_buf bytes, out;
};

static void instance_url(const struct describing *d, const struct vt_index_entry *entry, char out[URL_MAX])
{
    snprintf(out, URL_MAX, "%s/studies/%s/series/%s/instances/%s", d->base, entry->study_uid, entry->series_uid,
             entry->sop_uid);
}

/* Deflated data sets are seldom: as objects. */
static bool through_object(struct describing *d, const struct vt_stored *stored, const char *bulk, struct vt_err *err)
{
    size_t size = (size_t)stored->data_set_size;
    char prefix[URL_MAX + 32];

    if (stored->data_set_size > INSTANCE_MAX)
        return vt_fail(err, VT_E_LIMIT, "an instance of %llu bytes is too long for its metadata",
                       (unsigned long long)stored->data_set_size);
    vt_buf_reset(&d->bytes);
    if (!vt_buf_reserve(&d->bytes, size, err) ||
        !vt_io_pread(stored->fd, d->bytes.data, size, stored->data_set_offset, stored->entry.file, err))
        return false;
    VT_AUTO(vt_dataset) data_set = vt_dataset_parse(d->bytes.data, size, stored->entry.transfer_syntax, err);
    snprintf(prefix, sizeof prefix, "%s/", bulk);
    return data_set && vt_dataset_json(data_set, BULK_ABOVE, prefix, &d->out, err);
}

static bool put_pixels(struct describing *d, const struct vt_stored *stored, const char *url, bool *first,
                       struct vt_err *err)
{
    char uri[URL_MAX + 32];

    if (!stored->entry.has_pixels)
        return true;
    snprintf(uri, sizeof uri, "%s/bulkdata/7FE00010", url);
    return vt_json_bulk(VT_TAG_PIXEL_DATA, "OW", uri, first, &d->out, err);
}

static bool from_bytes(struct describing *d, const struct vt_stored *stored, enum vt_encoding encoding,
                       const char *url, const char *bulk, struct vt_err *err)
{
    const struct vt_index_entry *entry = &stored->entry;
    const struct vt_json_rules rules = { .bulk_above = BULK_ABOVE,
                                         .bulk_prefix = bulk,
                                         .charset = d->console->options.rules.default_charset };
    struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;
    uint64_t end = stored->data_set_size; /* before pixel data */
    bool first = true;

    if (end > INSTANCE_MAX)
        return vt_fail(err, VT_E_LIMIT, "%llu bytes of attributes are too many for metadata", (unsigned long long)end);
    vt_buf_reset(&d->bytes);
    if (!vt_buf_reserve(&d->bytes, (size_t)end, err) ||
        !vt_io_pread(stored->fd, d->bytes.data, (size_t)end, stored->data_set_offset, entry->file, err) ||
        !vt_element_check(d->bytes.data, (size_t)end, encoding, &limits, err))
        return false;
    return vt_buf_append_byte(&d->out, '{', err) && vt_json_charset(&first, &d->out, err) &&
           vt_json_elements(d->bytes.data, (size_t)end, encoding, &rules, &first, &d->out, err) &&
           vt_json_text(VT_TAG_AVAILABLE_TRANSFER_SYNTAX_UID, "UI", entry->transfer_syntax, &first, &d->out, err) &&
           vt_json_text(0x00081190, "UR", url, &first, &d->out, err) && put_pixels(d, stored, url, &first, err) &&
           vt_buf_append_byte(&d->out, '}', err);
}

static bool describe(struct describing *d, const char *sop_uid, struct vt_err *err)
{
    char url[URL_MAX], bulk[URL_MAX + 16];
    struct vt_stored stored;

    if (!vt_instances_open_header(d->console, sop_uid, &stored, err))
        return false;
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(stored.entry.transfer_syntax);
    instance_url(d, &stored.entry, url);
    snprintf(bulk, sizeof bulk, "%s/bulkdata", url);
    bool plain = syntax && syntax->encoding != VT_DEFLATED_LE;
    bool ok = plain ? from_bytes(d, &stored, syntax->encoding, url, bulk, err)
                    : through_object(d, &stored, bulk, err);
    vt_stored_close(&stored);
    return ok;
}

/* What was deleted meanwhile is left out. */
static bool describe_all(struct describing *d, const struct vt_instances *instances, struct vt_err *err)
{
    for (size_t i = 0; i < instances->count; i++) {
        size_t before = d->out.size;
        if (!vt_buf_append_text(&d->out, before > 0 ? ",\n" : "[", err))
            return false;
        if (describe(d, instances->uids[i], err))
            continue;
        if (err->code != VT_E_NOTFOUND)
            return false;
        vt_err_clear(err);
        d->out.size = before;
    }
    return vt_buf_append_text(&d->out, d->out.size > 0 ? "]\n" : "[]\n", err);
}

/* The tag is of the text: corrections of patients change it, whose files stay as they are. Weak, since it may be compressed. */
static bool answer_unchanged(struct vt_request *request, const struct vt_buf *text)
{
    XXH128_hash_t hash = XXH3_128bits(text->data, text->size);
    char etag[VT_ETAG_MAX];

    snprintf(etag, sizeof etag, "W/\"%016llx%016llx\"", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
    return vt_answer_etag(request, etag);
}

static void metadata(struct vt_request *request, unsigned levels)
{
    struct describing d = { .console = vt_request_context(request) };
    struct vt_instances instances;
    struct vt_err err = { 0 };

    if (!vt_console_takes_json(request))
        return;
    if (!vt_instances_select(request, levels, &instances, &err)) {
        vt_answer_err(request, &err);
        return;
    }
    vt_console_base_url(request, d.base, sizeof d.base);
    vt_buf_init(&d.bytes, INSTANCE_MAX);
    vt_buf_init(&d.out, ANSWER_MAX);
    vt_answer_header(request, "Cache-Control", "private, no-cache");
    if (!describe_all(&d, &instances, &err))
        vt_answer_err(request, &err);
    else if (!answer_unchanged(request, &d.out))
        vt_answer_buf(request, 200, "application/dicom+json", &d.out);
    vt_buf_fini(&d.bytes);
    vt_buf_fini(&d.out);
    vt_instances_fini(&instances);
}

void vt_metadata_of_study(struct vt_request *request)
{
    metadata(request, 1);
}

void vt_metadata_of_series(struct vt_request *request)
{
    metadata(request, 2);
}

void vt_metadata_of_instance(struct vt_request *request)
{
    metadata(request, 3);
}

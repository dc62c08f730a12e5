/* Bulk data (PS3.18 10.4.1.1.5): the value at the end of a path of tags and item numbers, "00480105/1/00282000". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console/accept.h"
#include "console/instances.h"
#include "console/multipart.h"
#include "console/wado_inside.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/element.h"

enum { PREFIX_MAX = 256 << 20, PATH_DEPTH_MAX = 16 };

/* Where a value lies in the file. */
struct place {
    uint64_t offset, size;
};

static bool read_tag(const char *text, size_t length, uint32_t *out)
{
    char digits[9];

    if (length != 8)
        return false;
    memcpy(digits, text, 8);
    digits[8] = '\0';
    char *end = NULL;
    *out = (uint32_t)strtoul(digits, &end, 16);
    return *end == '\0';
}

/* The element at the end of the path within checked bytes. */
static bool follow(const uint8_t *bytes, size_t size, enum vt_encoding encoding, const char *path,
                   struct vt_element *out)
{
    struct vt_element element;
    struct vt_walk walk;
    struct vt_err ignored = { 0 };
    uint32_t tag;

    for (int depth = 0; depth < PATH_DEPTH_MAX; depth++) {
        size_t length = strcspn(path, "/");
        if (!read_tag(path, length, &tag) || !vt_element_find(bytes, size, encoding, tag, &element))
            return false;
        path += length;
        if (!*path) {
            *out = element;
            return strcmp(element.vr, "SQ") != 0;
        }
        unsigned long item = strtoul(path + 1, NULL, 10);
        bool more = item > 0;
        vt_walk_items(&walk, &element, encoding);
        for (unsigned long i = 0; i < item && more; i++)
            if (!vt_walk_next(&walk, &element, &more, &ignored))
                return false;
        if (!more)
            return false;
        encoding = walk.encoding;
        bytes = element.value;
        size = (size_t)element.length;
        path++;
        path += strcspn(path, "/");
        if (*path != '/')
            return false;
        path++;
    }
    return false;
}

static bool find_in_prefix(const struct vt_stored *stored, enum vt_encoding encoding, const char *path,
                           struct place *out, struct vt_err *err)
{
    const struct vt_index_entry *entry = &stored->entry;
    VT_AUTO_BUF(bytes, PREFIX_MAX);
    struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;
    struct vt_element element;
    uint64_t end = entry->has_pixels ? entry->pixel_offset - (encoding == VT_IMPLICIT_LE ? 8 : 12)
                                     : stored->data_set_size;

    if (end > PREFIX_MAX)
        return vt_fail(err, VT_E_LIMIT, "its attributes are too long to be read");
    if (!vt_buf_reserve(&bytes, (size_t)end, err) ||
        !vt_io_pread(stored->fd, bytes.data, (size_t)end, stored->data_set_offset, entry->file, err) ||
        !vt_element_check(bytes.data, (size_t)end, encoding, &limits, err))
        return false;
    if (!follow(bytes.data, (size_t)end, encoding, path, &element))
        return vt_fail(err, VT_E_NOTFOUND, "The instance has no such attribute.");
    *out = (struct place){ stored->data_set_offset + (uint64_t)(element.value - bytes.data), element.length };
    return true;
}

static bool find(const struct vt_stored *stored, const char *path, struct place *out, struct vt_err *err)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(stored->entry.transfer_syntax);
    const struct vt_index_entry *entry = &stored->entry;

    if (!syntax || syntax->encoding == VT_DEFLATED_LE || stored->corrected)
        return vt_fail(err, VT_E_UNSUPPORTED, "Single values of this instance are not served: retrieve the whole.");
    if (strcmp(path, "7FE00010") != 0 && strcasecmp(path, "7fe00010") != 0)
        return find_in_prefix(stored, syntax->encoding, path, out, err);
    if (!entry->has_pixels)
        return vt_fail(err, VT_E_NOTFOUND, "The instance has no pixel data.");
    if (syntax->encapsulated)
        return vt_fail(err, VT_E_UNSUPPORTED, "The pixel data are compressed: retrieve its frames.");
    *out = (struct place){ stored->data_set_offset + entry->pixel_offset, entry->pixel_length };
    return true;
}

/* multipart/related only for who takes nothing else; browsers and range requests want the value alone. */
static bool wants_multipart(const struct vt_request *request)
{
    struct vt_accept accept;

    vt_accept_read(vt_request_header(request, "Accept"), &accept);
    return accept.count > 0 && accept.ranges[0].multipart && !vt_request_header(request, "Range");
}

static void answer_part(struct vt_request *request, int fd, const struct place *place)
{
    VT_AUTO_BUF(out, (size_t)1 << 30);
    struct vt_boundary boundary;
    struct vt_err err = { 0 };
    char type[256];

    vt_boundary_new(&boundary);
    vt_boundary_type(&boundary, "application/octet-stream", type, sizeof type);
    bool ok = vt_boundary_part(&boundary, "application/octet-stream", NULL, &out, &err) &&
              (place->size <= SIZE_MAX / 2 || vt_fail(&err, VT_E_LIMIT, "too long")) &&
              vt_buf_reserve(&out, (size_t)place->size, &err) &&
              vt_io_pread(fd, out.data + out.size, (size_t)place->size, place->offset, "a value", &err);
    if (ok) {
        out.size += (size_t)place->size;
        ok = vt_boundary_end(&boundary, &out, &err);
    }
    close(fd);
    if (ok)
        vt_answer_buf(request, 200, type, &out);
    else
        vt_answer_err(request, &err);
}

void vt_bulkdata_of_instance(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_stored stored;
    struct place place = { 0, 0 };
    struct vt_err err = { 0 };

    if (!vt_instances_open(console, vt_request_part(request, 2), &stored, &err)) {
        vt_answer_err(request, &err);
        return;
    }
    bool found = find(&stored, vt_request_part(request, 3), &place, &err);
    int fd = found ? dup(stored.fd) : -1;
    vt_stored_close(&stored);
    vt_answer_header(request, "Cache-Control", "private, max-age=3600");
    if (!found)
        vt_answer_err(request, &err);
    else if (fd < 0)
        vt_answer_error(request, 503, "No descriptor is free.");
    else if (wants_multipart(request))
        answer_part(request, fd, &place);
    else
        vt_answer_file(request, "application/octet-stream", fd, place.offset, place.size);
}

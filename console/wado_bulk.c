/* Bulk data (PS3.18 10.4.1.1.5): the value at the end of a path of tags and item numbers, "00480105/1/00282000". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "console/accept.h"
#include "console/instances.h"
#include "console/multipart.h"
#include "console/wado_inside.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/element.h"
#include "dicom/transcode.h"

enum { PREFIX_MAX = 256 << 20, PATH_DEPTH_MAX = 16, FRAMING_MAX = 8 << 10 };

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

/* In `size` bytes of the file. */
static bool find_within(int fd, uint64_t offset, uint64_t size, enum vt_encoding encoding, const char *path, struct place *out,
                        struct vt_err *err)
{
    VT_AUTO_BUF(bytes, PREFIX_MAX);
    struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;
    struct vt_element element;

    if (size > PREFIX_MAX)
        return vt_fail(err, VT_E_LIMIT, "its attributes are too long to be read");
    if (!vt_buf_reserve(&bytes, (size_t)size, err) || !vt_io_pread(fd, bytes.data, (size_t)size, offset, "an instance", err) ||
        !vt_element_check(bytes.data, (size_t)size, encoding, &limits, err))
        return false;
    if (!follow(bytes.data, (size_t)size, encoding, path, &element) || element.undefined_length)
        return vt_fail(err, VT_E_NOTFOUND, "The instance has no such attribute.");
    *out = (struct place){ offset + (uint64_t)(element.value - bytes.data), element.length };
    return true;
}

/* Bytes as a file without a name. */
static int file_of(const struct vt_buf *bytes, struct vt_err *err)
{
    vt_autoclose fd = memfd_create("value", MFD_CLOEXEC);

    if (fd < 0 || !vt_io_pwrite(fd, bytes->data, bytes->size, 0, "a value", err)) {
        if (!vt_failed(err))
            vt_fail_errno(err, "a file in memory");
        return -1;
    }
    return vt_take_fd(&fd);
}

/* Deflated, or with numbers the other way round: of what it is in Explicit VR Little Endian. */
static int find_in_plain(const struct vt_console *console, const char *sop_uid, const char *path, struct place *out,
                         struct vt_err *err)
{
    struct vt_transcoded plain;
    struct vt_stored stored;
    int fd = -1;

    if (!vt_instances_open(console, sop_uid, &stored, err))
        return -1;
    const struct vt_transcode what = { .fd = stored.fd, .offset = stored.data_set_offset, .size = stored.data_set_size,
                                       .from = stored.entry.transfer_syntax, .to = VT_UID_EXPLICIT_LE };
    vt_transcoded_init(&plain);
    if (vt_transcode(&what, &plain, err))
        fd = plain.fd >= 0 ? dup(plain.fd) : file_of(&plain.bytes, err);
    if (fd >= 0 && !find_within(fd, 0, plain.size, VT_EXPLICIT_LE, path, out, err)) {
        close(fd);
        fd = -1;
    }
    vt_transcoded_fini(&plain);
    vt_stored_close(&stored);
    return fd;
}

static bool find_pixels(const struct vt_stored *stored, const struct vt_transfer_syntax *syntax, struct place *out, struct vt_err *err)
{
    const struct vt_index_entry *entry = &stored->entry;

    if (!entry->has_pixels)
        return vt_fail(err, VT_E_NOTFOUND, "The instance has no pixel data.");
    if (syntax->encapsulated)
        return vt_fail(err, VT_E_UNSUPPORTED, "The pixel data are compressed: retrieve its frames.");
    *out = (struct place){ stored->data_set_offset + entry->pixel_offset, entry->pixel_length };
    return true;
}

/* The file that the value lies in, and where; -1 with err. A correction of the patient touches no pixel data. */
static int find(const struct vt_console *console, const char *sop_uid, const char *path, struct place *out, struct vt_err *err)
{
    bool pixels = strcasecmp(path, "7FE00010") == 0;
    struct vt_stored stored;

    if (!(pixels ? vt_instances_open_stored : vt_instances_open_header)(console, sop_uid, &stored, err))
        return -1;
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(stored.entry.transfer_syntax);
    bool known = syntax || vt_fail(err, VT_E_UNSUPPORTED, "Single values of this instance are not served: retrieve the whole.");
    bool plain = known && syntax->encoding != VT_DEFLATED_LE && syntax->encoding != VT_EXPLICIT_BE;
    bool ok = plain && (pixels ? find_pixels(&stored, syntax, out, err)
                               : find_within(stored.fd, stored.data_set_offset, stored.data_set_size, syntax->encoding, path, out, err));
    int fd = ok ? dup(stored.fd) : -1;
    vt_stored_close(&stored);
    if (ok && fd < 0)
        vt_fail_errno(err, "a value");
    return known && !plain ? find_in_plain(console, sop_uid, path, out, err) : fd;
}

/* multipart/related only for who takes nothing else; browsers and range requests want the value alone. */
static bool wants_multipart(const struct vt_request *request)
{
    struct vt_accept accept;

    vt_accept_read(vt_request_header(request, "Accept"), &accept);
    return accept.count > 0 && accept.ranges[0].multipart && !vt_request_header(request, "Range");
}

/* One part, streamed: a value may be as long as a file. */
struct sent_part {
    int fd;
    struct place place;
    struct vt_buf head, tail;
};

static void part_free(void *state)
{
    struct sent_part *part = state;

    close(part->fd);
    vt_buf_fini(&part->head);
    vt_buf_fini(&part->tail);
    free(part);
}

/* What of `from`, which begins at `begin`, stands at `position`. */
static size_t copy_of(const struct vt_buf *from, uint64_t begin, uint64_t position, uint8_t *bytes, size_t size)
{
    size_t at = (size_t)(position - begin), left = from->size - at;

    size = size < left ? size : left;
    memcpy(bytes, from->data + at, size);
    return size;
}

static ptrdiff_t pull(void *state, uint64_t position, uint8_t *bytes, size_t size)
{
    const struct sent_part *part = state;
    uint64_t value = part->head.size, tail = value + part->place.size;
    struct vt_err err = { 0 };

    if (position < value)
        return (ptrdiff_t)copy_of(&part->head, 0, position, bytes, size);
    if (position >= tail)
        return (ptrdiff_t)copy_of(&part->tail, tail, position, bytes, size);
    size = tail - position < size ? (size_t)(tail - position) : size;
    return vt_io_pread(part->fd, bytes, size, part->place.offset + position - value, "a value", &err) ? (ptrdiff_t)size : -1;
}

/* Takes the descriptor. */
static void answer_part(struct vt_request *request, int fd, const struct place *place)
{
    struct sent_part *part = calloc(1, sizeof *part);
    struct vt_boundary boundary;
    struct vt_err err = { 0 };
    char type[256];

    if (!part) {
        close(fd);
        return;
    }
    part->fd = fd;
    part->place = *place;
    vt_buf_init(&part->head, FRAMING_MAX);
    vt_buf_init(&part->tail, FRAMING_MAX);
    vt_boundary_new(&boundary);
    vt_boundary_type(&boundary, "application/octet-stream", type, sizeof type);
    if (vt_boundary_part(&boundary, "application/octet-stream", vt_request_path(request), &part->head, &err) &&
        vt_boundary_end(&boundary, &part->tail, &err)) {
        vt_answer_stream(request, 200, type, part->head.size + place->size + part->tail.size, pull, part, part_free);
        return;
    }
    part_free(part);
    vt_answer_err(request, &err);
}

void vt_bulkdata_of_instance(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    struct place place = { 0, 0 };
    struct vt_err err = { 0 };
    int fd = find(console, vt_request_part(request, 2), vt_request_part(request, 3), &place, &err);

    vt_answer_header(request, "Cache-Control", "private, max-age=3600");
    if (fd < 0)
        vt_answer_err(request, &err);
    else if (wants_multipart(request))
        answer_part(request, fd, &place);
    else
        vt_answer_file(request, "application/octet-stream", fd, place.offset, place.size);
}

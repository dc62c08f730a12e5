/* Frames (PS3.18 10.4.1.1.6) as they are stored: one read for each, from the offsets kept at ingest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console/accept.h"
#include "console/instances.h"
#include "console/multipart.h"
#include "console/wado_inside.h"
#include "core/err.h"

enum { FRAMES_MAX = 10000, ANSWER_MAX = 1 << 30 };

struct wanted {
    size_t *numbers; /* from 1 */
    size_t count;
};

/* What a frame is when it goes as it is stored (PS3.18 8.7.3.3.2). */
static const char *media_type(const struct vt_index_entry *entry, bool encapsulated)
{
    static const struct {
        const char *prefix, *type;
    } rows[] = {
        { "1.2.840.10008.1.2.4.80", "image/jls" },  { "1.2.840.10008.1.2.4.81", "image/jls" },
        { "1.2.840.10008.1.2.4.90", "image/jp2" },  { "1.2.840.10008.1.2.4.91", "image/jp2" },
        { "1.2.840.10008.1.2.4.92", "image/jpx" },  { "1.2.840.10008.1.2.4.93", "image/jpx" },
        { "1.2.840.10008.1.2.4.20", "image/jphc" }, { "1.2.840.10008.1.2.4.11", "image/jxl" },
        { "1.2.840.10008.1.2.5", "image/dicom-rle" }, { "1.2.840.10008.1.2.4.5", "image/jpeg" },
        { "1.2.840.10008.1.2.4.6", "image/jpeg" },  { "1.2.840.10008.1.2.4.7", "image/jpeg" },
        { "1.2.840.10008.1.2.4.10", "video/mp4" },
    };

    for (size_t i = 0; encapsulated && i < VT_COUNT(rows); i++)
        if (strncmp(entry->transfer_syntax, rows[i].prefix, strlen(rows[i].prefix)) == 0)
            return rows[i].type;
    return "application/octet-stream";
}

/* "1,4,7" */
static bool read_numbers(const char *text, size_t count, struct wanted *out, struct vt_err *err)
{
    size_t room = 1;

    for (const char *p = text; *p; p++)
        room += *p == ',';
    if (room > FRAMES_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d frames in one request", FRAMES_MAX);
    out->numbers = calloc(room, sizeof *out->numbers);
    if (!out->numbers)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of frames");
    for (;;) {
        char *end = NULL;
        unsigned long long number = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
        if (!end || (*end && *end != ',') || number == 0)
            return vt_fail(err, VT_E_INVALID, "frames are numbers from 1, with commas between them");
        if (number > count)
            return vt_fail(err, VT_E_NOTFOUND, "There is no frame %llu: the instance has %zu.", number, count);
        out->numbers[out->count++] = (size_t)number;
        if (!*end)
            return true;
        text = end + 1;
    }
}

/* Is what is stored what the range asks for? Uncompressed little endian frames are octets in the default syntax. */
static bool takes_stored(const struct vt_media_range *range, const struct vt_frames *frames, const char *type)
{
    const char *syntax = range->transfer_syntax;
    bool any = !*syntax || strcmp(syntax, "*") == 0 || strcmp(syntax, frames->entry.transfer_syntax) == 0;
    bool plain = !frames->encapsulated && strcmp(frames->entry.transfer_syntax, VT_UID_EXPLICIT_BE) != 0;

    if (!frames->encapsulated && strcmp(syntax, VT_UID_EXPLICIT_LE) == 0)
        any = plain;
    if (vt_media_takes(range, type) && any)
        return frames->encapsulated || plain || *syntax;
    /* Octets of a compressed frame only for who says that any syntax will do. */
    return vt_media_takes(range, "application/octet-stream") && *syntax && any;
}

static const struct vt_media_range *choose(const struct vt_accept *accept, const struct vt_frames *frames,
                                           const char *type, size_t count)
{
    for (size_t i = 0; i < accept->count; i++) {
        const struct vt_media_range *range = &accept->ranges[i];
        if ((count == 1 || range->multipart || strcmp(range->type, "*/*") == 0) && takes_stored(range, frames, type))
            return range;
    }
    return NULL;
}

static bool put_frames(const struct vt_frames *frames, const struct wanted *wanted, const char *part_type,
                       struct vt_boundary *boundary, struct vt_buf *out, struct vt_err *err)
{
    for (size_t i = 0; i < wanted->count; i++)
        if ((boundary && !vt_boundary_part(boundary, part_type, NULL, out, err)) ||
            !vt_frames_read(frames, wanted->numbers[i] - 1, out, err))
            return false;
    return !boundary || vt_boundary_end(boundary, out, err);
}

static void answer_stored(struct vt_request *request, const struct vt_frames *frames, const struct wanted *wanted,
                          const struct vt_media_range *range, const char *type)
{
    VT_AUTO_BUF(out, ANSWER_MAX);
    struct vt_boundary boundary;
    struct vt_err err = { 0 };
    char whole[256], part[256];
    bool octets = !vt_media_takes(range, type);
    bool multipart = range->multipart || wanted->count > 1 || strcmp(range->type, "*/*") == 0;
    const char *syntax = frames->encapsulated ? frames->entry.transfer_syntax : VT_UID_EXPLICIT_LE;

    snprintf(part, sizeof part, "%s;transfer-syntax=%s", octets ? "application/octet-stream" : type, syntax);
    vt_boundary_new(&boundary);
    vt_boundary_type(&boundary, octets ? "application/octet-stream" : type, whole, sizeof whole);
    if (!put_frames(frames, wanted, part, multipart ? &boundary : NULL, &out, &err)) {
        vt_answer_err(request, &err);
        return;
    }
    vt_answer_header(request, "Cache-Control", "private, max-age=3600");
    vt_answer_buf(request, 200, multipart ? whole : part, &out);
}

static void serve(struct vt_request *request, const struct vt_frames *frames)
{
    struct wanted wanted = { 0 };
    struct vt_accept accept;
    struct vt_err err = { 0 };
    const char *type = media_type(&frames->entry, frames->encapsulated);

    if (!read_numbers(vt_request_part(request, 3), frames->count, &wanted, &err)) {
        vt_answer_err(request, &err);
    } else {
        vt_accept_read(vt_request_header(request, "Accept"), &accept);
        const struct vt_media_range *range = choose(&accept, frames, type, wanted.count);
        if (range)
            answer_stored(request, frames, &wanted, range, type);
        else
            vt_answer_error(request, 406, "These frames are %s in transfer syntax %s: ask for that, or for "
                                          "application/octet-stream; transfer-syntax=*.",
                            type, frames->entry.transfer_syntax);
    }
    free(wanted.numbers);
}

void vt_frames_of_instance(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_err err = { 0 };
    const struct vt_frames *frames = vt_frames_get(console->frames, vt_request_part(request, 0),
                                                   vt_request_part(request, 1), vt_request_part(request, 2), &err);

    if (frames)
        serve(request, frames);
    else
        vt_answer_err(request, &err);
    vt_frames_release(console->frames, frames);
}

/* ---- the file, and single values ---- */

void vt_file_of_instance(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_stored stored;
    struct vt_err err = { 0 };

    if (!vt_instances_open(console, vt_request_part(request, 2), &stored, &err)) {
        vt_answer_err(request, &err);
        return;
    }
    if (stored.corrected) { /* its file says who it was before: only the multipart answer writes a new one */
        vt_stored_close(&stored);
        vt_answer_error(request, 409, "The patient of this instance was corrected: retrieve it as multipart/related.");
        return;
    }
    vt_answer_header(request, "Content-Disposition", "attachment; filename=\"%s.dcm\"", stored.entry.sop_uid);
    vt_answer_header(request, "Cache-Control", "private, no-cache");
    int fd = dup(stored.fd);
    uint64_t size = stored.data_set_offset + stored.data_set_size;
    vt_stored_close(&stored);
    if (fd < 0)
        vt_answer_error(request, 503, "No descriptor is free.");
    else
        vt_answer_file(request, "application/dicom", fd, 0, size);
}

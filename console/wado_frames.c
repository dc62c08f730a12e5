/* Frames (PS3.18 10.4.1.1.6) as they are stored: one read for each, from the offsets kept at ingest; decoded only for who takes nothing
 * but octets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/accept.h"
#include "console/http_rules.h"
#include "console/instances.h"
#include "console/multipart.h"
#include "console/wado_inside.h"
#include "core/err.h"
#include "dicom/render.h"

enum { FRAMES_AT_ONCE = 16, ANSWER_MAX = 1 << 30, ATTRIBUTES_MAX = 64 << 20 };

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

bool vt_frame_numbers_read(const char *text, size_t count, struct vt_frame_numbers *out, struct vt_err *err)
{
    size_t room = 1;

    for (const char *p = text; *p; p++)
        room += *p == ',';
    if (room > VT_FRAME_NUMBERS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d frames in one request", VT_FRAME_NUMBERS_MAX);
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

/* Octets in Explicit VR Little Endian: for who takes nothing of what is stored. */
static const struct vt_media_range *choose_plain(const struct vt_accept *accept, size_t count)
{
    for (size_t i = 0; i < accept->count; i++) {
        const struct vt_media_range *range = &accept->ranges[i];
        if ((count == 1 || range->multipart) && vt_media_takes(range, "application/octet-stream") &&
            (!*range->transfer_syntax || strcmp(range->transfer_syntax, VT_UID_EXPLICIT_LE) == 0))
            return range;
    }
    return NULL;
}

/* ---- the answer ---- */

/* One answer under way; frames lie in `piece` one after the other, so that a long list costs no more memory than one. */
struct sending {
    struct vt_frame_cache *cache;
    const struct vt_frames *frames;
    struct vt_frame_numbers wanted;
    bool decoded, multipart, ended;
    char part_type[256];
    struct vt_boundary boundary;
    struct vt_buf attributes; /* when decoded */
    size_t next;              /* of wanted */
    struct vt_buf piece;
    size_t sent;
};

static void sending_free(void *state)
{
    struct sending *sending = state;

    vt_frames_release(sending->cache, sending->frames);
    free(sending->wanted.numbers);
    vt_buf_fini(&sending->attributes);
    vt_buf_fini(&sending->piece);
    free(sending);
}

static bool put_decoded(struct sending *sending, size_t number, struct vt_err *err)
{
    VT_AUTO_BUF(pixels, VT_RENDER_FRAME_MAX);

    if (sending->attributes.size == 0 && !vt_frames_attributes(sending->frames, &sending->attributes, err))
        return false;
    if (!vt_frames_read(sending->frames, number, &pixels, err))
        return false;
    const struct vt_render what = { .attributes = sending->attributes.data,
                                    .attributes_size = sending->attributes.size,
                                    .transfer_syntax = sending->frames->entry.transfer_syntax,
                                    .pixels = pixels.data,
                                    .pixels_size = pixels.size,
                                    .number = (uint32_t)number };
    return vt_frame_plain(&what, &sending->piece, err);
}

/* The next frame behind what is in `piece`, or the end. */
static bool put_next(struct sending *sending, struct vt_err *err)
{
    if (sending->next == sending->wanted.count) {
        sending->ended = true;
        return !sending->multipart || vt_boundary_end(&sending->boundary, &sending->piece, err);
    }
    size_t number = sending->wanted.numbers[sending->next++] - 1;
    return (!sending->multipart || vt_boundary_part(&sending->boundary, sending->part_type, NULL, &sending->piece, err)) &&
           (sending->decoded ? put_decoded(sending, number, err)
                             : vt_frames_read(sending->frames, number, &sending->piece, err));
}

static ptrdiff_t pull(void *state, uint64_t position, uint8_t *bytes, size_t size)
{
    struct sending *sending = state;
    struct vt_err err = { 0 };

    (void)position;
    while (sending->sent == sending->piece.size) {
        if (sending->ended)
            return 0;
        vt_buf_reset(&sending->piece);
        sending->sent = 0;
        if (!put_next(sending, &err))
            return -1;
    }
    size_t left = sending->piece.size - sending->sent;
    size = size < left ? size : left;
    memcpy(bytes, sending->piece.data + sending->sent, size);
    sending->sent += size;
    return (ptrdiff_t)size;
}

static void answer_failure(struct vt_request *request, const struct sending *sending, const struct vt_err *err)
{
    if (sending->decoded && err->code == VT_E_UNSUPPORTED)
        vt_answer_error(request, 406, "These frames are in transfer syntax %s and cannot be decoded: %s.",
                        sending->frames->entry.transfer_syntax, err->text);
    else
        vt_answer_err(request, err);
}

/* A short list in one piece, its length known; a long one as it is read. Takes `sending`. */
static void send_frames(struct vt_request *request, struct sending *sending, const char *type)
{
    bool small = sending->wanted.count <= FRAMES_AT_ONCE;
    struct vt_err err = { 0 };
    bool ok = put_next(sending, &err);

    while (ok && small && !sending->ended)
        ok = put_next(sending, &err);
    if (!ok) {
        answer_failure(request, sending, &err);
    } else if (small) {
        vt_answer_buf(request, 200, type, &sending->piece);
    } else {
        vt_answer_stream(request, 200, type, UINT64_MAX, pull, sending, sending_free);
        return;
    }
    sending_free(sending);
}

/* Takes `sending`. */
static void answer_frames(struct vt_request *request, struct sending *sending, const struct vt_media_range *range,
                          const char *type)
{
    const struct vt_frames *frames = sending->frames;
    bool octets = sending->decoded || !vt_media_takes(range, type);
    const char *syntax = frames->encapsulated && !sending->decoded ? frames->entry.transfer_syntax : VT_UID_EXPLICIT_LE;
    const char *media = octets ? "application/octet-stream" : type;
    char whole[256], etag[VT_ETAG_MAX];

    sending->multipart = range->multipart || sending->wanted.count > 1 || strcmp(range->type, "*/*") == 0;
    snprintf(sending->part_type, sizeof sending->part_type, "%s;transfer-syntax=%s", media, syntax);
    vt_instance_etag(&frames->entry, true, vt_request_part(request, 3), sending->part_type, etag);
    vt_answer_header(request, "Cache-Control", "private, max-age=3600");
    if (vt_answer_etag(request, etag)) {
        sending_free(sending);
        return;
    }
    vt_boundary_new(&sending->boundary);
    vt_boundary_type(&sending->boundary, media, whole, sizeof whole);
    if (!sending->multipart)
        snprintf(whole, sizeof whole, "%s", sending->part_type);
    send_frames(request, sending, whole);
}

/* Takes `sending`. */
static void serve(struct vt_request *request, struct sending *sending)
{
    const struct vt_frames *frames = sending->frames;
    const char *type = media_type(&frames->entry, frames->encapsulated);
    struct vt_accept accept;
    struct vt_err err = { 0 };

    if (!vt_frame_numbers_read(vt_request_part(request, 3), frames->count, &sending->wanted, &err)) {
        vt_answer_err(request, &err);
        sending_free(sending);
        return;
    }
    vt_accept_read(vt_request_header(request, "Accept"), &accept);
    const struct vt_media_range *range = choose(&accept, frames, type, sending->wanted.count);
    if (!range) {
        range = choose_plain(&accept, sending->wanted.count);
        sending->decoded = true;
    }
    if (range) {
        answer_frames(request, sending, range, type);
        return;
    }
    vt_answer_error(request, 406, "These frames are %s in transfer syntax %s: ask for that, or for application/octet-stream.",
                    type, frames->entry.transfer_syntax);
    sending_free(sending);
}

void vt_frames_of_instance(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_err err = { 0 };
    struct sending *sending = calloc(1, sizeof *sending);

    if (!sending)
        return;
    sending->cache = console->frames;
    vt_buf_init(&sending->attributes, ATTRIBUTES_MAX);
    vt_buf_init(&sending->piece, ANSWER_MAX);
    sending->frames = vt_frames_get(console->frames, vt_request_part(request, 0), vt_request_part(request, 1),
                                    vt_request_part(request, 2), &err);
    if (sending->frames) {
        serve(request, sending);
        return;
    }
    vt_answer_err(request, &err);
    sending_free(sending);
}

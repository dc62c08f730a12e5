/* Retrieve (WADO-RS, PS3.18 10.4): instances as Part 10 files in a multipart answer, streamed from the objects. */
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
#include "dicom/dataset.h"
#include "dicom/element.h"
#include "dicom/transcode.h"

enum { HEAD_MAX = 4096 };

/* One answer under way; a thread at a time. */
struct sending {
    const struct vt_console *console;
    struct vt_instances instances;
    size_t next;                          /* instance */
    char transfer_syntax[VT_UID_MAX + 1]; /* asked for; "": as stored */
    char also[VT_ACCEPT_MAX][VT_UID_MAX + 1]; /* taken as well: what is stored so goes as it is */
    size_t also_count;
    bool single;                          /* application/dicom without multipart, of one instance */
    bool must;                            /* else what cannot be transcoded goes as it is stored */
    struct vt_boundary boundary;

    struct vt_buf head; /* bytes before the data set: the part's header, group 0002 */
    size_t head_sent;
    struct vt_stored stored;
    struct vt_transcoded other;
    bool open, as_stored, ended;
    uint64_t at; /* in the data set */
};

static void sending_free(void *state)
{
    struct sending *sending = state;

    if (sending->open)
        vt_stored_close(&sending->stored);
    vt_transcoded_fini(&sending->other);
    vt_instances_fini(&sending->instances);
    vt_buf_fini(&sending->head);
    free(sending);
}

/* Does the client take that syntax? */
static bool takes(const struct sending *sending, const char *syntax)
{
    bool taken = !*sending->transfer_syntax || strcmp(sending->transfer_syntax, syntax) == 0;

    for (size_t i = 0; !taken && i < sending->also_count; i++)
        taken = strcmp(sending->also[i], syntax) == 0;
    return taken;
}

/* What the instance goes out as. */
static bool prepare(struct sending *sending, struct vt_err *err)
{
    struct vt_stored *stored = &sending->stored;
    struct vt_transcode what = { .fd = stored->fd,
                                 .offset = stored->data_set_offset,
                                 .size = stored->data_set_size,
                                 .from = stored->entry.transfer_syntax,
                                 .to = sending->transfer_syntax };
    struct vt_err why = { 0 };

    sending->as_stored = takes(sending, stored->entry.transfer_syntax);
    if (sending->as_stored)
        return true;
    if (vt_transcode(&what, &sending->other, &why))
        return true;
    sending->as_stored = !sending->must;
    if (!sending->as_stored)
        *err = why;
    return sending->as_stored;
}

static const char *syntax_of(const struct sending *sending)
{
    return sending->as_stored ? sending->stored.entry.transfer_syntax : sending->transfer_syntax;
}

static bool write_head(struct sending *sending, struct vt_err *err)
{
    const struct vt_index_entry *entry = &sending->stored.entry;
    const char *syntax = syntax_of(sending);
    const struct vt_file_meta meta = {
        .sop_class_uid = entry->sop_class,
        .sop_instance_uid = entry->sop_uid,
        .transfer_syntax_uid = syntax,
    };
    char type[VT_UID_MAX + 64];

    vt_buf_reset(&sending->head);
    sending->head_sent = 0;
    snprintf(type, sizeof type, "application/dicom;transfer-syntax=%s", syntax);
    return (sending->single || vt_boundary_part(&sending->boundary, type, NULL, &sending->head, err)) &&
           vt_write_file_meta(&sending->head, &meta, err);
}

/* The next instance, or the end of the answer. */
static bool open_next(struct sending *sending, struct vt_err *err)
{
    if (sending->open)
        vt_stored_close(&sending->stored);
    sending->open = false;
    sending->at = 0;
    while (sending->next < sending->instances.count) {
        const char *uid = sending->instances.uids[sending->next++];
        if (!vt_instances_open(sending->console, uid, &sending->stored, err)) {
            if (err->code != VT_E_NOTFOUND)
                return false;
            vt_err_clear(err); /* deleted meanwhile */
            continue;
        }
        sending->open = true;
        return prepare(sending, err) && write_head(sending, err);
    }
    sending->ended = true;
    vt_buf_reset(&sending->head);
    sending->head_sent = 0;
    return sending->single || vt_boundary_end(&sending->boundary, &sending->head, err);
}

static uint64_t body_size(const struct sending *sending)
{
    return !sending->open ? 0 : sending->as_stored ? sending->stored.data_set_size : sending->other.size;
}

/* A piece of the data set. */
static bool read_body(struct sending *sending, uint8_t *bytes, size_t size, struct vt_err *err)
{
    const struct vt_transcoded *other = &sending->other;

    if (sending->as_stored)
        return vt_io_pread(sending->stored.fd, bytes, size, sending->stored.data_set_offset + sending->at,
                           sending->stored.entry.file, err);
    if (other->fd >= 0)
        return vt_io_pread(other->fd, bytes, size, sending->at, "a transcoded instance", err);
    memcpy(bytes, other->bytes.data + sending->at, size);
    return true;
}

static ptrdiff_t pull(void *state, uint64_t position, uint8_t *bytes, size_t size)
{
    struct sending *sending = state;
    struct vt_err err = { 0 };

    (void)position;
    for (;;) {
        size_t left = sending->head.size - sending->head_sent;
        if (left > 0) {
            size = size < left ? size : left;
            memcpy(bytes, sending->head.data + sending->head_sent, size);
            sending->head_sent += size;
            return (ptrdiff_t)size;
        }
        if (sending->at < body_size(sending)) {
            uint64_t rest = body_size(sending) - sending->at;
            size = size < rest ? size : (size_t)rest;
            if (!read_body(sending, bytes, size, &err))
                return -1;
            sending->at += size;
            return (ptrdiff_t)size;
        }
        if (sending->ended)
            return 0;
        if (!open_next(sending, &err))
            return -1;
    }
}

/* Takes stored bytes in any syntax. */
static bool takes_any(const struct vt_media_range *range)
{
    return strcmp(range->type, "*/*") == 0 || strcmp(range->transfer_syntax, "*") == 0;
}

static bool is_single(const struct vt_media_range *range, unsigned levels)
{
    return levels == 3 && !range->multipart && strcmp(range->type, "*/*") != 0;
}

/* Those of application/dicom that we can serve, in their order. */
static size_t pick(const struct vt_accept *accept, const struct vt_media_range *out[VT_ACCEPT_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < accept->count; i++) {
        const struct vt_media_range *range = &accept->ranges[i];
        bool known = !*range->transfer_syntax || takes_any(range) || vt_transfer_syntax_find(range->transfer_syntax);
        if (vt_media_takes(range, "application/dicom") && known)
            out[count++] = range;
    }
    return count;
}

/* One that takes stored bytes whatever they are, else the first; then the others of its form say what may go as it is stored. */
static bool choose(const struct vt_request *request, unsigned levels, struct sending *sending)
{
    const struct vt_media_range *ranges[VT_ACCEPT_MAX], *chosen = NULL;
    struct vt_accept accept;

    vt_accept_read(vt_request_header(request, "Accept"), &accept);
    size_t count = pick(&accept, ranges);
    for (size_t i = 0; i < count && !chosen; i++)
        chosen = takes_any(ranges[i]) ? ranges[i] : NULL;
    if (!chosen && count > 0)
        chosen = ranges[0];
    if (!chosen)
        return false;
    sending->single = is_single(chosen, levels);
    if (takes_any(chosen))
        return true;
    sending->must = *chosen->transfer_syntax;
    snprintf(sending->transfer_syntax, sizeof sending->transfer_syntax, "%s", sending->must ? chosen->transfer_syntax : VT_UID_EXPLICIT_LE);
    for (size_t i = 0; i < count; i++)
        if (is_single(ranges[i], levels) == sending->single)
            snprintf(sending->also[sending->also_count++], VT_UID_MAX + 1, "%s",
                     *ranges[i]->transfer_syntax ? ranges[i]->transfer_syntax : VT_UID_EXPLICIT_LE);
    return true;
}

/* As a single part with ranges, when it is stored in a syntax that the client takes. */
static bool answer_part(struct vt_request *request, const struct sending *sending)
{
    bool done = vt_part_of_instance(request, sending->transfer_syntax);

    for (size_t i = 0; !done && i < sending->also_count; i++)
        done = vt_part_of_instance(request, sending->also[i]);
    return done;
}

static void retrieve(struct vt_request *request, unsigned levels)
{
    struct sending *sending = calloc(1, sizeof *sending);
    struct vt_err err = { 0 };
    char type[256];

    if (!sending)
        return;
    sending->console = vt_request_context(request);
    vt_transcoded_init(&sending->other);
    vt_buf_init(&sending->head, HEAD_MAX);
    vt_boundary_new(&sending->boundary);
    bool acceptable = choose(request, levels, sending);
    if (acceptable && sending->single && answer_part(request, sending)) {
        sending_free(sending);
        return;
    }
    if (!acceptable)
        vt_answer_error(request, 406, "Instances are sent as multipart/related; type=\"application/dicom\".");
    /* The first instance is opened, and transcoded if need be, while a status can still be told. */
    if (!acceptable || !vt_instances_select(request, levels, &sending->instances, &err) ||
        !open_next(sending, &err)) {
        if (sending->must && sending->open)
            vt_answer_error(request, 406, "Not possible in transfer syntax %s: %s.", sending->transfer_syntax,
                            err.text);
        else if (acceptable)
            vt_answer_err(request, &err);
        sending_free(sending);
        return;
    }
    if (sending->single)
        snprintf(type, sizeof type, "application/dicom;transfer-syntax=%s", syntax_of(sending));
    else
        vt_boundary_type(&sending->boundary, "application/dicom", type, sizeof type);
    vt_answer_header(request, "Cache-Control", "private, no-cache");
    vt_answer_stream(request, 200, type, UINT64_MAX, pull, sending, sending_free);
}

static void study(struct vt_request *request)
{
    retrieve(request, 1);
}

static void series(struct vt_request *request)
{
    retrieve(request, 2);
}

static void instance(struct vt_request *request)
{
    retrieve(request, 3);
}

#define STUDY VT_DICOM_WEB "/studies/*"
#define SERIES STUDY "/series/*"
#define INSTANCE SERIES "/instances/*"

const struct vt_route vt_wado_routes[] = {
    { "GET", VT_DICOM_WEB, VT_USER_VIEWER, vt_capabilities, NULL, 0 },
    { "GET", STUDY, VT_USER_VIEWER, study, NULL, 0 },
    { "GET", SERIES, VT_USER_VIEWER, series, NULL, 0 },
    { "GET", INSTANCE, VT_USER_VIEWER, instance, NULL, 0 },
    { "GET", STUDY "/metadata", VT_USER_VIEWER, vt_metadata_of_study, NULL, 0 },
    { "GET", SERIES "/metadata", VT_USER_VIEWER, vt_metadata_of_series, NULL, 0 },
    { "GET", INSTANCE "/metadata", VT_USER_VIEWER, vt_metadata_of_instance, NULL, 0 },
    { "GET", INSTANCE "/frames/*", VT_USER_VIEWER, vt_frames_of_instance, NULL, 0 },
    { "GET", INSTANCE "/bulkdata/**", VT_USER_VIEWER, vt_bulkdata_of_instance, NULL, 0 },
    { "GET", INSTANCE "/rendered", VT_USER_VIEWER, vt_rendered_instance, NULL, 0 },
    { "GET", INSTANCE "/frames/*/rendered", VT_USER_VIEWER, vt_rendered_frames, NULL, 0 },
    { "GET", INSTANCE "/frames/*/thumbnail", VT_USER_VIEWER, vt_thumbnail_of_frames, NULL, 0 },
    { "GET", STUDY "/rendered", VT_USER_VIEWER, vt_rendered_study, NULL, 0 },
    { "GET", SERIES "/rendered", VT_USER_VIEWER, vt_rendered_series, NULL, 0 },
    { "GET", STUDY "/thumbnail", VT_USER_VIEWER, vt_thumbnail_of_study, NULL, 0 },
    { "GET", SERIES "/thumbnail", VT_USER_VIEWER, vt_thumbnail_of_series, NULL, 0 },
    { "GET", INSTANCE "/thumbnail", VT_USER_VIEWER, vt_thumbnail_of_instance, NULL, 0 },
    { "GET", INSTANCE "/file", VT_USER_VIEWER, vt_file_of_instance, NULL, 0 },
    { "GET", STUDY "/original", VT_USER_VIEWER, vt_original_of_study, NULL, 0 },
    { "GET", SERIES "/original", VT_USER_VIEWER, vt_original_of_study, NULL, 0 },
    { "GET", INSTANCE "/original", VT_USER_VIEWER, vt_original_of_instance, NULL, 0 },
    { "DELETE", STUDY, VT_USER_ADMIN, vt_delete_part, NULL, 0 },
    { "DELETE", SERIES, VT_USER_ADMIN, vt_delete_part, NULL, 0 },
    { "DELETE", INSTANCE, VT_USER_ADMIN, vt_delete_part, NULL, 0 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};

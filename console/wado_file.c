/* An instance as one file with ranges: the single part of PS3.18 10.4.1 (Accept: application/dicom) and /file for a browser's download;
 * the original of a slide, put together again; what goes to the trash. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/admin.h"
#include "archive/study_patient.h"
#include "console/http_rules.h"
#include "console/instances.h"
#include "console/wado_inside.h"
#include "console/web_trail.h"
#include "core/err.h"
#include "media/slide_import.h"

enum { REASON_MAX = 240, WORD_MAX = 128 };

/* ---- entity tags ---- */

/* FNV-1a: tells answers apart, keeps no secret. */
static uint64_t mix(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return (hash ^ 0xff) * UINT64_C(1099511628211);
}

void vt_instance_etag(const struct vt_index_entry *entry, bool weak, const char *what, const char *how, char out[VT_ETAG_MAX])
{
    int length = snprintf(out, VT_ETAG_MAX, "%s\"", weak ? "W/" : "");

    for (size_t i = 0; i < sizeof entry->data_set_digest.bytes; i++)
        length += snprintf(out + length, VT_ETAG_MAX - (size_t)length, "%02x", entry->data_set_digest.bytes[i]);
    snprintf(out + length, VT_ETAG_MAX - (size_t)length, "-%" PRIu32 "-%016" PRIx64 "\"", entry->version,
             mix(mix(UINT64_C(14695981039346656037), what), how));
}

/* ---- files ---- */

static void answer_stored(struct vt_request *request, const struct vt_stored *stored, const char *type)
{
    int fd = dup(stored->fd);
    char etag[VT_ETAG_MAX];

    vt_answer_header(request, "Content-Disposition", "attachment; filename=\"%s.dcm\"", stored->entry.sop_uid);
    vt_answer_header(request, "Cache-Control", "private, no-cache");
    vt_instance_etag(&stored->entry, false, "file", "", etag);
    if (fd < 0)
        vt_answer_error(request, 503, "No descriptor is free.");
    else if (vt_answer_etag(request, etag))
        close(fd);
    else
        vt_answer_file(request, type, fd, 0, stored->data_set_offset + stored->data_set_size);
}

static bool is_of_path(const struct vt_request *request, const struct vt_index_entry *entry)
{
    return strcmp(vt_request_part(request, 0), entry->study_uid) == 0 && strcmp(vt_request_part(request, 1), entry->series_uid) == 0;
}

void vt_file_of_instance(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_stored stored;
    struct vt_err err = { 0 };

    if (!vt_instances_open(console, vt_request_part(request, 2), &stored, &err)) {
        vt_answer_err(request, &err);
        return;
    }
    if (!is_of_path(request, &stored.entry))
        vt_answer_error(request, 404, "There is no such instance.");
    else if (stored.corrected) /* its file says who it was before: only the multipart answer writes a new one */
        vt_answer_error(request, 409, "The patient of this instance was corrected: retrieve it as multipart/related.");
    else
        answer_stored(request, &stored, "application/dicom");
    vt_stored_close(&stored);
}

bool vt_part_of_instance(struct vt_request *request, const char *transfer_syntax)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_stored stored;
    struct vt_err err = { 0 };
    char type[VT_UID_MAX + 64];

    if (!vt_instances_open(console, vt_request_part(request, 2), &stored, &err))
        return false;
    bool fits = !*transfer_syntax || strcmp(transfer_syntax, stored.entry.transfer_syntax) == 0;
    bool done = fits && !stored.corrected && is_of_path(request, &stored.entry);
    if (done) {
        snprintf(type, sizeof type, "application/dicom;transfer-syntax=%s", stored.entry.transfer_syntax);
        answer_stored(request, &stored, type);
    }
    vt_stored_close(&stored);
    return done;
}

/* ---- originals of slides ---- */

struct original {
    struct vt_slide_original *slide;
    uint64_t from;
};

static void original_free(void *state)
{
    struct original *original = state;

    vt_slide_original_free(original->slide);
    free(original);
}

static ptrdiff_t pull(void *state, uint64_t position, uint8_t *bytes, size_t size)
{
    struct original *original = state;
    struct vt_err err = { 0 };
    size_t got = 0;

    return vt_slide_pread(original->slide, bytes, size, original->from + position, &got, &err) && got > 0 ? (ptrdiff_t)got : -1;
}

/* Of a name from a file: what a quoted string may hold. */
static void put_name(struct vt_request *request, const char *name)
{
    char clean[WORD_MAX];
    size_t length = 0;

    for (; *name && length + 1 < sizeof clean; name++)
        if ((unsigned char)*name >= ' ' && (unsigned char)*name < 0x7f && !strchr("\"\\/", *name))
            clean[length++] = *name;
    clean[length] = '\0';
    vt_answer_header(request, "Content-Disposition", "attachment; filename=\"%s\"", length ? clean : "slide.svs");
}

static void put_tag(const struct vt_slide_original *slide, char out[VT_ETAG_MAX])
{
    int length = snprintf(out, VT_ETAG_MAX, "\"");

    for (size_t i = 0; i < VT_SLIDE_SHA256; i++)
        length += snprintf(out + length, VT_ETAG_MAX - (size_t)length, "%02x", vt_slide_original_sha256(slide)[i]);
    snprintf(out + length, VT_ETAG_MAX - (size_t)length, "\"");
}

/* Takes the slide. */
static void answer_original(struct vt_request *request, struct vt_slide_original *slide)
{
    struct original *original = calloc(1, sizeof *original);
    uint64_t size = vt_slide_original_size(slide), count;
    char etag[VT_ETAG_MAX];
    unsigned status;

    if (!original) {
        vt_slide_original_free(slide);
        return;
    }
    original->slide = slide;
    put_tag(slide, etag);
    vt_answer_header(request, "Cache-Control", "private, no-cache");
    if (vt_answer_etag(request, etag) || !vt_answer_range(request, size, &original->from, &count, &status)) {
        original_free(original);
        return;
    }
    put_name(request, vt_slide_original_name(slide));
    vt_slide_original_in_order(slide);
    vt_answer_stream(request, status, "application/octet-stream", count, pull, original, original_free);
}

static void answer_original_of(struct vt_request *request, const char *raw_uid)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_err err = { 0 };
    struct vt_slide_original *slide = vt_slide_original_of(console->options.archive, raw_uid, &err);

    if (slide)
        answer_original(request, slide);
    else if (err.code == VT_E_INVALID)
        vt_answer_error(request, 404, "This instance holds no slide that can be given back: %s.", err.text);
    else
        vt_answer_err(request, &err);
}

struct found {
    char uid[VT_UID_MAX + 1];
    unsigned count;
};

static bool take(void *context, const char *raw_uid)
{
    struct found *found = context;

    snprintf(found->uid, sizeof found->uid, "%s", raw_uid);
    return ++found->count < 2;
}

/* The slide of a study; of a series, when there are several. */
void vt_original_of_study(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    static const char *const keys[] = { "StudyInstanceUID", "SeriesInstanceUID" };
    char text[VT_COUNT(keys)][WORD_MAX];
    const char *words[VT_COUNT(keys)];
    struct found found = { .count = 0 };
    struct vt_err err = { 0 };
    size_t count = 0;

    for (; count < VT_COUNT(keys) && *vt_request_part(request, count); count++) {
        if (!vt_uid_usable(vt_request_part(request, count))) {
            vt_answer_error(request, 400, "'%.80s' is not a UID.", vt_request_part(request, count));
            return;
        }
        snprintf(text[count], WORD_MAX, "%s=%s", keys[count], vt_request_part(request, count));
        words[count] = text[count];
    }
    if (!vt_slide_originals(console->options.archive, words, count, take, &found, &err))
        vt_answer_err(request, &err);
    else if (found.count > 1)
        vt_answer_error(request, 409, "There are several slides here: name the series, or the Raw Data instance of one.");
    else if (found.count == 0)
        vt_answer_error(request, 404, "There is no slide here that can be given back.");
    else
        answer_original_of(request, found.uid);
}

void vt_original_of_instance(struct vt_request *request)
{
    answer_original_of(request, vt_request_part(request, 2));
}

/* ---- delete ---- */

/* A study, a series or an instance to the trash; what was committed to others only with a reason. */
void vt_delete_part(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    const char *reason = vt_request_query(request, "reason"), *user = vt_request_user(request);
    const char *uids[3] = { NULL };
    const struct vt_admin admin = { .archive = console->options.archive,
                                    .who = *user ? user : "dicomweb",
                                    .committed = reason && *reason };
    struct vt_study_patient patient;
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    int64_t id = 0;
    bool ok = !reason || strlen(reason) <= REASON_MAX;

    for (size_t i = 0; i < VT_COUNT(uids) && *vt_request_part(request, i); i++) {
        uids[i] = vt_request_part(request, i);
        ok = ok && vt_uid_usable(uids[i]);
    }
    const struct vt_admin_part part = { uids[0], uids[1], uids[2] };
    if (!ok || !uids[0]) {
        vt_answer_error(request, 400, "UIDs are needed, and no more than %d bytes of a reason.", REASON_MAX);
        return;
    }
    vt_study_patient(admin.archive, uids[0], &patient);
    bool done = vt_admin_part_delete(&admin, &part, reason ? reason : "", &id, &instances, &err);
    vt_web_trail_deleted(console->trail, request, uids[0], &patient, instances, done);
    if (done)
        vt_answer_bytes(request, 204, NULL, "", 0);
    else if (err.code == VT_E_DENIED)
        vt_answer_error(request, 409, admin.committed ? "%s." : "%s; here: give ?reason=.", err.text);
    else
        vt_answer_err(request, &err);
}

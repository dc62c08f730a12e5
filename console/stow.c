/* Store (STOW-RS, PS3.18 10.5): each part goes into the archive as it comes, the same way as a C-STORE; instances as DICOM JSON
 * (stow_json.h) when the body is whole. The answer says what became of each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "archive/archive.h"
#include "console/accept.h"
#include "console/console_inside.h"
#include "console/multipart.h"
#include "console/stow_json.h"
#include "console/web_trail.h"
#include "core/err.h"
#include "dicom/header.h"
#include "dicom/json.h"

enum { STUDIES_MAX = 64 /* counted at a time for the audit trail */ };
enum { ANSWER_MAX = 64 << 20, META_MAX = VT_PART10_META_MAX + 256 };
#define VT_TAG_ERROR_COMMENT UINT32_C(0x00000902)
#define STOW_BODY_MAX (UINT64_C(1) << 40)

struct counted {
    char study_uid[VT_UID_MAX + 1];
    uint64_t instances;
};

struct storing {
    const struct vt_console *console;
    struct vt_request *request;
    struct vt_multipart reader;
    struct vt_receive *receive;
    struct vt_stow_json *json;  /* NULL: the body is of Part 10 files only */
    char study[VT_UID_MAX + 1]; /* of the path; "" */
    char base[512];

    /* of the part */
    struct vt_buf meta; /* up to the data set */
    bool is_dicom, is_json, begun, failed;
    struct vt_part10 part10;
    struct vt_err why;

    struct vt_buf stored, refused, others; /* items of the answer */
    size_t stored_count, refused_count, other_count;
    struct counted studies[STUDIES_MAX]; /* of what was stored */
    size_t study_count;
    bool several; /* more studies than one, in all */
    bool no_space, no_resources;
};

/* ---- what became of a part ---- */

static bool put_instance(struct vt_buf *list, const char *sop_class, const char *sop_uid, bool *first,
                         struct vt_err *err)
{
    return vt_buf_append_text(list, list->size > 0 ? ",{" : "{", err) &&
           vt_json_text(VT_TAG_REFERENCED_SOP_CLASS_UID, "UI", sop_class, first, list, err) &&
           vt_json_text(VT_TAG_REFERENCED_SOP_INSTANCE_UID, "UI", sop_uid, first, list, err);
}

static void write_trail(struct storing *s)
{
    for (size_t i = 0; i < s->study_count; i++)
        vt_web_trail_stored(s->console->trail, s->request, s->studies[i].study_uid, s->studies[i].instances);
    s->study_count = 0;
}

static void count(struct storing *s, const char *study_uid)
{
    size_t i = 0;

    while (i < s->study_count && strcmp(s->studies[i].study_uid, study_uid) != 0)
        i++;
    if (i == STUDIES_MAX) {
        write_trail(s);
        i = 0;
    }
    if (i == s->study_count) {
        s->several = s->several || i > 0;
        snprintf(s->studies[i].study_uid, sizeof s->studies[i].study_uid, "%s", study_uid);
        s->studies[i].instances = 0;
        s->study_count++;
    }
    s->studies[i].instances++;
}

static void tell_stored(struct storing *s, const struct vt_receive_result *result, const char *series_uid)
{
    struct vt_err err = { 0 };
    char url[1024];
    bool first = true;

    snprintf(url, sizeof url, "%s/studies/%s/series/%s/instances/%s", s->base, result->study_uid, series_uid, result->sop_uid);
    s->stored_count++;
    count(s, result->study_uid);
    put_instance(&s->stored, s->part10.sop_class_uid, result->sop_uid, &first, &err);
    vt_json_text(0x00081190, "UR", url, &first, &s->stored, &err);
    vt_buf_append_byte(&s->stored, '}', &err);
}

static void tell_refused(struct storing *s, uint16_t status, const char *why)
{
    struct vt_err err = { 0 };
    bool first = true;

    s->refused_count++;
    s->no_space |= status == 0xa700;
    s->no_resources |= (status & 0xff00) == 0xa700;
    put_instance(&s->refused, s->part10.sop_class_uid, s->part10.sop_instance_uid, &first, &err);
    vt_json_number(VT_TAG_FAILURE_REASON, "US", status ? status : 0x0110, &first, &s->refused, &err);
    vt_json_text(VT_TAG_ERROR_COMMENT, "LO", why, &first, &s->refused, &err);
    vt_buf_append_byte(&s->refused, '}', &err);
}

/* A part that is no instance at all. */
static void tell_other(struct storing *s, const char *why)
{
    struct vt_err err = { 0 };
    bool first = true;

    s->other_count++;
    vt_buf_append_text(&s->others, s->others.size > 0 ? ",{" : "{", &err);
    vt_json_text(VT_TAG_ERROR_COMMENT, "LO", why, &first, &s->others, &err);
    vt_json_number(VT_TAG_FAILURE_REASON, "US", 0xc000, &first, &s->others, &err);
    vt_buf_append_byte(&s->others, '}', &err);
}

/* ---- parts ---- */

static bool begin_part(void *context, const char *content_type, const char *content_location, struct vt_err *err)
{
    struct storing *s = context;

    s->is_dicom = strncasecmp(content_type, "application/dicom", 17) == 0 &&
                  strncasecmp(content_type, "application/dicom+", 18) != 0;
    s->is_json = s->json && !s->is_dicom;
    if (s->is_json && !vt_stow_json_begin(s->json, content_type, content_location, err))
        return false;
    s->begun = s->failed = false;
    s->part10 = (struct vt_part10){ 0 };
    vt_err_clear(&s->why);
    vt_buf_reset(&s->meta);
    return true;
}

static void fail_part(struct storing *s)
{
    s->failed = true;
    if (s->begun)
        vt_receive_abandon(s->receive);
}

static bool begin_instance(struct storing *s)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(s->part10.transfer_syntax_uid);
    const char *user = vt_request_user(s->request);
    const struct vt_receive_from from = {
        .sop_class_uid = *s->part10.sop_class_uid ? s->part10.sop_class_uid : NULL,
        .sop_instance_uid = *s->part10.sop_instance_uid ? s->part10.sop_instance_uid : NULL,
        .transfer_syntax_uid = s->part10.transfer_syntax_uid,
        .encoding = syntax ? syntax->encoding : VT_EXPLICIT_LE,
        .encapsulated = syntax && syntax->encapsulated,
        .calling_ae_title = *user ? user : "STOW",
        .host = vt_request_address(s->request),
    };

    if (!syntax)
        return vt_fail_dimse(&s->why, VT_E_UNSUPPORTED, 0xc122, "transfer syntax %s is not known",
                             s->part10.transfer_syntax_uid);
    return vt_receive_begin(s->receive, &from, &s->why);
}

/* Until group 0002 is whole, bytes are collected. */
static void try_begin(struct storing *s)
{
    struct vt_err why = { 0 };

    if (!vt_part10_read(s->meta.data, s->meta.size, &s->part10, &why) ||
        s->part10.data_set_offset > s->meta.size) {
        if (s->meta.size >= META_MAX) {
            s->why = why;
            fail_part(s);
        }
        return;
    }
    size_t offset = (size_t)s->part10.data_set_offset;
    if (!begin_instance(s)) {
        fail_part(s);
        return;
    }
    s->begun = true;
    if (!vt_receive_write(s->receive, s->meta.data + offset, s->meta.size - offset, &s->why))
        fail_part(s);
}

static bool part_bytes(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct storing *s = context;

    if (s->is_json)
        return vt_stow_json_bytes(s->json, bytes, size, err);
    if (!s->is_dicom || s->failed)
        return true;
    if (s->begun) {
        if (!vt_receive_write(s->receive, bytes, size, &s->why))
            fail_part(s);
        return true;
    }
    while (size > 0 && !s->begun && !s->failed) {
        size_t room = META_MAX - s->meta.size, piece = size < room ? size : room;
        if (!vt_buf_append(&s->meta, bytes, piece, err))
            return false;
        bytes += piece;
        size -= piece;
        try_begin(s);
    }
    if (s->begun && !s->failed && size > 0 && !vt_receive_write(s->receive, bytes, size, &s->why))
        fail_part(s);
    return true;
}

/* The path names a study: others are not for it (PS3.18 10.5.3). */
static bool wrong_study(const struct storing *s)
{
    char study[VT_UID_MAX + 1];

    vt_receive_text(s->receive, VT_TAG_STUDY_INSTANCE_UID, study, sizeof study);
    return *s->study && strcmp(s->study, study) != 0;
}

/* All its bytes are written. */
static void finish_instance(struct storing *s)
{
    struct vt_receive_result result = { 0 };
    char series_uid[VT_UID_MAX + 1];

    vt_receive_text(s->receive, VT_TAG_SERIES_INSTANCE_UID, series_uid, sizeof series_uid);
    if (wrong_study(s)) {
        vt_receive_abandon(s->receive);
        tell_refused(s, 0xc409, "it belongs to another study than the address says");
        return;
    }
    if (!vt_receive_commit(s->receive, &result, &s->why))
        tell_refused(s, s->why.dimse_status, s->why.text);
    else if (result.status == 0 || (result.status & 0xf000) == 0xb000)
        tell_stored(s, &result, series_uid);
    else
        tell_refused(s, result.status, result.comment);
}

static bool end_part(void *context, struct vt_err *err)
{
    struct storing *s = context;
    bool wrong;

    if (s->is_json) {
        if (!vt_stow_json_end(s->json, &wrong, err))
            return false;
        if (wrong)
            tell_other(s, err->text);
        vt_err_clear(err);
    } else if (!s->is_dicom || (!s->begun && !*s->part10.sop_instance_uid)) {
        tell_other(s, s->is_dicom ? "no DICOM file" : "neither application/dicom nor, in a body of that type, application/dicom+json");
    } else if (s->failed) {
        tell_refused(s, s->why.dimse_status, s->why.text);
    } else {
        finish_instance(s);
    }
    return true;
}

/* ---- DICOM JSON ---- */

static void store_json_instance(struct storing *s, const struct vt_json_data_set *data_set)
{
    s->begun = false;
    if (!vt_stow_json_syntax(s->json, data_set, s->part10.transfer_syntax_uid, &s->why) || !begin_instance(s) ||
        (s->begun = true, !vt_stow_json_write(s->json, data_set, s->part10.transfer_syntax_uid, vt_receive_write, s->receive, &s->why))) {
        if (s->begun)
            vt_receive_abandon(s->receive);
        tell_refused(s, s->why.dimse_status, s->why.text);
        return;
    }
    finish_instance(s);
}

static void store_json(struct storing *s)
{
    struct vt_json_data_set data_set;
    bool more = s->json != NULL;

    vt_json_data_set_init(&data_set);
    while (more) {
        vt_err_clear(&s->why);
        bool ok = vt_stow_json_next(s->json, &data_set, &more, &s->why);
        if (!more)
            break;
        memcpy(s->part10.sop_class_uid, data_set.sop_class_uid, sizeof s->part10.sop_class_uid);
        memcpy(s->part10.sop_instance_uid, data_set.sop_instance_uid, sizeof s->part10.sop_instance_uid);
        if (ok)
            store_json_instance(s, &data_set);
        else
            tell_refused(s, s->why.dimse_status, s->why.text);
    }
    vt_json_data_set_fini(&data_set);
}

/* ---- the request ---- */

static void storing_free(void *state)
{
    struct storing *s = state;

    write_trail(s); /* what was stored stays so, however the request ended */
    vt_multipart_fini(&s->reader);
    vt_receive_free(s->receive);
    vt_stow_json_free(s->json);
    vt_buf_fini(&s->meta);
    vt_buf_fini(&s->stored);
    vt_buf_fini(&s->refused);
    vt_buf_fini(&s->others);
    free(s);
}

/* Of the body; false: not for us. */
static bool read_type(const char *type, bool *out_json)
{
    struct vt_accept types;

    vt_accept_read(type, &types);
    if (!type || types.count == 0 || !types.ranges[0].multipart)
        return false;
    char *parts = types.ranges[0].type;
    parts[strcspn(parts, "; ")] = '\0'; /* its own parameters */
    *out_json = strcmp(parts, "application/dicom+json") == 0;
    return *out_json || strcmp(parts, "application/dicom") == 0;
}

static struct storing *storing_new(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    const char *type = vt_request_header(request, "Content-Type");
    struct vt_err err = { 0 };
    bool json = false;

    if (!read_type(type, &json)) {
        vt_answer_error(request, 415, "Instances come as multipart/related; type=\"application/dicom\" or \"application/dicom+json\".");
        return NULL;
    }
    struct storing *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->console = console;
    s->request = request;
    snprintf(s->study, sizeof s->study, "%s", vt_request_part(request, 0));
    vt_console_base_url(request, s->base, sizeof s->base);
    vt_buf_init(&s->meta, META_MAX);
    vt_buf_init(&s->stored, ANSWER_MAX);
    vt_buf_init(&s->refused, ANSWER_MAX);
    vt_buf_init(&s->others, ANSWER_MAX);
    s->reader = (struct vt_multipart){ begin_part, part_bytes, end_part, s, .parts = 0 };
    s->receive = vt_receive_new(console->options.archive, &err);
    s->json = json && s->receive ? vt_stow_json_new(console->options.archive, &err) : NULL;
    if (s->receive && (s->json || !json) && vt_multipart_init(&s->reader, type, &err)) {
        vt_request_set_state(request, s, storing_free);
        return s;
    }
    vt_answer_err(request, &err);
    storing_free(s);
    return NULL;
}

static bool piece(struct vt_request *request, const uint8_t *bytes, size_t size)
{
    struct storing *s = vt_request_state(request);
    struct vt_err err = { 0 };

    if (!s && !(s = storing_new(request)))
        return false;
    if (vt_multipart_feed(&s->reader, bytes, size, &err))
        return true;
    vt_answer_err(request, &err);
    return false;
}

static unsigned status_of(const struct storing *s)
{
    size_t failures = s->refused_count + s->other_count;

    if (failures == 0)
        return 200;
    if (s->stored_count > 0)
        return 202;
    return s->no_space ? 507 : s->no_resources ? 503 : 409;
}

static bool put_sequence(struct vt_buf *out, uint32_t tag, const struct vt_buf *items, bool *first, struct vt_err *err)
{
    if (items->size == 0)
        return true;
    bool ok = vt_buf_printf(out, err, "%s\"%08X\":{\"vr\":\"SQ\",\"Value\":[", *first ? "" : ",", tag) &&
              vt_buf_append(out, items->data, items->size, err) && vt_buf_append_text(out, "]}", err);
    *first = false;
    return ok;
}

/* Where the study is now, when it is one. */
static bool put_study_url(const struct storing *s, struct vt_buf *out, bool *first, struct vt_err *err)
{
    char url[1024];

    if (s->study_count == 0 || s->several)
        return true;
    snprintf(url, sizeof url, "%s/studies/%s", s->base, s->studies[0].study_uid);
    return vt_json_text(0x00081190, "UR", url, first, out, err);
}

static void store(struct vt_request *request)
{
    struct storing *s = vt_request_state(request);
    VT_AUTO_BUF(out, 3 * ANSWER_MAX + 1024);
    struct vt_err err = { 0 };
    bool first = true;

    if (!s) {
        vt_answer_error(request, 400, "The request has no body.");
        return;
    }
    if (!vt_multipart_finish(&s->reader, &err)) {
        vt_answer_err(request, &err);
        return;
    }
    store_json(s);
    bool ok = vt_buf_append_byte(&out, '{', &err) && vt_json_charset(&first, &out, &err) && put_study_url(s, &out, &first, &err) &&
              put_sequence(&out, VT_TAG_REFERENCED_SOP_SEQUENCE, &s->stored, &first, &err) &&
              put_sequence(&out, VT_TAG_FAILED_SOP_SEQUENCE, &s->refused, &first, &err) &&
              put_sequence(&out, 0x0008119a, &s->others, &first, &err) && vt_buf_append_text(&out, "}\n", &err);
    if (ok)
        vt_answer_buf(request, status_of(s), "application/dicom+json", &out);
    else
        vt_answer_err(request, &err);
}

const struct vt_route vt_stow_routes[] = {
    { "POST", VT_DICOM_WEB "/studies", VT_USER_OPERATOR, store, piece, STOW_BODY_MAX },
    { "POST", VT_DICOM_WEB "/studies/*", VT_USER_OPERATOR, store, piece, STOW_BODY_MAX },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};

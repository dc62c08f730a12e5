/* Search (QIDO-RS, PS3.18 10.6): parameters become the words of a query (archive/query.h), rows become JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/volume.h"
#include "console/console_inside.h"
#include "console/qido_words.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/json.h"

enum { BODY_MAX = 256 << 20 };

struct search {
    struct vt_request *request;
    const struct vt_console *console;
    enum vt_level level;
    bool with_study, with_series; /* attributes of these levels as well */
    char base[512];
    struct vt_qido_words ask;
    bool unsupported; /* something is to match that does not at this level */
    struct vt_buf out;
};

static const struct vt_json_rules row_rules = { .utf8 = true };

/* ---- what is asked ---- */

static bool read_request(struct search *search, struct vt_err *err)
{
    const char *key, *value;

    for (size_t i = 0; vt_request_query_at(search->request, i, &key, &value); i++)
        if (!vt_qido_words_parameter(&search->ask, key, value, err))
            return false;
    return vt_qido_words_usual(&search->ask, search->level, search->with_study, err);
}

/* ---- what is found ---- */

static bool put_row_texts(struct search *search, const struct vt_row *row, bool *first, struct vt_err *err)
{
    struct vt_buf *out = &search->out;
    char url[1024];
    bool ok = true;

    if (search->level == VT_LEVEL_STUDY)
        snprintf(url, sizeof url, "%s/studies/%s", search->base, row->study_uid);
    else if (search->level == VT_LEVEL_SERIES)
        snprintf(url, sizeof url, "%s/studies/%s/series/%s", search->base, row->study_uid, row->series_uid);
    else
        snprintf(url, sizeof url, "%s/studies/%s/series/%s/instances/%s", search->base, row->study_uid,
                 row->series_uid, row->sop_uid);
    ok = vt_json_text(0x00081190, "UR", url, first, out, err);
    if (ok && row->availability)
        ok = vt_json_text(VT_TAG_INSTANCE_AVAILABILITY, "CS", row->availability, first, out, err);
    if (ok && search->with_study && row->modalities)
        ok = vt_json_text(VT_TAG_MODALITIES_IN_STUDY, "CS", row->modalities, first, out, err) &&
             vt_json_number(VT_TAG_STUDY_RELATED_SERIES, "IS", (int64_t)row->study_series, first, out, err) &&
             vt_json_number(VT_TAG_STUDY_RELATED_INSTANCES, "IS", (int64_t)row->study_instances, first, out, err);
    if (ok && search->level == VT_LEVEL_SERIES)
        ok = vt_json_number(VT_TAG_SERIES_RELATED_INSTANCES, "IS", (int64_t)row->series_instances, first, out, err);
    return ok;
}

/* Unique keys are columns of the index, not attributes. */
static bool put_key(const struct vt_row *row, enum vt_level level, uint32_t tag, const char *uid, bool *first,
                    struct vt_buf *out, struct vt_err *err)
{
    struct vt_element found;

    if (!uid || (row->attributes[level].data &&
                 vt_element_find(row->attributes[level].data, row->attributes[level].size, VT_EXPLICIT_LE, tag, &found)))
        return true;
    return vt_json_text(tag, tag == VT_TAG_PATIENT_ID ? "LO" : "UI", uid, first, out, err);
}

static bool put_level(struct search *search, const struct vt_row *row, enum vt_level level, bool *first,
                      struct vt_err *err)
{
    const char *const uids[VT_LEVELS] = { row->patient_id, row->study_uid, row->series_uid, row->sop_uid };
    static const uint32_t tags[VT_LEVELS] = { VT_TAG_PATIENT_ID, VT_TAG_STUDY_INSTANCE_UID,
                                              VT_TAG_SERIES_INSTANCE_UID, VT_TAG_SOP_INSTANCE_UID };
    const struct vt_bytes *bytes = &row->attributes[level];

    return vt_json_elements(bytes->data, bytes->size, VT_EXPLICIT_LE, &row_rules, first, &search->out, err) &&
           put_key(row, level, tags[level], uids[level], first, &search->out, err) &&
           (level != VT_LEVEL_IMAGE ||
            (put_key(row, level, VT_TAG_SOP_CLASS_UID, row->sop_class, first, &search->out, err) &&
             put_key(row, level, VT_TAG_AVAILABLE_TRANSFER_SYNTAX_UID, row->transfer_syntax, first, &search->out, err)));
}

static bool put_row(struct search *search, const struct vt_row *row, bool is_first, struct vt_err *err)
{
    bool first = true;

    if (!vt_buf_append_text(&search->out, is_first ? "[{" : ",\n{", err) ||
        !vt_json_charset(&first, &search->out, err))
        return false;
    bool ok = !search->with_study || (put_level(search, row, VT_LEVEL_PATIENT, &first, err) &&
                                      put_level(search, row, VT_LEVEL_STUDY, &first, err));
    if (ok && (search->with_series || search->level == VT_LEVEL_SERIES))
        ok = put_level(search, row, VT_LEVEL_SERIES, &first, err);
    if (ok && search->level == VT_LEVEL_IMAGE)
        ok = put_level(search, row, VT_LEVEL_IMAGE, &first, err);
    if (ok && !search->with_study) /* the path named it; clients like to have it all the same */
        ok = put_key(row, VT_LEVEL_STUDY, VT_TAG_STUDY_INSTANCE_UID, row->study_uid, &first, &search->out, err);
    if (ok && search->level == VT_LEVEL_IMAGE && !search->with_series)
        ok = put_key(row, VT_LEVEL_SERIES, VT_TAG_SERIES_INSTANCE_UID, row->series_uid, &first, &search->out, err);
    return ok && put_row_texts(search, row, &first, err) && vt_buf_append_byte(&search->out, '}', err);
}

/* *more: there were more than the limit. */
static bool put_rows(struct search *search, struct vt_cursor *cursor, uint64_t *count, bool *more, struct vt_err *err)
{
    struct vt_row row;
    uint64_t skipped = 0;
    bool there = false;

    *count = 0;
    *more = false;
    while (vt_cursor_next(cursor, &row, &there, err)) {
        if (!there)
            return true;
        if (skipped < search->ask.offset) {
            skipped++;
            continue;
        }
        if (*count == search->ask.limit) {
            *more = true;
            return true;
        }
        if (!vt_volume_availability(search->console->options.archive, &row, err) ||
            !put_row(search, &row, *count == 0, err))
            return false;
        (*count)++;
    }
    return false;
}

/* Are there attributes to match that the query has no place for? Those to be returned do not count. */
static bool look_for_unsupported(struct search *search, const struct vt_query_rules *rules, struct vt_err *err)
{
    const char *matches[VT_QIDO_WORDS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < search->ask.count; i++) {
        const char *value = strchr(search->ask.words[i], '=');
        if (value && value[1] && strcmp(value, "=*") != 0)
            matches[count++] = search->ask.words[i];
    }
    VT_AUTO(vt_query) query = count > 0 ? vt_query_from_words(search->level, matches, count, rules, err) : NULL;
    search->unsupported = query && vt_query_has_unsupported(query);
    return query || count == 0;
}

static bool run(struct search *search, uint64_t *count, bool *more, struct vt_err *err)
{
    struct vt_query_rules rules = search->console->options.rules;

    if (!read_request(search, err))
        return false;
    rules.model = VT_MODEL_NONE;
    rules.relational = true;
    rules.fuzzy = search->ask.fuzzy;
    rules.max_matches = 0;
    VT_AUTO(vt_query)
    query = vt_query_from_words(search->level, (const char *const *)search->ask.words, search->ask.count, &rules, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    if (!plan)
        return false;
    if (!look_for_unsupported(search, &rules, err))
        return false;
    VT_AUTO(vt_cursor) cursor = vt_index_find(vt_archive_index(search->console->options.archive), plan, err);
    return cursor && put_rows(search, cursor, count, more, err);
}

static void answer(struct search *search, uint64_t count, bool more)
{
    struct vt_err err = { 0 };

    if (search->ask.ignored)
        vt_answer_header(search->request, "Warning",
                         "299 vitrine \"The parameters that are no attribute of DICOM were ignored\"");
    if (search->unsupported)
        vt_answer_header(search->request, "Warning", "299 vitrine \"Some attributes were not matched: not at this level\"");
    if (more)
        vt_answer_header(search->request, "Warning",
                         "299 vitrine \"There are more results than %llu: ask again with an offset\"",
                         (unsigned long long)search->ask.limit);
    vt_answer_header(search->request, "Cache-Control", "no-cache");
    if (count == 0) {
        vt_answer_bytes(search->request, 204, NULL, "", 0);
        return;
    }
    if (vt_buf_append_text(&search->out, "]\n", &err))
        vt_answer_buf(search->request, 200, "application/dicom+json", &search->out);
}

static void serve(struct vt_request *request, enum vt_level level, unsigned fixed)
{
    static const char *const keys[] = { "StudyInstanceUID", "SeriesInstanceUID" };
    vt_autofree struct search *search = calloc(1, sizeof *search);
    struct vt_err err = { 0 };
    uint64_t count = 0;
    bool more = false, ok = true;

    if (!search || !vt_console_takes_json(request))
        return;
    search->request = request;
    search->console = vt_request_context(request);
    search->level = level;
    search->with_study = fixed < 1;
    search->with_series = level == VT_LEVEL_IMAGE && fixed < 2;
    vt_qido_words_init(&search->ask);
    vt_buf_init(&search->out, BODY_MAX);
    vt_console_base_url(request, search->base, sizeof search->base);
    for (unsigned i = 0; ok && i < fixed; i++)
        ok = vt_uid_usable(vt_request_part(request, i))
                 ? vt_qido_words_add(&search->ask, keys[i], vt_request_part(request, i), &err)
                 : vt_fail(&err, VT_E_INVALID, "'%.80s' is not a UID", vt_request_part(request, i));
    ok = ok && run(search, &count, &more, &err);
    if (ok)
        answer(search, count, more);
    else
        vt_answer_err(request, &err);
    vt_qido_words_fini(&search->ask);
    vt_buf_fini(&search->out);
}

static void studies(struct vt_request *request)
{
    serve(request, VT_LEVEL_STUDY, 0);
}

static void all_series(struct vt_request *request)
{
    serve(request, VT_LEVEL_SERIES, 0);
}

static void all_instances(struct vt_request *request)
{
    serve(request, VT_LEVEL_IMAGE, 0);
}

static void series_of_study(struct vt_request *request)
{
    serve(request, VT_LEVEL_SERIES, 1);
}

static void instances_of_study(struct vt_request *request)
{
    serve(request, VT_LEVEL_IMAGE, 1);
}

static void instances_of_series(struct vt_request *request)
{
    serve(request, VT_LEVEL_IMAGE, 2);
}

const struct vt_route vt_qido_routes[] = {
    { "GET", VT_DICOM_WEB "/studies", VT_USER_VIEWER, studies, NULL, 0 },
    { "GET", VT_DICOM_WEB "/series", VT_USER_VIEWER, all_series, NULL, 0 },
    { "GET", VT_DICOM_WEB "/instances", VT_USER_VIEWER, all_instances, NULL, 0 },
    { "GET", VT_DICOM_WEB "/studies/*/series", VT_USER_VIEWER, series_of_study, NULL, 0 },
    { "GET", VT_DICOM_WEB "/studies/*/instances", VT_USER_VIEWER, instances_of_study, NULL, 0 },
    { "GET", VT_DICOM_WEB "/studies/*/series/*/instances", VT_USER_VIEWER, instances_of_series, NULL, 0 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};

#include "cmd/verbs_worklist.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "archive/admin_rows.h"
#include "archive/archive.h"
#include "archive/worklist.h"
#include "archive/worklist_csv.h"
#include "archive/worklist_step.h"
#include "cmd/admin_verbs.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/io.h"

enum { STEPS_SHOWN = 200 };

/* ---- taking entries in ---- */

static bool put(struct vt_archive *archive, const char *source, const struct vt_buf *attributes,
                struct vt_worklist_counts *counts, struct vt_err *err)
{
    enum vt_worklist_put what;

    if (!vt_worklist_put(archive, source, attributes->data, attributes->size, &counts->last, &what, err))
        return false;
    counts->added += what == VT_WORKLIST_NEW;
    counts->changed += what == VT_WORKLIST_CHANGED;
    counts->same += what == VT_WORKLIST_SAME;
    return true;
}

struct table {
    struct vt_archive *archive;
    const char *path;
    struct vt_worklist_counts *counts;
    bool (*trouble)(void *context, const char *path, uint64_t line, const char *text, struct vt_err *err);
    void *context;
};

/* A line that is no entry is told; the others go on. */
static bool on_line(void *context, size_t line, const char *const words[], size_t count, const char *bad,
                    struct vt_err *err)
{
    struct table *table = context;
    VT_AUTO_BUF(attributes, VT_WORKLIST_BYTES_MAX);
    struct vt_err why = { 0 };

    if (!bad && vt_worklist_from_words(words, count, &attributes, &why) &&
        put(table->archive, "", &attributes, table->counts, &why))
        return true;
    if (why.code == VT_E_NOMEM || why.code == VT_E_FULL || why.code == VT_E_IO) {
        *err = why;
        return false;
    }
    table->counts->failed++;
    return table->trouble(table->context, table->path, line, bad ? bad : why.text, err);
}

static bool is_table(const char *path)
{
    size_t length = strlen(path);

    return length > 4 && strcasecmp(path + length - 4, ".csv") == 0;
}

bool vt_worklist_take_file(struct vt_archive *archive, const char *path, const char *source, const char *charset,
                           struct vt_worklist_counts *counts,
                           bool (*trouble)(void *context, const char *path, uint64_t line, const char *text,
                                           struct vt_err *err),
                           void *context, struct vt_err *err)
{
    VT_AUTO_BUF(attributes, VT_WORKLIST_BYTES_MAX);
    VT_AUTO_BUF(text, VT_WORKLIST_CSV_MAX);
    struct table table = { archive, path, counts, trouble, context };
    struct vt_err why = { 0 };

    if (is_table(path))
        return vt_io_read_file(path, &text, err) &&
               vt_worklist_csv(text.data, text.size, charset, on_line, &table, err);
    if (vt_worklist_from_file(path, charset, &attributes, &why) && put(archive, source, &attributes, counts, &why))
        return true;
    if (why.code == VT_E_NOMEM) {
        *err = why;
        return false;
    }
    counts->failed++;
    return trouble(context, path, 0, why.text, err);
}

static bool tell_trouble(void *context, const char *path, uint64_t line, const char *text, struct vt_err *err)
{
    struct vt_admin_call *call = context;
    json_t *row = json_pack("{s:s, s:I, s:s}", "file", path, "line", (json_int_t)line, "failed", text);

    return vt_admin_send(&call->admin, row, err);
}

static bool add_words(struct vt_admin_call *call, struct vt_worklist_counts *counts, struct vt_err *err)
{
    VT_AUTO_BUF(attributes, VT_WORKLIST_BYTES_MAX);

    return vt_worklist_from_words(call->args, call->arg_count, &attributes, err) &&
           put(call->admin.archive, "", &attributes, counts, err);
}

static bool add_files(struct vt_admin_call *call, struct vt_worklist_counts *counts, struct vt_err *err)
{
    const char *charset = json_string_value(json_object_get(call->options, "charset"));

    for (size_t i = 0; i < call->arg_count; i++) {
        const char *path = call->args[i];
        if (path[0] != '/')
            return vt_fail(err, VT_E_INVALID, "'%.80s' is neither KEY=VALUE nor an absolute path", path);
        if (!vt_worklist_take_file(call->admin.archive, path, "", charset, counts, tell_trouble, call, err))
            return vt_fail_context(err, "%.120s", path);
    }
    return true;
}

bool vt_verb_worklist_add(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    struct vt_worklist_counts counts = { 0 };
    size_t words = 0;

    for (size_t i = 0; i < call->arg_count; i++)
        words += call->args[i][0] != '/' && strchr(call->args[i], '=') != NULL;
    if (words > 0 && words < call->arg_count)
        return vt_fail(err, VT_E_INVALID, "name files or KEY=VALUE, not both");
    if (!(words > 0 ? add_words(call, &counts, err) : add_files(call, &counts, err)))
        return false;
    json_object_set_new(result, "entry", json_integer(counts.last));
    json_object_set_new(result, "added", json_integer((json_int_t)counts.added));
    json_object_set_new(result, "changed", json_integer((json_int_t)counts.changed));
    json_object_set_new(result, "same", json_integer((json_int_t)counts.same));
    json_object_set_new(result, "failed", json_integer((json_int_t)counts.failed));
    return true;
}

/* ---- the list ---- */

static bool on_entry(void *context, const struct vt_worklist_entry *entry, const uint8_t *attributes, size_t size,
                     struct vt_err *err)
{
    struct vt_admin_call *call = context;
    char start[24];

    (void)attributes, (void)size;
    snprintf(start, sizeof start, "%.4s-%.2s-%.2s %.2s:%.2s", entry->date, entry->date + 4, entry->date + 6,
             entry->time, entry->time + 2);
    json_t *row = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "entry", (json_int_t)entry->id, "state",
                            vt_worklist_state_name(entry->state), "start", start, "station", entry->station, "modality",
                            entry->modality, "patient_id", entry->patient_id, "patient_name", entry->patient_name,
                            "accession", entry->accession, "description", entry->description);
    if (row) {
        json_object_set_new(row, "step", json_string(entry->step_id));
        json_object_set_new(row, "study_uid", json_string(entry->study_uid));
        json_object_set_new(row, "source", json_string(entry->source));
    }
    return vt_admin_send(&call->admin, row, err);
}

bool vt_verb_worklist_list(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    bool all = json_is_true(json_object_get(call->options, "all"));

    (void)result;
    return vt_worklist_each(call->admin.archive, all, on_entry, call, err);
}

bool vt_verb_worklist_remove(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    for (size_t i = 0; i < call->arg_count; i++) {
        char *end;
        errno = 0;
        long long id = strtoll(call->args[i], &end, 10);
        if (errno || end == call->args[i] || *end || id <= 0)
            return vt_fail(err, VT_E_INVALID, "'%.40s' is not the number of an entry", call->args[i]);
        if (!vt_worklist_remove(call->admin.archive, id, err))
            return false;
    }
    json_object_set_new(result, "removed", json_integer((json_int_t)call->arg_count));
    return true;
}

/* ---- performed steps ---- */

/* What a step names, against what has come. */
struct comparing {
    struct vt_admin_call *call;
    bool list; /* a row for each that is missing */
    uint64_t missing;
};

static bool look_for(void *context, const char *series_uid, const char *sop_class, const char *sop_uid,
                     struct vt_err *err)
{
    struct comparing *comparing = context;
    struct vt_index_entry entry;
    bool found;

    if (!vt_index_lookup(vt_archive_index(comparing->call->admin.archive), sop_uid, &entry, &found, err))
        return false;
    comparing->missing += !found;
    return found || !comparing->list ||
           vt_admin_send(&comparing->call->admin,
                         json_pack("{s:s, s:s, s:s}", "missing", sop_uid, "series", series_uid, "class", sop_class),
                         err);
}

static bool on_step(void *context, const struct vt_step *step, const uint8_t *attributes, size_t size,
                    struct vt_err *err)
{
    struct comparing comparing = { .call = context };
    char changed[VT_CLOCK_TEXT_MAX];

    if (!vt_step_instances(attributes, size, look_for, &comparing, err))
        return false;
    vt_clock_text(step->changed, changed);
    return vt_admin_send(&comparing.call->admin,
                         json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "step", step->sop_uid, "state",
                                   vt_step_state_name(step->state), "peer", step->peer, "study_uid", step->study_uid,
                                   "instances", (json_int_t)step->announced, "missing",
                                   (json_int_t)comparing.missing, "changed", changed),
                         err);
}

bool vt_verb_mpps_list(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    bool all = json_is_true(json_object_get(call->options, "all"));

    (void)result;
    return vt_step_each(call->admin.archive, NULL, all ? 0 : STEPS_SHOWN, on_step, call, err);
}

static bool on_shown(void *context, const struct vt_step *step, const uint8_t *attributes, size_t size,
                     struct vt_err *err)
{
    struct comparing *comparing = context;

    comparing->list = true;
    return on_step(comparing->call, step, attributes, size, err) &&
           vt_step_instances(attributes, size, look_for, comparing, err);
}

bool vt_verb_mpps_show(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    struct comparing comparing = { .call = call };

    if (!vt_step_each(call->admin.archive, call->args[0], 1, on_shown, &comparing, err))
        return false;
    if (!comparing.list)
        return vt_fail(err, VT_E_NOTFOUND, "there is no performed procedure step '%.64s'", call->args[0]);
    json_object_set_new(result, "missing", json_integer((json_int_t)comparing.missing));
    return true;
}

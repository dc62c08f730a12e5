/* Archive verbs of the command line under /api, run inside the node by whoever started the console: a study sent, volumes. */
#include "console/api_inside.h"
#include "core/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 4096 };

bool vt_api_verb(struct vt_request *request, const struct vt_console_verb *verb, json_t **out_result, struct vt_err *err)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_console_verb asked = *verb;

    asked.who = vt_api_person(request);
    return console->options.verb ? console->options.verb(console->options.verb_context, &asked, out_result, err)
                                 : vt_fail(err, VT_E_UNSUPPORTED, "This node has no such verb.");
}

/* {"rows":[...]} of a verb without words. */
static void answer_rows(struct vt_request *request, const char *first, const char *second)
{
    json_t *rows = json_array(), *result = NULL;
    const struct vt_console_verb verb = {
        .words = { first, second }, .word_count = second ? 2 : 1, .row = vt_api_row, .row_context = rows
    };
    struct vt_err err = { 0 };

    if (vt_api_verb(request, &verb, &result, &err))
        vt_answer_json(request, 200, json_pack("{s:O}", "rows", rows));
    else
        vt_answer_err(request, &err);
    json_decref(rows);
    json_decref(result);
}

static void volumes(struct vt_request *request)
{
    answer_rows(request, "volume", "list");
}

static void node_status(struct vt_request *request)
{
    answer_rows(request, "status", NULL);
}

/* ---- a study ---- */

static bool is_uid(const char *uid)
{
    size_t length = strlen(uid);

    return length > 0 && length <= VT_UID_MAX && strspn(uid, "0123456789.") == length;
}

bool vt_api_study_words(const struct vt_request *request, const char *series, struct vt_api_words *out)
{
    const char *study = vt_request_part(request, 0);

    if (!is_uid(study) || (series && !is_uid(series)))
        return false;
    *out = (struct vt_api_words){ .count = 0 };
    snprintf(out->text[0], sizeof out->text[0], "StudyInstanceUID=%s", study);
    out->words[out->count] = out->text[0];
    out->count++;
    if (series) {
        snprintf(out->text[1], sizeof out->text[1], "SeriesInstanceUID=%s", series);
        out->words[out->count] = out->text[1];
        out->count++;
    }
    return true;
}

/* {"peer":"NAME","series":"UID"}; without a series all of the study. */
static void send_study(struct vt_request *request)
{
    const struct vt_buf *body = vt_request_body(request);
    json_t *said = json_loadb((const char *)body->data, body->size, 0, NULL), *result = NULL;
    json_t *options = json_pack("{s:b}", "background", 1);
    struct vt_api_words words;
    const char *args[1 + VT_API_WORDS] = { json_string_value(json_object_get(said, "peer")) };
    struct vt_err err = { 0 };

    if (!args[0] || !vt_api_study_words(request, json_string_value(json_object_get(said, "series")), &words)) {
        vt_answer_error(request, 400, "Which study, and to whom? The body is {\"peer\":\"NAME\"}.");
    } else {
        memcpy(args + 1, words.words, words.count * sizeof *args);
        const struct vt_console_verb verb = {
            .words = { "send" }, .word_count = 1, .args = args, .arg_count = 1 + words.count, .options = options
        };
        if (vt_api_verb(request, &verb, &result, &err))
            vt_answer_json(request, 200, json_incref(result));
        else
            vt_answer_err(request, &err);
    }
    json_decref(result);
    json_decref(options);
    json_decref(said);
}

const struct vt_route vt_verbs_routes[] = {
    { "GET", "/api/volumes", VT_USER_VIEWER, volumes, NULL, 0 },
    { "GET", "/api/node", VT_USER_VIEWER, node_status, NULL, 0 },
    { "POST", "/api/studies/*/send", VT_USER_OPERATOR, send_study, NULL, BODY_MAX },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};

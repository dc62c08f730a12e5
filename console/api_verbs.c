/* Archive verbs of the command line under /api, run inside the node by whoever started the console: a study sent or taken along as one
 * file, volumes. */
#include "console/api_inside.h"
#include "console/http_inside.h"
#include "core/err.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BODY_MAX = 4096, PATH_ROOM = 4096, WORD_MAX = 128, EXPORT_S = 3600 };

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

static bool study_word(const struct vt_request *request, char out[static WORD_MAX])
{
    const char *uid = vt_request_part(request, 0);
    size_t length = strlen(uid);

    if (length == 0 || length > VT_UID_MAX || strspn(uid, "0123456789.") != length)
        return false;
    snprintf(out, WORD_MAX, "StudyInstanceUID=%s", uid);
    return true;
}

/* {"peer":"NAME"} */
static void send_study(struct vt_request *request)
{
    const struct vt_buf *body = vt_request_body(request);
    json_t *said = json_loadb((const char *)body->data, body->size, 0, NULL), *result = NULL;
    json_t *options = json_pack("{s:b}", "background", 1);
    char word[WORD_MAX];
    const char *args[] = { json_string_value(json_object_get(said, "peer")), word };
    const struct vt_console_verb verb = { .words = { "send" }, .word_count = 1, .args = args, .arg_count = 2, .options = options };
    struct vt_err err = { 0 };

    if (!args[0] || !study_word(request, word))
        vt_answer_error(request, 400, "Which study, and to whom? The body is {\"peer\":\"NAME\"}.");
    else if (vt_api_verb(request, &verb, &result, &err))
        vt_answer_json(request, 200, json_incref(result));
    else
        vt_answer_err(request, &err);
    json_decref(result);
    json_decref(options);
    json_decref(said);
}

/* A name in staging, which is swept when the node starts. */
static bool name_file(const struct vt_console *console, const char *as, char out[static PATH_ROOM])
{
    uint64_t number;

    return getrandom(&number, sizeof number, 0) == (ssize_t)sizeof number &&
           snprintf(out, PATH_ROOM, "%s/staging/export-%016llx.%s", vt_archive_path(console->options.archive),
                    (unsigned long long)number, as) < PATH_ROOM;
}

static void answer_made(struct vt_request *request, const char *path, const char *as)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat file;

    unlink(path);
    if (fd < 0 || fstat(fd, &file) != 0) {
        if (fd >= 0)
            close(fd);
        vt_answer_error(request, 500, "The file that was made is not there.");
        return;
    }
    vt_answer_header(request, "Content-Disposition", "attachment; filename=\"study-%s.%s\"", vt_request_part(request, 0), as);
    vt_answer_header(request, "Cache-Control", "no-store");
    vt_answer_file(request, strcmp(as, "zip") == 0 ? "application/zip" : "application/x-iso9660-image", fd, 0, (uint64_t)file.st_size);
}

/* ?as=zip (default) or iso: a file-set with DICOMDIR, made whole before the first byte goes. */
static void export_study(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    const char *as = vt_request_query(request, "as");
    char word[WORD_MAX], path[PATH_ROOM];
    const char *args[] = { word };
    json_t *result = NULL;
    struct vt_err err = { 0 };

    as = as ? as : "zip";
    if (!study_word(request, word) || (strcmp(as, "zip") != 0 && strcmp(as, "iso") != 0)) {
        vt_answer_error(request, 400, "A study is exported as zip or iso.");
        return;
    }
    if (!name_file(console, as, path)) {
        vt_answer_error(request, 503, "There is no name for a file.");
        return;
    }
    MHD_set_connection_option(request->connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)EXPORT_S);
    json_t *options = json_pack("{s:s}", "output", path);
    const struct vt_console_verb verb = { .words = { "export" }, .word_count = 1, .args = args, .arg_count = 1, .options = options };
    if (vt_api_verb(request, &verb, &result, &err))
        answer_made(request, path, as);
    else
        vt_answer_err(request, &err);
    unlink(path);
    json_decref(result);
    json_decref(options);
}

const struct vt_route vt_verbs_routes[] = {
    { "GET", "/api/volumes", VT_USER_VIEWER, volumes, NULL, 0 },
    { "GET", "/api/node", VT_USER_VIEWER, node_status, NULL, 0 },
    { "POST", "/api/studies/*/send", VT_USER_OPERATOR, send_study, NULL, BODY_MAX },
    { "GET", "/api/studies/*/export", VT_USER_VIEWER, export_study, NULL, 0 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};

/* Studies that leave as files, under /api: as one file at once, or as a job whose file is fetched when it is done, lies in a folder of
 * the server, or is burned. Without http.exports the folder is the archive's, and what lies there goes after a day. */
#include "archive/archive.h"
#include "console/api_inside.h"
#include "console/http_inside.h"
#include "core/clock.h"
#include "core/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BODY_MAX = 4096, PATH_ROOM = 4096, NAME_ROOM = 160, EXPORT_S = 3600, KEEP_S = 24 * 3600, ROWS_MAX = 1000, FOLDER_MODE = 0750 };

static const char burner_prefix[] = "burner:";

static const struct vt_console_options *options_of(const struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);

    return &console->options;
}

/* ---- at once ---- */

/* A name in staging, which is swept when the node starts. */
static bool name_file(const struct vt_request *request, const char *as, char out[static PATH_ROOM])
{
    uint64_t number;

    return getrandom(&number, sizeof number, 0) == (ssize_t)sizeof number &&
           snprintf(out, PATH_ROOM, "%s/staging/export-%016llx.%s", vt_archive_path(options_of(request)->archive),
                    (unsigned long long)number, as) < PATH_ROOM;
}

static const char *type_of(const char *name)
{
    const char *end = strrchr(name, '.');

    return end && strcmp(end, ".zip") == 0 ? "application/zip" : "application/x-iso9660-image";
}

/* Takes the descriptor, which may be none. */
static void answer_open(struct vt_request *request, int fd, const char *name)
{
    struct stat file;

    if (fd < 0 || fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
        if (fd >= 0)
            close(fd);
        vt_answer_error(request, 404, "There is no such file.");
        return;
    }
    vt_answer_header(request, "Content-Disposition", "attachment; filename=\"%s\"", name);
    vt_answer_header(request, "Cache-Control", "no-store");
    vt_answer_file(request, type_of(name), fd, 0, (uint64_t)file.st_size);
}

/* ?as=zip (default) or iso, &series=UID: a file-set with DICOMDIR, made whole before the first byte goes. */
static void export_now(struct vt_request *request)
{
    const char *as = vt_request_query(request, "as"), *series = vt_request_query(request, "series");
    char path[PATH_ROOM], name[NAME_ROOM];
    struct vt_api_words words;
    json_t *result = NULL;
    struct vt_err err = { 0 };

    as = as ? as : "zip";
    if (!vt_api_study_words(request, series, &words) || (strcmp(as, "zip") != 0 && strcmp(as, "iso") != 0)) {
        vt_answer_error(request, 400, "A study or series is exported as zip or iso.");
        return;
    }
    if (!name_file(request, as, path)) {
        vt_answer_error(request, 503, "There is no name for a file.");
        return;
    }
    MHD_set_connection_option(request->connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)EXPORT_S);
    json_t *options = json_pack("{s:s}", "output", path);
    const struct vt_console_verb verb = {
        .words = { "export" }, .word_count = 1, .args = words.words, .arg_count = words.count, .options = options
    };
    if (vt_api_verb(request, &verb, &result, &err)) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        snprintf(name, sizeof name, "%s-%s.%s", series ? "series" : "study", series ? series : vt_request_part(request, 0), as);
        unlink(path);
        answer_open(request, fd, name);
    } else {
        vt_answer_err(request, &err);
    }
    unlink(path);
    json_decref(result);
    json_decref(options);
}

/* ---- the folder ---- */

static bool folder_of(const struct vt_request *request, char out[static PATH_ROOM])
{
    const struct vt_console_options *options = options_of(request);
    int length = options->exports ? snprintf(out, PATH_ROOM, "%s", options->exports)
                                  : snprintf(out, PATH_ROOM, "%s/exports", vt_archive_path(options->archive));

    return length > 0 && length < PATH_ROOM && (options->exports || mkdir(out, FOLDER_MODE) == 0 || errno == EEXIST);
}

/* No hidden one (being written), nothing that leads elsewhere. */
static bool is_name(const char *name)
{
    size_t length = strlen(name);

    return length > 0 && length < NAME_ROOM && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length;
}

/* Calls for each file, until it says false. */
static void each_file(const char *path, bool (*each)(void *context, int folder, const char *name, const struct stat *file), void *context)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    struct stat file;

    while (folder && (entry = readdir(folder)))
        if (is_name(entry->d_name) && fstatat(dirfd(folder), entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(file.st_mode) &&
            !each(context, dirfd(folder), entry->d_name, &file))
            break;
    if (folder)
        closedir(folder);
}

static bool remove_old(void *context, int folder, const char *name, const struct stat *file)
{
    const time_t *now = context;

    if (*now - file->st_mtime > KEEP_S)
        unlinkat(folder, name, 0);
    return true;
}

static bool add_row(void *context, int folder, const char *name, const struct stat *file)
{
    json_t *rows = context;

    (void)folder;
    json_array_append_new(rows, json_pack("{s:s, s:I, s:I}", "name", name, "bytes", (json_int_t)file->st_size, "at",
                                          (json_int_t)file->st_mtime * 1000));
    return json_array_size(rows) < ROWS_MAX;
}

static void sweep(const struct vt_request *request, const char *folder)
{
    time_t now = time(NULL);

    if (!options_of(request)->exports)
        each_file(folder, remove_old, &now);
}

static void list(struct vt_request *request)
{
    const struct vt_console_options *options = options_of(request);
    char folder[PATH_ROOM];

    if (!folder_of(request, folder)) {
        vt_answer_error(request, 503, "The folder of exports cannot be made.");
        return;
    }
    sweep(request, folder);
    json_t *rows = json_array(), *burners = json_array();
    each_file(folder, add_row, rows);
    for (size_t i = 0; i < options->burner_count; i++)
        json_array_append_new(burners, json_string(options->burners[i]));
    vt_answer_json(request, 200, json_pack("{s:o, s:s, s:i, s:o}", "rows", rows, "folder", folder, "keep_s",
                                           options->exports ? 0 : KEEP_S, "burners", burners));
}

/* false: answered. */
static bool path_of(struct vt_request *request, char out[static PATH_ROOM])
{
    const char *name = vt_request_part(request, 0);
    char folder[PATH_ROOM];

    if (is_name(name) && folder_of(request, folder) && snprintf(out, PATH_ROOM, "%s/%s", folder, name) < PATH_ROOM)
        return true;
    vt_answer_error(request, 404, "There is no such file.");
    return false;
}

static void fetch(struct vt_request *request)
{
    char path[PATH_ROOM];

    if (path_of(request, path))
        answer_open(request, open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), vt_request_part(request, 0));
}

static void discard(struct vt_request *request)
{
    char path[PATH_ROOM];

    if (!path_of(request, path))
        return;
    if (unlink(path) == 0)
        vt_answer_json(request, 200, json_pack("{s:s}", "name", vt_request_part(request, 0)));
    else
        vt_answer_error(request, 404, "There is no such file.");
}

/* ---- as a job ---- */

/* "zip", "iso", "folder" (in http.exports only) or "burner:NAME". NULL with err. */
static json_t *job_options(const struct vt_request *request, const char *as, bool deidentify, struct vt_err *err)
{
    static const char *const ends[][2] = { { "zip", ".zip" }, { "iso", ".iso" }, { "folder", "" } };
    const bool burn = strncmp(as, burner_prefix, sizeof burner_prefix - 1) == 0;
    char folder[PATH_ROOM], when[32], output[PATH_ROOM];
    const time_t now = time(NULL);
    struct tm parts;
    size_t i = 0;

    while (i < VT_COUNT(ends) && strcmp(ends[i][0], as) != 0)
        i++;
    if (!burn && (i == VT_COUNT(ends) || (!*ends[i][1] && !options_of(request)->exports))) {
        vt_fail(err, VT_E_INVALID, "An export is a zip, an iso, burner:NAME, or a folder when http.exports names where.");
        return NULL;
    }
    if (burn)
        return json_pack("{s:b, s:s, s:s*}", "background", 1, "burn", as + sizeof burner_prefix - 1, "deidentify",
                         deidentify ? "basic" : NULL);
    if (!folder_of(request, folder)) {
        vt_fail(err, VT_E_IO, "The folder of exports cannot be made.");
        return NULL;
    }
    sweep(request, folder);
    strftime(when, sizeof when, "%Y%m%d-%H%M%S", localtime_r(&now, &parts));
    if (snprintf(output, sizeof output, "%s/%s-%s%s", folder, vt_request_part(request, 0), when, ends[i][1]) >= PATH_ROOM) {
        vt_fail(err, VT_E_LIMIT, "The folder's name is too long.");
        return NULL;
    }
    return json_pack("{s:b, s:s, s:s*}", "background", 1, "output", output, "deidentify", deidentify ? "basic" : NULL);
}

/* {"as":"zip","deidentify":false,"series":"UID"} */
static void export_later(struct vt_request *request)
{
    const struct vt_buf *body = vt_request_body(request);
    json_t *said = json_loadb((const char *)body->data, body->size, 0, NULL), *result = NULL;
    const char *as = json_string_value(json_object_get(said, "as"));
    struct vt_api_words words;
    struct vt_err err = { 0 };

    if (!as || !vt_api_study_words(request, json_string_value(json_object_get(said, "series")), &words)) {
        vt_answer_error(request, 400, "Which study, and as what? The body is {\"as\":\"zip\"}.");
        json_decref(said);
        return;
    }
    json_t *options = job_options(request, as, json_is_true(json_object_get(said, "deidentify")), &err);
    const struct vt_console_verb verb = {
        .words = { "export" }, .word_count = 1, .args = words.words, .arg_count = words.count, .options = options
    };
    if (options && vt_api_verb(request, &verb, &result, &err))
        vt_answer_json(request, 200, json_pack("{s:O, s:s}", "job", json_object_get(result, "job"), "text",
                                               "It is being made: Transfers shows how far it is."));
    else
        vt_answer_err(request, &err);
    json_decref(result);
    json_decref(options);
    json_decref(said);
}

const struct vt_route vt_exports_routes[] = {
    { "GET", "/api/studies/*/export", VT_USER_VIEWER, export_now, NULL, 0 },
    { "POST", "/api/studies/*/export", VT_USER_OPERATOR, export_later, NULL, BODY_MAX },
    { "GET", "/api/exports", VT_USER_VIEWER, list, NULL, 0 },
    { "GET", "/api/exports/*", VT_USER_VIEWER, fetch, NULL, 0 },
    { "DELETE", "/api/exports/*", VT_USER_OPERATOR, discard, NULL, 0 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};

/* The archive verbs on the command line: run by vitrined over its control socket, or here when
 * nobody holds the archive. */
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/cli.h"
#include "cmd/control.h"
#include "cmd/progress.h"
#include "cmd/shed.h"
#include "cmd/table.h"
#include "cmd/verbs_user.h"
#include "console/users.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/net.h"

enum { SENTENCE_MAX = 512, WHO_MAX = 64 };

/* How the rows and the result of a verb are shown to people. */
struct showing {
    const char *words[2];
    enum vt_layout layout;
    const char *sentence; /* of the result; {key} is replaced; NULL: nothing */
    const char *nothing;  /* when there was no row; NULL: nothing */
    /* Up to one without a key; NULL: what the first row has. */
    const struct vt_column_spec *columns;
};

static const struct vt_column_spec study_columns[] = {
    { "PatientName", "PatientName" },
    { "PatientID", "PatientID" },
    { "StudyDate", "StudyDate" },
    { "StudyTime", "StudyTime" },
    { "ModalitiesInStudy", "Modalities" },
    { "AccessionNumber", "Accession" },
    { "StudyDescription", "StudyDescription" },
    { "NumberOfStudyRelatedSeries", "Series" },
    { "NumberOfStudyRelatedInstances", "Instances" },
    { "bytes", "bytes" },
    { "StudyInstanceUID", "StudyInstanceUID" },
    { NULL, NULL },
};

static const struct vt_column_spec job_columns[] = {
    { "id", "id" },         { "kind", "kind" },         { "peer", "peer" },
    { "state", "state" },   { "done", "done" },         { "instances", "of" },
    { "failed", "failed" }, { "attempts", "attempts" }, { "next_attempt", "next attempt" },
    { "subject", "subject" }, { "reason", "reason" },   { NULL, NULL },
};

static const struct vt_column_spec import_columns[] = {
    { "file", "file" },     { "result", "result" }, { "sop_instance_uid", "SOPInstanceUID" },
    { "status", "status" }, { "bytes", "bytes" },   { "text", "text" },
    { NULL, NULL },
};

static const struct vt_column_spec instance_columns[] = {
    { "SOPInstanceUID", "SOPInstanceUID" },
    { "TransferSyntaxUID", "TransferSyntaxUID" },
    { "version", "version" },
    { "size", "size" },
    { "arrived", "arrived" },
    { "digest", "digest" },
    { "file", "file" },
    { NULL, NULL },
};

static const struct vt_column_spec commitment_columns[] = {
    { "id", "id" },
    { "peer", "peer" },
    { "asked", "asked" },
    { "instances", "instances" },
    { "failed", "failed" },
    { "state", "state" },
    { "text", "text" },
    { "transaction_uid", "transaction_uid" },
    { NULL, NULL },
};

static const struct vt_column_spec commitment_items[] = {
    { "SOPInstanceUID", "SOPInstanceUID" },
    { "result", "result" },
    { "size", "size" },
    { "sha256", "sha256" },
    { "checked", "checked" },
    { NULL, NULL },
};

static const struct vt_column_spec volume_columns[] = {
    { "volume", "volume" },       { "class", "class" },
    { "state", "state" },         { "availability", "availability" },
    { "instances", "instances" }, { "bytes", "bytes" },
    { "free", "free" },           { "total", "total" },
    { "days_until_full", "days until full" },
    { "path", "path" },           { NULL, NULL },
};

static const struct vt_column_spec worklist_columns[] = {
    { "entry", "entry" },           { "state", "state" },
    { "start", "start" },           { "station", "station" },
    { "modality", "modality" },     { "patient_id", "patient" },
    { "patient_name", "name" },     { "accession", "accession" },
    { "description", "description" }, { "failed", "failed" },
    { NULL, NULL },
};
static const struct vt_column_spec mpps_columns[] = {
    { "step", "step" },           { "state", "state" },     { "peer", "peer" },
    { "instances", "instances" }, { "missing", "missing" }, { "study_uid", "study" },
    { "changed", "changed" },     { NULL, NULL },
};
static const struct vt_column_spec trouble_columns[] = {
    { "file", "file" },
    { "line", "line" },
    { "failed", "failed" },
    { NULL, NULL },
};

/* clang-format off */
#define ROWS VT_LAYOUT_TABLE
#define RECORD VT_LAYOUT_RECORD
static const struct showing showings[] = {
    { { "study", "list" }, ROWS, NULL, "no study matches", study_columns },
    { { "study", "show" }, ROWS, NULL, NULL, instance_columns },
    { { "study", "delete" }, ROWS, "{instances} instances moved to the trash; "
      "'vitrine study restore {trash}' brings them back", NULL, NULL },
    { { "study", "restore" }, ROWS, "{instances} instances restored", NULL, NULL },
    { { "study", "hold" }, ROWS, "held: nobody deletes it before 'vitrine study release'", NULL, NULL },
    { { "study", "release" }, ROWS, "released", NULL, NULL },
    { { "study", "holds" }, ROWS, NULL, "no study is held", NULL },
    { { "trash", "list" }, ROWS, NULL, "the trash is empty", NULL },
    { { "trash", "purge" }, ROWS, "{instances} instances removed for good", NULL, NULL },
    { { "quarantine", "list" }, ROWS, NULL, "nothing is in quarantine", NULL },
    { { "quarantine", "show" }, RECORD, NULL, NULL, NULL },
    { { "quarantine", "resolve" }, ROWS, "resolved", NULL, NULL },
    { { "version", "list" }, ROWS, NULL, "no instance has more than one version", NULL },
    { { "version", "show" }, RECORD, NULL, NULL, NULL },
    { { "version", "resolve" }, ROWS, "resolved", NULL, NULL },
    { { "conflict", "list" }, ROWS, NULL, "there are no conflicts", NULL },
    { { "conflict", "show" }, RECORD, NULL, NULL, NULL },
    { { "conflict", "resolve" }, ROWS, "resolved", NULL, NULL },
    { { "patient", "merge" }, ROWS, "merged; 'vitrine patient undo {action}' takes it back", NULL,
      NULL },
    { { "patient", "correct" }, ROWS, "corrected; 'vitrine patient undo {action}' takes it back",
      NULL, NULL },
    { { "patient", "undo" }, ROWS, "taken back", NULL, NULL },
    { { "patient", "log" }, ROWS, NULL, "no patient was merged or corrected", NULL },
    { { "peer", "failures" }, ROWS, NULL, "no failure is remembered", NULL },
    { { "commitment", "list" }, ROWS, NULL, "nobody asked for commitment", commitment_columns },
    { { "commitment", "show" }, ROWS, NULL, NULL, commitment_items },
    { { "commitment", "export" }, RECORD, NULL, NULL, NULL },
    { { "commitment", "check" }, ROWS, "{checked} committed instances read again, {faults} faults",
      NULL, NULL },
    { { "commitment", "resend" }, ROWS, "the report of commitment {commitment} goes out again", NULL,
      NULL },
    { { "commitment", "instances" }, ROWS, NULL, "no instance matches", NULL },
    { { "commitment", "expect" }, ROWS, "a report on it is taken here", NULL, NULL },
    { { "commitment", "answer" }, ROWS, NULL, "no report has come yet", commitment_items },
    { { "commitment", "ask" }, ROWS, "{text}", NULL, NULL },
    { { "verify", NULL }, ROWS, "{checked} instances checked, {faults} faults", NULL, NULL },
    { { "reindex", NULL }, ROWS, "{instances} instances indexed anew", NULL, NULL },
    { { "backup", NULL }, ROWS, "{instances} instances copied", NULL, NULL },
    { { "status", NULL }, RECORD, NULL, NULL, NULL },
    { { "volume", "list" }, ROWS, NULL, NULL, volume_columns },
    { { "volume", "add" }, ROWS, "ready to be used", NULL, NULL },
    { { "volume", "drain" }, ROWS, "{text}", NULL, NULL },
    { { "volume", "verify" }, ROWS, "{checked} instances checked, {faults} faults", NULL, NULL },
    { { "volume", "expire" }, ROWS, "{studies} studies, {instances} instances; {stay} studies stay", NULL, NULL },
    { { "export", NULL }, ROWS, "{text}", NULL, NULL },
    { { "burn", "list" }, ROWS, NULL, "nothing was burned", NULL },
    { { "burn", "show" }, ROWS, NULL, NULL, NULL },
    { { "burn", "cancel" }, ROWS, "{jobs} jobs cancelled", NULL, NULL },
    { { "worklist", "add" }, ROWS, "{added} entries added, {changed} changed, {same} were there, {failed} failed",
      NULL, trouble_columns },
    { { "worklist", "list" }, ROWS, NULL, "nothing is scheduled", worklist_columns },
    { { "worklist", "remove" }, ROWS, "{removed} entries removed", NULL, NULL },
    { { "mpps", "list" }, ROWS, NULL, "no performed procedure step is known", mpps_columns },
    { { "mpps", "show" }, RECORD, NULL, NULL, NULL },
    { { "slide", "list" }, ROWS, NULL, "no slide matches", NULL },
    { { "slide", "restore" }, ROWS, "{file}: {name} as it was, SHA-256 equal", NULL, NULL },
    { { "import", NULL }, ROWS, "{text}", NULL, import_columns },
    { { "user", "add" }, ROWS, "{user} may log in as {role}", NULL, NULL },
    { { "user", "change" }, ROWS, "{user} is changed", NULL, NULL },
    { { "user", "list" }, ROWS, NULL, "there are no users: nobody has to log in on this machine", NULL },
    { { "user", "remove" }, ROWS, "{user} may no longer log in", NULL, NULL },
    { { "job", "list" }, ROWS, NULL, "there are no such jobs", job_columns },
    { { "job", "show" }, RECORD, NULL, NULL, NULL },
    { { "job", "cancel" }, ROWS, "{jobs} jobs cancelled", NULL, NULL },
    { { "job", "pause" }, ROWS, "{jobs} jobs paused", NULL, NULL },
    { { "job", "resume" }, ROWS, "{jobs} jobs go on", NULL, NULL },
    { { "job", "retry" }, ROWS, "{jobs} jobs are tried again", NULL, NULL },
    { { "fetch", NULL }, ROWS, "{text}", NULL, NULL },
    { { "print", NULL }, ROWS, "{text}", NULL, NULL },
    { { "send", NULL }, ROWS, "{text}", NULL, NULL },
};
/* clang-format on */

struct verb_call {
    struct vt_cli *cli;
    const struct showing *showing;
    struct vt_table *table;
    struct vt_progress progress;
    size_t rows;
    json_t *options;   /* for the verb */
    const char **args; /* cli->args, paths made absolute */
    char *paths;       /* memory of those: PATH_MAX each */
};

static const struct showing *find_showing(const struct vt_cli_command *command)
{
    for (size_t i = 0; i < VT_COUNT(showings); i++)
        if (strcmp(showings[i].words[0], command->words[0]) == 0 &&
            (!command->words[1] || strcmp(showings[i].words[1], command->words[1]) == 0))
            return &showings[i];
    return NULL;
}

/* ---- what comes back ---- */

static bool on_row(void *context, json_t *row)
{
    struct verb_call *call = context;

    vt_progress_clear(&call->progress);
    call->rows++;
    return !vt_cli_interrupted() && vt_table_row(call->table, row);
}

static bool on_progress(void *context, uint64_t done, uint64_t total, const char *unit)
{
    struct verb_call *call = context;

    vt_progress_show(&call->progress, done, total, unit, strcmp(unit, "bytes") == 0 ? done : 0);
    return !vt_cli_interrupted();
}

/* "{instances} restored" and {"instances":3}: "3 restored". */
static void fill_sentence(const char *format, const json_t *result, char *out, size_t room)
{
    size_t used = 0;
    char key[32];

    while (*format && used + 1 < room) {
        size_t length = strcspn(format, "}");
        if (*format != '{' || format[length] != '}' || length > sizeof key) {
            out[used++] = *format++;
            continue;
        }
        snprintf(key, sizeof key, "%.*s", (int)length - 1, format + 1);
        const json_t *value = json_object_get(result, key);
        out[used] = '\0';
        if (value)
            vt_table_text(key, value, out + used, room - used);
        used += strlen(out + used);
        format += length + 1;
    }
    out[used] = '\0';
}

static int show_result(struct verb_call *call, json_t *result)
{
    struct vt_cli *cli = call->cli;
    char sentence[SENTENCE_MAX];
    bool faulty = json_integer_value(json_object_get(result, "faults")) > 0 ||
                  json_integer_value(json_object_get(result, "failed")) > 0;

    if (cli->options->json && json_object_size(result) > 0) {
        json_dumpf(result, cli->out, JSON_COMPACT);
        fputc('\n', cli->out);
    } else if (!cli->options->json && call->showing->sentence) {
        fill_sentence(call->showing->sentence, result, sentence, sizeof sentence);
        fprintf(cli->out, "%s\n", sentence);
    }
    if (!cli->options->json && call->showing->nothing && call->rows == 0)
        fprintf(cli->errors, "%s\n", call->showing->nothing);
    return faulty ? VT_EXIT_FAILED : VT_EXIT_DONE;
}

/* ---- what is asked ---- */

/* {"reason":"...","all":true} of what stood on the command line. */
json_t *vt_cli_options_json(const struct vt_cli *cli)
{
    json_t *options = json_object();

    for (size_t i = 0; options && i < VT_CLI_OPTIONS && cli->command->options[i].name; i++) {
        const struct vt_cli_option *option = &cli->command->options[i];
        if (cli->values[i])
            json_object_set_new(options, option->name + 2,
                                option->value ? json_string(cli->values[i]) : json_true());
    }
    return options;
}

/* A new password travels with the options. */
static bool add_password(struct verb_call *call, struct vt_err *err)
{
    const char *const *words = call->cli->command->words;
    VT_AUTO_BUF(password, VT_PASSWORD_MAX + 1);

    if (strcmp(words[0], "user") != 0 ||
        (strcmp(words[1], "add") != 0 && !json_is_true(json_object_get(call->options, "password"))))
        return true;
    bool ok = vt_read_password(&password, err);
    json_t *text = ok ? json_string((const char *)password.data) : NULL;
    if (ok && !text)
        ok = vt_fail(err, VT_E_INVALID, "a password is UTF-8 text");
    if (ok)
        json_object_set_new(call->options, "password", text);
    if (password.data)
        explicit_bzero(password.data, password.size);
    return ok;
}

/* vitrined has another working folder. The last part of a path need not be there. */
static bool make_absolute(const char *path, char *out, struct vt_err *err)
{
    char folder[PATH_MAX];
    size_t length = strlen(path);

    if (realpath(path, out))
        return true;
    if (path[0] == '/' && length < PATH_MAX) {
        memcpy(out, path, length + 1);
        return true;
    }
    if (!getcwd(folder, sizeof folder))
        return vt_fail_errno(err, "this folder");
    if ((size_t)snprintf(out, PATH_MAX, "%s/%s", folder, path) >= PATH_MAX)
        return vt_fail(err, VT_E_INVALID, "'%.60s...' is too long for a path", path);
    return true;
}

static bool read_args(struct verb_call *call, struct vt_err *err)
{
    struct vt_cli *cli = call->cli;
    bool paths = strcmp(cli->command->words[0], "import") == 0 ||
                 strcmp(cli->command->words[0], "backup") == 0;
    bool files = strcmp(cli->command->words[0], "worklist") == 0 && strcmp(cli->command->words[1], "add") == 0;
    size_t count = (size_t)cli->arg_count;

    call->args = calloc(count + 1, sizeof *call->args);
    call->paths = paths || files ? calloc(count, PATH_MAX) : NULL;
    if (!call->args || ((paths || files) && !call->paths))
        return vt_fail(err, VT_E_NOMEM, "no memory for the command line");
    for (size_t i = 0; i < count; i++) {
        bool path = paths || (files && !strchr(cli->args[i], '='));
        call->args[i] = path ? call->paths + i * PATH_MAX : cli->args[i];
        if (path && !make_absolute(cli->args[i], call->paths + i * PATH_MAX, err))
            return false;
    }
    return true;
}

/* ---- where it runs ---- */

static void own_name(char out[static WHO_MAX])
{
    const struct passwd *entry = getpwuid(geteuid());

    if (entry)
        snprintf(out, WHO_MAX, "%s", entry->pw_name);
    else
        snprintf(out, WHO_MAX, "uid %u", (unsigned)geteuid());
}

static void add_not_running(void *context, json_t *row)
{
    (void)context;
    json_object_set_new(row, "vitrined", json_string("not running"));
}

/* `vitrine reindex` is the way back from an index that cannot be opened, so there it is put aside.
 */
static struct vt_archive *open_archive(const struct vt_archive_conf *conf, bool reindex,
                                       struct vt_err *err)
{
    struct vt_archive_options options = conf->options;
    struct vt_archive *archive = vt_archive_open(&options, err);

    if (archive || !reindex || err->code != VT_E_CORRUPT)
        return archive;
    vt_err_clear(err);
    options.rebuild_index = true;
    return vt_archive_open(&options, err);
}

static bool run_here(struct verb_call *call, const struct vt_archive_conf *conf,
                     json_t **out_result, struct vt_err *err)
{
    struct vt_cli *cli = call->cli;
    const struct vt_admin_verb *verb =
        vt_admin_verb_find(cli->command->words, cli->command->words[1] ? 2 : 1);
    struct vt_query_rules rules;
    char who[WHO_MAX];
    bool makes = strcmp(cli->command->words[0], "import") == 0;

    if (!makes && access(conf->options.path, F_OK) != 0)
        return vt_fail(err, VT_E_NOTFOUND,
                       "there is no archive at %s: name it with -o archive.path=DIR",
                       conf->options.path);
    if (!vt_query_conf_read(cli->options->conf, &rules, err))
        return false;
    VT_AUTO(vt_archive)
    archive = open_archive(conf, strcmp(cli->command->words[0], "reindex") == 0, err);
    if (!archive)
        return false;
    if (makes) /* the long work */
        vt_shed_start();
    own_name(who);
    struct vt_admin_call admin = {
        .admin = { .archive = archive,
                   .who = who,
                   .row = on_row,
                   .progress = on_progress,
                   .context = call },
        .args = call->args,
        .arg_count = (size_t)cli->arg_count,
        .options = call->options,
        .rules = &rules,
        .status = add_not_running,
    };
    return verb ? vt_admin_verb_run(verb, &admin, out_result, err)
                : vt_fail(err, VT_E_INTERNAL, "no such archive verb");
}

static bool run_verb(struct verb_call *call, json_t **out_result, struct vt_err *err)
{
    const struct vt_cli_command *command = call->cli->command;
    const struct vt_control_request request = {
        .verb = command->words,
        .verb_count = command->words[1] ? 2 : 1,
        .args = call->args,
        .arg_count = (size_t)call->cli->arg_count,
        .options = call->options,
    };
    const struct vt_control_answer answer = { on_row, on_progress, call };
    struct vt_archive_conf conf;
    bool listening;

    if (!vt_dict_load(err) || !vt_archive_conf_read(call->cli->options->conf, &conf, err))
        return false;
    if (!vt_control_call(conf.options.path, &request, &answer, &listening, out_result, err))
        return false;
    return listening || run_here(call, &conf, out_result, err);
}

static size_t column_count(const struct vt_column_spec *columns)
{
    size_t count = 0;

    while (columns && columns[count].key)
        count++;
    return count;
}

int vt_cli_archive(struct vt_cli *cli, struct vt_err *err)
{
    struct verb_call call = { .cli = cli, .showing = find_showing(cli->command) };
    const struct vt_table_options layout = { .out = cli->out,
                                             .json = cli->options->json,
                                             .layout = call.showing->layout,
                                             .columns = call.showing->columns,
                                             .column_count = column_count(call.showing->columns) };
    json_t *result = NULL;
    int status = VT_EXIT_FAILED;

    call.table = vt_table_new(&layout);
    call.options = vt_cli_options_json(cli);
    vt_progress_init(&call.progress, cli->options->json);
    if (!call.table || !call.options)
        vt_fail(err, VT_E_NOMEM, "no memory for a table");
    else if (read_args(&call, err) && add_password(&call, err) && run_verb(&call, &result, err))
        status = VT_EXIT_DONE;
    vt_progress_clear(&call.progress);
    vt_table_free(call.table);
    if (status == VT_EXIT_DONE)
        status = show_result(&call, result);
    else if (err->code == VT_E_INVALID)
        status = VT_EXIT_USAGE;
    json_decref(result);
    json_decref(call.options);
    free(call.args);
    free(call.paths);
    return status;
}

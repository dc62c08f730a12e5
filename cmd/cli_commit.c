/* vitrine commit: asks a peer to commit to keep instances, and waits for its report: on the same
 * association, through the vitrined that runs here, or on a port of its own. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/cli.h"
#include "cmd/control.h"
#include "cmd/table.h"
#include "cmd/walk.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/header.h"
#include "dicom/net.h"
#include "scu/commit.h"

enum {
    WAIT_S = 300, /* for the report */
    WAIT_MAX_S = 7 * 86400,
    POLL_MS = 250,
};

struct asking {
    struct vt_cli *cli;
    struct vt_cli_peer peer;
    struct vt_archive_conf archive;
    struct vt_commit_list list, report;
    struct vt_commit_listener *listener; /* when no vitrined runs here */
    bool through_node;
    bool reported;
    int64_t polled;
    size_t unreadable;
};

/* ---- which instances ---- */

static void on_trouble(void *context, const char *path, const char *why)
{
    struct asking *asking = context;

    asking->unreadable++;
    vt_cli_complain(asking->cli, "%s: %s", path, why);
}

static bool on_file(void *context, const char *path, uint64_t size, bool named, struct vt_err *err)
{
    struct asking *asking = context;
    struct vt_part10 part10;
    struct vt_err why = { 0 };
    vt_autoclose fd = open(path, O_RDONLY | O_CLOEXEC);

    (void)size;
    if (fd < 0) {
        on_trouble(asking, path, strerror(errno));
        return true;
    }
    if (vt_part10_read_file(fd, path, &part10, &why))
        return vt_commit_list_add(&asking->list, part10.sop_class_uid, part10.sop_instance_uid, 0,
                                  err);
    if (named)
        on_trouble(asking, path, why.text);
    return true;
}

struct rows {
    struct vt_commit_list *list;
    struct vt_err *err;
};

static uint16_t reason_of(const json_t *row)
{
    const char *result = json_string_value(json_object_get(row, "result"));
    unsigned reason = 0;

    return result && sscanf(result, "%4x", &reason) == 1 && strcmp(result, "committed") != 0
               ? (uint16_t)reason
               : 0;
}

static bool on_row(void *context, json_t *row)
{
    struct rows *rows = context;
    const char *sop_class = json_string_value(json_object_get(row, "SOPClassUID")),
               *sop_uid = json_string_value(json_object_get(row, "SOPInstanceUID"));

    return !vt_cli_interrupted() && sop_class && sop_uid &&
           vt_commit_list_add(rows->list, sop_class, sop_uid, reason_of(row), rows->err);
}

static bool no_progress(void *context, uint64_t done, uint64_t total, const char *unit)
{
    (void)context;
    (void)done;
    (void)total;
    (void)unit;
    return !vt_cli_interrupted();
}

/* Through the node that runs. *out_listening false: none does. */
static bool call_node(struct asking *asking, const char *word, const char *const *args,
                      size_t count, struct vt_commit_list *list, bool *out_listening,
                      json_t **out_result, struct vt_err *err)
{
    const char *const words[] = { "commitment", word };
    struct vt_err why = { 0 };
    struct rows rows = { list, &why };
    const struct vt_control_request request = {
        .verb = words, .verb_count = 2, .args = args, .arg_count = count
    };
    const struct vt_control_answer answer = { on_row, no_progress, &rows };

    if (vt_control_call(asking->archive.options.path, &request, &answer, out_listening, out_result,
                        err))
        return true;
    if (vt_failed(&why))
        *err = why;
    return false;
}

static bool select_here(struct asking *asking, const char *const *words, size_t count,
                        struct vt_err *err)
{
    static const char *const verb_words[] = { "commitment", "instances" };
    const struct vt_admin_verb *verb = vt_admin_verb_find(verb_words, 2);
    struct rows rows = { &asking->list, err };
    struct vt_query_rules rules;
    json_t *result = NULL;

    if (access(asking->archive.options.path, F_OK) != 0)
        return vt_fail(err, VT_E_NOTFOUND,
                       "there is no archive at %s: name it with -o archive.path=DIR",
                       asking->archive.options.path);
    if (!vt_query_conf_read(asking->cli->options->conf, &rules, err))
        return false;
    VT_AUTO(vt_archive) archive = vt_archive_open(&asking->archive.options, err);
    struct vt_admin_call call = {
        .admin = { .archive = archive, .who = "vitrine", .row = on_row, .context = &rows },
        .args = words,
        .arg_count = count,
        .rules = &rules,
    };
    bool ok = archive && vt_admin_verb_run(verb, &call, &result, err);
    json_decref(result);
    return ok;
}

/* Words with '=' that are no files are keys of our archive. */
static bool are_keys(const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strchr(words[i], '=') || access(words[i], F_OK) == 0)
            return false;
    return true;
}

static bool collect(struct asking *asking, struct vt_err *err)
{
    const char *const *words = asking->cli->args + 1;
    size_t count = (size_t)asking->cli->arg_count - 1;
    bool listening = false, ok;
    json_t *result = NULL;

    if (!are_keys(words, count)) {
        ok = vt_walk_files(words, count, on_file, on_trouble, asking, err);
    } else {
        ok = call_node(asking, "instances", words, count, &asking->list, &listening, &result, err);
        json_decref(result);
        ok = ok && (listening || select_here(asking, words, count, err));
    }
    return ok &&
           (asking->list.count > 0 || vt_fail(err, VT_E_NOTFOUND, "there is nothing to ask for"));
}

/* ---- where the report comes ---- */

static bool open_listener(struct asking *asking, struct vt_err *err)
{
    const struct vt_conf *conf = asking->cli->options->conf;
    const char *listen = vt_conf_text(conf, "dicom", NULL, "listen", "127.0.0.1");
    char address[64];
    int64_t configured;
    long port;

    if (!vt_conf_int(conf, "dicom", NULL, "port", 0, UINT16_MAX, 11112, &configured, err) ||
        !vt_cli_number(asking->cli, "--listen", 0, UINT16_MAX, (long)configured, &port, err))
        return false;
    snprintf(address, sizeof address, "%.*s", (int)strcspn(listen, " ,\t"), listen);
    asking->listener = vt_commit_listener_open(
        strcmp(address, "localhost") == 0 ? "127.0.0.1" : address, (uint16_t)port, NULL, err);
    return asking->listener ||
           vt_fail_context(err, "listening for the report (--listen PORT names another port)");
}

static bool prepare(struct asking *asking, struct vt_err *err)
{
    const char *args[] = { asking->list.transaction_uid, asking->peer.peer.ae_title };
    json_t *result = NULL;

    if (!vt_cli_value(asking->cli, "--listen") &&
        !call_node(asking, "expect", args, 2, NULL, &asking->through_node, &result, err))
        return false;
    json_decref(result);
    return asking->through_node || open_listener(asking, err);
}

/* Has it come through the node, or on our own port? */
static bool came(struct asking *asking, int64_t until, struct vt_err *err)
{
    if (asking->listener)
        return vt_commit_listener_wait(asking->listener, asking->list.transaction_uid, until,
                                       &asking->reported, &asking->report, err);
    if (vt_clock_mono() < asking->polled + POLL_MS * VT_NS_PER_MS)
        return true;
    const char *args[] = { asking->list.transaction_uid };
    bool listening = false;
    json_t *result = NULL;

    asking->polled = vt_clock_mono();
    asking->report.count = 0;
    bool ok = call_node(asking, "answer", args, 1, &asking->report, &listening, &result, err);
    asking->reported = ok && json_is_true(json_object_get(result, "answered"));
    json_decref(result);
    return ok;
}

static bool elsewhere(void *context)
{
    struct asking *asking = context;
    struct vt_err ignored = { 0 };

    return vt_cli_interrupted() ||
           (came(asking, vt_clock_mono() + VT_NS_PER_MS, &ignored) && asking->reported);
}

static bool wait_for_report(struct asking *asking, int64_t deadline, struct vt_err *err)
{
    while (!asking->reported && vt_clock_mono() < deadline && !vt_cli_interrupted()) {
        int64_t slice = vt_clock_mono() + POLL_MS * VT_NS_PER_MS;
        if (!came(asking, slice < deadline ? slice : deadline, err))
            return false;
        if (!asking->reported && !asking->listener)
            vt_clock_sleep(POLL_MS * VT_NS_PER_MS);
    }
    return true;
}

static bool ask(struct asking *asking, struct vt_err *err)
{
    const struct vt_commit_wait how = { .elsewhere = elsewhere, .context = asking };
    bool same = false;
    long seconds;

    if (!vt_cli_number(asking->cli, "--wait", 0, WAIT_MAX_S, WAIT_S, &seconds, err))
        return false;
    int64_t deadline = vt_clock_mono() + seconds * VT_NS_PER_S;
    struct vt_commit_wait wait = how;
    if (seconds < VT_COMMIT_WAIT_S)
        wait.wait = seconds > 0 ? seconds * VT_NS_PER_S : 1;
    struct vt_commit_list report = { .count = 0 };
    bool ok = vt_client_commit(&asking->peer.client, &asking->list, &wait, &same, &report, err);
    if (same) {
        vt_commit_list_fini(&asking->report);
        asking->report = report;
        asking->reported = true;
        return true;
    }
    vt_commit_list_fini(&report);
    return ok && wait_for_report(asking, deadline, err);
}

/* ---- what it said ---- */

static bool show(struct asking *asking, struct vt_err *err)
{
    static const struct vt_column_spec columns[] = {
        { "SOPInstanceUID", "SOPInstanceUID" },
        { "SOPClassUID", "SOPClassUID" },
        { "result", "result" },
    };
    struct vt_cli *cli = asking->cli;
    const struct vt_table_options layout = { cli->out, cli->options->json, VT_LAYOUT_TABLE, columns,
                                             VT_COUNT(columns) };
    VT_AUTO(vt_table) table = vt_table_new(&layout);
    bool all = cli->options->json || cli->options->verbose;

    if (!table)
        return vt_fail(err, VT_E_NOMEM, "no memory for a table");
    for (size_t i = 0; i < asking->report.count; i++) {
        const struct vt_commit_reference *item = &asking->report.items[i];
        char reason[8];
        if (item->reason == 0 && !all)
            continue;
        snprintf(reason, sizeof reason, "%04X", item->reason);
        json_t *row = json_pack("{s:s, s:s, s:s}", "SOPInstanceUID", item->sop_uid, "SOPClassUID",
                                item->sop_class, "result", item->reason ? reason : "committed");
        bool shown = row && vt_table_row(table, row);
        json_decref(row);
        if (!shown)
            return vt_fail(err, VT_E_NOMEM, "no memory for a row");
    }
    return true;
}

static int conclude(struct asking *asking, struct vt_err *err)
{
    struct vt_cli *cli = asking->cli;
    size_t failed = vt_commit_list_failed(&asking->report);
    size_t committed = asking->report.count - failed;
    bool whole = asking->reported && committed == asking->list.count;

    if (!show(asking, err))
        return VT_EXIT_FAILED;
    if (cli->options->json) {
        json_t *row = json_pack("{s:s, s:b, s:I, s:I, s:I}", "transaction",
                                asking->list.transaction_uid, "reported", asking->reported, "asked",
                                (json_int_t)asking->list.count, "committed", (json_int_t)committed,
                                "failed", (json_int_t)failed);
        if (row)
            json_dumpf(row, cli->out, JSON_COMPACT);
        fputc('\n', cli->out);
        json_decref(row);
    } else if (asking->reported) {
        fprintf(cli->out, "%s committed to %zu of %zu instances (transaction %s)\n",
                asking->peer.peer.ae_title, committed, asking->list.count,
                asking->list.transaction_uid);
    }
    if (!asking->reported)
        vt_fail(err, VT_E_TIMEOUT,
                "%s took the request and has not reported yet%s: transaction %s",
                asking->peer.peer.ae_title,
                asking->through_node ? "; 'vitrine commitment answer' shows it when it comes, "
                                       "'vitrine commitment ask' goes on asking"
                                     : "",
                asking->list.transaction_uid);
    return whole && asking->unreadable == 0 ? VT_EXIT_DONE : VT_EXIT_FAILED;
}

static bool begin(struct asking *asking, struct vt_err *err)
{
    const char *transaction = vt_cli_value(asking->cli, "--transaction");

    if (!vt_archive_conf_read(asking->cli->options->conf, &asking->archive, err) ||
        !collect(asking, err))
        return false;
    if (!transaction)
        vt_uid_new(asking->list.transaction_uid);
    else if (vt_uid_usable(transaction))
        snprintf(asking->list.transaction_uid, sizeof asking->list.transaction_uid, "%s",
                 transaction);
    else
        return vt_fail(err, VT_E_INVALID, "--transaction '%.80s' is not a UID", transaction);
    return prepare(asking, err);
}

int vt_cli_commit(struct vt_cli *cli, struct vt_err *err)
{
    struct asking asking = { .cli = cli };
    int status = VT_EXIT_FAILED;

    if (!vt_cli_peer_open(cli, cli->args[0], &asking.peer, err))
        status = err->code == VT_E_INVALID || err->code == VT_E_NOTFOUND ? VT_EXIT_USAGE
                                                                         : VT_EXIT_FAILED;
    else if (!begin(&asking, err))
        status = err->code == VT_E_INVALID ? VT_EXIT_USAGE : VT_EXIT_FAILED;
    else if (ask(&asking, err))
        status = conclude(&asking, err);
    vt_commit_listener_free(asking.listener);
    vt_commit_list_fini(&asking.list);
    vt_commit_list_fini(&asking.report);
    vt_cli_peer_close(&asking.peer);
    return status;
}

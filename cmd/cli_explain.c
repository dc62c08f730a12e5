/* vitrine peer explain, beyond the configuration: what the peer says when it is asked, and what the
 * node remembers of it. */
#include <stdio.h>

#include <jansson.h>

#include "cmd/cli.h"
#include "cmd/cli_explain.h"
#include "cmd/control.h"
#include "core/auto.h"
#include "core/err.h"
#include "scu/probe.h"

enum { FAILURES_SHOWN = 5, REMEDY_MAX = 400 };

static void show_probe(FILE *out, const struct vt_probe *probe)
{
    fprintf(out, "  It answered: association in %.2f ms", (double)probe->associate / 1e6);
    if (probe->echo > 0)
        fprintf(out, ", C-ECHO in %.2f ms", (double)probe->echo / 1e6);
    fprintf(out, ", %s, PDUs up to %u bytes%s%s.\n", probe->tls ? "TLS" : "no TLS", probe->max_pdu,
            *probe->implementation_version ? ", " : "", probe->implementation_version);
    fputs("  Of what we asked for, it takes:\n", out);
    for (size_t i = 0; i < probe->count; i++) {
        const struct vt_probe_context *context = &probe->contexts[i];
        fprintf(out, "    %-36s %s%s%s\n", context->service, context->result,
                *context->transfer_syntax ? ", " : "", context->transfer_syntax);
    }
}

static json_t *contexts_of(const struct vt_probe *probe)
{
    json_t *list = json_array();

    for (size_t i = 0; i < probe->count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "service",
                                              probe->contexts[i].service, "result",
                                              probe->contexts[i].result, "transfer_syntax",
                                              probe->contexts[i].transfer_syntax));
    return list;
}

bool vt_cli_explain_probe(struct vt_cli *cli, const struct vt_client *client, json_t *row)
{
    struct vt_probe probe;
    struct vt_err why = { 0 };
    char remedy[REMEDY_MAX] = "";
    bool fine = vt_client_probe(client, &probe, &why);

    if (!fine)
        vt_probe_remedy(client, &why, remedy, sizeof remedy);
    if (row) {
        json_object_set_new(row, "answers", json_boolean(fine));
        json_object_set_new(row, "contexts", contexts_of(&probe));
        if (!fine) {
            json_object_set_new(row, "error", json_string(why.text));
            json_object_set_new(row, "remedy", json_string(remedy));
        }
    } else if (fine) {
        show_probe(cli->out, &probe);
    } else {
        fprintf(cli->out, "  It does not answer us now: %s.\n  Remedy: %s.\n", why.text, remedy);
    }
    return fine;
}

struct failures {
    struct vt_cli *cli;
    json_t *list; /* NULL: shown */
    int count;
};

static bool on_failure(void *context, json_t *row)
{
    struct failures *failures = context;

    if (failures->count++ >= FAILURES_SHOWN)
        return true;
    if (failures->list)
        return json_array_append(failures->list, row) == 0;
    if (failures->count == 1)
        fputs("  What went wrong with it lately:\n", failures->cli->out);
    fprintf(failures->cli->out, "    %s %s from %s: %s\n",
            json_string_value(json_object_get(row, "at")),
            json_string_value(json_object_get(row, "what")),
            json_string_value(json_object_get(row, "host")),
            json_string_value(json_object_get(row, "text")));
    return true;
}

static bool no_progress(void *context, uint64_t done, uint64_t total, const char *unit)
{
    (void)context;
    (void)done;
    (void)total;
    (void)unit;
    return true;
}

void vt_cli_explain_failures(struct vt_cli *cli, const char *ae_title, json_t *row)
{
    static const char *const words[] = { "peer", "failures" };
    const char *args[] = { ae_title };
    struct failures failures = { cli, row ? json_array() : NULL, 0 };
    const struct vt_control_request request = {
        .verb = words, .verb_count = 2, .args = args, .arg_count = 1
    };
    const struct vt_control_answer answer = { on_failure, no_progress, &failures };
    struct vt_archive_conf conf;
    struct vt_err ignored = { 0 };
    json_t *result = NULL;
    bool listening = false;

    if (vt_archive_conf_read(cli->options->conf, &conf, &ignored))
        vt_control_call(conf.options.path, &request, &answer, &listening, &result, &ignored);
    json_decref(result);
    if (row)
        json_object_set_new(row, "failures", failures.list);
    else if (listening && failures.count == 0)
        fputs("  The node remembers no failure with it.\n", cli->out);
}

/* The commands of the pool done by vitrine-poold, when it runs: the words go over its socket, what
 * comes back is printed as if it had been done here. */
#include <string.h>

#include <jansson.h>

#include "cmd/progress.h"
#include "cmd/vm_commands.h"
#include "cmd/vm_pool.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/client.h"

enum { CONNECT_S = 60, LOOK_MS = 200 };

/* What goes over: "vm.start", its options without dashes. */
struct asking {
    struct vt_cli *cli;
    char verb[64];
    json_t *options;
    struct vt_pool_request request;
    struct vt_progress progress;
    bool cancelled;
};

static bool pack(struct asking *asking, struct vt_err *err)
{
    const struct vt_cli *cli = asking->cli;
    const struct vt_cli_command *command = cli->command;

    snprintf(asking->verb, sizeof asking->verb, "%s.%s", command->words[0], command->words[1]);
    asking->options = json_object();
    bool ok = asking->options != NULL;
    for (size_t i = 0; i < VT_CLI_OPTIONS && command->options[i].name && ok; i++)
        if (cli->values[i] && strcmp(command->options[i].name, "--pool") != 0)
            ok = json_object_set_new(asking->options, command->options[i].name + 2,
                                     command->options[i].value ? json_string(cli->values[i])
                                                               : json_true()) == 0;
    asking->request = (struct vt_pool_request){ .verb = asking->verb,
                                                .args = cli->args,
                                                .arg_count = (size_t)cli->arg_count,
                                                .options = asking->options,
                                                .pool = vt_cli_value(cli, "--pool"),
                                                .json = cli->options->json };
    return ok || vt_fail(err, VT_E_INVALID, "an option's value is not UTF-8");
}

/* The pool that is configured here must be the one that is kept there. A name, when there is one,
 * says it; else the url does. */
static const char *expected_url(const struct vt_cli *cli)
{
    const struct vt_conf *conf = cli->options->conf;
    const char *wanted = vt_cli_value(cli, "--pool"), *first = vt_conf_name(conf, "pool", 0);
    const char *url = vt_conf_text(conf, "pool", NULL, "url", NULL);

    if (url)
        return url;
    if (wanted)
        return vt_conf_text(conf, "pool", wanted, "url", NULL);
    return first && !vt_conf_name(conf, "pool", 1) ? vt_conf_text(conf, "pool", first, "url", NULL)
                                                   : NULL;
}

static bool print(struct asking *asking, const struct vt_pool_answer *answer)
{
    const struct vt_cli *cli = asking->cli;

    if (answer->kind == VT_POOL_PROGRESS) {
        vt_progress_show(&asking->progress, answer->done, answer->total, answer->text, 0);
        return true;
    }
    vt_progress_clear(&asking->progress);
    if (answer->kind == VT_POOL_ROW)
        return fputs(answer->line, cli->out) >= 0 && fputc('\n', cli->out) >= 0;
    if (answer->kind == VT_POOL_OUT)
        return fputs(answer->text, cli->out) >= 0;
    if (answer->kind == VT_POOL_NOTE) {
        fflush(cli->out);
        vt_cli_complain(cli, "%s", answer->text);
    }
    return true;
}

/* Ctrl-C is passed on once; what was begun still gets its line. */
static bool next(struct asking *asking, struct vt_pool_client *client,
                 struct vt_pool_answer *answer, struct vt_err *err)
{
    for (;;) {
        vt_err_clear(err);
        if (vt_pool_client_next(client, vt_clock_mono() + LOOK_MS * VT_NS_PER_MS, answer, err))
            return true;
        if (err->code != VT_E_TIMEOUT)
            return false;
        fflush(asking->cli->out);
        if (vt_cli_interrupted() && !asking->cancelled)
            asking->cancelled = vt_pool_client_cancel(client, err);
    }
}

static bool answers(struct asking *asking, struct vt_pool_client *client,
                    struct vt_pool_answer *answer, struct vt_err *err)
{
    do {
        if (!next(asking, client, answer, err))
            return false;
        if (!print(asking, answer))
            return vt_fail(err, VT_E_IO, "standard output is closed");
    } while (answer->kind != VT_POOL_RESULT && answer->kind != VT_POOL_ASK);
    return true;
}

/* One request to its end. *out_again: it wants a word, which the person gave. */
static bool ask_once(struct asking *asking, char *word, size_t room, bool *out_again,
                     bool *out_there, int *out_status, struct vt_err *err)
{
    const char *path = vt_conf_text(asking->cli->options->conf, "pool", NULL, "socket", NULL);
    int64_t deadline = vt_clock_mono() + CONNECT_S * VT_NS_PER_S;
    struct vt_pool_answer answer = { 0 };
    VT_AUTO(vt_pool_client) client = vt_pool_client_open(path, deadline, err);

    *out_again = false;
    *out_there = client != NULL;
    if (!client || !vt_pool_client_ask(client, &asking->request, deadline, err) ||
        !answers(asking, client, &answer, err))
        return false;
    *out_status = answer.status;
    if (answer.kind == VT_POOL_RESULT)
        return true;
    if (!vt_pool_confirm(asking->cli, answer.text, answer.word, err))
        return false;
    snprintf(word, room, "%s", answer.word);
    asking->request.confirmed = word;
    *out_again = true;
    return true;
}

static int ask(struct asking *asking, bool *out_done, struct vt_err *err)
{
    char word[512];
    bool again = true, there = false, ok = true;
    int status = VT_EXIT_DONE;

    vt_progress_init(&asking->progress, asking->cli->options->json);
    for (int tries = 0; ok && again && tries < 3; tries++)
        ok = ask_once(asking, word, sizeof word, &again, &there, &status, err);
    vt_progress_clear(&asking->progress);
    *out_done = ok || (there && err->code != VT_E_UNSUPPORTED);
    if (!*out_done) /* nobody is there, or keeps another pool: it is done here */
        vt_err_clear(err);
    return vt_failed(err) ? vt_pool_status(err) : status;
}

int vt_cli_pool_ask(struct vt_cli *cli, bool *out_done, struct vt_err *err)
{
    struct asking asking = { .cli = cli };
    int status = VT_EXIT_FAILED;

    const char *path = vt_conf_text(cli->options->conf, "pool", NULL, "socket", "");
    *out_done = false;
    if (strcmp(path, "none") == 0)
        return VT_EXIT_DONE;
    if (pack(&asking, err)) {
        asking.request.url = expected_url(cli);
        status = ask(&asking, out_done, err);
    }
    json_decref(asking.options);
    return status;
}

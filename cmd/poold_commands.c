#include "cmd/poold_commands.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/cli.h"
#include "cmd/poold_settings.h"
#include "cmd/vm_commands.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"

enum { CATCH_UP_S = 5, LINE_MAX_BYTES = 4 << 20 };

static const struct vt_cli_command commands_table[] = {
#include "cmd/vm_commands.def"
    { .words = { NULL } },
};

/* ---- standard output, as answers ---- */

struct sink {
    struct vt_pool_call *call;
    struct vt_buf part; /* what is no whole line yet */
    bool json, gone;
};

static void put_line(struct sink *sink, const char *line, size_t size)
{
    bool ok = sink->json && size > 0 && *line == '{' ? vt_call_row_text(sink->call, line, size - 1)
                                                     : vt_call_out(sink->call, line, size);

    sink->gone = sink->gone || !ok;
}

/* JSON goes line by line, text up to the last end of line: no character is cut in two. */
static void put_lines(struct sink *sink)
{
    const char *text = (const char *)sink->part.data;
    size_t size = sink->part.size, done = 0;

    if (!sink->json) {
        const char *last = size ? memrchr(text, '\n', size) : NULL;
        done = last ? (size_t)(last - text) + 1 : 0;
        if (done)
            put_line(sink, text, done);
    }
    for (const char *end; sink->json && (end = memchr(text + done, '\n', size - done));) {
        size_t length = (size_t)(end - text) + 1 - done;
        put_line(sink, text + done, length);
        done += length;
    }
    if (done) {
        memmove(sink->part.data, sink->part.data + done, size - done);
        sink->part.size = size - done;
    }
}

static ssize_t sink_write(void *context, const char *bytes, size_t size)
{
    struct sink *sink = context;
    struct vt_err err = { 0 };

    if (sink->gone || !vt_buf_append(&sink->part, bytes, size, &err))
        return -1;
    put_lines(sink);
    return (ssize_t)size;
}

static int sink_close(void *context)
{
    struct sink *sink = context;

    if (sink->part.size > 0 && !sink->gone)
        vt_call_out(sink->call, (const char *)sink->part.data, sink->part.size);
    vt_buf_fini(&sink->part);
    return 0;
}

static FILE *open_sink(struct sink *sink)
{
    const cookie_io_functions_t functions = { .write = sink_write, .close = sink_close };
    FILE *file = fopencookie(sink, "w", functions);

    if (file)
        setvbuf(file, NULL, _IOFBF, 32 << 10);
    return file;
}

/* ---- a call as a command line ---- */

static const struct vt_cli_command *find(const char *verb)
{
    for (const struct vt_cli_command *command = commands_table; command->words[0]; command++) {
        size_t length = strlen(command->words[0]);
        if (strncmp(verb, command->words[0], length) == 0 && verb[length] == '.' &&
            strcmp(verb + length + 1, command->words[1]) == 0)
            return command;
    }
    return NULL;
}

/* Every option that was given must be one of the command's. */
static bool take_options(struct vt_cli *cli, struct vt_err *err)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)vt_call_options(cli->call), name, value)
    {
        size_t i = 0;
        const struct vt_cli_option *options = cli->command->options;
        while (i < VT_CLI_OPTIONS && options[i].name && strcmp(options[i].name + 2, name) != 0)
            i++;
        if (i == VT_CLI_OPTIONS || !options[i].name)
            return vt_fail(err, VT_E_INVALID, "'--%.40s' is no option of %s", name,
                           vt_call_verb(cli->call));
        if (!options[i].value != json_is_boolean(value))
            return vt_fail(err, VT_E_INVALID, "--%s wants %s", name,
                           options[i].value ? "a value" : "no value");
        cli->values[i] = vt_call_option(cli->call, name);
    }
    return true;
}

static bool take_args(struct vt_cli *cli, struct vt_err *err)
{
    size_t count = 0;
    const char *const *args = vt_call_args(cli->call, &count);

    cli->args = (const char **)(uintptr_t)args;
    cli->arg_count = (int)count;
    return (cli->arg_count >= cli->command->min_args && cli->arg_count <= cli->command->max_args) ||
           vt_fail(err, VT_E_INVALID, "%s: usage: vitrine %s %s %s",
                   cli->arg_count < cli->command->min_args ? "something is missing"
                                                           : "too many words",
                   cli->command->words[0], cli->command->words[1], cli->command->arguments);
}

/* Behind a change the picture must show it before the caller asks again. */
static void catch_up(struct vt_pool_call *call)
{
    struct vt_err ignored = { 0 };
    struct vt_keeper *keeper = vt_call_pool(call, &ignored);
    VT_AUTO(vt_line) line = keeper ? vt_line_new(&ignored) : NULL;

    if (line)
        vt_keeper_catch_up(keeper, line, vt_clock_mono() + CATCH_UP_S * VT_NS_PER_S);
}

static bool run_command(struct vt_cli *cli, struct vt_err *err)
{
    struct sink sink = { .call = cli->call, .json = vt_call_json(cli->call) };

    vt_buf_init(&sink.part, LINE_MAX_BYTES);
    cli->out = cli->errors = open_sink(&sink);
    if (!cli->out) {
        vt_buf_fini(&sink.part);
        return vt_fail(err, VT_E_NOMEM, "no memory for an answer");
    }
    int status = cli->command->run(cli, err);
    fclose(cli->out);
    if (!vt_failed(err) && vt_call_cancelled(cli->call))
        return vt_fail(err, VT_E_CANCELLED, "stopped before it was done");
    vt_call_status(cli->call, status);
    return !vt_failed(err);
}

static bool run(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    const struct vt_poold_commands *commands = context;
    const struct vt_options *current = vt_poold_settings_take(commands->settings);
    struct vt_options options = *current;
    struct vt_cli cli = { .options = &options, .call = call, .note = vt_call_note, .cancelled = vt_call_cancelled,
                          .command = find(vt_call_verb(call)) };

    options.json = vt_call_json(call);
    if (!cli.command)
        vt_fail(err, VT_E_UNSUPPORTED, "vitrine-poold does not know '%.40s'", vt_call_verb(call));
    bool ok = cli.command && vt_call_pool(call, err) && take_options(&cli, err) &&
              take_args(&cli, err) && run_command(&cli, err);
    vt_poold_settings_drop(commands->settings, current);
    return ok;
}

static bool run_change(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    bool ok = run(context, call, err);

    catch_up(call);
    return ok;
}

/* ---- the table ---- */

static const struct vt_pool_verb verbs[] = {
    { "vm.list", VT_NEED_READ, run },
    { "vm.show", VT_NEED_READ, run },
    { "vm.snapshots", VT_NEED_READ, run },
    { "host.list", VT_NEED_READ, run },
    { "host.show", VT_NEED_READ, run },
    { "sr.list", VT_NEED_READ, run },
    { "sr.show", VT_NEED_READ, run },
    { "pool.status", VT_NEED_READ, run },
    { "pool.check-join", VT_NEED_ADMIN, run }, /* logs in to another host */
    { "pool.emergency", VT_NEED_ADMIN, run },
    { "pool.join", VT_NEED_ADMIN, run_change },
    { "pool.eject", VT_NEED_ADMIN, run_change },
    { "host.login", VT_NEED_ADMIN, run },
    { "vm.", VT_NEED_CHANGE, run_change },
    { "host.", VT_NEED_CHANGE, run_change },
    { "sr.", VT_NEED_CHANGE, run_change },
    { .name = NULL },
};

void vt_poold_commands_module(struct vt_poold_commands *commands, struct vt_pool_module *out)
{
    *out = (struct vt_pool_module){ .name = "commands", .context = commands, .verbs = verbs };
}

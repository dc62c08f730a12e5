/* What commands ask of their command line, wherever they run: in `vitrine` or inside vitrine-poold. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cli.h"
#include "core/err.h"

enum { SENTENCE_MAX = 1024 };

void vt_cli_complain(const struct vt_cli *cli, const char *format, ...)
{
    char text[SENTENCE_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (cli->call) {
        fflush(cli->out);
        cli->note(cli->call, "%s", text);
    } else {
        fprintf(cli->errors, "vitrine: %s\n", text);
    }
}

/* ---- Ctrl-C ---- */

static volatile sig_atomic_t interrupted;

void vt_cli_interrupt(void)
{
    interrupted = 1;
}

bool vt_cli_interrupted(void)
{
    return interrupted != 0;
}

bool vt_cli_stopped(const struct vt_cli *cli)
{
    return cli->call ? cli->cancelled(cli->call) : vt_cli_interrupted();
}

/* ---- options ---- */

const char *vt_cli_value(const struct vt_cli *cli, const char *name)
{
    const struct vt_cli_option *options = cli->command->options;

    for (size_t i = 0; i < VT_CLI_OPTIONS && options[i].name; i++)
        if (strcmp(options[i].name, name) == 0)
            return cli->values[i];
    return NULL;
}

bool vt_cli_number(const struct vt_cli *cli, const char *name, long min, long max, long fallback,
                   long *out, struct vt_err *err)
{
    const char *text = vt_cli_value(cli, name);
    char *end;

    if (!text) {
        *out = fallback;
        return true;
    }
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < min || value > max)
        return vt_fail(err, VT_E_INVALID, "%s %.40s is not a number from %ld to %ld", name, text,
                       min, max);
    *out = value;
    return true;
}

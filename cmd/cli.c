#include "cmd/cli.h"

#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"

/* ---- Ctrl-C ---- */

static void on_interrupt(int number)
{
    (void)number;
    vt_cli_interrupt();
}

static void catch_interrupt(void)
{
    struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND };

    sigaction(SIGINT, &action, NULL);
}

/* ---- finding the command ---- */

static bool is_command(const struct vt_cli_command *command, const char *const *words, size_t count)
{
    return strcmp(command->words[0], words[0]) == 0 &&
           (!command->words[1] || (count > 1 && strcmp(command->words[1], words[1]) == 0));
}

static const struct vt_cli_command *find_command(const char *const *words, size_t count,
                                                 struct vt_err *err)
{
    char known[160] = "";
    const struct vt_cli_command *command;

    for (command = vt_cli_commands; command->words[0]; command++)
        if (is_command(command, words, count))
            return command;
    for (command = vt_cli_commands; command->words[0]; command++) {
        size_t used = strlen(known);
        if (strcmp(command->words[0], words[0]) == 0)
            snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "",
                     command->words[1]);
    }
    if (!*known)
        vt_fail(err, VT_E_INVALID, "unknown command '%.60s'; vitrine --help lists them", words[0]);
    else if (count < 2)
        vt_fail(err, VT_E_INVALID, "'%s' wants one more word: %s", words[0], known);
    else
        vt_fail(err, VT_E_INVALID, "unknown command '%s %.60s'; there is: %s", words[0], words[1],
                known);
    return NULL;
}

/* ---- its options ---- */

static size_t option_count(const struct vt_cli_command *command)
{
    size_t count = 0;

    while (count < VT_CLI_OPTIONS && command->options[count].name)
        count++;
    return count;
}

/* Which option `word` is: "--name", "--name=value" or "-x". */
static bool find_option(const struct vt_cli_command *command, const char *word, size_t *out_index,
                        const char **out_value)
{
    for (size_t i = 0; i < option_count(command); i++) {
        const struct vt_cli_option *option = &command->options[i];
        size_t length = strlen(option->name);
        bool named = strncmp(word, option->name, length) == 0 &&
                     (word[length] == '\0' || word[length] == '=');
        if (!named && !(option->letter && strcmp(word, option->letter) == 0))
            continue;
        *out_index = i;
        *out_value = named && word[length] == '=' ? word + length + 1 : NULL;
        return true;
    }
    return false;
}

static bool read_option(struct vt_cli *cli, size_t *at, struct vt_err *err)
{
    const struct vt_options *options = cli->options;
    const char *word = options->words[*at], *value;
    size_t i;

    if (!find_option(cli->command, word, &i, &value)) {
        if (strcmp(word, "-o") == 0 && *at + 1 < options->word_count)
            return vt_fail(err, VT_E_INVALID, "'-o %.80s' is not section.key=value",
                           options->words[*at + 1]);
        return vt_fail(err, VT_E_INVALID, "'%.80s' is no option of 'vitrine %s%s%s'", word,
                       cli->command->words[0], cli->command->words[1] ? " " : "",
                       cli->command->words[1] ? cli->command->words[1] : "");
    }
    const struct vt_cli_option *option = &cli->command->options[i];
    if (!option->value && value)
        return vt_fail(err, VT_E_INVALID, "%s takes no value", option->name);
    if (option->value && !value) {
        if (*at + 1 >= options->plain_from || *at + 1 >= options->word_count)
            return vt_fail(err, VT_E_INVALID, "%s wants a value: %s", option->name, option->value);
        value = options->words[++*at];
    }
    cli->values[i] = option->value ? value : "";
    return true;
}

bool vt_cli_read(struct vt_cli *cli, const struct vt_options *options, struct vt_err *err)
{
    *cli = (struct vt_cli){ .options = options, .out = stdout, .errors = stderr };
    cli->command = find_command(options->words, options->word_count, err);
    cli->args = calloc(options->word_count + 1, sizeof *cli->args);
    if (!cli->command)
        return false;
    if (!cli->args)
        return vt_fail(err, VT_E_NOMEM, "no memory for the command line");
    for (size_t at = cli->command->words[1] ? 2 : 1; at < options->word_count; at++) {
        const char *word = options->words[at];
        if (word[0] != '-' || word[1] == '\0' || at >= options->plain_from)
            cli->args[cli->arg_count++] = word;
        else if (!read_option(cli, &at, err))
            return false;
    }
    const struct vt_cli_command *command = cli->command;
    if (options->help)
        return true;
    if (cli->arg_count < command->min_args || cli->arg_count > command->max_args)
        return vt_fail(err, VT_E_INVALID, "%s: usage: vitrine %s%s%s %s",
                       cli->arg_count < command->min_args ? "something is missing"
                                                          : "too many words",
                       command->words[0], command->words[1] ? " " : "",
                       command->words[1] ? command->words[1] : "", command->arguments);
    return true;
}

/* ---- help ---- */

static void help_of(FILE *out, const struct vt_cli_command *command)
{
    fprintf(out, "vitrine %s%s%s %s\n    %s\n", command->words[0], command->words[1] ? " " : "",
            command->words[1] ? command->words[1] : "", command->arguments, command->help);
    if (command->more)
        fprintf(out, "\n%s\n", command->more);
    if (command->options[0].name)
        fputs("\nOptions:\n", out);
    for (size_t i = 0; i < option_count(command); i++) {
        const struct vt_cli_option *option = &command->options[i];
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s%s", option->letter ? option->letter : "",
                 option->letter ? ", " : "", option->name, option->value ? " " : "",
                 option->value ? option->value : "");
        fprintf(out, "  %-26s %s\n", left, option->help);
    }
    if (command->examples)
        fprintf(out, "\nExamples:\n%s\n", command->examples);
}

void vt_cli_help(FILE *out, const struct vt_cli_command *command)
{
    if (command) {
        help_of(out, command);
        return;
    }
    fputs("vitrine: the command line of the Vitrine archive, and a DICOM client\n\nCommands:\n",
          out);
    for (command = vt_cli_commands; command->words[0]; command++) {
        char left[80];
        snprintf(left, sizeof left, "%s%s%s %s", command->words[0], command->words[1] ? " " : "",
                 command->words[1] ? command->words[1] : "", command->arguments);
        if (strlen(left) <= 40)
            fprintf(out, "  %-40s %s\n", left, command->help);
        else
            fprintf(out, "  %s\n  %-40s %s\n", left, "", command->help);
    }
    fputs("\nGlobal options, anywhere:\n"
          "  -c, --config FILE          configuration (default /etc/vitrine/vitrine.conf when it "
          "is there)\n"
          "  -o section.key=value       override of the configuration, e.g. -o archive.path=DIR\n"
          "  --json                     one JSON object a line\n"
          "  -v, --verbose              tell more\n"
          "  --help                     of the program, or of the command that is named\n"
          "  --version\n\n"
          "PEER is a name from the configuration or AET@HOST:PORT.\n"
          "Exit status: 0 done, 1 failed or partly failed, 2 wrong usage.\n",
          out);
}

/* ---- main ---- */

static int told(const struct vt_cli *cli, const struct vt_err *err, int status)
{
    if (vt_failed(err))
        vt_cli_complain(cli, "%s", err->text);
    return status;
}

static int run(struct vt_cli *cli, const struct vt_options *options, struct vt_err *err)
{
    if (options->version) {
        fprintf(cli->out, "vitrine %s\n", VT_VERSION);
        return VT_EXIT_DONE;
    }
    if (options->word_count == 0) {
        vt_cli_help(options->help ? cli->out : cli->errors, NULL);
        return options->help ? VT_EXIT_DONE : VT_EXIT_USAGE;
    }
    if (!vt_cli_read(cli, options, err))
        return told(cli, err, err->code == VT_E_INVALID ? VT_EXIT_USAGE : VT_EXIT_FAILED);
    if (options->help) {
        vt_cli_help(cli->out, cli->command);
        return VT_EXIT_DONE;
    }
    bool done = false;
    int status = cli->command->elsewhere ? cli->command->elsewhere(cli, &done, err) : VT_EXIT_DONE;
    if (!done && !vt_failed(err))
        status = cli->command->run(cli, err);
    if (vt_cli_interrupted()) {
        vt_fail(err, VT_E_CANCELLED, "stopped before it was done");
        status = VT_EXIT_FAILED;
    }
    if (fflush(cli->out) != 0 && !vt_failed(err)) {
        vt_fail_errno(err, "standard output");
        status = VT_EXIT_FAILED;
    }
    return told(cli, err, status == VT_EXIT_DONE && vt_failed(err) ? VT_EXIT_FAILED : status);
}

int vt_cli_main(int argc, char **argv)
{
    struct vt_options options;
    struct vt_err err = { 0 };
    struct vt_cli cli = { .out = stdout, .errors = stderr };
    int status;

    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    catch_interrupt();
    vt_log_set_level(VT_LOG_WARN);
    if (!vt_options_parse(&options, argc, argv, &err)) {
        status = told(&cli, &err, err.code == VT_E_NOMEM ? VT_EXIT_FAILED : VT_EXIT_USAGE);
    } else {
        if (options.verbose)
            vt_log_set_level(VT_LOG_DEBUG);
        status = run(&cli, &options, &err);
    }
    free(cli.args);
    vt_options_fini(&options);
    return status;
}

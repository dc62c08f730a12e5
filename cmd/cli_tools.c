/* vitrine samples, vitrine completion. */
#include <string.h>

#include <jansson.h>

#include "cmd/cli.h"
#include "cmd/progress.h"
#include "cmd/samples.h"
#include "core/err.h"
#include "dicom/tags.h"

struct writing {
    struct vt_cli *cli;
    struct vt_progress progress;
};

static void told(void *context, const char *path, size_t done, size_t total)
{
    struct writing *writing = context;

    vt_progress_show(&writing->progress, done, total, "instances", 0);
    if (writing->cli->options->json) {
        json_t *row = json_pack("{s:s}", "file", path);
        json_dumpf(row, writing->cli->out, JSON_COMPACT);
        fputc('\n', writing->cli->out);
        json_decref(row);
    }
}

int vt_cli_samples(struct vt_cli *cli, struct vt_err *err)
{
    struct writing writing = { .cli = cli };
    const char *folder = vt_cli_value(cli, "--output");
    size_t count = 0;

    if (!folder) {
        vt_fail(err, VT_E_INVALID, "name the folder for the samples: -o DIR");
        return VT_EXIT_USAGE;
    }
    vt_progress_init(&writing.progress, cli->options->json);
    bool written = vt_dict_load(err) && vt_samples_write(folder, told, &writing, &count, err);
    vt_progress_clear(&writing.progress);
    if (written && !cli->options->json)
        fprintf(cli->out, "%zu instances of 4 studies in %s\n", count, folder);
    return written ? VT_EXIT_DONE : VT_EXIT_FAILED;
}

/* ---- completion: one case a command, made from the table ---- */

/* "@file" and its like in the shell's own words. */
static void print_words(FILE *out, const char *words)
{
    for (const char *p = words ? words : ""; *(p += strspn(p, " ")); p += strcspn(p, " "))
        if (*p != '@')
            fprintf(out, "%.*s ", (int)strcspn(p, " "), p);
}

static void print_case(FILE *out, const struct vt_cli_command *command)
{
    bool files = command->complete && strstr(command->complete, "@file");

    fprintf(out, "    '%s%s%s') words='", command->words[0], command->words[1] ? " " : "",
            command->words[1] ? command->words[1] : "");
    for (size_t i = 0; i < VT_CLI_OPTIONS && command->options[i].name; i++)
        fprintf(out, "%s ", command->options[i].name);
    print_words(out, command->complete);
    fprintf(out, "'; files=%s ;;\n", files ? "yes" : "no");
}

static void print_values(FILE *out)
{
    const struct vt_cli_command *command;
    const char *printed[32];
    size_t count = 0;

    for (command = vt_cli_commands; command->words[0]; command++) {
        for (size_t i = 0; i < VT_CLI_OPTIONS && command->options[i].name; i++) {
            const struct vt_cli_option *option = &command->options[i];
            bool seen = !option->words || option->words[0] == '@' || count == VT_COUNT(printed);
            for (size_t j = 0; j < count && !seen; j++)
                seen = strcmp(printed[j], option->name) == 0;
            if (seen)
                continue;
            printed[count++] = option->name;
            fprintf(out, "    %s) words='", option->name);
            print_words(out, option->words);
            fputs("'; matched=yes ;;\n", out);
        }
    }
}

static void print_first_words(FILE *out)
{
    const struct vt_cli_command *command;
    const char *last = "";

    for (command = vt_cli_commands; command->words[0]; command++) {
        if (strcmp(command->words[0], last) != 0)
            fprintf(out, "%s ", command->words[0]);
        last = command->words[0];
    }
}

static void print_second_words(FILE *out)
{
    const struct vt_cli_command *command;
    const char *last = "";

    for (command = vt_cli_commands; command->words[0]; command++) {
        if (!command->words[1])
            continue;
        if (strcmp(command->words[0], last) != 0)
            fprintf(out, "%s    '%s') words='", *last ? "'; files=no ;;\n" : "", command->words[0]);
        fprintf(out, "%s ", command->words[1]);
        last = command->words[0];
    }
    fputs("'; files=no ;;\n", out);
}

static void print_completion(FILE *out)
{
    const struct vt_cli_command *command;

    fputs(
        "# Completion of vitrine(1) for bash, and for zsh through bashcompinit. Made by `vitrine "
        "completion`.\n"
        "_vitrine() {\n"
        "    local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
        "    local words='' files=no matched=no verb='' word skip=no i\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        word=\"${COMP_WORDS[i]}\"\n"
        "        if [ \"$skip\" = yes ]; then skip=no; continue; fi\n"
        "        case \"$word\" in\n"
        "        -c|--config|-o|--option) skip=yes ;;\n"
        "        -*) ;;\n"
        "        *) if [ -z \"$verb\" ]; then verb=\"$word\"; elif [ \"${verb#* }\" = \"$verb\" ]; "
        "then verb=\"$verb $word\"; fi ;;\n"
        "        esac\n"
        "    done\n"
        "    case \"$previous\" in\n"
        "    -c|--config|-o|--output|--from|--failed) files=yes; matched=yes ;;\n",
        out);
    print_values(out);
    fputs("    esac\n"
          "    if [ \"$matched\" = no ]; then\n"
          "    case \"$verb\" in\n"
          "    '') words='",
          out);
    print_first_words(out);
    fputs("' ;;\n", out);
    print_second_words(out);
    for (command = vt_cli_commands; command->words[0]; command++)
        if (command->words[1])
            print_case(out, command);
    fputs("    *) case \"${verb%% *}\" in\n", out);
    for (command = vt_cli_commands; command->words[0]; command++)
        if (!command->words[1])
            print_case(out, command);
    fputs("       esac ;;\n"
          "    esac\n"
          "    case \"$current\" in -*) words=\"$words --json --verbose --help --config\" ;; esac\n"
          "    fi\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
          "    if [ \"$files\" = yes ]; then COMPREPLY+=($(compgen -f -- \"$current\")); fi\n"
          "}\n"
          "complete -o filenames -F _vitrine vitrine\n",
          out);
}

int vt_cli_completion(struct vt_cli *cli, struct vt_err *err)
{
    bool zsh = strcmp(cli->args[0], "zsh") == 0;

    if (!zsh && strcmp(cli->args[0], "bash") != 0) {
        vt_fail(err, VT_E_INVALID, "there is completion for bash and zsh, not for '%.40s'",
                cli->args[0]);
        return VT_EXIT_USAGE;
    }
    if (zsh)
        fputs("#compdef vitrine\nautoload -U +X bashcompinit && bashcompinit\n", cli->out);
    print_completion(cli->out);
    return VT_EXIT_DONE;
}

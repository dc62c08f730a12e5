/* cmd/cli.h: the command line `vitrine`: a table of commands, each with its words, help, examples,
 * options and function.
 *
 * cmd/cli.c finds the command and reads its options; cmd/cli_*.c do the work; help, man page checks
 * and completion read the same table. Everything runs in the main thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cmd/options.h"
#include "scu/client.h"
#include "scu/peers.h"

struct json_t;
struct vt_err;
struct vt_pool_call;

enum { VT_EXIT_DONE = 0, VT_EXIT_FAILED = 1, VT_EXIT_USAGE = 2 };
enum { VT_CLI_OPTIONS = 20, VT_CLI_NO_LIMIT = 1 << 30 };

struct vt_cli;

struct vt_cli_option {
    const char *name;   /* "--level" */
    const char *letter; /* "-o", or NULL */
    const char *value;  /* "LEVEL" in the help; NULL: a switch */
    const char *help;
    const char
        *words; /* what completion offers, parted by spaces; "@file", "@peer"; NULL: nothing */
};

struct vt_cli_command {
    const char *words[2];  /* "study", "list"; the second NULL for a verb of one word */
    const char *arguments; /* "PEER FILE|DIR..." */
    const char *help;      /* one line */
    const char *more;      /* what else there is to know, or NULL */
    const char *examples;  /* lines, or NULL */
    struct vt_cli_option options[VT_CLI_OPTIONS]; /* up to the first without a name */
    int min_args, max_args;
    const char *complete; /* of the arguments: as vt_cli_option.words; NULL: nothing */
    /* The exit status; a failure that is not told yet is in err. */
    int (*run)(struct vt_cli *cli, struct vt_err *err);
    /* Asked before `run`: somebody else who does it when he is there (vitrine-poold, cmd/vm_remote.c);
     * *out_done false: nobody is. NULL: always here. */
    int (*elsewhere)(struct vt_cli *cli, bool *out_done, struct vt_err *err);
};

/* Behind the last one: words[0] NULL. */
extern const struct vt_cli_command vt_cli_commands[];

struct vt_cli {
    const struct vt_options *options;
    const struct vt_cli_command *command;
    const char **args; /* what is left, NULL behind the last */
    int arg_count;
    const char *values[VT_CLI_OPTIONS]; /* of command->options; NULL: not given; "" for a switch */
    FILE *out, *errors;
    /* Inside vitrine-poold: for whom this runs, and how to reach him; NULL in `vitrine`. Pointers, so that the
     * programs that only share this table do not link the daemon. */
    struct vt_pool_call *call;
    bool (*note)(struct vt_pool_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
    bool (*cancelled)(struct vt_pool_call *call);
};

/* What main() does. */
int vt_cli_main(int argc, char **argv);

/* NULL: not given. */
const char *vt_cli_value(const struct vt_cli *cli, const char *name);
static inline bool vt_cli_switch(const struct vt_cli *cli, const char *name)
{
    return vt_cli_value(cli, name) != NULL;
}
/* A number option; `fallback` when it is not given. */
bool vt_cli_number(const struct vt_cli *cli, const char *name, long min, long max, long fallback,
                   long *out, struct vt_err *err);

/* {"reason":"...","all":true} of the options that were given; NULL: no memory. The caller's. */
struct json_t *vt_cli_options_json(const struct vt_cli *cli);

/* Ctrl-C was pressed: callbacks stop what runs, in good order. A second one ends the program at
 * once. */
bool vt_cli_interrupted(void);
void vt_cli_interrupt(void); /* as Ctrl-C does */
/* The same for this command: inside vitrine-poold the caller hung up or cancelled. */
bool vt_cli_stopped(const struct vt_cli *cli);

/* One sentence on standard error, with the program's name. */
void vt_cli_complain(const struct vt_cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Finds the command that words name and reads its options out of them. cli->options is set.
 * VT_E_INVALID: wrong usage. Release cli->args with free(). */
bool vt_cli_read(struct vt_cli *cli, const struct vt_options *options, struct vt_err *err);
void vt_cli_help(FILE *out, const struct vt_cli_command *command); /* NULL: of all */

/* ---- for commands that speak to a peer (cmd/cli_peer.c) ---- */

struct vt_cli_peer {
    struct vt_peers *peers;
    struct vt_peer peer;
    char ae_title[VT_AE_TITLE_MAX + 1]; /* ours */
    char store[512];
    struct vt_client client;
};
/* Starts the network too. Do not move the struct; release with vt_cli_peer_close in any case.
 * VT_E_INVALID, VT_E_NOTFOUND: wrong usage. */
bool vt_cli_peer_open(const struct vt_cli *cli, const char *text, struct vt_cli_peer *out,
                      struct vt_err *err);
void vt_cli_peer_close(struct vt_cli_peer *peer);

/* ---- the functions of the table ---- */
int vt_cli_echo(struct vt_cli *cli, struct vt_err *err);
int vt_cli_send(struct vt_cli *cli, struct vt_err *err);
int vt_cli_find(struct vt_cli *cli, struct vt_err *err);
int vt_cli_get(struct vt_cli *cli, struct vt_err *err);
int vt_cli_move(struct vt_cli *cli, struct vt_err *err);
int vt_cli_archive(struct vt_cli *cli, struct vt_err *err);
int vt_cli_import(struct vt_cli *cli, struct vt_err *err);
int vt_cli_export(struct vt_cli *cli, struct vt_err *err);
int vt_cli_slide_info(struct vt_cli *cli, struct vt_err *err);
int vt_cli_slide_convert(struct vt_cli *cli, struct vt_err *err);
int vt_cli_slide_restore(struct vt_cli *cli, struct vt_err *err);
int vt_cli_commit(struct vt_cli *cli, struct vt_err *err);
int vt_cli_print(struct vt_cli *cli, struct vt_err *err);
int vt_cli_peer_list(struct vt_cli *cli, struct vt_err *err);
int vt_cli_peer_test(struct vt_cli *cli, struct vt_err *err);
int vt_cli_peer_explain(struct vt_cli *cli, struct vt_err *err);
int vt_cli_samples(struct vt_cli *cli, struct vt_err *err);
int vt_cli_completion(struct vt_cli *cli, struct vt_err *err);

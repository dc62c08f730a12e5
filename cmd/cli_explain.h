/* cmd/cli_explain.h: the parts of `vitrine peer explain` that ask others (cmd/cli_explain.c). Main thread. */
#pragma once

#include <stdbool.h>

struct json_t;
struct vt_cli;
struct vt_client;

/* Opens an association, shows what is accepted, or why not and what to do; into `row` unless NULL. */
bool vt_cli_explain_probe(struct vt_cli *cli, const struct vt_client *client, struct json_t *row);
/* The last failures that the node knows of, when one runs here. */
void vt_cli_explain_failures(struct vt_cli *cli, const char *ae_title, struct json_t *row);

/* cmd/vm_commands.h: the functions behind the commands of the pool (cmd/vm_commands.def). */
#pragma once

#include <stdbool.h>

struct vt_cli;
struct vt_err;

int vt_cli_vm_list(struct vt_cli *cli, struct vt_err *err);
int vt_cli_vm_show(struct vt_cli *cli, struct vt_err *err);
int vt_cli_vm_snapshots(struct vt_cli *cli, struct vt_err *err);
int vt_cli_vm_verb(struct vt_cli *cli, struct vt_err *err);   /* start, shutdown ...: all that act on VMs */
int vt_cli_vm_clone(struct vt_cli *cli, struct vt_err *err);
int vt_cli_vm_revert(struct vt_cli *cli, struct vt_err *err);
int vt_cli_vm_snapshot_delete(struct vt_cli *cli, struct vt_err *err);
int vt_cli_vm_console(struct vt_cli *cli, struct vt_err *err);
int vt_cli_host_list(struct vt_cli *cli, struct vt_err *err);
int vt_cli_host_show(struct vt_cli *cli, struct vt_err *err);
int vt_cli_host_verb(struct vt_cli *cli, struct vt_err *err);   /* enable, disable, evacuate, reboot, shutdown */
int vt_cli_sr_list(struct vt_cli *cli, struct vt_err *err);
int vt_cli_sr_show(struct vt_cli *cli, struct vt_err *err);
int vt_cli_sr_verb(struct vt_cli *cli, struct vt_err *err);   /* scan, set-default */
int vt_cli_sr_plug(struct vt_cli *cli, struct vt_err *err);   /* plug, unplug */
int vt_cli_pool_status(struct vt_cli *cli, struct vt_err *err);
int vt_cli_pool_check_join(struct vt_cli *cli, struct vt_err *err);
int vt_cli_pool_join(struct vt_cli *cli, struct vt_err *err);
int vt_cli_pool_create(struct vt_cli *cli, struct vt_err *err);
int vt_cli_pool_eject(struct vt_cli *cli, struct vt_err *err);
int vt_cli_pool_emergency(struct vt_cli *cli, struct vt_err *err);
int vt_cli_host_login(struct vt_cli *cli, struct vt_err *err);   /* the emergency logon to one host */

int vt_cli_watch(struct vt_cli *cli, struct vt_err *err);   /* watch ..., pool metrics: when nobody does them */

/* Asks vitrine-poold, when it runs and keeps the pool that is meant, to do the command (cmd/vm_remote.c). */
int vt_cli_pool_ask(struct vt_cli *cli, bool *out_done, struct vt_err *err);

/* watch and pool metrics on the command line: vitrine-poold does them (cmd/poold_watch_verbs.c);
 * here is what is said when it does not run. */
#include "cmd/cli.h"
#include "cmd/vm_commands.h"
#include "core/err.h"

int vt_cli_watch(struct vt_cli *cli, struct vt_err *err)
{
    (void)cli;
    vt_fail(err, VT_E_NOTFOUND,
            "the monitor runs inside vitrine-poold, which does not answer for this pool: start it, "
            "or check pool.socket and pool.url");
    return VT_EXIT_FAILED;
}

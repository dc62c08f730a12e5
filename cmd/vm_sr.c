/* Where storage is attached: each pair of a host and a storage is a PBD of the pool. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "cmd/vm_commands.h"
#include "cmd/vm_pool.h"
#include "core/err.h"

#define CLASSES                                                                                    \
    (VT_CLASS_BIT(VT_CLASS_POOL) | VT_CLASS_BIT(VT_CLASS_HOST) | VT_CLASS_BIT(VT_CLASS_VM) |       \
     VT_CLASS_BIT(VT_CLASS_SR) | VT_CLASS_BIT(VT_CLASS_PBD) | VT_CLASS_BIT(VT_CLASS_VBD) |         \
     VT_CLASS_BIT(VT_CLASS_VDI))

static const char *name_of(const struct vt_object *object)
{
    return vt_object_text(object, "name_label");
}

static void tell(const struct vt_pool *pool, const struct vt_object *sr,
                 const struct vt_object *host, const char *outcome)
{
    if (pool->cli->options->json) {
        json_t *row = json_pack("{s:s, s:s, s:s}", "name", name_of(sr), "host", name_of(host),
                                "outcome", outcome);
        json_dumpf(row, pool->cli->out, JSON_COMPACT);
        fputc('\n', pool->cli->out);
        json_decref(row);
    } else {
        fprintf(pool->cli->out, "%s: %s on %s\n", name_of(sr), outcome, name_of(host));
    }
    fflush(pool->cli->out);
}

/* A VM that runs on the host with a disk of the storage; NULL: none. */
static const struct vt_object *user_of(const struct vt_pool *pool, const struct vt_object *sr,
                                       const struct vt_object *host)
{
    VT_PICTURE_EACH(pool->picture, VT_CLASS_VBD, vbd)
    {
        const struct vt_object *vdi = vt_picture_follow(pool->picture, vbd, "VDI");
        const struct vt_object *vm = vt_picture_follow(pool->picture, vbd, "VM");
        if (vdi && vm && vt_object_bool(vbd, "currently_attached") &&
            vt_picture_follow(pool->picture, vdi, "SR") == sr && vt_pool_host_of(pool, vm) == host)
            return vm;
    }
    return NULL;
}

static bool may_unplug(const struct vt_pool *pool, const struct vt_object *sr,
                       const struct vt_object *host, struct vt_err *err)
{
    const struct vt_object *vm = user_of(pool, sr, host);

    return !vm || vt_fail(err, VT_E_DENIED,
                          "%.50s is in use on %.50s by %.50s: shut it down or migrate it first",
                          name_of(sr), name_of(host), name_of(vm));
}

static bool act(struct vt_pool *pool, const struct vt_object *sr, const struct vt_object *host,
                const struct vt_object *pbd, struct vt_err *err)
{
    bool plug = strcmp(pool->cli->command->words[1], "plug") == 0;

    if (vt_object_bool(pbd, "currently_attached") == plug) {
        tell(pool, sr, host, plug ? "is plugged already" : "is not plugged");
        return true;
    }
    if (!plug && !may_unplug(pool, sr, host, err))
        return false;
    if (vt_cli_switch(pool->cli, "--dry-run")) {
        tell(pool, sr, host, plug ? "would be plugged" : "would be unplugged");
        return true;
    }
    if (!vt_pool_run(pool, plug ? "PBD.plug" : "PBD.unplug", vt_object_ref(pbd), err))
        return vt_fail_context(err, "%.50s on %.50s", name_of(sr), name_of(host));
    tell(pool, sr, host, plug ? "plugged" : "unplugged");
    return true;
}

/* On every host, or on that one. A failure on one host does not keep the others from it. */
static bool act_on_hosts(struct vt_pool *pool, const struct vt_object *sr,
                         const struct vt_object *only, struct vt_err *err)
{
    size_t failed = 0, found = 0;

    VT_PICTURE_EACH(pool->picture, VT_CLASS_PBD, pbd)
    {
        const struct vt_object *host = vt_picture_follow(pool->picture, pbd, "host");
        struct vt_err why = { 0 };
        if (!host || vt_picture_follow(pool->picture, pbd, "SR") != sr || (only && host != only))
            continue;
        found++;
        if (!act(pool, sr, host, pbd, &why)) {
            failed++;
            vt_cli_complain(pool->cli, "%s", why.text);
        }
    }
    if (failed)
        return vt_fail(err, VT_E_STATUS, "%s: not done on %zu of %zu hosts", name_of(sr), failed,
                       found);
    return found || vt_fail(err, VT_E_NOTFOUND, "%.60s is not known to %.60s", name_of(sr),
                            only ? name_of(only) : "any host");
}

int vt_cli_sr_plug(struct vt_cli *cli, struct vt_err *err)
{
    struct vt_pool pool;
    const char *word = vt_cli_value(cli, "--host");
    const struct vt_object *host = NULL;
    bool ok = vt_pool_open(cli, &pool, err) && vt_pool_load(&pool, CLASSES, err);

    if (ok && word)
        ok = (host = vt_pool_find(&pool, VT_CLASS_HOST, word, err));
    for (int i = 0; ok && i < cli->arg_count; i++) {
        const struct vt_object *sr = vt_pool_find(&pool, VT_CLASS_SR, cli->args[i], err);
        ok = sr && act_on_hosts(&pool, sr, host, err);
    }
    vt_pool_close(&pool);
    return vt_pool_status(err);
}

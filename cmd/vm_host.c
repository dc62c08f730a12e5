/* What is done with hosts and storage: enable, disable, evacuate, reboot, shutdown; scan,
 * set-default. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "cmd/vm_commands.h"
#include "cmd/vm_pool.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/explain.h"

#define CLASSES                                                                                    \
    (VT_CLASS_BIT(VT_CLASS_POOL) | VT_CLASS_BIT(VT_CLASS_HOST) | VT_CLASS_BIT(VT_CLASS_VM) |       \
     VT_CLASS_BIT(VT_CLASS_SR))

enum { WAIT_S = 3600 };

bool vt_pool_run(struct vt_pool *pool, const char *method, const char *ref, struct vt_err *err)
{
    VT_AUTO_REPLY reply = { 0 };
    struct vt_xapi_task task = { 0 };
    int64_t deadline = vt_clock_mono() + WAIT_S * VT_NS_PER_S;
    char call[64];

    snprintf(call, sizeof call, "Async.%s", method);
    bool ok = vt_xapi_call(pool->xapi, pool->line, &reply, err, call, "s", ref) &&
              vt_xapi_task_wait(pool->xapi, pool->line, vt_xmlrpc_text(reply.value, ""), deadline,
                                NULL, NULL, &task, err);
    if (!ok)
        vt_explain(err, pool->picture);
    return ok;
}

static const char *name_of(const struct vt_object *object)
{
    return vt_object_text(object, "name_label");
}

static void tell(const struct vt_pool *pool, const char *name, const char *done)
{
    if (pool->cli->options->json) {
        json_t *row = json_pack("{s:s, s:s}", "name", name, "outcome", done);
        json_dumpf(row, pool->cli->out, JSON_COMPACT);
        fputc('\n', pool->cli->out);
        json_decref(row);
    } else {
        fprintf(pool->cli->out, "%s: %s\n", name, done);
    }
    fflush(pool->cli->out);
}

/* A step of a host, or only its name with --dry-run. */
static bool step(struct vt_pool *pool, const struct vt_object *host, const char *method,
                 const char *done, struct vt_err *err)
{
    char text[80];

    if (vt_cli_switch(pool->cli, "--dry-run")) {
        snprintf(text, sizeof text, "would be %s", done);
        tell(pool, name_of(host), text);
        return true;
    }
    if (!vt_pool_run(pool, method, vt_object_ref(host), err))
        return vt_fail_context(err, "%s", name_of(host));
    tell(pool, name_of(host), done);
    return true;
}

/* The VMs that cannot leave, each with its reason: asked before anything is changed. */
static bool can_evacuate(struct vt_pool *pool, const struct vt_object *host, struct vt_err *err)
{
    VT_AUTO_REPLY reply = { 0 };
    const char *params[VT_XAPI_PARAMS_MAX];
    size_t stuck = 0;

    if (!vt_xapi_call(pool->xapi, pool->line, &reply, err, "host.get_vms_which_prevent_evacuation",
                      "s", vt_object_ref(host))) {
        vt_explain(err, pool->picture);
        return false;
    }
    for (const struct vt_xmlrpc_value *vm = vt_xmlrpc_first(reply.value); vm; vm = vm->next) {
        const struct vt_object *object = vt_picture_get(pool->picture, vm->name);
        const struct vt_xmlrpc_value *code = vt_xmlrpc_first(vm);
        char why[VT_ERR_TEXT_MAX];
        size_t count = 0;
        for (const struct vt_xmlrpc_value *p = code ? code->next : NULL;
             p && count < VT_XAPI_PARAMS_MAX; p = p->next)
            params[count++] = vt_xmlrpc_text(p, "");
        vt_explain_code(vt_xmlrpc_text(code, "UNKNOWN"), params, count, pool->picture, why,
                        sizeof why);
        vt_cli_complain(pool->cli, "%s cannot leave: %s", object ? name_of(object) : vm->name, why);
        stuck++;
    }
    return !stuck ||
           vt_fail(err, VT_E_DENIED, "%s: %zu VM%s cannot be moved away; nothing was changed",
                   name_of(host), stuck, stuck == 1 ? "" : "s");
}

/* When a later step fails the host is left disabled, which is worth saying. */
static bool evacuate(struct vt_pool *pool, const struct vt_object *host, struct vt_err *err)
{
    if (!can_evacuate(pool, host, err) || !step(pool, host, "host.disable", "disabled", err))
        return false;
    if (step(pool, host, "host.evacuate", "evacuated", err))
        return true;
    char text[VT_ERR_TEXT_MAX];
    snprintf(text, sizeof text, "%.150s", err->text);
    return vt_fail(err, err->code, "%s; it stays disabled: 'vitrine host enable %.40s'", text,
                   name_of(host));
}

static bool is_master(const struct vt_pool *pool, const struct vt_object *host)
{
    const struct vt_object *self = vt_picture_first(pool->picture, VT_CLASS_POOL);

    return self && vt_picture_follow(pool->picture, self, "master") == host;
}

static bool power(struct vt_pool *pool, const struct vt_object *host, const char *method,
                  const char *done, struct vt_err *err)
{
    char question[200];

    snprintf(question, sizeof question, "%.60s would be evacuated and %s%s", name_of(host), done,
             is_master(pool, host) ? "; it is the master, the pool does not answer until it is back"
                                   : "");
    return (vt_cli_switch(pool->cli, "--dry-run") ||
            vt_pool_confirm(pool->cli, question, name_of(host), err)) &&
           evacuate(pool, host, err) && step(pool, host, method, done, err);
}

static bool act_on_host(struct vt_pool *pool, const struct vt_object *host, struct vt_err *err)
{
    const char *word = pool->cli->command->words[1];

    if (strcmp(word, "enable") == 0)
        return step(pool, host, "host.enable", "enabled", err);
    if (strcmp(word, "disable") == 0)
        return step(pool, host, "host.disable", "disabled", err);
    if (strcmp(word, "evacuate") == 0)
        return evacuate(pool, host, err);
    if (strcmp(word, "reboot") == 0)
        return power(pool, host, "host.reboot", "rebooted", err);
    return power(pool, host, "host.shutdown", "shut down", err);
}

int vt_cli_host_verb(struct vt_cli *cli, struct vt_err *err)
{
    struct vt_pool pool;
    bool ok = vt_pool_open(cli, &pool, err) && vt_pool_load(&pool, CLASSES, err);

    for (int i = 0; ok && i < cli->arg_count; i++) {
        const struct vt_object *host = vt_pool_find(&pool, VT_CLASS_HOST, cli->args[i], err);
        ok = host && act_on_host(&pool, host, err);
    }
    vt_pool_close(&pool);
    return vt_pool_status(err);
}

/* ---- storage ---- */

/* New VMs' disks and the memory of suspended ones go there. */
static bool set_default(struct vt_pool *pool, const struct vt_object *sr, struct vt_err *err)
{
    static const char *const calls[] = { "pool.set_default_SR", "pool.set_suspend_image_SR",
                                         "pool.set_crash_dump_SR" };
    const struct vt_object *self = vt_picture_first(pool->picture, VT_CLASS_POOL);

    if (!self)
        return vt_fail(err, VT_E_PROTOCOL, "the server names no pool");
    for (size_t i = 0; i < VT_COUNT(calls); i++) {
        VT_AUTO_REPLY reply = { 0 };
        if (!vt_xapi_call(pool->xapi, pool->line, &reply, err, calls[i], "ss", vt_object_ref(self),
                          vt_object_ref(sr))) {
            vt_explain(err, pool->picture);
            return false;
        }
    }
    tell(pool, name_of(sr), "is the default now");
    return true;
}

int vt_cli_sr_verb(struct vt_cli *cli, struct vt_err *err)
{
    struct vt_pool pool;
    bool ok = vt_pool_open(cli, &pool, err) && vt_pool_load(&pool, CLASSES, err);

    for (int i = 0; ok && i < cli->arg_count; i++) {
        const struct vt_object *sr = vt_pool_find(&pool, VT_CLASS_SR, cli->args[i], err);
        ok = sr && (strcmp(cli->command->words[1], "scan") == 0
                        ? step(&pool, sr, "SR.scan", "scanned", err)
                        : set_default(&pool, sr, err));
    }
    vt_pool_close(&pool);
    return vt_pool_status(err);
}

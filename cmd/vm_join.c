/* Joining a pool and leaving it: check-join, join, eject, create. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/table.h"
#include "cmd/vm_commands.h"
#include "cmd/vm_pool.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/explain.h"
#include "hypervisor/join.h"

#define HOSTS                                                                                      \
    (VT_CLASS_BIT(VT_CLASS_POOL) | VT_CLASS_BIT(VT_CLASS_HOST) |                                   \
     VT_CLASS_BIT(VT_CLASS_HOST_METRICS))
#define AFTER                                                                                      \
    (HOSTS | VT_CLASS_BIT(VT_CLASS_VM) | VT_CLASS_BIT(VT_CLASS_SR) | VT_CLASS_BIT(VT_CLASS_PBD) |  \
     VT_CLASS_BIT(VT_CLASS_NETWORK))

enum { APPEAR_S = 600, LOOK_MS = 500 };

/* The host that wants to join, and what both sides say of themselves. */
struct joining {
    struct vt_pool *pool;
    struct vt_xapi *xapi; /* of the joiner */
    struct vt_line *line;
    char address[VT_XAPI_ADDRESS_MAX];
    struct vt_join_facts *joiner, *theirs;
    struct vt_join_finding findings[VT_JOIN_RULES_MAX];
    size_t count;
};

static void joining_fini(struct joining *joining)
{
    struct vt_err ignored = { 0 };

    if (joining->xapi && joining->line)
        vt_xapi_logout(joining->xapi, joining->line, &ignored);
    vt_line_free(joining->line);
    vt_xapi_free(joining->xapi);
    free(joining->joiner);
    free(joining->theirs);
}

static void first_member(struct vt_xapi *xapi, struct vt_xapi_member *out)
{
    struct vt_xapi_member members[VT_XAPI_MEMBERS_MAX];
    char uuid[VT_XAPI_UUID_MAX];
    size_t count = 0;

    vt_xapi_members(xapi, members, &count, uuid);
    *out = members[0];
}

/* Asks both sides and applies the rules. */
static bool look(struct joining *joining, struct vt_pool *pool, const char *word,
                 struct vt_err *err)
{
    const char *fingerprint = vt_cli_value(pool->cli, "--fingerprint");
    struct vt_xapi_member self, master;

    *joining = (struct joining){ .pool = pool,
                                 .joiner = calloc(1, sizeof *joining->joiner),
                                 .theirs = calloc(1, sizeof *joining->theirs) };
    if (!joining->joiner || !joining->theirs)
        return vt_fail(err, VT_E_NOMEM, "no memory for the facts of two hosts");
    if (!(joining->xapi = vt_pool_other(pool, word, fingerprint, err)) ||
        !(joining->line = vt_line_new(err)))
        return false;
    first_member(joining->xapi, &self);
    snprintf(joining->address, sizeof joining->address, "%s", self.address);
    if (!vt_join_look(joining->xapi, joining->line, self.address, true, joining->joiner, err)) {
        vt_explain(err, NULL);
        return vt_fail_context(err, "%s", word);
    }
    first_member(joining->xapi, &self);
    if (!fingerprint && self.pin[0])
        vt_cli_complain(pool->cli,
                        "%s shows the key %s, which is believed (--fingerprint would check it)",
                        word, self.pin);
    vt_xapi_master(pool->xapi, master.address);
    if (!vt_join_look(pool->xapi, pool->line, master.address, false, joining->theirs, err)) {
        vt_explain(err, NULL);
        return vt_fail_context(err, "the pool");
    }
    joining->count = vt_join_check(joining->joiner, joining->theirs,
                                   vt_cli_switch(pool->cli, "--strict"), joining->findings);
    return true;
}

/* ---- the report ---- */

static json_t *row_of(const struct vt_join_finding *finding, bool people)
{
    bool fine = finding->verdict == VT_JOIN_OK;

    if (people)
        return json_pack("{s:s, s:s, s:s, s:s}", "rule", finding->title, "verdict",
                         vt_join_verdict_name(finding->verdict), "host", finding->joiner, "pool",
                         finding->pool);
    return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:s}", "rule", finding->rule, "title",
                     finding->title, "paper", finding->paper, "verdict",
                     vt_join_verdict_name(finding->verdict), "host", finding->joiner, "pool",
                     finding->pool, "remedy", fine ? "" : finding->remedy, "code", finding->code);
}

static void print_remedies(const struct joining *joining)
{
    const struct vt_cli *cli = joining->pool->cli;

    for (size_t i = 0; i < joining->count && !cli->options->json; i++)
        if (joining->findings[i].verdict != VT_JOIN_OK)
            fprintf(cli->out, "%s: %s: %s\n", vt_join_verdict_name(joining->findings[i].verdict),
                    joining->findings[i].title, joining->findings[i].remedy);
}

static bool print_table(const struct joining *joining, struct vt_err *err)
{
    const struct vt_cli *cli = joining->pool->cli;
    const struct vt_table_options options = { .out = cli->out, .json = cli->options->json };
    VT_AUTO(vt_table) table = vt_table_new(&options);

    for (size_t i = 0; i < joining->count; i++) {
        json_t *row = row_of(&joining->findings[i], !cli->options->json);
        bool ok = table && row && vt_table_row(table, row);
        json_decref(row);
        if (!ok)
            return vt_fail(err, VT_E_NOMEM, "no memory for a row, or standard output is closed");
    }
    return true;
}

/* The table, and under it what to do about each rule that does not hold. */
static bool print_findings(const struct joining *joining, struct vt_err *err)
{
    if (!print_table(joining, err))
        return false;
    print_remedies(joining);
    return true;
}

/* Names every rule that fails. */
static bool all_hold(const struct joining *joining, struct vt_err *err)
{
    size_t failures = vt_join_failures(joining->findings, joining->count);
    char names[VT_ERR_TEXT_MAX / 2] = "";

    if (failures == 0)
        return true;
    for (size_t i = 0; i < joining->count; i++) {
        size_t used = strlen(names);
        if (joining->findings[i].verdict == VT_JOIN_FAIL && used < sizeof names - 1)
            snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "",
                     joining->findings[i].rule);
    }
    return vt_fail(err, VT_E_DENIED, "%.60s may not join, %zu rule%s: %s",
                   *joining->joiner->slave_of ? joining->address : joining->joiner->name, failures,
                   failures == 1 ? " fails" : "s fail", names);
}

static bool check_one(struct vt_pool *pool, const char *word, struct vt_err *err)
{
    struct joining joining;
    bool ok =
        look(&joining, pool, word, err) && print_findings(&joining, err) && all_hold(&joining, err);

    joining_fini(&joining);
    return ok;
}

int vt_cli_pool_check_join(struct vt_cli *cli, struct vt_err *err)
{
    struct vt_pool pool;

    if (vt_pool_open(cli, &pool, err) && vt_pool_load(&pool, HOSTS, err))
        check_one(&pool, cli->args[0], err);
    vt_pool_close(&pool);
    return vt_pool_status(err);
}

/* ---- joining ---- */

/* The host's daemon restarts in between, so the task may be lost: whether the host has joined is
 * seen in the pool. */
static bool follow_join(struct joining *joining, struct vt_err *err)
{
    VT_AUTO_REPLY reply = { 0 };
    struct vt_xapi_task task = { 0 };
    struct vt_xapi_member master;
    int64_t deadline = vt_clock_mono() + APPEAR_S * VT_NS_PER_S;

    vt_xapi_master(joining->pool->xapi, master.address);
    if (!vt_pool_send_join(joining->pool, joining->xapi, joining->line, master.address, &reply,
                           err)) {
        vt_explain(err, NULL);
        return false;
    }
    if (vt_xapi_task_wait(joining->xapi, joining->line, vt_xmlrpc_text(reply.value, ""), deadline,
                          NULL, NULL, &task, err) ||
        task.end == VT_XAPI_TASK_UNKNOWN) {
        vt_err_clear(err);
        return true;
    }
    vt_explain(err, NULL);
    return false;
}

/* Waits until the pool shows the host alive and enabled. */
static const struct vt_object *wait_for(struct joining *joining, struct vt_err *err)
{
    struct vt_pool *pool = joining->pool;
    int64_t deadline = vt_clock_mono() + APPEAR_S * VT_NS_PER_S;

    while (vt_clock_mono() < deadline && !vt_cli_stopped(pool->cli)) {
        if (!vt_picture_load(pool->picture, pool->xapi, pool->line, HOSTS, err))
            return NULL;
        const struct vt_object *host =
            vt_picture_by_uuid(pool->picture, VT_CLASS_HOST, joining->joiner->host_uuid);
        const struct vt_object *metrics =
            host ? vt_picture_follow(pool->picture, host, "metrics") : NULL;
        if (metrics && vt_object_bool(metrics, "live") && vt_object_bool(host, "enabled"))
            return host;
        vt_clock_sleep(LOOK_MS * VT_NS_PER_MS);
    }
    vt_fail(err, VT_E_TIMEOUT, "%s has not come up in the pool: look at it on its console",
            joining->joiner->name);
    return NULL;
}

static json_t *inherited_storage(const struct vt_pool *pool, const struct vt_object *host)
{
    json_t *list = json_array();

    VT_PICTURE_EACH(pool->picture, VT_CLASS_PBD, pbd)
    {
        const struct vt_object *sr = vt_picture_follow(pool->picture, pbd, "SR");
        if (sr && vt_picture_follow(pool->picture, pbd, "host") == host)
            json_array_append_new(
                list,
                json_sprintf("%s%s", vt_object_text(sr, "name_label"),
                             vt_object_bool(pbd, "currently_attached") ? "" : " (not plugged)"));
    }
    return list;
}

static bool is_plugged(const struct vt_pool *pool, const struct vt_object *sr,
                       const struct vt_object *host)
{
    VT_PICTURE_EACH(pool->picture, VT_CLASS_PBD, pbd)
    if (vt_picture_follow(pool->picture, pbd, "SR") == sr &&
        vt_picture_follow(pool->picture, pbd, "host") == host)
        return vt_object_bool(pbd, "currently_attached");
    return false;
}

/* Shared storage of the pool that the host does not reach yet. */
static json_t *left_to_do(const struct vt_pool *pool, const struct vt_object *host)
{
    json_t *list = json_array();

    VT_PICTURE_EACH(pool->picture, VT_CLASS_SR, sr)
    if (vt_object_bool(sr, "shared") && !vt_object_bool(sr, "is_tools_sr") &&
        !is_plugged(pool, sr, host))
        json_array_append_new(
            list, json_sprintf("plug '%s' on the host", vt_object_text(sr, "name_label")));
    return list;
}

/* What came with it and what it got; what is left to do. */
static bool print_joined(struct joining *joining, const struct vt_object *host, struct vt_err *err)
{
    struct vt_pool *pool = joining->pool;
    const struct vt_table_options options = { .out = pool->cli->out,
                                              .json = pool->cli->options->json,
                                              .layout = VT_LAYOUT_RECORD };
    VT_AUTO(vt_table) table = vt_table_new(&options);
    json_t *networks = json_array();

    VT_PICTURE_EACH(pool->picture, VT_CLASS_NETWORK, network)
    json_array_append_new(networks, json_string(vt_object_text(network, "name_label")));
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o}", "name", vt_object_text(host, "name_label"), "uuid",
        vt_object_text(host, "uuid"), "outcome", "joined", "storage", inherited_storage(pool, host),
        "networks", networks, "left_to_do", left_to_do(pool, host));
    bool ok = table && row && vt_table_row(table, row);
    json_decref(row);
    return ok || vt_fail(err, VT_E_NOMEM, "no memory for a row, or standard output is closed");
}

static bool do_join(struct joining *joining, struct vt_err *err)
{
    struct vt_pool *pool = joining->pool;
    char question[220];

    snprintf(question, sizeof question, "%.60s would join the pool and lose its own settings",
             joining->joiner->name);
    if (!vt_pool_confirm(pool->cli, question, joining->joiner->name, err) ||
        !follow_join(joining, err) || !wait_for(joining, err) || !vt_pool_load(pool, AFTER, err))
        return false;
    const struct vt_object *host =
        vt_picture_by_uuid(pool->picture, VT_CLASS_HOST, joining->joiner->host_uuid);
    return host ? print_joined(joining, host, err)
                : vt_fail(err, VT_E_NOTFOUND, "%s left the pool again", joining->joiner->name);
}

static bool join_one(struct vt_pool *pool, const char *word, struct vt_err *err)
{
    struct joining joining;
    bool dry = vt_cli_switch(pool->cli, "--dry-run");
    bool ok = look(&joining, pool, word, err);

    if (ok && (dry || vt_join_failures(joining.findings, joining.count) > 0))
        ok = print_findings(&joining, err);
    ok = ok && all_hold(&joining, err) && (dry || do_join(&joining, err));
    joining_fini(&joining);
    return ok;
}

int vt_cli_pool_join(struct vt_cli *cli, struct vt_err *err)
{
    struct vt_pool pool;
    bool ok = vt_pool_open(cli, &pool, err) && vt_pool_load(&pool, HOSTS, err);

    for (int i = 0; ok && i < cli->arg_count; i++)
        ok = join_one(&pool, cli->args[i], err);
    vt_pool_close(&pool);
    return vt_pool_status(err);
}

/* ---- creating: every host is born as a pool of its own ---- */

static bool name_pool(struct vt_pool *pool, const char *name, struct vt_err *err)
{
    const struct vt_object *self = vt_picture_first(pool->picture, VT_CLASS_POOL);
    VT_AUTO_REPLY reply = { 0 };

    if (!self)
        return vt_fail(err, VT_E_PROTOCOL, "the server names no pool");
    if (vt_cli_switch(pool->cli, "--dry-run") ||
        vt_xapi_call(pool->xapi, pool->line, &reply, err, "pool.set_name_label", "ss",
                     vt_object_ref(self), name))
        return true;
    vt_explain(err, pool->picture);
    return false;
}

/* The master's address stands in for pool.url, with its scheme and port when there is one. */
static bool point_at(struct vt_cli *cli, const char *master, struct vt_err *err)
{
    char url[512];

    snprintf(url, sizeof url, "%s%.400s", strstr(master, "://") ? "" : "https://", master);
    return vt_conf_set(cli->options->conf, "pool", NULL, "url", url, err);
}

int vt_cli_pool_create(struct vt_cli *cli, struct vt_err *err)
{
    const char *name = vt_cli_value(cli, "--name"), *master = vt_cli_value(cli, "--master");
    struct vt_pool pool = { 0 };

    if (!name || !master) {
        vt_fail(err, VT_E_INVALID, "a new pool wants --name NAME and --master HOST");
        return VT_EXIT_USAGE;
    }
    bool ok = point_at(cli, master, err) && vt_pool_open(cli, &pool, err);
    if (ok) {
        ok = vt_pool_load(&pool, HOSTS, err) && name_pool(&pool, name, err);
        for (int i = 0; ok && i < cli->arg_count; i++)
            ok = join_one(&pool, cli->args[i], err);
        if (ok && !cli->options->json)
            fprintf(cli->out,
                    "pool %s: left to do: shared storage, then 'vitrine sr set-default'\n", name);
    }
    vt_pool_close(&pool);
    return vt_pool_status(err);
}

/* ---- leaving ---- */

/* What the server would refuse, said before. */
static bool may_leave(const struct vt_pool *pool, const struct vt_object *host, struct vt_err *err)
{
    const struct vt_object *self = vt_picture_first(pool->picture, VT_CLASS_POOL);

    if (self && vt_picture_follow(pool->picture, self, "master") == host)
        return vt_fail(err, VT_E_DENIED,
                       "%s is the master and cannot leave: make another host the master first",
                       vt_object_text(host, "name_label"));
    if (self && vt_object_bool(self, "ha_enabled"))
        return vt_fail(err, VT_E_DENIED,
                       "high availability is on: switch it off first [HA_IS_ENABLED]");
    VT_PICTURE_EACH(pool->picture, VT_CLASS_VM, vm)
    if (vt_pool_is_vm(vm) && vt_pool_host_of(pool, vm) == host)
        return vt_fail(err, VT_E_DENIED, "%s runs on %s: 'vitrine host evacuate' first",
                       vt_object_text(vm, "name_label"), vt_object_text(host, "name_label"));
    return true;
}

static bool eject(struct vt_pool *pool, struct vt_err *err)
{
    const struct vt_object *host = vt_pool_find(pool, VT_CLASS_HOST, pool->cli->args[0], err);
    char question[220];

    if (!host || !may_leave(pool, host, err))
        return false;
    const char *name = vt_object_text(host, "name_label");
    if (vt_cli_switch(pool->cli, "--dry-run")) {
        fprintf(pool->cli->out, "%s: would leave the pool; its local storage would be erased\n",
                name);
        return true;
    }
    snprintf(question, sizeof question,
             "%.60s would leave the pool: its LOCAL STORAGE IS ERASED and it reboots", name);
    if (!vt_pool_confirm(pool->cli, question, name, err) ||
        !vt_pool_run(pool, "pool.eject", vt_object_ref(host), err))
        return false;
    fprintf(pool->cli->out, "%s: left the pool\n", name);
    return true;
}

int vt_cli_pool_eject(struct vt_cli *cli, struct vt_err *err)
{
    struct vt_pool pool;

    if (vt_pool_open(cli, &pool, err) &&
        vt_pool_load(&pool, HOSTS | VT_CLASS_BIT(VT_CLASS_VM), err))
        eject(&pool, err);
    vt_pool_close(&pool);
    return vt_pool_status(err);
}

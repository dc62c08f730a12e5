/* When no master answers: how each member is, by the local logon, and the steps that make a pool of
 * them again. Which VMs a member ran comes from the saved picture. Each step is explained,
 * confirmed by typing a name, and written down. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd/table.h"
#include "cmd/vm_commands.h"
#include "cmd/vm_pool.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/explain.h"
#include "hypervisor/pool_service.h"
#include "hypervisor/xapi_local.h"

enum { MASTER_WAIT_S = 180, LOOK_MS = 500, LOG_LINE_MAX = 640 };

struct member {
    struct vt_xapi_member who;
    const struct vt_object *host; /* of the saved picture; NULL: never seen */
    bool answers;
    struct vt_xapi_local_state state;
    struct vt_err err; /* why it does not answer */
};

static const char *name_of(const struct member *member)
{
    return member->host ? vt_object_text(member->host, "name_label") : member->who.address;
}

/* ---- the record of what was done ---- */

static void write_down(const struct vt_pool *pool, const char *step, const char *host,
                       const struct vt_err *err)
{
    const struct vt_pool_call *call = pool->cli->call;
    char path[VT_POOL_PATH_MAX + 16], line[LOG_LINE_MAX], now[VT_CLOCK_TEXT_MAX], who[160];

    if (call)
        snprintf(who, sizeof who, "%s", vt_call_who(call));
    else
        snprintf(who, sizeof who, "uid=%u", (unsigned)getuid());
    vt_clock_text(vt_clock_wall(), now);
    snprintf(path, sizeof path, "%s/emergency.log", pool->state);
    int length = snprintf(line, sizeof line, "%s %.140s %s host=%.100s outcome=%.200s\n", now,
                          who, step, host, vt_failed(err) ? err->text : "done");
    vt_autoclose fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    size_t size = length < LOG_LINE_MAX ? (size_t)length : LOG_LINE_MAX - 1;
    if (fd < 0 || write(fd, line, size) != (ssize_t)size)
        vt_cli_complain(pool->cli, "%s is not written: %s", path, strerror(errno));
}

/* ---- members ---- */

static void look_at(struct vt_pool *pool, struct member *member)
{
    VT_AUTO(vt_xapi_local)
    local = vt_xapi_slave_local_login(pool->xapi, member->who.address, &member->err);

    member->answers = local && vt_xapi_local_look(local, &member->state, &member->err);
}

static const struct vt_object *host_at(const struct vt_pool *pool, const char *address)
{
    VT_PICTURE_EACH(pool->picture, VT_CLASS_HOST, host)
    if (strcmp(vt_object_text(host, "address"), address) == 0)
        return host;
    return NULL;
}

/* All members that are remembered; the caller's. */
static struct member *all_members(struct vt_pool *pool, size_t *out_count, struct vt_err *err)
{
    struct vt_xapi_member known[VT_XAPI_MEMBERS_MAX];
    char uuid[VT_XAPI_UUID_MAX];
    size_t count = 0;

    vt_xapi_members(pool->xapi, known, &count, uuid);
    struct member *members = calloc(count + 1, sizeof *members);
    if (!members) {
        vt_fail(err, VT_E_NOMEM, "no memory for the members");
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        members[i].who = known[i];
        members[i].host = host_at(pool, known[i].address);
    }
    *out_count = count;
    return members;
}

/* By address or, when the picture knows it, by name. */
static struct member *find_member(struct member *members, size_t count, const char *word,
                                  struct vt_err *err)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(members[i].who.address, word) == 0 || strcmp(name_of(&members[i]), word) == 0)
            return &members[i];
    vt_fail(err, VT_E_NOTFOUND,
            "no member '%.60s' is remembered: 'vitrine pool emergency' lists them", word);
    return NULL;
}

/* ---- how they are ---- */

static const char *role_of(const struct member *member)
{
    if (!member->answers)
        return "silent";
    if (member->state.emergency)
        return "emergency";
    return *member->state.reason ? "member" : "master";
}

static json_t *last_vms(const struct vt_pool *pool, const struct member *member)
{
    char text[200] = "";

    VT_PICTURE_EACH(pool->picture, VT_CLASS_VM, vm)
    {
        size_t used = strlen(text);
        if (member->host && vt_pool_is_vm(vm) && vt_pool_host_of(pool, vm) == member->host &&
            used < sizeof text - 1)
            snprintf(text + used, sizeof text - used, "%s%s", used ? " " : "",
                     vt_object_text(vm, "name_label"));
    }
    return json_string(text);
}

static bool print_members(struct vt_pool *pool, struct member *members, size_t count,
                          struct vt_err *err)
{
    const struct vt_table_options options = { .out = pool->cli->out,
                                              .json = pool->cli->options->json };
    VT_AUTO(vt_table) table = vt_table_new(&options);

    for (size_t i = 0; i < count; i++) {
        look_at(pool, &members[i]);
        vt_explain(&members[i].err, pool->picture);
        json_t *row =
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "name", name_of(&members[i]), "address",
                      members[i].who.address, "state", role_of(&members[i]), "says",
                      members[i].answers ? members[i].state.reason : members[i].err.text, "follows",
                      members[i].state.master, "ran", last_vms(pool, &members[i]));
        bool ok = table && row && vt_table_row(table, row);
        json_decref(row);
        if (!ok)
            return vt_fail(err, VT_E_NOMEM, "no memory for a row, or standard output is closed");
    }
    return true;
}

static void print_steps(const struct vt_cli *cli, const struct member *members, size_t count)
{
    size_t masters = 0;

    for (size_t i = 0; i < count; i++)
        masters += strcmp(role_of(&members[i]), "master") == 0;
    if (cli->options->json)
        return;
    if (masters == 1) {
        fputs("A master answers: there is no emergency.\n", cli->out);
        return;
    }
    if (masters > 1)
        fputs("TWO MASTERS on one storage destroy data: switch one of them off now.\n", cli->out);
    fputs(
        "What can be done:\n"
        "  1. Repair the old master, when that is quick: the others find it again by themselves.\n"
        "  2. Else switch it off for certain, then: vitrine pool emergency promote HOST\n"
        "     That host becomes the master, the others are told to follow it.\n"
        "  3. A member that does not follow: vitrine pool emergency follow HOST MASTER-ADDRESS\n"
        "  4. VMs of the dead host still read Running: vitrine pool emergency declare-dead HOST\n"
        "     Then start them elsewhere: vitrine vm start VM...\n",
        cli->out);
}

/* ---- the steps ---- */

static bool follow(struct vt_pool *pool, const struct member *member, const char *master,
                   struct vt_err *err)
{
    VT_AUTO(vt_xapi_local) local = vt_xapi_slave_local_login(pool->xapi, member->who.address, err);
    bool ok = local && vt_xapi_local_reset_master(local, master, err);

    vt_explain(err, pool->picture);
    write_down(pool, "follow", name_of(member), err);
    if (ok)
        fprintf(pool->cli->out, "%s: follows %s\n", name_of(member), master);
    return ok;
}

/* The new master's daemon restarts; then an ordinary login works there. */
static bool wait_for_master(struct vt_pool *pool, struct vt_err *err)
{
    int64_t deadline = vt_clock_mono() + MASTER_WAIT_S * VT_NS_PER_S;

    while (vt_clock_mono() < deadline && !vt_cli_stopped(pool->cli)) {
        vt_err_clear(err);
        if (vt_xapi_login(pool->xapi, pool->line, err))
            return true;
        vt_clock_sleep(LOOK_MS * VT_NS_PER_MS);
    }
    return false;
}

static bool followed(const struct vt_xapi_reply *reply, const struct vt_object *host)
{
    for (const struct vt_xmlrpc_value *ref = vt_xmlrpc_first(reply->value); ref; ref = ref->next)
        if (host && strcmp(vt_xmlrpc_text(ref, ""), vt_object_ref(host)) == 0)
            return true;
    return false;
}

/* References may have changed with the master's daemon: the saved picture gives way to the new one.
 */
static bool renew(struct vt_pool *pool, struct member *members, size_t count, struct vt_err *err)
{
    bool ok = vt_picture_load(pool->picture, pool->xapi, pool->line,
                              VT_CLASS_BIT(VT_CLASS_HOST) | VT_CLASS_BIT(VT_CLASS_POOL), err);

    for (size_t i = 0; i < count; i++)
        members[i].host = host_at(pool, members[i].who.address);
    return ok;
}

/* recover_slaves tells the members; those that answer but were not reached are told by their own
 * local logon. */
static bool gather(struct vt_pool *pool, struct member *members, size_t count,
                   const struct member *master, struct vt_err *err)
{
    VT_AUTO_REPLY reply = { 0 };
    bool ok = true;

    if (!vt_xapi_call(pool->xapi, pool->line, &reply, err, "pool.recover_slaves", "")) {
        vt_explain(err, pool->picture);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (&members[i] == master)
            continue;
        if (followed(&reply, members[i].host)) {
            fprintf(pool->cli->out, "%s: follows %s\n", name_of(&members[i]), master->who.address);
            continue;
        }
        look_at(pool, &members[i]);
        if (members[i].answers && strcmp(role_of(&members[i]), "master") != 0 &&
            strcmp(members[i].state.master, master->who.address) != 0)
            ok = follow(pool, &members[i], master->who.address, err) && ok;
        else if (!members[i].answers)
            fprintf(pool->cli->out,
                    "%s: does not answer; when it is off for good: vitrine pool emergency "
                    "declare-dead %s\n",
                    name_of(&members[i]), name_of(&members[i]));
    }
    return ok;
}

/* A live master elsewhere would make two. */
static bool no_master_answers(struct vt_pool *pool, struct member *members, size_t count,
                              struct vt_err *err)
{
    for (size_t i = 0; i < count; i++) {
        look_at(pool, &members[i]);
        if (strcmp(role_of(&members[i]), "master") == 0)
            return vt_fail(err, VT_E_DENIED,
                           "%s is the master and answers: a second one would destroy data",
                           name_of(&members[i]));
    }
    return true;
}

static bool promote(struct vt_pool *pool, struct member *members, size_t count, struct vt_err *err)
{
    struct member *member = find_member(members, count, pool->cli->args[1], err);
    char question[240];

    if (!member || !no_master_answers(pool, members, count, err))
        return false;
    snprintf(question, sizeof question,
             "%.60s would become the master. Is the old master switched off? Two masters on one "
             "storage DESTROY DATA",
             name_of(member));
    if (!vt_pool_confirm(pool->cli, question, "the old master is off", err))
        return false;
    VT_AUTO(vt_xapi_local) local = vt_xapi_slave_local_login(pool->xapi, member->who.address, err);
    bool ok = local && vt_xapi_local_transition_to_master(local, err);
    vt_explain(err, pool->picture);
    write_down(pool, "promote", name_of(member), err);
    if (!ok)
        return false;
    fprintf(pool->cli->out, "%s: becomes the master, its daemon restarts\n", name_of(member));
    fflush(pool->cli->out);
    return wait_for_master(pool, err) && renew(pool, members, count, err) &&
           gather(pool, members, count, member, err);
}

static bool follow_one(struct vt_pool *pool, struct member *members, size_t count,
                       struct vt_err *err)
{
    const struct member *member = find_member(members, count, pool->cli->args[1], err);
    char question[200];

    if (!member)
        return false;
    if (pool->cli->arg_count < 3)
        return vt_fail(err, VT_E_INVALID,
                       "whom? vitrine pool emergency follow HOST MASTER-ADDRESS");
    snprintf(question, sizeof question, "%.60s would follow the master at %.60s", name_of(member),
             pool->cli->args[2]);
    return vt_pool_confirm(pool->cli, question, name_of(member), err) &&
           follow(pool, member, pool->cli->args[2], err);
}

static bool declare_dead(struct vt_pool *pool, struct member *members, size_t count,
                         struct vt_err *err)
{
    struct member *member = find_member(members, count, pool->cli->args[1], err);
    VT_AUTO_REPLY reply = { 0 };
    char question[200];

    if (!member)
        return false;
    snprintf(question, sizeof question,
             "%.60s would be declared dead and its VMs halted. It must be switched off: a VM that "
             "runs twice destroys its disks",
             name_of(member));
    if (!vt_pool_confirm(pool->cli, question, name_of(member), err))
        return false;
    bool ok = renew(pool, members, count, err) &&
              (member->host ||
               vt_fail(err, VT_E_NOTFOUND, "the pool has no host at %s", member->who.address)) &&
              vt_xapi_call(pool->xapi, pool->line, &reply, err, "host.declare_dead", "s",
                           vt_object_ref(member->host));
    vt_explain(err, pool->picture);
    write_down(pool, "declare-dead", name_of(member), err);
    if (ok)
        fprintf(pool->cli->out, "%s: declared dead, its VMs are halted\n", name_of(member));
    return ok;
}

/* ---- the commands ---- */

typedef bool (*step_fn)(struct vt_pool *pool, struct member *members, size_t count,
                        struct vt_err *err);

static const struct {
    const char *word;
    step_fn run;
} steps[] = { { "promote", promote }, { "follow", follow_one }, { "declare-dead", declare_dead } };

static bool run_step(struct vt_pool *pool, struct member *members, size_t count, struct vt_err *err)
{
    const struct vt_cli *cli = pool->cli;

    if (cli->arg_count == 0) {
        bool ok = print_members(pool, members, count, err);
        print_steps(cli, members, count);
        return ok;
    }
    for (size_t i = 0; i < VT_COUNT(steps); i++) {
        if (strcmp(steps[i].word, cli->args[0]) != 0)
            continue;
        if (cli->arg_count < 2)
            return vt_fail(err, VT_E_INVALID, "which host? vitrine pool emergency %s HOST",
                           steps[i].word);
        return steps[i].run(pool, members, count, err);
    }
    return vt_fail(err, VT_E_INVALID, "'%.40s' is none of promote, follow, declare-dead",
                   cli->args[0]);
}

int vt_cli_pool_emergency(struct vt_cli *cli, struct vt_err *err)
{
    struct vt_pool pool;
    size_t count = 0;

    if (vt_pool_open(cli, &pool, err)) {
        vt_pool_remember(&pool);
        vt_autofree struct member *members = all_members(&pool, &count, err);
        if (members)
            run_step(&pool, members, count, err);
    }
    vt_pool_close(&pool);
    return vt_pool_status(err);
}

/* The emergency logon to one host: how it is. */
static bool login_one(struct vt_pool *pool, struct vt_err *err)
{
    size_t count = 0;
    vt_autofree struct member *members = all_members(pool, &count, err);
    struct member *member = members ? find_member(members, count, pool->cli->args[0], err) : NULL;

    if (!member || !print_members(pool, member, 1, err))
        return false;
    if (!member->answers)
        return vt_fail(err, member->err.code, "%s does not answer", name_of(member));
    if (member->state.emergency && !pool->cli->options->json)
        fputs("It is in emergency mode: 'vitrine pool emergency' tells what can be done.\n",
              pool->cli->out);
    return true;
}

int vt_cli_host_login(struct vt_cli *cli, struct vt_err *err)
{
    struct vt_pool pool;

    if (vt_pool_open(cli, &pool, err)) {
        vt_pool_remember(&pool);
        login_one(&pool, err);
    }
    vt_pool_close(&pool);
    return vt_pool_status(err);
}

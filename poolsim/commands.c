/* The commands of the control socket: a table of words and what each does to the world. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "poolsim/control.h"
#include "poolsim/faults.h"
#include "poolsim/mem.h"
#include "poolsim/server.h"
#include "poolsim/sim.h"

enum { ANY = -1 }; /* words */

struct request {
    struct vt_sim_world *world;
    struct vt_sim_server *server;
    int argc;
    const char *const *argv; /* [0] is the command */
    struct vt_buf *out;
};

typedef bool (*command_fn)(struct request *request, struct vt_err *err);

static struct vt_sim_object *vm_named(struct request *request, struct vt_sim_pool **out_pool,
                                      struct vt_err *err)
{
    struct vt_sim_object *vm =
        vt_sim_object_find(request->world, VT_SIM_VM, request->argv[1], out_pool);

    if (!vm)
        vt_fail(err, VT_E_NOTFOUND, "no VM is called %s", request->argv[1]);
    return vm;
}

static struct vt_sim_machine *host_named(struct request *request, struct vt_err *err)
{
    struct vt_sim_machine *machine = vt_sim_machine_find(request->world, request->argv[1]);

    if (!machine)
        vt_fail(err, VT_E_NOTFOUND, "no host is called %s", request->argv[1]);
    return machine;
}

static bool number(const char *text, long min, long max, long *out, struct vt_err *err)
{
    char *end = NULL;
    long value = strtol(text, &end, 10);

    if (end == text || *end != '\0' || value < min || value > max)
        return vt_fail(err, VT_E_INVALID, "'%s' is not a number from %ld to %ld", text, min, max);
    *out = value;
    return true;
}

/* A switch that dies: every VM at once. */
static void all_guests(struct vt_sim_world *world, enum vt_sim_guest_fault fault, bool on)
{
    for (uint32_t i = 0; i < world->pool_count; i++)
        VT_SIM_EACH(world->pools[i]->db, VT_SIM_VM, vm)
        {
            if (vt_sim_vm_is_real(vm))
                vt_sim_guests_fault(world->pools[i], vm, fault, on);
        }
}

static bool guest(struct request *request, struct vt_err *err)
{
    struct vt_sim_pool *pool = NULL;
    const char *command = request->argv[0];
    bool on = strncmp(command, "cut", 3) == 0 || strncmp(command, "stop", 4) == 0;
    enum vt_sim_guest_fault fault =
        strstr(command, "network") ? VT_SIM_GUEST_CUT : VT_SIM_GUEST_STOPPED;

    if (!request->world->guests)
        return vt_fail(err, VT_E_UNSUPPORTED,
                       "guests do not listen: the simulator was started with --guest-port 0");
    if (strcmp(request->argv[1], "all") == 0) {
        all_guests(request->world, fault, on);
        return true;
    }
    struct vt_sim_object *vm = vm_named(request, &pool, err);
    if (vm)
        vt_sim_guests_fault(pool, vm, fault, on);
    return vm;
}

static bool fail_host(struct request *request, struct vt_err *err)
{
    struct vt_sim_machine *machine = host_named(request, err);

    if (machine)
        vt_sim_machine_stop(machine, true);
    return machine;
}

static bool restore_host(struct request *request, struct vt_err *err)
{
    struct vt_sim_machine *machine = host_named(request, err);

    if (machine)
        vt_sim_machine_start(machine);
    return machine;
}

static bool restart_agent(struct request *request, struct vt_err *err)
{
    struct vt_sim_machine *machine = host_named(request, err);

    if (machine)
        vt_sim_machine_restart(machine, 2000);
    return machine;
}

static bool kill_master(struct request *request, struct vt_err *err)
{
    (void)err;
    vt_sim_machine_stop(request->world->pools[0]->master, true);
    return true;
}

static bool expire_sessions(struct request *request, struct vt_err *err)
{
    (void)err;
    for (uint32_t i = 0; i < request->world->pool_count; i++)
        vt_sim_expire_sessions(request->world->pools[i]);
    return true;
}

static bool drop_connections(struct request *request, struct vt_err *err)
{
    long count = 0;

    if (!number(request->argv[1], 0, 1000000, &count, err))
        return false;
    request->world->faults.drop_connections = (uint32_t)count;
    return true;
}

static bool delay(struct request *request, struct vt_err *err)
{
    long ms = 0;

    if (!number(request->argv[1], 0, 3600000, &ms, err))
        return false;
    request->world->faults.delay = ms * VT_NS_PER_MS;
    return true;
}

static bool lose_events(struct request *request, struct vt_err *err)
{
    (void)err;
    request->world->faults.lose_events = true;
    return true;
}

static bool fail_next_task(struct request *request, struct vt_err *err)
{
    (void)err;
    snprintf(request->world->faults.fail_next_task, sizeof request->world->faults.fail_next_task,
             "%s", request->argv[1]);
    return true;
}

static bool hang_next_task(struct request *request, struct vt_err *err)
{
    (void)err;
    request->world->faults.hang_next_task = true;
    return true;
}

/* What the guest's agent says: an address, or none. The guest itself stays where it is. */
static bool guest_address(struct request *request, struct vt_err *err)
{
    struct vt_sim_pool *pool = NULL;
    struct vt_sim_object *vm = vm_named(request, &pool, err);
    struct vt_sim_object *metrics =
        vm ? vt_sim_follow(pool->db, vm, VT_VM_guest_metrics) : NULL;
    const char *address = request->argv[2];
    const char *const texts[] = { "0/ip", address, "0/ipv4/0", address };

    if (vm && !metrics)
        return vt_fail(err, VT_E_NOTFOUND, "%s has no guest agent now", request->argv[1]);
    if (metrics)
        vt_sim_set_texts(pool->db, metrics, VT_VM_guest_metrics_networks, texts,
                         strcmp(address, "none") == 0 ? 0 : VT_COUNT(texts));
    return metrics;
}

static bool fill_sr(struct request *request, struct vt_err *err)
{
    struct vt_sim_pool *pool = NULL;
    struct vt_sim_object *sr =
        vt_sim_object_find(request->world, VT_SIM_SR, request->argv[1], &pool);

    if (!sr)
        return vt_fail(err, VT_E_NOTFOUND, "no SR is called %s", request->argv[1]);
    vt_sim_set_int(pool->db, sr, VT_SR_physical_utilisation, vt_sim_int(sr, VT_SR_physical_size));
    return true;
}

static bool set_clock(struct request *request, struct vt_err *err)
{
    struct vt_sim_machine *machine = host_named(request, err);
    long seconds = 0;

    if (!machine || !number(request->argv[2], -100000000, 100000000, &seconds, err))
        return false;
    machine->clock_offset = seconds;
    return true;
}

static bool break_join(struct request *request, struct vt_err *err)
{
    struct vt_sim_machine *machine = host_named(request, err);

    if (!machine)
        return false;
    if (vt_sim_break_join(machine, request->argv[2]))
        return true;
    return vt_fail(err, VT_E_INVALID, "no rule of joining is called %s; see: ctl rules",
                   request->argv[2]);
}

static bool list_rules(struct request *request, struct vt_err *err)
{
    const char *word = NULL;

    for (uint32_t i = 0; (word = vt_sim_join_rule(i)); i++)
        if (!vt_buf_printf(request->out, err, "%s\n", word))
            return false;
    return true;
}

static bool set_carrier(struct request *request, struct vt_err *err)
{
    struct vt_sim_machine *machine = host_named(request, err);
    bool up = strcmp(request->argv[2], "up") == 0;

    if (!machine)
        return false;
    struct vt_sim_db *db = machine->pool->db;
    VT_SIM_EACH(db, VT_SIM_PIF, pif)
    {
        struct vt_sim_object *metrics = vt_sim_follow(db, pif, VT_PIF_metrics);
        if (vt_sim_ref(pif, VT_PIF_host) == machine->host && metrics)
            vt_sim_set_bool(db, metrics, VT_PIF_metrics_carrier, up);
    }
    return true;
}

static bool set_ha(struct request *request, struct vt_err *err)
{
    struct vt_sim_pool *pool = request->world->pools[0];

    (void)err;
    vt_sim_set_bool(pool->db, vt_sim_get(pool->db, pool->self), VT_pool_ha_enabled,
                    strcmp(request->argv[1], "on") == 0);
    return true;
}

static bool new_certificate(struct request *request, struct vt_err *err)
{
    struct vt_sim_machine *machine = host_named(request, err);

    if (!machine)
        return false;
    if (!request->server || !request->world->options.tls)
        return vt_fail(err, VT_E_UNSUPPORTED,
                       "the simulator speaks plain HTTP: start it with --tls");
    return vt_sim_server_new_certificate(request->server, machine->index, err);
}

static bool spoil(struct request *request, struct vt_err *err)
{
    struct vt_sim_faults *faults = &request->world->faults;
    enum vt_sim_spoil kind = vt_sim_spoil_find(request->argv[1]);
    long count = 0;

    if (kind == VT_SIM_SPOIL_NONE)
        return vt_fail(err, VT_E_INVALID, "answers are spoilt by one of: %s", vt_sim_spoil_words());
    if (!number(request->argv[2], 0, 1000000, &count, err))
        return false;
    faults->spoil = kind;
    faults->spoil_count = (uint32_t)count;
    return true;
}

static bool claim_master(struct request *request, struct vt_err *err)
{
    struct vt_sim_machine *machine = host_named(request, err);

    if (machine)
        machine->claims = strcmp(request->argv[2], "on") == 0;
    return machine;
}

/* Keeps the words until so many requests have come. */
static bool after(struct request *request, struct vt_err *err)
{
    struct vt_sim_faults *faults = &request->world->faults;
    long count = 0;

    if (request->argc < 3 || request->argc - 2 > VT_SIM_AFTER_WORDS)
        return vt_fail(err, VT_E_INVALID, "usage: ctl after CALLS COMMAND [WORD...]");
    if (!number(request->argv[1], 1, 1000000, &count, err))
        return false;
    for (int i = 2; i < request->argc; i++)
        snprintf(faults->after_words[i - 2], sizeof faults->after_words[0], "%s", request->argv[i]);
    faults->after_argc = request->argc - 2;
    faults->after_calls = (uint32_t)count;
    return true;
}

static bool after_left(struct request *request, struct vt_err *err)
{
    return vt_buf_printf(request->out, err, "%u\n", request->world->faults.after_calls);
}

void vt_sim_control_count(struct vt_sim_world *world, struct vt_sim_server *server)
{
    struct vt_sim_faults *faults = &world->faults;
    const char *argv[VT_SIM_AFTER_WORDS];
    struct vt_err err = { 0 };
    VT_AUTO_BUF(out, 4096);

    if (faults->after_calls == 0 || --faults->after_calls > 0)
        return;
    for (int i = 0; i < faults->after_argc; i++)
        argv[i] = faults->after_words[i];
    if (!vt_sim_control_run(world, server, faults->after_argc, argv, &out, &err))
        fprintf(stderr, "vitrine-poolsim: %s\n", err.text);
}

/* "VM.power_state" */
static enum vt_sim_field field_named(const char *text, struct vt_err *err)
{
    char class[64];
    size_t length = strcspn(text, ".");

    snprintf(class, sizeof class, "%.*s", (int)length, text);
    enum vt_sim_class found = vt_sim_class_find(class, false);
    enum vt_sim_field field = found == VT_SIM_CLASSES || text[length] == '\0'
                                  ? VT_SIM_FIELDS
                                  : vt_sim_field_find(found, text + length + 1);
    if (field == VT_SIM_FIELDS)
        vt_fail(err, VT_E_INVALID, "no field is called %s", text);
    return field;
}

static bool hide_field(struct request *request, struct vt_err *err)
{
    enum vt_sim_field field = field_named(request->argv[1], err);

    for (uint32_t i = 0; field != VT_SIM_FIELDS && i < request->world->pool_count; i++)
        request->world->pools[i]->db->hidden[field] = true;
    return field != VT_SIM_FIELDS;
}

/* Any plain field of any object, behind the simulation's back: also what no server would write. */
static bool set_field(struct request *request, struct vt_err *err)
{
    enum vt_sim_field field = field_named(request->argv[1], err);
    struct vt_sim_pool *pool = NULL;
    struct vt_sim_object *object = NULL;
    const char *value = request->argv[3];

    if (field == VT_SIM_FIELDS)
        return false;
    object =
        vt_sim_object_find(request->world, vt_sim_fields[field].class, request->argv[2], &pool);
    if (!object)
        return vt_fail(err, VT_E_NOTFOUND, "no %s is called %s",
                       vt_sim_classes[vt_sim_fields[field].class].name, request->argv[2]);
    switch (vt_sim_fields[field].kind) {
    case VT_SIM_STRING:
        vt_sim_set_text(pool->db, object, field, value);
        return true;
    case VT_SIM_INT:
    case VT_SIM_DATE:
        vt_sim_set_int(pool->db, object, field, strtoll(value, NULL, 10));
        return true;
    case VT_SIM_BOOL:
        vt_sim_set_bool(pool->db, object, field, strcmp(value, "true") == 0);
        return true;
    default:
        return vt_fail(err, VT_E_UNSUPPORTED, "%s is no text, number or truth value",
                       request->argv[1]);
    }
}

static bool list_hosts(struct request *request, struct vt_err *err)
{
    for (uint32_t i = 0; i < request->world->machine_count; i++) {
        const struct vt_sim_machine *machine = &request->world->machines[i];
        const struct vt_sim_object *host = vt_sim_get(machine->pool->db, machine->host);
        const char *role = vt_sim_is_master(machine) ? "master"
                           : machine->emergency      ? "emergency"
                                                     : "slave";
        if (!vt_buf_printf(request->out, err, "%s %s %s %s\n",
                           host ? vt_sim_text(host, VT_host_name_label) : "?", machine->address,
                           role, machine->up ? "up" : "down"))
            return false;
    }
    return true;
}

static const struct command {
    const char *name, *words;
    int count;
    command_fn run;
} commands[] = {
    { "cut-network", "VM|all", 1, guest },
    { "restore-network", "VM|all", 1, guest },
    { "stop-guest", "VM|all", 1, guest },
    { "start-guest", "VM|all", 1, guest },
    { "fail-host", "HOST", 1, fail_host },
    { "restore-host", "HOST", 1, restore_host },
    { "restart-agent", "HOST", 1, restart_agent },
    { "kill-master", "", 0, kill_master },
    { "expire-sessions", "", 0, expire_sessions },
    { "drop-connections", "N", 1, drop_connections },
    { "delay", "MS", 1, delay },
    { "lose-events", "", 0, lose_events },
    { "fail-next-task", "CODE", 1, fail_next_task },
    { "hang-next-task", "", 0, hang_next_task },
    { "guest-address", "VM ADDRESS|none", 2, guest_address },
    { "fill-sr", "SR", 1, fill_sr },
    { "clock", "HOST SECONDS", 2, set_clock },
    { "break-join", "HOST RULE", 2, break_join },
    { "rules", "", 0, list_rules },
    { "carrier", "HOST up|down", 2, set_carrier },
    { "ha", "on|off", 1, set_ha },
    { "new-certificate", "HOST", 1, new_certificate },
    { "spoil", "KIND N", 2, spoil },
    { "claim-master", "HOST on|off", 2, claim_master },
    { "hide-field", "CLASS.FIELD", 1, hide_field },
    { "set", "CLASS.FIELD NAME VALUE", 3, set_field },
    { "after", "CALLS COMMAND...", ANY, after },
    { "after-left", "", 0, after_left },
    { "hosts", "", 0, list_hosts },
};

bool vt_sim_control_run(struct vt_sim_world *world, struct vt_sim_server *server, int argc,
                        const char *const *argv, struct vt_buf *out, struct vt_err *err)
{
    struct request request = { world, server, argc, argv, out };

    for (size_t i = 0; i < VT_COUNT(commands) && argc > 0; i++) {
        if (strcmp(commands[i].name, argv[0]) != 0)
            continue;
        if (commands[i].count != ANY && argc - 1 != commands[i].count)
            return vt_fail(err, VT_E_INVALID, "usage: ctl %s %s", commands[i].name,
                           commands[i].words);
        return commands[i].run(&request, err);
    }
    return vt_fail(err, VT_E_INVALID, "no such command: %s", argc > 0 ? argv[0] : "");
}

const char *vt_sim_control_help(void)
{
    static char text[VT_COUNT(commands) * 64];

    text[0] = '\0';
    for (size_t i = 0; i < VT_COUNT(commands); i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "  ctl %s %s\n", commands[i].name,
                 commands[i].words);
    return text;
}

/* The table of verbs, and the check before. */
#include "hypervisor/verbs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hypervisor/driver.h"
#include "hypervisor/picture.h"

#define HALTED VT_POWER_HALTED
#define PAUSED VT_POWER_PAUSED
#define RUNNING VT_POWER_RUNNING
#define SUSPENDED VT_POWER_SUSPENDED

/* clang-format off */
static const struct vt_verb xapi_verbs[] = {
    { "start", "start", "VM.start", VT_ARGS_VM_FLAGS, HALTED, RUNNING, false, false, "starting", "started" },
    { "start_on", "start_on", "VM.start_on", VT_ARGS_HOST_FLAGS, HALTED, RUNNING, false, false, "starting", "started" },
    { "clean_shutdown", "clean_shutdown", "VM.clean_shutdown", VT_ARGS_VM, RUNNING, HALTED, false, false,
      "shutting down", "shut down" },
    { "hard_shutdown", "hard_shutdown", "VM.hard_shutdown", VT_ARGS_VM, PAUSED | SUSPENDED | RUNNING, HALTED, false, false,
      "switching off", "switched off" },
    { "clean_reboot", "clean_reboot", "VM.clean_reboot", VT_ARGS_VM, RUNNING, 0, false, false, "rebooting", "rebooted" },
    { "hard_reboot", "hard_reboot", "VM.hard_reboot", VT_ARGS_VM, PAUSED | RUNNING, 0, false, false, "resetting", "reset" },
    { "suspend", "suspend", "VM.suspend", VT_ARGS_VM, RUNNING, SUSPENDED, false, false, "suspending", "suspended" },
    { "resume", "resume", "VM.resume", VT_ARGS_VM_FLAGS, SUSPENDED, RUNNING, false, false, "resuming", "resumed" },
    { "resume_on", "resume_on", "VM.resume_on", VT_ARGS_HOST_FLAGS, SUSPENDED, RUNNING, false, false, "resuming", "resumed" },
    { "pause", "pause", "VM.pause", VT_ARGS_VM, RUNNING, PAUSED, false, false, "pausing", "paused" },
    { "unpause", "unpause", "VM.unpause", VT_ARGS_VM, PAUSED, RUNNING, false, false, "unpausing", "unpaused" },
    { "migrate", "pool_migrate", "VM.pool_migrate", VT_ARGS_HOST_OPTIONS, RUNNING, 0, false, false, "moving", "moved" },
    { "clone", "clone", "VM.clone", VT_ARGS_VM_NAME, HALTED, 0, true, true, "cloning", "cloned" },
    { "snapshot", "snapshot", "VM.snapshot", VT_ARGS_VM_NAME, VT_POWER_ANY, 0, false, false,
      "taking a snapshot of", "snapshot taken" },
    { "checkpoint", "checkpoint", "VM.checkpoint", VT_ARGS_VM_NAME, PAUSED | SUSPENDED | RUNNING, 0, false, false,
      "taking a checkpoint of", "checkpoint taken" },
    { "revert", "revert", "VM.revert", VT_ARGS_VM, VT_POWER_ANY, 0, false, true, "reverting", "reverted" },
    { "destroy", "destroy", "VM.destroy", VT_ARGS_DESTROY, HALTED | SUSPENDED, 0, true, true, "destroying", "destroyed" },
    { .name = NULL },
};
/* clang-format on */

const struct vt_driver vt_driver_xapi = { .name = "xapi", .verbs = xapi_verbs };

static const struct vt_driver *const drivers[] = {
    &vt_driver_xapi,
#ifdef VT_HAVE_LIBVIRT
    &vt_driver_libvirt,
#endif
};

const struct vt_driver *vt_driver_for(const char *url)
{
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)
        if (drivers[i]->takes && drivers[i]->takes(url))
            return drivers[i];
    return &vt_driver_xapi;
}

const struct vt_driver *vt_driver_find(const char *name)
{
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    return NULL;
}

const struct vt_verb *vt_driver_verb(const struct vt_driver *driver, const char *name)
{
    for (const struct vt_verb *verb = driver->verbs; verb->name; verb++)
        if (strcmp(verb->name, name) == 0)
            return verb;
    return NULL;
}

/* ---- power states ---- */

static const struct {
    enum vt_power power;
    const char *name, *remedy; /* what leads away from the state */
} powers[] = {
    { HALTED, "Halted", "start it first" },
    { PAUSED, "Paused", "unpause it first" },
    { RUNNING, "Running", "shut it down first" },
    { SUSPENDED, "Suspended", "resume it first" },
};

enum vt_power vt_power_from(const char *text)
{
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++)
        if (strcmp(powers[i].name, text) == 0)
            return powers[i].power;
    return 0;
}

const char *vt_power_name(enum vt_power power)
{
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++)
        if (powers[i].power == power)
            return powers[i].name;
    return "";
}

static void list_states(unsigned states, char *out, size_t room)
{
    out[0] = '\0';
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
        size_t used = strlen(out);
        if (states & powers[i].power)
            snprintf(out + used, room - used, "%s%s", used ? " or " : "", powers[i].name);
    }
}

static const char *remedy_of(enum vt_power power)
{
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++)
        if (powers[i].power == power)
            return powers[i].remedy;
    return "look at it";
}

/* ---- the check ---- */

struct vt_vm_state vt_vm_state_of(const struct vt_object *vm, const struct vt_verb *verb)
{
    struct vt_vm_state state = {
        .name = vt_object_text(vm, "name_label"),
        .power = vt_power_from(vt_object_text(vm, "power_state")),
        .is_template = vt_object_bool(vm, "is_a_template"),
        .is_default_template = vt_object_bool(vm, "is_default_template"),
        .is_snapshot = vt_object_bool(vm, "is_a_snapshot"),
        .is_control_domain = vt_object_bool(vm, "is_control_domain"),
        .blocked = vt_object_map(vm, "blocked_operations", verb->operation),
    };

    state.operation_count = vt_object_list(vm, "current_operations", &state.operations);
    state.allowed_count = vt_object_list(vm, "allowed_operations", &state.allowed);
    return state;
}

__attribute__((format(printf, 3, 4))) static bool refuse(struct vt_err *err, const char *code,
                                                         const char *format, ...)
{
    char text[VT_ERR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    vt_fail(err, VT_E_DENIED, "%.170s [%s]", text, code);
    snprintf(err->xapi_code, sizeof err->xapi_code, "%s", code);
    return false;
}

static bool check_power(const struct vt_verb *verb, const struct vt_vm_state *vm,
                        struct vt_err *err)
{
    unsigned states = verb->states;
    char wanted[80];

    if (vm->is_snapshot && (states & HALTED))
        states |= SUSPENDED; /* a checkpoint reads Suspended and may be cloned */
    if (states & vm->power)
        return true;
    if (verb->after && vm->power == verb->after)
        return refuse(err, "VM_BAD_POWER_STATE", "%s is %s already", vm->name,
                      vt_power_name(vm->power));
    list_states(verb->states, wanted, sizeof wanted);
    return refuse(err, "VM_BAD_POWER_STATE", "%s is %s, %s wants %s: %s", vm->name,
                  vm->power ? vt_power_name(vm->power) : "in no state we know", verb->name, wanted,
                  remedy_of(vm->power));
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* What may run beside what: copies beside copies, snapshots beside snapshots, hard stops over
 * nearly all. */
static bool may_run_beside(const char *operation, const char *running)
{
    static const char *const snapshots[] = { "snapshot", "checkpoint", NULL };
    static const char *const copies[] = { "clone", "copy", "export", NULL };
    static const char *const hard[] = { "hard_shutdown", "hard_reboot", NULL };

    if (strcmp(operation, "hard_shutdown") == 0)
        return strcmp(running, "hard_shutdown") != 0;
    if (strcmp(operation, "hard_reboot") == 0)
        return !is_one_of(running, hard);
    return (is_one_of(operation, snapshots) && is_one_of(running, snapshots)) ||
           (is_one_of(operation, copies) && is_one_of(running, copies));
}

static bool check_operations(const struct vt_verb *verb, const struct vt_vm_state *vm,
                             struct vt_err *err)
{
    for (size_t i = 0; i + 1 < vm->operation_count; i += 2)
        if (!may_run_beside(verb->operation, vm->operations[i + 1]))
            return refuse(err, "OTHER_OPERATION_IN_PROGRESS",
                          "%s is busy (%s): wait until that is done", vm->name,
                          vm->operations[i + 1]);
    return true;
}

static bool check_kind(const struct vt_verb *verb, const struct vt_vm_state *vm, struct vt_err *err)
{
    if (vm->is_snapshot && !verb->on_snapshot)
        return refuse(err, "VM_IS_SNAPSHOT", "%s is a snapshot, %s wants a VM", vm->name,
                      verb->name);
    if (vm->is_template && !vm->is_snapshot && !verb->on_template)
        return refuse(err, "VM_IS_TEMPLATE", "%s is a template, %s wants a VM: clone it first",
                      vm->name, verb->name);
    if (strcmp(verb->operation, "revert") == 0 && !vm->is_snapshot)
        return refuse(err, "REVERT_ONLY_ALLOWED_ON_SNAPSHOT", "%s is no snapshot", vm->name);
    if (vm->is_control_domain)
        return refuse(err, "OPERATION_NOT_ALLOWED", "%s is the control domain of a host", vm->name);
    if (vm->is_default_template && strcmp(verb->operation, "destroy") == 0)
        return refuse(err, "VM_CANNOT_DELETE_DEFAULT_TEMPLATE",
                      "%s is a template of the product and stays", vm->name);
    return true;
}

/* The server's list is the last word: it knows reasons that we do not (no guest tools, devices). */
static bool check_allowed(const struct vt_verb *verb, const struct vt_vm_state *vm,
                          struct vt_err *err)
{
    for (size_t i = 0; i < vm->allowed_count; i++)
        if (strcmp(vm->allowed[i], verb->operation) == 0)
            return true;
    if (vm->allowed_count > 0 && strcmp(verb->operation, VT_VERB_QUIESCED) == 0)
        return refuse(err, "VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED",
                      "no guest agent of %s is connected: run qemu-guest-agent in it, or leave "
                      "--quiesced away", vm->name);
    return vm->allowed_count == 0 || vm->operation_count > 0 ||
           refuse(err, "OPERATION_NOT_ALLOWED",
                  "the pool does not allow %s for %s now (guest tools? devices?)", verb->name,
                  vm->name);
}

bool vt_verb_check(const struct vt_verb *verb, const struct vt_vm_state *vm, struct vt_err *err)
{
    if (vm->blocked)
        return refuse(err, "OPERATION_BLOCKED", "an administrator blocked this for %s: %s",
                      vm->name, vm->blocked);
    return check_power(verb, vm, err) && check_operations(verb, vm, err) &&
           check_kind(verb, vm, err) && check_allowed(verb, vm, err);
}

/* One request: which method, may it run here and with this session, run it, wrap what it wrote. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "poolsim/mem.h"
#include "poolsim/sim.h"

enum { SESSION_IDLE_MAX_S = 24 * 3600 };

static const struct vt_sim_method *const tables[] = {
    vt_sim_session_methods,  vt_sim_event_methods, vt_sim_task_methods, vt_sim_vm_methods,
    vt_sim_snapshot_methods, vt_sim_host_methods,  vt_sim_pool_methods, vt_sim_join_methods,
    vt_sim_storage_methods,  vt_sim_other_methods,
};

static const struct vt_sim_method *find_method(const char *name)
{
    for (size_t t = 0; t < VT_COUNT(tables); t++)
        for (const struct vt_sim_method *method = tables[t]; method->name; method++)
            if (strcmp(method->name, name) == 0)
                return method;
    return NULL;
}

const char *vt_sim_arg(const struct vt_sim_call *call, uint32_t index)
{
    return index < call->count ? vt_xmlrpc_text(call->args[index], "") : "";
}

struct vt_sim_object *vt_sim_arg_object(struct vt_sim_call *call, uint32_t index,
                                        enum vt_sim_class class, struct vt_sim_failure *failure)
{
    struct vt_sim_object *object =
        vt_sim_get(call->db, vt_sim_ref_id(call->db, vt_sim_arg(call, index)));

    if (object && object->class == class)
        return object;
    vt_sim_refuse(failure, "HANDLE_INVALID", vt_sim_classes[class].name, vt_sim_arg(call, index),
                  NULL);
    return NULL;
}

static void wrap_failure(struct vt_buf *out, const struct vt_sim_failure *failure)
{
    struct vt_err err = { 0 };
    struct vt_xmlrpc_writer writer = { .buf = out, .err = &err, .bare_strings = true };
    const char *params[VT_XAPI_PARAMS_MAX];

    for (size_t i = 0; i < failure->count; i++)
        params[i] = failure->params[i];
    vt_xmlrpc_put_failure(&writer, failure->code, params, failure->count);
}

static void wrap_value(struct vt_buf *out, const struct vt_buf *value, bool bare)
{
    struct vt_err err = { 0 };
    struct vt_xmlrpc_writer writer = { .buf = out, .err = &err, .bare_strings = true };

    if (bare)
        vt_xmlrpc_response_begin(&writer);
    else
        vt_xmlrpc_success_begin(&writer);
    if (!value || value->size == 0)
        vt_xmlrpc_put_raw(&writer, "<value></value>");
    else
        vt_buf_append(out, value->data, value->size, &err);
    if (bare)
        vt_xmlrpc_response_end(&writer);
    else
        vt_xmlrpc_success_end(&writer);
}

void vt_sim_answer(struct vt_sim_world *world, uint64_t ticket, const struct vt_buf *value)
{
    VT_AUTO_BUF(body, VT_SIM_REPLY_MAX);

    wrap_value(&body, value, false);
    if (world->deliver)
        world->deliver(world->context, ticket, &body);
}

void vt_sim_answer_failure(struct vt_sim_world *world, uint64_t ticket,
                           const struct vt_sim_failure *failure)
{
    VT_AUTO_BUF(body, 16384);

    wrap_failure(&body, failure);
    if (world->deliver)
        world->deliver(world->context, ticket, &body);
}

struct late {
    uint64_t ticket;
    struct vt_sim_failure failure;
};

static void answer_late(struct vt_sim_world *world, void *context)
{
    struct late *late = context;

    vt_sim_answer_failure(world, late->ticket, &late->failure);
}

bool vt_sim_answer_later(struct vt_sim_call *call, int64_t ms, const struct vt_sim_failure *failure)
{
    struct late *late = vt_sim_alloc(sizeof *late);

    late->ticket = call->ticket;
    late->failure = *failure;
    call->deferred = true;
    vt_sim_after_owned(call->world, vt_sim_paced(call->world, ms), answer_late, late);
    return true;
}

static bool local_session(const struct vt_sim_machine *machine, const char *ref)
{
    for (uint32_t i = 0; i < VT_SIM_LOCAL_SESSIONS_MAX; i++)
        if (*ref && strcmp(machine->local_sessions[i], ref) == 0)
            return true;
    return false;
}

static bool idle_too_long(const struct vt_sim_machine *machine, const struct vt_sim_object *session)
{
    return vt_sim_wall(machine) - vt_sim_int(session, VT_session_last_active) > SESSION_IDLE_MAX_S;
}

/* Who may call what where: emergency mode, slaves, sessions. */
static bool admit(struct vt_sim_call *call, uint8_t flags, struct vt_sim_failure *failure)
{
    const char *session = call->session_ref;
    struct vt_sim_machine *machine = call->machine;

    if ((flags & VT_SIM_LOCAL) && (flags & VT_SIM_NO_SESSION))
        return true;
    if (!(flags & VT_SIM_NO_SESSION) && local_session(machine, session)) {
        call->local = true;
        if (flags & VT_SIM_LOCAL)
            return true;
    }
    if (machine->emergency)
        return vt_sim_refuse(failure, machine->emergency, NULL);
    if (!vt_sim_is_master(machine) && !machine->claims && !(flags & VT_SIM_BARE))
        return vt_sim_refuse(failure, "HOST_IS_SLAVE", machine->master_address, NULL);
    if (flags & VT_SIM_NO_SESSION)
        return true;
    struct vt_sim_object *object = vt_sim_get(call->db, vt_sim_ref_id(call->db, session));
    if (!object || object->class != VT_SIM_session || idle_too_long(machine, object))
        return vt_sim_refuse(failure, "SESSION_INVALID", session, NULL);
    call->session = object;
    vt_sim_set_int(call->db, object, VT_session_last_active, vt_sim_wall(machine));
    return true;
}

static bool check_count(const struct vt_sim_method *method, uint32_t count, uint32_t given,
                        struct vt_sim_failure *failure)
{
    uint32_t session = method->flags & VT_SIM_NO_SESSION ? 0 : 1;
    char expected[12], received[12];

    if (count >= method->min && count <= method->max && given >= session)
        return true;
    snprintf(expected, sizeof expected, "%u", method->min + session);
    snprintf(received, sizeof received, "%u", given);
    return vt_sim_refuse(failure, "MESSAGE_PARAMETER_COUNT_MISMATCH", method->name, expected,
                         received, NULL);
}

/* Finds and runs it; false with the failure to answer. */
static bool run(struct vt_sim_call *call, const struct vt_xmlrpc_message *message,
                uint8_t *out_flags, struct vt_sim_failure *failure)
{
    const struct vt_sim_method *method = find_method(call->method);
    const struct vt_xmlrpc_value *param = message->params;
    bool known = false;

    *out_flags = method ? method->flags : 0;
    if (!(*out_flags & VT_SIM_NO_SESSION) && param) {
        call->session_ref = vt_xmlrpc_text(param, "");
        param = param->next;
    }
    for (; param && call->count < VT_COUNT(call->args); param = param->next)
        call->args[call->count++] = param;
    if (method && !check_count(method, call->count, message->count, failure))
        return false;
    if (!admit(call, *out_flags, failure))
        return false;
    if (method)
        return method->handler(call, failure);
    bool ok = !call->async && vt_sim_generic(call, message->count, &known, failure);
    if (known)
        return ok;
    return vt_sim_refuse(failure, "MESSAGE_METHOD_UNKNOWN", message->method, NULL);
}

/* Asynchronous: the answer is a task, whatever became of the call; but a refused session fails at
 * once. */
static void answer_async(struct vt_sim_call *call, bool ok, struct vt_buf *value,
                         struct vt_sim_failure *failure, struct vt_buf *out)
{
    VT_AUTO_BUF(ref, 256);
    struct vt_err err = { 0 };
    struct vt_xmlrpc_writer writer = { .buf = &ref, .err = &err, .bare_strings = true };

    if (!ok && (!call->session || strncmp(failure->code, "MESSAGE_", 8) == 0)) {
        wrap_failure(out, failure);
        return;
    }
    const char *result = value->size ? vt_buf_string(value, &err) : "";
    uint32_t task =
        call->job ? call->job->task : vt_sim_task_done(call, result, ok ? NULL : failure);
    vt_sim_put_ref(&writer, call->db, task);
    wrap_value(out, &ref, false);
}

enum vt_sim_outcome vt_sim_handle(struct vt_sim_world *world, struct vt_sim_machine *machine,
                                  const void *body, size_t size, uint64_t ticket,
                                  struct vt_buf *out)
{
    VT_AUTO_BUF(value, VT_SIM_REPLY_MAX);
    struct vt_err err = { 0 };
    struct vt_sim_failure failure = { 0 };
    VT_AUTO(vt_xmlrpc_message) message = vt_xmlrpc_decode(body, size, &err);
    uint8_t flags = 0;

    if (!message || message->kind != VT_XMLRPC_CALL)
        return VT_SIM_MALFORMED;
    struct vt_sim_call call = {
        .world = world,
        .machine = machine,
        .pool = machine->pool,
        .db = machine->pool->db,
        .method = message->method,
        .session_ref = "",
        .ticket = ticket,
        .writer = { .buf = &value, .err = &err, .bare_strings = true },
    };
    if (strncmp(call.method, "Async.", 6) == 0) {
        call.async = true;
        call.method += 6;
    }
    bool ok = run(&call, message, &flags, &failure);
    if (call.deferred || (ok && call.job && !call.async))
        return VT_SIM_DEFERRED;
    if (ok && !vt_xmlrpc_written(&call.writer))
        ok = vt_sim_refuse(&failure, "INTERNAL_ERROR", err.text, NULL);
    if (call.async)
        answer_async(&call, ok, &value, &failure, out);
    else if (ok)
        wrap_value(out, &value, flags & VT_SIM_BARE);
    else
        wrap_failure(out, &failure);
    return VT_SIM_ANSWERED;
}

/* ---- system ---- */

static bool list_methods(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    (void)failure;
    vt_xmlrpc_array_begin(&call->writer);
    for (size_t t = 0; t < VT_COUNT(tables); t++)
        for (const struct vt_sim_method *method = tables[t]; method->name; method++)
            vt_xmlrpc_put_string(&call->writer, method->name);
    vt_sim_generic_names(&call->writer);
    vt_xmlrpc_array_end(&call->writer);
    return true;
}

const struct vt_sim_method vt_sim_other_methods[] = {
    { "system.listMethods", 0, 0, VT_SIM_NO_SESSION | VT_SIM_BARE, list_methods },
    { 0 },
};

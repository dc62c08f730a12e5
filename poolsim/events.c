/* event.from: what changed since the token, now or as soon as something does. A look costs as much
 * as there are changes: each class keeps its objects in the order of their last change. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "poolsim/mem.h"
#include "poolsim/sim.h"
#include "poolsim/waiters.h"

enum { OBJECTS_MAX = 64, WAITERS_MAX = 1000, BATCH_MS = 50, TIMEOUT_MAX_S = 3600 };

struct subscription {
    bool classes[VT_SIM_CLASSES];
    uint32_t objects[OBJECTS_MAX];
    uint32_t object_count;
    uint64_t since; /* generation of the token */
};

struct vt_sim_waiter {
    struct vt_sim_waiter *next;
    struct subscription subscription;
    uint64_t ticket;
    uint32_t session;
    int64_t deadline;
};

void vt_sim_waiters_free(struct vt_sim_pool *pool)
{
    while (pool->waiters) {
        struct vt_sim_waiter *waiter = pool->waiters;
        pool->waiters = waiter->next;
        free(waiter);
    }
}

static bool wanted(const struct subscription *subscription, enum vt_sim_class class, uint32_t id)
{
    if (subscription->classes[class])
        return true;
    for (uint32_t i = 0; i < subscription->object_count; i++)
        if (subscription->objects[i] == id)
            return true;
    return false;
}

static bool subscribe(struct vt_sim_call *call, struct subscription *subscription, const char *word)
{
    char class[64];
    const char *slash = strchr(word, '/');
    size_t length = slash ? (size_t)(slash - word) : strlen(word);

    if (strcmp(word, "*") == 0) {
        for (int c = 0; c < VT_SIM_CLASSES; c++)
            subscription->classes[c] = c != VT_SIM_session;
        return true;
    }
    if (length == 0 || length >= sizeof class)
        return false;
    memcpy(class, word, length);
    class[length] = '\0';
    enum vt_sim_class found = vt_sim_class_find(class, true);
    if (!slash && found != VT_SIM_CLASSES)
        subscription->classes[found] = found != VT_SIM_session;
    if (slash && subscription->object_count < OBJECTS_MAX)
        subscription->objects[subscription->object_count++] = vt_sim_ref_id(call->db, slash + 1);
    return true; /* a class that this pool does not know never has events */
}

static void put_member_text(struct vt_xmlrpc_writer *writer, const char *name, const char *text)
{
    vt_xmlrpc_member_begin(writer, name);
    vt_xmlrpc_put_string(writer, text);
    vt_xmlrpc_member_end(writer);
}

static void put_event(struct vt_xmlrpc_writer *writer, const struct vt_sim_db *db,
                      enum vt_sim_class class, const char *operation, uint32_t id,
                      uint64_t generation, const struct vt_sim_object *object)
{
    char text[24], ref[VT_SIM_REF_MAX];

    snprintf(text, sizeof text, "%" PRIu64, class == VT_SIM_message ? 0 : generation);
    vt_sim_ref_text(db, id, ref);
    vt_xmlrpc_struct_begin(writer);
    put_member_text(writer, "id", text);
    put_member_text(writer, "timestamp", "0.0");
    put_member_text(writer, "class", vt_sim_classes[class].lower);
    put_member_text(writer, "operation", operation);
    put_member_text(writer, "ref", ref);
    if (object) {
        vt_xmlrpc_member_begin(writer, "snapshot");
        vt_sim_put_record(writer, db, object);
        vt_xmlrpc_member_end(writer);
    }
    vt_xmlrpc_struct_end(writer);
}

/* The oldest object of the class that changed behind the token; NULL: none. */
static const struct vt_sim_object *first_changed(const struct vt_sim_db *db,
                                                 enum vt_sim_class class, uint64_t since)
{
    const struct vt_sim_object *object = db->rows[class].newest;

    if (!object || object->modified <= since)
        return NULL;
    while (object->older && object->older->modified > since)
        object = object->older;
    return object;
}

static uint32_t put_changed(struct vt_xmlrpc_writer *writer, const struct vt_sim_db *db,
                            const struct subscription *subscription, enum vt_sim_class class,
                            bool added)
{
    uint32_t count = 0;

    for (const struct vt_sim_object *object = first_changed(db, class, subscription->since); object;
         object = object->newer) {
        if ((object->created > subscription->since) != added ||
            !wanted(subscription, class, object->id))
            continue;
        count++;
        if (writer)
            put_event(writer, db, class, added ? "add" : "mod", object->id, object->modified,
                      object);
    }
    return count;
}

static uint32_t put_deleted(struct vt_xmlrpc_writer *writer, const struct vt_sim_db *db,
                            const struct subscription *subscription, enum vt_sim_class class)
{
    const struct vt_sim_class_rows *rows = &db->rows[class];
    uint32_t count = 0;

    for (uint32_t i = 0; i < VT_SIM_DELETIONS; i++) {
        const struct vt_sim_deletion *deletion =
            &rows->deletions[(rows->deletion_next + i) % VT_SIM_DELETIONS];
        if (deletion->id == 0 || deletion->deleted <= subscription->since ||
            deletion->created > subscription->since || !wanted(subscription, class, deletion->id))
            continue;
        count++;
        if (writer)
            put_event(writer, db, class, "del", deletion->id, deletion->deleted, NULL);
    }
    return count;
}

/* In the server's order: messages, adds, mods, dels. writer NULL: only counts. */
static uint32_t put_events(struct vt_xmlrpc_writer *writer, const struct vt_sim_db *db,
                           const struct subscription *subscription)
{
    uint32_t count = put_changed(writer, db, subscription, VT_SIM_message, true);

    for (int class = 0; class < VT_SIM_CLASSES; class ++)
        if (class != VT_SIM_message)
            count += put_changed(writer, db, subscription, (enum vt_sim_class) class, true);
    for (int class = 0; class < VT_SIM_CLASSES; class ++)
        count += put_changed(writer, db, subscription, (enum vt_sim_class) class, false);
    for (int class = 0; class < VT_SIM_CLASSES; class ++)
        count += put_deleted(writer, db, subscription, (enum vt_sim_class) class);
    return count;
}

static void token_text(const struct vt_sim_db *db, char out[static 48])
{
    snprintf(out, 48, "%020" PRIu64 ",%020u", db->generation, db->rows[VT_SIM_message].count);
}

static void put_reply(struct vt_xmlrpc_writer *writer, const struct vt_sim_db *db,
                      const struct subscription *subscription)
{
    char token[48];

    token_text(db, token);
    vt_xmlrpc_struct_begin(writer);
    vt_xmlrpc_member_begin(writer, "events");
    vt_xmlrpc_array_begin(writer);
    put_events(writer, db, subscription);
    vt_xmlrpc_array_end(writer);
    vt_xmlrpc_member_end(writer);
    vt_xmlrpc_member_begin(writer, "valid_ref_counts");
    vt_xmlrpc_struct_begin(writer);
    for (int class = 0; class < VT_SIM_CLASSES; class ++) {
        if (class == VT_SIM_session)
            continue;
        vt_xmlrpc_member_begin(writer, vt_sim_classes[class].lower);
        vt_xmlrpc_put_i4(writer, (int32_t)db->rows[class].count);
        vt_xmlrpc_member_end(writer);
    }
    vt_xmlrpc_struct_end(writer);
    vt_xmlrpc_member_end(writer);
    put_member_text(writer, "token", token);
    vt_xmlrpc_struct_end(writer);
}

static void end_waiter(struct vt_sim_pool *pool, struct vt_sim_waiter *waiter, const char *code)
{
    char ref[VT_SIM_REF_MAX];

    for (struct vt_sim_waiter **at = &pool->waiters; *at; at = &(*at)->next) {
        if (*at == waiter) {
            *at = waiter->next;
            break;
        }
    }
    if (code) {
        struct vt_sim_failure failure = { 0 };
        vt_sim_ref_text(pool->db, waiter->session, ref);
        vt_sim_refuse(&failure, code, ref, NULL);
        vt_sim_answer_failure(pool->world, waiter->ticket, &failure);
    } else {
        VT_AUTO_BUF(value, VT_SIM_REPLY_MAX);
        struct vt_err err = { 0 };
        struct vt_xmlrpc_writer writer = { .buf = &value, .err = &err, .bare_strings = true };
        put_reply(&writer, pool->db, &waiter->subscription);
        vt_sim_answer(pool->world, waiter->ticket, &value);
    }
    free(waiter);
}

void vt_sim_waiters_fail(struct vt_sim_pool *pool, const char *code)
{
    while (pool->waiters)
        end_waiter(pool, pool->waiters, code);
}

static void look_at(struct vt_sim_world *world, void *context)
{
    struct vt_sim_pool *pool = context;

    pool->looking = false;
    pool->seen = pool->db->generation;
    for (struct vt_sim_waiter *waiter = pool->waiters, *next; waiter; waiter = next) {
        next = waiter->next;
        if (!vt_sim_get(pool->db, waiter->session))
            end_waiter(pool, waiter, "SESSION_INVALID");
        else if (waiter->deadline <= world->now ||
                 put_events(NULL, pool->db, &waiter->subscription) > 0)
            end_waiter(pool, waiter, NULL);
    }
}

/* Changes are gathered for 50 ms before anybody is told. */
void vt_sim_look(struct vt_sim_world *world)
{
    for (uint32_t i = 0; i < world->pool_count; i++) {
        struct vt_sim_pool *pool = world->pools[i];
        if (!pool->waiters || pool->looking || pool->seen == pool->db->generation)
            continue;
        pool->looking = true;
        vt_sim_after(world, BATCH_MS * VT_NS_PER_MS, look_at, pool);
    }
}

static void time_out(struct vt_sim_world *world, void *context)
{
    struct vt_sim_pool *pool = *(struct vt_sim_pool **)context;

    if (!pool->looking)
        look_at(world, pool);
    /* the look that is due sees the deadline too */
}

static bool read_token(const char *text, uint64_t *out_since)
{
    char *end = NULL;

    *out_since = 0;
    if (*text == '\0')
        return true;
    *out_since = strtoull(text, &end, 10);
    return end != text && *end == ',';
}

static void wait_for(struct vt_sim_call *call, const struct subscription *subscription,
                     double timeout)
{
    struct vt_sim_waiter *waiter = vt_sim_alloc(sizeof *waiter);
    struct vt_sim_pool **context = vt_sim_alloc(sizeof *context);
    int64_t ns = (int64_t)(timeout * (double)VT_NS_PER_S);

    *waiter = (struct vt_sim_waiter){ .subscription = *subscription,
                                      .ticket = call->ticket,
                                      .next = call->pool->waiters,
                                      .session = call->session->id,
                                      .deadline = call->world->now + ns };
    call->pool->waiters = waiter;
    call->deferred = true;
    *context = call->pool;
    vt_sim_after_owned(call->world, ns, time_out, context);
}

static bool event_from(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct subscription subscription = { 0 };
    double timeout = vt_xmlrpc_double(call->args[2], 0);
    uint32_t waiting = 0;

    for (const struct vt_xmlrpc_value *item = vt_xmlrpc_first(call->args[0]); item;
         item = item->next)
        if (!subscribe(call, &subscription, vt_xmlrpc_text(item, "")))
            return vt_sim_refuse(failure, "EVENT_SUBSCRIPTION_PARSE_FAILURE",
                                 vt_xmlrpc_text(item, ""), NULL);
    if (!read_token(vt_sim_arg(call, 1), &subscription.since))
        return vt_sim_refuse(failure, "EVENT_FROM_TOKEN_PARSE_FAILURE", vt_sim_arg(call, 1), NULL);
    if (call->world->faults.lose_events) {
        call->world->faults.lose_events = false;
        return vt_sim_refuse(failure, "EVENTS_LOST", NULL);
    }
    for (const struct vt_sim_waiter *waiter = call->pool->waiters; waiter; waiter = waiter->next)
        waiting++;
    if (waiting >= WAITERS_MAX)
        return vt_sim_refuse(failure, "TOO_MANY_PENDING_TASKS", NULL);
    if (put_events(NULL, call->db, &subscription) > 0 || !(timeout > 0)) {
        put_reply(&call->writer, call->db, &subscription);
        return true;
    }
    wait_for(call, &subscription, timeout < TIMEOUT_MAX_S ? timeout : TIMEOUT_MAX_S);
    return true;
}

static bool event_inject(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    enum vt_sim_class class = vt_sim_class_find(vt_sim_arg(call, 0), false);
    char token[48];

    if (class == VT_SIM_CLASSES)
        return vt_sim_refuse(failure, "INTERNAL_ERROR", "unknown class", NULL);
    struct vt_sim_object *object = vt_sim_arg_object(call, 1, class, failure);
    if (!object)
        return false;
    /* the token lies before the event, so that the client sees it come */
    token_text(call->db, token);
    vt_sim_touch(call->db, object);
    vt_xmlrpc_put_string(&call->writer, token);
    return true;
}

static bool event_get_current_id(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    (void)failure;
    vt_xmlrpc_put_int(&call->writer, (int64_t)call->db->generation);
    return true;
}

struct vt_sim_object *vt_sim_message(struct vt_sim_pool *pool, const char *name, const char *cls,
                                     const char *uuid, const char *body)
{
    struct vt_sim_object *message = vt_sim_add(pool->db, VT_SIM_message);

    vt_sim_set_text(pool->db, message, VT_message_name, name);
    vt_sim_set_int(pool->db, message, VT_message_priority, 5);
    vt_sim_set_text(pool->db, message, VT_message_cls, cls);
    vt_sim_set_text(pool->db, message, VT_message_obj_uuid, uuid);
    vt_sim_set_text(pool->db, message, VT_message_body, body);
    vt_sim_set_int(pool->db, message, VT_message_timestamp, vt_sim_pool_wall(pool));
    return message;
}

static bool message_create(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    (void)failure;
    struct vt_sim_object *message =
        vt_sim_message(call->pool, vt_sim_arg(call, 0), vt_sim_arg(call, 2), vt_sim_arg(call, 3),
                       vt_sim_arg(call, 4));
    vt_sim_set_int(call->db, message, VT_message_priority, vt_xmlrpc_int(call->args[1], 5));
    vt_sim_put_ref(&call->writer, call->db, message->id);
    return true;
}

static bool message_destroy(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *message = vt_sim_arg_object(call, 0, VT_SIM_message, failure);

    if (message)
        vt_sim_remove(call->db, message);
    return message;
}

static bool message_get_since(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    int64_t since = 0;
    char ref[VT_SIM_REF_MAX];

    (void)failure;
    vt_xmlrpc_get_time(call->args[0], &since);
    vt_xmlrpc_struct_begin(&call->writer);
    VT_SIM_EACH(call->db, VT_SIM_message, message)
    {
        if (vt_sim_int(message, VT_message_timestamp) < since)
            continue;
        vt_sim_ref_text(call->db, message->id, ref);
        vt_xmlrpc_member_begin(&call->writer, ref);
        vt_sim_put_record(&call->writer, call->db, message);
        vt_xmlrpc_member_end(&call->writer);
    }
    vt_xmlrpc_struct_end(&call->writer);
    return true;
}

const struct vt_sim_method vt_sim_event_methods[] = {
    { "event.from", 3, 3, 0, event_from },
    { "event.inject", 2, 2, 0, event_inject },
    { "event.get_current_id", 0, 0, 0, event_get_current_id },
    { "message.create", 5, 5, 0, message_create },
    { "message.destroy", 1, 1, 0, message_destroy },
    { "message.get_since", 1, 1, 0, message_get_since },
    { 0 },
};

/* Jobs: what takes time. Each shows as a task object, moves on in quarters, and ends by its
 * `finish` function. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "poolsim/mem.h"
#include "poolsim/sim.h"

enum { STEPS = 4 };

/* Finished tasks beyond the limit go, the oldest first. */
static void prune_tasks(struct vt_sim_db *db)
{
    VT_SIM_EACH(db, VT_SIM_task, task)
    {
        if (db->rows[VT_SIM_task].count <= VT_SIM_TASKS_KEPT)
            return;
        if (!vt_sim_is(task, VT_task_status, "pending") &&
            !vt_sim_is(task, VT_task_status, "cancelling"))
            vt_sim_remove(db, task);
    }
}

static struct vt_sim_object *new_task(struct vt_sim_call *call)
{
    struct vt_sim_db *db = call->db;
    struct vt_sim_object *task = vt_sim_add(db, VT_SIM_task);
    char name[128];

    snprintf(name, sizeof name, "%s%s", call->async ? "Async." : "", call->method);
    vt_sim_set_text(db, task, VT_task_name_label, name);
    vt_sim_set_text(db, task, VT_task_status, "pending");
    vt_sim_set_text(db, task, VT_task_type, "<none/>");
    vt_sim_set_text(db, task, VT_task_backtrace, "()");
    vt_sim_set_int(db, task, VT_task_created, vt_sim_pool_wall(call->pool));
    vt_sim_set_ref(db, task, VT_task_resident_on, call->machine->host);
    prune_tasks(db);
    return task;
}

static void end_task(struct vt_sim_pool *pool, struct vt_sim_object *task, const char *result,
                     const struct vt_sim_failure *failure)
{
    struct vt_sim_db *db = pool->db;
    const char *texts[VT_XAPI_PARAMS_MAX + 1] = { failure ? failure->code : "" };

    vt_sim_set_real(db, task, VT_task_progress, 1.0);
    vt_sim_set_int(db, task, VT_task_finished, vt_sim_pool_wall(pool));
    vt_sim_set_texts(db, task, VT_task_allowed_operations, (const char *const[]){ "destroy" }, 1);
    if (!failure) {
        vt_sim_set_text(db, task, VT_task_result, result ? result : "");
        vt_sim_set_text(db, task, VT_task_status, "success");
        return;
    }
    for (size_t i = 0; i < failure->count; i++)
        texts[i + 1] = failure->params[i];
    bool cancelled = strcmp(failure->code, "TASK_CANCELLED") == 0;
    vt_sim_set_texts(db, task, VT_task_error_info, texts, (uint32_t)failure->count + 1);
    vt_sim_set_text(db, task, VT_task_status, cancelled ? "cancelled" : "failure");
}

uint32_t vt_sim_task_done(struct vt_sim_call *call, const char *result_xml,
                          const struct vt_sim_failure *failure)
{
    struct vt_sim_object *task = new_task(call);

    end_task(call->pool, task, result_xml, failure);
    return task->id;
}

static void show_operation(const struct vt_sim_job *job, bool begin)
{
    struct vt_sim_db *db = job->pool->db;
    struct vt_sim_object *object = vt_sim_get(db, job->object);
    char ref[VT_SIM_REF_MAX];

    if (!object || !job->operation)
        return;
    enum vt_sim_field field = vt_sim_field_find(object->class, "current_operations");
    if (field == VT_SIM_FIELDS)
        return;
    vt_sim_ref_text(db, job->task, ref);
    if (begin)
        vt_sim_map_set(db, object, field, ref, job->operation);
    else
        vt_sim_map_remove(db, object, field, ref);
    if (!begin && job->resumes && vt_sim_is(object, VT_VM_power_state, "Suspended")) {
        vt_sim_set_text(db, object, VT_VM_power_state, "Running");
        vt_sim_guests_refresh(job->pool, object);
    }
    if (object->class == VT_SIM_VM)
        vt_sim_vm_allow(job->pool, object);
}

static void forget(struct vt_sim_job *job)
{
    for (struct vt_sim_job **at = &job->pool->jobs; *at; at = &(*at)->next) {
        if (*at == job) {
            *at = job->next;
            break;
        }
    }
    free(job->text);
    free(job->result_xml);
    free(job);
}

static void answer_success(struct vt_sim_job *job)
{
    VT_AUTO_BUF(value, 4096);
    struct vt_err err = { 0 };
    struct vt_xmlrpc_writer writer = { .buf = &value, .err = &err, .bare_strings = true };

    if (job->result)
        vt_sim_put_ref(&writer, job->pool->db, job->result);
    vt_sim_answer(job->pool->world, job->ticket, &value);
}

static void end_job(struct vt_sim_job *job, bool ok, const struct vt_sim_failure *failure)
{
    struct vt_sim_pool *pool = job->pool;
    struct vt_sim_object *task = vt_sim_get(pool->db, job->task);
    char ref[VT_SIM_REF_MAX], result[96] = "";

    if (job->result) {
        vt_sim_ref_text(pool->db, job->result, ref);
        snprintf(result, sizeof result, "<value>%s</value>", ref);
    }
    show_operation(job, false);
    if (task)
        end_task(pool, task, result, ok ? NULL : failure);
    if (job->ticket && ok)
        answer_success(job);
    else if (job->ticket)
        vt_sim_answer_failure(pool->world, job->ticket, failure);
    if (job->ticket && task)
        vt_sim_remove(pool->db, task);
    forget(job);
}

static bool finish(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_faults *faults = &job->pool->world->faults;
    char ref[VT_SIM_REF_MAX];

    if (job->cancelled) {
        vt_sim_ref_text(job->pool->db, job->task, ref);
        return vt_sim_refuse(failure, "TASK_CANCELLED", ref, NULL);
    }
    if (*faults->fail_next_task) {
        vt_sim_refuse(failure, faults->fail_next_task, "", "asked for by a fault", "", NULL);
        faults->fail_next_task[0] = '\0';
        return false;
    }
    return job->finish(job, failure);
}

static void step(struct vt_sim_world *world, void *context)
{
    struct vt_sim_job *job = context;
    struct vt_sim_failure failure = { 0 };
    struct vt_sim_object *task = vt_sim_get(job->pool->db, job->task);

    if (job->dead) {
        forget(job);
        return;
    }
    if (job->hangs && !job->cancelled) {
        vt_sim_after(world, job->duration / STEPS + VT_NS_PER_MS, step, job);
        return;
    }
    if (++job->step < STEPS && !job->cancelled) {
        if (task)
            vt_sim_set_real(job->pool->db, task, VT_task_progress, (double)job->step / STEPS);
        vt_sim_after(world, job->duration / STEPS, step, job);
        return;
    }
    bool ok = finish(job, &failure);
    end_job(job, ok, &failure);
}

struct vt_sim_job *vt_sim_job_start(struct vt_sim_call *call, struct vt_sim_object *object,
                                    const char *operation, int64_t ms, vt_sim_finish finish_job)
{
    struct vt_sim_job *job = vt_sim_alloc(sizeof *job);

    *job = (struct vt_sim_job){ .pool = call->pool,
                                .task = new_task(call)->id,
                                .operation = operation,
                                .object = object ? object->id : 0,
                                .finish = finish_job,
                                .ticket = call->async ? 0 : call->ticket,
                                .duration = vt_sim_paced(call->world, ms),
                                .hangs = call->world->faults.hang_next_task,
                                .next = call->pool->jobs };
    call->world->faults.hang_next_task = false;
    call->pool->jobs = job;
    call->job = job;
    vt_sim_set_texts(call->db, vt_sim_get(call->db, job->task), VT_task_allowed_operations,
                     (const char *const[]){ "cancel" }, 1);
    show_operation(job, true);
    vt_sim_after(call->world, job->duration / STEPS, step, job);
    return job;
}

void vt_sim_jobs_lost(struct vt_sim_pool *pool)
{
    for (struct vt_sim_job *job = pool->jobs; job; job = job->next) {
        struct vt_sim_object *task = vt_sim_get(pool->db, job->task);
        if (job->dead)
            continue;
        show_operation(job, false);
        if (task)
            vt_sim_remove(pool->db, task);
        job->dead = true;
    }
}

/* ---- the class task ---- */

static bool task_create(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *task = new_task(call);

    (void)failure;
    vt_sim_set_text(call->db, task, VT_task_name_label, vt_sim_arg(call, 0));
    vt_sim_set_text(call->db, task, VT_task_name_description, vt_sim_arg(call, 1));
    vt_sim_set_texts(call->db, task, VT_task_allowed_operations,
                     (const char *const[]){ "cancel", "destroy" }, 2);
    vt_sim_put_ref(&call->writer, call->db, task->id);
    return true;
}

static bool task_destroy(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *task = vt_sim_arg_object(call, 0, VT_SIM_task, failure);

    if (!task)
        return false;
    vt_sim_remove(call->db, task);
    return true;
}

static bool task_cancel(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *task = vt_sim_arg_object(call, 0, VT_SIM_task, failure);

    if (!task)
        return false;
    for (struct vt_sim_job *job = call->pool->jobs; job; job = job->next) {
        if (job->task == task->id && !job->uncancellable) {
            job->cancelled = true;
            vt_sim_set_text(call->db, task, VT_task_status, "cancelling");
            return true;
        }
    }
    return vt_sim_refuse(failure, "OPERATION_NOT_ALLOWED", "the task cannot be cancelled", NULL);
}

static bool task_set_progress(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *task = vt_sim_arg_object(call, 0, VT_SIM_task, failure);

    if (!task)
        return false;
    vt_sim_set_real(call->db, task, VT_task_progress, vt_xmlrpc_double(call->args[1], 0));
    return true;
}

static bool task_set_status(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *task = vt_sim_arg_object(call, 0, VT_SIM_task, failure);

    if (!task)
        return false;
    vt_sim_set_text(call->db, task, VT_task_status, vt_sim_arg(call, 1));
    return true;
}

const struct vt_sim_method vt_sim_task_methods[] = {
    { "task.create", 2, 2, 0, task_create },
    { "task.destroy", 1, 1, 0, task_destroy },
    { "task.cancel", 1, 1, 0, task_cancel },
    { "task.set_progress", 2, 2, 0, task_set_progress },
    { "task.set_status", 2, 2, 0, task_set_status },
    { 0 },
};

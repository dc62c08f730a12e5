/* The world: its machines and pools, and how they are found. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "poolsim/mem.h"
#include "poolsim/sim.h"
#include "poolsim/timers.h"
#include "poolsim/waiters.h"

enum { HEARTBEAT_S = 30 };

bool vt_sim_refuse(struct vt_sim_failure *failure, const char *code, ...)
{
    va_list args;

    memset(failure, 0, sizeof *failure);
    snprintf(failure->code, sizeof failure->code, "%s", code);
    va_start(args, code);
    for (const char *text;
         failure->count < VT_XAPI_PARAMS_MAX && (text = va_arg(args, const char *));)
        snprintf(failure->params[failure->count++], sizeof failure->params[0], "%s", text);
    va_end(args);
    return false;
}

bool vt_sim_refuse_storage(struct vt_sim_failure *failure, int number, const char *text)
{
    char code[64];

    snprintf(code, sizeof code, "SR_BACKEND_FAILURE_%d", number);
    return vt_sim_refuse(failure, code, "", text, "", NULL);
}

/* The server touches the pool object as a heartbeat, so that a quiet event loop can be told from a
 * dead one. */
static void beat(struct vt_sim_world *world, void *context)
{
    struct vt_sim_pool *pool = context;

    if (pool->retired)
        return;
    if (pool->master->up)
        vt_sim_touch(pool->db, vt_sim_get(pool->db, pool->self));
    vt_sim_after(world, HEARTBEAT_S * VT_NS_PER_S, beat, pool);
}

struct vt_sim_pool *vt_sim_pool_new(struct vt_sim_world *world, struct vt_sim_machine *master)
{
    struct vt_sim_pool *pool = vt_sim_alloc(sizeof *pool);

    pool->world = world;
    pool->master = master;
    pool->next_domid = 1;
    pool->db = vt_sim_db_new(world->options.seed * 7919 + world->pool_count + 1);
    world->pools = vt_sim_grow(world->pools, world->pool_count + 1, sizeof(struct vt_sim_pool *));
    world->pools[world->pool_count++] = pool;
    vt_sim_after(world, HEARTBEAT_S * VT_NS_PER_S, beat, pool);
    return pool;
}

static struct vt_sim_machine *add_machine(struct vt_sim_world *world)
{
    uint32_t index = world->machine_count++;
    struct vt_sim_machine *machine = &world->machines[index];

    *machine = (struct vt_sim_machine){ .index = index, .world = world, .up = true };
    snprintf(machine->address, sizeof machine->address, "127.0.0.%u", 1 + index);
    return machine;
}

static void add_spare(struct vt_sim_world *world, uint32_t number)
{
    struct vt_sim_machine *machine = add_machine(world);
    struct vt_sim_pool *pool = vt_sim_pool_new(world, machine);
    char name[32];

    snprintf(name, sizeof name, "spare-%02u", number + 1);
    machine->pool = pool;
    vt_sim_generate_pool(pool, "");
    machine->host = vt_sim_generate_host(pool, machine, name);
    vt_sim_set_ref(pool->db, vt_sim_get(pool->db, pool->self), VT_pool_master, machine->host);
}

struct vt_sim_world *vt_sim_world_new(const struct vt_sim_options *options)
{
    struct vt_sim_world *world = vt_sim_alloc(sizeof *world);

    world->options = *options;
    world->now = vt_clock_mono();
    struct vt_sim_pool *pool = vt_sim_pool_new(world, &world->machines[0]);
    vt_sim_generate_pool(pool, "workstations");
    for (uint32_t i = 0; i < options->hosts; i++) {
        struct vt_sim_machine *machine = add_machine(world);
        char name[32];
        snprintf(name, sizeof name, "host-%02u", i + 1);
        machine->pool = pool;
        machine->host = vt_sim_generate_host(pool, machine, name);
        if (i > 0)
            snprintf(machine->master_address, sizeof machine->master_address, "%s",
                     pool->master->address);
    }
    vt_sim_set_ref(pool->db, vt_sim_get(pool->db, pool->self), VT_pool_master,
                   world->machines[0].host);
    for (uint32_t i = 0; i < options->spares; i++)
        add_spare(world, i);
    pool->generating = true;
    vt_sim_generate_vms(pool, options->vms);
    pool->generating = false;
    return world;
}

static void free_pool(struct vt_sim_pool *pool)
{
    vt_sim_waiters_free(pool);
    while (pool->jobs) {
        struct vt_sim_job *job = pool->jobs;
        pool->jobs = job->next;
        free(job->text);
        free(job->result_xml);
        free(job);
    }
    vt_sim_db_free(pool->db);
    free(pool);
}

void vt_sim_world_free(struct vt_sim_world *world)
{
    if (!world)
        return;
    for (uint32_t i = 0; i < world->pool_count; i++)
        free_pool(world->pools[i]);
    free(world->pools);
    vt_sim_timers_free(world);
    free(world);
}

int64_t vt_sim_wall(const struct vt_sim_machine *machine)
{
    return vt_clock_wall() / VT_NS_PER_S + machine->clock_offset;
}

int64_t vt_sim_pool_wall(const struct vt_sim_pool *pool)
{
    return vt_sim_wall(pool->master);
}

struct vt_sim_machine *vt_sim_machine_of(struct vt_sim_pool *pool, uint32_t host)
{
    struct vt_sim_world *world = pool->world;

    for (uint32_t i = 0; i < world->machine_count; i++)
        if (world->machines[i].pool == pool && world->machines[i].host == host)
            return &world->machines[i];
    return NULL;
}

struct vt_sim_machine *vt_sim_machine_at(struct vt_sim_world *world, const char *address)
{
    for (uint32_t i = 0; i < world->machine_count; i++)
        if (strcmp(world->machines[i].address, address) == 0)
            return &world->machines[i];
    return NULL;
}

struct vt_sim_machine *vt_sim_machine_find(struct vt_sim_world *world, const char *word)
{
    for (uint32_t i = 0; i < world->machine_count; i++) {
        struct vt_sim_machine *machine = &world->machines[i];
        const struct vt_sim_object *host = vt_sim_get(machine->pool->db, machine->host);
        if (strcmp(machine->address, word) == 0 ||
            (host &&
             (vt_sim_is(host, VT_host_name_label, word) || vt_sim_is(host, VT_host_uuid, word))))
            return machine;
    }
    return NULL;
}

struct vt_sim_object *vt_sim_object_find(struct vt_sim_world *world, enum vt_sim_class class,
                                         const char *word, struct vt_sim_pool **out_pool)
{
    for (uint32_t i = 0; i < world->pool_count; i++) {
        struct vt_sim_db *db = world->pools[i]->db;
        struct vt_sim_object *object =
            world->pools[i]->retired ? NULL : vt_sim_by_uuid(db, class, word);
        if (!object && !world->pools[i]->retired)
            object = vt_sim_by_name(db, class, word);
        if (object) {
            *out_pool = world->pools[i];
            return object;
        }
    }
    return NULL;
}

bool vt_sim_is_master(const struct vt_sim_machine *machine)
{
    return machine->pool->master == machine;
}

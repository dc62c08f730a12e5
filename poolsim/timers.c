/* The world's timers: a binary heap by time, equal times in the order they were set. */
#include <stdlib.h>

#include "poolsim/mem.h"
#include "poolsim/sim.h"
#include "poolsim/timers.h"

static bool before(const struct vt_sim_timer *a, const struct vt_sim_timer *b)
{
    return a->when != b->when ? a->when < b->when : a->serial < b->serial;
}

static void swap(struct vt_sim_timer *a, struct vt_sim_timer *b)
{
    struct vt_sim_timer held = *a;
    *a = *b;
    *b = held;
}

static void add(struct vt_sim_world *world, int64_t ns, vt_sim_timer_fn fn, void *context,
                bool owned)
{
    if (world->timer_count == world->timer_capacity) {
        world->timer_capacity = world->timer_capacity ? world->timer_capacity * 2 : 64;
        world->timers = vt_sim_grow(world->timers, world->timer_capacity, sizeof *world->timers);
    }
    uint32_t at = world->timer_count++;
    world->timers[at] =
        (struct vt_sim_timer){ world->now + ns, ++world->timer_serial, fn, context, owned };
    while (at > 0 && before(&world->timers[at], &world->timers[(at - 1) / 2])) {
        swap(&world->timers[at], &world->timers[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

void vt_sim_after(struct vt_sim_world *world, int64_t ns, vt_sim_timer_fn fn, void *context)
{
    add(world, ns, fn, context, false);
}

void vt_sim_after_owned(struct vt_sim_world *world, int64_t ns, vt_sim_timer_fn fn, void *context)
{
    add(world, ns, fn, context, true);
}

void vt_sim_timers_free(struct vt_sim_world *world)
{
    for (uint32_t i = 0; i < world->timer_count; i++)
        if (world->timers[i].owned)
            free(world->timers[i].context);
    free(world->timers);
}

static struct vt_sim_timer pop(struct vt_sim_world *world)
{
    struct vt_sim_timer first = world->timers[0];
    uint32_t at = 0;

    world->timers[0] = world->timers[--world->timer_count];
    for (;;) {
        uint32_t child = at * 2 + 1;
        if (child >= world->timer_count)
            return first;
        if (child + 1 < world->timer_count &&
            before(&world->timers[child + 1], &world->timers[child]))
            child++;
        if (!before(&world->timers[child], &world->timers[at]))
            return first;
        swap(&world->timers[child], &world->timers[at]);
        at = child;
    }
}

void vt_sim_advance(struct vt_sim_world *world, int64_t now)
{
    while (world->timer_count > 0 && world->timers[0].when <= now) {
        struct vt_sim_timer timer = pop(world);
        if (timer.when > world->now)
            world->now = timer.when;
        timer.fn(world, timer.context);
        if (timer.owned)
            free(timer.context);
    }
    if (now > world->now)
        world->now = now;
}

int64_t vt_sim_next(const struct vt_sim_world *world)
{
    return world->timer_count > 0 ? world->timers[0].when : 0;
}

int64_t vt_sim_paced(const struct vt_sim_world *world, int64_t ms)
{
    return (int64_t)((double)(ms * VT_NS_PER_MS) * world->options.pace);
}

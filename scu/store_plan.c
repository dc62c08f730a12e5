#include "scu/store_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "dicom/dataset.h"

void vt_store_plan_fini(struct vt_store_plan *plan)
{
    for (size_t i = 0; i < plan->pair_count; i++)
        free(plan->pairs[i]);
    free(plan->pairs);
    *plan = (struct vt_store_plan){ .transcoding = plan->transcoding };
}

static const char *const *targets(const struct vt_store_plan *plan, size_t *out_count)
{
    static const struct vt_transcoding usual = { .count = 0 };

    return vt_transcoding_syntaxes(plan->transcoding ? plan->transcoding : &usual, out_count);
}

bool vt_store_can_transcode(const struct vt_store_plan *plan, const char *transfer_syntax)
{
    size_t count;
    const char *const *to = targets(plan, &count);
    bool lossy = plan->transcoding && plan->transcoding->lossy;

    for (size_t i = 0; i < count; i++)
        if (vt_transcode_rank(transfer_syntax, to[i], lossy) > 0)
            return true;
    return false;
}

static bool is_pair(const struct vt_store_pair *pair, const char *sop_class,
                    const char *transfer_syntax)
{
    return strcmp(pair->sop_class, sop_class) == 0 &&
           strcmp(pair->transfer_syntax, transfer_syntax) == 0;
}

static bool has_other(const struct vt_store_plan *plan, uint32_t batch, const char *sop_class)
{
    for (size_t i = 0; i < plan->pair_count; i++) {
        const struct vt_store_pair *pair = plan->pairs[i];
        if (pair->batch == batch && pair->other && strcmp(pair->sop_class, sop_class) == 0)
            return true;
    }
    return false;
}

/* The present batch, or a new one when its contexts are used up. */
static void deal(struct vt_store_plan *plan, struct vt_store_pair *pair)
{
    bool wants_other = vt_store_can_transcode(plan, pair->transfer_syntax);

    if (plan->batch_count > 0) {
        pair->batch = plan->batch_count - 1;
        pair->other = wants_other && !has_other(plan, pair->batch, pair->sop_class);
        if (plan->contexts + 1 + pair->other <= VT_CONTEXTS_MAX) {
            plan->contexts += 1u + pair->other;
            return;
        }
    }
    pair->batch = plan->batch_count++;
    pair->other = wants_other;
    plan->contexts = 1u + pair->other;
}

static bool grow(struct vt_store_plan *plan, struct vt_err *err)
{
    if (plan->pair_count < plan->pair_capacity)
        return true;
    size_t wanted = plan->pair_capacity ? plan->pair_capacity * 2 : 16;
    struct vt_store_pair **grown =
        reallocarray(plan->pairs, wanted, sizeof(struct vt_store_pair *));
    if (!grown)
        return vt_fail(err, VT_E_NOMEM, "no memory for presentation contexts");
    plan->pairs = grown;
    plan->pair_capacity = wanted;
    return true;
}

bool vt_store_plan_pair(struct vt_store_plan *plan, const char *sop_class,
                        const char *transfer_syntax, size_t *out_pair, struct vt_err *err)
{
    if (plan->last < plan->pair_count &&
        is_pair(plan->pairs[plan->last], sop_class, transfer_syntax)) {
        *out_pair = plan->last;
        return true;
    }
    for (size_t i = 0; i < plan->pair_count; i++) {
        if (is_pair(plan->pairs[i], sop_class, transfer_syntax)) {
            *out_pair = plan->last = i;
            return true;
        }
    }
    if (!grow(plan, err))
        return false;
    struct vt_store_pair *pair = calloc(1, sizeof *pair);
    if (!pair)
        return vt_fail(err, VT_E_NOMEM, "no memory for presentation contexts");
    snprintf(pair->sop_class, sizeof pair->sop_class, "%s", sop_class);
    snprintf(pair->transfer_syntax, sizeof pair->transfer_syntax, "%s", transfer_syntax);
    pair->syntaxes[0] = pair->transfer_syntax;
    deal(plan, pair);
    *out_pair = plan->last = plan->pair_count;
    plan->pairs[plan->pair_count++] = pair;
    return true;
}

size_t vt_store_plan_propose(const struct vt_store_plan *plan, uint32_t batch,
                             struct vt_propose out[static VT_CONTEXTS_MAX])
{
    size_t count = 0, other_count;
    const char *const *others = targets(plan, &other_count);

    for (size_t i = 0; i < plan->pair_count && count < VT_CONTEXTS_MAX; i++) {
        const struct vt_store_pair *pair = plan->pairs[i];
        if (pair->batch != batch)
            continue;
        out[count++] = (struct vt_propose){ pair->sop_class, pair->syntaxes, 1, VT_ROLE_DEFAULT };
        if (pair->other && count < VT_CONTEXTS_MAX)
            out[count++] =
                (struct vt_propose){ pair->sop_class, others, other_count, VT_ROLE_DEFAULT };
    }
    return count;
}

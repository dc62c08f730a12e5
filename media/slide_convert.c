#include "media/slide_convert.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "core/err.h"
#include "media/slide_beside.h"
#include "media/slide_hash.h"
#include "media/slide_pipe.h"
#include "media/slide_write.h"

struct converting {
    struct vt_slide *slide;
    const struct vt_slide_convert_options *options;
    const struct vt_slide_target *target;
    uint64_t done, total;
};

static bool advance(struct converting *converting, uint64_t bytes, struct vt_err *err)
{
    const struct vt_slide_convert_options *options = converting->options;

    converting->done += bytes;
    if (converting->done > converting->total)
        converting->done = converting->total;
    return !options->progress ||
           options->progress(options->context, converting->done, converting->total) ||
           vt_fail(err, VT_E_CANCELLED, "%s: stopped", converting->slide->name);
}

/* ---- which file is it ---- */

static bool pass_file(struct converting *converting, struct vt_slide_hash *hash, struct vt_err *err)
{
    const struct vt_slide_source *source = &converting->slide->source;
    vt_autofree uint8_t *block = malloc(VT_SLIDE_HASH_BLOCK);

    if (!block)
        return vt_fail(err, VT_E_NOMEM, "no memory for a slide");
    for (uint64_t at = 0; at < source->size;) {
        size_t part = source->size - at < VT_SLIDE_HASH_BLOCK ? (size_t)(source->size - at)
                                                               : VT_SLIDE_HASH_BLOCK;
        if (!vt_slide_read(source, block, part, at, err) ||
            !vt_slide_hash_take(hash, block, part, err) || !advance(converting, part, err))
            return false;
        at += part;
    }
    return true;
}

static bool take_fingerprint(struct converting *converting, struct vt_slide_sums *out, struct vt_err *err)
{
    VT_AUTO(vt_slide_hash) hash = vt_slide_hash_new(false, err);

    if (!hash)
        return false;
    (void)posix_fadvise(converting->slide->source.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return pass_file(converting, hash, err) && vt_slide_hash_finish(hash, out, err);
}

/* ---- writing ---- */

static bool passed(void *context, uint64_t bytes, struct vt_err *err)
{
    return advance(context, bytes, err);
}

static bool changed(const struct vt_slide *slide, struct vt_err *err)
{
    return vt_fail(err, VT_E_BUSY, "%s changed while it was read: is it still being written?", slide->name);
}

static bool unchanged(const struct vt_slide *slide, struct vt_err *err)
{
    struct stat status;

    if (fstat(slide->source.fd, &status) < 0)
        return vt_fail_errno(err, "%s", slide->name);
    return ((uint64_t)status.st_size == slide->source.size &&
            status.st_mtim.tv_sec * VT_NS_PER_S + status.st_mtim.tv_nsec == slide->modified) ||
           changed(slide, err);
}

/* The images while SHA-256 is computed; the instance that holds it comes last. */
static bool write_instances(const struct vt_slide_writing *writing, struct vt_slide_plan *plan,
                            const struct vt_slide_beside *beside, struct vt_slide_summing *summing,
                            struct vt_err *err)
{
    struct vt_slide_sums sums;

    for (size_t i = 0; i < plan->count; i++)
        if (plan->instances[i].image && !vt_slide_write_image(writing, &plan->instances[i], err))
            return false;
    if (!vt_slide_summing_wait(summing, &sums, err))
        return false;
    if (memcmp(sums.fingerprint, plan->fingerprint, VT_SLIDE_FINGERPRINT) != 0)
        return changed(writing->slide, err);
    memcpy(plan->sha256, sums.sha256, VT_SLIDE_SHA256);
    return (!beside || vt_slide_beside_write(writing, beside, err)) &&
           (!plan->original || vt_slide_write_raw(writing, &plan->instances[plan->count - 1], err)) &&
           unchanged(writing->slide, err);
}

static bool write_all(struct converting *converting, struct vt_slide_plan *plan,
                      struct vt_slide_summing *summing, struct vt_err *err)
{
    const struct vt_slide_target *target = converting->target;
    const struct vt_slide_taker taker = { target->write, target->context };
    VT_AUTO(vt_slide_pipe) pipe = vt_slide_pipe_new(&taker, 1, err);
    const struct vt_slide_writing writing = { converting->slide, plan, target, pipe, passed, converting };

    return pipe && write_instances(&writing, plan, converting->options->beside, summing, err);
}

/* ---- checking ---- */

struct checking {
    struct converting *converting;
    uint64_t before;
    struct vt_err *err;
};

static bool checked(void *context, uint64_t done, uint64_t total)
{
    struct checking *checking = context;

    (void)total;
    checking->converting->done = checking->before + done;
    return advance(checking->converting, 0, checking->err);
}

static bool verify(struct converting *converting, const struct vt_slide_plan *plan, struct vt_err *err)
{
    const struct vt_slide_finder *finder = &converting->target->finder;
    struct vt_err ignored = { 0 };
    struct checking checking = { converting, 2 * converting->slide->source.size, &ignored };
    struct vt_slide_sums sums;
    struct vt_slide_part raw = { .fd = -1 };

    if (!finder->open(finder->context, plan->instances[plan->count - 1].sop_uid, &raw, err))
        return false;
    VT_AUTO(vt_slide_original) original = vt_slide_original_open(&raw, finder, err);
    memcpy(sums.fingerprint, plan->fingerprint, sizeof sums.fingerprint);
    memcpy(sums.sha256, plan->sha256, sizeof sums.sha256);
    return original && vt_slide_original_compare(original, &sums, checked, &checking, err);
}

static void tell(const struct vt_slide *slide, const struct vt_slide_plan *plan, struct vt_slide_result *out)
{
    *out = (struct vt_slide_result){ .bytes = slide->source.size,
                                     .instances = (unsigned)plan->count + (plan->beside_uid[0] != '\0') +
                                                  (plan->marks_uid[0] != '\0'),
                                     .levels = (unsigned)slide->level_count,
                                     .beside = plan->beside_uid[0] != '\0',
                                     .kept = plan->original };
    memcpy(out->study_uid, plan->study_uid, sizeof out->study_uid);
    memcpy(out->series_uid, plan->series_uid, sizeof out->series_uid);
    if (plan->original)
        memcpy(out->raw_uid, plan->instances[plan->count - 1].sop_uid, sizeof out->raw_uid);
    for (size_t i = 0; i < VT_SLIDE_SHA256; i++)
        snprintf(out->sha256 + 2 * i, 3, "%02x", plan->sha256[i]);
    for (size_t i = 0; i < slide->image_count; i++) {
        out->filled += slide->images[i].holes;
        out->reencoded = out->reencoded || slide->images[i].way == VT_SLIDE_REENCODED;
    }
}

bool vt_slide_convert(struct vt_slide *slide, const struct vt_slide_convert_options *options,
                      const struct vt_slide_target *target, struct vt_slide_result *out,
                      struct vt_err *err)
{
    struct converting converting = { slide, options, target, 0, VT_SLIDE_PASSES * slide->source.size };
    VT_AUTO(vt_slide_summing) summing = vt_slide_summing_start(&slide->source, err);
    struct vt_slide_sums sums;

    if (!summing || !take_fingerprint(&converting, &sums, err))
        return false;
    VT_AUTO(vt_slide_plan) plan = vt_slide_plan_new(slide, sums.fingerprint, &options->plan, err);
    if (!plan || (options->beside && !vt_slide_beside_plan(options->beside, plan, err)) ||
        !write_all(&converting, plan, summing, err))
        return false;
    struct vt_slide_result result;
    tell(slide, plan, &result);
    if (result.beside && options->beside)
        result.annotations = options->beside->marks.shapes;
    if (!target->settle(target->context, &result.tally, err))
        return false;
    if (plan->original) {
        if (!verify(&converting, plan, err))
            return vt_fail_context(err, "%s is stored, but keep the original", slide->name);
        result.verified = true;
    }
    *out = result;
    return true;
}

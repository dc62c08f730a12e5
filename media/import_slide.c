/* Slides among the things that `vitrine import` takes. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "core/err.h"
#include "media/import.h"
#include "media/slide_beside.h"
#include "media/slide_facts.h"
#include "media/slide_import.h"
#include "media/slide_worklist.h"

enum { CONCAT_MIN = 1 << 20, SENTENCE = 512 };

/* A DICOM file may carry a TIFF's magic in its preamble (dual personality). */
static bool recognises(const char *path, const uint8_t *head, size_t size)
{
    return vt_slide_is(path, head, size) && !(size >= 132 && memcmp(head + 128, "DICM", 4) == 0);
}

static const char *text_of(const json_t *options, const char *key)
{
    return json_string_value(json_object_get(options, key));
}

static bool flag_of(const json_t *options, const char *key)
{
    return json_is_true(json_object_get(options, key));
}

bool vt_import_slide_options(const json_t *options, struct vt_slide_options *out_reading,
                             struct vt_slide_plan_options *out_plan, struct vt_err *err)
{
    static const char *const labels[] = { "keep", "drop", "mask" };
    const char *mpp = text_of(options, "mpp"), *label = text_of(options, "label"),
               *concat = text_of(options, "concat-bytes");
    size_t chosen = VT_LABEL_KEEP;
    char *end = NULL;

    *out_reading = (struct vt_slide_options){ .openslide = flag_of(options, "openslide"),
                                              .fill_holes = flag_of(options, "fill-holes") };
    *out_plan = (struct vt_slide_plan_options){ .no_original = flag_of(options, "no-original") };
    if (mpp && (!vt_slide_decimal(mpp, &out_reading->mpp) || out_reading->mpp < 0.01 ||
                out_reading->mpp > 20))
        return vt_fail(err, VT_E_INVALID, "--mpp is micrometres of a pixel, 0.01 to 20, not '%.20s'", mpp);
    while (label && chosen < VT_COUNT(labels) && strcmp(label, labels[chosen]) != 0)
        chosen++;
    if (chosen == VT_COUNT(labels))
        return vt_fail(err, VT_E_INVALID, "--label is keep, drop or mask, not '%.20s'", label);
    out_plan->label = (enum vt_slide_label)chosen;
    out_plan->concat_bytes = concat ? strtoull(concat, &end, 10) : 0;
    if (concat && (*end || out_plan->concat_bytes < CONCAT_MIN))
        return vt_fail(err, VT_E_INVALID, "--concat-bytes is a number of bytes, %d at least", CONCAT_MIN);
    return true;
}

static bool take_metadata(const struct vt_import_call *call, const char *path,
                          const struct vt_slide_options *reading, struct vt_slide_metadata *out,
                          struct vt_err *err)
{
    const char *named = text_of(call->options, "metadata");
    char beside[PATH_MAX];

    bool worklist = flag_of(call->options, "worklist");

    if (!named && vt_slide_sidecar(path, beside, sizeof beside))
        named = beside;
    if (!named && !worklist)
        return true;
    /* Both may select by the barcode that the slide holds; what a person wrote decides. */
    VT_AUTO(vt_slide) slide = vt_slide_open(path, reading, err);
    return slide && (!worklist || vt_slide_worklist(call->archive, slide->name, slide->facts.barcode, out, err)) &&
           (!named || vt_slide_metadata_read(out, named, slide->name, slide->facts.barcode, err));
}

struct telling {
    const struct vt_import_call *call;
};

static bool progress(void *context, uint64_t done, uint64_t total)
{
    const struct telling *telling = context;

    return !telling->call->progress ||
           telling->call->progress(telling->call->context, done / VT_SLIDE_PASSES, total / VT_SLIDE_PASSES, "bytes");
}

static const char *fate_of(const struct vt_slide_result *result)
{
    if (result->verified)
        return "the original can be rebuilt from the archive (checked): it may be deleted";
    return result->kept ? "keep the original" : "the original cannot be given back: keep it";
}

static void sentence_of(const struct vt_slide_result *result, const struct vt_slide_beside *beside, char *out, size_t room)
{
    int size = snprintf(out, room, "%s", fate_of(result));

    if (beside->there && !result->beside)
        snprintf(out + size, room - (size_t)size, "; %.60s is left out with the label", beside->name);
    else if (beside->there && result->annotations > 0)
        size += snprintf(out + size, room - (size_t)size, "; %u annotations became DICOM", result->annotations);
    if (result->beside && beside->note[0])
        snprintf(out + size, room - (size_t)size, "; %s", beside->note);
}

static bool tell(const struct vt_import_call *call, const char *path, const struct vt_slide_result *result,
                 const struct vt_slide_beside *beside)
{
    char text[SENTENCE];
    const struct vt_slide_tally *tally = &result->tally;
    const char *became = tally->quarantined ? "quarantined" : tally->stored ? "stored"
                         : tally->versions                                  ? "version"
                                                                            : "duplicate";
    sentence_of(result, beside, text, sizeof text);
    json_t *row = json_pack("{s:s%, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:I, s:b, s:s, s:s}", "file", path,
                            strlen(path), "result", became, "StudyInstanceUID", result->study_uid,
                            "SeriesInstanceUID", result->series_uid, "original_uid", result->raw_uid,
                            "levels", (int)result->levels, "instances", (int)result->instances,
                            "annotations", (int)result->annotations, "bytes", (json_int_t)result->bytes, "verified", result->verified, "sha256",
                            result->sha256, "text", text);
    bool more = !row || call->row(call->context, row);

    json_decref(row);
    return more;
}

/* A TIFF found in a folder need not be a slide; a .svs must be one. */
static bool may_be_a_picture(const char *path)
{
    const char *dot = strrchr(path, '.');

    return !dot || strcasecmp(dot, ".tif") == 0 || strcasecmp(dot, ".tiff") == 0 || strchr(dot, '/');
}

static bool store(const struct vt_import_call *call, const char *path, const struct vt_slide_beside *beside,
                  struct vt_slide_result *out, struct vt_err *err)
{
    struct vt_slide_metadata metadata = { 0 };
    struct telling telling = { call };
    struct vt_slide_convert_options options = { .beside = beside, .progress = progress, .context = &telling };
    struct vt_slide_options reading;

    if (!vt_import_slide_options(call->options, &reading, &options.plan, err) ||
        !take_metadata(call, path, &reading, &metadata, err))
        return false;
    options.plan.metadata = &metadata;
    return vt_slide_import(call->archive, path, &reading, &options, out, err);
}

static bool import_beside(const struct vt_import_call *call, const char *path, const struct vt_slide_beside *beside,
                          struct vt_err *err)
{
    struct vt_slide_result result;

    if (!store(call, path, beside, &result, err)) {
        if (call->named || err->code != VT_E_INVALID || !may_be_a_picture(path))
            return false;
        vt_err_clear(err);
        call->counts->skipped++;
        return true;
    }
    call->counts->stored += result.tally.stored;
    call->counts->duplicates += result.tally.duplicates;
    call->counts->versions += result.tally.versions;
    call->counts->quarantined += result.tally.quarantined;
    if (call->studies && result.tally.stored + result.tally.versions > 0 &&
        !vt_import_studies_add(call->studies, result.study_uid, err))
        return false;
    return tell(call, path, &result, beside) || vt_fail(err, VT_E_CANCELLED, "stopped");
}

static bool import(const struct vt_import_call *call, const char *path, struct vt_err *err)
{
    struct vt_slide_beside beside;

    bool ok = vt_slide_beside_read(path, &beside, err) && import_beside(call, path, &beside, err);
    vt_slide_beside_fini(&beside);
    return ok;
}

const struct vt_import_kind vt_import_slide = { "slide", recognises, import };

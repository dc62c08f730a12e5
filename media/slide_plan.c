#include "media/slide_plan.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "core/clock.h"
#include "core/err.h"
#include "dicom/uids.h"

/* A native pixel element has 32 bits of length. */
#define NATIVE_MAX (UINT64_C(0xffffffff) - 1)

void vt_slide_plan_free(struct vt_slide_plan *plan)
{
    free(plan);
}

/* ---- UIDs ---- */

/* 128 bits as a decimal number (PS3.5 B.2). */
static void put_decimal(const uint8_t bytes[static 16], char *out)
{
    unsigned __int128 value = 0;
    char digits[40];
    size_t count = 0;

    for (size_t i = 0; i < 16; i++)
        value = value << 8 | bytes[i];
    do {
        digits[count++] = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value > 0);
    while (count > 0)
        *out++ = digits[--count];
    *out = '\0';
}

bool vt_slide_uid(const uint8_t *fingerprint, const char *role, char out[static VT_UID_MAX + 1],
                  struct vt_err *err)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t digest[EVP_MAX_MD_SIZE];
    bool ok = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) &&
              EVP_DigestUpdate(context, fingerprint, VT_SLIDE_FINGERPRINT) &&
              EVP_DigestUpdate(context, role, strlen(role)) &&
              EVP_DigestFinal_ex(context, digest, NULL);

    EVP_MD_CTX_free(context);
    if (!ok)
        return vt_fail(err, VT_E_NOMEM, "no memory for a UID");
    memcpy(out, "2.25.", 5);
    put_decimal(digest, out + 5);
    return true;
}

/* Slides of one case are one study: it follows from patient and accession number. */
static bool study_uid(struct vt_slide_plan *plan, struct vt_err *err)
{
    const struct vt_slide_metadata *metadata = &plan->metadata;
    uint8_t zeroes[VT_SLIDE_FINGERPRINT] = { 0 };
    char role[4 * VT_METADATA_TEXT];

    if (metadata->study_instance_uid[0]) {
        snprintf(plan->study_uid, sizeof plan->study_uid, "%.64s", metadata->study_instance_uid);
        return true;
    }
    if (!metadata->accession_number[0])
        return vt_slide_uid(plan->fingerprint, "study", plan->study_uid, err);
    snprintf(role, sizeof role, "study\n%s\n%s\n%s", metadata->patient_id,
             metadata->issuer_of_patient_id, metadata->accession_number);
    return vt_slide_uid(zeroes, role, plan->study_uid, err);
}

static bool make_uids(struct vt_slide_plan *plan, struct vt_err *err)
{
    const struct { const char *role; char *out; } uids[] = {
        { "series", plan->series_uid },
        { "raw series", plan->raw_series_uid },
        { "frame of reference", plan->frame_of_reference_uid },
        { "pyramid", plan->pyramid_uid },
        { "specimen", plan->specimen_uid },
        { "dimensions", plan->dimension_uid },
    };

    for (size_t i = 0; i < VT_COUNT(uids); i++)
        if (!vt_slide_uid(plan->fingerprint, uids[i].role, uids[i].out, err))
            return false;
    return study_uid(plan, err);
}

/* ---- metadata ---- */

static void fall_back(char out[static VT_METADATA_TEXT], const char *text, size_t max)
{
    if (!out[0])
        snprintf(out, VT_METADATA_TEXT, "%.*s", (int)max, text);
    /* What a slide says may hold what DICOM texts must not. */
    for (char *p = out; *p; p++)
        if (*p == '\\' || (unsigned char)*p < ' ')
            *p = ' ';
}

/* The file's name without its suffix: what scanners write the barcode into. */
static void stem_of(const char *name, char out[static VT_METADATA_TEXT])
{
    const char *dot = strrchr(name, '.');

    snprintf(out, VT_METADATA_TEXT, "%.*s", dot ? (int)(dot - name) : (int)strlen(name), name);
    out[64] = '\0';
    while (strlen(out) > 0 && ((unsigned char)out[strlen(out) - 1] & 0x80))
        out[strlen(out) - 1] = '\0';
}

static void complete_metadata(struct vt_slide_plan *plan, const struct vt_slide *slide)
{
    struct vt_slide_metadata *metadata = &plan->metadata;
    char stem[VT_METADATA_TEXT];

    stem_of(slide->name, stem);
    if (plan->label == VT_LABEL_KEEP) {
        fall_back(metadata->barcode_value, slide->facts.barcode, 64);
        fall_back(metadata->label_text, slide->facts.title, 64);
        fall_back(metadata->container_identifier,
                  metadata->barcode_value[0] ? metadata->barcode_value : stem, 64);
    } else {
        metadata->barcode_value[0] = metadata->label_text[0] = '\0';
        fall_back(metadata->container_identifier, plan->series_uid + strlen("2.25."), 64);
    }
    fall_back(metadata->specimen_identifier, metadata->container_identifier, 64);
    fall_back(metadata->study_date, plan->date, 8);
    fall_back(metadata->study_time, plan->time, 6);
}

/* When the slide was scanned; else when the file was written. */
static void choose_moment(struct vt_slide_plan *plan, const struct vt_slide *slide)
{
    char moment[32];
    time_t seconds = (time_t)(slide->modified / VT_NS_PER_S);
    struct tm parts;

    if (slide->facts.acquired[0]) {
        snprintf(moment, sizeof moment, "%s", slide->facts.acquired);
    } else {
        gmtime_r(&seconds, &parts);
        strftime(moment, sizeof moment, "%Y%m%d%H%M%S", &parts);
    }
    snprintf(plan->date, sizeof plan->date, "%.8s", moment);
    snprintf(plan->time, sizeof plan->time, "%.6s", moment + 8);
}

/* ---- instances ---- */

static struct vt_slide_instance *add(struct vt_slide_plan *plan, const struct vt_slide_image *image,
                                     uint32_t first, struct vt_err *err)
{
    if (plan->count == VT_SLIDE_INSTANCES_MAX) {
        vt_fail(err, VT_E_LIMIT, "the slide would become more than %d instances: choose larger parts",
                VT_SLIDE_INSTANCES_MAX);
        return NULL;
    }
    struct vt_slide_instance *instance = &plan->instances[plan->count++];
    *instance = (struct vt_slide_instance){ .image = image, .first = first, .part = 1, .parts = 1 };
    return instance;
}

static bool encapsulated(const struct vt_slide_image *image)
{
    return strcmp(image->transfer_syntax, VT_UID_EXPLICIT_LE) != 0;
}

/* As many frames as fit, at least one. */
static bool add_parts(struct vt_slide_plan *plan, const struct vt_slide_image *image, uint64_t limit,
                      struct vt_err *err)
{
    uint32_t count = vt_slide_frame_count(image);
    size_t begin = plan->count;
    struct vt_slide_instance *instance = NULL;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t size = image->way == VT_SLIDE_REENCODED ? 0 : vt_slide_frame_size(image, i);
        if (encapsulated(image))
            size = vt_slide_item_size(size);
        if (!instance || (instance->frames > 0 && instance->pixel_bytes > limit - size))
            instance = add(plan, image, i, err);
        if (!instance)
            return false;
        instance->frames++;
        instance->pixel_bytes += size;
    }
    for (size_t i = begin; i < plan->count; i++) {
        plan->instances[i].part = (uint16_t)(i - begin + 1);
        plan->instances[i].parts = (uint16_t)(plan->count - begin);
    }
    return true;
}

static bool add_image(struct vt_slide_plan *plan, const struct vt_slide_image *image, uint64_t concat,
                      struct vt_err *err)
{
    uint64_t limit = encapsulated(image) ? UINT64_MAX / 2 : NATIVE_MAX;
    bool private_page = image->role == VT_SLIDE_LABEL || image->role == VT_SLIDE_OVERVIEW;

    if (plan->label != VT_LABEL_KEEP && private_page &&
        !(plan->label == VT_LABEL_MASK && image->role == VT_SLIDE_LABEL))
        return true;
    if (concat > 0 && image->role == VT_SLIDE_LEVEL && concat < limit && image->way != VT_SLIDE_REENCODED)
        limit = concat;
    return add_parts(plan, image, limit, err);
}

static bool name_instances(struct vt_slide_plan *plan, const struct vt_slide *slide, struct vt_err *err)
{
    char role[64];

    for (size_t i = 0; i < plan->count; i++) {
        struct vt_slide_instance *instance = &plan->instances[i];
        if (!instance->image)
            snprintf(role, sizeof role, "raw data");
        else
            snprintf(role, sizeof role, "image %d part %u of %u label %d",
                     (int)(instance->image - slide->images), instance->part, instance->parts,
                     instance->image->role == VT_SLIDE_LABEL ? (int)plan->label : 0);
        if (!vt_slide_uid(plan->fingerprint, role, instance->sop_uid, err))
            return false;
    }
    return true;
}

struct vt_slide_plan *vt_slide_plan_new(const struct vt_slide *slide, const uint8_t *fingerprint,
                                        const struct vt_slide_plan_options *options,
                                        struct vt_err *err)
{
    VT_AUTO(vt_slide_plan) plan = calloc(1, sizeof *plan);

    if (!plan) {
        vt_fail(err, VT_E_NOMEM, "no memory for a slide");
        return NULL;
    }
    memcpy(plan->fingerprint, fingerprint, VT_SLIDE_FINGERPRINT);
    if (options->metadata)
        plan->metadata = *options->metadata;
    plan->label = options->label;
    plan->original = !options->no_original && options->label == VT_LABEL_KEEP && !slide->sidecar_files;
    choose_moment(plan, slide);
    if (!make_uids(plan, err))
        return NULL;
    complete_metadata(plan, slide);
    for (size_t i = 0; i < slide->image_count; i++)
        if (!add_image(plan, &slide->images[i], options->concat_bytes, err))
            return NULL;
    if ((plan->original && !add(plan, NULL, 0, err)) || !name_instances(plan, slide, err))
        return NULL;
    return vt_take(&plan);
}

#include "cmd/verbs_export.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/vitrined_burn.h"
#include "cmd/vitrined_media.h"
#include "core/clock.h"
#include "core/err.h"
#include "media/export.h"

/* "700M", "25G", "4700000000": K, M and G are powers of 1024. */
static bool read_capacity(const char *text, uint64_t *out, struct vt_err *err)
{
    static const char units[] = "KMG";
    char *end = NULL;

    errno = 0;
    unsigned long long number = isdigit((unsigned char)text[0]) ? strtoull(text, &end, 10) : 0;
    const char *unit = end && *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    if (errno || !end || (*end && (!unit || end[1])) || number == 0 || number > (UINT64_MAX >> 1) >> shift)
        return vt_fail(err, VT_E_INVALID, "--capacity is a size such as 700M or 25G, not '%.20s'", text);
    *out = (uint64_t)number << shift;
    return true;
}

static const char *text(const json_t *options, const char *key)
{
    return json_string_value(json_object_get(options, key));
}

bool vt_export_read_options(const json_t *options, struct vt_export_call *out, struct vt_err *err)
{
    const char *capacity = text(options, "capacity");

    out->output = text(options, "output");
    out->profile = text(options, "profile");
    out->deidentify = text(options, "deidentify");
    out->patient_name = text(options, "patient-name");
    out->patient_id = text(options, "patient-id");
    out->viewer = text(options, "viewer");
    out->icons = json_is_true(json_object_get(options, "icons"));
    return !capacity || read_capacity(capacity, &out->capacity, err);
}

static bool export_now(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    char said[160];
    struct vt_export_result done = { 0 };
    struct vt_export_call export = {
        .archive = call->admin.archive,
        .words = call->args,
        .word_count = call->arg_count,
        .row = call->admin.row,
        .progress = call->admin.progress,
        .context = call->admin.context,
    };

    if (!vt_export_read_options(call->options, &export, err) || !vt_export(&export, &done, err))
        return false;
    snprintf(said, sizeof said, "%llu instances on %llu media, read back; %llu transcoded, %llu left out, %llu failed",
             (unsigned long long)done.instances, (unsigned long long)done.media, (unsigned long long)done.transcoded,
             (unsigned long long)done.left_out, (unsigned long long)done.failed);
    json_object_set_new(result, "text", json_string(said));
    json_object_set_new(result, "instances", json_integer((json_int_t)done.instances));
    json_object_set_new(result, "bytes", json_integer((json_int_t)done.bytes));
    json_object_set_new(result, "media", json_integer((json_int_t)done.media));
    json_object_set_new(result, "transcoded", json_integer((json_int_t)done.transcoded));
    json_object_set_new(result, "left_out", json_integer((json_int_t)done.left_out));
    json_object_set_new(result, "verified_ms", json_integer((json_int_t)(done.verified / VT_NS_PER_MS)));
    json_object_set_new(result, "failed", json_integer((json_int_t)done.failed));
    return true;
}

bool vt_verb_export(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    if (text(call->options, "burn"))
        return vt_burn_later(call, result, err);
    return json_is_true(json_object_get(call->options, "background")) ? vt_media_export_later(call, result, err)
                                                                      : export_now(call, result, err);
}

#include "cmd/verbs_export.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
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

static const char *text(const struct vt_admin_call *call, const char *key)
{
    return json_string_value(json_object_get(call->options, key));
}

bool vt_verb_export(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    const char *capacity = text(call, "capacity");
    struct vt_export_result done = { 0 };
    struct vt_export_call export = {
        .archive = call->admin.archive,
        .words = call->args,
        .word_count = call->arg_count,
        .output = text(call, "output"),
        .profile = text(call, "profile"),
        .deidentify = text(call, "deidentify"),
        .patient_name = text(call, "patient-name"),
        .patient_id = text(call, "patient-id"),
        .viewer = text(call, "viewer"),
        .icons = json_is_true(json_object_get(call->options, "icons")),
        .row = call->admin.row,
        .progress = call->admin.progress,
        .context = call->admin.context,
    };

    if ((capacity && !read_capacity(capacity, &export.capacity, err)) || !vt_export(&export, &done, err))
        return false;
    json_object_set_new(result, "instances", json_integer((json_int_t)done.instances));
    json_object_set_new(result, "bytes", json_integer((json_int_t)done.bytes));
    json_object_set_new(result, "media", json_integer((json_int_t)done.media));
    json_object_set_new(result, "transcoded", json_integer((json_int_t)done.transcoded));
    json_object_set_new(result, "left_out", json_integer((json_int_t)done.left_out));
    json_object_set_new(result, "failed", json_integer((json_int_t)done.failed));
    return true;
}

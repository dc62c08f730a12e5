#include "cmd/verbs_slide.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "core/err.h"
#include "media/slide_import.h"

/* ---- restore ---- */

struct found {
    char uid[VT_UID_MAX + 1];
    unsigned count;
};

static bool take(void *context, const char *raw_uid)
{
    struct found *found = context;

    snprintf(found->uid, sizeof found->uid, "%s", raw_uid);
    return ++found->count < 2;
}

static bool progress(void *context, uint64_t done, uint64_t total)
{
    const struct vt_admin_call *call = context;

    return !call->admin.progress || call->admin.progress(call->admin.context, done, total, "bytes");
}

static void put_sha256(json_t *object, const struct vt_slide_original *original)
{
    char text[2 * VT_SLIDE_SHA256 + 1];

    for (size_t i = 0; i < VT_SLIDE_SHA256; i++)
        snprintf(text + 2 * i, 3, "%02x", vt_slide_original_sha256(original)[i]);
    json_object_set_new(object, "sha256", json_string(text));
    json_object_set_new(object, "bytes", json_integer((json_int_t)vt_slide_original_size(original)));
    json_object_set_new(object, "name", json_string(vt_slide_original_name(original)));
}

bool vt_verb_slide_restore(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    const char *output = json_string_value(json_object_get(call->options, "output"));
    struct found found = { .count = 0 };
    char beside[PATH_MAX];
    bool there;

    if (!output || output[0] != '/')
        return vt_fail(err, VT_E_INVALID, "name the file to write: -o FILE");
    if (!vt_slide_originals(call->admin.archive, call->args, call->arg_count, take, &found, err))
        return false;
    if (found.count != 1)
        return vt_fail(err, found.count ? VT_E_INVALID : VT_E_NOTFOUND,
                       found.count ? "several slides match: see 'vitrine slide list'"
                                   : "no slide that can be given back matches");
    VT_AUTO(vt_slide_original) original = vt_slide_original_of(call->admin.archive, found.uid, err);
    if (!original || !vt_slide_original_save(original, output, progress, call, err))
        return false;
    json_object_set_new(result, "file", json_string(output));
    put_sha256(result, original);
    if (!vt_slide_beside_of(call->admin.archive, found.uid, output, beside, &there, err))
        return vt_fail_context(err, "%s is there, its annotations are not", output);
    if (there)
        json_object_set_new(result, "annotations", json_string(beside));
    return true;
}

/* ---- list ---- */

struct listing {
    struct vt_admin_call *call;
    bool stopped;
};

static bool list_one(void *context, const char *raw_uid)
{
    struct listing *listing = context;
    struct vt_err why = { 0 };
    VT_AUTO(vt_slide_original) original =
        vt_slide_original_of(listing->call->admin.archive, raw_uid, &why);
    json_t *row = json_object();

    json_object_set_new(row, "SOPInstanceUID", json_string(raw_uid));
    if (original)
        put_sha256(row, original);
    else
        json_object_set_new(row, "text", json_string(why.text));
    listing->stopped = !listing->call->admin.row(listing->call->admin.context, row);
    json_decref(row);
    return !listing->stopped;
}

bool vt_verb_slide_list(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    struct listing listing = { .call = call };

    (void)result;
    return vt_slide_originals(call->admin.archive, call->args, call->arg_count, list_one, &listing, err);
}

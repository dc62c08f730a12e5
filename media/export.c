#include "media/export.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <jansson.h>

#include "archive/archive.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/header.h"
#include "media/deidentify.h"
#include "media/export_inside.h"
#include "media/fileset.h"

static const struct vt_export_profile profiles[] = {
    { "STD-GEN-CD", { VT_UID_EXPLICIT_LE } },
    { "STD-GEN-DVD-RAM", { VT_UID_EXPLICIT_LE } },
    { "STD-GEN-DVD-JPEG", { VT_UID_EXPLICIT_LE, "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51" } },
    { "STD-GEN-DVD-J2K", { VT_UID_EXPLICIT_LE, "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91" } },
    { "STD-GEN-USB-JPEG", { VT_UID_EXPLICIT_LE, "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51" } },
    { "STD-GEN-USB-J2K", { VT_UID_EXPLICIT_LE, "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91" } },
};

const char *vt_export_profile_at(size_t i)
{
    return i < VT_COUNT(profiles) ? profiles[i].name : NULL;
}

/* ---- names ---- */

/* "/out/ct.iso" becomes "/out/ct-2.iso"; number 0: as it is. */
static bool name_medium(const char *output, size_t number, char *out, size_t room, struct vt_err *err)
{
    size_t stem = strlen(output) - (vt_medium_form_of(output) == VT_MEDIUM_FOLDER ? 0 : 4);
    int length = number ? snprintf(out, room, "%.*s-%zu%s", (int)stem, output, number, output + stem)
                        : snprintf(out, room, "%s", output);

    return length < (int)room || vt_fail(err, VT_E_INVALID, "'%.60s...' is too long for a path", output);
}

bool vt_export_name(const struct vt_export_call *call, size_t i, size_t media, char *out, size_t room, struct vt_err *err)
{
    return name_medium(call->output, media > 1 ? i + 1 : 0, out, room, err);
}

/* ---- a medium ---- */

static bool put_readme(const struct vt_exporting *exporting, struct vt_medium *medium, struct vt_err *err)
{
    VT_AUTO_BUF(text, 4096);

    return vt_buf_append_text(&text,
                              "This medium holds medical images as a DICOM file-set.\r\n"
                              "The file DICOMDIR names them; open it with a DICOM viewer.\r\n"
                              "SHA256.TXT has a checksum of every file.\r\n",
                              err) &&
           (!exporting->deid ||
            vt_buf_append_text(&text, "The patient's identity was removed (DICOM PS3.15 Annex E).\r\n", err)) &&
           (!exporting->call->viewer || vt_buf_append_text(&text, "A viewer is in the folder VIEWER.\r\n", err)) &&
           vt_medium_put(medium, "README.TXT", text.data, text.size, err);
}

static bool open_medium(struct vt_exporting *exporting, struct vt_err *err)
{
    const struct vt_export_call *call = exporting->call;
    unsigned flags = (call->viewer ? VT_MEDIUM_LONG_NAMES : 0u) | (call->again ? VT_MEDIUM_AGAIN : 0u);
    char name[PATH_MAX];

    if (exporting->media_count == VT_EXPORT_MEDIA_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d media", VT_EXPORT_MEDIA_MAX);
    if (!name_medium(call->output, exporting->media_count + 1, name, sizeof name, err))
        return false;
    if (!(exporting->directory = vt_directory_new()))
        return vt_fail(err, VT_E_NOMEM, "no memory for a DICOMDIR");
    struct vt_medium *medium = vt_medium_new(name, exporting->form, flags, err);
    if (!medium)
        return false;
    exporting->media[exporting->media_count++] = medium;
    exporting->used = VT_EXPORT_MEDIUM_OVERHEAD + exporting->viewer_bytes;
    return put_readme(exporting, medium, err) &&
           (!call->viewer || vt_export_viewer_copy(call->viewer, medium, exporting->block, err));
}

static bool close_medium(struct vt_exporting *exporting, struct vt_err *err)
{
    VT_AUTO_BUF(directory, VT_DIRECTORY_BYTES_MAX);
    VT_AUTO_BUF(sums, VT_DIRECTORY_BYTES_MAX);
    struct vt_medium *medium = exporting->media_count ? exporting->media[exporting->media_count - 1] : NULL;

    if (!medium || !exporting->directory)
        return true;
    bool ok = vt_directory_write(exporting->directory, &directory, err);
    VT_AUTO(vt_fileset) again = ok ? vt_fileset_read(directory.data, directory.size, err) : NULL;
    if (again && again->count != exporting->counts[exporting->media_count - 1])
        return vt_fail(err, VT_E_INTERNAL, "the DICOMDIR names %zu files instead of %llu", again->count,
                       (unsigned long long)exporting->counts[exporting->media_count - 1]);
    ok = again && vt_medium_put(medium, "DICOMDIR", directory.data, directory.size, err) &&
         vt_medium_sums(medium, &sums, err) && vt_medium_put(medium, "SHA256.TXT", sums.data, sums.size, err) &&
         vt_medium_close(medium, err);
    exporting->result.verified += vt_medium_verified(medium);
    vt_directory_free(exporting->directory);
    exporting->directory = NULL;
    return ok;
}

bool vt_export_make_room(struct vt_exporting *exporting, uint64_t size, struct vt_err *err)
{
    uint64_t need = (size + VT_EXPORT_SECTOR - 1) / VT_EXPORT_SECTOR * VT_EXPORT_SECTOR + VT_EXPORT_RECORD_OVERHEAD;
    uint64_t capacity = exporting->call->capacity;

    need += exporting->call->icons ? VT_EXPORT_ICON_OVERHEAD : 0;
    if (capacity && exporting->directory && exporting->used + need > capacity && !close_medium(exporting, err))
        return false;
    if (!exporting->directory && !open_medium(exporting, err))
        return false;
    exporting->used += need;
    return true;
}

/* ---- the instances ---- */

struct totals {
    uint64_t instances, bytes;
};

static bool take_one(struct vt_exporting *exporting, const struct vt_index_entry *entry, struct vt_err *err)
{
    struct vt_err why = { 0 };
    bool fatal = false, left = false;

    if (vt_export_instance(exporting, entry, &fatal, &left, &why))
        return true;
    if (fatal || why.code == VT_E_NOMEM || why.code == VT_E_CANCELLED) {
        *err = why;
        return false;
    }
    if (left)
        exporting->result.left_out++;
    else
        exporting->result.failed++;
    return vt_export_say(exporting, left ? "left-out" : "failed", entry->sop_uid, why.text, err);
}

static bool write_all(struct vt_exporting *exporting, struct vt_cursor *cursor, const struct totals *totals, struct vt_err *err)
{
    const struct vt_export_call *call = exporting->call;
    const struct vt_export_result *result = &exporting->result;
    struct vt_index_entry entry;
    uint64_t bytes = 0;
    bool more, ok;

    while ((ok = vt_cursor_select_next(cursor, &entry, &more, err)) && more) {
        if (!take_one(exporting, &entry, err))
            return false;
        bytes += entry.data_set_size;
        uint64_t done = result->instances + result->failed + result->left_out;
        if (call->progress && !call->progress(call->context, done, totals->instances, "instances"))
            return vt_fail(err, VT_E_CANCELLED, "the export was stopped");
        if (call->sizes)
            call->sizes(call->context, bytes, totals->bytes);
    }
    return ok && close_medium(exporting, err);
}

/* ---- the export ---- */

static bool publish(struct vt_exporting *exporting, struct vt_err *err)
{
    const struct vt_export_call *call = exporting->call;
    char name[PATH_MAX];

    if (call->written && !call->written(call->context, exporting->media_count, err))
        return false;
    for (size_t i = 0; i < exporting->media_count; i++) {
        if (!vt_export_name(call, i, exporting->media_count, name, sizeof name, err) ||
            !vt_medium_publish(exporting->media[i], name, err))
            return false;
        json_t *row = json_pack("{s:s, s:s%, s:I}", "result", "written", "medium", name, strlen(name), "instances",
                                (json_int_t)exporting->counts[i]);
        if (row)
            call->row(call->context, row);
        json_decref(row);
        exporting->result.media++;
    }
    return true;
}

bool vt_export_publish(const struct vt_export_call *call, size_t media, struct vt_err *err)
{
    char name[PATH_MAX], target[PATH_MAX];

    for (size_t i = 0; i < media; i++)
        if (!vt_export_name(call, i, media, name, sizeof name, err) ||
            !name_medium(call->output, i + 1, target, sizeof target, err) || !vt_medium_publish_left(target, name, err))
            return false;
    return true;
}

static bool add_up(const struct vt_export_call *call, const struct vt_plan *plan, struct totals *out, struct vt_err *err)
{
    VT_AUTO(vt_cursor) cursor = vt_index_select(vt_archive_index(call->archive), plan, err);
    struct vt_index_entry entry;
    bool more, ok = cursor != NULL;

    *out = (struct totals){ 0 };
    while (ok && (ok = vt_cursor_select_next(cursor, &entry, &more, err)) && more) {
        out->instances++;
        out->bytes += entry.data_set_size;
    }
    return ok;
}

static bool run(struct vt_exporting *exporting, struct vt_err *err)
{
    const struct vt_export_call *call = exporting->call;
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE };
    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_IMAGE, call->words, call->word_count, &rules, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    struct totals totals;
    bool ok = plan && add_up(call, plan, &totals, err);
    exporting->result.matched = ok ? totals.instances : 0;
    VT_AUTO(vt_cursor) cursor = ok ? vt_index_select(vt_archive_index(call->archive), plan, err) : NULL;

    if (!cursor || !write_all(exporting, cursor, &totals, err))
        return false;
    if (exporting->result.instances == 0)
        return exporting->result.failed + exporting->result.left_out > 0 ||
               vt_fail(err, VT_E_NOTFOUND, "nothing matches: nothing was written");
    return publish(exporting, err);
}

static bool check(struct vt_exporting *exporting, struct vt_err *err)
{
    const struct vt_export_call *call = exporting->call;
    const char *name = call->profile ? call->profile : profiles[0].name;
    const struct vt_deid_words words = { call->deidentify, call->patient_name, call->patient_id, NULL };

    if (!call->output || call->output[0] != '/' || strlen(strrchr(call->output, '/')) < 2)
        return vt_fail(err, VT_E_INVALID, "name what to write: -o FOLDER, FILE.iso or FILE.zip");
    if (call->capacity && call->capacity < VT_EXPORT_CAPACITY_MIN)
        return vt_fail(err, VT_E_INVALID, "--capacity is %d bytes at least", VT_EXPORT_CAPACITY_MIN);
    for (size_t i = 0; i < VT_COUNT(profiles); i++)
        if (strcasecmp(profiles[i].name, name) == 0)
            exporting->profile = &profiles[i];
    if (!exporting->profile)
        return vt_fail(err, VT_E_INVALID, "'%.40s' is no profile that is written here: STD-GEN-CD, STD-GEN-USB-JPEG ...", name);
    if (!call->deidentify && (call->patient_name || call->patient_id))
        return vt_fail(err, VT_E_INVALID, "--patient-name and --patient-id need --deidentify");
    if (call->deidentify && !(exporting->deid = vt_deid_new(&words, err)))
        return false;
    if (call->viewer && !vt_export_viewer_size(call->viewer, &exporting->viewer_bytes, err))
        return false;
    if (access(call->output, F_OK) == 0)
        return vt_fail(err, VT_E_EXISTS, "%s is there already", call->output);
    exporting->form = vt_medium_form_of(call->output);
    return true;
}

bool vt_export_check(const struct vt_export_call *call, struct vt_err *err)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE };
    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_IMAGE, call->words, call->word_count, &rules, err);
    vt_autofree struct vt_exporting *exporting = query ? calloc(1, sizeof *exporting) : NULL;

    if (query && !exporting)
        return vt_fail(err, VT_E_NOMEM, "no memory for an export");
    if (!exporting)
        return false;
    exporting->call = call;
    bool ok = check(exporting, err);
    vt_deid_free(exporting->deid);
    return ok;
}

void vt_export_sweep(const struct vt_export_call *call)
{
    char name[PATH_MAX];
    struct vt_err ignored = { 0 };

    for (size_t i = 1; i <= VT_EXPORT_MEDIA_MAX; i++)
        if (!name_medium(call->output, i, name, sizeof name, &ignored) || !vt_medium_sweep(name))
            return;
}

static void fini(struct vt_exporting *exporting)
{
    for (size_t i = 0; i < exporting->media_count; i++)
        vt_medium_free(exporting->media[i]);
    vt_directory_free(exporting->directory);
    vt_transcoded_fini(&exporting->other);
    vt_deid_free(exporting->deid);
    vt_buf_fini(&exporting->attributes);
    vt_buf_fini(&exporting->clean);
    vt_buf_fini(&exporting->frame);
    vt_buf_fini(&exporting->icon);
}

bool vt_export(const struct vt_export_call *call, struct vt_export_result *out, struct vt_err *err)
{
    vt_autofree struct vt_exporting *exporting = calloc(1, sizeof *exporting);
    vt_autofree uint8_t *block = malloc(VT_EXPORT_BLOCK);
    VT_AUTO(vt_header) header = vt_header_new();

    if (!exporting || !block || !header)
        return vt_fail(err, VT_E_NOMEM, "no memory for an export");
    exporting->call = call;
    exporting->block = block;
    exporting->header = header;
    vt_transcoded_init(&exporting->other);
    vt_buf_init(&exporting->attributes, VT_DEID_HEADER_MAX + 1);
    vt_buf_init(&exporting->clean, 2 * (size_t)VT_DEID_HEADER_MAX);
    vt_buf_init(&exporting->frame, VT_EXPORT_FRAME_MAX);
    vt_buf_init(&exporting->icon, VT_DIRECTORY_ICON * VT_DIRECTORY_ICON);
    bool ok = check(exporting, err);
    if (ok && call->again)
        vt_export_sweep(call);
    ok = ok && run(exporting, err);
    fini(exporting);
    *out = exporting->result;
    return ok;
}

#include "media/slide_import.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "archive/archive.h"
#include "archive/index.h"
#include "core/err.h"
#include "media/slide_beside.h"
#include "media/slide_residue.h"

/* One receiver for each instance, so that all are written before the first is committed. */
struct importing {
    struct vt_archive *archive;
    struct vt_receive *receivers[VT_SLIDE_IMPORT_INSTANCES_MAX];
    size_t count;
    char folder[PATH_MAX];
};

static void importing_free(struct importing *importing)
{
    if (!importing)
        return;
    for (size_t i = 0; i < importing->count; i++)
        vt_receive_free(importing->receivers[i]);
    free(importing);
}
VT_DEFINE_AUTO(importing)

/* ---- the target ---- */

static bool begin(void *context, const struct vt_slide_arrival *arrival, struct vt_err *err)
{
    struct importing *importing = context;
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(arrival->transfer_syntax);
    const struct vt_receive_from from = {
        .sop_class_uid = arrival->sop_class,
        .sop_instance_uid = arrival->sop_uid,
        .transfer_syntax_uid = arrival->transfer_syntax,
        .encoding = VT_EXPLICIT_LE,
        .encapsulated = syntax && syntax->encapsulated,
        .host = "import",
        .read_soon = true,      /* by the proof */
    };

    if (importing->count == VT_SLIDE_IMPORT_INSTANCES_MAX)
        return vt_fail(err, VT_E_LIMIT, "the slide would become more than %d instances: choose larger parts",
                       VT_SLIDE_IMPORT_INSTANCES_MAX);
    struct vt_receive *receive = vt_receive_new(importing->archive, err);
    if (!receive)
        return false;
    importing->receivers[importing->count++] = receive;
    return vt_receive_begin(receive, &from, err);
}

static bool write_bytes(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct importing *importing = context;

    return vt_receive_write(importing->receivers[importing->count - 1], bytes, size, err);
}

static bool end(void *context, struct vt_err *err)
{
    (void)context;
    (void)err;
    return true;
}

static bool count(struct vt_slide_tally *tally, const struct vt_receive_result *result, struct vt_err *err)
{
    switch (result->decision) {
    case VT_DECISION_STORED:
        tally->stored++;
        return true;
    case VT_DECISION_DUPLICATE:
        tally->duplicates++;
        return true;
    case VT_DECISION_VERSION:
        tally->versions++;
        return true;
    case VT_DECISION_QUARANTINED:
        tally->quarantined++;
        return true;
    default:
        return vt_fail_dimse(err, VT_E_REFUSED, result->status, "the archive refuses instance %s: %s",
                             result->sop_uid, result->comment);
    }
}

static bool settle(void *context, struct vt_slide_tally *out, struct vt_err *err)
{
    struct importing *importing = context;
    struct vt_receive_result result;

    for (size_t i = 0; i < importing->count; i++) {
        if (!vt_receive_commit(importing->receivers[i], &result, err) || !count(out, &result, err))
            return false;
        vt_receive_rest(importing->receivers[i]);
    }
    return true;
}

static bool open_instance(void *context, const char *sop_uid, struct vt_slide_part *out, struct vt_err *err)
{
    struct vt_archive *archive = context;
    struct vt_index_entry entry;
    struct vt_stored stored;
    bool found;

    if (!vt_index_lookup(vt_archive_index(archive), sop_uid, &entry, &found, err))
        return false;
    if (!found)
        return vt_fail(err, VT_E_NOTFOUND, "instance %s is not in the archive", sop_uid);
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(entry.transfer_syntax);
    if (!syntax || (syntax->encoding != VT_EXPLICIT_LE && syntax->encoding != VT_IMPLICIT_LE))
        return vt_fail(err, VT_E_UNSUPPORTED, "instance %s is in transfer syntax %s", sop_uid,
                       entry.transfer_syntax);
    if (!vt_archive_open_instance(archive, &entry, &stored, err))
        return false;
    *out = (struct vt_slide_part){ .fd = stored.fd,
                                   .offset = stored.data_set_offset,
                                   .size = stored.data_set_size,
                                   .encoding = syntax->encoding };
    snprintf(out->name, sizeof out->name, "%s", sop_uid);
    return true;
}

bool vt_slide_import(struct vt_archive *archive, const char *path, const struct vt_slide_options *reading,
                     const struct vt_slide_convert_options *options, struct vt_slide_result *out,
                     struct vt_err *err)
{
    VT_AUTO(vt_slide) slide = vt_slide_open(path, reading, err);
    VT_AUTO(importing) importing = slide ? calloc(1, sizeof *importing) : NULL;

    if (!slide)
        return false;
    if (!importing)
        return vt_fail(err, VT_E_NOMEM, "no memory to import");
    importing->archive = archive;
    snprintf(importing->folder, sizeof importing->folder, "%s/staging", vt_archive_path(archive));
    const struct vt_slide_target target = { .folder = importing->folder,
                                            .begin = begin,
                                            .write = write_bytes,
                                            .end = end,
                                            .settle = settle,
                                            .finder = { open_instance, archive },
                                            .context = importing };
    return vt_slide_convert(slide, options, &target, out, err);
}

/* ---- beside the slide ---- */

bool vt_slide_sidecar(const char *path, char *out, size_t room)
{
    static const char *const suffixes[] = { ".json", ".csv" };
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash : path, '.');
    int stem = dot ? (int)(dot - path) : (int)strlen(path);

    for (size_t i = 0; i < VT_COUNT(suffixes); i++)
        if ((size_t)snprintf(out, room, "%.*s%s", stem, path, suffixes[i]) < room &&
            access(out, R_OK) == 0)
            return true;
    int folder = slash ? (int)(slash - path) + 1 : 0;
    return (size_t)snprintf(out, room, "%.*sslides.csv", folder, path) < room && access(out, R_OK) == 0;
}

/* ---- out of the archive ---- */

struct vt_slide_original *vt_slide_original_of(struct vt_archive *archive, const char *raw_uid,
                                               struct vt_err *err)
{
    const struct vt_slide_finder finder = { open_instance, archive };
    struct vt_slide_part raw = { .fd = -1 };

    if (!open_instance(archive, raw_uid, &raw, err))
        return NULL;
    return vt_slide_original_open(&raw, &finder, err);
}

/* Does that instance have such an element? Raw Data of others has not. */
static bool holds(struct vt_archive *archive, const char *sop_uid, uint32_t tag, bool *out_holds, struct vt_err *err)
{
    struct vt_slide_part raw = { .fd = -1 };
    struct vt_slide_value value;

    if (!open_instance(archive, sop_uid, &raw, err))
        return false;
    bool ok = vt_slide_part_find(&raw, tag, &value, out_holds, err);
    vt_slide_part_close(&raw);
    return ok;
}

/* Calls back with the Raw Data instances that have the element. */
static bool each_raw(struct vt_archive *archive, const char *const words[], size_t word_count, uint32_t tag,
                     bool (*found)(void *context, const struct vt_index_entry *entry), void *context,
                     struct vt_err *err)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE };
    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_IMAGE, words, word_count, &rules, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    VT_AUTO(vt_cursor) cursor = plan ? vt_index_select(vt_archive_index(archive), plan, err) : NULL;
    struct vt_index_entry entry;
    bool more, there;

    if (!cursor)
        return false;
    while (vt_cursor_select_next(cursor, &entry, &more, err)) {
        if (!more)
            return true;
        if (strcmp(entry.sop_class, VT_UID_RAW_DATA) != 0)
            continue;
        if (!holds(archive, entry.sop_uid, tag, &there, err))
            return false;
        if (there && !found(context, &entry))
            return true;
    }
    return false;
}

struct originals {
    bool (*found)(void *context, const char *raw_uid);
    void *context;
};

static bool found_original(void *context, const struct vt_index_entry *entry)
{
    const struct originals *originals = context;

    return originals->found(originals->context, entry->sop_uid);
}

bool vt_slide_originals(struct vt_archive *archive, const char *const words[], size_t word_count,
                        bool (*found)(void *context, const char *raw_uid), void *context,
                        struct vt_err *err)
{
    struct originals originals = { found, context };

    return each_raw(archive, words, word_count, VT_TAG_RESIDUE, found_original, &originals, err);
}

/* ---- what lay beside ---- */

static bool keep_newest(void *context, const struct vt_index_entry *entry)
{
    struct vt_index_entry *newest = context;

    if (!newest->sop_uid[0] || entry->arrived > newest->arrived)
        *newest = *entry;
    return true;
}

bool vt_slide_beside_of(struct vt_archive *archive, const char *raw_uid, const char *slide_path,
                        char out_path[static PATH_MAX], bool *out_there, struct vt_err *err)
{
    struct vt_index_entry raw, newest = { .arrived = 0 };
    struct vt_slide_part part = { .fd = -1 };
    char series[sizeof "SeriesInstanceUID=" + VT_UID_MAX];
    const char *const words[] = { series };

    *out_there = false;
    if (!vt_index_lookup(vt_archive_index(archive), raw_uid, &raw, out_there, err) || !*out_there)
        return !vt_failed(err);
    *out_there = false;
    snprintf(series, sizeof series, "SeriesInstanceUID=%s", raw.series_uid);
    if (!each_raw(archive, words, 1, VT_TAG_BESIDE, keep_newest, &newest, err))
        return false;
    if (!newest.sop_uid[0])
        return true;
    if (!open_instance(archive, newest.sop_uid, &part, err))
        return false;
    bool ok = vt_slide_beside_save(&part, slide_path, out_path, out_there, err);
    vt_slide_part_close(&part);
    return ok;
}

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "archive/admin_rows.h"
#include "archive/commitment.h"
#include "archive/copies.h"
#include "archive/hold.h"
#include "archive/inside.h"
#include "archive/volume.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"
#include "dicom/element.h"

enum { VALUE_MAX = 1024 };

/* ---- list, show ---- */

static void set_text(json_t *row, const struct vt_bytes *attributes, uint32_t tag)
{
    struct vt_element element;
    char text[VALUE_MAX] = "";

    if (vt_element_find(attributes->data, attributes->size, VT_EXPLICIT_LE, tag, &element))
        vt_element_text(&element, text, sizeof text);
    json_t *value = json_string(text);
    /* Cut in the middle of a character. */
    for (size_t length = strlen(text); !value && length > 0; value = json_string(text))
        text[--length] = '\0';
    json_object_set_new(row, vt_dict_keyword(tag), value);
}

static bool add_size(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    (void)err;
    *(uint64_t *)context += entry->file_size;
    return true;
}

/* Of the files that are served. A study that is deleted at this moment has none. */
static bool study_bytes(const struct vt_admin *admin, const char *study_uid, uint64_t *out,
                        struct vt_err *err)
{
    *out = 0;
    if (vt_admin_each_of_study(admin->archive, study_uid, add_size, out, err))
        return true;
    if (err->code != VT_E_NOTFOUND)
        return false;
    vt_err_clear(err);
    return true;
}

static bool send_study(const struct vt_admin *admin, const struct vt_row *found, struct vt_err *err)
{
    uint64_t bytes;

    if (!study_bytes(admin, found->study_uid, &bytes, err))
        return false;
    static const uint32_t patient[] = { VT_TAG_PATIENT_ID, VT_TAG_ISSUER_OF_PATIENT_ID,
                                        VT_TAG_PATIENT_NAME, VT_TAG_PATIENT_BIRTH_DATE,
                                        VT_TAG_PATIENT_SEX };
    static const uint32_t study[] = { VT_TAG_STUDY_DATE, VT_TAG_STUDY_TIME, VT_TAG_ACCESSION_NUMBER,
                                      VT_TAG_STUDY_ID, VT_TAG_STUDY_DESCRIPTION };
    json_t *row = json_pack("{s:s, s:s, s:I, s:I, s:I}", "StudyInstanceUID", found->study_uid,
                            "ModalitiesInStudy", found->modalities ? found->modalities : "",
                            "NumberOfStudyRelatedSeries", (json_int_t)found->study_series,
                            "NumberOfStudyRelatedInstances", (json_int_t)found->study_instances,
                            "bytes", (json_int_t)bytes);

    for (size_t i = 0; row && i < VT_COUNT(patient); i++)
        set_text(row, &found->attributes[VT_LEVEL_PATIENT], patient[i]);
    for (size_t i = 0; row && i < VT_COUNT(study); i++)
        set_text(row, &found->attributes[VT_LEVEL_STUDY], study[i]);
    return vt_admin_send(admin, row, err);
}

bool vt_admin_study_list(const struct vt_admin *admin, const struct vt_query *query,
                         struct vt_err *err)
{
    static const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT, .relational = true };
    const char *words[] = { "StudyInstanceUID", "ModalitiesInStudy", "NumberOfStudyRelatedSeries",
                            "NumberOfStudyRelatedInstances" };
    VT_AUTO(vt_query)
    all = query ? NULL : vt_query_from_words(VT_LEVEL_STUDY, words, VT_COUNT(words), &rules, err);
    if (!query && !all)
        return false;
    VT_AUTO(vt_plan) plan = vt_plan_make(query ? query : all, err);
    VT_AUTO(vt_cursor)
    cursor = plan ? vt_index_find(vt_archive_index(admin->archive), plan, err) : NULL;
    struct vt_row row;
    bool more = cursor != NULL;

    while (more) {
        if (!vt_cursor_next(cursor, &row, &more, err))
            return false;
        if (more && row.study_uid && !send_study(admin, &row, err))
            return false;
    }
    return cursor != NULL;
}

static bool send_instance(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    char digest[33], pixels[33], arrived[VT_CLOCK_TEXT_MAX];

    vt_admin_hex(&entry->data_set_digest, digest);
    vt_admin_hex(&entry->pixel_digest, pixels);
    vt_clock_text(entry->arrived, arrived);
    return vt_admin_send(context,
                         json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:s}",
                                   "SeriesInstanceUID", entry->series_uid, "SOPInstanceUID",
                                   entry->sop_uid, "SOPClassUID", entry->sop_class,
                                   "TransferSyntaxUID", entry->transfer_syntax, "file", entry->file,
                                   "size", (json_int_t)entry->file_size, "version",
                                   (json_int_t)entry->version, "digest", digest, "pixel_digest",
                                   pixels, "arrived", arrived),
                         err);
}

bool vt_admin_study_show(const struct vt_admin *admin, const char *study_uid, struct vt_err *err)
{
    struct vt_admin copy = *admin;

    return vt_admin_each_of_study(admin->archive, study_uid, send_instance, &copy, err);
}

/* ---- delete ---- */

struct deleting {
    const struct vt_admin_part *part;
    struct vt_moves moves;
    bool more; /* of the study than what is deleted */
};

static bool is_of_part(const struct vt_admin_part *part, const struct vt_index_entry *entry)
{
    return !part->series_uid || (strcmp(part->series_uid, entry->series_uid) == 0 &&
                                 (!part->sop_uid || strcmp(part->sop_uid, entry->sop_uid) == 0));
}

static bool collect_delete(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    struct deleting *deleting = context;

    if (!is_of_part(deleting->part, entry)) {
        deleting->more = true;
        return true;
    }
    return vt_moves_add(&deleting->moves, entry->sop_uid, entry->version, entry->file, NULL,
                        entry->file_size, VT_MOVE_REMOVE, err);
}

/* Does the version belong to what goes? Its file is not one of those that are served. */
static bool is_wanted(const struct deleting *deleting, size_t served, const char *sop_uid,
                      const char *file)
{
    const struct vt_move *moves = deleting->moves.items;
    bool of_part = !deleting->part->series_uid;

    for (size_t i = 0; i < served; i++) {
        if (strcmp(moves[i].from_file, file) == 0)
            return false;
        of_part = of_part || strcmp(moves[i].sop_uid, sop_uid) == 0;
    }
    return of_part;
}

/* Files of versions that are not served: the moves hold those that are. */
static bool collect_versions(struct vt_archive *archive, struct deleting *deleting,
                             struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "SELECT sop_uid, version, file, size FROM version WHERE study_uid = ?", err);
    size_t served = deleting->moves.count;
    bool row = false, ok = stmt && vt_stmt_bind(db, stmt, err, "t", deleting->part->study_uid);

    while (ok && (ok = vt_stmt_step(db, stmt, &row, err)) && row) {
        const char *sop_uid = (const char *)sqlite3_column_text(stmt, 0);
        const char *file = (const char *)sqlite3_column_text(stmt, 2);
        if (is_wanted(deleting, served, sop_uid, file))
            ok = vt_moves_add(&deleting->moves, sop_uid, (uint32_t)sqlite3_column_int64(stmt, 1),
                              file, NULL, (uint64_t)sqlite3_column_int64(stmt, 3), VT_MOVE_FILE,
                              err);
    }
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

static bool collect(const struct vt_admin *admin, struct deleting *deleting, struct vt_err *err)
{
    const struct vt_admin_part *part = deleting->part;

    return vt_admin_each_of_study(admin->archive, part->study_uid, collect_delete, deleting, err) &&
           (deleting->moves.count > 0 ||
            vt_fail(err, VT_E_NOTFOUND, "study %s has no %s %s", part->study_uid,
                    part->sop_uid ? "such series with instance" : "series",
                    part->sop_uid ? part->sop_uid : part->series_uid)) &&
           collect_versions(admin->archive, deleting, err);
}

/* What was promised to a peer goes only when the administrator says so. */
/* A rule relies on another archive: it must have every instance with the content that goes. */
static bool is_elsewhere(const struct vt_admin *admin, const struct vt_move *move, struct vt_err *err)
{
    struct vt_index_entry entry;
    bool found = false, committed = false;

    if (!vt_index_lookup(vt_archive_index(admin->archive), move->sop_uid, &entry, &found, err) ||
        (found && !vt_commitment_elsewhere(admin->archive, &entry, admin->elsewhere, &committed, err)))
        return false;
    return (committed && strcmp(entry.file, move->from_file) == 0) ||
           vt_fail(err, VT_E_DENIED, "%s did not commit to instance %s as it is here",
                   admin->elsewhere, move->sop_uid);
}

static bool may_delete(const struct vt_admin *admin, const char *study_uid,
                       const struct vt_moves *moves, struct vt_err *err)
{
    uint64_t held = 0;
    bool study_held = false;

    if (!vt_hold_is(admin->archive, study_uid, &study_held, err))
        return false;
    if (study_held)
        return vt_fail(err, VT_E_DENIED,
                       "study %s is held ('vitrine study holds'): 'vitrine study release' ends that",
                       study_uid);

    for (size_t i = 0; i < moves->count && admin->elsewhere; i++)
        if (!is_elsewhere(admin, &moves->items[i], err))
            return false;
    for (size_t i = 0; i < moves->count && !admin->committed; i++) {
        bool holds = false;
        if (!vt_commitment_holds(admin->archive, moves->items[i].sop_uid, moves->items[i].version,
                                 &holds, err))
            return false;
        held += holds;
    }
    return held == 0 ||
           vt_fail(err, VT_E_DENIED,
                   "%" PRIu64 " instances of this study were committed to others "
                   "('vitrine commitment list'): --committed deletes them all the same",
                   held);
}

/* The trash is in the archive's own folder: what lies on other volumes comes back first, while others
 * go on. What cannot be read is left for the operation. */
static bool bring_home(const struct vt_admin *admin, const char *study_uid, struct vt_err *err)
{
    const struct vt_admin silent = { .archive = admin->archive, .who = admin->who };
    struct vt_volume_moved moved = { 0 };

    return vt_admin_volume_move_study(&silent, study_uid, VT_VOLUME_MAIN, &moved, err);
}

static bool tell_deleted(const struct vt_admin *admin, const struct deleting *deleting,
                         const char *reason, struct vt_err *err)
{
    struct vt_archive *archive = admin->archive;
    const struct vt_admin_part *part = deleting->part;
    const char *action = part->sop_uid      ? "instance.delete"
                         : part->series_uid ? "series.delete"
                                            : "study.delete";
    const char *subject = part->sop_uid      ? part->sop_uid
                          : part->series_uid ? part->series_uid
                                             : part->study_uid;

    if (!vt_state_log(archive->state, admin->who, action, subject, reason, err))
        return false;
    vt_events_publish(archive->options.events, deleting->more ? "study.reduced" : "study.deleted",
                      part->study_uid, NULL);
    /* It is deleted: copies that stay are swept by the next rule. */
    struct vt_err later = { 0 };
    vt_copies_sweep(archive, part->study_uid, &later);
    return true;
}

bool vt_admin_part_delete(const struct vt_admin *admin, const struct vt_admin_part *part,
                          const char *reason, int64_t *out_trash_id, uint64_t *out_instances,
                          struct vt_err *err)
{
    struct vt_archive *archive = admin->archive;
    const struct vt_file_operation operation = {
        .kind = "delete",
        .subject = part->study_uid,
        .part = part->sop_uid ? part->sop_uid : part->series_uid,
        .who = admin->who,
        .reason = reason,
        .trash = true
    };
    struct deleting deleting = { .part = part };

    if (!bring_home(admin, part->study_uid, err) || !vt_exclusive_begin(archive, err))
        return false;
    bool ok = collect(admin, &deleting, err) &&
              may_delete(admin, part->study_uid, &deleting.moves, err) &&
              vt_moves_run(archive, &deleting.moves, &operation, out_trash_id, out_instances, err);
    vt_exclusive_end(archive);
    vt_moves_fini(&deleting.moves);
    if (ok && admin->committed)
        ok = vt_commitment_lift(archive, *out_trash_id, true, err);
    return ok && tell_deleted(admin, &deleting, reason, err);
}

bool vt_admin_study_delete(const struct vt_admin *admin, const char *study_uid, const char *reason,
                           int64_t *out_trash_id, uint64_t *out_instances, struct vt_err *err)
{
    const struct vt_admin_part whole = { .study_uid = study_uid };

    return vt_admin_part_delete(admin, &whole, reason, out_trash_id, out_instances, err);
}

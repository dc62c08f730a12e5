/* The active merges and corrections, and what they make of arrivals. */
#include "archive/patient.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "archive/attributes.h"
#include "archive/inside.h"
#include "archive/patient_inside.h"
#include "core/err.h"
#include "dicom/tags.h"

struct vt_patients {
    pthread_rwlock_t lock;
    struct vt_patient_action *items; /* guarded by lock; in order of their numbers */
    size_t count;                    /* guarded by lock */
    atomic_bool some;                /* count > 0, for a look without the lock */
};

static void items_free(struct vt_patient_action *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(items[i].attributes);
    free(items);
}

void vt_patients_free(struct vt_patients *patients)
{
    if (!patients)
        return;
    items_free(patients->items, patients->count);
    pthread_rwlock_destroy(&patients->lock);
    free(patients);
}

/* ---- reading state.db ---- */

static void copy_text(char *out, size_t room, struct sqlite3_stmt *stmt, int i)
{
    const char *text = (const char *)sqlite3_column_text(stmt, i);
    size_t size = text ? strlen(text) : 0;

    size = size < room ? size : room - 1;
    memcpy(out, text ? text : "", size);
    out[size] = '\0';
}

static bool read_action(struct sqlite3_stmt *stmt, struct vt_patient_action *out,
                        struct vt_err *err)
{
    memset(out, 0, sizeof *out);
    out->number = sqlite3_column_int64(stmt, 0);
    out->at = sqlite3_column_int64(stmt, 1);
    copy_text(out->study_uid, sizeof out->study_uid, stmt, 2);
    copy_text(out->from.id, sizeof out->from.id, stmt, 3);
    copy_text(out->from.issuer, sizeof out->from.issuer, stmt, 4);
    copy_text(out->to.id, sizeof out->to.id, stmt, 5);
    copy_text(out->to.issuer, sizeof out->to.issuer, stmt, 6);
    copy_text(out->reason, sizeof out->reason, stmt, 8);
    out->size = (size_t)sqlite3_column_bytes(stmt, 7);
    out->attributes = malloc(out->size + 1);
    if (!out->attributes)
        return vt_fail(err, VT_E_NOMEM, "no memory for patient merges");
    if (out->size > 0)
        memcpy(out->attributes, sqlite3_column_blob(stmt, 7), out->size);
    return true;
}

static bool load(struct vt_db *db, struct vt_patient_action **out_items, size_t *out_count,
                 struct vt_err *err)
{
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "SELECT id, at, study_uid, from_id, from_issuer, to_id, to_issuer, "
                      "attributes, reason FROM patient_action"
                      " WHERE undone=0 ORDER BY id",
                      err);
    struct vt_patient_action *items = NULL;
    size_t count = 0, room = 0;
    bool row = false, ok = stmt != NULL;

    while (ok && (ok = vt_stmt_step(db, stmt, &row, err)) && row) {
        if (count == room) {
            room = room ? 2 * room : 16;
            struct vt_patient_action *grown =
                room <= VT_PATIENT_ACTIONS_MAX ? reallocarray(items, room, sizeof *items) : NULL;
            if (!grown) {
                ok = vt_fail(err, VT_E_NOMEM, "no memory for %zu patient merges", room);
                break;
            }
            items = grown;
        }
        ok = read_action(stmt, &items[count], err);
        count += ok;
    }
    vt_stmt_free(stmt);
    if (ok) {
        *out_items = items;
        *out_count = count;
    } else {
        items_free(items, count);
    }
    return ok;
}

static struct vt_patients *patients_of(struct vt_archive *archive, struct vt_err *err);

bool vt_patients_reload(struct vt_archive *archive, struct vt_err *err)
{
    struct vt_patients *patients = patients_of(archive, err);
    struct vt_patient_action *items = NULL;
    size_t count = 0;

    if (!patients)
        return false;
    struct vt_db *db = vt_state_lock(archive->state);
    bool ok = load(db, &items, &count, err);
    vt_state_unlock(archive->state);
    if (!ok)
        return false;
    pthread_rwlock_wrlock(&patients->lock);
    struct vt_patient_action *old = patients->items;
    size_t old_count = patients->count;
    patients->items = items;
    patients->count = count;
    atomic_store(&patients->some, count > 0);
    pthread_rwlock_unlock(&patients->lock);
    items_free(old, old_count);
    return true;
}

/* Made when first asked for; two that ask at once make one. */
static struct vt_patients *patients_of(struct vt_archive *archive, struct vt_err *err)
{
    struct vt_patients *patients = atomic_load(&archive->patients), *none = NULL;

    if (patients)
        return patients;
    patients = calloc(1, sizeof *patients);
    if (!patients) {
        vt_fail(err, VT_E_NOMEM, "no memory for patient merges");
        return NULL;
    }
    pthread_rwlock_init(&patients->lock, NULL);
    struct vt_db *db = vt_state_lock(archive->state);
    bool ok = load(db, &patients->items, &patients->count, err);
    vt_state_unlock(archive->state);
    atomic_store(&patients->some, patients->count > 0);
    if (ok && atomic_compare_exchange_strong(&archive->patients, &none, patients))
        return patients;
    vt_patients_free(patients);
    return ok ? none : NULL;
}

/* ---- identities ---- */

struct vt_identity vt_identity_of(const uint8_t *attributes, size_t size)
{
    struct vt_identity identity;

    vt_attributes_text(attributes, size, VT_TAG_PATIENT_ID, identity.id, sizeof identity.id);
    vt_attributes_text(attributes, size, VT_TAG_ISSUER_OF_PATIENT_ID, identity.issuer,
                       sizeof identity.issuer);
    return identity;
}

bool vt_identity_equal(const struct vt_identity *a, const struct vt_identity *b)
{
    return strcmp(a->id, b->id) == 0 && strcmp(a->issuer, b->issuer) == 0;
}

bool vt_identity_parse(const char *text, struct vt_identity *out, struct vt_err *err)
{
    size_t size = strcspn(text, "^");
    const char *issuer = strncmp(text + size, "^^^", 3) == 0 ? text + size + 3 : "";

    if (size == 0 || size >= sizeof out->id || strlen(issuer) >= sizeof out->issuer ||
        (text[size] != '\0' && issuer[0] == '\0'))
        return vt_fail(err, VT_E_INVALID, "'%.80s' is no patient: say ID or ID^^^ISSUER", text);
    memcpy(out->id, text, size);
    out->id[size] = '\0';
    memcpy(out->issuer, issuer, strlen(issuer) + 1);
    return true;
}

/* ---- applying ---- */

static bool applies(const struct vt_patient_action *action, const char *study_uid,
                    const struct vt_identity *identity)
{
    if (action->study_uid[0])
        return strcmp(action->study_uid, study_uid) == 0;
    return identity->id[0] && vt_identity_equal(&action->from, identity);
}

static bool patch_locked(const struct vt_patients *patients, const char *study_uid,
                         struct vt_identity identity, struct vt_buf *out,
                         struct vt_patient_patch *patch, struct vt_err *err)
{
    VT_AUTO_BUF(merged, VT_ATTRIBUTES_MAX);

    for (size_t i = 0; i < patients->count; i++) {
        const struct vt_patient_action *action = &patients->items[i];
        if (!applies(action, study_uid, &identity))
            continue;
        vt_buf_reset(&merged);
        if (!vt_attributes_merge(action->attributes, action->size, out->data, out->size, &merged,
                                 err))
            return false;
        vt_buf_reset(out);
        if (!vt_buf_append(out, merged.data, merged.size, err))
            return false;
        identity = action->to;
        patch->any = true;
        patch->at = action->at;
        memcpy(patch->reason, action->reason, sizeof patch->reason);
    }
    return true;
}

bool vt_patient_patch(struct vt_archive *archive, const char *study_uid,
                      const struct vt_identity *received, struct vt_buf *out,
                      struct vt_patient_patch *out_patch, struct vt_err *err)
{
    struct vt_patients *patients = patients_of(archive, err);

    memset(out_patch, 0, sizeof *out_patch);
    if (!patients)
        return false;
    if (!atomic_load(&patients->some))
        return true;
    pthread_rwlock_rdlock(&patients->lock);
    bool ok = patch_locked(patients, study_uid, *received, out, out_patch, err);
    pthread_rwlock_unlock(&patients->lock);
    return ok;
}

bool vt_patient_apply(struct vt_archive *archive, struct vt_instance *instance, struct vt_err *err)
{
    struct vt_patients *patients = patients_of(archive, err);
    struct vt_buf *own = &instance->attributes[VT_LEVEL_PATIENT];
    struct vt_patient_patch patch;

    if (!patients)
        return false;
    if (!atomic_load(&patients->some))
        return true;
    struct vt_identity received = vt_identity_of(own->data, own->size);
    VT_AUTO_BUF(set, VT_ATTRIBUTES_MAX);
    VT_AUTO_BUF(merged, VT_ATTRIBUTES_MAX);
    if (!vt_patient_patch(archive, instance->study_uid, &received, &set, &patch, err))
        return false;
    if (!patch.any)
        return true;
    if (!vt_attributes_merge(set.data, set.size, own->data, own->size, &merged, err))
        return false;
    vt_buf_reset(own);
    return vt_buf_append(own, merged.data, merged.size, err);
}

/* ---- studies that carry a decision ---- */

struct carried {
    struct vt_identity identity;
    bool found;
};

static bool note_identity(void *context, const struct vt_row *row, struct vt_err *err)
{
    struct carried *carried = context;

    (void)err;
    carried->identity = vt_identity_of(row->attributes[VT_LEVEL_PATIENT].data,
                                       row->attributes[VT_LEVEL_PATIENT].size);
    carried->found = true;
    return true;
}

static bool each_row(struct vt_archive *archive, enum vt_level level, const char *const words[],
                     size_t count,
                     bool (*each)(void *context, const struct vt_row *row, struct vt_err *err),
                     void *context, struct vt_err *err)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE };
    VT_AUTO(vt_query) query = vt_query_from_words(level, words, count, &rules, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    VT_AUTO(vt_cursor) cursor = plan ? vt_index_find(vt_archive_index(archive), plan, err) : NULL;
    struct vt_row row;
    bool more = true;

    while (cursor) {
        if (!vt_cursor_next(cursor, &row, &more, err))
            return false;
        if (!more)
            return true;
        if (!each(context, &row, err))
            return false;
    }
    return false;
}

static bool make_word(struct vt_buf *out, const char *keyword, const char *value,
                      struct vt_err *err)
{
    return vt_buf_printf(out, err, "%s=%s", keyword, value) && vt_buf_string(out, err);
}

bool vt_patient_of_study(struct vt_archive *archive, const char *study_uid,
                         bool (*each)(void *context, const struct vt_row *row, struct vt_err *err),
                         void *context, struct vt_err *err)
{
    VT_AUTO_BUF(word, 256);

    if (!make_word(&word, "StudyInstanceUID", study_uid, err))
        return false;
    const char *words[] = { (const char *)word.data };
    return each_row(archive, VT_LEVEL_STUDY, words, 1, each, context, err);
}

bool vt_patient_corrected(struct vt_archive *archive, const char *study_uid, bool *out_corrected,
                          struct vt_err *err)
{
    struct vt_patients *patients = patients_of(archive, err);
    struct carried carried = { .found = false };
    bool corrected = false;

    if (!patients)
        return false;
    if (!atomic_load(&patients->some)) {
        *out_corrected = false;
        return true;
    }
    if (!vt_patient_of_study(archive, study_uid, note_identity, &carried, err))
        return false;
    pthread_rwlock_rdlock(&patients->lock);
    for (size_t i = 0; !corrected && i < patients->count; i++)
        corrected = strcmp(patients->items[i].study_uid, study_uid) == 0 ||
                    (carried.found && vt_identity_equal(&patients->items[i].to, &carried.identity));
    pthread_rwlock_unlock(&patients->lock);
    *out_corrected = corrected;
    return true;
}

bool vt_patient_studies(struct vt_archive *archive, const char *id, const char *issuer,
                        bool (*each)(void *context, const struct vt_row *row, struct vt_err *err),
                        void *context, struct vt_err *err)
{
    VT_AUTO_BUF(id_word, 4 * VT_IDENTITY_ROOM);
    VT_AUTO_BUF(issuer_word, 4 * VT_IDENTITY_ROOM);

    if (!make_word(&id_word, "PatientID", id, err) ||
        !make_word(&issuer_word, "IssuerOfPatientID", issuer ? issuer : "", err))
        return false;
    const char *words[] = { (const char *)id_word.data, (const char *)issuer_word.data };
    return each_row(archive, VT_LEVEL_STUDY, words, 2, each, context, err);
}

struct search {
    struct vt_identity wanted;
    struct vt_buf *attributes;
    size_t found;
};

static bool note_patient(void *context, const struct vt_row *row, struct vt_err *err)
{
    struct search *search = context;
    const struct vt_bytes *bytes = &row->attributes[VT_LEVEL_PATIENT];
    struct vt_identity identity = vt_identity_of(bytes->data, bytes->size);

    if (strcmp(identity.id, search->wanted.id) != 0 ||
        (search->wanted.issuer[0] && strcmp(identity.issuer, search->wanted.issuer) != 0))
        return true;
    search->found++;
    vt_buf_reset(search->attributes);
    return vt_buf_append(search->attributes, bytes->data, bytes->size, err);
}

bool vt_patient_find(struct vt_archive *archive, const char *text, struct vt_identity *out,
                     struct vt_buf *attributes, struct vt_err *err)
{
    struct search search = { .attributes = attributes };
    VT_AUTO_BUF(word, 4 * VT_IDENTITY_ROOM);

    if (!vt_identity_parse(text, &search.wanted, err) ||
        !make_word(&word, "PatientID", search.wanted.id, err))
        return false;
    const char *words[] = { (const char *)word.data };
    if (!each_row(archive, VT_LEVEL_PATIENT, words, 1, note_patient, &search, err))
        return false;
    if (search.found == 0)
        return vt_fail(err, VT_E_NOTFOUND, "no patient '%.80s'", text);
    if (search.found > 1)
        return vt_fail(err, VT_E_INVALID, "%zu patients have the ID '%.80s': say ID^^^ISSUER",
                       search.found, text);
    *out = vt_identity_of(attributes->data, attributes->size);
    return true;
}

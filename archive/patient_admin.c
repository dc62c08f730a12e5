/* vt_admin_patient_*: merge, correct, log. */
#include <jansson.h>
#include <sqlite3.h>
#include <string.h>

#include "archive/attributes.h"
#include "archive/inside.h"
#include "archive/keys.h"
#include "archive/patient_inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/tags.h"

/* What makes a patient another: a merge sets or empties all of them. */
static const struct {
    uint32_t tag;
    char vr[3];
} identity_tags[] = {
    { VT_TAG_PATIENT_NAME, "PN" },         { VT_TAG_PATIENT_ID, "LO" },
    { VT_TAG_ISSUER_OF_PATIENT_ID, "LO" }, { VT_TAG_PATIENT_BIRTH_DATE, "DA" },
    { VT_TAG_PATIENT_SEX, "CS" },
};

bool vt_patient_identity_attributes(const uint8_t *attributes, size_t size, struct vt_buf *out,
                                    struct vt_err *err)
{
    for (size_t i = 0; i < VT_COUNT(identity_tags); i++) {
        struct vt_attribute found = { .size = 0 };
        if (!vt_attributes_find(attributes, size, identity_tags[i].tag, &found))
            found.value = NULL;
        if (!vt_attributes_append(out, identity_tags[i].tag, identity_tags[i].vr, found.value,
                                  found.size, err))
            return false;
    }
    return true;
}

bool vt_admin_patient_merge(const struct vt_admin *admin, const char *from, const char *into,
                            const char *reason, int64_t *out_id, struct vt_err *err)
{
    struct vt_patient_decision decision = {
        .kind = "merge", .who = admin->who, .why = reason, .study_uid = ""
    };
    VT_AUTO_BUF(source, VT_ATTRIBUTES_MAX);
    VT_AUTO_BUF(target, VT_ATTRIBUTES_MAX);
    VT_AUTO_BUF(set, VT_ATTRIBUTES_MAX);

    if (!vt_patient_find(admin->archive, from, &decision.from, &source, err) ||
        !vt_patient_find(admin->archive, into, &decision.to, &target, err))
        return false;
    if (vt_identity_equal(&decision.from, &decision.to))
        return vt_fail(err, VT_E_INVALID, "'%.80s' and '%.80s' are one patient", from, into);
    if (!vt_patient_identity_attributes(target.data, target.size, &set, err))
        return false;
    decision.attributes = set.data;
    decision.size = set.size;
    return vt_patient_act(admin->archive, &decision, out_id, err);
}

/* ---- corrections ---- */

static bool parse_word(const char *word, uint32_t *out_tag, const char **out_value,
                       struct vt_err *err)
{
    const char *equals = strchr(word, '=');
    char name[80];

    if (!equals || (size_t)(equals - word) >= sizeof name)
        return vt_fail(err, VT_E_INVALID, "'%.80s' is not KEYWORD=VALUE", word);
    memcpy(name, word, (size_t)(equals - word));
    name[equals - word] = '\0';
    if (!vt_dict_tag(name, out_tag))
        return vt_fail(err, VT_E_INVALID, "'%s' is no attribute", name);
    const struct vt_key *key = vt_key_find(*out_tag);
    if (!key || key->level != VT_LEVEL_PATIENT || !vt_key_in_attributes(key) ||
        memcmp(key->vr, "SQ", 2) == 0)
        return vt_fail(err, VT_E_INVALID, "'%s' is no attribute of a patient that can be corrected",
                       name);
    *out_value = equals + 1;
    return true;
}

/* Each word as attributes of its own, merged: any order of words gives ascending tags. */
static bool read_words(const char *const words[], size_t count, struct vt_buf *set,
                       struct vt_err *err)
{
    VT_AUTO_BUF(one, VT_ATTRIBUTES_MAX);
    VT_AUTO_BUF(merged, VT_ATTRIBUTES_MAX);

    for (size_t i = 0; i < count; i++) {
        const char *value = "";
        uint32_t tag = 0;
        if (!parse_word(words[i], &tag, &value, err))
            return false;
        vt_buf_reset(&one);
        vt_buf_reset(&merged);
        if (!vt_attributes_append(&one, tag, vt_key_find(tag)->vr, value, strlen(value), err) ||
            !vt_attributes_merge(one.data, one.size, set->data, set->size, &merged, err))
            return false;
        vt_buf_reset(set);
        if (!vt_buf_append(set, merged.data, merged.size, err))
            return false;
    }
    return true;
}

bool vt_admin_patient_correct(const struct vt_admin *admin, const char *patient,
                              const char *const words[], size_t count, const char *reason,
                              int64_t *out_id, struct vt_err *err)
{
    struct vt_patient_decision decision = {
        .kind = "correct", .who = admin->who, .why = reason, .study_uid = ""
    };
    VT_AUTO_BUF(own, VT_ATTRIBUTES_MAX);
    VT_AUTO_BUF(set, VT_ATTRIBUTES_MAX);
    VT_AUTO_BUF(after, VT_ATTRIBUTES_MAX);

    if (count == 0)
        return vt_fail(err, VT_E_INVALID, "nothing to correct: say KEYWORD=VALUE");
    if (!vt_patient_find(admin->archive, patient, &decision.from, &own, err) ||
        !read_words(words, count, &set, err) ||
        !vt_attributes_merge(set.data, set.size, own.data, own.size, &after, err))
        return false;
    decision.to = vt_identity_of(after.data, after.size);
    if (!decision.to.id[0])
        return vt_fail(err, VT_E_INVALID, "a patient needs an ID");
    decision.attributes = set.data;
    decision.size = set.size;
    return vt_patient_act(admin->archive, &decision, out_id, err);
}

/* ---- the log ---- */

static json_t *identity_json(struct sqlite3_stmt *stmt, int at)
{
    const char *issuer = (const char *)sqlite3_column_text(stmt, at + 1);
    const char *id = (const char *)sqlite3_column_text(stmt, at);

    return issuer && issuer[0] ? json_sprintf("%s^^^%s", id ? id : "", issuer)
                               : json_string(id ? id : "");
}

static json_t *log_row(struct sqlite3_stmt *stmt)
{
    char at[VT_CLOCK_TEXT_MAX];

    vt_clock_text(sqlite3_column_int64(stmt, 1), at);
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:b}", "id",
                     (json_int_t)sqlite3_column_int64(stmt, 0), "at", at, "who",
                     sqlite3_column_text(stmt, 2), "kind", sqlite3_column_text(stmt, 3), "reason",
                     sqlite3_column_text(stmt, 4), "from", identity_json(stmt, 5), "to",
                     identity_json(stmt, 7), "study", sqlite3_column_text(stmt, 9), "undone",
                     sqlite3_column_int(stmt, 10));
}

/* Rows are gathered under the lock and told without it. */
bool vt_admin_patient_log(const struct vt_admin *admin, struct vt_err *err)
{
    json_t *rows = json_array();
    struct vt_db *db = vt_state_lock(admin->archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "SELECT id, at, who, kind, why, from_id, from_issuer, to_id, to_issuer, "
                      "study_uid, undone FROM patient_action"
                      " ORDER BY id",
                      err);
    bool row = false, ok = stmt && (rows || vt_fail(err, VT_E_NOMEM, "no memory for the log"));

    while (ok && (ok = vt_stmt_step(db, stmt, &row, err)) && row)
        ok = json_array_append_new(rows, log_row(stmt)) == 0 ||
             vt_fail(err, VT_E_NOMEM, "no memory for the log");
    vt_stmt_free(stmt);
    vt_state_unlock(admin->archive->state);
    for (size_t i = 0; ok && i < json_array_size(rows); i++)
        if (!admin->row(admin->context, json_array_get(rows, i)))
            break;
    json_decref(rows);
    return ok;
}

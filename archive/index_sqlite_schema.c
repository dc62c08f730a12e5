/* The tables of index.db, the writer's statements, and our SQL functions. */
#include "archive/index_sqlite.h"

#include <sqlite3.h>
#include <string.h>

#include "archive/match.h"
#include "core/err.h"

/* Study rows repeat the patient's search columns: each study keeps the patient as it was received (reference 4.5), and
 * every query at study level and below needs one table. Descending indexes are in the order of answers. */
static const char schema_1[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO meta VALUES('applied', 0), ('bytes', 0);"
    "CREATE TABLE word(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);"
    "CREATE TABLE patient(id INTEGER PRIMARY KEY, pid TEXT NOT NULL, issuer TEXT NOT NULL,"
    " anonymous TEXT NOT NULL," /* study UID of a patient without ID, else empty */
    " name TEXT NOT NULL, birth TEXT NOT NULL, sex TEXT NOT NULL,"
    " studies INTEGER NOT NULL DEFAULT 0, series INTEGER NOT NULL DEFAULT 0, instances INTEGER NOT NULL DEFAULT 0,"
    " mismatch INTEGER NOT NULL DEFAULT 0, attributes BLOB NOT NULL, UNIQUE(pid, issuer, anonymous));"
    "CREATE INDEX patient_birth ON patient(birth);"
    "CREATE TABLE patient_name(name TEXT NOT NULL, patient INTEGER NOT NULL,"
    " first INTEGER NOT NULL," /* the first group, or the patient has no name: one such row for each patient */
    " PRIMARY KEY(name, patient)) WITHOUT ROWID;"
    "CREATE VIRTUAL TABLE patient_words USING fts5(name, tokenize='trigram', content='', detail=none, columnsize=0);"
    "CREATE TABLE study(id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, patient INTEGER NOT NULL,"
    " pid TEXT NOT NULL, issuer TEXT NOT NULL, name TEXT NOT NULL, birth TEXT NOT NULL, sex TEXT NOT NULL,"
    " date TEXT NOT NULL, time TEXT NOT NULL, accession TEXT NOT NULL, study_id TEXT NOT NULL,"
    " description TEXT NOT NULL, referring TEXT NOT NULL,"
    " series INTEGER NOT NULL DEFAULT 0, instances INTEGER NOT NULL DEFAULT 0,"
    " modalities TEXT NOT NULL, classes TEXT NOT NULL, patient_attributes BLOB NOT NULL, attributes BLOB NOT NULL);"
    "CREATE INDEX study_patient ON study(patient);"
    "CREATE INDEX study_pid ON study(pid, date DESC, time DESC, name);"
    "CREATE INDEX study_date ON study(date DESC, time DESC, name);"
    "CREATE INDEX study_accession ON study(accession, date DESC, time DESC, name);"
    "CREATE INDEX study_study_id ON study(study_id, date DESC, time DESC, name);"
    "CREATE INDEX study_birth ON study(birth, date DESC, time DESC, name);"
    "CREATE INDEX study_description ON study(description, date DESC, time DESC, name);"
    "CREATE TABLE study_name(name TEXT NOT NULL, date TEXT NOT NULL, time TEXT NOT NULL, study INTEGER NOT NULL,"
    " place INTEGER NOT NULL," /* of the group among those of the name */
    " PRIMARY KEY(name, date, time, study)) WITHOUT ROWID;"
    "CREATE VIRTUAL TABLE study_words USING fts5(name, description, referring, accession,"
    " tokenize='trigram', content='', detail=column, columnsize=0);"
    "CREATE TABLE series(id INTEGER PRIMARY KEY, uid TEXT NOT NULL, study INTEGER NOT NULL, modality TEXT NOT NULL,"
    " number INTEGER, instances INTEGER NOT NULL DEFAULT 0, attributes BLOB NOT NULL, UNIQUE(uid, study));"
    "CREATE INDEX series_study ON series(study, number);"
    "CREATE TABLE instance(id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, series INTEGER NOT NULL, number INTEGER,"
    " class NOT NULL, syntax NOT NULL, version INTEGER NOT NULL, file TEXT NOT NULL, file_size INTEGER NOT NULL,"
    " data_set_offset INTEGER NOT NULL, data_set_size INTEGER NOT NULL,"
    " pixel_offset INTEGER, pixel_length INTEGER," /* null: no pixel data */
    " digests BLOB NOT NULL, arrived INTEGER NOT NULL, attributes BLOB NOT NULL);"
    "CREATE INDEX instance_series ON instance(series, number);"
    "CREATE TABLE frames(instance INTEGER PRIMARY KEY, bytes BLOB NOT NULL);";

const struct vt_db_migration sq_migrations[] = { { schema_1 } };
const size_t sq_migration_count = sizeof sq_migrations / sizeof sq_migrations[0];

const char *const sq_write_sql[SQ_WRITES] = {
    [SQ_W_BEGIN] = "BEGIN IMMEDIATE",
    [SQ_W_COMMIT] = "COMMIT",
    [SQ_W_ROLLBACK] = "ROLLBACK",
    [SQ_W_APPLIED] = "UPDATE meta SET value=? WHERE key='applied'",
    [SQ_W_BYTES] = "UPDATE meta SET value=value+? WHERE key='bytes'",
    [SQ_W_INSTANCE_INSERT] =
        "INSERT INTO instance(uid, series, number, class, syntax, version, file, file_size, data_set_offset,"
        " data_set_size, pixel_offset, pixel_length, digests, arrived, attributes)"
        " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(uid) DO NOTHING",
    [SQ_W_INSTANCE_FIND] = "SELECT i.id, i.series, e.study, s.patient, i.file_size FROM instance i CROSS JOIN series e ON e.id=i.series"
                           " CROSS JOIN study s ON s.id=e.study WHERE i.uid=?",
    [SQ_W_INSTANCE_DELETE] = "DELETE FROM instance WHERE id=?",
    [SQ_W_INSTANCE_FILE] = "UPDATE instance SET file=? WHERE uid=?",
    [SQ_W_FRAMES_INSERT] = "INSERT OR REPLACE INTO frames VALUES(?,?)",
    [SQ_W_FRAMES_DELETE] = "DELETE FROM frames WHERE instance=?",
    [SQ_W_WORD] = "INSERT INTO word(id, text) VALUES(?,?)",

    [SQ_W_SERIES_FIND] = "SELECT id, attributes FROM series WHERE uid=? AND study=?",
    [SQ_W_SERIES_INSERT] = "INSERT INTO series(uid, study, modality, number, attributes) VALUES(?,?,?,?,?)",
    [SQ_W_SERIES_UPDATE] = "UPDATE series SET modality=?, number=?, attributes=? WHERE id=?",
    [SQ_W_SERIES_COUNT] = "UPDATE series SET instances=instances+? WHERE id=?",
    [SQ_W_SERIES_GET] = "SELECT instances FROM series WHERE id=?",
    [SQ_W_SERIES_DELETE] = "DELETE FROM series WHERE id=?",

    [SQ_W_STUDY_FIND] = "SELECT id, patient, pid, issuer, patient_attributes, attributes, modalities, classes, series"
                        " FROM study WHERE uid=?",
    [SQ_W_STUDY_INSERT] =
        "INSERT INTO study(uid, patient, pid, issuer, name, birth, sex, date, time, accession, study_id, description,"
        " referring, modalities, classes, patient_attributes, attributes) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [SQ_W_STUDY_UPDATE] = "UPDATE study SET date=?, time=?, accession=?, study_id=?, description=?, referring=?,"
                          " attributes=? WHERE id=?",
    [SQ_W_STUDY_PATIENT] = "UPDATE study SET patient=?, pid=?, issuer=?, name=?, birth=?, sex=?, patient_attributes=?"
                           " WHERE id=?",
    [SQ_W_STUDY_LISTS] = "UPDATE study SET modalities=?, classes=? WHERE id=?",
    [SQ_W_STUDY_COUNT] = "UPDATE study SET series=series+?, instances=instances+? WHERE id=?",
    [SQ_W_STUDY_DELETE] = "DELETE FROM study WHERE id=?",
    [SQ_W_STUDY_MODALITIES] = "SELECT DISTINCT modality FROM series WHERE study=? ORDER BY 1",
    [SQ_W_STUDY_CLASSES] = "SELECT DISTINCT i.class FROM series e CROSS JOIN instance i ON i.series=e.id WHERE e.study=?",
    [SQ_W_STUDY_OF_PATIENT] = "SELECT s.uid FROM patient p CROSS JOIN study s ON s.patient=p.id"
                              " WHERE p.pid=? AND p.issuer=? AND p.anonymous='' AND s.uid>? ORDER BY s.uid LIMIT 1",

    [SQ_W_PATIENT_FIND] = "SELECT id, name, birth, attributes FROM patient WHERE pid=? AND issuer=? AND anonymous=?",
    [SQ_W_PATIENT_INSERT] = "INSERT INTO patient(pid, issuer, anonymous, name, birth, sex, attributes)"
                            " VALUES(?,?,?,?,?,?,?)",
    [SQ_W_PATIENT_UPDATE] = "UPDATE patient SET name=?, birth=?, sex=?, attributes=?, mismatch=mismatch|? WHERE id=?",
    [SQ_W_PATIENT_COUNT] = "UPDATE patient SET studies=studies+?, series=series+?, instances=instances+? WHERE id=?",
    [SQ_W_PATIENT_DELETE] = "DELETE FROM patient WHERE id=?",

    [SQ_W_STUDY_NAME_INSERT] = "INSERT OR IGNORE INTO study_name VALUES(?,?,?,?,?)",
    [SQ_W_STUDY_NAME_DELETE] = "DELETE FROM study_name WHERE name=? AND date=? AND time=? AND study=?",
    [SQ_W_STUDY_WORDS_INSERT] = "INSERT INTO study_words(rowid, name, description, referring, accession)"
                                " VALUES(?,?,?,?,?)",
    [SQ_W_STUDY_WORDS_DELETE] = "INSERT INTO study_words(study_words, rowid, name, description, referring, accession)"
                                " VALUES('delete',?,?,?,?,?)",
    [SQ_W_PATIENT_NAME_INSERT] = "INSERT OR IGNORE INTO patient_name VALUES(?,?,?)",
    [SQ_W_PATIENT_NAME_DELETE] = "DELETE FROM patient_name WHERE name=? AND patient=?",
    [SQ_W_PATIENT_WORDS_INSERT] = "INSERT INTO patient_words(rowid, name) VALUES(?,?)",
    [SQ_W_PATIENT_WORDS_DELETE] = "INSERT INTO patient_words(patient_words, rowid, name) VALUES('delete',?,?)",
};

typedef bool (*text_test)(const char *pattern, size_t pattern_size, const char *text, size_t text_size);

static void run_test(sqlite3_context *context, sqlite3_value **values, text_test test)
{
    const char *pattern = (const char *)sqlite3_value_text(values[0]);
    const char *text = (const char *)sqlite3_value_text(values[1]);

    sqlite3_result_int(context, pattern && text &&
                                    test(pattern, (size_t)sqlite3_value_bytes(values[0]), text,
                                         (size_t)sqlite3_value_bytes(values[1])));
}

static void function_wild(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    run_test(context, values, vt_match_wild);
}

static void function_name(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    run_test(context, values, vt_match_name);
}

/* vt_list(pattern, list): some value of a list with backslashes fits. */
static void function_list(sqlite3_context *context, int count, sqlite3_value **values)
{
    const char *pattern = (const char *)sqlite3_value_text(values[0]);
    const char *at = (const char *)sqlite3_value_text(values[1]), *value;
    bool found = false;
    size_t size;

    (void)count;
    if (pattern && at) {
        const char *end = at + sqlite3_value_bytes(values[1]);
        size_t pattern_size = (size_t)sqlite3_value_bytes(values[0]);
        while (!found && vt_match_next_value(&at, end, &value, &size))
            found = vt_match_wild(pattern, pattern_size, value, size);
    }
    sqlite3_result_int(context, found);
}

/* vt_again(pattern, names, place): a group before that place fits too, so the name was found already. */
static void function_again(sqlite3_context *context, int count, sqlite3_value **values)
{
    const char *pattern = (const char *)sqlite3_value_text(values[0]);
    const char *name = (const char *)sqlite3_value_text(values[1]);
    struct vt_name_groups groups = vt_columns_name_groups(name ? name : "");
    int place = sqlite3_value_int(values[2]);
    bool found = false;

    (void)count;
    for (int i = 0; pattern && !found && i < place && i < (int)groups.count; i++)
        found = vt_match_name(pattern, (size_t)sqlite3_value_bytes(values[0]), groups.text[i], groups.size[i]);
    sqlite3_result_int(context, found);
}

bool sq_functions(struct vt_db *db, struct vt_err *err)
{
    static const struct {
        const char *name;
        int arguments;
        void (*function)(sqlite3_context *, int, sqlite3_value **);
    } functions[] = { { "vt_wild", 2, function_wild }, { "vt_name", 2, function_name }, { "vt_list", 2, function_list },
                      { "vt_again", 3, function_again } };

    for (size_t i = 0; i < VT_COUNT(functions); i++)
        if (sqlite3_create_function_v2(vt_db_handle(db), functions[i].name, functions[i].arguments,
                                       SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, NULL,
                                       functions[i].function, NULL, NULL, NULL) != SQLITE_OK)
            return vt_db_fail(db, "adding a function", err);
    return true;
}

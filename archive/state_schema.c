/* The schema of state.db, step by step. A new table of whichever part of the archive is a new step at the end; steps that
 * were released never change. Times are wall clock nanoseconds, digests 16 bytes of XXH3-128. */
#include <stddef.h>

#include "archive/state.h"
#include "core/jobs_schema.h"

const struct vt_db_migration vt_state_migrations[] = {
    /* 1: versions, quarantine, operations that move files (trash, restore, resolve), the log */
    { "CREATE TABLE version ("
      " sop_uid TEXT NOT NULL, version INTEGER NOT NULL, file TEXT NOT NULL, study_uid TEXT NOT NULL,"
      " size INTEGER NOT NULL, digest BLOB NOT NULL, pixel_digest BLOB NOT NULL, transfer_syntax TEXT NOT NULL,"
      " arrived INTEGER NOT NULL, PRIMARY KEY (sop_uid, version)) WITHOUT ROWID;"
      "CREATE INDEX version_file ON version (file);"
      "CREATE INDEX version_study ON version (study_uid);"
      "CREATE TABLE quarantine ("
      " id INTEGER PRIMARY KEY AUTOINCREMENT, sop_uid TEXT NOT NULL, study_uid TEXT NOT NULL,"
      " series_uid TEXT NOT NULL, sop_class TEXT NOT NULL, file TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,"
      " digest BLOB NOT NULL, status INTEGER NOT NULL, reason TEXT NOT NULL, arrived INTEGER NOT NULL,"
      " calling_ae_title TEXT NOT NULL, host TEXT NOT NULL, resolved TEXT);"
      "CREATE INDEX quarantine_sop ON quarantine (sop_uid, digest);"
      "CREATE TABLE operation ("
      " id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject TEXT NOT NULL, who TEXT NOT NULL,"
      " reason TEXT NOT NULL, at INTEGER NOT NULL, state TEXT NOT NULL, also TEXT NOT NULL, trash INTEGER NOT NULL,"
      " purge_after INTEGER NOT NULL, instances INTEGER NOT NULL, bytes INTEGER NOT NULL);"
      "CREATE INDEX operation_trash ON operation (trash, state, purge_after);"
      "CREATE TABLE operation_file ("
      " operation INTEGER NOT NULL REFERENCES operation (id) ON DELETE CASCADE, n INTEGER NOT NULL,"
      " sop_uid TEXT NOT NULL, version INTEGER NOT NULL, from_file TEXT NOT NULL, to_file TEXT NOT NULL,"
      " size INTEGER NOT NULL, action INTEGER NOT NULL, PRIMARY KEY (operation, n)) WITHOUT ROWID;"
      "CREATE TABLE admin_log ("
      " id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL,"
      " subject TEXT NOT NULL, detail TEXT NOT NULL);" },
    /* 2: merges, corrections and moves of patients; conflicts */
    { "CREATE TABLE patient_action ("
      " id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, kind TEXT NOT NULL,"
      " why TEXT NOT NULL, reason TEXT NOT NULL, study_uid TEXT NOT NULL, from_id TEXT NOT NULL,"
      " from_issuer TEXT NOT NULL, to_id TEXT NOT NULL, to_issuer TEXT NOT NULL, attributes BLOB NOT NULL,"
      " pending INTEGER NOT NULL, undone INTEGER NOT NULL);"
      "CREATE TABLE patient_conflict ("
      " id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind TEXT NOT NULL, study_uid TEXT NOT NULL,"
      " patient_id TEXT NOT NULL, issuer TEXT NOT NULL, name TEXT NOT NULL, sop_uid TEXT NOT NULL,"
      " calling_ae_title TEXT NOT NULL, resolved TEXT NOT NULL,"
      " UNIQUE (kind, study_uid, patient_id, issuer, name));" },
    /* 3: storage commitment: transactions, their instances, what is held because of them */
    { "CREATE TABLE commitment ("
      " id INTEGER PRIMARY KEY AUTOINCREMENT, transaction_uid TEXT NOT NULL, peer TEXT NOT NULL,"
      " host TEXT NOT NULL, called TEXT NOT NULL, asked INTEGER NOT NULL, decided INTEGER, reported INTEGER,"
      " state INTEGER NOT NULL, list BLOB NOT NULL, instances INTEGER NOT NULL, failed INTEGER NOT NULL,"
      " attempts INTEGER NOT NULL, text TEXT NOT NULL, receipt BLOB);"
      "CREATE INDEX commitment_transaction ON commitment (transaction_uid);"
      "CREATE INDEX commitment_state ON commitment (state, id);"
      "CREATE TABLE commitment_item ("
      " commitment INTEGER NOT NULL REFERENCES commitment (id), n INTEGER NOT NULL, sop_class TEXT NOT NULL,"
      " sop_uid TEXT NOT NULL, reason INTEGER NOT NULL, version INTEGER NOT NULL, held INTEGER NOT NULL,"
      " size INTEGER NOT NULL, sha256 BLOB, checked INTEGER, PRIMARY KEY (commitment, n)) WITHOUT ROWID;"
      "CREATE INDEX commitment_held ON commitment_item (sop_uid, version) WHERE held > 0;"
      "CREATE TABLE commitment_asked ("
      " transaction_uid TEXT PRIMARY KEY, peer TEXT NOT NULL, at INTEGER NOT NULL, answered INTEGER,"
      " event INTEGER, report BLOB) WITHOUT ROWID;" },
    /* 4: jobs */
    { VT_JOBS_SCHEMA },
    /* 5: how far those who make jobs have come */
    { VT_JOBS_SCHEMA_MARKS },
    /* 6: who may use the console */
    { "CREATE TABLE web_user ("
      " name TEXT PRIMARY KEY, role INTEGER NOT NULL, secret TEXT NOT NULL, created INTEGER NOT NULL,"
      " last_login INTEGER NOT NULL) WITHOUT ROWID;" },
    /* 7: what jobs were asked */
    { VT_JOBS_SCHEMA_ARGUMENTS },
    /* 8: copies that a move between volumes is making: by the next start, one of the two goes */
    { "CREATE TABLE volume_copy ("
      " to_file TEXT PRIMARY KEY, from_file TEXT NOT NULL, sop_uid TEXT NOT NULL) WITHOUT ROWID;" },
    /* 9: second copies; studies that are held; when a study was looked at; what another archive
     * committed to, and with which content; what each peer sent in a day (since 1970) */
    { "CREATE TABLE volume_second ("
      " sop_uid TEXT NOT NULL, volume TEXT NOT NULL, file TEXT NOT NULL UNIQUE, study_uid TEXT NOT NULL,"
      " size INTEGER NOT NULL, digest BLOB NOT NULL, made INTEGER NOT NULL, PRIMARY KEY (sop_uid, volume))"
      " WITHOUT ROWID;"
      "CREATE INDEX volume_second_study ON volume_second (study_uid);"
      "CREATE TABLE study_hold ("
      " study_uid TEXT PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE study_access (study_uid TEXT PRIMARY KEY, day INTEGER NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE committed_elsewhere ("
      " sop_uid TEXT NOT NULL, peer TEXT NOT NULL, digest BLOB NOT NULL, transaction_uid TEXT NOT NULL,"
      " at INTEGER NOT NULL, PRIMARY KEY (sop_uid, peer)) WITHOUT ROWID;"
      "CREATE TABLE peer_day ("
      " day INTEGER NOT NULL, peer TEXT NOT NULL, instances INTEGER NOT NULL, bytes INTEGER NOT NULL,"
      " PRIMARY KEY (day, peer)) WITHOUT ROWID;" },
    /* 10: what is scheduled, and what was performed of it */
    { "CREATE TABLE worklist ("
      " id INTEGER PRIMARY KEY AUTOINCREMENT, study_uid TEXT NOT NULL, step_id TEXT NOT NULL, source TEXT NOT NULL,"
      " start TEXT NOT NULL, state INTEGER NOT NULL, attributes BLOB NOT NULL, created INTEGER NOT NULL,"
      " changed INTEGER NOT NULL, round INTEGER NOT NULL, UNIQUE (study_uid, step_id));"
      "CREATE INDEX worklist_start ON worklist (start, id);"
      "CREATE INDEX worklist_source ON worklist (source) WHERE source <> '';"
      "CREATE TABLE performed_step ("
      " sop_uid TEXT PRIMARY KEY, state INTEGER NOT NULL, study_uid TEXT NOT NULL, peer TEXT NOT NULL,"
      " attributes BLOB NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL) WITHOUT ROWID;"
      "CREATE INDEX performed_step_study ON performed_step (study_uid);" },
    /* 11: what of a study was deleted, when it was not all */
    { "ALTER TABLE operation ADD COLUMN part TEXT NOT NULL DEFAULT '';" },
    /* Next step here. */
};
const size_t vt_state_migration_count = VT_COUNT(vt_state_migrations);

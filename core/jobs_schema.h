/* core/jobs_schema.h: the tables of core/jobs.h, one step of the migrations of the database they live in
 * (state.db: archive/state_schema.c). Times are wall clock nanoseconds; states are numbers of
 * enum vt_job_state. A step that was released never changes. */
#pragma once

/* clang-format off */
#define VT_JOBS_SCHEMA \
    "CREATE TABLE job (" \
    " id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL, subject TEXT NOT NULL," \
    " once TEXT NOT NULL, arguments TEXT NOT NULL, cursor TEXT NOT NULL, who TEXT NOT NULL," \
    " reason TEXT NOT NULL, priority INTEGER NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL," \
    " crashes INTEGER NOT NULL, next_attempt INTEGER NOT NULL, created INTEGER NOT NULL," \
    " since INTEGER NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL, done INTEGER NOT NULL, total INTEGER NOT NULL," \
    " done_bytes INTEGER NOT NULL, total_bytes INTEGER NOT NULL, failed INTEGER NOT NULL);" \
    "CREATE INDEX job_next ON job (state, kind, key, priority DESC, id, next_attempt);" \
    "CREATE INDEX job_due ON job (state, next_attempt);" \
    "CREATE UNIQUE INDEX job_once ON job (kind, once) WHERE once <> '' AND state <= 2;" \
    "CREATE TABLE job_item (" \
    " job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE, item TEXT NOT NULL," \
    " permanent INTEGER NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL," \
    " PRIMARY KEY (job, item)) WITHOUT ROWID;"
/* Numbers by name, for those who make jobs out of what happens: how far they have come. */
#define VT_JOBS_SCHEMA_MARKS \
    "CREATE TABLE job_mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
/* Apart from the rows that change several times a second: a row is written anew whole. */
#define VT_JOBS_SCHEMA_ARGUMENTS \
    "CREATE TABLE job_arguments (" \
    " job INTEGER PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE, arguments TEXT NOT NULL);"
/* clang-format on */

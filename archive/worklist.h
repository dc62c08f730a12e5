/* archive/worklist.h: what is scheduled (PS3.4 Annex K): the entries of the modality worklist, rows of state.db.
 *
 * An entry is one scheduled procedure step, kept as the attributes an answer is made of (archive/attributes.h: Explicit VR
 * LE, UTF-8) with exactly one item in (0040,0100). It comes from words, from a worklist file as wlmscpfs reads them, or from
 * a line of CSV; what comes again (same study and step) takes the old one's place and keeps its state. A performed procedure
 * step (archive/worklist_step.h) starts and ends it. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "dicom/uids.h"

struct vt_answer_rules;
struct vt_archive;
struct vt_buf;
struct vt_err;
struct vt_query;
struct vt_query_rules;

enum {
    VT_WORKLIST_BYTES_MAX = 256 << 10, /* of one entry */
    VT_WORKLIST_FILE_MAX = 1 << 20,
    VT_WORKLIST_ENTRIES_MAX = 100000,
    VT_WORKLIST_STEPS_MAX = 64, /* scheduled steps of one file */
    VT_WORKLIST_DEPTH_MAX = 8,
    VT_WORKLIST_WORDS_MAX = 256,
    VT_WORKLIST_TEXT = 260,
    VT_WORKLIST_SOURCE_MAX = 1024,
};

enum vt_worklist_state {
    VT_WORKLIST_SCHEDULED,
    VT_WORKLIST_STARTED,
    VT_WORKLIST_COMPLETED, /* from here on answers leave it out */
    VT_WORKLIST_DISCONTINUED,
};
const char *vt_worklist_state_name(enum vt_worklist_state state); /* "scheduled" ... */

struct vt_worklist_entry {
    int64_t id;
    enum vt_worklist_state state;
    int64_t changed; /* wall ns */
    char study_uid[VT_UID_MAX + 1], step_id[VT_WORKLIST_TEXT];
    char patient_id[VT_WORKLIST_TEXT], patient_name[VT_WORKLIST_TEXT], accession[VT_WORKLIST_TEXT];
    char station[VT_AE_TITLE_MAX + 1], modality[20], date[9], time[7];
    char description[VT_WORKLIST_TEXT];
    char source[VT_WORKLIST_SOURCE_MAX]; /* the file it came from; "" from words or CSV */
};

/* ---- making one: attributes are appended, not checked yet ---- */

/* "PatientName=Smith^Anna" "Modality=CT" ...: keywords or tags, UTF-8; those of the scheduled step need not be told to be
 * in ScheduledProcedureStepSequence. A start that is not given is now. VT_E_INVALID names the word. */
bool vt_worklist_from_words(const char *const words[], size_t count, struct vt_buf *out, struct vt_err *err);
/* A data set; bytes beyond ASCII without (0008,0005) are read in `charset` (NULL: ISO_IR 100). */
bool vt_worklist_from_bytes(const uint8_t *bytes, size_t size, enum vt_encoding encoding, const char *charset,
                            struct vt_buf *out, struct vt_err *err);
/* Part 10, or a bare data set. */
bool vt_worklist_from_file(const char *path, const char *charset, struct vt_buf *out, struct vt_err *err);

/* ---- rows ---- */

enum vt_worklist_put { VT_WORKLIST_NEW, VT_WORKLIST_CHANGED, VT_WORKLIST_SAME };

/* One row for each scheduled step. UIDs and identifiers of the step that are missing are made, always the same for the same
 * order. VT_E_INVALID says what must be there (patient, modality, station, date). Publishes "worklist.added" with the number
 * for what is new. `source` "" or a file: rows that it gave before and gives no longer go. */
bool vt_worklist_put(struct vt_archive *archive, const char *source, const uint8_t *attributes, size_t size,
                     int64_t *out_id, enum vt_worklist_put *out_what, struct vt_err *err);
/* VT_E_NOTFOUND. */
bool vt_worklist_remove(struct vt_archive *archive, int64_t id, struct vt_err *err);
/* The file is gone. */
bool vt_worklist_remove_source(struct vt_archive *archive, const char *source, struct vt_err *err);
/* What was scheduled for, and last changed, before that time. */
bool vt_worklist_purge(struct vt_archive *archive, int64_t before, uint64_t *out_count, struct vt_err *err);
/* out_there false: no such entry. */
bool vt_worklist_read(struct vt_archive *archive, int64_t id, struct vt_worklist_entry *out, bool *out_there,
                      struct vt_err *err);

/* In the order of their start; false of `each` stops. From pages: nothing is locked meanwhile. */
typedef bool (*vt_worklist_each_fn)(void *context, const struct vt_worklist_entry *entry, const uint8_t *attributes,
                                    size_t size, struct vt_err *err);
bool vt_worklist_each(struct vt_archive *archive, bool all, vt_worklist_each_fn each, void *context,
                      struct vt_err *err);

/* ---- asking (archive/worklist_query.c) ---- */

/* An identifier of C-FIND on the worklist: no level; date and time of the start match as one (K.6.1.2.2). */
struct vt_query *vt_worklist_parse(const uint8_t *identifier, size_t size, enum vt_encoding encoding,
                                   const struct vt_query_rules *rules, struct vt_err *err);

/* Open entries that match, one after the other. Owned by the thread that asks. */
struct vt_worklist_cursor;
struct vt_worklist_cursor *vt_worklist_find(struct vt_archive *archive, const struct vt_query *query,
                                            struct vt_err *err);
void vt_worklist_cursor_free(struct vt_worklist_cursor *cursor);
VT_DEFINE_AUTO(vt_worklist_cursor)
/* The answer is appended. out_more false: no more. */
bool vt_worklist_next(struct vt_worklist_cursor *cursor, const struct vt_answer_rules *rules, struct vt_buf *out,
                      bool *out_more, struct vt_err *err);

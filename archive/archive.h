/* archive/archive.h: the archive as its users see it: receive, find, open, administer.
 *
 * Folder layout under options.path:
 *   lock, control.sock            one writer; where the CLI talks to it
 *   journal/0, journal/1          two preallocated segments (archive/journal.h)
 *   staging/                      what is arriving
 *   objects/YYYY/MM/DD/<study>/<series>/<sop>.dcm   Part 10 files as received; a second version is <sop>~2.dcm
 *   quarantine/, trash/           refused duplicates; what was deleted, until retention ends
 *   index.db, state.db            what can be rebuilt; what cannot
 *
 * Any thread may call anything here; one vt_receive belongs to one thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/index.h"
#include "archive/instance.h"
#include "archive/query.h"
#include "core/auto.h"

struct vt_err;
struct vt_events;
struct vt_archive;
struct vt_receive;

enum vt_policy { VT_POLICY_DEFAULT, VT_POLICY_VERSION, VT_POLICY_FIRST_WINS, VT_POLICY_LAST_WINS, VT_POLICY_QUARANTINE };

/* Where objects may lie beside the archive's own folder (archive/volume.h). */
enum { VT_VOLUME_NAME_MAX = 24, VT_VOLUMES_MAX = 32 };
enum vt_volume_class { VT_VOLUME_SHORT_TERM, VT_VOLUME_LONG_TERM };
struct vt_volume {
    char name[VT_VOLUME_NAME_MAX + 1];        /* letters, digits, '-' and '_'; not MAIN */
    const char *path;                         /* absolute; borrowed as long as the archive */
    enum vt_volume_class class;
    bool nearline;                            /* its instances are NEARLINE: reading takes a while */
    bool recall;                              /* what is retrieved from here comes back to MAIN: "study.recall" */
    uint64_t warn_free, stop_free;            /* as of the archive; 0: the same defaults */
    uint64_t reserve_free;                    /* moves and copies to here leave so much; below stop_free: stop_free */
};

struct vt_archive_options {
    const char *path;
    const struct vt_index_driver *index;      /* NULL: vt_index_sqlite */
    struct vt_events *events;                 /* may be NULL */
    bool relaxed;                             /* archive.durability = relaxed: answers do not wait for syncs */
    uint64_t journal_segment;                 /* bytes of each of the two; 0: 32 MiB */
    uint64_t small_object;                    /* up to this many bytes ride in the journal; 0: 64 KiB */
    uint64_t warn_free, stop_free;            /* free bytes on the volume: alarm; A700. 0: 5 % capped at 10 GiB; 1 % capped at 1 GiB */
    uint64_t reserve_free;                    /* what drains and rules leave of MAIN to arrivals and recalls */
    enum vt_policy changed_attributes;        /* default VERSION */
    enum vt_policy changed_pixels;            /* default QUARANTINE */
    bool patient_conflict_reject;             /* archive.patient_conflict = reject (A901); default accept */
    int64_t trash_retention;                  /* ns; 0: 30 days */
    struct vt_instance_rules rules;           /* borrowed pointers must outlive the archive */
    struct vt_element_limits limits;          /* zeroes: defaults */
    uint64_t max_instance;                    /* bytes; 0: 64 GiB */
    /* How objects in private transfer syntaxes are read again; of others the first element tells. Borrowed. */
    const struct vt_private_syntax *private_syntaxes;
    size_t private_syntax_count;
    const struct vt_volume *volumes;          /* copied */
    size_t volume_count;
    int readers;
    bool rebuild_index;                       /* no usable index.db: put it aside and make a new one from the objects */
};

/* Takes the lock (VT_E_BUSY: who holds it), recovers: replays the journal, sweeps staging. */
struct vt_archive *vt_archive_open(const struct vt_archive_options *options, struct vt_err *err);
/* Commits what waits, checkpoints, empties the journal, so that the next start is quick. */
void vt_archive_free(struct vt_archive *archive);
VT_DEFINE_AUTO(vt_archive)
const char *vt_archive_path(const struct vt_archive *archive);
/* For reading; borrowed. Ask again for each use: a reindex puts another one in its place (the old one goes on answering
 * with what it knew until the archive is freed). */
struct vt_index *vt_archive_index(struct vt_archive *archive);

/* ---- receiving ---- */

/* Does it take anything now? false: A700 (VT_E_FULL) or A701 (read-only). For who puts aside what is to arrive later. Cheap. */
bool vt_archive_takes(struct vt_archive *archive, struct vt_err *err);

struct vt_receive_from {
    const char *sop_class_uid;        /* of the command; NULL: as the data set says (import) */
    const char *sop_instance_uid;
    const char *transfer_syntax_uid;
    enum vt_encoding encoding;        /* how to read the data set: of private syntaxes the configuration says */
    bool encapsulated;
    const char *calling_ae_title;
    const char *host;
    bool read_soon;                   /* it stays in the page cache: who sends it reads it again at once */
};

enum vt_decision {
    VT_DECISION_STORED,
    VT_DECISION_DUPLICATE,        /* identical, or the same pixels in another lossless encoding: nothing written */
    VT_DECISION_VERSION,          /* kept as a further version, served from now on */
    VT_DECISION_QUARANTINED,      /* kept aside; status C010 or C011 */
    VT_DECISION_REFUSED,          /* status tells */
};

struct vt_receive_result {
    enum vt_decision decision;
    uint16_t status;                               /* DIMSE status to answer */
    char sop_uid[VT_UID_MAX + 1];
    char study_uid[VT_UID_MAX + 1];
    char comment[65];                              /* (0000,0902) for failures */
    uint32_t offending[4];                         /* (0000,0901) */
    size_t offending_count;
};

/* A receiver owns its buffers (1 MiB aligned, header) and is used again for each instance of an association. */
struct vt_receive *vt_receive_new(struct vt_archive *archive, struct vt_err *err);
void vt_receive_free(struct vt_receive *receive);   /* abandons what is under way */
VT_DEFINE_AUTO(vt_receive)

/* false: A7xx in err->dimse_status (no space, index down); the caller reads and drops the data set. */
bool vt_receive_begin(struct vt_receive *receive, const struct vt_receive_from *from, struct vt_err *err);
/* false: disk trouble; the caller reads and drops the rest, then answers err->dimse_status. Structural faults of the data set
 * are remembered and told by commit, since the policy may store it all the same. Has the type of a vt_assoc_sink. */
bool vt_receive_write(void *receive, const uint8_t *bytes, size_t size, struct vt_err *err);
/* Where the next bytes may be put before vt_receive_write is given them there: it does not copy these. NULL: nowhere. Has the
 * type of a vt_assoc_landing. */
uint8_t *vt_receive_landing(void *receive, size_t *out_room);
/* Decides, waits for the group commit. true: *out says what became of it, success statuses are durable and indexed. false: err
 * with status (nothing kept). The receiver is ready for the next begin in both cases. */
bool vt_receive_commit(struct vt_receive *receive, struct vt_receive_result *out, struct vt_err *err);
/* The same without waiting: `answer` is called once, with a result or, when that is NULL, with what failed, from this thread
 * before vt_receive_commit_then returns or from the thread that commits the group, and must not wait. Nothing else may be
 * done with the receiver before vt_receive_wait has returned; that is quick once the answer was given. */
typedef void (*vt_receive_answer)(void *context, const struct vt_receive_result *result, const struct vt_err *err);
void vt_receive_commit_then(struct vt_receive *receive, vt_receive_answer answer, void *context);
void vt_receive_wait(struct vt_receive *receive);
void vt_receive_abandon(struct vt_receive *receive);
/* Text of a kept element of what was written since begin, "" when it is not there. */
void vt_receive_text(const struct vt_receive *receive, uint32_t tag, char *out, size_t room);
/* The association is idle: memory beyond the least goes back. Comes again by itself with the next begin. */
void vt_receive_rest(struct vt_receive *receive);
/* A Part 10 file (import, reindex of strays): begin, write, commit. */
bool vt_archive_import_file(struct vt_archive *archive, struct vt_receive *receive, const char *path,
                            struct vt_receive_result *out, struct vt_err *err);

/* ---- reading: find with archive/query.h and vt_archive_index; then ---- */

struct vt_stored {
    int fd;                        /* the caller closes (vt_stored_close) */
    uint64_t data_set_offset, data_set_size;
    struct vt_index_entry entry;
    bool corrected;                /* a patient merge or correction applies: the way out must change the data set (vt_archive_outgoing) */
};
/* Opens the object; checks that the file has the size the index says. VT_E_NOTFOUND, VT_E_CORRUPT (published as event). */
bool vt_archive_open_instance(struct vt_archive *archive, const struct vt_index_entry *entry, struct vt_stored *out, struct vt_err *err);
void vt_stored_close(struct vt_stored *stored);
/* Somebody retrieves that instance: the day is noted (archive/last_access.h), and what lies on a volume with `recall` asked
 * back by the event "study.recall". Cheap. */
void vt_archive_accessed(struct vt_archive *archive, const struct vt_index_entry *entry);
/* The corrected data set (new identity, Original Attributes Sequence (0400,0561)), encoded in its own transfer syntax, into an
 * unlinked temporary file: replaces fd, offset and size. */
bool vt_archive_outgoing(struct vt_archive *archive, struct vt_stored *stored, struct vt_err *err);
/* Only what stands before the pixel data, corrected if need be: data_set_size ends there. Whole when it is deflated. */
bool vt_archive_outgoing_header(struct vt_archive *archive, struct vt_stored *stored, struct vt_err *err);

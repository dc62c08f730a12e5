/* Reading a segment: its records one after the other, and those behind a hole.
 *
 * A record that does not fit ends what is read, unless one behind it proves that it was synced:
 * each says how many before it were not yet, when it was written. So the end of a group that a
 * crash tore is quiet, and damage to what was answered for is not. */
#include "archive/journal_inside.h"

#include <string.h>

#include "core/err.h"
#include "core/io.h"

enum { LOOK_BLOCK = 16 << 10 };

/* Bytes of bodies read while looking for records in what does not fit: they may be made to look
 * like heads of records, each with a body of its own. */
#define LOOK_MAX (UINT64_C(1) << 30)

bool vt_journal_read_record(const struct segment *segment, uint64_t at, struct record *out,
                            struct vt_buf *body, bool *out_there, const char *path,
                            struct vt_err *err)
{
    *out_there = false;
    if (at + sizeof *out > segment->bytes)
        return true;
    if (!vt_io_pread(segment->fd, out, sizeof *out, at, path, err))
        return false;
    if (out->kind == 0 || out->size > segment->bytes - at - sizeof *out)
        return true;
    vt_buf_reset(body);
    if (!vt_buf_reserve(body, out->size, err) ||
        !vt_io_pread(segment->fd, body->data, out->size, at + sizeof *out, path, err))
        return false;
    body->size = out->size;
    *out_there = vt_journal_checksum(out, segment->generation, body->data, body->size, NULL, 0) ==
                 out->checksum;
    return true;
}

static uint64_t behind(uint64_t at, const struct record *record)
{
    return at + vt_journal_align(sizeof *record + record->size);
}

/* ---- looking behind what does not fit ---- */

/* A number in (after, until]. */
struct range {
    uint64_t after, until;
};

/* Without its checksum: could a record lie there? Most of what lies in a hole is told apart without
 * reading a body. */
static bool is_plausible(const struct record *record, const struct segment *segment, uint64_t at,
                         const struct range *range)
{
    return record->kind > 0 && record->kind <= VT_RECORD_ABORT && record->sequence > range->after &&
           record->sequence <= range->until && record->size <= segment->bytes - at - sizeof *record;
}

/* The next plausible place from *in_out_at on; the segment's end: none. */
static bool look(const struct segment *segment, const struct range *range, uint64_t *in_out_at,
                 const char *path, struct vt_err *err)
{
    uint8_t block[LOOK_BLOCK];
    struct record record;

    for (uint64_t at = *in_out_at; at + sizeof record <= segment->bytes;) {
        uint64_t left = segment->bytes - at;
        size_t size = left < sizeof block ? (size_t)left : sizeof block, i = 0;
        if (!vt_io_pread(segment->fd, block, size, at, path, err))
            return false;
        for (; i + sizeof record <= size; i += 8) {
            memcpy(&record, block + i, sizeof record);
            if (is_plausible(&record, segment, at + i, range)) {
                *in_out_at = at + i;
                return true;
            }
        }
        at += i;
    }
    *in_out_at = segment->bytes;
    return true;
}

/* The first record with such a number from *in_out_at on. */
static bool find(const struct segment *segment, const struct range *range, uint64_t *in_out_at,
                 struct record *out, struct vt_buf *body, bool *out_there, const char *path,
                 struct vt_err *err)
{
    uint64_t at = *in_out_at, looked = 0;

    *out_there = false;
    for (; !*out_there && looked < LOOK_MAX; at += 8) {
        if (!look(segment, range, &at, path, err))
            return false;
        if (at >= segment->bytes)
            break;
        if (!vt_journal_read_record(segment, at, out, body, out_there, path, err))
            return false;
        looked += out->size;
        *in_out_at = at;
    }
    return true;
}

/* The record behind `after` at *in_out_at, or, up to the number `until`, behind a hole that begins
 * there. */
static bool next_record(const struct segment *segment, uint64_t after, uint64_t until,
                        uint64_t *in_out_at, struct record *out, struct vt_buf *body,
                        bool *out_there, const char *path, struct vt_err *err)
{
    const struct range range = { after, until }, own = { after, after + 1 };
    uint64_t at = *in_out_at;

    if (!vt_journal_read_record(segment, at, out, body, out_there, path, err))
        return false;
    *out_there = *out_there && out->sequence == after + 1;
    if (*out_there || after >= until || at + sizeof *out > segment->bytes)
        return true;
    /* When only its body is damaged, what looks like a record within is none. */
    *in_out_at = at + 8;
    if (is_plausible(out, segment, at, &own)) {
        uint64_t next = behind(at, out);
        if (!vt_journal_read_record(segment, next, out, body, out_there, path, err))
            return false;
        *out_there = *out_there && out->sequence > after && out->sequence <= until;
        if (*out_there)
            *in_out_at = next;
    }
    return *out_there || find(segment, &range, in_out_at, out, body, out_there, path, err);
}

bool vt_journal_scan(struct vt_journal *journal, int i, uint64_t until, struct vt_err *err)
{
    struct segment *segment = &journal->segments[i];
    char path[PATH_MAX];
    VT_AUTO_BUF(body, (size_t)segment->bytes);
    struct record record;

    vt_journal_path(journal, i, path);
    segment->last = segment->first;
    segment->end = segment->begin;
    segment->holes = until > 0;
    segment->records = segment->gap = 0;
    for (bool there = segment->generation > 0; there;) {
        uint64_t at = segment->end;
        if (!next_record(segment, segment->last, until, &at, &record, &body, &there, path, err))
            return false;
        if (!there)
            break;
        if (record.sequence != segment->last + 1 && segment->gap == 0)
            segment->gap = segment->last + 1;
        segment->last = record.sequence;
        segment->records++;
        segment->end = behind(at, &record);
    }
    return true;
}

bool vt_journal_prove(struct vt_journal *journal, int i, uint64_t *out_until, struct vt_err *err)
{
    const struct segment *segment = &journal->segments[i];
    char path[PATH_MAX];
    VT_AUTO_BUF(body, (size_t)segment->bytes);
    struct range range = { segment->last, segment->last + segment->bytes / sizeof(struct record) };
    struct record record;
    uint64_t synced = segment->last;

    vt_journal_path(journal, i, path);
    *out_until = 0;
    for (uint64_t at = segment->end, looked = 0; looked < LOOK_MAX;) {
        bool there = false;
        if (!find(segment, &range, &at, &record, &body, &there, path, err))
            return false;
        if (!there)
            break;
        looked += record.size;
        if (record.unsynced > 0 && record.sequence - record.unsynced > synced) {
            synced = record.sequence - record.unsynced;
            *out_until = record.sequence;
        }
        at = behind(at, &record);
    }
    return true;
}

/* ---- replay ---- */

typedef bool (*each_entry)(void *context, const struct vt_journal_entry *entry, struct vt_err *err);

static bool give(const struct segment *segment, const struct record *record,
                 const struct vt_buf *body, each_entry each, void *context, struct vt_err *err)
{
    struct vt_journal_entry entry = { .sequence = record->sequence,
                                      .kind = (enum vt_record)record->kind,
                                      .body = body->data,
                                      .size = body->size,
                                      .doubtful = segment->damaged };

    return each(context, &entry, err);
}

static bool replay_segment(struct vt_journal *journal, int i, uint64_t after, each_entry each,
                           void *context, struct vt_err *err)
{
    const struct segment *segment = &journal->segments[i];
    uint64_t until = segment->holes ? segment->last : 0, before = segment->first;
    char path[PATH_MAX];
    VT_AUTO_BUF(body, (size_t)segment->bytes);
    struct record record;
    bool there = true;

    vt_journal_path(journal, i, path);
    for (uint64_t at = segment->begin; at < segment->end; at = behind(at, &record)) {
        if (!next_record(segment, before, until, &at, &record, &body, &there, path, err))
            return false;
        if (!there)
            return vt_fail(err, VT_E_CORRUPT, "%s changed while it was read", path);
        before = record.sequence;
        if (record.sequence > after && !give(segment, &record, &body, each, context, err))
            return false;
    }
    return true;
}

bool vt_journal_replay(struct vt_journal *journal, uint64_t after,
                       bool (*each)(void *context, const struct vt_journal_entry *entry,
                                    struct vt_err *err),
                       void *context, struct vt_err *err)
{
    int older = !journal->current;

    return (journal->segments[older].generation == 0 ||
            replay_segment(journal, older, after, each, context, err)) &&
           (journal->segments[journal->current].generation == 0 ||
            replay_segment(journal, journal->current, after, each, context, err));
}

/* The records of one hole, as far as one leads to the next. */
static bool give_broken(const struct segment *segment, uint64_t at, uint64_t end, uint64_t after,
                        struct vt_buf *body, each_entry each, void *context, const char *path,
                        struct vt_err *err)
{
    for (struct record record; at + sizeof record < end; at = behind(at, &record), after++) {
        const struct range own = { after, after + 1 };
        bool there = false;
        if (!vt_journal_read_record(segment, at, &record, body, &there, path, err))
            return false;
        if (there || !is_plausible(&record, segment, at, &own) || behind(at, &record) > end)
            break;
        if (!give(segment, &record, body, each, context, err))
            return false;
    }
    return true;
}

static bool replay_broken(struct vt_journal *journal, int i, each_entry each, void *context,
                          struct vt_err *err)
{
    const struct segment *segment = &journal->segments[i];
    uint64_t before = segment->first, at = segment->begin;
    char path[PATH_MAX];
    VT_AUTO_BUF(body, (size_t)segment->bytes);
    struct record record;
    bool there = true;

    vt_journal_path(journal, i, path);
    while (there && at < segment->end) {
        uint64_t hole = at;
        if (!next_record(segment, before, segment->last, &at, &record, &body, &there, path, err) ||
            (there && record.sequence != before + 1 &&
             !give_broken(segment, hole, at, before, &body, each, context, path, err)))
            return false;
        before = record.sequence;
        at = behind(at, &record);
    }
    return i == journal->current ||
           give_broken(segment, at, segment->bytes, before, &body, each, context, path, err);
}

bool vt_journal_broken(struct vt_journal *journal,
                       bool (*each)(void *context, const struct vt_journal_entry *entry,
                                    struct vt_err *err),
                       void *context, struct vt_err *err)
{
    for (int i = 0; i < 2; i++)
        if (journal->segments[i].gap > 0 && !replay_broken(journal, i, each, context, err))
            return false;
    return true;
}

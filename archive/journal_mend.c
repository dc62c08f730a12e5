/* Segments whose header is damaged, that do not follow each other, or that have a hole.
 *
 * A header tells the generation that seeds the checksums of the records behind it. When it is lost,
 * the generation is found again by trying those that can have been: the other segment's neighbours
 * first. Whether such a segment was live or released nobody can tell any more: its records are
 * replayed as doubtful (archive/recover.c). */
#include "archive/journal_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/io.h"

enum {
    GUESSES_NEAR = 4,   /* tried at every place of the segment */
    GUESSES_MAX = 2048, /* tried where the first record should be */
    SKIPPED = 1 << 16,  /* generations left out when the last one is not known */
    COPY_BLOCK = 1 << 20,
};

size_t vt_journal_damages(const struct vt_journal *journal, const struct vt_journal_damage **out)
{
    *out = journal->damage;
    return journal->damage_count;
}

/* ---- the copy ---- */

static bool copy_bytes(int from, int to, uint64_t bytes, const char *path, struct vt_err *err)
{
    vt_autofree uint8_t *block = malloc(COPY_BLOCK);

    if (!block)
        return vt_fail(err, VT_E_NOMEM, "no memory to copy %s", path);
    for (uint64_t at = 0; at < bytes; at += COPY_BLOCK) {
        size_t size = bytes - at < COPY_BLOCK ? (size_t)(bytes - at) : COPY_BLOCK;
        if (!vt_io_pread(from, block, size, at, path, err) ||
            !vt_io_pwrite(to, block, size, at, path, err))
            return false;
    }
    return vt_io_sync_data(to, path, err);
}

/* To a name that is free: the copies of earlier times stay. */
static bool name_copy(const struct vt_journal *journal, int folder, int i, const char *part,
                      char out[static 32], struct vt_err *err)
{
    for (int n = 1; n <= VT_JOURNAL_COPIES_MAX; n++) {
        if (n == 1)
            snprintf(out, 32, "%d.damaged", i);
        else
            snprintf(out, 32, "%d.damaged.%d", i, n);
        if (faccessat(folder, out, F_OK, 0) == 0)
            continue;
        return renameat(folder, part, folder, out) == 0 ||
               vt_fail_errno(err, "keeping a copy of %s/%d", journal->folder, i);
    }
    return vt_fail(err, VT_E_LIMIT,
                   "%s/%d is damaged again and %d copies are kept: look into them, move them away",
                   journal->folder, i, VT_JOURNAL_COPIES_MAX);
}

static bool keep_copy(const struct vt_journal *journal, int i, char out[static 32],
                      struct vt_err *err)
{
    static const char part[] = "damaged.part";
    vt_autoclose folder = open(journal->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    vt_autoclose copy = -1;
    char path[PATH_MAX];

    if (folder < 0)
        return vt_fail_errno(err, "%s", journal->folder);
    copy = openat(folder, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (copy < 0)
        return vt_fail_errno(err, "%s/%s", journal->folder, part);
    vt_journal_path(journal, i, path);
    return (copy_bytes(journal->segments[i].fd, copy, journal->segments[i].bytes, path, err) &&
            name_copy(journal, folder, i, part, out, err) &&
            vt_io_sync_folder(folder, journal->folder, err)) ||
           vt_fail_context(err, "keeping a copy of a damaged segment");
}

static struct vt_journal_damage *noted(struct vt_journal *journal, int i)
{
    for (size_t n = 0; n < journal->damage_count; n++)
        if (atoi(journal->damage[n].file) == i)
            return &journal->damage[n];
    return NULL;
}

static struct vt_journal_damage *note(struct vt_journal *journal, int i, const char *reason,
                                      struct vt_err *err)
{
    struct vt_journal_damage *damage = noted(journal, i);

    if (damage)
        return damage;
    damage = &journal->damage[journal->damage_count];
    *damage = (struct vt_journal_damage){ .reason = reason };
    snprintf(damage->file, sizeof damage->file, "%d", i);
    if (!keep_copy(journal, i, damage->copy, err))
        return NULL;
    journal->damage_count++;
    return damage;
}

/* ---- the generation ---- */

/* What the damaged header still says comes first, then the other segment's neighbours, downwards,
 * or the first generations when the other was never used. */
static uint64_t guess(const struct vt_journal *journal, const struct header *header, size_t n)
{
    uint64_t next = journal->generation + 1;

    if (n < 2)
        return n == 0 ? header->generation : header->highest;
    n -= 2;
    if (next == 1)
        return next + n;
    return next > n ? next - n : 0;
}

static bool try_at(struct vt_journal *journal, int i, uint64_t at, size_t guesses,
                   const struct header *header, struct vt_buf *body, bool *out_found,
                   struct vt_err *err)
{
    struct segment *segment = &journal->segments[i];
    struct record record;
    char path[PATH_MAX];

    vt_journal_path(journal, i, path);
    *out_found = false;
    if (at + sizeof record > segment->bytes)
        return true;
    if (!vt_io_pread(segment->fd, &record, sizeof record, at, path, err))
        return false;
    if (record.kind == 0 || record.kind > VT_RECORD_ABORT || record.sequence == 0)
        return true;
    for (size_t n = 0; n < guesses && !*out_found; n++) {
        segment->generation = guess(journal, header, n);
        if (segment->generation > 0 &&
            !vt_journal_read_record(segment, at, &record, body, out_found, path, err))
            return false;
    }
    if (!*out_found)
        segment->generation = 0;
    else {
        segment->begin = at;
        segment->first = record.sequence - 1;
    }
    return true;
}

/* The first record that fits, where it should be, or behind what is damaged together with the
 * header. */
static bool find_first(struct vt_journal *journal, int i, struct vt_err *err)
{
    struct segment *segment = &journal->segments[i];
    VT_AUTO_BUF(body, (size_t)segment->bytes);
    struct header header = { 0 };
    bool found = false;
    char path[PATH_MAX];

    vt_journal_path(journal, i, path);
    if (segment->bytes >= HEADER_SIZE &&
        !vt_io_pread(segment->fd, &header, sizeof header, 0, path, err))
        return false;
    if (!try_at(journal, i, HEADER_SIZE, GUESSES_MAX, &header, &body, &found, err))
        return false;
    for (uint64_t at = HEADER_SIZE + 8; !found && at < segment->bytes; at += 8)
        if (!try_at(journal, i, at, GUESSES_NEAR, &header, &body, &found, err))
            return false;
    return true;
}

static bool mend_header(struct vt_journal *journal, int i, struct vt_err *err)
{
    struct segment *segment = &journal->segments[i];
    struct vt_journal_damage *damage = note(journal, i, "its header does not fit", err);

    if (!damage || !find_first(journal, i, err) || !vt_journal_scan(journal, i, 0, err))
        return false;
    if (segment->generation > journal->generation)
        journal->generation = segment->generation;
    /* What it held, and perhaps was used with the next number, must never fit again. */
    if (segment->generation == 0)
        journal->generation += SKIPPED;
    atomic_store(&segment->made,
                 segment->generation > 0 || segment->bytes == journal->segment_bytes);
    damage->records = segment->records;
    return true;
}

/* ---- one after the other ---- */

static void find_current(struct vt_journal *journal)
{
    const struct segment *a = &journal->segments[0], *b = &journal->segments[1];

    journal->current = b->generation > a->generation;
    journal->last = a->last > b->last ? a->last : b->last;
}

/* Behind a damaged header lies what a use before the last left: it was released. */
static bool is_stale(const struct segment *older, const struct segment *current)
{
    return older->damaged && older->generation + 1 < current->generation;
}

static bool compare_ends(struct vt_journal *journal, struct vt_err *err)
{
    int i = !journal->current;
    struct segment *older = &journal->segments[i], *current = &journal->segments[journal->current];

    if (older->generation == 0 || current->generation == 0 || older->last == current->first)
        return true;
    if (is_stale(older, current)) {
        older->generation = 0;
        noted(journal, i)->records = 0;
        return true;
    }
    struct vt_journal_damage *damage =
        note(journal, i, "the other segment does not begin where it ends", err);
    if (!damage)
        return false;
    if (current->first > older->last && !vt_journal_scan(journal, i, current->first, err))
        return false;
    damage->records = older->records;
    uint64_t wanted = current->first > older->first ? current->first - older->first : 0;
    damage->missing = wanted > older->records ? wanted - older->records : 0;
    if (damage->missing > 0 && older->gap == 0)
        older->gap = older->last + 1;
    damage->first_missing = older->gap;
    return true;
}

/* Of the segment written last, where no other follows: a record that was synced, and does not fit
 * any more, hides those behind it. */
static bool look_behind_the_end(struct vt_journal *journal, struct vt_err *err)
{
    struct segment *current = &journal->segments[journal->current];
    uint64_t until = 0;

    if (current->generation == 0 || !vt_journal_prove(journal, journal->current, &until, err))
        return err->code == VT_OK;
    if (until == 0)
        return true;
    struct vt_journal_damage *damage =
        note(journal, journal->current, "records in it do not fit", err);
    if (!damage || !vt_journal_scan(journal, journal->current, until, err))
        return false;
    damage->records = current->records;
    damage->missing = current->last - current->first - current->records;
    damage->first_missing = current->gap;
    journal->last = current->last;
    return true;
}

bool vt_journal_mend(struct vt_journal *journal, struct vt_err *err)
{
    for (int i = 0; i < 2; i++)
        if (journal->segments[i].damaged && !mend_header(journal, i, err))
            return false;
    find_current(journal);
    if (!compare_ends(journal, err) || !look_behind_the_end(journal, err))
        return false;
    for (int i = 0; i < 2; i++)
        if (journal->segments[i].damaged && journal->segments[i].generation == 0 &&
            atomic_load(&journal->segments[i].made) && !vt_journal_write_empty(journal, i, err))
            return false;
    return true;
}

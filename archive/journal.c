/* Writing segments. One is a header block and records, each aligned to 8 bytes:
 *
 *   header  magic, generation (0: empty), highest generation ever used, sequence before its first
 * record, size, checksum; 4096 bytes record  size of body, kind, how many before it were not synced
 * yet, sequence, checksum; body
 *
 * The generation seeds every checksum, so what an earlier use left behind never fits. Numbers are
 * in the machine's own byte order: a journal does not travel, a backup has none. */
#include "archive/journal_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#define XXH_STATIC_LINKING_ONLY /* the state on the stack */
#include <xxhash.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"

void vt_journal_path(const struct vt_journal *journal, int i, char out[static PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%d", journal->folder, i);
}

uint64_t vt_journal_align(uint64_t size)
{
    return (size + 7) & ~UINT64_C(7);
}

static uint64_t header_checksum(const struct header *header)
{
    return XXH3_64bits(header, offsetof(struct header, checksum));
}

uint64_t vt_journal_checksum(const struct record *record, uint64_t generation, const void *head,
                             size_t head_size, const void *tail, size_t tail_size)
{
    XXH3_state_t state;

    XXH3_INITSTATE(&state); /* else a seed left on the stack by the call before passes for one that
                               was set up */
    XXH3_64bits_reset_withSeed(&state, generation);
    XXH3_64bits_update(&state, record, offsetof(struct record, checksum));
    if (head_size > 0)
        XXH3_64bits_update(&state, head, head_size);
    if (tail_size > 0)
        XXH3_64bits_update(&state, tail, tail_size);
    return XXH3_64bits_digest(&state);
}

/* Writes zeros without going through the page cache where that can be: a first start should not
 * warm 32 MiB. Nothing relies on them before the first records of the segment are synced, and that
 * sync of the same file covers them. */
static bool fill_with_zeros(int fd, uint64_t bytes, const char *path, struct vt_err *err)
{
    vt_autofree void *zeros = NULL;

    if (posix_memalign(&zeros, 4096, ZERO_BLOCK) != 0)
        return vt_fail(err, VT_E_NOMEM, "no memory for %s", path);
    memset(zeros, 0, ZERO_BLOCK);
    bool direct = fcntl(fd, F_SETFL, O_DIRECT) == 0;
    for (uint64_t at = 0; at < bytes;) {
        size_t size = bytes - at < ZERO_BLOCK ? (size_t)(bytes - at) : ZERO_BLOCK;
        struct vt_err wrong = { 0 };
        if (vt_io_pwrite(fd, zeros, size, at, path, &wrong)) {
            at += size;
            continue;
        }
        if (!direct || wrong.code == VT_E_FULL) {
            *err = wrong;
            return false;
        }
        direct = false;
        fcntl(fd, F_SETFL, 0);
    }
    fcntl(fd, F_SETFL, 0);
    return true;
}

static bool make_segment(struct vt_journal *journal, int i, struct vt_err *err)
{
    struct segment *segment = &journal->segments[i];
    char path[PATH_MAX];

    vt_journal_path(journal, i, path);
    if (ftruncate(segment->fd, 0) < 0)
        return vt_fail_errno(err, "making %s", path);
    if (!fill_with_zeros(segment->fd, journal->segment_bytes, path, err))
        return false;
    segment->bytes = journal->segment_bytes;
    atomic_store(&segment->made, true);
    return true;
}

/* A segment in its full size had its name synced before it was filled. */
static bool sync_names(struct vt_journal *journal, struct vt_err *err)
{
    if (atomic_load(&journal->segments[0].made) && atomic_load(&journal->segments[1].made))
        return true;
    vt_autoclose folder = open(journal->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return vt_fail_errno(err, "%s", journal->folder);
    return vt_io_sync_folder(folder, journal->folder, err);
}

static bool is_blank(const uint8_t block[static HEADER_SIZE])
{
    return block[0] == 0 && memcmp(block, block + 1, HEADER_SIZE - 1) == 0;
}

/* A blank header means empty: it is written together with the first group of its first use, and
 * nobody was answered before both were synced. One that is neither blank nor whole is damaged,
 * since all of it lies in one sector. */
static bool read_header(struct vt_journal *journal, int i, struct vt_err *err)
{
    struct segment *segment = &journal->segments[i];
    uint8_t block[HEADER_SIZE] = { 0 };
    struct header header;
    char path[PATH_MAX];

    vt_journal_path(journal, i, path);
    if (segment->bytes >= sizeof block &&
        !vt_io_pread(segment->fd, block, sizeof block, 0, path, err))
        return false;
    memcpy(&header, block, sizeof header);
    bool whole = header.magic == MAGIC && header.checksum == header_checksum(&header) &&
                 header.bytes == segment->bytes;
    segment->damaged = !whole && !is_blank(block);
    if (!whole)
        return true;
    segment->generation = header.generation;
    segment->first = segment->last = header.sequence;
    if (header.highest > journal->generation)
        journal->generation = header.highest;
    return true;
}

static bool read_segment(struct vt_journal *journal, int i, struct vt_err *err)
{
    struct segment *segment = &journal->segments[i];
    struct stat info;
    char path[PATH_MAX];

    vt_journal_path(journal, i, path);
    segment->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (segment->fd < 0 || fstat(segment->fd, &info) < 0)
        return vt_fail_errno(err, "%s", path);
    segment->bytes = (uint64_t)info.st_size;
    segment->begin = segment->end = HEADER_SIZE;
    if (!read_header(journal, i, err))
        return false;
    bool usable = segment->bytes == journal->segment_bytes || segment->generation > 0;
    atomic_store(&segment->made, usable);
    return vt_journal_scan(journal, i, 0, err);
}

struct vt_journal *vt_journal_open(const char *folder, uint64_t segment_bytes, struct vt_err *err)
{
    VT_AUTO(vt_journal) journal = calloc(1, sizeof *journal);

    if (!journal) {
        vt_fail(err, VT_E_NOMEM, "no memory for the journal");
        return NULL;
    }
    journal->segments[0].fd = journal->segments[1].fd = -1;
    journal->segment_bytes = segment_bytes < VT_JOURNAL_SEGMENT_MIN
                                 ? VT_JOURNAL_SEGMENT_MIN
                                 : (segment_bytes + 4095) & ~UINT64_C(4095);
    vt_buf_init(&journal->waiting, WRITE_BUFFER);
    if (strlen(folder) >= sizeof journal->folder) {
        vt_fail(err, VT_E_INVALID, "path is too long: %s", folder);
        return NULL;
    }
    memcpy(journal->folder, folder, strlen(folder) + 1);
    if (!vt_io_make_folder(folder, err) || !read_segment(journal, 0, err) ||
        !read_segment(journal, 1, err) || !sync_names(journal, err) ||
        !vt_journal_mend(journal, err))
        return NULL;
    if (!atomic_load(&journal->segments[journal->current].made) &&
        !make_segment(journal, journal->current, err))
        return NULL;
    journal->waiting_at = journal->segments[journal->current].end;
    return vt_take(&journal);
}

bool vt_journal_prepare(struct vt_journal *journal, struct vt_err *err)
{
    for (int i = 0; i < 2; i++)
        if (!atomic_load(&journal->segments[i].made) && !make_segment(journal, i, err))
            return false;
    return true;
}

void vt_journal_free(struct vt_journal *journal)
{
    if (!journal)
        return;
    for (int i = 0; i < 2; i++)
        if (journal->segments[i].fd >= 0)
            close(journal->segments[i].fd);
    vt_buf_fini(&journal->waiting);
    free(journal);
}

/* ---- writing ---- */

static bool broken(struct vt_journal *journal, struct vt_err *err)
{
    journal->broken = true;
    return vt_fail_context(err, "the journal takes nothing more");
}

bool vt_journal_write(struct vt_journal *journal, struct vt_err *err)
{
    char path[PATH_MAX];

    if (journal->broken)
        return vt_fail(err, VT_E_IO, "the journal failed before");
    if (journal->waiting.size == 0)
        return true;
    vt_journal_path(journal, journal->current, path);
    if (!vt_io_pwrite(journal->segments[journal->current].fd, journal->waiting.data,
                      journal->waiting.size, journal->waiting_at, path, err))
        return broken(journal, err);
    journal->waiting_at += journal->waiting.size;
    vt_buf_reset(&journal->waiting);
    journal->unsynced = true;
    return true;
}

bool vt_journal_sync(struct vt_journal *journal, struct vt_err *err)
{
    char path[PATH_MAX];

    if (!vt_journal_write(journal, err))
        return false;
    if (!journal->unsynced)
        return true;
    vt_journal_path(journal, journal->current, path);
    if (!vt_io_sync_data(journal->segments[journal->current].fd, path, err))
        return broken(journal, err);
    journal->unsynced = false;
    journal->synced = journal->last;
    return true;
}

static bool put(struct vt_journal *journal, const void *bytes, size_t size, struct vt_err *err)
{
    char path[PATH_MAX];

    if (size > journal->waiting.limit - journal->waiting.size && !vt_journal_write(journal, err))
        return false;
    if (size <= journal->waiting.limit)
        return vt_buf_append(&journal->waiting, bytes, size, err);
    vt_journal_path(journal, journal->current, path);
    if (!vt_io_pwrite(journal->segments[journal->current].fd, bytes, size, journal->waiting_at,
                      path, err))
        return false;
    journal->waiting_at += size;
    journal->unsynced = true;
    return true;
}

/* The segment begins a new use: its header goes out with its first records. */
static bool begin_segment(struct vt_journal *journal, int i, struct vt_err *err)
{
    struct segment *segment = &journal->segments[i];
    uint8_t block[HEADER_SIZE] = { 0 };
    struct header header = { .magic = MAGIC,
                             .generation = journal->generation + 1,
                             .highest = journal->generation + 1,
                             .sequence = journal->last,
                             .bytes = segment->bytes };

    header.checksum = header_checksum(&header);
    memcpy(block, &header, sizeof header);
    journal->current = i;
    journal->waiting_at = 0;
    if (!put(journal, block, sizeof block, err))
        return false;
    segment->generation = ++journal->generation;
    segment->first = segment->last = journal->last;
    segment->begin = segment->end = HEADER_SIZE;
    return true;
}

/* Bytes of the smaller segment: sizes differ after a change of the configuration. */
static uint64_t smaller(const struct vt_journal *journal)
{
    uint64_t bytes = journal->segment_bytes;

    for (int i = 0; i < 2; i++)
        if (atomic_load(&journal->segments[i].made) && journal->segments[i].bytes < bytes)
            bytes = journal->segments[i].bytes;
    return bytes;
}

/* Makes room for `total` bytes: in the current segment, or by turning to the other one. */
static bool find_room(struct vt_journal *journal, uint64_t total, enum vt_record kind,
                      struct vt_err *err)
{
    struct segment *segment = &journal->segments[journal->current];
    uint64_t reserve = kind == VT_RECORD_ABORT ? 0 : VT_JOURNAL_RESERVE;

    if (total + reserve > smaller(journal) - HEADER_SIZE)
        return vt_fail(err, VT_E_LIMIT,
                       "a journal record of %llu bytes does not fit a segment of %llu",
                       (unsigned long long)total, (unsigned long long)smaller(journal));
    if (segment->generation == 0)
        return begin_segment(journal, journal->current, err);
    if (segment->end + total + reserve <= segment->bytes)
        return true;
    const struct segment *other = &journal->segments[!journal->current];
    if (!atomic_load(&other->made) || other->generation != 0)
        return vt_fail(err, VT_E_FULL, "both segments of the journal are in use");
    return vt_journal_sync(journal, err) && begin_segment(journal, !journal->current, err);
}

bool vt_journal_append(struct vt_journal *journal, enum vt_record kind, const void *head,
                       size_t head_size, const void *tail, size_t tail_size, uint64_t *out_sequence,
                       struct vt_err *err)
{
    static const uint8_t zeros[8];
    uint64_t size = (uint64_t)head_size + tail_size,
             total = vt_journal_align(sizeof(struct record) + size);

    if (journal->broken)
        return vt_fail(err, VT_E_IO, "the journal failed before");
    if (!find_room(journal, total, kind, err))
        return false;

    struct segment *segment = &journal->segments[journal->current];
    uint64_t unsynced = journal->last + 1 - journal->synced;
    struct record record = { .size = (uint32_t)size,
                             .kind = (uint16_t)kind,
                             .unsynced = unsynced <= UINT16_MAX ? (uint16_t)unsynced : 0,
                             .sequence = journal->last + 1 };
    size_t padding = (size_t)(total - sizeof record - size);
    record.checksum =
        vt_journal_checksum(&record, segment->generation, head, head_size, tail, tail_size);
    /* Half a record in the buffer could not be taken back: make room for all of it first, or break.
     */
    if (journal->waiting.size + total > journal->waiting.limit && !vt_journal_write(journal, err))
        return false;
    if (total <= journal->waiting.limit && !vt_buf_reserve(&journal->waiting, (size_t)total, err))
        return false;
    if (!put(journal, &record, sizeof record, err) || !put(journal, head, head_size, err) ||
        !put(journal, tail, tail_size, err) || !put(journal, zeros, padding, err))
        return broken(journal, err);
    segment->end += total;
    segment->last = journal->last = record.sequence;
    *out_sequence = record.sequence;
    return true;
}

/* ---- release ---- */

uint64_t vt_journal_to_release(struct vt_journal *journal)
{
    const struct segment *older = &journal->segments[!journal->current];

    return older->generation > 0 ? older->last : 0;
}

bool vt_journal_write_empty(struct vt_journal *journal, int i, struct vt_err *err)
{
    struct segment *segment = &journal->segments[i];
    struct header header = { .magic = MAGIC,
                             .highest = journal->generation,
                             .sequence = journal->last,
                             .bytes = segment->bytes };
    char path[PATH_MAX];

    vt_journal_path(journal, i, path);
    header.checksum = header_checksum(&header);
    if (!vt_io_pwrite(segment->fd, &header, sizeof header, 0, path, err) ||
        !vt_io_sync_data(segment->fd, path, err))
        return broken(journal, err);
    segment->generation = 0;
    segment->damaged = segment->holes = false;
    segment->first = segment->last = journal->last;
    segment->begin = segment->end = HEADER_SIZE;
    return true;
}

bool vt_journal_release(struct vt_journal *journal, struct vt_err *err)
{
    if (vt_journal_to_release(journal) == 0)
        return true;
    return vt_journal_write_empty(journal, !journal->current, err);
}

bool vt_journal_empty(struct vt_journal *journal, struct vt_err *err)
{
    if (!vt_journal_write(journal, err) || !vt_journal_release(journal, err))
        return false;
    if (journal->segments[journal->current].generation > 0 &&
        !vt_journal_write_empty(journal, journal->current, err))
        return false;
    journal->unsynced = false;
    journal->synced = journal->last;
    return true;
}

uint64_t vt_journal_last(const struct vt_journal *journal)
{
    return journal->last;
}

void vt_journal_continue(struct vt_journal *journal, uint64_t sequence)
{
    if (vt_journal_is_empty(journal) && sequence > journal->last)
        journal->last = sequence;
}

bool vt_journal_is_empty(const struct vt_journal *journal)
{
    return journal->segments[0].generation == 0 && journal->segments[1].generation == 0;
}

void vt_journal_usage(const struct vt_journal *journal, uint64_t *out_used, uint64_t *out_room)
{
    *out_used = *out_room = 0;
    for (int i = 0; i < 2; i++) {
        *out_used +=
            journal->segments[i].generation > 0 ? journal->segments[i].end - HEADER_SIZE : 0;
        *out_room += journal->segment_bytes - HEADER_SIZE;
    }
}

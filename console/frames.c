#include "console/frames.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/io.h"
#include "dicom/element.h"
#include "dicom/header.h"

enum { PREFIX_MAX = 64 << 20, ITEM_HEADER = 8 };
#define FRAME_MAX (UINT64_C(1) << 30)

struct slot {
    struct vt_frames frames;
    unsigned users;
    uint64_t used; /* the clock of uses */
    bool there, stale;
};

struct vt_frame_cache {
    struct vt_archive *archive;
    pthread_mutex_t lock; /* guards what follows */
    struct slot *slots[VT_FRAME_CACHE];
    uint64_t clock;
};

struct vt_frame_cache *vt_frame_cache_new(struct vt_archive *archive)
{
    struct vt_frame_cache *cache = calloc(1, sizeof *cache);

    if (!cache)
        return NULL;
    cache->archive = archive;
    pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

static void slot_free(struct slot *slot)
{
    if (!slot)
        return;
    if (slot->frames.fd >= 0)
        close(slot->frames.fd);
    vt_buf_fini(&slot->frames.table);
    free(slot);
}

void vt_frame_cache_free(struct vt_frame_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < VT_FRAME_CACHE; i++)
        slot_free(cache->slots[i]);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* ---- learning where frames lie ---- */

/* Bytes of the pixel data element's own header. */
static uint64_t element_header(const struct vt_transfer_syntax *syntax)
{
    return syntax->encoding == VT_IMPLICIT_LE ? 8 : 12;
}

/* What the attributes before the pixel data say of the number of frames. */
static bool count_frames(struct slot *slot, const struct vt_stored *stored, const struct vt_transfer_syntax *syntax,
                         struct vt_err *err)
{
    VT_AUTO_BUF(prefix, PREFIX_MAX);
    struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;
    struct vt_element element;
    int64_t number = 1, bits = 8;
    uint64_t size = stored->entry.pixel_offset - element_header(syntax);

    if (stored->entry.pixel_offset < element_header(syntax) || size > PREFIX_MAX)
        return vt_fail(err, VT_E_LIMIT, "its attributes are too long to be read");
    if (!vt_buf_reserve(&prefix, (size_t)size, err) ||
        !vt_io_pread(stored->fd, prefix.data, (size_t)size, stored->data_set_offset, stored->entry.file, err) ||
        !vt_element_check(prefix.data, (size_t)size, syntax->encoding, &limits, err))
        return false;
    if (vt_element_find(prefix.data, (size_t)size, syntax->encoding, VT_TAG_NUMBER_OF_FRAMES, &element))
        vt_element_number(&element, syntax->encoding, &number);
    if (vt_element_find(prefix.data, (size_t)size, syntax->encoding, VT_TAG_BITS_ALLOCATED, &element))
        vt_element_number(&element, syntax->encoding, &bits);
    slot->frames.count = number > 0 && number <= VT_HEADER_FRAMES_MAX && bits >= 8 ? (size_t)number : 1;
    return true;
}

static bool learn(struct vt_frame_cache *cache, struct slot *slot, const struct vt_index_entry *entry,
                  struct vt_err *err)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(entry->transfer_syntax);
    struct vt_frames *frames = &slot->frames;
    struct vt_stored stored;

    if (!entry->has_pixels)
        return vt_fail(err, VT_E_NOTFOUND, "the instance has no frames");
    if (!syntax || syntax->encoding == VT_DEFLATED_LE)
        return vt_fail(err, VT_E_UNSUPPORTED, "frames of this transfer syntax are not told apart");
    if (!vt_archive_open_instance(cache->archive, entry, &stored, err))
        return false;
    vt_archive_accessed(cache->archive, entry);
    frames->entry = stored.entry;
    frames->encapsulated = syntax->encapsulated;
    vt_buf_init(&frames->table, VT_FRAMES_BYTES_MAX);
    bool ok = count_frames(slot, &stored, syntax, err);
    if (ok && syntax->encapsulated) {
        size_t count = 1;
        ok = vt_index_frames(vt_archive_index(cache->archive), entry->sop_uid, &frames->table, err);
        if (ok && frames->table.size > 0 && vt_frames_count(frames->table.data, frames->table.size, &count))
            frames->count = count;
        else if (ok && frames->count > 1)
            ok = vt_fail(err, VT_E_UNSUPPORTED, "its fragments could not be told apart into frames");
    }
    frames->frame_size = frames->encapsulated ? 0 : entry->pixel_length / frames->count;
    frames->fd = dup(stored.fd);
    vt_stored_close(&stored);
    return ok && (frames->fd >= 0 || vt_fail_errno(err, "opening an instance"));
}

/* ---- the cache ---- */

static bool same_version(const struct vt_index_entry *a, const struct vt_index_entry *b)
{
    return a->version == b->version && a->file_size == b->file_size && strcmp(a->file, b->file) == 0 &&
           memcmp(&a->data_set_digest, &b->data_set_digest, sizeof a->data_set_digest) == 0;
}

/* Holds the lock. What is there in an older version goes when nobody uses it. */
static struct slot *find(struct vt_frame_cache *cache, const struct vt_index_entry *entry)
{
    for (size_t i = 0; i < VT_FRAME_CACHE; i++) {
        struct slot *slot = cache->slots[i];
        if (!slot || strcmp(slot->frames.entry.sop_uid, entry->sop_uid) != 0)
            continue;
        if (same_version(&slot->frames.entry, entry))
            return slot;
        slot->stale = true;
        cache->slots[i] = NULL;
        if (slot->users == 0)
            slot_free(slot);
    }
    return NULL;
}

/* Holds the lock. In the place of the one that was used longest ago; when all are in use, in none. */
static void keep(struct vt_frame_cache *cache, struct slot *slot)
{
    size_t best = VT_FRAME_CACHE;

    for (size_t i = 0; i < VT_FRAME_CACHE; i++) {
        if (!cache->slots[i]) {
            best = i;
            break;
        }
        if (cache->slots[i]->users == 0 &&
            (best == VT_FRAME_CACHE || cache->slots[i]->used < cache->slots[best]->used))
            best = i;
    }
    slot->stale = best == VT_FRAME_CACHE;
    if (slot->stale)
        return;
    slot_free(cache->slots[best]);
    cache->slots[best] = slot;
}

static bool look_up(struct vt_frame_cache *cache, const char *study_uid, const char *series_uid, const char *sop_uid,
                    struct vt_index_entry *out, struct vt_err *err)
{
    bool found = false;

    if (!vt_index_lookup(vt_archive_index(cache->archive), sop_uid, out, &found, err))
        return false;
    if (found && (!study_uid || strcmp(study_uid, out->study_uid) == 0) &&
        (!series_uid || strcmp(series_uid, out->series_uid) == 0))
        return true;
    return vt_fail(err, VT_E_NOTFOUND, "There is no such instance.");
}

const struct vt_frames *vt_frames_get(struct vt_frame_cache *cache, const char *study_uid, const char *series_uid,
                                      const char *sop_uid, struct vt_err *err)
{
    struct vt_index_entry entry;

    if (!look_up(cache, study_uid, series_uid, sop_uid, &entry, err))
        return NULL;
    pthread_mutex_lock(&cache->lock);
    struct slot *slot = find(cache, &entry);
    if (slot) {
        slot->users++;
        slot->used = ++cache->clock;
    }
    pthread_mutex_unlock(&cache->lock);
    if (slot)
        return &slot->frames;
    slot = calloc(1, sizeof *slot);
    if (!slot) {
        vt_fail(err, VT_E_NOMEM, "no memory for an instance");
        return NULL;
    }
    slot->frames.fd = -1;
    if (!learn(cache, slot, &entry, err)) {
        slot_free(slot);
        return NULL;
    }
    pthread_mutex_lock(&cache->lock);
    slot->users = 1;
    slot->used = ++cache->clock;
    keep(cache, slot);
    pthread_mutex_unlock(&cache->lock);
    return &slot->frames;
}

void vt_frames_release(struct vt_frame_cache *cache, const struct vt_frames *frames)
{
    struct slot *slot = (struct slot *)(uintptr_t)frames; /* its first member */

    if (!frames)
        return;
    pthread_mutex_lock(&cache->lock);
    bool over = --slot->users == 0 && slot->stale;
    pthread_mutex_unlock(&cache->lock);
    if (over)
        slot_free(slot);
}

/* ---- reading ---- */

bool vt_frames_attributes(const struct vt_frames *frames, struct vt_buf *out, struct vt_err *err)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(frames->entry.transfer_syntax);
    uint64_t header = syntax ? element_header(syntax) : 12;

    if (frames->entry.pixel_offset < header || frames->entry.pixel_offset > PREFIX_MAX)
        return vt_fail(err, VT_E_LIMIT, "its attributes are too long to be read");
    size_t size = (size_t)(frames->entry.pixel_offset - header);
    if (!vt_buf_reserve(out, size, err) ||
        !vt_io_pread(frames->fd, out->data, size, frames->entry.data_set_offset, frames->entry.file, err))
        return false;
    out->size = size;
    return true;
}

static bool read_at(const struct vt_frames *frames, uint64_t at, uint64_t size, struct vt_buf *out, struct vt_err *err)
{
    if (size > FRAME_MAX)
        return vt_fail(err, VT_E_LIMIT, "a frame of %llu bytes", (unsigned long long)size);
    if (!vt_buf_reserve(out, (size_t)size, err) ||
        !vt_io_pread(frames->fd, out->data + out->size, (size_t)size, frames->entry.data_set_offset + at,
                     frames->entry.file, err))
        return false;
    out->size += (size_t)size;
    return true;
}

static uint32_t length_at(const uint8_t *header)
{
    return (uint32_t)header[4] | (uint32_t)header[5] << 8 | (uint32_t)header[6] << 16 | (uint32_t)header[7] << 24;
}

/* Items from `at` to `end`: their values, one behind the other, in place. */
static bool strip_items(struct vt_buf *out, size_t begin, bool skip_first, struct vt_err *err)
{
    size_t to = begin, from = begin;

    while (from + ITEM_HEADER <= out->size) {
        static const uint8_t item[4] = { 0xfe, 0xff, 0x00, 0xe0 };
        uint32_t length = length_at(out->data + from);
        if (memcmp(out->data + from, item, sizeof item) != 0)
            break; /* the end of the sequence */
        from += ITEM_HEADER;
        if (length > out->size - from)
            return vt_fail(err, VT_E_CORRUPT, "a fragment is longer than its instance");
        if (!skip_first) {
            memmove(out->data + to, out->data + from, length);
            to += length;
        }
        skip_first = false;
        from += length;
    }
    out->size = to;
    return true;
}

bool vt_frames_read(const struct vt_frames *frames, size_t i, struct vt_buf *out, struct vt_err *err)
{
    struct vt_frame frame;
    size_t begin = out->size;

    if (i >= frames->count)
        return vt_fail(err, VT_E_NOTFOUND, "there are %zu frames", frames->count);
    if (!frames->encapsulated)
        return read_at(frames, frames->entry.pixel_offset + frames->frame_size * i, frames->frame_size, out, err);
    if (frames->table.size == 0)
        return read_at(frames, frames->entry.pixel_offset, frames->entry.pixel_length, out, err) &&
               strip_items(out, begin, true, err);
    if (!vt_frames_at(frames->table.data, frames->table.size, i, &frame))
        return vt_fail(err, VT_E_CORRUPT, "the index does not know where frame %zu is", i + 1);
    return read_at(frames, frame.offset, frame.length, out, err) && strip_items(out, begin, false, err);
}

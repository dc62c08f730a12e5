/* One instance against its row: the file is read again from the disk, as it would be after years. */
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "archive/commitment_inside.h"
#include "archive/inside.h"
#include "core/err.h"
#include "core/event.h"

static bool read_all(const struct vt_stored *stored, uint8_t *block, EVP_MD_CTX *sha,
                     struct vt_digest *out)
{
    const uint64_t from = stored->data_set_offset;
    XXH3_state_t state;
    ssize_t got = 0;
    bool ok = true;

    XXH3_128bits_reset(&state);
    /* Not what the page cache believes. */
    posix_fadvise(stored->fd, 0, 0, POSIX_FADV_DONTNEED);
    posix_fadvise(stored->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    for (uint64_t at = 0;
         ok && (got = pread(stored->fd, block, VT_COMMITMENT_BLOCK, (off_t)at)) > 0;
         at += (uint64_t)got) {
        uint64_t skip = at < from ? from - at : 0;
        if (skip < (uint64_t)got)
            XXH3_128bits_update(&state, block + skip, (size_t)((uint64_t)got - skip));
        ok = EVP_DigestUpdate(sha, block, (size_t)got) == 1;
    }
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
    memcpy(out, canonical.digest, sizeof *out);
    return ok && got == 0;
}

static int look_at_file(const struct vt_stored *stored, uint8_t *block,
                        uint8_t out_sha256[static VT_COMMITMENT_SHA256])
{
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    struct vt_digest digest;
    int reason = VT_COMMITMENT_RESOURCES;

    if (sha && EVP_DigestInit_ex(sha, EVP_sha256(), NULL) == 1) {
        bool same = read_all(stored, block, sha, &digest) &&
                    memcmp(&digest, &stored->entry.data_set_digest, sizeof digest) == 0 &&
                    EVP_DigestFinal_ex(sha, out_sha256, NULL) == 1;
        reason = same ? VT_COMMITMENT_DONE : VT_COMMITMENT_PROCESSING;
    }
    EVP_MD_CTX_free(sha);
    return reason;
}

static int reason_of(const struct vt_err *why)
{
    switch (why->code) {
    case VT_E_NOTFOUND:
        return VT_COMMITMENT_NO_INSTANCE;
    case VT_E_CORRUPT:
    case VT_E_IO:
        return VT_COMMITMENT_PROCESSING;
    default:
        return VT_COMMITMENT_RESOURCES;
    }
}

static int reason_of_missing(const char *sop_class)
{
    const struct vt_sop_class *known = vt_sop_class_find(sop_class);

    return known && known->kind != VT_SOP_UNKNOWN && known->kind != VT_SOP_STORAGE
               ? VT_COMMITMENT_NO_CLASS
               : VT_COMMITMENT_NO_INSTANCE;
}

bool vt_commitment_look(struct vt_archive *archive, const char *sop_class, const char *sop_uid,
                        uint8_t *block, struct vt_commitment_look *out, struct vt_err *err)
{
    struct vt_index_entry entry;
    struct vt_stored stored;
    struct vt_err why = { 0 };
    bool found = false;

    *out = (struct vt_commitment_look){ .reason = reason_of_missing(sop_class) };
    if (!vt_index_lookup(vt_archive_index(archive), sop_uid, &entry, &found, err))
        return false;
    if (!found)
        return true;
    out->version = entry.version;
    out->size = entry.file_size;
    if (strcmp(entry.sop_class, sop_class) != 0) {
        out->reason = VT_COMMITMENT_CLASS_CONFLICT;
        return true;
    }
    if (!vt_archive_open_instance(archive, &entry, &stored, &why)) {
        out->reason = reason_of(&why);
        return true;
    }
    out->reason = look_at_file(&stored, block, out->sha256);
    vt_stored_close(&stored);
    if (out->reason == VT_COMMITMENT_PROCESSING)
        vt_events_publish(archive->options.events, "instance.corrupt", sop_uid, NULL);
    return true;
}

/* media/disc.h: an ISO 9660 image (with Rock Ridge or Joliet) or a ZIP file as a stream of files, through libarchive. Nothing is unpacked
 * to disk, no link is followed, and memory does not grow with the size of the file.
 *
 * One thread. Damage ends the walk with an error that says where it was. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_disc;

enum {
    VT_DISC_ENTRIES_MAX = 1 << 20,
    VT_DISC_PATH_MAX = 1024,
    VT_DISC_RATIO_MAX = 200,              /* unpacked bytes of all files for each byte of the disc's file, ... */
    VT_DISC_UNPACKED_FREE = 64 << 20,     /* ... beyond these */
};

enum vt_disc_kind {
    VT_DISC_FILE,
    VT_DISC_REFUSED,    /* a link, a device, a path that leads out, an encrypted file: `why` says it */
};

struct vt_disc_entry {
    char path[VT_DISC_PATH_MAX];      /* relative, UTF-8 as far as the disc's names are */
    enum vt_disc_kind kind;
    const char *why;                  /* static */
};

/* By the first bytes and, for ISO images, those at 32 KiB of the file. */
bool vt_disc_is(const char *path, const uint8_t *head, size_t size);
/* VT_E_UNSUPPORTED: UDF without ISO 9660. */
struct vt_disc *vt_disc_open(const char *path, struct vt_err *err);
void vt_disc_free(struct vt_disc *disc);
VT_DEFINE_AUTO(vt_disc)
/* Folders are passed over. VT_E_LIMIT: too many entries. */
bool vt_disc_next(struct vt_disc *disc, struct vt_disc_entry *out, bool *out_more, struct vt_err *err);
/* Of the file at which the last vt_disc_next stands; *out_got 0: its end. VT_E_LIMIT: it unpacks to far more than it can be. */
bool vt_disc_read(struct vt_disc *disc, void *bytes, size_t room, size_t *out_got, struct vt_err *err);

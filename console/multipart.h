/* console/multipart.h: multipart/related bodies (RFC 2046, RFC 2387): written with a boundary of ours, read with any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

struct vt_err;

enum { VT_BOUNDARY_MAX = 70, VT_PART_HEADERS_MAX = 8 << 10, VT_PARTS_MAX = 100000 };

struct vt_boundary {
    char text[VT_BOUNDARY_MAX + 1];
    bool begun;
};
void vt_boundary_new(struct vt_boundary *boundary);
/* multipart/related; type="..."; boundary=... */
void vt_boundary_type(const struct vt_boundary *boundary, const char *type, char *out, size_t room);
/* What stands before a part; location may be NULL. */
bool vt_boundary_part(struct vt_boundary *boundary, const char *type, const char *location, struct vt_buf *out,
                      struct vt_err *err);
bool vt_boundary_end(const struct vt_boundary *boundary, struct vt_buf *out, struct vt_err *err);

/* Reads a body that comes in pieces of any size. Callbacks return false to stop. */
struct vt_multipart {
    bool (*begin)(void *context, const char *content_type, const char *content_location, struct vt_err *err);
    bool (*bytes)(void *context, const uint8_t *bytes, size_t size, struct vt_err *err);
    bool (*end)(void *context, struct vt_err *err);
    void *context;

    /* the reader's own */
    char delimiter[VT_BOUNDARY_MAX + 5]; /* CR LF -- boundary */
    size_t delimiter_size;
    int phase;
    struct vt_buf held; /* what may be the begin of a delimiter, or headers */
    size_t parts;
};
/* content_type: of the whole body. VT_E_INVALID: it names no boundary. */
bool vt_multipart_init(struct vt_multipart *reader, const char *content_type, struct vt_err *err);
void vt_multipart_fini(struct vt_multipart *reader);
bool vt_multipart_feed(struct vt_multipart *reader, const uint8_t *bytes, size_t size, struct vt_err *err);
/* VT_E_INVALID: the last delimiter is missing. */
bool vt_multipart_finish(struct vt_multipart *reader, struct vt_err *err);

/* hypervisor/rfb.h: one picture of a screen, by the RFB protocol (RFC 6143), raw encoding.
 *
 * Pure but for the two callbacks of the stream: what the server sends is checked before anything is
 * allocated for it. No password types: a hypervisor's console is authenticated before RFB begins. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_err;

enum { VT_RFB_SIDE_MAX = 8192, VT_RFB_PIXELS_MAX = 32 * 1024 * 1024, VT_RFB_NAME_MAX = 256 };

/* Both move all bytes or fail; the caller sets the time limit. */
struct vt_rfb_stream {
    void *context;
    bool (*read)(void *context, void *bytes, size_t size, struct vt_err *err);
    bool (*write)(void *context, const void *bytes, size_t size, struct vt_err *err);
};

struct vt_rfb_picture {
    uint16_t width, height;
    char name[VT_RFB_NAME_MAX]; /* what the server calls the desktop */
    uint8_t *rgb;               /* three bytes a pixel, rows from the top */
};
void vt_rfb_picture_fini(struct vt_rfb_picture *picture);

/* From the server's greeting to a whole picture. VT_E_PROTOCOL, VT_E_LIMIT, VT_E_UNSUPPORTED (it
 * wants a password), or what the stream says. Release the picture in any case. */
bool vt_rfb_grab(const struct vt_rfb_stream *stream, struct vt_rfb_picture *out,
                 struct vt_err *err);

/* By the end of the path: .png, else .ppm (P6). VT_E_INVALID: neither. */
bool vt_rfb_write(const struct vt_rfb_picture *picture, const char *path, struct vt_err *err);

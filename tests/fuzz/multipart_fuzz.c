/* Any bytes as a multipart body, in pieces of any size: the parts are the same ones, or it is refused with a reason; and any
 * text as an Accept header; any bytes as the begin of a JPEG. */
/* sources: console/multipart.c console/accept.c console/jpeg_head.c core/buf.c core/err.c */
/* max-length: 16400 */
#include <stdlib.h>
#include <string.h>

#include "console/accept.h"
#include "console/jpeg_head.h"
#include "console/multipart.h"
#include "core/err.h"
#include "tests/fuzz/seeds.h"

struct seen {
    size_t begun, ended;
    uint64_t bytes;
};

static bool begin(void *context, const char *type, const char *location, struct vt_err *err)
{
    struct seen *seen = context;

    (void)err;
    if ((type && strlen(type) > VT_PART_HEADERS_MAX) || (location && strlen(location) > VT_PART_HEADERS_MAX) ||
        seen->begun != seen->ended)
        abort();
    seen->begun++;
    return true;
}

static bool take(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct seen *seen = context;

    (void)err;
    if (size > 0 && (!bytes || seen->begun != seen->ended + 1))
        abort();
    seen->bytes += size;
    return true;
}

static bool end(void *context, struct vt_err *err)
{
    struct seen *seen = context;

    (void)err;
    seen->ended++;
    return true;
}

static bool read_in_pieces(const uint8_t *bytes, size_t size, size_t piece, struct seen *seen)
{
    struct vt_multipart reader = { .begin = begin, .bytes = take, .end = end, .context = seen };
    struct vt_err err = { 0 };
    bool ok = vt_multipart_init(&reader, "multipart/related; boundary=xyz", &err);

    for (size_t at = 0; ok && at < size; at += piece)
        ok = vt_multipart_feed(&reader, bytes + at, size - at < piece ? size - at : piece, &err);
    ok = ok && vt_multipart_finish(&reader, &err);
    if (ok != (err.code == VT_OK) || (ok && seen->begun != seen->ended))
        abort();
    vt_multipart_fini(&reader);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct seen whole = { 0 }, pieces = { 0 };
    struct vt_accept accept;

    if (size == 0)
        return 0;
    bool ok = read_in_pieces(bytes + 1, size - 1, size, &whole);
    if (read_in_pieces(bytes + 1, size - 1, 1 + bytes[0] % 40, &pieces) != ok)
        abort();
    if (ok && (pieces.begun != whole.begun || pieces.bytes != whole.bytes))
        abort();
    struct vt_jpeg_head head;
    if (vt_jpeg_head_read(bytes, size, &head) && (!head.transfer_syntax || !head.photometric || head.precision - 1 > 15))
        abort();
    char *text = strndup((const char *)bytes, size);
    if (!text)
        return 0;
    vt_accept_read(text, &accept);
    if (accept.count > VT_ACCEPT_MAX)
        abort();
    for (size_t i = 0; i < accept.count; i++)
        vt_media_takes(&accept.ranges[i], "image/jpeg");
    free(text);
    return 0;
}

static void vt_fuzz_seeds(const char *directory)
{
    static const char body[] = " --xyz\r\nContent-Type: application/dicom\r\nContent-Location: /a\r\n\r\nDICM\r\n--xyz\r\n\r\n\r\n--xyz--\r\n",
                      accept[] = "multipart/related; type=\"image/jpeg\"; transfer-syntax=*; q=0.5, */*";

    static const char jpeg[] = "\xff\xd8\xff\xc0\0\x11\x08\0\1\0\1\3\1\x22\0\2\x11\1\3\x11\1\xff\xda\0\x0c\3\1\0\2\x11\3\x11\0\x3f\0";

    vt_fuzz_seed(directory, "jpeg", jpeg, sizeof jpeg - 1);
    vt_fuzz_seed(directory, "body", body, sizeof body - 1);
    vt_fuzz_seed(directory, "accept", accept, sizeof accept - 1);
}

/* Any bytes as a data set that streams by: in one piece or in many, the answer and all that was learnt are the same. */
/* sources: dicom/header.c dicom/header_frames.c dicom/inflate.c dicom/part10.c dicom/scan.c dicom/element.c */
/* sources: core/buf.c core/err.c core/io.c */
/* libs: libxxhash zlib */
/* max-length: 4096 */
#include "tests/fuzz/dictionary.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "dicom/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool read_in(struct vt_header *header, enum vt_encoding encoding, const uint8_t *bytes, size_t size,
                    size_t piece, struct vt_err *err)
{
    bool ok = true;

    vt_header_reset(header, encoding, false, NULL);
    for (size_t at = 0; at < size; at += piece)
        ok = vt_header_feed(header, bytes + at, size - at < piece ? size - at : piece, err) && ok;
    return vt_header_finish(header, err) && ok;
}

static void must(bool right)
{
    if (!right)
        abort();
}

static void compare(const struct vt_header *a, const struct vt_header *b, bool ok)
{
    struct vt_digest all_a, all_b, pixels_a, pixels_b;
    struct vt_element x, y;
    size_t frames_a, frames_b;

    vt_header_digests(a, &all_a, &pixels_a);
    vt_header_digests(b, &all_b, &pixels_b);
    must(memcmp(&all_a, &all_b, sizeof all_a) == 0);
    if (!ok)
        return;
    must(memcmp(&pixels_a, &pixels_b, sizeof pixels_a) == 0);
    for (size_t i = 0; vt_header_at(a, i, &x); i++) {
        must(vt_header_at(b, i, &y) && x.tag == y.tag && x.length == y.length);
        must(x.length == 0 || memcmp(x.value, y.value, (size_t)x.length) == 0);
    }
    const struct vt_frame *one = vt_header_frames(a, &frames_a), *two = vt_header_frames(b, &frames_b);
    must(frames_a == frames_b && (frames_a == 0 || memcmp(one, two, frames_a * sizeof *one) == 0));
    for (size_t i = 0; i < frames_a; i++)
        must(one[i].offset + one[i].length <= vt_header_size(a));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct vt_header *whole, *parts;
    struct vt_err a = { 0 }, b = { 0 };
    struct vt_part10 part10;

    if (size < 2)
        return 0;
    if (!whole) {
        whole = vt_header_new();
        parts = vt_header_new();
    }
    enum vt_encoding encoding = (enum vt_encoding)(bytes[0] % 4);
    size_t piece = bytes[1] % 64 + 1u;
    vt_part10_read(bytes + 2, size - 2, &part10, &a);
    a = (struct vt_err){ 0 };
    bool ok = read_in(whole, encoding, bytes + 2, size - 2, size, &a);
    must(ok == (a.code == VT_OK) && (ok || a.dimse_status != 0));
    must(read_in(parts, encoding, bytes + 2, size - 2, piece, &b) == ok);
    must(a.code == b.code && a.dimse_status == b.dimse_status);
    if (encoding != VT_DEFLATED_LE)
        compare(whole, parts, ok);
    return 0;
}

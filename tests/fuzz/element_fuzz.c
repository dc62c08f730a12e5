/* Any bytes as a data set in memory: what passes the check can be walked to its last item and written again, and what
 * was written as explicit passes too. */
/* sources: dicom/element.c dicom/element_write.c dicom/scan.c core/buf.c core/err.c */
/* max-length: 4096 */
#include "tests/fuzz/dictionary.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void look(const struct vt_element *element, enum vt_encoding encoding)
{
    char text[16];
    int64_t number;

    vt_element_text(element, text, sizeof text);
    vt_element_number(element, encoding, &number);
}

static void walk(const uint8_t *bytes, size_t size, enum vt_encoding encoding, struct vt_writer *w)
{
    struct vt_walk walk, items, inner;
    struct vt_element element, item, nested;
    struct vt_err err = { 0 };
    bool more = true;

    vt_walk_init(&walk, bytes, size, encoding);
    while (vt_walk_next(&walk, &element, &more, &err) && more) {
        look(&element, encoding);
        if (!vt_write_element(w, &element, encoding, &err))
            return;
        if (strcmp(element.vr, "SQ") != 0)
            continue;
        vt_walk_items(&items, &element, encoding);
        while (vt_walk_next(&items, &item, &more, &err) && more) {
            vt_walk_item(&inner, &item, encoding);
            while (vt_walk_next(&inner, &nested, &more, &err) && more)
                look(&nested, encoding);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct vt_element_limits limits = { 8, 1000, 1 << 20 };
    struct vt_err err = { 0 };
    struct vt_buf again = { .limit = 1 << 20 };

    if (size == 0)
        return 0;
    enum vt_encoding encoding = (enum vt_encoding)(bytes[0] % 3);
    struct vt_writer w = { &again, bytes[0] & 4 ? VT_EXPLICIT_LE : VT_IMPLICIT_LE };
    if (!vt_element_check(bytes + 1, size - 1, encoding, &limits, &err)) {
        if (err.code == VT_OK || err.dimse_status == 0)
            abort();
        walk(bytes + 1, size - 1, encoding, &w);     /* unchecked bytes must do no harm either */
    } else {
        walk(bytes + 1, size - 1, encoding, &w);
        struct vt_err second = { 0 };
        /* Implicit, a lie about a VR is lost and the dictionary decides: no promise there. */
        if (w.encoding == VT_EXPLICIT_LE && !vt_element_check(again.data, again.size, w.encoding, NULL, &second))
            abort();
    }
    vt_buf_fini(&again);
    return 0;
}

/* Any bytes as frames of a browser: what is taken lies inside them, a message's pieces follow each other, and bytes that come one by
 * one give the same frames. */
/* sources: console/websocket.c core/err.c */
/* max-length: 70000 */
#include <stdlib.h>
#include <string.h>

#include "console/websocket.h"
#include "core/err.h"
#include "tests/fuzz/seeds.h"

struct seen {
    size_t frames, bytes;
    unsigned sum;
    enum vt_code code;
};

static void look_at(const struct vt_ws_frame *frame, const uint8_t *bytes, size_t size, struct seen *seen)
{
    if (frame->payload < bytes || frame->payload + frame->size > bytes + size || frame->size > VT_WS_PAYLOAD_MAX ||
        (frame->opcode >= VT_WS_CLOSE && (!frame->last || frame->size > VT_WS_CONTROL_MAX)))
        abort();
    seen->frames++;
    seen->bytes += frame->size;
    for (size_t i = 0; i < frame->size; i++)
        seen->sum = seen->sum * 31 + frame->payload[i];
}

/* step: so many bytes are there at first, then so many more. */
static struct seen take_all(const uint8_t *given, size_t size, size_t step)
{
    uint8_t *bytes = malloc(size + 1);
    struct seen seen = { .code = VT_OK };
    struct vt_err err = { 0 };
    size_t at = 0, have = step < size ? step : size, used;
    bool inside = false;

    if (!bytes)
        return seen;
    memcpy(bytes, given, size);
    for (;;) {
        struct vt_ws_frame frame;
        if (!vt_ws_take(bytes + at, have - at, &inside, &frame, &used, &err))
            break;
        if (used > have - at)
            abort();
        if (used > 0)
            look_at(&frame, bytes + at, used, &seen);
        at += used;
        if (used == 0 && have == size)
            break;
        if (used == 0)
            have = size - have < step ? size : have + step;
    }
    if (vt_failed(&err) && err.code != VT_E_PROTOCOL && err.code != VT_E_LIMIT)
        abort();
    seen.code = err.code;
    free(bytes);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct seen whole = take_all(bytes, size, size + 1), pieces = take_all(bytes, size, 1 + (size ? bytes[0] % 7 : 0));

    if (whole.frames != pieces.frames || whole.bytes != pieces.bytes || whole.sum != pieces.sum || whole.code != pieces.code)
        abort();
    return 0;
}

static void vt_fuzz_seeds(const char *directory)
{
    static const uint8_t binary[] = { 0x82, 0x83, 1, 2, 3, 4, 'a', 'b', 'c' }, parts[] = { 0x02, 0x81, 1, 2, 3, 4, 'a', 0x89, 0x80, 0, 0, 0, 0,
                                                                                          0x80, 0x80, 9, 9, 9, 9 },
                         longer[] = { 0x82, 0xfe, 0, 0x7e, 1, 2, 3, 4 };

    vt_fuzz_seed(directory, "binary", (const char *)binary, sizeof binary);
    vt_fuzz_seed(directory, "parts", (const char *)parts, sizeof parts);
    vt_fuzz_seed(directory, "longer", (const char *)longer, sizeof longer);
}

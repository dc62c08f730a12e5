/* sources: hypervisor/xmlrpc.c hypervisor/xmlrpc_build.c hypervisor/xmlrpc_read.c */
/* sources: hypervisor/xmlrpc_write.c hypervisor/region.c hypervisor/utf8.c core/err.c core/buf.c */
/* libs: libxml-2.0 */
/* Any bytes as a message: decoded, opened, written again; what was written must be read as the same
 * text. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "hypervisor/xmlrpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void write_message(const struct vt_xmlrpc_message *message, struct vt_buf *out)
{
    struct vt_err err = { 0 };
    struct vt_xmlrpc_writer writer = { .buf = out, .err = &err, .bare_strings = true };

    vt_xmlrpc_put_message(&writer, message);
    if (!vt_xmlrpc_written(&writer) && err.code != VT_E_LIMIT)
        abort();
}

static bool take_item(void *context, const struct vt_xmlrpc_value *item, struct vt_err *err)
{
    struct vt_buf *out = context;
    struct vt_xmlrpc_writer writer = { .buf = out, .err = err, .bare_strings = true };

    vt_buf_reset(out);
    vt_xmlrpc_put_value(&writer, item);
    return vt_xmlrpc_written(&writer);
}

/* In pieces, with the children of "Value" handed out: the same verdict as in one. */
static bool stream(const uint8_t *bytes, size_t size)
{
    static const char *const path[] = { "Value" };
    VT_AUTO_BUF(item, 1 << 22);
    struct vt_err err = { 0 };
    VT_AUTO(vt_xmlrpc_decoder) decoder = vt_xmlrpc_decoder_new(&vt_xmlrpc_limits, &err);

    vt_xmlrpc_decoder_stream(decoder, path, 1, take_item, &item);
    for (size_t at = 0; at < size; at += 7)
        if (!vt_xmlrpc_decoder_push(decoder, bytes + at, size - at < 7 ? size - at : 7, &err))
            return false;
    VT_AUTO(vt_xmlrpc_message) message = vt_xmlrpc_decoder_finish(decoder, &err);
    return message && message->kind != VT_XMLRPC_BARE;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    VT_AUTO_BUF(first, 1 << 22);
    VT_AUTO_BUF(second, 1 << 22);
    struct vt_err err = { 0 };
    struct vt_xapi_failure failure = { 0 };
    VT_AUTO(vt_xmlrpc_message) message = vt_xmlrpc_decode(bytes, size, &err);

    if (stream(bytes, size) != (message != NULL))
        abort();
    if (!message) {
        if (err.code == VT_OK)
            abort();
        return 0;
    }
    vt_xmlrpc_open(message, &failure, &err);
    write_message(message, &first);
    VT_AUTO(vt_xmlrpc_message) again = vt_xmlrpc_decode(first.data, first.size, &err);
    if (!again)
        abort();
    write_message(again, &second);
    if (first.size != second.size || memcmp(first.data, second.data, first.size) != 0)
        abort();
    return 0;
}

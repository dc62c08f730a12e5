/* sources: hypervisor/xmlrpc.c hypervisor/xmlrpc_read.c hypervisor/xmlrpc_write.c hypervisor/arena.c hypervisor/utf8.c core/err.c core/buf.c */
/* libs: libxml-2.0 */
/* Any bytes as a message: decoded, opened, written again; what was written must be read as the same text. */
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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    VT_AUTO_BUF(first, 1 << 22);
    VT_AUTO_BUF(second, 1 << 22);
    struct vt_err err = { 0 };
    struct vt_xapi_failure failure = { 0 };
    VT_AUTO(vt_xmlrpc_message) message = vt_xmlrpc_decode(bytes, size, &err);

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

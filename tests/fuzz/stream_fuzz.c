/* Any bytes as what a peer sends on an open association: commands, data sets, cancels, the end. */
/* sources: dicom/assoc.c dicom/conn.c dicom/pdv_read.c dicom/pdv_send.c dicom/command.c */
/* sources: core/buf.c core/err.c core/clock.c core/io.c */
/* libs: openssl */
/* max-length: 60000 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "dicom/assoc_impl.h"
#include "dicom/wire.h"
#include "tests/fuzz/seeds.h"

void vt_assoc_drop_negotiation(struct vt_assoc *assoc)
{
    (void)assoc;
}

static volatile uint8_t touched;

static bool touch(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    uint64_t *total = context;

    (void)err;
    for (size_t i = 0; i < size; i++)
        touched ^= bytes[i];
    *total += size;
    return true;
}

static struct vt_assoc *open_association(int fd)
{
    struct vt_assoc *assoc = vt_assoc_new(vt_conn_new(fd, NULL));
    struct vt_err err = { 0 };

    if (!assoc || !vt_assoc_make_contexts(assoc, 2, 1, &err))
        abort();
    assoc->context_count = 2;
    assoc->contexts[0].id = 1;
    assoc->contexts[1].id = 3;
    assoc->contexts[1].result = VT_CONTEXT_USER_REJECTION;
    assoc->context_at[0] = 1;
    assoc->context_at[1] = 2;
    return assoc;
}

/* As a server would: data sets in pieces or as identifiers, a look for a cancel after each. */
static void serve(struct vt_assoc *assoc, uint64_t limit)
{
    struct vt_err err = { 0 };
    struct vt_command command;
    enum vt_next next;
    uint8_t context;
    bool cancelled;

    for (unsigned i = 0; vt_assoc_next(assoc, 0, &next, &context, &command, &err); i++) {
        uint64_t total = 0, size = 0;
        VT_AUTO_BUF(identifier, 1000);
        if (next != VT_NEXT_COMMAND)
            return;
        if (context != 1)
            abort();
        if (command.has_data_set && i % 2 && !vt_assoc_read_identifier(assoc, &identifier, &err) &&
            err.code != VT_E_LIMIT)
            break;
        if (command.has_data_set && i % 2 == 0 &&
            !vt_assoc_read_data(assoc, touch, &total, &size, &err))
            break;
        if (total != size || total > limit)
            abort();
        vt_err_clear(&err);
        if (!vt_assoc_cancelled(assoc, command.message_id, &cancelled, &err))
            break;
    }
    if (err.code == VT_OK || err.code == VT_E_TIMEOUT || err.code == VT_E_INTERNAL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    int pair[2], room = 1 << 20;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
        abort();
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    if (size > 0 && send(pair[1], bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
        abort();
    shutdown(pair[1], SHUT_WR);
    VT_AUTO(vt_assoc) assoc = open_association(pair[0]);
    serve(assoc, size);
    vt_assoc_free(vt_take(&assoc));
    close(pair[1]);
    return 0;
}

static void put_pdv(struct vt_buf *out, uint8_t control, const void *bytes, size_t size)
{
    uint8_t header[12] = { 4 };
    struct vt_err err = { 0 };

    vt_put_be32(header + 2, (uint32_t)size + 6);
    vt_put_be32(header + 6, (uint32_t)size + 2);
    header[10] = 1;
    header[11] = control;
    if (!vt_buf_append(out, header, sizeof header, &err) || !vt_buf_append(out, bytes, size, &err))
        abort();
}

static void put_command(struct vt_buf *out, uint16_t field, bool data)
{
    struct vt_command command = {
        .field = field, .message_id = 1, .responded_id = 1, .has_data_set = data
    };
    VT_AUTO_BUF(bytes, VT_COMMAND_MAX);
    struct vt_err err = { 0 };

    if (!vt_command_encode(&command, &bytes, &err))
        abort();
    put_pdv(out, 3, bytes.data, bytes.size);
}

static void vt_fuzz_seeds(const char *directory)
{
    VT_AUTO_BUF(out, 1 << 16);

    put_command(&out, VT_C_ECHO_RQ, false);
    put_command(&out, VT_C_STORE_RQ, true);
    put_pdv(&out, 0, "abcdefgh", 8);
    put_pdv(&out, 2, "ijkl", 4);
    put_command(&out, VT_C_FIND_RQ, true);
    put_pdv(&out, 2, "keys", 4);
    put_command(&out, VT_C_CANCEL_RQ, false);
    vt_fuzz_seed(directory, "messages", out.data, out.size);
    vt_fuzz_seed(directory, "release", "\5\0\0\0\0\4\0\0\0\0", 10);
    vt_fuzz_seed(directory, "abort", "\7\0\0\0\0\4\0\0\0\0", 10);
}

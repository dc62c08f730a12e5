/* Any bytes as an A-ASSOCIATE-AC: read into an association that proposed three contexts. */
/* sources: dicom/negotiate_answer.c dicom/request_check.c dicom/assoc.c dicom/conn.c */
/* sources: dicom/pdv_read.c dicom/pdv_send.c */
/* sources: dicom/command.c core/buf.c core/err.c core/clock.c core/io.c */
/* libs: openssl */
#include <sys/socket.h>

#include "core/err.h"
#include "dicom/assoc_impl.h"
#include "dicom/negotiate.h"
#include "tests/dicom/request_bytes.h"
#include "tests/fuzz/seeds.h"

/* DCMTK's half has no part in this. */
void vt_assoc_drop_negotiation(struct vt_assoc *assoc)
{
    (void)assoc;
}

static const char *const syntaxes[] = { "1.2.840.10008.1.2", "1.2.840.10008.1.2.1" };
static const struct vt_propose contexts[] = {
    { "1.2", syntaxes, 2, VT_ROLE_SCU_SCP },
    { "1.3", syntaxes, 1, VT_ROLE_DEFAULT },
    { "1.4", syntaxes, 2, VT_ROLE_SCP },
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const struct vt_assoc_request request = { .contexts = contexts, .context_count = 3 };
    struct vt_err err = { 0 };
    VT_AUTO(vt_assoc) assoc = vt_assoc_new(vt_conn_new(socket(AF_UNIX, SOCK_STREAM, 0), NULL));

    assoc->over = true;
    if (!vt_negotiate_propose(assoc, &request, &err))
        abort();
    if (vt_negotiate_answer(assoc, bytes, size, &err) != (err.code == VT_OK))
        abort();
    for (size_t i = 0; i < vt_assoc_context_count(assoc); i++) {
        const struct vt_context *context = vt_assoc_context_at(assoc, i);
        if ((context->result == VT_CONTEXT_ACCEPTED) != (context->transfer_syntax[0] != '\0') &&
            err.code == VT_OK && context->result == VT_CONTEXT_ACCEPTED)
            abort();
    }
    return 0;
}

static void vt_fuzz_seeds(const char *directory)
{
    static struct request_bytes rb;

    rb_start(&rb, "A", "B");
    rb.bytes[0] = 2;
    size_t at = rb.size;
    rb_item(&rb, 0x21, "\1\0\0\0", 4);
    rb_text(&rb, 0x40, syntaxes[0]);
    vt_put_be16(rb.bytes + at + 2, (uint16_t)(rb.size - at - 4));
    rb_item(&rb, 0x21, "\3\0\4\0", 4);
    rb_user(&rb, 65536);
    rb_item(&rb, 0x54,
            "\0\3"
            "1.2"
            "\1\1",
            7);
    rb_text(&rb, 0x55, "VERSION_1");
    rb_item(&rb, 0x56,
            "\0\3"
            "1.2"
            "\1\0",
            7);
    vt_fuzz_seed(directory, "full", rb.bytes, rb.size);
}

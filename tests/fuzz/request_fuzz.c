/* Any bytes as an A-ASSOCIATE-RQ: the raw check of the door, strict and not; what passes can be
 * read. */
/* sources: dicom/request_check.c core/buf.c core/err.c */
/* max-length: 20000 */
#include "core/err.h"
#include "dicom/door.h"
#include "dicom/request.h"
#include "dicom/uids.h"
#include "tests/dicom/request_bytes.h"
#include "tests/fuzz/seeds.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct vt_err loose = { 0 }, strict = { 0 };
    char title[VT_AE_TITLE_MAX + 1];

    bool ok = vt_request_check(bytes, size, false, &loose);
    bool strictly = vt_request_check(bytes, size, true, &strict);
    if (ok != (loose.code == VT_OK) || strictly != (strict.code == VT_OK) || (strictly && !ok))
        abort();
    if (!ok)
        return 0;
    vt_request_title(bytes + VT_REQUEST_CALLING_AT, title);
    vt_request_title(bytes + VT_REQUEST_CALLED_AT, title);
    vt_request_only_verification(bytes, size);
    vt_request_application_context_fits(bytes, size);
    return 0;
}

static void vt_fuzz_seeds(const char *directory)
{
    static struct request_bytes rb;

    rb_simple(&rb, VT_UID_VERIFICATION);
    vt_fuzz_seed(directory, "plain", rb.bytes, rb.size);
    rb_start(&rb, "CT1", "VITRINE");
    rb_context(&rb, 1, VT_UID_CT_IMAGE, rb_implicit, 1);
    rb_context(&rb, 3, VT_UID_VERIFICATION, rb_implicit, 1);
    rb_user(&rb, 65536);
    rb_item(&rb, 0x53, "\0\1\0\1", 4);
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
    rb_item(&rb, 0x57,
            "\0\3"
            "1.2"
            "\0\3"
            "1.4"
            "\0\0",
            12);
    rb_item(&rb, 0x58, "\2\1\0\4user\0\4pass", 14);
    vt_fuzz_seed(directory, "full", rb.bytes, rb.size);
}

/* Any bytes as a command set: decoded or refused, and what was decoded survives being encoded. */
/* sources: dicom/command.c core/buf.c core/err.c */
/* max-length: 16400 */
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/command.h"
#include "tests/fuzz/seeds.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct vt_command command, again;
    struct vt_err err = { 0 };
    VT_AUTO_BUF(encoded, VT_COMMAND_MAX);

    bool ok = vt_command_decode(bytes, size, &command, &err);
    if (ok != (err.code == VT_OK))
        abort();
    if (!ok)
        return 0;
    if (!vt_command_encode(&command, &encoded, &err) ||
        !vt_command_decode(encoded.data, encoded.size, &again, &err))
        abort();
    if (again.field != command.field || again.has_data_set != command.has_data_set ||
        strcmp(again.comment, command.comment) != 0)
        abort();
    return 0;
}

static void vt_fuzz_seeds(const char *directory)
{
    static const uint16_t fields[] = { VT_C_STORE_RQ, VT_C_FIND_RSP, VT_N_ACTION_RQ,
                                       VT_C_CANCEL_RQ };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct vt_command command = { .field = fields[i],
                                      .message_id = 1,
                                      .responded_id = 1,
                                      .has_counters = true,
                                      .has_remaining = true,
                                      .offending_count = 2,
                                      .has_error_id = true };
        VT_AUTO_BUF(bytes, VT_COMMAND_MAX);
        struct vt_err err = { 0 };
        char name[16];
        strcpy(command.sop_class_uid, "1.2.840.10008.1.1");
        strcpy(command.move_destination, "DEST");
        strcpy(command.comment, "a comment");
        if (!vt_command_encode(&command, &bytes, &err))
            abort();
        snprintf(name, sizeof name, "%zu", i);
        vt_fuzz_seed(directory, name, bytes.data, bytes.size);
    }
}

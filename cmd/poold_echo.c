#include "cmd/poold_echo.h"

#include <stdint.h>

#include "dicom/echo_bytes.h"

static bool say(void *context, const char *peer, unsigned step, struct vt_buf *out,
                struct vt_err *err)
{
    return step == 0 ? vt_echo_bytes_request(context, peer, out, err)
                     : vt_echo_bytes_echo(out, err);
}

/* A guest that rejects our title is there, and so is its service: what it thinks of us is not the
 * monitor's affair. */
static enum vt_probe_step judge(void *context, unsigned step, const uint8_t *bytes, size_t size)
{
    (void)context;
    switch (vt_echo_bytes_judge(bytes, size, step > 0)) {
    case VT_ECHO_MORE:
        return VT_PROBE_STEP_MORE;
    case VT_ECHO_ACCEPTED:
        return VT_PROBE_STEP_NEXT;
    case VT_ECHO_REJECTED:
    case VT_ECHO_DONE:
        return VT_PROBE_STEP_DONE;
    default:
        return VT_PROBE_STEP_WRONG;
    }
}

static bool bye(void *context, struct vt_buf *out, struct vt_err *err)
{
    (void)context;
    return vt_echo_bytes_release(out, err);
}

struct vt_probe_exchange vt_poold_echo(const char *calling_ae_title)
{
    return (struct vt_probe_exchange){
        .context = (void *)(uintptr_t)calling_ae_title, .say = say, .judge = judge, .bye = bye
    };
}

#include "cmd/poold_screen.h"

#include <stdio.h>
#include <string.h>

#include "cmd/vm_relay.h"
#include "core/auto.h"
#include "core/err.h"
#include "hypervisor/console.h"
#include "hypervisor/driver.h"
#include "hypervisor/explain.h"
#include "hypervisor/line.h"

/* By uuid, as the console knows it. */
static bool find(struct vt_keeper *keeper, const char *uuid, char out_ref[static VT_XAPI_REF_MAX], struct vt_err *err)
{
    const struct vt_object *found = NULL;
    const struct vt_picture *picture = vt_keeper_read(keeper);

    VT_PICTURE_EACH(picture, VT_CLASS_VM, vm)
    if (strcmp(vt_object_text(vm, "uuid"), uuid) == 0)
        found = vm;
    if (found)
        snprintf(out_ref, VT_XAPI_REF_MAX, "%s", vt_object_ref(found));
    vt_keeper_done(keeper);
    return found || vt_fail(err, VT_E_NOTFOUND, "the pool has no VM %.60s", uuid);
}

/* NULL: err. */
static struct vt_console *open_ref(struct vt_keeper *keeper, const char *ref, struct vt_err *err)
{
    void *session = NULL;
    const struct vt_driver *driver = vt_keeper_driver(keeper, &session);
    struct vt_xapi *xapi = vt_keeper_xapi(keeper);
    VT_AUTO(vt_line) line = xapi ? vt_line_new(err) : NULL;

    if (xapi)
        return line ? vt_console_open(xapi, line, ref, err) : NULL;
    int fd = driver->console(session, ref, err);
    return fd >= 0 ? vt_console_take(fd, err) : NULL;
}

static struct vt_console *open_console(struct vt_keeper *keeper, const char *uuid, struct vt_err *err)
{
    char ref[VT_XAPI_REF_MAX];

    if (!find(keeper, uuid, ref, err))
        return NULL;
    struct vt_console *console = open_ref(keeper, ref, err);
    if (!console) {
        vt_explain(err, vt_keeper_read(keeper));
        vt_keeper_done(keeper);
    }
    return console;
}

static bool stopped(void *call)
{
    return vt_call_stopping(call);
}

static bool show(struct vt_pool_call *call, struct vt_err *err)
{
    struct vt_keeper *keeper = vt_call_pool(call, err);
    size_t count = 0;
    const char *const *args = vt_call_args(call, &count);
    int fd;

    if (!keeper)
        return false;
    if (count != 1)
        return vt_fail(err, VT_E_INVALID, "which VM? One, by its uuid");
    VT_AUTO(vt_console) console = open_console(keeper, args[0], err);
    if (!console)
        return false;
    return vt_call_raw(call, &fd) ? vt_vm_relay(console, fd, fd, stopped, call, err)
                                  : vt_fail(err, VT_E_CLOSED, "who asked for the screen is gone");
}

static bool run(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    struct vt_poold_screen *screen = context;
    bool room = atomic_fetch_add(&screen->open, 1) < VT_SCREENS_MAX;
    bool ok = room ? show(call, err) : vt_fail(err, VT_E_BUSY, "%d screens are shown: no more can", VT_SCREENS_MAX);

    atomic_fetch_sub(&screen->open, 1);
    return ok;
}

static const struct vt_pool_verb verbs[] = {
    { "vm.screen", VT_NEED_CHANGE, run },
    { .name = NULL },
};

void vt_poold_screen_module(struct vt_poold_screen *screen, struct vt_pool_module *out)
{
    atomic_init(&screen->open, 0);
    *out = (struct vt_pool_module){ .name = "screen", .context = screen, .verbs = verbs };
}

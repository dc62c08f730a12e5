#include "cmd/poold_modules.h"

#include "cmd/poold_screen.h"
#include "cmd/poold_wake.h"
#include "cmd/poold_watch.h"
#include "hypervisor/pool_service.h"

static struct vt_poold_wake wake;
static struct vt_pool_module wake_module;
static struct vt_poold_screen screen;
static struct vt_pool_module screen_module;
static struct vt_poold_watch watch;
static struct vt_pool_module watch_module;

bool vt_poold_modules_add(struct vt_service *service, struct vt_poold_settings *settings,
                          struct vt_err *err)
{
    vt_poold_wake_module(&wake, settings, &wake_module);
    vt_poold_screen_module(&screen, &screen_module);
    vt_poold_watch_module(&watch, settings, &watch_module);
    return vt_service_add_module(service, &wake_module, err) &&
           vt_service_add_module(service, &screen_module, err) &&
           vt_service_add_module(service, &watch_module, err);
}

void vt_poold_modules_fini(void)
{
}

#include "cmd/poold_modules.h"

#include "cmd/options.h"
#include "cmd/poold_wake.h"
#include "hypervisor/pool_service.h"

static struct vt_poold_wake wake;
static struct vt_pool_module wake_module;

bool vt_poold_modules_add(struct vt_service *service, const struct vt_options *options,
                          struct vt_err *err)
{
    vt_poold_wake_module(&wake, options->conf, &wake_module);
    return vt_service_add_module(service, &wake_module, err);
}

void vt_poold_modules_fini(void)
{
}

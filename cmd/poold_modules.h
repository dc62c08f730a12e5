/* cmd/poold_modules.h: what runs inside vitrine-poold beside the commands: modules of
 * hypervisor/pool_service.h, wired to the configuration. */
#pragma once

#include <stdbool.h>

struct vt_err;
struct vt_poold_settings;
struct vt_service;

/* Behind the pools, before the service starts. The settings are borrowed until vt_poold_modules_fini. */
bool vt_poold_modules_add(struct vt_service *service, struct vt_poold_settings *settings,
                          struct vt_err *err);
/* Behind vt_service_free. */
void vt_poold_modules_fini(void);

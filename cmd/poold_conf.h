/* cmd/poold_conf.h: [pool] and [pool "NAME"], turned into keepers and the service's options.
 *
 * A key of the plain [pool] wins over the named section's when there is only one pool, so that
 * -o pool.url= works beside a configuration. Passwords go from their file (mode 0600) to the session
 * and are wiped here. */
#pragma once

#include <stdbool.h>

#include "hypervisor/pool_service.h"

struct vt_conf;
struct vt_err;

/* socket, console_user, console_verbs, console_per_minute. Text is borrowed from conf. VT_E_INVALID;
 * a console_user that does not exist is none when it is the default. */
bool vt_poold_conf_service(const struct vt_conf *conf, struct vt_service_options *out,
                           struct vt_err *err);

/* A keeper for each pool, added to the service. VT_E_INVALID: none is configured, or a key is wrong;
 * VT_E_BUSY: another daemon keeps it. */
bool vt_poold_conf_pools(const struct vt_conf *conf, struct vt_service *service,
                         struct vt_err *err);

/* Behind a change of the configuration: user, password and fingerprint of the pools that are kept; a
 * pool that is away or has another login is asked again. A pool that came, went or moved wants a
 * restart, which the log says. VT_E_INVALID, VT_E_IO: a password cannot be read; the others are
 * done. */
bool vt_poold_conf_logins(const struct vt_conf *conf, struct vt_service *service,
                          struct vt_err *err);

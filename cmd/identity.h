/* cmd/identity.h: users that DICOM peers name (PS3.7 D.3.3.7): [user "NAME"] with passcode_hash. */
#pragma once

#include <stdbool.h>

struct vt_conf;
struct vt_err;
struct vt_identities;

/* Every [user "NAME"]: passcode_hash as crypt(5) makes it ('mkpasswd -m yescrypt'); none: the name alone is
 * enough. */
struct vt_identities *vt_identities_read(const struct vt_conf *conf, struct vt_err *err);
void vt_identities_free(struct vt_identities *identities);
/* Has the type of vt_server_options.identify: any thread. */
bool vt_identities_know(void *identities, const char *user, const char *passcode);

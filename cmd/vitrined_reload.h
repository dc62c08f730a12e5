/* cmd/vitrined_reload.h: SIGHUP: peers and certificates are read again while the node runs.
 *
 * All other settings stay as they were at the start. What is wrong in the new configuration is logged,
 * and nothing changes. Associations that run keep the entry and the session they began with. */
#pragma once

#include <stdbool.h>

struct vt_dicom_conf;
struct vt_server;

bool vt_reload(int argc, char **argv, struct vt_dicom_conf *dicom, struct vt_server *server);

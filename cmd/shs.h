/* cmd/shs.h: the SHS as one application entity: [shs] ae_title. Find, fetch and print call from it, and the node answers to it
 * too; without the key it is dicom.ae_title. */
#pragma once

#include <stdbool.h>

struct vt_conf;
struct vt_err;

/* out has room for VT_AE_TITLE_MAX + 1. */
bool vt_shs_title_conf_read(const struct vt_conf *conf, char *out, struct vt_err *err);

/* dicom/net.h: what DCMTK's network needs once in a process (reference: DCMTK bridge). Before any other thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;

struct vt_net_options {
    int64_t connect_timeout;     /* ns; 0: 10 s */
    bool dcmtk_debug;            /* DCMTK's own log on standard error */
};

/* Loads the dictionary too (vt_dict_load). Repeated calls are fine. */
bool vt_net_start(const struct vt_net_options *options, struct vt_err *err);
void vt_net_stop(void);

#ifdef __cplusplus
}
#endif

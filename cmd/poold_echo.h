/* cmd/poold_echo.h: a C-ECHO for the monitor's probes: bytes of dicom/echo_bytes in the steps of
 * hypervisor/probe.h. */
#pragma once

#include "hypervisor/probe.h"

/* calling_ae_title is borrowed. */
struct vt_probe_exchange vt_poold_echo(const char *calling_ae_title);

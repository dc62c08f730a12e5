/* poolsim/echo.h: the DICOM service of a simulated guest: accepts any association, answers C-ECHO,
 * releases. Fixed forms of PS3.8 and PS3.7 over implicit VR little endian; knows no socket.
 * Everything else ends the connection. */
#pragma once

#include <stdbool.h>

struct vt_buf;

enum { VT_SIM_ECHO_PDU_MAX = 65536 };

/* Takes whole PDUs out of `in`, puts answers into `out`. false: hang up once `out` is sent. */
bool vt_sim_echo_feed(struct vt_buf *in, struct vt_buf *out);

/* tests/scu/client_world.h: a client and the peer that it asks, for the tests of scu/client. */
#pragma once

/* The services we ask of others, against an SCP that does what a test wants. */
#include "scu/client.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/scu/fake_scp.h"

#define HTJ2K "1.2.840.10008.1.2.4.201"
#define JPEG_BASELINE "1.2.840.10008.1.2.4.50"
#define MR_IMAGE "1.2.840.10008.5.1.4.1.1.4"

struct world {
    struct fake_scp scp;
    struct vt_peer peer;
    struct vt_client client;
};

static inline void open_world(struct world *world)
{
    struct vt_err err = { 0 };

    if (!fake_scp_start(&world->scp, &err))
        fail_msg("%s", err.text);
    world->peer = (struct vt_peer){
        .name = "FAKE", .ae_title = "FAKE", .host = "127.0.0.1", .port = world->scp.port
    };
    world->client = (struct vt_client){ .calling_ae_title = "TESTER",
                                        .peer = &world->peer,
                                        .timeout = 5 * VT_NS_PER_S };
}

static inline void close_world(struct world *world)
{
    fake_scp_stop(&world->scp);
    fake_scp_fini(&world->scp);
}

/* ---- echo ---- */

/* A small CT data set, Explicit VR LE. */
static inline void write_data_set(struct vt_buf *out)
{
    struct vt_writer writer = { .buf = out, .encoding = VT_EXPLICIT_LE };
    const uint8_t pixels[64] = { 1, 2, 3 };
    struct vt_err err = { 0 };

    assert_true(vt_write_text(&writer, VT_TAG_SOP_CLASS_UID, "UI", VT_UID_CT_IMAGE, &err) &&
                vt_write_text(&writer, VT_TAG_SOP_INSTANCE_UID, "UI", "1.2.3.4", &err) &&
                vt_write_text(&writer, VT_TAG_PATIENT_NAME, "PN", "Doe^John", &err) &&
                vt_write_us(&writer, VT_TAG_ROWS, 8, &err) &&
                vt_write_us(&writer, VT_TAG_COLUMNS, 8, &err) &&
                vt_write_us(&writer, VT_TAG_BITS_ALLOCATED, 8, &err) &&
                vt_write_bytes(&writer, VT_TAG_PIXEL_DATA, "OB", pixels, sizeof pixels, &err));
}

static inline int start_net(void **state)
{
    const struct vt_net_options options = { 0 };
    struct vt_err err = { 0 };

    (void)state;
    return vt_net_start(&options, &err) ? 0 : -1;
}

static inline int stop_net(void **state)
{
    (void)state;
    vt_net_stop();
    return 0;
}

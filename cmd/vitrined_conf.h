/* cmd/vitrined_conf.h: the [dicom] section and the peers, turned into what the server wants.
 *
 * All text is borrowed from the configuration, which must outlive the record. */
#pragma once

#include <stdbool.h>

#include "cmd/identity.h"
#include "cmd/options.h"
#include "cmd/tls.h"
#include "core/conf.h"
#include "dicom/assoc.h"
#include "dicom/door.h"
#include "scp/server.h"
#include "scu/peers.h"

struct vt_err;

enum { VT_TITLES_MAX = 32, VT_CONF_TEXT_MAX = 4096 };

struct vt_dicom_conf {
    char ae_title[VT_AE_TITLE_MAX + 1];
    char shs_ae_title[VT_AE_TITLE_MAX + 1]; /* cmd/shs.h; ae_title when there is none */
    char titles_text[VT_CONF_TEXT_MAX]; /* more_titles, cut into words */
    const char *titles[VT_TITLES_MAX + 2];
    struct vt_private_conf syntaxes;
    char listen_text[VT_CONF_TEXT_MAX];
    struct vt_door_listener listeners[VT_DOOR_LISTENERS_MAX];
    struct vt_tls_options tls;
    bool has_tls; /* listeners after tls_from get the context */
    size_t tls_from;
    int64_t stop_grace;
    struct vt_peers *peers;           /* owned */
    struct vt_identities *identities; /* owned */
    struct vt_server_options options; /* points into this record: do not move it */
};

/* Reads all of it, fills options but archive, events and the TLS context. VT_E_DENIED: listens
 * beyond loopback without peers. */
bool vt_dicom_conf_read(const struct vt_conf *conf, struct vt_dicom_conf *out, struct vt_err *err);
void vt_dicom_conf_fini(struct vt_dicom_conf *dicom);

/* One file serves several programs: a key as vt_conf_unread tells it ("section.key",
 * "section.NAME.key", perhaps a space and where it stands) is another one's, and no typing error
 * when vitrined does not read it. */
bool vt_conf_is_others(const char *key);

/* 127.0.0.0/8, ::1. */
bool vt_is_loopback(const char *address);

#include "cmd/vitrined_reload.h"

#include <stdlib.h>

#include "cmd/options.h"
#include "cmd/vitrined_conf.h"
#include "core/err.h"
#include "core/log.h"

/* Certificates first: they may be wrong, putting peers in place may not. */
static bool put_in_place(struct vt_dicom_conf *dicom, struct vt_dicom_conf *fresh,
                         struct vt_server *server, struct vt_err *err)
{
    struct ssl_ctx_st *tls = NULL;

    if (dicom->has_tls && fresh->has_tls) {
        tls = vt_tls_server(&fresh->tls, err);
        if (!tls)
            return false;
    }
    bool ok = vt_peers_replace(dicom->peers, fresh->peers, err);
    if (ok && tls)
        vt_server_set_tls(server, tls);
    vt_tls_free(tls);
    return ok;
}

bool vt_reload(int argc, char **argv, struct vt_dicom_conf *dicom, struct vt_server *server)
{
    vt_autofree struct vt_dicom_conf *fresh = calloc(1, sizeof *fresh);
    struct vt_options options = { 0 };
    struct vt_err err = { 0 };

    bool ok = fresh || vt_fail(&err, VT_E_NOMEM, "no memory for the configuration");
    ok = ok && vt_options_parse(&options, argc, argv, &err) &&
         vt_dicom_conf_read(options.conf, fresh, &err) &&
         put_in_place(dicom, fresh, server, &err);
    if (fresh)
        vt_dicom_conf_fini(fresh);
    vt_options_fini(&options);
    if (ok)
        vt_log(VT_LOG_INFO, "configuration.reloaded", "what=\"peers, certificates\"");
    else
        vt_log(VT_LOG_ERROR, "configuration.not-reloaded", "text=\"%s\"", err.text);
    return ok;
}

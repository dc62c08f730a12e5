#include "cmd/shs.h"

#include "cmd/options.h"
#include "core/conf.h"
#include "core/err.h"

bool vt_shs_title_conf_read(const struct vt_conf *conf, char *out, struct vt_err *err)
{
    const char *text = vt_conf_text(conf, "shs", NULL, "ae_title", NULL);

    if (!text || !*text)
        return vt_ae_title_conf_read(conf, out, err);
    return vt_ae_title_trim(text, out) || vt_fail(err, VT_E_INVALID, "shs.ae_title: '%.40s' is not an AE title", text);
}

/* GET /dicom-web: what is served below it, from the route tables themselves. */
#include "console/console_inside.h"
#include "console/wado_inside.h"
#include "core/auto.h"
#include "core/err.h"

/* The wildcards of a path by their names: "/studies/{study}/series/{series}". */
static bool put_path(struct vt_buf *out, const char *path, struct vt_err *err)
{
    static const char *const names[] = { "study", "series", "instance", "part" };
    size_t part = 0;

    for (; *path; path++) {
        if (*path != '*') {
            if (!vt_buf_append_byte(out, (uint8_t)*path, err))
                return false;
            continue;
        }
        if (!vt_buf_printf(out, err, "{%s}", names[part < VT_COUNT(names) - 1 ? part++ : VT_COUNT(names) - 1]))
            return false;
        path += path[1] == '*';
    }
    return true;
}

void vt_capabilities(struct vt_request *request)
{
    static const struct vt_route *const tables[] = { vt_qido_routes, vt_wado_routes, vt_stow_routes };
    VT_AUTO_BUF(out, 64 << 10);
    struct vt_err err = { 0 };
    bool ok = vt_buf_append_text(&out, "{\"name\":\"Vitrine\",\"version\":\"" VT_VERSION "\",\"resources\":[", &err);
    bool first = true;

    for (size_t t = 0; t < VT_COUNT(tables); t++)
        for (const struct vt_route *route = tables[t]; ok && route->method; route++) {
            ok = vt_buf_printf(&out, &err, "%s{\"method\":\"%s\",\"path\":\"", first ? "" : ",\n", route->method) &&
                 put_path(&out, route->path, &err) &&
                 vt_buf_printf(&out, &err, "\",\"role\":\"%s\"}", vt_user_role_name(route->role));
            first = false;
        }
    if (ok && vt_buf_append_text(&out, "]}\n", &err))
        vt_answer_buf(request, 200, "application/json", &out);
    else
        vt_answer_err(request, &err);
}

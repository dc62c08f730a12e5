/* Pages of others that may read DICOMweb (CORS, Fetch 3.2): those that http.origins lists, by GET only. */
#include <string.h>

#include "console/http_inside.h"

static bool is_listed(const struct vt_http_options *options, const char *origin, bool *any)
{
    for (size_t i = 0; i < options->origin_count; i++) {
        *any = strcmp(options->origins[i], "*") == 0;
        if (*any || strcmp(options->origins[i], origin) == 0)
            return true;
    }
    return false;
}

bool vt_http_share(struct vt_request *request)
{
    const struct vt_http_options *options = &request->http->options;
    const char *origin = vt_request_header(request, "Origin");
    size_t length = options->shared ? strlen(options->shared) : 0;
    bool any = false;

    if (!origin || length == 0 || strncmp(request->url, options->shared, length) != 0 ||
        !is_listed(options, origin, &any))
        return false;
    vt_answer_header(request, "Access-Control-Allow-Origin", "%s", any ? "*" : origin);
    vt_answer_header(request, "Vary", "%s", "Origin");
    vt_answer_header(request, "Cross-Origin-Resource-Policy", "%s", "cross-origin");
    vt_answer_header(request, "Access-Control-Expose-Headers", "%s", "ETag, Content-Range, Warning, Vitrine-Window");
    if (strcmp(request->method, "OPTIONS") != 0)
        return false;
    vt_answer_header(request, "Access-Control-Allow-Methods", "%s", "GET, HEAD");
    vt_answer_header(request, "Access-Control-Allow-Headers", "%s", "Accept, Authorization, Range");
    vt_answer_header(request, "Access-Control-Max-Age", "%d", 600);
    vt_answer_bytes(request, 204, NULL, "", 0);
    return true;
}

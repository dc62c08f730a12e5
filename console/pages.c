/* The pages: what esbuild made of console/web/ (cmake/web.cmake), in the program itself. They load nothing from elsewhere. */
#include "console/api_inside.h"

#include "console/pages_made.h"

static void answer(struct vt_request *request, const char *type, const unsigned char *bytes, size_t size)
{
    vt_answer_header(request, "Content-Security-Policy", "%s",
                     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
                     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    vt_answer_header(request, "Cache-Control", "no-cache");
    vt_answer_bytes(request, 200, type, bytes, size);
}

static void page(struct vt_request *request)
{
    answer(request, "text/html; charset=utf-8", vt_page_index_html, sizeof vt_page_index_html);
}

static void script(struct vt_request *request)
{
    answer(request, "text/javascript; charset=utf-8", vt_page_app_js, sizeof vt_page_app_js);
}

static void style(struct vt_request *request)
{
    answer(request, "text/css; charset=utf-8", vt_page_app_css, sizeof vt_page_app_css);
}

/* Loaded by the page when it is needed. */
static void deep_zoom(struct vt_request *request)
{
    answer(request, "text/javascript; charset=utf-8", vt_page_deepzoom_js, sizeof vt_page_deepzoom_js);
}

static void screen(struct vt_request *request)
{
    answer(request, "text/javascript; charset=utf-8", vt_page_screen_js, sizeof vt_page_screen_js);
}

const struct vt_route vt_page_routes[] = {
    { "GET", "/", VT_USER_NOBODY, page, NULL, 0 },
    { "GET", "/app.js", VT_USER_NOBODY, script, NULL, 0 },
    { "GET", "/deepzoom.js", VT_USER_NOBODY, deep_zoom, NULL, 0 },
    { "GET", "/screen.js", VT_USER_NOBODY, screen, NULL, 0 },
    { "GET", "/app.css", VT_USER_NOBODY, style, NULL, 0 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};

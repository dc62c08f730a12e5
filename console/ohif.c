/* The OHIF viewer under /ohif, when its folder is configured (http.ohif): files of that folder and nothing else, and an app-config.js
 * for our DICOMweb instead of its own. It was built for that address (PUBLIC_URL=/ohif/). Its scripts are not ours, so it has a policy
 * of its own: it may compile code, and still ask nobody but us. */
#include "console/api_inside.h"
#include "core/err.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char policy[] =
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob: data:; worker-src 'self' blob:; manifest-src 'self'; "
    "base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

static const char settings[] =
    "window.config = {\n"
    "  name: 'Vitrine', routerBasename: '/ohif', extensions: [], modes: [], showStudyList: true, maxNumberOfWebWorkers: 3,\n"
    "  showWarningMessageForCrossOrigin: false, showCPUFallbackMessage: true, showLoadingIndicator: true,\n"
    "  defaultDataSourceName: 'vitrine', dataSources: [{ namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',\n"
    "    sourceName: 'vitrine', configuration: { friendlyName: 'Vitrine', name: 'vitrine', wadoUriRoot: '/dicom-web', qidoRoot: '/dicom-web',\n"
    "      wadoRoot: '/dicom-web', qidoSupportsIncludeField: true, imageRendering: 'wadors', thumbnailRendering: 'wadors',\n"
    "      enableStudyLazyLoad: true, supportsFuzzyMatching: true, supportsWildcard: true, omitQuotationForMultipartRequest: true } }],\n"
    "};\n";

static const struct {
    const char *ending, *type;
} types[] = {
    { ".html", "text/html; charset=utf-8" }, { ".js", "text/javascript; charset=utf-8" }, { ".mjs", "text/javascript; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" },   { ".json", "application/json" },             { ".wasm", "application/wasm" },
    { ".svg", "image/svg+xml" },             { ".png", "image/png" },                     { ".ico", "image/x-icon" },
    { ".woff2", "font/woff2" },              { ".woff", "font/woff" },                    { ".ttf", "font/ttf" },
};

static const char *folder_of(const struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);

    return console->options.ohif;
}

static const char *type_of(const char *path)
{
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot && i < VT_COUNT(types); i++)
        if (strcmp(types[i].ending, dot) == 0)
            return types[i].type;
    return "application/octet-stream";
}

/* A plain file below the folder, whatever the path says; -1: there is none. */
static int open_below(const char *folder, const char *path, struct stat *out)
{
    struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    int root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = root >= 0 && *path ? (int)syscall(SYS_openat2, root, path, &how, sizeof how) : -1;

    if (root >= 0)
        close(root);
    if (fd < 0 || (fstat(fd, out) == 0 && S_ISREG(out->st_mode)))
        return fd;
    close(fd);
    return -1;
}

static void answer_file(struct vt_request *request, const char *path, int fd, const struct stat *file)
{
    vt_answer_header(request, "Content-Security-Policy", "%s", policy);
    vt_answer_header(request, "Cache-Control", "no-cache");
    vt_answer_file(request, type_of(path), fd, 0, (uint64_t)file->st_size);
}

/* A path without an ending is a place inside the viewer: its page. */
static void serve(struct vt_request *request)
{
    const char *folder = folder_of(request), *path = vt_request_part(request, 0), *last = strrchr(path, '/');
    bool is_place = !strchr(last ? last : path, '.');
    struct stat file;

    if (folder && strcmp(path, "app-config.js") == 0) {
        vt_answer_header(request, "Cache-Control", "no-cache");
        vt_answer_bytes(request, 200, "text/javascript; charset=utf-8", settings, sizeof settings - 1);
        return;
    }
    path = is_place ? "index.html" : path;
    int fd = folder ? open_below(folder, path, &file) : -1;
    if (fd >= 0)
        answer_file(request, path, fd, &file);
    else
        vt_answer_error(request, 404, folder ? "The viewer has no such file." : "No viewer is configured: http.ohif names its folder.");
}

/* Viewers besides our own: {"rows":[{"name","path"}]}; the Study Instance UID goes behind the path. */
static void list(struct vt_request *request)
{
    json_t *rows = json_array();

    if (folder_of(request))
        json_array_append_new(rows, json_pack("{s:s, s:s}", "name", "OHIF", "path", "/ohif/viewer?StudyInstanceUIDs="));
    vt_answer_json(request, 200, json_pack("{s:o}", "rows", rows));
}

const struct vt_route vt_ohif_routes[] = {
    { "GET", "/ohif/**", VT_USER_VIEWER, serve, NULL, 0 },
    { "GET", "/api/viewers", VT_USER_VIEWER, list, NULL, 0 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};

#include "cmd/vitrined_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/archive.h"
#include "cmd/web_verbs.h"
#include "console/console.h"
#include "console/sessions.h"
#include "console/users.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/io.h"
#include "core/log.h"

enum { HTTP_PORT = 8080, PEM_MAX = 1 << 20 };

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* A PEM file as text; NULL without a path, or with err. */
static char *read_pem(const char *path, struct vt_err *err)
{
    VT_AUTO_BUF(text, PEM_MAX);

    if (!path || !*path || !vt_io_read_file(path, &text, err) || !vt_buf_string(&text, err))
        return NULL;
    char *copy = strdup((const char *)text.data);
    if (!copy)
        vt_fail(err, VT_E_NOMEM, "no memory for a certificate");
    return copy;
}

static bool read_tls(struct vt_web *web, struct vt_err *err)
{
    web->certificate = read_pem(vt_conf_text(web->conf, "http", NULL, "certificate", NULL), err);
    web->key = vt_failed(err) ? NULL : read_pem(vt_conf_text(web->conf, "http", NULL, "key", NULL), err);
    if (vt_failed(err))
        return false;
    if (!web->certificate != !web->key)
        return vt_fail(err, VT_E_INVALID, "http.certificate and http.key belong together");
    return web->certificate || is_loopback(web->listen) ||
           vt_fail(err, VT_E_INVALID,
                   "http.listen = %s is not loopback: http.certificate and http.key are needed, since passwords and "
                   "images would go in clear",
                   web->listen);
}

/* Words with blanks or commas between them; they lie in *out_text. */
static bool read_list(const struct vt_conf *conf, const char *key, const char *out[], size_t room, size_t *out_count,
                      char **out_text, struct vt_err *err)
{
    *out_text = strdup(vt_conf_text(conf, "http", NULL, key, ""));
    if (!*out_text)
        return vt_fail(err, VT_E_NOMEM, "no memory for http.%s", key);
    char *rest = *out_text;
    for (char *word; (word = strtok_r(rest, " ,", &rest));) {
        if (*out_count == room)
            return vt_fail(err, VT_E_INVALID, "http.%s has more than %zu words", key, room);
        out[(*out_count)++] = word;
    }
    return true;
}

static bool read_names(struct vt_web *web, struct vt_err *err)
{
    return read_list(web->conf, "hosts", web->names, VT_COUNT(web->names), &web->name_count, &web->name_text, err) &&
           read_list(web->conf, "origins", web->origins, VT_COUNT(web->origins), &web->origin_count,
                     &web->origin_text, err);
}

/* Where exports go, and who burns discs. */
static bool read_exports(struct vt_web *web, struct vt_err *err)
{
    const char *folder = vt_conf_text(web->conf, "http", NULL, "exports", NULL), *name;

    web->exports = folder && *folder ? folder : NULL;
    while (web->burner_count < VT_COUNT(web->burners) && (name = vt_conf_name(web->conf, "burner", web->burner_count)))
        web->burners[web->burner_count++] = name;
    return !web->exports || web->exports[0] == '/' || vt_fail(err, VT_E_INVALID, "http.exports = %s: a folder from / on is needed", folder);
}

bool vt_web_read(struct vt_web *web, struct vt_err *err)
{
    int64_t port;

    if (!vt_conf_bool(web->conf, "http", NULL, "enabled", true, &web->enabled, err) ||
        !vt_conf_int(web->conf, "http", NULL, "port", 0, UINT16_MAX, HTTP_PORT, &port, err) ||
        !vt_conf_duration(web->conf, "http", NULL, "session_idle", VT_NS_PER_S, VT_SESSION_HOURS * 3600 * VT_NS_PER_S,
                          VT_SESSION_IDLE_MINUTES * 60 * VT_NS_PER_S, &web->session_idle, err))
        return false;
    web->port = (uint16_t)port;
    web->port_named = vt_conf_text(web->conf, "http", NULL, "port", NULL);
    snprintf(web->listen, sizeof web->listen, "%s", vt_conf_text(web->conf, "http", NULL, "listen", "127.0.0.1"));
    return read_names(web, err) && read_exports(web, err) && (!web->enabled || read_tls(web, err));
}

static bool open_users(struct vt_web *web, struct vt_err *err)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/state.db", vt_archive_path(web->archive));
    web->users = vt_users_open(path, err);
    return web->users;
}

bool vt_web_start(struct vt_web *web, struct vt_err *err)
{
    if (!web->enabled)
        return true;
    if (!open_users(web, err))
        return false;
    const struct vt_console_options options = {
        .listen = web->listen,
        .port = web->port,
        .certificate = web->certificate,
        .key = web->key,
        .hosts = web->names,
        .host_count = web->name_count,
        .archive = web->archive,
        .rules = web->rules,
        .ae_title = web->ae_title,
        .events = web->events,
        .audit = web->audit,
        .jobs = web->jobs,
        .users = web->users,
        .session_idle = web->session_idle,
        .peers = web->peers,
        .verb = web->inside ? vt_web_verb : NULL,
        .verb_context = web->inside,
        .origins = web->origins,
        .origin_count = web->origin_count,
        .ohif = vt_conf_text(web->conf, "http", NULL, "ohif", NULL),
        .exports = web->exports,
        .burners = web->burners,
        .burner_count = web->burner_count,
        .pool_socket = vt_conf_text(web->conf, "pool", NULL, "socket", NULL),
    };

    web->console = vt_console_start(&options, err);
    if (web->console) {
        web->port = vt_console_port(web->console);
        return true;
    }
    if (web->port_named)
        return false;
    vt_log(VT_LOG_WARN, "http.off", "text=\"%s\" hint=\"http.port names another one\"", err->text);
    vt_err_clear(err);
    return true;
}

void vt_web_stop(struct vt_web *web)
{
    vt_console_stop(web->console);
    web->console = NULL;
    vt_users_free(web->users);
    free(web->certificate);
    if (web->key)
        explicit_bzero(web->key, strlen(web->key));
    free(web->key);
    free(web->name_text);
    free(web->origin_text);
}

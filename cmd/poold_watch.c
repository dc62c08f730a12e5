#include "cmd/poold_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/options.h"
#include "cmd/poold_echo.h"
#include "cmd/poold_settings.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/io.h"
#include "core/log.h"

/* ---- from the keeper to the monitor ---- */

static void on_changed(void *context, struct vt_keeper *keeper,
                       const struct vt_keeper_change *changes, size_t count, bool first)
{
    const struct vt_poold_watched *watched = context;

    (void)keeper;
    if (first)
        vt_monitor_changed(watched->monitor, VT_CLASS_VM, NULL);
    for (size_t i = 0; i < count; i++)
        vt_monitor_changed(watched->monitor, changes[i].class, changes[i].ref);
}

static void on_state(void *context, struct vt_keeper *keeper, const struct vt_err *why)
{
    const struct vt_poold_watched *watched = context;

    (void)keeper;
    vt_monitor_answers(watched->monitor, !why);
}

/* ---- from the monitor to the log and the events ---- */

static void publish(void *context, const char *kind, const char *subject, json_t *detail)
{
    const struct vt_poold_watched *watched = context;
    const char *name = vt_keeper_name(watched->keeper);
    const char *vm = json_string_value(json_object_get(detail, "vm"));
    const char *class = json_string_value(json_object_get(detail, "class"));
    const char *reason = json_string_value(json_object_get(detail, "reason"));

    if (!reason)
        reason = json_string_value(json_object_get(detail, "why"));
    vt_log(strstr(kind, "failed") ? VT_LOG_WARN : VT_LOG_INFO, kind,
           "pool=%s incident=%lld vm=%s class=%s reason=\"%s\"", name,
           (long long)json_integer_value(json_object_get(detail, "incident")), vm ? vm : "",
           class ? class : "", reason ? reason : "");
    vt_service_publish(watched->watch->service, kind, name, subject, detail);
}

/* ---- the module ---- */

/* The hosts answer where the pool's url says: its port, or that of its scheme. */
static uint16_t port_of(const char *url)
{
    const char *host = strstr(url, "://");
    long fallback = strncmp(url, "http://", 7) == 0 ? 80 : 443;

    host = host ? host + 3 : url;
    const char *end = host + strcspn(host, "/"), *colon = NULL;
    for (const char *p = *host == '[' ? host + strcspn(host, "]") : host; p < end; p++)
        if (*p == ':')
            colon = p;
    long port = colon ? strtol(colon + 1, NULL, 10) : fallback;
    return (uint16_t)(port > 0 && port < 65536 ? port : fallback);
}

static bool read_options(const struct vt_conf *conf, struct vt_keeper *keeper,
                         struct vt_monitor_options *out, struct vt_err *err)
{
    vt_monitor_defaults(out);
    out->host_port = port_of(vt_keeper_url(keeper));
    return vt_monitor_configure(out, conf, err) &&
           (vt_monitor_driver_can(keeper, &out->settings, err) || vt_fail_context(err, "[watch]"));
}

static bool start_one(struct vt_poold_watch *watch, const struct vt_conf *conf,
                      struct vt_keeper *keeper, struct vt_err *err)
{
    struct vt_poold_watched *watched = &watch->pools[watch->count];
    const struct vt_monitor_events events = { watched, publish };
    const struct vt_keeper_listener listener = { watched, on_changed, on_state };
    struct vt_monitor_options options;
    char path[VT_KEEPER_PATH_MAX + 16];

    *watched = (struct vt_poold_watched){ .watch = watch, .keeper = keeper };
    snprintf(path, sizeof path, "%s/monitor.db", vt_keeper_folder(keeper));
    watched->pool = vt_monitor_xapi_new(keeper, err);
    if (!watched->pool)
        return false;
    watch->count++; /* whatever follows, stop frees it */
    if (!read_options(conf, keeper, &options, err))
        return false;
    watched->monitor = vt_monitor_new(&options, watched->pool, &watch->echo, &events, path, err);
    return watched->monitor && vt_keeper_listen(keeper, &listener, err);
}

static bool start(void *context, struct vt_service *service, struct vt_err *err)
{
    struct vt_poold_watch *watch = context;

    const struct vt_options *options = vt_poold_settings_take(watch->settings);
    bool ok = true;

    watch->service = service;
    for (size_t i = 0; i < vt_service_pool_count(service) && ok; i++)
        ok = start_one(watch, options->conf, vt_service_pool(service, i), err);
    vt_poold_settings_drop(watch->settings, options);
    return ok;
}

/* [watch] anew; with a mistake in it, it stays as it was. */
static void reload(void *context)
{
    struct vt_poold_watch *watch = context;
    const struct vt_options *options = vt_poold_settings_take(watch->settings);

    for (size_t i = 0; i < watch->count; i++) {
        struct vt_monitor_options wanted;
        struct vt_err err = { 0 };
        if (read_options(options->conf, watch->pools[i].keeper, &wanted, &err))
            vt_monitor_reconfigure(watch->pools[i].monitor, &wanted);
        else
            vt_log(VT_LOG_ERROR, "pool.reload-failed", "reason=\"%s\"", err.text);
    }
    vt_poold_settings_drop(watch->settings, options);
}

static void stop(void *context)
{
    struct vt_poold_watch *watch = context;

    for (size_t i = 0; i < watch->count; i++) {
        vt_keeper_stop(watch->pools[i].keeper); /* it calls the monitor */
        vt_monitor_free(watch->pools[i].monitor);
        vt_monitor_xapi_free(watch->pools[i].pool);
    }
    watch->count = 0;
}

static void status(void *context, json_t *row)
{
    struct vt_poold_watch *watch = context;
    json_t *pools = json_array();

    for (size_t i = 0; i < watch->count; i++) {
        json_t *one = json_object();
        vt_monitor_status(watch->pools[i].monitor, one);
        json_array_append_new(pools, one);
    }
    json_object_set_new(row, "pools", pools);
}

void vt_poold_watch_module(struct vt_poold_watch *watch, struct vt_poold_settings *settings,
                           struct vt_pool_module *out)
{
    const struct vt_options *options = vt_poold_settings_take(settings);

    *watch = (struct vt_poold_watch){ .settings = settings };
    watch->echo = vt_poold_echo(vt_conf_text(options->conf, "dicom", NULL, "ae_title", "VITRINE"));
    vt_poold_settings_drop(settings, options);
    *out = (struct vt_pool_module){ .name = "watch",
                                    .context = watch,
                                    .verbs = vt_poold_watch_verbs,
                                    .start = start,
                                    .stop = stop,
                                    .status = status,
                                    .reload = reload };
}

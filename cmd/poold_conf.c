#include "cmd/poold_conf.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "cmd/vm_pool.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/io.h"
#include "core/log.h"
#include "hypervisor/driver.h"

#define STATE_DEFAULT "/var/lib/vitrine-pool"
#define CONSOLE_DEFAULT "vitrine"

enum { PATH_ROOM = 4096, PER_MINUTE_MAX = 100000 };

/* ---- the service ---- */

static bool find_user(const struct vt_conf *conf, uid_t *out, struct vt_err *err)
{
    const char *name = vt_conf_text(conf, "pool", NULL, "console_user", NULL);
    char text[4096];
    struct passwd entry, *found = NULL;

    *out = (uid_t)-1;
    if (name && strcmp(name, "none") == 0)
        return true;
    if (getpwnam_r(name ? name : CONSOLE_DEFAULT, &entry, text, sizeof text, &found) == 0 && found)
        *out = found->pw_uid;
    return found || !name ||
           vt_fail(err, VT_E_INVALID, "pool.console_user: there is no user %.60s", name);
}

bool vt_poold_conf_service(const struct vt_conf *conf, struct vt_service_options *out,
                           struct vt_err *err)
{
    int64_t per_minute = 0;

    *out = (struct vt_service_options){
        .socket = vt_conf_text(conf, "pool", NULL, "socket", NULL),
    };
    if (!find_user(conf, &out->console_uid, err) ||
        !vt_conf_bool(conf, "pool", NULL, "console_verbs", false, &out->console_verbs, err) ||
        !vt_conf_int(conf, "pool", NULL, "console_per_minute", 1, PER_MINUTE_MAX, 60, &per_minute,
                     err))
        return false;
    out->console_per_minute = (unsigned)per_minute;
    return true;
}

/* ---- the pools ---- */

struct reading {
    const struct vt_conf *conf;
    const char *name; /* NULL: the plain section only */
    bool single;
    char password[VT_POOL_PASSWORD_MAX], state[PATH_ROOM];
};

static const char *setting(const struct reading *reading, const char *key)
{
    const char *named = reading->name
                            ? vt_conf_text(reading->conf, "pool", reading->name, key, NULL)
                            : NULL;

    return reading->single ? vt_conf_text(reading->conf, "pool", NULL, key, named) : named;
}

static bool read_password(struct reading *reading, struct vt_err *err)
{
    return vt_pool_password_read(setting(reading, "password_file"), reading->password,
                                 sizeof reading->password, err);
}

static bool choose_state(struct reading *reading, struct vt_err *err)
{
    const char *state = setting(reading, "state");
    int length;

    if (state || !reading->name)
        length = snprintf(reading->state, sizeof reading->state, "%s", state ? state : STATE_DEFAULT);
    else
        length = snprintf(reading->state, sizeof reading->state, STATE_DEFAULT "/%s", reading->name);
    return (length > 0 && length < (int)sizeof reading->state) ||
           vt_fail(err, VT_E_INVALID, "pool.state is too long");
}

static struct vt_keeper *make_keeper(struct reading *reading, struct vt_err *err)
{
    const char *user = setting(reading, "user");
    bool plain = false;
    int64_t save_every = 0;

    /* libvirt asks the operating system who we are */
    bool password = !vt_driver_for(setting(reading, "url"))->open;
    if ((password && !read_password(reading, err)) || !choose_state(reading, err) ||
        !vt_conf_bool(reading->conf, "pool", reading->name, "allow_plain", false, &plain, err) ||
        !vt_conf_duration(reading->conf, "pool", reading->name, "save_every", VT_NS_PER_S,
                          3600 * VT_NS_PER_S, 60 * VT_NS_PER_S, &save_every, err))
        return NULL;
    const struct vt_keeper_options options = {
        .name = reading->name ? reading->name : "pool",
        .state = reading->state,
        .save_every = save_every,
        .xapi = { .url = setting(reading, "url"),
                  .user = user ? user : "root",
                  .password = reading->password,
                  .fingerprint = setting(reading, "fingerprint"),
                  .ca_file = setting(reading, "ca_file"),
                  .allow_plain = plain },
    };
    return vt_keeper_new(&options, err);
}

static bool add(const struct vt_conf *conf, const char *name, bool single,
                struct vt_service *service, struct vt_err *err)
{
    struct reading reading = { .conf = conf, .name = name, .single = single };

    if (!setting(&reading, "url"))
        return vt_fail(err, VT_E_INVALID, "the pool %s has no url", name ? name : "");
    struct vt_keeper *keeper = make_keeper(&reading, err);
    explicit_bzero(reading.password, sizeof reading.password);
    if (!keeper)
        return name ? vt_fail_context(err, "pool %s", name) : false;
    if (vt_service_add_pool(service, keeper, err))
        return true;
    vt_keeper_free(keeper);
    return false;
}

bool vt_poold_conf_pools(const struct vt_conf *conf, struct vt_service *service, struct vt_err *err)
{
    const char *first = vt_conf_name(conf, "pool", 0);
    bool single = !first || !vt_conf_name(conf, "pool", 1);

    if (!first && !vt_conf_text(conf, "pool", NULL, "url", NULL))
        return vt_fail(err, VT_E_INVALID,
                       "no pool is configured: set url and password_file in [pool \"NAME\"], or "
                       "with -o pool.url=https://HOST");
    if (single)
        return add(conf, first, true, service, err);
    for (size_t i = 0; vt_conf_name(conf, "pool", i); i++)
        if (!add(conf, vt_conf_name(conf, "pool", i), false, service, err))
            return false;
    return true;
}

/* ---- the configuration anew ---- */

static bool set_login(struct reading *reading, struct vt_keeper *keeper, struct vt_err *err)
{
    const char *user = setting(reading, "user");
    struct vt_keeper_status status;
    bool changed = false;

    if (!vt_keeper_xapi(keeper))
        return true;
    bool ok = read_password(reading, err) &&
              vt_xapi_set_login(vt_keeper_xapi(keeper), user ? user : "root", reading->password,
                                setting(reading, "fingerprint"), &changed, err);
    explicit_bzero(reading->password, sizeof reading->password);
    vt_keeper_status(keeper, &status);
    if (ok && (changed || !status.answers))
        vt_keeper_again(keeper, 0);
    return ok || vt_fail_context(err, "pool %s", vt_keeper_name(keeper));
}

static bool is_where_it_was(struct reading *reading, const struct vt_keeper *keeper)
{
    const char *url = setting(reading, "url");

    return url && strcmp(url, vt_keeper_url(keeper)) == 0;
}

bool vt_poold_conf_logins(const struct vt_conf *conf, struct vt_service *service,
                          struct vt_err *err)
{
    size_t count = vt_service_pool_count(service), named = 0;
    bool ok = true;

    while (vt_conf_name(conf, "pool", named))
        named++;
    if ((named ? named : 1) != count)
        vt_log(VT_LOG_WARN, "pool.restart-wanted", "reason=\"pools came or went\"");
    for (size_t i = 0; i < count; i++) {
        struct vt_keeper *keeper = vt_service_pool(service, i);
        struct reading reading = { .conf = conf, .single = count == 1 };
        reading.name = count == 1 ? vt_conf_name(conf, "pool", 0) : vt_keeper_name(keeper);
        if (is_where_it_was(&reading, keeper))
            ok = set_login(&reading, keeper, err) && ok;
        else
            vt_log(VT_LOG_WARN, "pool.restart-wanted", "reason=\"the url of %s is another\"",
                   vt_keeper_name(keeper));
    }
    return ok;
}

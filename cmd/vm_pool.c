/* Configuration, session and state of the pool for the command line. */
#include "cmd/vm_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/io.h"
#include "hypervisor/driver.h"
#include "hypervisor/explain.h"
#include "hypervisor/pool_service.h"

enum { ANSWER_MAX = 256 };
#define CATCH_UP_NS (2 * VT_NS_PER_S)

/* ---- configuration ---- */

/* [pool] wins over [pool "NAME"], so that -o pool.url= works beside a section with a name. */
static const char *setting(const struct vt_pool *pool, const char *key)
{
    const struct vt_conf *conf = pool->cli->options->conf;
    const char *named = pool->name ? vt_conf_text(conf, "pool", pool->name, key, NULL) : NULL;

    return vt_conf_text(conf, "pool", NULL, key, named);
}

static bool choose_section(struct vt_pool *pool, struct vt_err *err)
{
    const struct vt_conf *conf = pool->cli->options->conf;
    const char *wanted = vt_cli_value(pool->cli, "--pool");
    const char *first = vt_conf_name(conf, "pool", 0);

    if (!wanted && first && vt_conf_name(conf, "pool", 1) &&
        !vt_conf_text(conf, "pool", NULL, "url", NULL))
        return vt_fail(err, VT_E_INVALID,
                       "several pools are configured: name one with --pool, e.g. --pool %s", first);
    pool->name = wanted ? wanted : first;
    if (wanted && !vt_conf_text(conf, "pool", wanted, "url", NULL))
        return vt_fail(err, VT_E_INVALID, "no pool \"%s\" with a url is configured", wanted);
    if (!setting(pool, "url"))
        return vt_fail(
            err, VT_E_INVALID,
            "no pool is configured: set url and password_file in [pool \"NAME\"], or with "
            "-o pool.url=https://HOST");
    return true;
}

bool vt_pool_password_read(const char *path, char *out, size_t room, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, room - 1);
    struct stat file;

    if (!path)
        return vt_fail(err, VT_E_INVALID,
                       "no password: set pool.password_file to a file of mode 0600");
    if (stat(path, &file) != 0)
        return vt_fail_errno(err, "%s", path);
    if (file.st_mode & (S_IRWXG | S_IRWXO))
        return vt_fail(err, VT_E_INVALID, "%s can be read by others: chmod 600 %s", path, path);
    if (!vt_io_read_file(path, &bytes, err))
        return false;
    const char *text = vt_buf_string(&bytes, err);
    if (text)
        snprintf(out, room, "%.*s", (int)strcspn(text, "\r\n"), text);
    explicit_bzero(bytes.data, bytes.capacity);
    return text;
}

static bool read_password(struct vt_pool *pool, struct vt_err *err)
{
    return vt_pool_password_read(setting(pool, "password_file"), pool->password,
                                 sizeof pool->password, err);
}

/* pool.state, or a folder of the user's own: what is believed of keys must not lie where others
 * write. */
static bool choose_state(struct vt_pool *pool, struct vt_err *err)
{
    const char *folder = setting(pool, "state"), *home = getenv("HOME"),
               *xdg = getenv("XDG_STATE_HOME");
    const char *name = pool->name ? pool->name : "pool";
    int length = 0;

    if (folder)
        length = snprintf(pool->state, sizeof pool->state, "%s", folder);
    else if (xdg && *xdg)
        length = snprintf(pool->state, sizeof pool->state, "%s/vitrine/%s", xdg, name);
    else if (home && *home)
        length =
            snprintf(pool->state, sizeof pool->state, "%s/.local/state/vitrine/%s", home, name);
    else
        return vt_fail(err, VT_E_INVALID, "there is no HOME: set pool.state to a folder");
    if (length >= (int)sizeof pool->state - 32)
        return vt_fail(err, VT_E_INVALID, "pool.state is too long");
    return vt_io_make_folder(pool->state, err);
}

static void path_in(const struct vt_pool *pool, const char *file, char out[static VT_POOL_PATH_MAX])
{
    snprintf(out, VT_POOL_PATH_MAX, "%.*s/%s", VT_POOL_PATH_MAX - 32, pool->state, file);
}

static struct vt_xapi *make_session(const struct vt_pool *pool, const char *url,
                                    const char *fingerprint, struct vt_err *err)
{
    bool plain = false;

    if (!vt_conf_bool(pool->cli->options->conf, "pool", pool->name, "allow_plain", false, &plain,
                      err))
        return NULL;
    const struct vt_xapi_options options = { .url = url,
                                             .user = pool->user,
                                             .password = pool->password,
                                             .fingerprint = fingerprint,
                                             .ca_file = setting(pool, "ca_file"),
                                             .allow_plain = plain };
    return vt_xapi_new(&options, err);
}

static size_t count_pins(struct vt_xapi *xapi)
{
    struct vt_xapi_member members[VT_XAPI_MEMBERS_MAX];
    char uuid[VT_XAPI_UUID_MAX];
    size_t count = 0, pins = 0;

    vt_xapi_members(xapi, members, &count, uuid);
    for (size_t i = 0; i < count; i++)
        pins += members[i].pin[0] != '\0';
    return pins;
}

static bool remember(struct vt_pool *pool, struct vt_err *err)
{
    char path[VT_POOL_PATH_MAX];

    path_in(pool, "members.json", path);
    if (vt_members_restore(pool->xapi, path, err) || err->code == VT_E_NOTFOUND) {
        vt_err_clear(err);
        pool->known = count_pins(pool->xapi);
        return true;
    }
    return false;
}

/* Inside vitrine-poold: the keeper's session, a line and a picture of our own. */
static bool open_kept(struct vt_pool *pool, struct vt_err *err)
{
    const struct vt_conf *conf = pool->cli->options->conf;

    pool->keeper = vt_call_pool(pool->cli->call, err);
    if (!pool->keeper)
        return false;
    const char *name = vt_keeper_name(pool->keeper);
    pool->name = vt_conf_text(conf, "pool", name, "url", NULL) ? name : NULL;
    pool->driver = vt_keeper_driver(pool->keeper, &pool->session);
    pool->user = setting(pool, "user") ? setting(pool, "user") : "root";
    snprintf(pool->state, sizeof pool->state, "%s", vt_keeper_folder(pool->keeper));
    pool->xapi = vt_keeper_xapi(pool->keeper);
    pool->line = vt_line_new(err);
    pool->picture = vt_picture_new();
    pool->known = pool->xapi ? count_pins(pool->xapi) : 0;
    return pool->line && (pool->picture ||
                          vt_fail(err, VT_E_NOMEM, "no memory for the picture of the pool"));
}

/* The operating system says who may: no password, no members. */
static bool open_session(struct vt_pool *pool, struct vt_err *err)
{
    if (!choose_state(pool, err) || !(pool->session = pool->driver->open(setting(pool, "url"), err)))
        return false;
    pool->picture = vt_picture_new();
    return pool->picture || vt_fail(err, VT_E_NOMEM, "no memory for the picture of the pool");
}

bool vt_pool_open(const struct vt_cli *cli, struct vt_pool *out, struct vt_err *err)
{
    if (!vt_pool_open_any(cli, out, err))
        return false;
    return out->xapi || vt_fail(err, VT_E_DENIED, "the driver %s cannot do '%s %s'",
                                out->driver->name, cli->command->words[0],
                                cli->command->words[1] ? cli->command->words[1] : "");
}

bool vt_pool_open_any(const struct vt_cli *cli, struct vt_pool *out, struct vt_err *err)
{
    *out = (struct vt_pool){ .cli = cli };
    if (cli->call)
        return open_kept(out, err);
    if (!choose_section(out, err))
        return false;
    out->driver = vt_driver_for(setting(out, "url"));
    if (out->driver->open)
        return open_session(out, err);
    out->user = setting(out, "user") ? setting(out, "user") : "root";
    if (!read_password(out, err) || !choose_state(out, err))
        return false;
    out->xapi = make_session(out, setting(out, "url"), setting(out, "fingerprint"), err);
    out->line = out->xapi ? vt_line_new(err) : NULL;
    out->picture = vt_picture_new();
    if (!out->line)
        return false;
    return out->picture ? remember(out, err)
                        : vt_fail(err, VT_E_NOMEM, "no memory for the picture of the pool");
}

/* ---- the session ---- */

/* A certificate that was believed without proof is worth a line. */
static void tell_pins(struct vt_pool *pool)
{
    struct vt_xapi_member members[VT_XAPI_MEMBERS_MAX];
    char uuid[VT_XAPI_UUID_MAX];
    size_t count = 0, pins = count_pins(pool->xapi);

    if (pins == pool->known)
        return;
    vt_xapi_members(pool->xapi, members, &count, uuid);
    if (pool->known == 0 && !setting(pool, "fingerprint"))
        vt_cli_complain(
            pool->cli,
            "the keys of %zu hosts were learnt and are trusted from now on: %s (%s/members.json)",
            pins, members[0].pin, pool->state);
    pool->known = pins;
}

static bool keeper_answers(struct vt_pool *pool, struct vt_err *err)
{
    struct vt_keeper_status status;

    vt_keeper_status(pool->keeper, &status);
    return status.answers || vt_fail(err, VT_E_REFUSED, "the pool does not answer: %.180s", status.why);
}

/* As current as an answer of the pool would be: what was just done is in it. */
static bool copy_kept(struct vt_pool *pool, unsigned classes, struct vt_err *err)
{
    if (!pool->stale)
        vt_keeper_catch_up(pool->keeper, pool->line, vt_clock_mono() + CATCH_UP_NS);
    struct vt_picture *copy = vt_keeper_copy(pool->keeper, classes, err);

    if (!copy)
        return false;
    vt_picture_free(pool->picture);
    pool->picture = copy;
    return true;
}

static bool load_session(struct vt_pool *pool, struct vt_err *err)
{
    char path[VT_POOL_PATH_MAX];
    struct vt_err ignored = { 0 };

    if (!pool->driver->load(pool->session, pool->picture, err))
        return false;
    path_in(pool, "picture.json", path);
    if (!vt_picture_save(pool->picture, path, &ignored))
        vt_cli_complain(pool->cli, "the picture is not kept: %s", ignored.text);
    return true;
}

bool vt_pool_load(struct vt_pool *pool, unsigned classes, struct vt_err *err)
{
    if (pool->keeper)
        return keeper_answers(pool, err) && copy_kept(pool, classes, err);
    char path[VT_POOL_PATH_MAX];
    struct vt_err ignored = { 0 };

    if (pool->session)
        return load_session(pool, err);
    if (!vt_picture_load(pool->picture, pool->xapi, pool->line, classes, err)) {
        if (err->code == VT_E_DENIED && strstr(err->text, "certificate"))
            vt_fail_context(
                err, "not trusted (when the change is known: vitrine pool status --trust HOST)");
        vt_explain(err, pool->picture);
        return false;
    }
    path_in(pool, "members.json", path);
    if (!vt_members_save(pool->xapi, path, &ignored))
        vt_cli_complain(pool->cli, "the members are not remembered: %s", ignored.text);
    tell_pins(pool);
    path_in(pool, "picture.json", path);
    if ((classes & VT_CLASS_BIT(VT_CLASS_VM)) && (classes & VT_CLASS_BIT(VT_CLASS_HOST)) &&
        !vt_picture_save(pool->picture, path, &ignored))
        vt_cli_complain(pool->cli, "the picture is not kept: %s", ignored.text);
    return true;
}

/* The keeper's own picture under its lock. */
static void borrow(struct vt_pool *pool)
{
    vt_picture_free(pool->picture);
    vt_call_hold(pool->cli->call, true);
    pool->picture = (struct vt_picture *)(uintptr_t)vt_keeper_read(pool->keeper);
    pool->borrowed = true;
}

void vt_pool_release(struct vt_pool *pool)
{
    if (!pool->borrowed)
        return;
    vt_keeper_done(pool->keeper);
    pool->borrowed = false;
    pool->picture = NULL;
    vt_call_hold(pool->cli->call, false);
}

static void tell_age(struct vt_pool *pool, const char *why)
{
    char age[VT_CLOCK_TEXT_MAX];

    vt_clock_text(vt_picture_time(pool->picture), age);
    vt_cli_complain(pool->cli, "the pool does not answer (%s); this is how it was at %s", why, age);
    pool->stale = true;
}

bool vt_pool_look(struct vt_pool *pool, unsigned classes, struct vt_err *err)
{
    struct vt_keeper_status status;

    if (!pool->keeper)
        return vt_pool_load_or_remember(pool, classes, err);
    vt_keeper_status(pool->keeper, &status);
    if (!status.answers && status.time == 0)
        return vt_fail(err, VT_E_REFUSED, "the pool has not answered yet: %.180s", status.why);
    borrow(pool);
    if (!status.answers)
        tell_age(pool, status.why);
    return true;
}

bool vt_pool_look_now(struct vt_pool *pool, unsigned classes, struct vt_err *err)
{
    if (!pool->keeper)
        return vt_pool_load(pool, classes, err);
    if (!keeper_answers(pool, err))
        return false;
    borrow(pool);
    return true;
}

void vt_pool_explain(struct vt_pool *pool, struct vt_err *err)
{
    bool lock = pool->keeper && !pool->borrowed;

    if (!*err->xapi_code)
        return;
    vt_explain(err, lock ? vt_keeper_read(pool->keeper) : pool->picture);
    if (lock)
        vt_keeper_done(pool->keeper);
}

bool vt_pool_load_or_remember(struct vt_pool *pool, unsigned classes, struct vt_err *err)
{
    if (pool->keeper)
        return vt_pool_load(pool, classes, err);
    struct vt_err none = { 0 };
    char path[VT_POOL_PATH_MAX];

    if (vt_pool_load(pool, classes, err))
        return true;
    bool away = err->code == VT_E_REFUSED || err->code == VT_E_TIMEOUT ||
                err->code == VT_E_CLOSED || strncmp(err->xapi_code, "HOST_", 5) == 0;
    path_in(pool, "picture.json", path);
    if (!away || !vt_picture_restore(pool->picture, path, &none))
        return false;
    tell_age(pool, err->text);
    vt_err_clear(err);
    return true;
}

void vt_pool_remember(struct vt_pool *pool)
{
    struct vt_err ignored = { 0 };
    char path[VT_POOL_PATH_MAX];

    if (pool->keeper) {
        pool->stale = true;
        copy_kept(pool, VT_PICTURE_ALL, &ignored);
        return;
    }
    path_in(pool, "picture.json", path);
    if (vt_picture_restore(pool->picture, path, &ignored))
        pool->stale = true;
}

void vt_pool_close(struct vt_pool *pool)
{
    struct vt_err ignored = { 0 };

    vt_pool_release(pool);
    if (!pool->keeper && pool->xapi && pool->line)
        vt_xapi_logout(pool->xapi, pool->line, &ignored);
    vt_picture_free(pool->picture);
    vt_line_free(pool->line);
    if (!pool->keeper)
        vt_xapi_free(pool->xapi);
    if (pool->session && !pool->keeper)
        pool->driver->close(pool->session);
    explicit_bzero(pool->password, sizeof pool->password);
    *pool = (struct vt_pool){ 0 };
}

bool vt_pool_url_of(const struct vt_pool *pool, const char *address, char *out, size_t room,
                    struct vt_err *err)
{
    const char *url = setting(pool, "url"), *host = strstr(url, "://");
    size_t scheme = host ? (size_t)(host - url) + 3 : 0;

    if (strstr(address, "://")) {
        snprintf(out, room, "%s", address);
        return true;
    }
    host = url + scheme;
    const char *port = *host == '[' ? strstr(host, "]:") : strchr(host, ':');
    port = port ? strrchr(port, ':') : NULL;
    bool has_port = strchr(address, ':') && !strchr(strchr(address, ':') + 1, ':');
    bool bare_six = strchr(address, ':') && !has_port && *address != '[';
    int length =
        snprintf(out, room, "%.*s%s%s%s%.*s", scheme ? (int)scheme : 8, scheme ? url : "https://",
                 bare_six ? "[" : "", address, bare_six ? "]" : "",
                 port && !has_port ? (int)strcspn(port, "/") : 0, port ? port : "");
    return (length > 0 && (size_t)length < room) ||
           vt_fail(err, VT_E_INVALID, "'%.80s' is no address of a host", address);
}

struct vt_xapi *vt_pool_other(struct vt_pool *pool, const char *address, const char *fingerprint,
                              struct vt_err *err)
{
    char url[512];

    if (!*pool->password && !read_password(pool, err)) /* a keeper does not give it away */
        return NULL;
    return vt_pool_url_of(pool, address, url, sizeof url, err)
               ? make_session(pool, url, fingerprint, err)
               : NULL;
}

bool vt_pool_send_join(const struct vt_pool *pool, struct vt_xapi *joiner, struct vt_line *line,
                       const char *master, struct vt_xapi_reply *reply, struct vt_err *err)
{
    return vt_xapi_call(joiner, line, reply, err, "Async.pool.join", "sss", master, pool->user,
                        pool->password);
}

/* ---- answers ---- */

static bool has_option(const struct vt_cli *cli, const char *name)
{
    for (size_t i = 0; i < VT_CLI_OPTIONS && cli->command->options[i].name; i++)
        if (strcmp(cli->command->options[i].name, name) == 0)
            return true;
    return false;
}

bool vt_pool_confirm(const struct vt_cli *cli, const char *question, const char *word,
                     struct vt_err *err)
{
    const char *given = vt_cli_value(cli, "--confirm");
    char line[ANSWER_MAX] = "";

    if (vt_cli_switch(cli, "--yes") || (given && strcmp(given, word) == 0))
        return true;
    if (cli->call && !given)
        return vt_call_confirm(cli->call, question, word, err);
    if (given)
        return vt_fail(err, VT_E_DENIED, "%s: --confirm wants '%s'", question, word);
    if (!isatty(STDIN_FILENO) && has_option(cli, "--yes"))
        return vt_fail(err, VT_E_DENIED, "%s: nothing was done, say --yes", question);
    if (!isatty(STDIN_FILENO))
        return vt_fail(err, VT_E_DENIED, "%s: nothing was done, say --confirm '%s'", question,
                       word);
    fprintf(cli->errors, "%s. Type '%s' to go on: ", question, word);
    fflush(cli->errors);
    if (fgets(line, sizeof line, stdin))
        line[strcspn(line, "\r\n")] = '\0';
    return strcmp(line, word) == 0 || vt_fail(err, VT_E_DENIED, "nothing was done");
}

int vt_pool_status(const struct vt_err *err)
{
    if (!vt_failed(err))
        return VT_EXIT_DONE;
    return err->code == VT_E_INVALID ? VT_EXIT_USAGE : VT_EXIT_FAILED;
}

/* vitrined: the archive node. Wires archive, server and control socket together; everything else
 * is theirs. */
#include <jansson.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "archive/archive.h"
#include "archive/last_access.h"
#include "cmd/control.h"
#include "cmd/notify.h"
#include "cmd/options.h"
#include "cmd/peer_failures.h"
#include "cmd/shed.h"
#include "cmd/upkeep.h"
#include "cmd/vitrined_audit.h"
#include "cmd/vitrined_conf.h"
#include "cmd/vitrined_http.h"
#include "cmd/vitrined_jobs.h"
#include "cmd/vitrined_log.h"
#include "cmd/vitrined_through.h"
#include "cmd/vitrined_watch_slides.h"
#include "cmd/vitrined_worklist.h"
#include "cmd/vitrined_reload.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"
#include "core/log.h"
#include "dicom/net.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum {
    ALLOCATOR_ARENAS = 4, /* glibc makes up to eight for each core, each with its own free memory */
    TRIM_LOOK_S = 5,      /* after a burst the memory it left behind goes back to the system ... */
    TRIM_LOOKS = 12,      /* ... and from time to time where bursts never end */
    PURGE_FIRST_S = 60,
    PURGE_EVERY_S = 86400,
    NOTE_S = 60,
};

static const char usage[] =
    "usage: vitrined [-c FILE] [-o section.key=value]... [-v]\n"
    "\n"
    "The archive node: DICOM storage, query and retrieval.\n"
    "\n"
    "  -c, --config FILE        configuration; default /etc/vitrine/vitrine.conf when it is there\n"
    "  -o section.key=value     overrides the configuration, e.g. -o archive.path=DIR -o "
    "dicom.port=11112\n"
    "  -v, --verbose            log every association, query and instance\n"
    "      --help, --version\n"
    "\n"
    "Without configuration: AE title VITRINE on 127.0.0.1:11112, data in /var/lib/vitrine.\n"
    "Writes `ready ...` to standard error when it accepts work; SIGHUP reads peers and\n"
    "certificates again; SIGTERM ends it.\n";

struct node {
    int argc;
    char **argv;
    struct vt_options options;
    struct vt_archive_conf archive_conf;
    struct vt_dicom_conf dicom;
    struct vt_query_rules rules;
    struct ssl_ctx_st *tls;
    struct vt_events *events;
    struct vt_node_audit *audit;
    struct vt_peer_failures *failures;
    struct vt_archive *archive;
    struct vt_server *server;
    struct vt_control *control;
    struct vt_upkeep *upkeep;
    struct vt_watch_slides_conf slides;
    struct vt_watch_slides *watch;
    struct vt_worklist_watch *worklist;
    struct vt_job_world world;
    struct vt_web web;
    struct vt_control_options inside; /* of the verbs: over the control socket, and of the console */

    /* of the upkeep's thread: instances received at the last look and at the last trim */
    uint64_t seen, trimmed;
    unsigned looks;
};

/* ---- the process ---- */

/* An association, its files and the index's connections need descriptors. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* All threads inherit the mask; the main thread waits for these. */
static sigset_t block_signals(void)
{
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    return ends;
}

/* ---- the node ---- */

static void warn_of_unread_keys(const struct vt_conf *conf)
{
    char key[256];

    for (size_t i = 0; vt_conf_unread(conf, i, key, sizeof key); i++)
        if (!vt_conf_is_others(key))
            vt_log(VT_LOG_WARN, "configuration.unknown",
                   "key=\"%s\" hint=\"nobody reads this key: is it misspelt?\"", key);
}

static bool read_configuration(struct node *node, struct vt_err *err)
{
    static const char *const words[] = { "error", "warn", "info", "debug", NULL };
    const struct vt_conf *conf = node->options.conf;
    size_t level;

    if (!vt_conf_choice(conf, "log", NULL, "level", words, VT_LOG_INFO, &level, err))
        return false;
    vt_log_set_level(node->options.verbose ? VT_LOG_DEBUG : (enum vt_log_level)level);
    if (!vt_archive_conf_read(conf, &node->archive_conf, err) ||
        !vt_query_conf_read(conf, &node->rules, err) ||
        !vt_watch_slides_conf_read(conf, &node->slides, err) ||
        !vt_dicom_conf_read(conf, &node->dicom, err))
        return false;
    node->web.conf = conf;
    if (!vt_web_read(&node->web, err))
        return false;
    return true;
}

static bool start_server(struct node *node, struct vt_err *err)
{
    struct vt_dicom_conf *dicom = &node->dicom;

    if (dicom->has_tls) {
        node->tls = vt_tls_server(&dicom->tls, err);
        if (!node->tls)
            return false;
    }
    for (size_t i = dicom->tls_from; i < dicom->options.listener_count; i++)
        dicom->listeners[i].tls = node->tls;
    dicom->options.archive = node->archive;
    dicom->options.events = node->events;
    dicom->options.commits = node->world.commits;
    dicom->options.audit = vt_node_audit_trail(node->audit);
    node->server = vt_server_open(&dicom->options, err);
    return node->server != NULL;
}

/* What only the daemon knows, for `vitrine status`. */
static void add_status(void *context, struct json_t *row)
{
    const struct node *node = context;
    struct vt_server_status status;

    vt_server_status(node->server, &status);
    json_object_set_new(row, "ae_title", json_string(node->dicom.ae_title));
    json_object_set_new(row, "port", json_integer(vt_server_port(node->server, 0)));
    json_object_set_new(row, "associations", json_integer(status.associations));
    json_object_set_new(row, "associations_total",
                        json_integer((json_int_t)status.associations_total));
    json_object_set_new(row, "associations_refused",
                        json_integer((json_int_t)status.associations_refused));
    json_object_set_new(row, "instances_received",
                        json_integer((json_int_t)status.instances_received));
    json_object_set_new(row, "instances_sent", json_integer((json_int_t)status.instances_sent));
    json_object_set_new(row, "queries", json_integer((json_int_t)status.queries));
}

/* ---- chores ---- */

static void purge(void *context, const atomic_bool *stopping)
{
    const struct node *node = context;

    vt_upkeep_purge_trash(node->archive, stopping);
}

static void trim(void *context, const atomic_bool *stopping)
{
    struct node *node = context;
    struct vt_server_status status;

    (void)stopping;
    vt_server_status(node->server, &status);
    bool quiet = status.instances_received == node->seen;
    node->seen = status.instances_received;
    if (node->seen == node->trimmed || (!quiet && ++node->looks < TRIM_LOOKS))
        return;
    node->looks = 0;
    node->trimmed = node->seen;
    malloc_trim(0);
}

/* What would be lost with the process otherwise: counts of the day, days of last access. */
static void note_usage(void *context, const atomic_bool *stopping)
{
    const struct node *node = context;
    struct vt_err err = { 0 };

    (void)stopping;
    if (!vt_server_save(node->server, &err) || !vt_accesses_flush(node->archive, &err))
        vt_log(VT_LOG_WARN, "usage.not-saved", "text=\"%s\"", err.text);
}

static bool start_upkeep(struct node *node, struct vt_err *err)
{
    static const struct vt_chore chores[] = {
        { PURGE_FIRST_S * VT_NS_PER_S, PURGE_EVERY_S * VT_NS_PER_S, purge },
        { TRIM_LOOK_S * VT_NS_PER_S, TRIM_LOOK_S * VT_NS_PER_S, trim },
        { NOTE_S * VT_NS_PER_S, NOTE_S * VT_NS_PER_S, note_usage },
    };

    node->upkeep = vt_upkeep_start(chores, VT_COUNT(chores), node, err);
    return node->upkeep != NULL &&
           vt_watch_slides_start(&node->slides, node->archive, &node->watch, err) &&
           vt_worklist_watch_start(&node->world, &node->worklist, err);
}

/* What takes longer than a moment; its workers start when everything else stands. */
static bool open_world(struct node *node, struct vt_err *err)
{
    node->world = (struct vt_job_world){
        .conf = node->options.conf,
        .archive = node->archive,
        .peers = node->dicom.peers,
        .events = node->events,
        .audit = vt_node_audit_trail(node->audit),
        .failures = node->failures,
        .ae_title = node->dicom.ae_title,
        .shs_ae_title = node->dicom.shs_ae_title,
        .max_pdu = node->dicom.options.max_pdu,
        .wake = node->dicom.options.wake,
        .wake_context = node->dicom.options.wake_context,
    };
    return vt_world_open(&node->world, err) &&
           vt_through_open(&node->world, &node->dicom.options.elsewhere, err);
}

static bool start_web(struct node *node, struct vt_err *err)
{
    node->web.archive = node->archive;
    node->web.rules = node->rules;
    node->web.ae_title = node->dicom.ae_title;
    node->web.events = node->events;
    node->web.audit = vt_node_audit_trail(node->audit);
    node->web.jobs = node->world.jobs;
    node->web.peers = node->dicom.peers;
    node->web.inside = &node->inside;
    return vt_web_start(&node->web, err);
}

static bool start_node(struct node *node, struct vt_err *err)
{
    struct vt_net_options net = { 0 };

    if (!vt_net_start(&net, err) || !read_configuration(node, err))
        return false;
    node->events = vt_events_new();
    if (!node->events)
        return vt_fail(err, VT_E_NOMEM, "no memory for events");
    if (!vt_log_events(node->events, err))
        return false;
    node->audit = vt_node_audit_open(node->options.conf, node->dicom.ae_title, node->events, err);
    node->failures = vt_peer_failures_open(node->events, err);
    if (!node->audit || !node->failures)
        return false;
    node->archive_conf.options.events = node->events;
    node->archive = vt_archive_open(&node->archive_conf.options, err);
    if (!node->archive || !open_world(node, err))
        return false;
    if (!start_server(node, err))
        return false;
    node->inside = (struct vt_control_options){
        .archive = node->archive,
        .world = &node->world,
        .rules = node->rules,
        .status = add_status,
        .context = node,
    };
    node->control = vt_control_start(&node->inside, err);
    if (!node->control || !start_upkeep(node, err) || !vt_world_start(&node->world, err) ||
        !start_web(node, err))
        return false;
    warn_of_unread_keys(node->options.conf);
    return true;
}

/* ready aet=VITRINE dicom=127.0.0.1:11112 path=/var/lib/vitrine */
static void say_ready(const struct node *node)
{
    VT_AUTO_BUF(line, VT_CONF_TEXT_MAX * 2);
    struct vt_err err = { 0 };

    vt_buf_printf(&line, &err, "ready aet=%s", node->dicom.ae_title);
    for (size_t i = 0; i < node->dicom.options.listener_count; i++) {
        const char *address = node->dicom.listeners[i].address;
        bool brackets = strchr(address, ':') != NULL;
        vt_buf_printf(&line, &err, " %s=%s%s%s:%u",
                      i < node->dicom.tls_from ? "dicom" : "dicom-tls", brackets ? "[" : "",
                      address, brackets ? "]" : "", vt_server_port(node->server, i));
    }
    if (node->web.console)
        vt_buf_printf(&line, &err, " http%s=%s:%u", node->web.certificate ? "s" : "", node->web.listen,
                      node->web.port);
    vt_buf_printf(&line, &err, " path=%s\n", vt_archive_path(node->archive));
    fwrite(line.data, 1, line.size, stderr);
    fflush(stderr);
    vt_notify("READY=1");
}

/* In the opposite order: nothing new comes in, then what was accepted is finished, then the
 * archive closes. */
static void stop_node(struct node *node)
{
    vt_notify("STOPPING=1");
    vt_upkeep_stop(node->upkeep);
    vt_watch_slides_stop(node->watch);
    vt_worklist_watch_stop(node->worklist);
    vt_web_stop(&node->web);
    vt_world_stop(&node->world);
    vt_control_stop(node->control);
    if (node->server)
        vt_server_stop(node->server, node->dicom.stop_grace);
    vt_server_free(node->server);
    vt_world_close(&node->world);
    vt_archive_free(node->archive);
    vt_peer_failures_free(node->failures);
    vt_node_audit_close(node->audit);
    vt_events_free(node->events);
    vt_worklist_watch_free(node->worklist);
    vt_tls_free(node->tls);
    vt_dicom_conf_fini(&node->dicom);
    vt_net_stop();
}

static int run(struct node *node)
{
    sigset_t ends = block_signals();
    struct vt_err err = { 0 };
    int status = EXIT_DONE, signal_number = 0;

    raise_descriptor_limit();
    if (start_node(node, &err)) {
        vt_shed_start();
        say_ready(node);
        while (sigwait(&ends, &signal_number) == 0 && signal_number == SIGHUP)
            vt_reload(node->argc, node->argv, &node->dicom, node->server);
        vt_log(VT_LOG_INFO, "node.stopping", "signal=%s",
               signal_number == SIGTERM ? "SIGTERM" : "SIGINT");
    } else {
        fprintf(stderr, "vitrined: %s\n", err.text);
        status = EXIT_FAILED;
    }
    stop_node(node);
    return status;
}

int main(int argc, char **argv)
{
    static struct node node;
    struct vt_err err = { 0 };
    int status = EXIT_USAGE;

    mallopt(M_ARENA_MAX, ALLOCATOR_ARENAS);
    node.argc = argc;
    node.argv = argv;
    if (!vt_options_parse(&node.options, argc, argv, &err)) {
        fprintf(stderr, "vitrined: %s\n", err.text);
        status = err.code == VT_E_INVALID ? EXIT_USAGE : EXIT_FAILED;
    } else if (node.options.help || node.options.version) {
        fputs(node.options.help ? usage : "vitrined " VT_VERSION "\n", stdout);
        status = EXIT_DONE;
    } else if (node.options.word_count > 0) {
        fprintf(stderr, "vitrined: '%s' is not an option\n%s", node.options.words[0], usage);
    } else {
        status = run(&node);
    }
    vt_options_fini(&node.options);
    return status;
}

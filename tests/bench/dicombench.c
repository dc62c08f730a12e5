/* dicombench: a load generator for DICOM nodes, independent of the product. One JSON object on standard output.
 *
 *   dicombench store --port 11112 --set ct -c 4 --seconds 10 --server-pid PID
 *   dicombench echo  --port 11112 --idle 64 --silent 50 --fresh
 *   dicombench find  --port 11112 --set tiny --stored 100000 --query patient
 *   dicombench get   --port 11112 --set ct --stored 300
 *   dicombench move  --port 11112 --set ct --stored 300 --scp-port 11199 --scp-title BENCHSCP
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/load.h"

static const char usage[] =
    "dicombench store|echo|find|get|move --port P [--host H] [--called AET] [--calling AET] [-c ASSOCIATIONS]\n"
    "  --set ct|tiny|wsi|huge  --size BYTES (huge)   --run N  --first N  --count N     which instances\n"
    "  --seconds S  --warmup S                       timed part, time before it\n"
    "  --stored N  --query patient|study|accession|date|prefix|smith|infix|instances  --days N\n"
    "  --idle N  --silent N  --fresh                 echo: associations and connections beside; a new association each\n"
    "  --scp-port P  --scp-title AET                 move: where to\n"
    "  --per-title N                                 associations for each calling title (default: all)\n"
    "  --acks FILE                                   a line for each success: SOP, study, series UID, CRC-32 of the data set\n"
    "  --server-pid PID                              CPU and memory of the server\n"
    "  --tls                                         any certificate of the server will do\n";

static const struct {
    const char *name;
    void *(*body)(void *worker);
} modes[] = { { "store", load_store }, { "echo", load_echo }, { "find", load_find }, { "get", load_get }, { "move", load_move } };

bool worker_open(struct worker *w, const struct dcm_offer *offers, size_t count)
{
    const struct options *o = w->run->options;
    char calling[32];
    if (o->per_title)
        snprintf(calling, sizeof calling, "%.12s%u", o->calling, w->index / o->per_title);
    else
        snprintf(calling, sizeof calling, "%.16s", o->calling);
    bool fine = dcm_connect(&w->dcm, o->host, o->port, TIMEOUT_SECONDS) && (!o->tls || dcm_secure(&w->dcm)) &&
                dcm_associate(&w->dcm, offers, count, o->called, calling);
    for (size_t i = 0; fine && i < count; i++)
        if (w->dcm.context[i] == 0) {
            snprintf(w->dcm.why, sizeof w->dcm.why, "context %s refused", offers[i].abstract);
            fine = false;
        }
    if (!fine)
        worker_note(w, w->dcm.why);
    return fine;
}

void worker_note(struct worker *w, const char *why)
{
    if (w->why[0] == '\0')
        snprintf(w->why, sizeof w->why, "%s", why);
}

/* ---- companions of an echo: idle associations, connections that say nothing ---- */

static unsigned open_silent(const struct options *o)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(o->port) };
    unsigned open = 0;
    inet_pton(AF_INET, o->host, &to.sin_addr);
    for (unsigned i = 0; i < o->silent; i++) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        open += fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0;
    }
    return open;
}

static unsigned open_idle(struct run *run)
{
    const struct dcm_offer offer = { .abstract = DCM_VERIFICATION, .syntax = DCM_IMPLICIT };
    unsigned open = 0;
    for (unsigned i = 0; i < run->options->idle; i++) {
        struct worker *idle = calloc(1, sizeof *idle);
        if (!idle)
            break;
        idle->run = run;
        idle->index = i;
        if (!worker_open(idle, &offer, 1)) {
            fprintf(stderr, "dicombench: idle association %u: %s\n", i, idle->why);
            dcm_close(&idle->dcm);
            free(idle);
            break;
        }
        open++;      /* stays open until the program ends */
    }
    return open;
}

/* ---- the run ---- */

struct outcome {
    double seconds, cpu_ms;
    uint64_t rss_before, rss_peak;
    unsigned idle, silent;
    uint64_t sunk_instances, sunk_bytes;
};

static void sleep_seconds(double seconds)
{
    const struct timespec t = { .tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };
    nanosleep(&t, NULL);
}

static void watch_peak(const struct options *o, struct outcome *out)
{
    const uint64_t rss = o->server ? server_rss(o->server, "VmRSS") : 0;
    if (rss > out->rss_peak)
        out->rss_peak = rss;
}

/* Joined or not, the threads' state may be read after this. */
static void run_phases(struct run *run, struct worker *workers, struct sink *sink, struct outcome *out)
{
    const struct options *o = run->options;
    if (o->warmup > 0)
        sleep_seconds(o->warmup);
    if (o->server)
        server_reset_peak(o->server);
    out->cpu_ms = o->server ? server_cpu_ms(o->server) : 0;
    const uint64_t instances = sink ? sink_instances(sink) : 0, bytes = sink ? sink_bytes(sink) : 0;
    const double begun = now_ms();
    atomic_store(&run->phase, PHASE_TIMED);
    if (!o->count) {
        while (now_ms() - begun < o->seconds * 1e3) {
            sleep_seconds(0.05);
            watch_peak(o, out);
        }
        out->sunk_instances = sink ? sink_instances(sink) - instances : 0;
        out->sunk_bytes = sink ? sink_bytes(sink) - bytes : 0;
        out->seconds = (now_ms() - begun) / 1e3;
        atomic_store(&run->phase, PHASE_OVER);
    }
    out->cpu_ms = o->server && !o->count ? server_cpu_ms(o->server) - out->cpu_ms : out->cpu_ms;
    for (unsigned i = 0; i < o->associations; i++) {
        while (o->count && pthread_tryjoin_np(workers[i].thread, NULL) != 0) {
            sleep_seconds(0.01);
            watch_peak(o, out);
        }
        if (!o->count)
            pthread_join(workers[i].thread, NULL);
    }
    if (o->count) {
        out->seconds = (now_ms() - begun) / 1e3;
        out->cpu_ms = o->server ? server_cpu_ms(o->server) - out->cpu_ms : 0;
    }
    const uint64_t high = o->server ? server_rss(o->server, "VmHWM") : 0;
    out->rss_peak = high > out->rss_peak ? high : out->rss_peak;
}

static void print_percentiles(const char *name, struct samples *s)
{
    samples_sort(s);
    printf(", \"%s_p50_ms\": %.4f, \"%s_p95_ms\": %.4f, \"%s_p99_ms\": %.4f, \"%s_max_ms\": %.4f", name, samples_at(s, 0.5), name,
           samples_at(s, 0.95), name, samples_at(s, 0.99), name, samples_at(s, 1));
}

/* true: nothing failed. */
static bool report(const struct options *o, struct worker *workers, const struct outcome *out)
{
    struct samples latency = { 0 }, first = { 0 };
    uint64_t done = 0, failed = 0, bytes = 0, matches = 0;
    const char *why = "";
    for (unsigned i = 0; i < o->associations; i++) {
        samples_join(&latency, &workers[i].latency);
        samples_join(&first, &workers[i].first);
        done += workers[i].done;
        failed += workers[i].failed;
        bytes += workers[i].bytes;
        matches += workers[i].matches;
        why = why[0] ? why : workers[i].why;
    }
    if (out->sunk_instances) {
        done = out->sunk_instances;
        bytes = out->sunk_bytes;
    }
    printf("{\"mode\": \"%s\", \"set\": \"%s\", \"associations\": %u, \"seconds\": %.3f, \"done\": %llu, \"failed\": %llu", o->mode,
           o->set->name, o->associations, out->seconds, (unsigned long long)done, (unsigned long long)failed);
    printf(", \"per_second\": %.2f, \"mb_per_second\": %.2f", (double)done / out->seconds, (double)bytes / 1e6 / out->seconds);
    print_percentiles("latency", &latency);
    if (first.count) {
        print_percentiles("first", &first);
        printf(", \"matches\": %llu", (unsigned long long)matches);
    }
    if (o->idle || o->silent)
        printf(", \"idle\": %u, \"silent\": %u", out->idle, out->silent);
    if (o->server)
        printf(", \"cpu_ms_each\": %.4f, \"rss_before\": %llu, \"rss_peak\": %llu", done ? out->cpu_ms / (double)done : 0,
               (unsigned long long)out->rss_before, (unsigned long long)out->rss_peak);
    printf(", \"why\": \"%s\"}\n", why);
    samples_free(&latency);
    samples_free(&first);
    return failed == 0 && done > 0;
}

static bool perform(const struct options *o, void *(*body)(void *))
{
    struct run run = { .options = o, .next = o->first, .acks_lock = PTHREAD_MUTEX_INITIALIZER };
    struct worker *workers = calloc(o->associations, sizeof *workers);
    struct outcome out = { 0 };
    struct sink *sink = NULL;
    if (!workers || (strcmp(o->mode, "move") == 0 && !(sink = sink_open(o->scp_port))))
        return false;
    out.idle = open_idle(&run);
    out.silent = open_silent(o);
    out.rss_before = o->server ? server_rss(o->server, "VmRSS") : 0;
    if (o->count)
        atomic_store(&run.phase, PHASE_TIMED);
    for (unsigned i = 0; i < o->associations; i++) {
        workers[i].run = &run;
        workers[i].index = i;
        workers[i].dcm.fd = -1;
        if (pthread_create(&workers[i].thread, NULL, body, &workers[i]) != 0)
            return false;
    }
    run_phases(&run, workers, sink, &out);
    const bool fine = report(o, workers, &out) && out.idle == o->idle && out.silent == o->silent;
    sink_close(sink);
    if (o->acks)
        fclose(o->acks);
    return fine;
}

enum { OPT_HOST = 256, OPT_PORT, OPT_CALLED, OPT_CALLING, OPT_SET, OPT_SIZE, OPT_RUN, OPT_FIRST, OPT_COUNT, OPT_SECONDS, OPT_WARMUP,
       OPT_STORED, OPT_QUERY, OPT_DAYS, OPT_IDLE, OPT_SILENT, OPT_FRESH, OPT_SCP_PORT, OPT_SCP_TITLE, OPT_PER_TITLE, OPT_ACKS,
       OPT_SERVER, OPT_TLS };

static const struct option long_options[] = {
    { "host", 1, 0, OPT_HOST }, { "port", 1, 0, OPT_PORT }, { "called", 1, 0, OPT_CALLED }, { "calling", 1, 0, OPT_CALLING },
    { "set", 1, 0, OPT_SET }, { "size", 1, 0, OPT_SIZE }, { "run", 1, 0, OPT_RUN }, { "first", 1, 0, OPT_FIRST },
    { "count", 1, 0, OPT_COUNT }, { "seconds", 1, 0, OPT_SECONDS }, { "warmup", 1, 0, OPT_WARMUP }, { "stored", 1, 0, OPT_STORED },
    { "query", 1, 0, OPT_QUERY }, { "days", 1, 0, OPT_DAYS }, { "idle", 1, 0, OPT_IDLE }, { "silent", 1, 0, OPT_SILENT },
    { "fresh", 0, 0, OPT_FRESH }, { "scp-port", 1, 0, OPT_SCP_PORT }, { "scp-title", 1, 0, OPT_SCP_TITLE },
    { "per-title", 1, 0, OPT_PER_TITLE }, { "acks", 1, 0, OPT_ACKS }, { "server-pid", 1, 0, OPT_SERVER },
    { "tls", 0, 0, OPT_TLS }, { 0, 0, 0, 0 } };

static bool take_option(struct options *o, int key, const char *value)
{
    const unsigned long long number = value ? strtoull(value, NULL, 10) : 0;
    switch (key) {
    case 'c': o->associations = (unsigned)number; break;
    case OPT_HOST: o->host = value; break;
    case OPT_PORT: o->port = (uint16_t)number; break;
    case OPT_CALLED: o->called = value; break;
    case OPT_CALLING: o->calling = value; break;
    case OPT_SET: o->set = image_set_of(value); break;
    case OPT_SIZE: o->huge_bytes = number; break;
    case OPT_RUN: o->run = (uint32_t)number; break;
    case OPT_FIRST: o->first = number; break;
    case OPT_COUNT: o->count = number; break;
    case OPT_SECONDS: o->seconds = strtod(value, NULL); break;
    case OPT_WARMUP: o->warmup = strtod(value, NULL); break;
    case OPT_STORED: o->stored = number; break;
    case OPT_QUERY: o->query = value; break;
    case OPT_DAYS: o->days = (uint32_t)number; break;
    case OPT_IDLE: o->idle = (unsigned)number; break;
    case OPT_SILENT: o->silent = (unsigned)number; break;
    case OPT_FRESH: o->fresh_association = true; break;
    case OPT_SCP_PORT: o->scp_port = (uint16_t)number; break;
    case OPT_SCP_TITLE: o->scp_title = value; break;
    case OPT_PER_TITLE: o->per_title = (unsigned)number; break;
    case OPT_ACKS:
        o->acks = fopen(value, "w");
        if (o->acks)
            setvbuf(o->acks, NULL, _IOLBF, 1 << 16);
        return o->acks != NULL;
    case OPT_SERVER: o->server = (pid_t)number; break;
    case OPT_TLS:
        o->tls = true;
        signal(SIGPIPE, SIG_IGN);
        break;
    default: return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options o = { .host = "127.0.0.1", .called = "VITRINE", .calling = "DICOMBENCH", .query = "patient", .scp_title = "BENCHSCP",
                         .set = image_set_of("ct"), .associations = 1, .seconds = 10, .warmup = 1, .stored = 300, .days = 7,
                         .huge_bytes = 1u << 30, .run = (uint32_t)time(NULL) };
    void *(*body)(void *) = NULL;
    int key;
    while ((key = getopt_long(argc, argv, "c:", long_options, NULL)) != -1)
        if (!take_option(&o, key, optarg)) {
            fputs(usage, stderr);
            return 2;
        }
    o.mode = optind < argc ? argv[optind] : "";
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].name, o.mode) == 0)
            body = modes[i].body;
    if (!body || !o.port || !o.set || !o.stored || o.associations == 0 || o.associations > WORKERS_MAX) {
        fputs(usage, stderr);
        return 2;
    }
    if (o.count)
        o.warmup = 0;
    return perform(&o, body) ? 0 : 1;
}

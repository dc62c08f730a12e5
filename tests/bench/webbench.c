/* webbench: many small GETs over a few kept connections, by one thread and epoll; prints one JSON object.
 *
 *     webbench --port P [--connections 8] [--seconds 10] [--accept TYPE] [--pid SERVER] < PATHS
 *
 * PATHS: lines "PATH SIZE"; each connection asks for them in an order of its own, the next one when the last is whole. An answer
 * that is not 200, or whose body is shorter than SIZE or longer by more than a kilobyte (the frame of a multipart answer),
 * counts as an error. A client of its own: it shares no code with the product. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/measure.h"

enum { CONNECTIONS_MAX = 256, HEAD_MAX = 8192, READ_SIZE = 256 << 10, REQUEST_MAX = 2048, FRAMING_MAX = 1024, STUCK_MS = 60000 };

struct target {
    char *path;
    uint64_t size;
};

struct connection {
    int fd;
    const struct target *target;
    double begun;
    char head[HEAD_MAX];
    size_t head_size;
    bool in_body;
    unsigned status;
    uint64_t length, got;
};

struct bench {
    uint16_t port;
    unsigned connections;
    double seconds;
    const char *accept;
    pid_t pid;
    struct target *targets;
    size_t target_count, target_room;
    int epoll;
    uint64_t random, requests, errors, bytes;
    struct samples samples;
};

static void die(const char *what)
{
    fprintf(stderr, "webbench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t next_random(struct bench *bench)
{
    bench->random ^= bench->random << 13;
    bench->random ^= bench->random >> 7;
    bench->random ^= bench->random << 17;
    return bench->random;
}

static void read_targets(struct bench *bench)
{
    char *path = NULL;
    unsigned long long size;

    while (scanf("%ms %llu", &path, &size) == 2) {
        if (bench->target_count == bench->target_room) {
            bench->target_room = bench->target_room ? bench->target_room * 2 : 1024;
            bench->targets = reallocarray(bench->targets, bench->target_room, sizeof *bench->targets);
            if (!bench->targets)
                die("targets");
        }
        bench->targets[bench->target_count++] = (struct target){ path, size };
    }
    if (bench->target_count == 0) {
        fputs("webbench: no lines \"PATH SIZE\" on standard input\n", stderr);
        exit(2);
    }
}

static void open_connection(struct bench *bench, struct connection *c)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(bench->port) };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
    int one = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (epoll_ctl(bench->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
}

/* Small enough to go in one piece: the socket blocks for writing. */
static void ask(struct bench *bench, struct connection *c)
{
    char text[REQUEST_MAX];

    c->target = &bench->targets[next_random(bench) % bench->target_count];
    int length = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n\r\n", c->target->path, bench->accept);
    if (length < 0 || (size_t)length >= sizeof text || send(c->fd, text, (size_t)length, MSG_NOSIGNAL) != length)
        die("send");
    c->begun = now_ms();
    c->head_size = 0;
    c->in_body = false;
    c->got = 0;
}

/* The status and the length; what came behind the head counts as body. */
static void read_head(struct connection *c)
{
    c->head[c->head_size] = '\0';
    const char *end = strstr(c->head, "\r\n\r\n");

    if (!end) {
        if (c->head_size == HEAD_MAX - 1) {
            fputs("webbench: a head that does not end\n", stderr);
            exit(1);
        }
        return;
    }
    const char *length = strcasestr(c->head, "\r\nContent-Length:");
    c->status = (unsigned)strtoul(c->head + strcspn(c->head, " "), NULL, 10);
    c->length = length && length < end ? strtoull(length + strlen("\r\nContent-Length:"), NULL, 10) : UINT64_MAX;
    if (c->length == UINT64_MAX) {
        fprintf(stderr, "webbench: an answer without a length: %.80s\n", c->head);
        exit(1);
    }
    c->got = c->head_size - (size_t)(end + 4 - c->head);
    c->in_body = true;
}

static void finish(struct bench *bench, struct connection *c)
{
    uint64_t size = c->target->size;

    bench->requests++;
    bench->bytes += c->got;
    if (c->status != 200 || c->length < size || c->length > size + FRAMING_MAX || c->got != c->length)
        bench->errors++;
    samples_add(&bench->samples, now_ms() - c->begun);
}

static void receive(struct bench *bench, struct connection *c)
{
    static char bytes[READ_SIZE];
    bool head = !c->in_body;
    ssize_t got = head ? recv(c->fd, c->head + c->head_size, HEAD_MAX - 1 - c->head_size, 0) : recv(c->fd, bytes, sizeof bytes, 0);

    if (got <= 0) {
        bench->errors++;
        epoll_ctl(bench->epoll, EPOLL_CTL_DEL, c->fd, NULL);
        close(c->fd);
        open_connection(bench, c);
        ask(bench, c);
        return;
    }
    if (head) {
        c->head_size += (size_t)got;
        read_head(c);
    } else {
        c->got += (uint64_t)got;
    }
    if (c->in_body && c->got >= c->length) {
        finish(bench, c);
        ask(bench, c);
    }
}

static void run(struct bench *bench, struct connection *connections)
{
    struct epoll_event events[CONNECTIONS_MAX];
    double end = now_ms() + bench->seconds * 1000;

    for (unsigned i = 0; i < bench->connections; i++) {
        open_connection(bench, &connections[i]);
        ask(bench, &connections[i]);
    }
    while (now_ms() < end) {
        int count = epoll_wait(bench->epoll, events, CONNECTIONS_MAX, STUCK_MS);
        if (count <= 0)
            die("nothing came for a minute");
        for (int i = 0; i < count; i++)
            receive(bench, events[i].data.ptr);
    }
}

static void read_arguments(struct bench *bench, int count, char **words)
{
    for (int i = 1; i + 1 < count; i += 2) {
        const char *value = words[i + 1];
        if (strcmp(words[i], "--port") == 0)
            bench->port = (uint16_t)atoi(value);
        else if (strcmp(words[i], "--connections") == 0)
            bench->connections = (unsigned)atoi(value);
        else if (strcmp(words[i], "--seconds") == 0)
            bench->seconds = atof(value);
        else if (strcmp(words[i], "--accept") == 0)
            bench->accept = value;
        else if (strcmp(words[i], "--pid") == 0)
            bench->pid = atoi(value);
        else
            bench->port = 0;
    }
    if (count % 2 == 0 || bench->port == 0 || bench->connections == 0 || bench->connections > CONNECTIONS_MAX) {
        fputs("usage: webbench --port P [--connections 8] [--seconds 10] [--accept TYPE] [--pid SERVER] < PATHS\n", stderr);
        exit(2);
    }
}

int main(int count, char **words)
{
    static struct connection connections[CONNECTIONS_MAX];
    struct bench bench = { .connections = 8, .seconds = 10, .accept = "*/*", .random = 88172645463325252u };

    read_arguments(&bench, count, words);
    read_targets(&bench);
    bench.epoll = epoll_create1(EPOLL_CLOEXEC);
    double cpu = bench.pid ? server_cpu_ms(bench.pid) : 0, begun = now_ms();
    run(&bench, connections);
    double took = now_ms() - begun;
    cpu = bench.pid ? server_cpu_ms(bench.pid) - cpu : 0;
    samples_sort(&bench.samples);
    double requests = (double)bench.requests;
    printf("{\"requests\":%llu,\"errors\":%llu,\"per_second\":%.1f,\"megabytes_per_second\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"max_ms\":%.3f,\"server_cpu_us\":%.1f}\n",
           (unsigned long long)bench.requests, (unsigned long long)bench.errors, requests * 1000 / took,
           (double)bench.bytes / 1000 / took, samples_at(&bench.samples, 0.5), samples_at(&bench.samples, 0.99),
           samples_at(&bench.samples, 1), requests > 0 ? cpu * 1000 / requests : 0);
    for (size_t i = 0; i < bench.target_count; i++)
        free(bench.targets[i].path);
    free(bench.targets);
    samples_free(&bench.samples);
    return bench.errors > 0;
}

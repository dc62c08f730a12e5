/* sources: hypervisor/pool_wire.c hypervisor/client.c hypervisor/utf8.c */
/* sources: core/err.c core/buf.c core/clock.c */
/* libs: jansson */
/* max-length: 8192 */
/* Any bytes as what comes over the pool's socket, in pieces of any size: as answers to a client,
 * and as the lines of a request. What is one JSON object for the one is one for the other. */
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/client.h"
#include "hypervisor/pool_wire.h"
#include "tests/fuzz/seeds.h"

enum { LINE_MAX_BYTES = 4096, LINES_MAX = 10000 };

static void vt_fuzz_seeds(const char *directory)
{
    static const char answers[] =
        "{\"row\":{\"name\":\"ws-0001\",\"uuid\":\"1\",\"addresses\":[\"10.0.0.1\"]}}\n"
        "{\"out\":\"text\\n\"}\n{\"note\":\"a sentence\"}\n{\"event\":{\"kind\":\"lost\"}}\n"
        "{\"progress\":{\"done\":40,\"total\":100,\"unit\":\"%\"}}\n{\"result\":{\"status\":0}}\n";
    static const char failure[] =
        "{\"error\":{\"code\":\"not-found\",\"text\":\"x\",\"xapi\":\"Y\"},"
        "\"status\":1}\n{\"ask\":{\"question\":\"?\",\"word\":\"w\"}}\n";
    static const char request[] = "{\"do\":\"vm.list\",\"args\":[\"CT-*\"],\"options\":{\"state\":"
                                  "\"running\"},\"json\":true}\n{\"cancel\":true}\n";

    vt_fuzz_seed(directory, "answers", answers, sizeof answers - 1);
    vt_fuzz_seed(directory, "failure", failure, sizeof failure - 1);
    vt_fuzz_seed(directory, "request", request, sizeof request - 1);
}

/* The bytes in one end of a pair of sockets, whose end is closed: nothing is waited for. */
static int reading_end(const uint8_t *bytes, size_t size)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
        abort();
    if (size > 0 && send(pair[1], bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
        abort();
    close(pair[1]);
    return pair[0];
}

/* Lines are what stands between the ends of lines; none is longer than the bound. */
static void read_lines(const uint8_t *bytes, size_t size)
{
    VT_AUTO_BUF(buf, LINE_MAX_BYTES);
    vt_autoclose fd = reading_end(bytes, size);
    size_t used = 0, at = 0, length = 0;
    const char *line = NULL;
    struct vt_err err = { 0 };

    while (vt_wire_line(fd, &buf, &used, vt_clock_mono() + VT_NS_PER_S, &line, &length, &err) &&
           line) {
        if (length > LINE_MAX_BYTES || at + length >= size ||
            memcmp(line, bytes + at, length) != 0 || bytes[at + length] != '\n')
            abort();
        at += length + 1;
        struct vt_err why = { 0 };
        json_t *object = vt_wire_parse(line, length, &why);
        if (!object != vt_failed(&why))
            abort();
        json_decref(object);
    }
    if (vt_failed(&err) && err.code != VT_E_LIMIT)
        abort();
}

/* A client never fails without a reason, and what it hands out is whole. */
static void read_answers(const uint8_t *bytes, size_t size)
{
    struct vt_err err = { 0 };
    VT_AUTO(vt_pool_client) client = vt_pool_client_over(reading_end(bytes, size), &err);
    struct vt_pool_answer answer = { 0 };
    int count = 0;

    if (!client)
        abort();
    while (vt_pool_client_next(client, vt_clock_mono() + VT_NS_PER_S, &answer, &err)) {
        if (++count > LINES_MAX || !answer.text || !answer.word)
            abort();
        if ((answer.kind == VT_POOL_ROW || answer.kind == VT_POOL_EVENT) && !answer.json)
            abort();
        if (answer.kind == VT_POOL_ROW && (!answer.line || strchr(answer.line, '\n')))
            abort();
    }
    if (!vt_failed(&err) || err.code == VT_E_TIMEOUT || err.text[0] == '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    read_lines(bytes, size);
    read_answers(bytes, size);
    return 0;
}

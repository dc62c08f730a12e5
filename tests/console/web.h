/* tests/console/web.h: a client of bytes for a server in the same process: what is sent is what the test says. */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

enum { WEB_ANSWER_MAX = 1 << 20, WEB_REQUEST_MAX = 1 << 17, WEB_WAIT_S = 30 };

struct web_answer {
    unsigned status;            /* 0: closed without one */
    char *text, *body;          /* of the heap; the whole, and behind the empty line */
    size_t size, body_size;
};

static inline int web_connect(uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    const struct timeval wait = { .tv_sec = WEB_WAIT_S };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    return fd;
}

/* Reads until the server closes. */
static inline struct web_answer web_read(int fd)
{
    struct web_answer answer = { .text = malloc(WEB_ANSWER_MAX) };
    ssize_t got;

    assert_non_null(answer.text);
    while (answer.size < WEB_ANSWER_MAX - 1 && (got = recv(fd, answer.text + answer.size, WEB_ANSWER_MAX - 1 - answer.size, 0)) > 0)
        answer.size += (size_t)got;
    answer.text[answer.size] = '\0';
    if (strncmp(answer.text, "HTTP/1.1 ", 9) == 0)
        answer.status = (unsigned)strtoul(answer.text + 9, NULL, 10);
    char *end = strstr(answer.text, "\r\n\r\n");
    answer.body = end ? end + 4 : answer.text + answer.size;
    answer.body_size = answer.size - (size_t)(answer.body - answer.text);
    close(fd);
    return answer;
}

/* "GET /path", further header lines each with CR LF, a body. The connection closes behind the answer. */
static inline struct web_answer web_ask_as(uint16_t port, const char *host, const char *line, const char *headers, const char *body)
{
    char *text = malloc(WEB_REQUEST_MAX);
    char length[64] = "";
    int fd = web_connect(port);

    assert_non_null(text);
    if (body)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    int size = snprintf(text, WEB_REQUEST_MAX, "%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s\r\n%s", line, host, length,
                        headers ? headers : "", body ? body : "");
    assert_true(size > 0 && size < WEB_REQUEST_MAX);
    (void)!send(fd, text, (size_t)size, MSG_NOSIGNAL);
    free(text);
    return web_read(fd);
}

static inline struct web_answer web_ask(uint16_t port, const char *line, const char *headers, const char *body)
{
    return web_ask_as(port, "localhost", line, headers, body);
}

static inline unsigned web_status(uint16_t port, const char *line, const char *headers, const char *body)
{
    struct web_answer answer = web_ask(port, line, headers, body);

    free(answer.text);
    return answer.status;
}

/* The value of a header, copied; "" when there is none. */
static inline const char *web_header(const struct web_answer *answer, const char *name, char *out, size_t room)
{
    char wanted[80];

    *out = '\0';
    snprintf(wanted, sizeof wanted, "\r\n%s: ", name);
    const char *at = strcasestr(answer->text, wanted);
    if (at && at < answer->body) {
        at += strlen(wanted);
        snprintf(out, room, "%.*s", (int)strcspn(at, "\r\n"), at);
    }
    return out;
}

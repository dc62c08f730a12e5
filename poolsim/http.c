#include "poolsim/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* "Name: value" with outer blanks dropped; false when it is no such line. */
static bool split(char *line, char **out_value)
{
    char *colon = strchr(line, ':');

    if (!colon || colon == line)
        return false;
    *colon = '\0';
    *out_value = colon + 1 + strspn(colon + 1, " \t");
    return true;
}

static bool take_header(char *line, struct vt_sim_http *out)
{
    char *value = NULL, *end = NULL;

    if (!split(line, &value))
        return false;
    if (strcasecmp(line, "content-length") == 0) {
        if (out->has_length || *value < '0' || *value > '9' || strlen(value) > 15)
            return false;
        out->content_length = strtoull(value, &end, 10);
        out->has_length = true;
        return *end == '\0' || *end == ' ';
    }
    if (strcasecmp(line, "transfer-encoding") == 0)
        out->chunked = true;
    if (strcasecmp(line, "connection") == 0)
        out->keep_alive = strcasecmp(value, "close") != 0 &&
                          (out->keep_alive || strcasecmp(value, "keep-alive") == 0);
    return true;
}

static bool take_request_line(const char *line, struct vt_sim_http *out)
{
    char version[12] = "";

    if (sscanf(line, "%11s %511s %11s", out->method, out->path, version) != 3)
        return false;
    out->keep_alive = strcmp(version, "HTTP/1.1") == 0;
    return strncmp(version, "HTTP/1.", 7) == 0;
}

enum vt_sim_http_result vt_sim_http_parse(const char *bytes, size_t size, struct vt_sim_http *out,
                                          size_t *out_size)
{
    size_t limit = size < VT_SIM_HEAD_MAX ? size : VT_SIM_HEAD_MAX;
    const char *end = memmem(bytes, limit, "\r\n\r\n", 4);
    char head[VT_SIM_HEAD_MAX + 1];

    if (!end)
        return size >= VT_SIM_HEAD_MAX ? VT_SIM_HTTP_BAD : VT_SIM_HTTP_MORE;
    size_t length = (size_t)(end - bytes);
    if (memchr(bytes, '\0', length))
        return VT_SIM_HTTP_BAD;
    memcpy(head, bytes, length);
    head[length] = '\0';
    *out = (struct vt_sim_http){ 0 };
    *out_size = length + 4;
    char *rest = NULL, *line = strtok_r(head, "\r\n", &rest);
    if (!line || !take_request_line(line, out))
        return VT_SIM_HTTP_BAD;
    while ((line = strtok_r(NULL, "\r\n", &rest)))
        if (!take_header(line, out))
            return VT_SIM_HTTP_BAD;
    return VT_SIM_HTTP_HEAD;
}

#include "console/http_rules.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/auto.h"

/* ---- whose pages ---- */

/* The name's begin and length, without brackets and port; false: it is none. */
static bool host_name(const char *host, const char **out_begin, size_t *out_length)
{
    const char *begin = host, *end = strrchr(host, ':');

    if (*host == '[') {
        begin = host + 1;
        end = strchr(host, ']');
        if (!end)
            return false;
    } else if (!end) {
        end = host + strlen(host);
    }
    *out_begin = begin;
    *out_length = (size_t)(end - begin);
    return end > begin;
}

bool vt_host_is_one_of(const char *host, const char *address, const char *const *names, size_t count)
{
    static const char *const loopback[] = { "localhost", "127.0.0.1", "::1" };
    const char *begin;
    size_t length;

    if (!host || !host_name(host, &begin, &length))
        return false;
    for (size_t i = 0; i < VT_COUNT(loopback) + count + 1; i++) {
        const char *name = i < VT_COUNT(loopback) ? loopback[i] : i == VT_COUNT(loopback) ? address : names[i - VT_COUNT(loopback) - 1];
        if (strlen(name) == length && strncasecmp(name, begin, length) == 0)
            return true;
    }
    return false;
}

bool vt_origin_is_same(const char *site, const char *origin, const char *host)
{
    if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
        return false;
    if (!origin)
        return true;
    const char *behind = strstr(origin, "://");
    return behind && host && strcasecmp(behind + 3, host) == 0;
}

/* ---- ranges ---- */

static bool read_number(const char **at, uint64_t *out)
{
    char *end;

    if (**at < '0' || **at > '9')
        return false;
    *out = strtoull(*at, &end, 10);
    *at = end;
    return true;
}

enum vt_range vt_range_read(const char *text, uint64_t size, uint64_t *out_from, uint64_t *out_to)
{
    uint64_t from = 0, to = UINT64_MAX, last = 0;

    if (!text || strncmp(text, "bytes=", 6) != 0)
        return VT_RANGE_WHOLE;
    text += 6;
    if (*text == '-') {
        text++;
        if (!read_number(&text, &last) || *text)
            return VT_RANGE_WHOLE;
        from = last < size ? size - last : 0;
    } else if (!read_number(&text, &from) || *text++ != '-' || (*text && !read_number(&text, &to)) || *text || to < from) {
        return VT_RANGE_WHOLE;
    } else {
        last = 1;
    }
    if (last == 0 || from >= size)
        return VT_RANGE_OUTSIDE;
    *out_from = from;
    *out_to = to < size ? to : size - 1;
    return VT_RANGE_PART;
}

/* ---- entity tags ---- */

bool vt_etag_is_listed(const char *list, const char *etag)
{
    const char *bare = strncmp(etag, "W/", 2) == 0 ? etag + 2 : etag;
    size_t length = strlen(bare);

    while (list && *list) {
        list += strspn(list, " \t,");
        if (*list == '*')
            return true;
        if (strncmp(list, "W/", 2) == 0)
            list += 2;
        const char *end = *list == '"' ? strchr(list + 1, '"') : NULL;
        if (!end)
            return false;
        if ((size_t)(end + 1 - list) == length && memcmp(list, bare, length) == 0)
            return true;
        list = end + 1;
    }
    return false;
}

bool vt_etag_keeps_range(const char *if_range, const char *etag)
{
    return !if_range || (*etag == '"' && strcmp(if_range, etag) == 0);
}

/* ---- codings ---- */

/* Thousandths; 0: not at all. */
static unsigned quality_of(const char *list, const char *coding)
{
    size_t length = strlen(coding);

    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',') {
        p += strspn(p, " \t");
        size_t token = strcspn(p, " \t;,");
        if (token != length || strncasecmp(p, coding, length) != 0)
            continue;
        const char *behind = p + token + strspn(p + token, " \t");
        if (*behind != ';')
            return 1000;
        behind += 1 + strspn(behind + 1, " \t");
        double quality = strncasecmp(behind, "q=", 2) == 0 ? strtod(behind + 2, NULL) : 1;
        return quality >= 1 ? 1000 : quality > 0 ? (unsigned)(quality * 1000) : 0;
    }
    return 0;
}

enum vt_coding vt_coding_choose(const char *accept_encoding)
{
    if (!accept_encoding)
        return VT_CODING_NONE;
    unsigned zstd = quality_of(accept_encoding, "zstd"), gzip = quality_of(accept_encoding, "gzip");
    return zstd > 0 && zstd >= gzip ? VT_CODING_ZSTD : gzip > 0 ? VT_CODING_GZIP : VT_CODING_NONE;
}

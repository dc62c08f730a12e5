#include "console/accept.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct slice {
    const char *begin, *end;
};

static struct slice trim(const char *begin, const char *end)
{
    while (begin < end && isspace((unsigned char)*begin))
        begin++;
    while (end > begin && isspace((unsigned char)end[-1]))
        end--;
    return (struct slice){ begin, end };
}

/* Up to one of `stops` outside quotes. */
static const char *until(const char *p, const char *stops)
{
    for (bool quoted = false; *p && (quoted || !strchr(stops, *p)); p++)
        if (*p == '"')
            quoted = !quoted;
    return p;
}

static void copy_lower(char *out, size_t room, struct slice from)
{
    size_t length = (size_t)(from.end - from.begin);

    if (length >= 2 && *from.begin == '"' && from.end[-1] == '"') {
        from.begin++;
        length -= 2;
    }
    if (length >= room)
        length = 0;
    for (size_t i = 0; i < length; i++)
        out[i] = (char)tolower((unsigned char)from.begin[i]);
    out[length] = '\0';
}

static unsigned read_quality(const char *text)
{
    char *end = NULL;
    double quality = strtod(text, &end);

    if (end == text || !(quality >= 0))
        return 1000;
    return quality >= 1 ? 1000 : (unsigned)(quality * 1000 + 0.5);
}

static void read_parameter(struct slice part, struct vt_media_range *range, char type[VT_MEDIA_TYPE_MAX])
{
    const char *equals = memchr(part.begin, '=', (size_t)(part.end - part.begin));
    char name[32], value[VT_MEDIA_TYPE_MAX];

    if (!equals)
        return;
    copy_lower(name, sizeof name, trim(part.begin, equals));
    copy_lower(value, sizeof value, trim(equals + 1, part.end));
    if (strcmp(name, "type") == 0)
        snprintf(type, VT_MEDIA_TYPE_MAX, "%s", value);
    else if (strcmp(name, "transfer-syntax") == 0)
        snprintf(range->transfer_syntax, sizeof range->transfer_syntax, "%.*s", VT_UID_MAX, value);
    else if (strcmp(name, "q") == 0)
        range->quality = read_quality(value);
}

/* One range; false: it is none. */
static bool read_range(const char *begin, const char *end, struct vt_media_range *range)
{
    char type[VT_MEDIA_TYPE_MAX] = "";
    const char *p = until(begin, ";,");

    *range = (struct vt_media_range){ .quality = 1000 };
    copy_lower(range->type, sizeof range->type, trim(begin, p));
    while (p < end && *p == ';') {
        const char *next = until(p + 1, ";,");
        read_parameter(trim(p + 1, next), range, type);
        p = next;
    }
    range->multipart = strcmp(range->type, "multipart/related") == 0;
    if (range->multipart)
        snprintf(range->type, sizeof range->type, "%s", *type ? type : "*/*");
    return strchr(range->type, '/') && range->quality > 0;
}

/* Behind those that are wanted as much. */
static void put(struct vt_accept *out, const struct vt_media_range *range)
{
    size_t at = out->count;

    if (out->count == VT_ACCEPT_MAX)
        return;
    while (at > 0 && out->ranges[at - 1].quality < range->quality) {
        out->ranges[at] = out->ranges[at - 1];
        at--;
    }
    out->ranges[at] = *range;
    out->count++;
}

void vt_accept_read(const char *header, struct vt_accept *out)
{
    struct vt_media_range range;

    out->count = 0;
    if (!header || !*header)
        header = "*/*";
    while (*header) {
        const char *end = until(header, ",");
        if (read_range(header, end, &range))
            put(out, &range);
        header = *end ? end + 1 : end;
    }
}

bool vt_media_takes(const struct vt_media_range *range, const char *type)
{
    const char *slash = strchr(range->type, '/');

    if (strcmp(range->type, "*/*") == 0 || strcmp(range->type, type) == 0)
        return true;
    return slash && strcmp(slash, "/*") == 0 && strncmp(range->type, type, (size_t)(slash - range->type) + 1) == 0;
}

bool vt_accept_takes(const char *header, const char *type)
{
    struct vt_accept accept;

    vt_accept_read(header, &accept);
    for (size_t i = 0; i < accept.count; i++)
        if (vt_media_takes(&accept.ranges[i], type))
            return true;
    return false;
}

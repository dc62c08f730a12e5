#include "scp/tell.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "core/event.h"

enum { DETAIL_MAX = 1024 };

struct detail {
    char text[DETAIL_MAX];
    size_t size;
};

static bool put(struct detail *detail, char c)
{
    if (detail->size + 1 >= sizeof detail->text)
        return false;
    detail->text[detail->size++] = c;
    return true;
}

static bool put_quoted(struct detail *detail, const char *text)
{
    bool ok = put(detail, '"');

    for (const char *c = text; ok && *c; c++) {
        if (*c == '"' || *c == '\\')
            ok = put(detail, '\\') && put(detail, *c);
        else
            ok = put(detail, *c < ' ' || *c > '~' ? '?' : *c);
    }
    return ok && put(detail, '"');
}

void vt_tell(struct vt_events *events, const char *kind, const char *subject, ...)
{
    struct detail detail = { .size = 0 };
    const char *name;
    va_list pairs;

    put(&detail, '{');
    va_start(pairs, subject);
    while ((name = va_arg(pairs, const char *)) != NULL) {
        size_t before = detail.size;
        if ((before > 1 && !put(&detail, ',')) || !put_quoted(&detail, name) ||
            !put(&detail, ':') || !put_quoted(&detail, va_arg(pairs, const char *)) ||
            detail.size + 2 >= sizeof detail.text) {
            detail.size = before;
            break;
        }
    }
    va_end(pairs);
    put(&detail, '}');
    detail.text[detail.size] = '\0';
    vt_events_publish(events, kind, subject, detail.text);
}

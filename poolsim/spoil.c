#include "poolsim/spoil.h"

#include <string.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"

enum { DEEP = 5000, HUGE_SIZE = 80 * 1024 * 1024, PIECE = 65536 };

static const struct word {
    const char *name;
    enum vt_sim_spoil kind;
} words[] = {
    { "status", VT_SIM_SPOIL_STATUS },   { "html", VT_SIM_SPOIL_HTML },
    { "garbage", VT_SIM_SPOIL_GARBAGE }, { "cut", VT_SIM_SPOIL_CUT },
    { "short", VT_SIM_SPOIL_SHORT },     { "deep", VT_SIM_SPOIL_DEEP },
    { "huge", VT_SIM_SPOIL_HUGE },       { "types", VT_SIM_SPOIL_TYPES },
    { "fault", VT_SIM_SPOIL_FAULT },
};

enum vt_sim_spoil vt_sim_spoil_find(const char *word)
{
    for (size_t i = 0; i < VT_COUNT(words); i++)
        if (strcmp(words[i].name, word) == 0)
            return words[i].kind;
    return VT_SIM_SPOIL_NONE;
}

const char *vt_sim_spoil_words(void)
{
    return "status, html, garbage, cut, short, deep, huge, types, fault";
}

#define HEAD "<?xml version=\"1.0\"?><methodResponse>"
#define SUCCESS                                                                                    \
    HEAD "<params><param><value><struct><member><name>Status</name><value>Success</value>"         \
         "</member><member><name>Value</name>"
#define TAIL "</member></struct></value></param></params></methodResponse>"

static void put(struct vt_buf *out, const char *text)
{
    struct vt_err ignored = { 0 };

    vt_buf_append_text(out, text, &ignored);
}

static void put_deep(struct vt_buf *out)
{
    put(out, SUCCESS);
    for (int i = 0; i < DEEP; i++)
        put(out, "<value><array><data>");
    for (int i = 0; i < DEEP; i++)
        put(out, "</data></array></value>");
    put(out, TAIL);
}

static void put_huge(struct vt_buf *out)
{
    char piece[PIECE + 1];

    memset(piece, 'x', PIECE);
    piece[PIECE] = '\0';
    put(out, SUCCESS "<value>");
    for (size_t size = 0; size < HUGE_SIZE; size += PIECE)
        put(out, piece);
    put(out, "</value>" TAIL);
}

bool vt_sim_spoil_make(enum vt_sim_spoil kind, const struct vt_buf *body, struct vt_buf *out,
                       const char **out_status, const char **out_type)
{
    struct vt_err ignored = { 0 };

    *out_status = kind == VT_SIM_SPOIL_STATUS ? "500 Internal Server Error" : "200 OK";
    *out_type = kind == VT_SIM_SPOIL_STATUS || kind == VT_SIM_SPOIL_HTML ? "text/html" : "text/xml";
    switch (kind) {
    case VT_SIM_SPOIL_STATUS:
    case VT_SIM_SPOIL_HTML:
        put(out, "<html><body><h1>HTTP 500 internal server error</h1></body></html>");
        break;
    case VT_SIM_SPOIL_GARBAGE:
        put(out, "\x1f\x8b\x08 this <is> not XML");
        break;
    case VT_SIM_SPOIL_SHORT:
        vt_buf_append(out, body->data, body->size / 2, &ignored);
        break;
    case VT_SIM_SPOIL_DEEP:
        put_deep(out);
        break;
    case VT_SIM_SPOIL_HUGE:
        put_huge(out);
        break;
    case VT_SIM_SPOIL_TYPES:
        put(out, SUCCESS "<value><int>7</int></value>" TAIL);
        break;
    case VT_SIM_SPOIL_FAULT:
        put(out, HEAD "<fault><value><struct><member><name>faultCode</name><value><int>1</int>"
                      "</value></member><member><name>faultString</name><value>spoilt</value>"
                      "</member></struct></value></fault></methodResponse>");
        break;
    default:
        return false;
    }
    return true;
}

/* Names: folding, component groups, fuzzy matching. */
#include "archive/match.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/text.h"

enum { GROUPS_MAX = 3 };

/* As vt_text_fold, but accents stay: the same clean-up of spaces and trailing components is done by
 * folding the ASCII part afterwards, so only the letters differ. */
static bool fold_with_accents(const char *utf8, size_t size, struct vt_buf *out, struct vt_err *err)
{
    utf8proc_uint8_t *folded = NULL;
    utf8proc_ssize_t length =
        utf8proc_map((const utf8proc_uint8_t *)utf8, (utf8proc_ssize_t)size, &folded,
                     UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_STABLE);
    if (length == UTF8PROC_ERROR_NOMEM)
        return vt_fail(err, VT_E_NOMEM, "no memory to fold a name");
    if (length < 0)
        return vt_text_fold(utf8, size, out, err);

    size_t start = out->size;
    bool ok = true;
    for (utf8proc_ssize_t i = 0; ok && i < length; i++) {
        char c = (char)folded[i];
        bool space_again = c == ' ' && (out->size == start || out->data[out->size - 1] == ' ');
        bool ends_group = c == '=' || c == '\\';
        while (ends_group && out->size > start && strchr("^ ", out->data[out->size - 1]))
            out->size--;
        if (!space_again)
            ok = vt_buf_append_byte(out, (uint8_t)c, err);
    }
    while (ok && out->size > start && strchr("^ =", out->data[out->size - 1]))
        out->size--;
    free(folded);
    return ok;
}

bool vt_match_fold(const char *utf8, size_t size, bool keep_accents, struct vt_buf *out,
                   struct vt_err *err)
{
    return keep_accents && !vt_text_is_ascii(utf8, size) ? fold_with_accents(utf8, size, out, err)
                                                         : vt_text_fold(utf8, size, out, err);
}

struct groups {
    const char *text[GROUPS_MAX];
    size_t size[GROUPS_MAX];
    size_t count;
};

static struct groups split_groups(const char *text, size_t size)
{
    struct groups groups = { .count = 0 };
    const char *end = text + size;

    while (groups.count < GROUPS_MAX) {
        const char *stop = memchr(text, '=', (size_t)(end - text));
        size_t length = (size_t)((stop ? stop : end) - text);
        while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '^'))
            length--;
        groups.text[groups.count] = text;
        groups.size[groups.count++] = length;
        if (!stop)
            break;
        text = stop + 1;
    }
    return groups;
}

bool vt_match_name(const char *pattern, size_t pattern_size, const char *name, size_t name_size)
{
    struct groups asked = split_groups(pattern, pattern_size),
                  stored = split_groups(name, name_size);

    if (asked.count == 1) {
        for (size_t i = 0; i < stored.count; i++)
            if (vt_match_wild(asked.text[0], asked.size[0], stored.text[i], stored.size[i]))
                return true;
        return false;
    }
    for (size_t i = 0; i < asked.count; i++) {
        if (asked.size[i] == 0)
            continue;
        const char *text = i < stored.count ? stored.text[i] : "";
        if (!vt_match_wild(asked.text[i], asked.size[i], text,
                           i < stored.count ? stored.size[i] : 0))
            return false;
    }
    return true;
}

static bool next_token(const char **at, const char *end, const char **out, size_t *out_size)
{
    static const char breaks[] = " ^=,.*?\\-";

    while (*at < end && memchr(breaks, **at, sizeof breaks - 1))
        (*at)++;
    *out = *at;
    while (*at < end && !memchr(breaks, **at, sizeof breaks - 1))
        (*at)++;
    *out_size = (size_t)(*at - *out);
    return *out_size > 0;
}

bool vt_match_soundex(const char *token, size_t size, char out[VT_SOUNDEX_ROOM])
{
    /* a b c d e f g h i j k l m n o p q r s t u v w x y z; '-' is passed over, '0' separates */
    static const char codes[] = "01230120022455012623010202";
    static const char passed[] = "hw";
    size_t count = 0;
    char last = '0';

    for (size_t i = 0; i < size && count < 4; i++) {
        char c = token[i];
        if (c < 'a' || c > 'z') {
            if (count == 0)
                return false;
            continue;
        }
        char code = codes[c - 'a'];
        if (count == 0)
            out[count++] = c;
        else if (code != '0' && code != last)
            out[count++] = code;
        if (count == 1 || !strchr(passed, c))
            last = code;
    }
    if (count == 0)
        return false;
    while (count < 4)
        out[count++] = '0';
    out[4] = '\0';
    return true;
}

static bool token_found(const char *token, size_t size, const char *name, size_t name_size)
{
    const char *at = name, *end = name + name_size, *other;
    size_t other_size;
    char sound[VT_SOUNDEX_ROOM], other_sound[VT_SOUNDEX_ROOM];
    bool sounds = vt_match_soundex(token, size, sound);

    while (next_token(&at, end, &other, &other_size)) {
        if (other_size >= size && memcmp(token, other, size) == 0)
            return true;
        if (sounds && vt_match_soundex(other, other_size, other_sound) &&
            strcmp(sound, other_sound) == 0)
            return true;
    }
    return false;
}

bool vt_match_name_fuzzy(const char *pattern, size_t pattern_size, const char *name,
                         size_t name_size)
{
    const char *at = pattern, *end = pattern + pattern_size, *token;
    size_t size;

    while (next_token(&at, end, &token, &size))
        if (!token_found(token, size, name, name_size))
            return false;
    return true;
}

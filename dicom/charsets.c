#include "dicom/charsets.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/auto.h"
#include "core/err.h"

/* ESC as in PS3.3 tables C.12-3 and C.12-4. JIS X 0201 is IR 13 (katakana, G1) with IR 14 (romaji, G0). Romaji
 * is read as ASCII: 5CH is the delimiter there too, and 7EH a tilde in practice. */
static const struct vt_charset charsets[] = {
    { "IR6", "ASCII", "(B", VT_SHAPE_ASCII },
    { "IR14", "ASCII", "(J", VT_SHAPE_ASCII },
    { "IR100", "ISO-8859-1", "-A", VT_SHAPE_G1_SINGLE },
    { "IR101", "ISO-8859-2", "-B", VT_SHAPE_G1_SINGLE },
    { "IR109", "ISO-8859-3", "-C", VT_SHAPE_G1_SINGLE },
    { "IR110", "ISO-8859-4", "-D", VT_SHAPE_G1_SINGLE },
    { "IR144", "ISO-8859-5", "-L", VT_SHAPE_G1_SINGLE },
    { "IR127", "ISO-8859-6", "-G", VT_SHAPE_G1_SINGLE },
    { "IR126", "ISO-8859-7", "-F", VT_SHAPE_G1_SINGLE },
    { "IR138", "ISO-8859-8", "-H", VT_SHAPE_G1_SINGLE },
    { "IR148", "ISO-8859-9", "-M", VT_SHAPE_G1_SINGLE },
    { "IR203", "ISO-8859-15", "-b", VT_SHAPE_G1_SINGLE },
    { "IR166", "TIS-620", "-T", VT_SHAPE_G1_SINGLE },
    { "IR13", "EUC-JP", ")I", VT_SHAPE_KATAKANA },
    { "IR87", "EUC-JP", "$B", VT_SHAPE_G0_DOUBLE },
    { "IR159", "EUC-JP", "$(D", VT_SHAPE_G0_JIS_0212 },
    { "IR149", "EUC-KR", "$)C", VT_SHAPE_G1_DOUBLE },
    { "IR58", "EUC-CN", "$)A", VT_SHAPE_G1_DOUBLE },
    { "IR192", "UTF-8", NULL, VT_SHAPE_STATELESS },
    { "GB18030", "GB18030", NULL, VT_SHAPE_STATELESS },
    { "GBK", "GBK", NULL, VT_SHAPE_STATELESS },
    { "SHIFTJIS", "SHIFT_JIS", NULL, VT_SHAPE_STATELESS },
    { "CP949", "UHC", NULL, VT_SHAPE_STATELESS },
    { "CP1251", "CP1251", NULL, VT_SHAPE_STATELESS },
    { "CP1252", "CP1252", NULL, VT_SHAPE_STATELESS },
};

/* What is written in the wild for them. */
static const char *const aliases[][2] = {
    { "UTF8", "IR192" },        { "UNICODE11UTF8", "IR192" }, { "ASCII", "IR6" },
    { "LATIN1", "IR100" },      { "88591", "IR100" },         { "88592", "IR101" },
    { "88593", "IR109" },       { "88594", "IR110" },         { "88595", "IR144" },
    { "88596", "IR127" },       { "88597", "IR126" },         { "88598", "IR138" },
    { "88599", "IR148" },       { "885915", "IR203" },        { "TIS620", "IR166" },
    { "SJIS", "SHIFTJIS" },     { "GB2312", "GBK" },          { "EUCKR", "CP949" },
    { "KSC5601", "CP949" },     { "WINDOWS1252", "CP1252" },  { "WINDOWS1251", "CP1251" },
};

enum { TERM_MAX = 32 };

/* "ISO 2022 IR 100", "ISO_IR 100", "iso-ir_100" -> "IR100". */
static void simplify(const char *term, size_t size, char out[static TERM_MAX])
{
    size_t length = 0;

    for (size_t i = 0; i < size && length < TERM_MAX - 1; i++)
        if (isalnum((unsigned char)term[i]))
            out[length++] = (char)toupper((unsigned char)term[i]);
    out[length] = '\0';
    if (strncmp(out, "ISO2022", 7) == 0 && strncmp(out + 7, "IR", 2) == 0)
        memmove(out, out + 7, length - 6);
    else if (strncmp(out, "ISO", 3) == 0 && out[3] != '\0')
        memmove(out, out + 3, length - 2);
}

static const struct vt_charset *find_exact(const char *term)
{
    for (size_t i = 0; i < VT_COUNT(charsets); i++)
        if (strcmp(charsets[i].term, term) == 0)
            return &charsets[i];
    return NULL;
}

const struct vt_charset *vt_charset_find(const char *term, size_t size)
{
    char plain[TERM_MAX];

    simplify(term, size, plain);
    if (plain[0] == '\0')
        return &charsets[0];
    for (size_t i = 0; i < VT_COUNT(aliases); i++)
        if (strcmp(aliases[i][0], plain) == 0)
            return find_exact(aliases[i][1]);
    return find_exact(plain);
}

const struct vt_charset *vt_charset_escaped(const char *bytes, size_t size, size_t *out_length)
{
    for (size_t i = 0; i < VT_COUNT(charsets); i++) {
        size_t length = charsets[i].escape ? strlen(charsets[i].escape) : 0;
        if (length > 0 && length <= size && memcmp(bytes, charsets[i].escape, length) == 0) {
            *out_length = length;
            return &charsets[i];
        }
    }
    return NULL;
}

void vt_charset_list(const char *value, const struct vt_charset *out[static VT_CHARSET_VALUES_MAX],
                     size_t *out_count)
{
    size_t count = 0;

    for (const char *at = value ? value : ""; count < VT_CHARSET_VALUES_MAX; at++) {
        size_t size = strcspn(at, "\\");
        const struct vt_charset *found = vt_charset_find(at, size);
        if (found)
            out[count++] = found;
        at += size;
        if (*at == '\0')
            break;
    }
    *out_count = count;
}

struct converter {
    const char *encoding;    /* of the table, so pointers compare */
    bool to_utf8;
    iconv_t iconv;
};

struct cache {
    size_t count;
    struct converter converters[2 * VT_COUNT(charsets)];
};

static __thread struct cache *cache;
static pthread_key_t cache_key;
static pthread_once_t cache_once = PTHREAD_ONCE_INIT;
static bool cache_key_made;

static void drop_cache(void *p)
{
    struct cache *mine = p;

    for (size_t i = 0; i < mine->count; i++)
        iconv_close(mine->converters[i].iconv);
    free(mine);
    cache = NULL;
}

static void make_key(void)
{
    cache_key_made = pthread_key_create(&cache_key, drop_cache) == 0;
}

static bool make_cache(struct vt_err *err)
{
    if (cache)
        return true;
    pthread_once(&cache_once, make_key);
    struct cache *made = cache_key_made ? calloc(1, sizeof *made) : NULL;
    if (!made || pthread_setspecific(cache_key, made) != 0) {
        free(made);
        return vt_fail(err, VT_E_NOMEM, "no memory for character sets");
    }
    cache = made;
    return true;
}

iconv_t vt_charset_converter(const char *encoding, bool to_utf8, struct vt_err *err)
{
    const iconv_t none = (iconv_t)-1;

    if (!make_cache(err))
        return none;
    for (size_t i = 0; i < cache->count; i++) {
        struct converter *known = &cache->converters[i];
        if (known->to_utf8 == to_utf8 && strcmp(known->encoding, encoding) == 0) {
            iconv(known->iconv, NULL, NULL, NULL, NULL);
            return known->iconv;
        }
    }
    iconv_t made = iconv_open(to_utf8 ? "UTF-8" : encoding, to_utf8 ? encoding : "UTF-8");
    if (made == none) {
        vt_fail(err, errno == ENOMEM ? VT_E_NOMEM : VT_E_UNSUPPORTED,
                "this system's iconv cannot convert %s", encoding);
        return none;
    }
    cache->converters[cache->count++] = (struct converter){ encoding, to_utf8, made };
    return made;
}

#include <stdio.h>
#include <string.h>

#include "core/auto.h"
#include "core/err.h"
#include "dicom/dataset.h"
#include "scu/peers.h"

#define SEPARATORS " ,\t"

static const char *const usual[] = { VT_UID_EXPLICIT_LE, VT_UID_IMPLICIT_LE };

static const struct {
    const char *word, *uid;
} words[] = {
    { "explicit", VT_UID_EXPLICIT_LE },
    { "implicit", VT_UID_IMPLICIT_LE },
    { "big-endian", VT_UID_EXPLICIT_BE },
    { "deflated", VT_UID_DEFLATED_LE },
    { "jpeg-lossless", "1.2.840.10008.1.2.4.70" },
    { "jpeg-ls", "1.2.840.10008.1.2.4.80" },
    { "jpeg-2000", "1.2.840.10008.1.2.4.90" },
    { "rle", "1.2.840.10008.1.2.5" },
    { "jpeg", "1.2.840.10008.1.2.4.50" },
    { "jpeg-2000-lossy", "1.2.840.10008.1.2.4.91" },
};

/* NULL: not a word, nor a UID that something can be transcoded to. */
static const char *find_syntax(const char *word)
{
    for (size_t i = 0; i < VT_COUNT(words); i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].uid;
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(word);
    bool possible = syntax && (vt_transcode_rank(VT_UID_EXPLICIT_LE, syntax->uid, true) > 0);
    return possible ? syntax->uid : NULL;
}

bool vt_transcoding_read(const char *text, struct vt_transcoding *out, struct vt_err *err)
{
    char word[VT_UID_MAX + 1];

    out->count = 0;
    out->never = strcmp(text, "never") == 0;
    for (size_t length; !out->never && *(text += strspn(text, SEPARATORS)); text += length) {
        length = strcspn(text, SEPARATORS);
        snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word - 1), text);
        const char *uid = find_syntax(word);
        if (!uid)
            return vt_fail(err, VT_E_INVALID,
                           "'%s' is no transfer syntax that instances can be transcoded to "
                           "(explicit, implicit, jpeg-lossless, jpeg-2000, rle ...)",
                           word);
        if (out->count == VT_PEER_SYNTAXES_MAX)
            return vt_fail(err, VT_E_LIMIT, "more than %d transfer syntaxes", VT_PEER_SYNTAXES_MAX);
        out->syntaxes[out->count++] = uid;
    }
    return true;
}

const char *const *vt_transcoding_syntaxes(const struct vt_transcoding *transcoding, size_t *out_count)
{
    *out_count = transcoding->never   ? 0
                 : transcoding->count ? transcoding->count
                                      : VT_COUNT(usual);
    return transcoding->count ? transcoding->syntaxes : usual;
}

/* Transfer syntaxes of objects that are in the store: also of those that only the configuration
 * knew, when it does not know them any more. */
#include <string.h>
#include <unistd.h>

#include "archive/inside.h"
#include "dicom/element.h"

enum { FIRST_ELEMENT = 8, FIRST_LENGTH_MAX = 1 << 16 };

static bool is_vr(const uint8_t *bytes)
{
    return bytes[0] >= 'A' && bytes[0] <= 'Z' && bytes[1] >= 'A' && bytes[1] <= 'Z';
}

/* A data set begins with a low group, so that the order of its bytes shows; and with a short value.
 * What is neither is not the beginning of a data set but of a compressed one. */
static enum vt_encoding guess(const uint8_t *first)
{
    unsigned little = first[0] | (unsigned)first[1] << 8, big = first[1] | (unsigned)first[0] << 8;
    uint32_t length =
        first[4] | (uint32_t)first[5] << 8 | (uint32_t)first[6] << 16 | (uint32_t)first[7] << 24;

    if (is_vr(first + 4))
        return big < little ? VT_EXPLICIT_BE : VT_EXPLICIT_LE;
    return little < big && length <= FIRST_LENGTH_MAX ? VT_IMPLICIT_LE : VT_DEFLATED_LE;
}

struct vt_private_syntax vt_archive_syntax(const struct vt_archive *archive, const char *uid,
                                           int fd, uint64_t offset)
{
    const struct vt_transfer_syntax *known = vt_transfer_syntax_find(uid);
    uint8_t first[FIRST_ELEMENT];

    if (known)
        return (struct vt_private_syntax){ uid, known->encoding, known->encapsulated };
    for (size_t i = 0; i < archive->options.private_syntax_count; i++)
        if (strcmp(archive->options.private_syntaxes[i].uid, uid) == 0)
            return archive->options.private_syntaxes[i];
    if (pread(fd, first, sizeof first, (off_t)offset) != (ssize_t)sizeof first)
        return (struct vt_private_syntax){ uid, VT_EXPLICIT_LE, true };
    return (struct vt_private_syntax){ uid, guess(first), true };
}

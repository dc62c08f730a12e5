#include "scu/get_contexts.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "scu/client_wire.h"

enum { STORAGE_CONTEXTS_MAX = VT_CONTEXTS_MAX - 1 };

/* The list is: uncompressed ones in the order we like them, then the encapsulated ones and deflate
 * as the table has them. */
static size_t list_syntaxes(const char **list, size_t *out_plain)
{
    static const char *const plain[] = { VT_UID_EXPLICIT_LE, VT_UID_IMPLICIT_LE,
                                         VT_UID_EXPLICIT_BE };
    const struct vt_transfer_syntax *syntax;
    size_t count = 0;

    for (; count < VT_COUNT(plain); count++)
        list[count] = plain[count];
    *out_plain = count;
    for (size_t i = 0; (syntax = vt_transfer_syntax_at(i)) && count < VT_CONTEXT_SYNTAXES_MAX; i++)
        if (syntax->encapsulated || syntax->encoding == VT_DEFLATED_LE)
            list[count++] = syntax->uid;
    return count;
}

static void propose(struct vt_get_contexts *out, const char *sop_class, const char *const *syntaxes,
                    size_t count)
{
    out->proposals[out->count++] = (struct vt_propose){ sop_class, syntaxes, count, VT_ROLE_SCP };
}

bool vt_get_contexts_make(struct vt_get_contexts *out, const char *get_class,
                          const char *const *sop_classes, size_t sop_class_count,
                          struct vt_err *err)
{
    size_t plain, classes = sop_class_count;

    *out = (struct vt_get_contexts){ .lists = calloc(VT_CONTEXT_SYNTAXES_MAX, sizeof *out->lists) };
    if (!out->lists)
        return vt_fail(err, VT_E_NOMEM, "no memory for presentation contexts");
    size_t syntaxes = list_syntaxes(out->lists, &plain);
    if (classes > STORAGE_CONTEXTS_MAX)
        classes = STORAGE_CONTEXTS_MAX;

    out->proposals[out->count++] =
        (struct vt_propose){ get_class, vt_wire_plain_syntaxes, VT_COUNT(vt_wire_plain_syntaxes),
                             VT_ROLE_DEFAULT };
    bool apart = classes * (1 + syntaxes - plain) <= STORAGE_CONTEXTS_MAX;
    size_t single = apart || classes == 0 ? syntaxes - plain : STORAGE_CONTEXTS_MAX / classes - 1;
    for (size_t i = 0; i < classes; i++) {
        if (single == 0) {
            propose(out, sop_classes[i], out->lists, syntaxes);
            continue;
        }
        propose(out, sop_classes[i], out->lists, plain);
        for (size_t j = 0; j + 1 < single; j++)
            propose(out, sop_classes[i], &out->lists[plain + j], 1);
        /* Those for which no context is left share the last one. */
        propose(out, sop_classes[i], &out->lists[plain + single - 1],
                syntaxes - plain - (single - 1));
    }
    return true;
}

void vt_get_contexts_fini(struct vt_get_contexts *contexts)
{
    free(contexts->lists);
    *contexts = (struct vt_get_contexts){ 0 };
}

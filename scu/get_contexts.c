#include "scu/get_contexts.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "scu/client_wire.h"

enum { STORAGE_CONTEXTS_MAX = VT_CONTEXTS_MAX - 1 };

enum { LIST_MAX = 128 };

/* In the order we like them: uncompressed, then what archives hold most, then the rest as the table
 * has it. */
static const char *const usual[] = {
    VT_UID_EXPLICIT_LE,        VT_UID_IMPLICIT_LE,        VT_UID_EXPLICIT_BE,
    "1.2.840.10008.1.2.4.50",  "1.2.840.10008.1.2.4.70",  "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",  "1.2.840.10008.1.2.4.80",  "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",  "1.2.840.10008.1.2.5",     "1.2.840.10008.1.2.4.81",
    VT_UID_DEFLATED_LE,        "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.203", "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111",
    "1.2.840.10008.1.2.4.112", "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.102",
    "1.2.840.10008.1.2.4.103",
};
static size_t list_syntaxes(const char **list)
{
    const struct vt_transfer_syntax *syntax;
    size_t count = 0;

    for (; count < VT_COUNT(usual); count++)
        list[count] = usual[count];
    for (size_t i = 0; (syntax = vt_transfer_syntax_at(i)) && count < LIST_MAX; i++) {
        bool there = false;
        for (size_t j = 0; j < VT_COUNT(usual) && !there; j++)
            there = strcmp(usual[j], syntax->uid) == 0;
        if (!there)
            list[count++] = syntax->uid;
    }
    return count;
}

static void propose(struct vt_get_contexts *out, const char *sop_class, const char *const *syntaxes,
                    size_t count)
{
    /* What does not fit in one context is rare: it is at the end of the list. */
    if (count > VT_CONTEXT_SYNTAXES_MAX)
        count = VT_CONTEXT_SYNTAXES_MAX;
    out->proposals[out->count++] = (struct vt_propose){ sop_class, syntaxes, count, VT_ROLE_SCP };
}

bool vt_get_contexts_make(struct vt_get_contexts *out, const char *get_class,
                          const char *const *sop_classes, size_t sop_class_count,
                          struct vt_err *err)
{
    size_t classes = sop_class_count;

    *out = (struct vt_get_contexts){ .lists = calloc(LIST_MAX, sizeof *out->lists) };
    if (!out->lists)
        return vt_fail(err, VT_E_NOMEM, "no memory for presentation contexts");
    size_t syntaxes = list_syntaxes(out->lists);
    if (classes > STORAGE_CONTEXTS_MAX)
        classes = STORAGE_CONTEXTS_MAX;

    out->proposals[out->count++] =
        (struct vt_propose){ get_class, vt_wire_plain_syntaxes, VT_COUNT(vt_wire_plain_syntaxes),
                             VT_ROLE_DEFAULT };
    size_t each = classes > 0 ? STORAGE_CONTEXTS_MAX / classes : 0;
    if (each > syntaxes)
        each = syntaxes;
    for (size_t i = 0; i < classes; i++) {
        for (size_t j = 0; j + 1 < each; j++)
            propose(out, sop_classes[i], &out->lists[j], 1);
        /* Those for which no context is left share the last one. */
        propose(out, sop_classes[i], &out->lists[each - 1], syntaxes - (each - 1));
    }
    return true;
}

void vt_get_contexts_fini(struct vt_get_contexts *contexts)
{
    free(contexts->lists);
    *contexts = (struct vt_get_contexts){ 0 };
}

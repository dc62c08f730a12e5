#include "cmd/web_verbs.h"

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/control.h"
#include "console/console.h"
#include "core/err.h"
#include "core/log.h"

static bool no_row(void *context, json_t *row)
{
    (void)context;
    (void)row;
    return true;
}

bool vt_web_verb(void *inside, const struct vt_console_verb *verb, json_t **out_result, struct vt_err *err)
{
    const struct vt_control_options *options = inside;
    const struct vt_admin_verb *found = vt_admin_verb_find(verb->words, verb->word_count);

    if (!found)
        return vt_fail(err, VT_E_UNSUPPORTED, "the node does not know '%.40s'", verb->words[0]);
    struct vt_admin_call call = {
        .admin = { .archive = options->archive,
                   .who = verb->who,
                   .row = verb->row ? verb->row : no_row,
                   .context = verb->row_context },
        .args = verb->args,
        .arg_count = verb->arg_count,
        .options = verb->options,
        .rules = &options->rules,
        .world = options->world,
        .status = options->status,
        .status_context = options->context,
    };
    vt_log(found->changes ? VT_LOG_INFO : VT_LOG_DEBUG, "console.verb", "verb=%s%s%s by=\"%s\"", found->words[0],
           found->words[1] ? "-" : "", found->words[1] ? found->words[1] : "", verb->who);
    return vt_admin_verb_run(found, &call, out_result, err);
}

#include "cmd/storage_rules.h"

#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"

enum { RULES_MAX = 100, DATE_WORD_MAX = 32, WORDS_MAX = VT_RULE_WORDS_MAX + 1 };

#define DAY (24 * 3600 * VT_NS_PER_S)
#define AGE_MAX (36500 * DAY)
/* What came back because somebody looked at it is not sent away at once. */
#define RECALLED_STAYS (7 * DAY)

static bool has_name(const struct vt_conf *conf, const char *section, const char *name)
{
    const char *known;

    for (size_t i = 0; (known = vt_conf_name(conf, section, i)); i++)
        if (strcmp(known, name) == 0)
            return true;
    return false;
}

/* MAIN, or one that the configuration names. */
static bool is_volume(const struct vt_conf *conf, const char *name)
{
    return strcmp(name, VT_VOLUME_MAIN) == 0 || has_name(conf, "volume", name);
}

static bool read_migrate(const struct vt_conf *conf, const char *name, struct vt_storage_rule *out,
                         struct vt_err *err)
{
    bool keep;

    out->to = vt_conf_text(conf, "migrate", name, "to", "");
    if (!*out->to || strcmp(out->from, out->to) == 0)
        return vt_fail(err, VT_E_INVALID, "migrate.%s: name two volumes, from and to", name);
    if (!vt_conf_bool(conf, "migrate", name, "keep_copy", false, &keep, err))
        return false;
    if (keep && strcmp(out->to, VT_VOLUME_MAIN) == 0)
        return vt_fail(err, VT_E_INVALID,
                       "migrate.%s: keep_copy: second copies lie on other volumes than MAIN", name);
    out->way = keep ? VT_VOLUME_KEEP : VT_VOLUME_MOVE;
    return true;
}

/* Deleting wants to be told where the other one is. */
static bool read_expire(const struct vt_conf *conf, const char *name, struct vt_storage_rule *out,
                        struct vt_err *err)
{
    out->way = VT_VOLUME_RELEASE;
    out->to = vt_conf_text(conf, "expire", name, "copy", NULL);
    out->peer = vt_conf_text(conf, "expire", name, "peer", NULL);
    if (!out->to == !out->peer)
        return vt_fail(err, VT_E_INVALID,
                       "expire.%s: name the other copy: copy (a volume) or peer (an archive that "
                       "committed to it)",
                       name);
    if (out->to && (strcmp(out->to, VT_VOLUME_MAIN) == 0 || strcmp(out->from, out->to) == 0))
        return vt_fail(err, VT_E_INVALID, "expire.%s: copy names another volume than MAIN and from",
                       name);
    return true;
}

static bool read_ages(const struct vt_conf *conf, const char *section, const char *name,
                      struct vt_storage_rule *out, struct vt_err *err)
{
    bool recall = false;

    if (out->to && has_name(conf, "volume", out->to) &&
        !vt_conf_bool(conf, "volume", out->to, "recall", false, &recall, err))
        return false;
    return vt_conf_duration(conf, section, name, "arrived_before", VT_NS_PER_MS, AGE_MAX, DAY,
                            &out->arrived_before, err) &&
           vt_conf_duration(conf, section, name, "study_older_than", DAY, AGE_MAX, 0,
                            &out->study_older_than, err) &&
           vt_conf_duration(conf, section, name, "not_accessed_for", 0, AGE_MAX,
                            recall ? RECALLED_STAYS : 0, &out->not_accessed_for, err) &&
           vt_conf_duration(conf, section, name, "every", VT_NS_PER_S, 30 * DAY,
                            3600 * VT_NS_PER_S, &out->every, err) &&
           vt_rule_words_read(conf, section, name, "match", ";", &out->match, err);
}

bool vt_storage_rule_read(const struct vt_conf *conf, const char *section, const char *name,
                          struct vt_storage_rule *out, struct vt_err *err)
{
    bool expire = strcmp(section, "expire") == 0;

    if (!has_name(conf, section, name))
        return vt_fail(err, VT_E_NOTFOUND, "the configuration has no [%s \"%.40s\"]", section, name);
    *out = (struct vt_storage_rule){ .from = vt_conf_text(conf, section, name, "from",
                                                          VT_VOLUME_MAIN) };
    if (!(expire ? read_expire : read_migrate)(conf, name, out, err))
        return false;
    if (!is_volume(conf, out->from) || (out->to && !is_volume(conf, out->to)))
        return vt_fail(err, VT_E_INVALID, "%s.%s: there is no [volume \"%.40s\"]", section, name,
                       is_volume(conf, out->from) ? out->to : out->from);
    return read_ages(conf, section, name, out, err);
}

void vt_storage_rule_fini(struct vt_storage_rule *rule)
{
    vt_rule_words_fini(&rule->match);
}

/* StudyDate=-20251122: the last day that is old enough. */
static void date_word(int64_t age, char out[static DATE_WORD_MAX])
{
    time_t day = (time_t)((vt_clock_wall() - age) / VT_NS_PER_S);
    struct tm date;

    localtime_r(&day, &date);
    strftime(out, DATE_WORD_MAX, "StudyDate=-%Y%m%d", &date);
}

struct vt_query *vt_storage_rule_query(const struct vt_storage_rule *rule, struct vt_err *err)
{
    static const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT, .relational = true };
    const char *words[WORDS_MAX];
    char date[DATE_WORD_MAX];
    size_t count = 0;

    for (; count < rule->match.count; count++)
        words[count] = rule->match.list[count];
    if (rule->study_older_than > 0) {
        date_word(rule->study_older_than, date);
        words[count++] = date;
    }
    if (count == 0)
        words[count++] = "StudyInstanceUID";
    return vt_query_from_words(VT_LEVEL_STUDY, words, count, &rules, err);
}

struct vt_volume_rule vt_storage_rule_now(const struct vt_storage_rule *rule,
                                          const struct vt_query *query)
{
    int64_t now = vt_clock_wall();

    return (struct vt_volume_rule){
        .from = rule->from,
        .to = rule->to,
        .query = query,
        .arrived_before = now - rule->arrived_before,
        .accessed_before = rule->not_accessed_for > 0 ? now - rule->not_accessed_for : 0,
        .way = rule->way,
    };
}

static bool check_rule(const struct vt_conf *conf, const char *section, const char *name,
                       struct vt_err *err)
{
    struct vt_storage_rule rule = { 0 };
    bool ok = vt_storage_rule_read(conf, section, name, &rule, err);
    struct vt_query *query = ok ? vt_storage_rule_query(&rule, err) : NULL;

    vt_storage_rule_fini(&rule);
    vt_query_free(query);
    return query || !ok ? ok : vt_fail_context(err, "%s.%s", section, name);
}

bool vt_storage_rules_check(const struct vt_conf *conf, const char *section, struct vt_err *err)
{
    const char *name;

    for (size_t i = 0; (name = vt_conf_name(conf, section, i)); i++) {
        if (i == RULES_MAX)
            return vt_fail(err, VT_E_LIMIT, "more than %d %s rules", RULES_MAX, section);
        if (!check_rule(conf, section, name, err))
            return false;
    }
    return true;
}

#include "cmd/route_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "archive/archive.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"

enum { DAY_MINUTES = 24 * 60, WORD_MAX = 512 };

/* ---- reading ---- */

static char *trim(char *word)
{
    word += strspn(word, " \t");
    size_t length = strlen(word);
    while (length > 0 && (word[length - 1] == ' ' || word[length - 1] == '\t'))
        word[--length] = '\0';
    return word;
}

bool vt_rule_words_read(const struct vt_conf *conf, const char *section, const char *name,
                        const char *key, const char *gaps, struct vt_rule_words *out,
                        struct vt_err *err)
{
    char *rest = NULL;

    *out = (struct vt_rule_words){ .text = strdup(vt_conf_text(conf, section, name, key, "")) };
    if (!out->text)
        return vt_fail(err, VT_E_NOMEM, "no memory for %s.%s.%s", section, name, key);
    for (char *word = strtok_r(out->text, gaps, &rest); word; word = strtok_r(NULL, gaps, &rest)) {
        word = trim(word);
        if (!*word)
            continue;
        if (out->count == VT_RULE_WORDS_MAX)
            return vt_fail(err, VT_E_LIMIT, "%s.%s.%s has more than %d words", section, name, key,
                           VT_RULE_WORDS_MAX);
        out->list[out->count++] = word;
    }
    return true;
}

void vt_rule_words_fini(struct vt_rule_words *words)
{
    free(words->text);
    *words = (struct vt_rule_words){ .text = NULL };
}

/* "07:00-19:30" */
static bool read_hours(const char *text, struct vt_rule *out)
{
    int h1, m1, h2, m2, end = 0;

    if (!*text)
        return true;
    if (sscanf(text, "%2d:%2d-%2d:%2d%n", &h1, &m1, &h2, &m2, &end) != 4 || text[end] || h1 < 0 ||
        h1 > 24 || h2 < 0 || h2 > 24 || m1 < 0 || m1 > 59 || m2 < 0 || m2 > 59)
        return false;
    out->hours_begin = h1 * 60 + m1;
    out->hours_end = h2 * 60 + m2;
    return out->hours_begin <= DAY_MINUTES && out->hours_end <= DAY_MINUTES &&
           out->hours_begin != out->hours_end;
}

/* Wrong keys are told at the start, not when something arrives. */
static bool check_match(const struct vt_rule *rule, const char *section, const char *name,
                        struct vt_err *err)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE };

    for (size_t i = 0; i < rule->match.count; i++)
        if (!strchr(rule->match.list[i], '='))
            return vt_fail(err, VT_E_INVALID, "%s.%s.match: '%s' is not KEY=VALUE", section, name,
                           rule->match.list[i]);
    VT_AUTO(vt_query)
    query = vt_query_from_words(VT_LEVEL_IMAGE, rule->match.list, rule->match.count, &rules, err);
    return query || vt_fail_context(err, "%s.%s.match", section, name);
}

bool vt_rule_read(const struct vt_conf *conf, const char *section, const char *name,
                  struct vt_rule *out, struct vt_err *err)
{
    *out = (struct vt_rule){ .hours_begin = 0 };
    if (!vt_rule_words_read(conf, section, name, "from", " ,\t", &out->from, err) ||
        !vt_rule_words_read(conf, section, name, "modality", " ,\t", &out->modalities, err) ||
        !vt_rule_words_read(conf, section, name, "match", ";", &out->match, err))
        return false;
    if (!read_hours(vt_conf_text(conf, section, name, "hours", ""), out))
        return vt_fail(err, VT_E_INVALID, "%s.%s.hours is not like 07:00-19:00", section, name);
    return check_match(out, section, name, err);
}

void vt_rule_fini(struct vt_rule *rule)
{
    vt_rule_words_fini(&rule->from);
    vt_rule_words_fini(&rule->modalities);
    vt_rule_words_fini(&rule->match);
}

/* ---- asking ---- */

bool vt_rule_like(const char *pattern, const char *text)
{
    const char *star = NULL, *behind = NULL;

    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            behind = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star;
            text = ++behind;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

static bool is_time(const struct vt_rule *rule, int64_t at)
{
    time_t seconds = (time_t)(at / VT_NS_PER_S);
    struct tm local;

    if (rule->hours_begin == rule->hours_end || !localtime_r(&seconds, &local))
        return true;
    int now = local.tm_hour * 60 + local.tm_min;
    if (rule->hours_begin < rule->hours_end)
        return now >= rule->hours_begin && now < rule->hours_end;
    return now >= rule->hours_begin || now < rule->hours_end;
}

bool vt_rule_admits(const struct vt_rule *rule, const char *ae_title, int64_t at)
{
    bool known = rule->from.count == 0;

    for (size_t i = 0; i < rule->from.count && !known; i++)
        known = vt_rule_like(rule->from.list[i], ae_title);
    return known && is_time(rule, at);
}

struct choice {
    const char *const *uids;
    size_t count;
    bool *chosen;
};

static void choose(const struct choice *choice, const char *uid)
{
    size_t low = 0, high = choice->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(choice->uids[middle], uid);
        if (order == 0) {
            choice->chosen[middle] = true;
            return;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
}

static bool select_with(const struct vt_rule *rule, struct vt_archive *archive,
                        const char *study_uid, const char *modality, const struct choice *choice,
                        struct vt_err *err)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE };
    char study[WORD_MAX], wanted[WORD_MAX];
    const char *words[VT_RULE_WORDS_MAX + 2] = { study };
    size_t count = 1;
    bool more = true;

    snprintf(study, sizeof study, "StudyInstanceUID=%s", study_uid);
    for (size_t i = 0; i < rule->match.count; i++)
        words[count++] = rule->match.list[i];
    if (modality) {
        snprintf(wanted, sizeof wanted, "Modality=%s", modality);
        words[count++] = wanted;
    }
    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_IMAGE, words, count, &rules, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    VT_AUTO(vt_cursor) cursor = plan ? vt_index_select(vt_archive_index(archive), plan, err) : NULL;
    if (!cursor)
        return false;
    while (more) {
        struct vt_index_entry entry;
        if (!vt_cursor_select_next(cursor, &entry, &more, err))
            return false;
        if (more)
            choose(choice, entry.sop_uid);
    }
    return true;
}

bool vt_rule_select(const struct vt_rule *rule, struct vt_archive *archive, const char *study_uid,
                    const char *const *sop_uids, size_t count, bool *out_chosen, struct vt_err *err)
{
    const struct choice choice = { sop_uids, count, out_chosen };

    memset(out_chosen, rule->match.count == 0 && rule->modalities.count == 0, count);
    if (rule->modalities.count == 0)
        return rule->match.count == 0 || select_with(rule, archive, study_uid, NULL, &choice, err);
    for (size_t i = 0; i < rule->modalities.count; i++)
        if (!select_with(rule, archive, study_uid, rule->modalities.list[i], &choice, err))
            return false;
    return true;
}

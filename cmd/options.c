#include "cmd/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "dicom/tags.h"

#ifndef VT_CONF_PATH
#define VT_CONF_PATH "/etc/vitrine/vitrine.conf"
#endif

bool vt_options_is_override(const char *text)
{
    const char *equals = strchr(text, '=');
    const char *dot = equals ? memchr(text, '.', (size_t)(equals - text)) : NULL;

    if (!dot || dot == text || memchr(text, '/', (size_t)(equals - text)))
        return false;
    for (const char *p = text; p < dot; p++)
        if (!islower((unsigned char)*p) && *p != '_')
            return false;
    const char *key = (const char *)memrchr(text, '.', (size_t)(equals - text)) + 1;
    for (const char *p = key; p < equals; p++)
        if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '_')
            return false;
    return key < equals;
}

/* Overrides wait here until the file is read: they win wherever they stand. */
struct parsing {
    struct vt_options *out;
    const char *conf_path;
    const char **overrides;
    size_t override_count;
};

static void keep_word(struct parsing *parsing, const char *word)
{
    parsing->out->words[parsing->out->word_count++] = word;
}

/* The value of `-x VALUE`, `-xVALUE`, `--long VALUE`, `--long=VALUE` at argv[*i]; NULL: this option
 * is not there. */
static const char *value_of(int argc, char **argv, int *i, const char *letter, const char *word,
                            bool *out_missing)
{
    const char *arg = argv[*i];
    size_t length = strlen(word);

    *out_missing = false;
    if (strncmp(arg, word, length) == 0 && arg[length] == '=')
        return arg + length + 1;
    if (strncmp(arg, letter, 2) == 0 && arg[2] && arg[1] != '-')
        return arg + 2;
    if (strcmp(arg, letter) != 0 && strcmp(arg, word) != 0)
        return NULL;
    if (*i + 1 < argc)
        return argv[++*i];
    *out_missing = true;
    return NULL;
}

static bool take_flag(struct vt_options *options, const char *arg)
{
    const struct {
        const char *word;
        bool *flag;
    } flags[] = {
        { "--json", &options->json },       { "-v", &options->verbose },
        { "--verbose", &options->verbose }, { "--help", &options->help },
        { "-h", &options->help },           { "--version", &options->version },
    };

    for (size_t i = 0; i < VT_COUNT(flags); i++) {
        if (strcmp(arg, flags[i].word) == 0) {
            *flags[i].flag = true;
            return true;
        }
    }
    return false;
}

/* One argument, or two. */
static bool take(struct parsing *parsing, int argc, char **argv, int *i, struct vt_err *err)
{
    const char *arg = argv[*i];
    bool missing;

    if (take_flag(parsing->out, arg))
        return true;
    const char *value = value_of(argc, argv, i, "-c", "--config", &missing);
    if (missing)
        return vt_fail(err, VT_E_INVALID, "%s wants the name of a configuration file", arg);
    if (value) {
        parsing->conf_path = value;
        return true;
    }
    value = value_of(argc, argv, i, "-o", "--option", &missing);
    if (missing)
        return vt_fail(err, VT_E_INVALID, "%s wants section.key=value behind it", arg);
    if (!value) {
        keep_word(parsing, arg);
    } else if (vt_options_is_override(value)) {
        parsing->overrides[parsing->override_count++] = value;
    } else {
        keep_word(parsing, "-o");
        keep_word(parsing, value);
    }
    return true;
}

static bool load(struct vt_options *out, const char *path, struct vt_err *err)
{
    const char *named = path ? path : getenv("VITRINE_CONF");

    if (named && !*named)
        return true;
    if (!named && access(VT_CONF_PATH, F_OK) != 0)
        return true;
    if (!named)
        named = VT_CONF_PATH;
    out->conf_path = strdup(named);
    if (!out->conf_path)
        return vt_fail(err, VT_E_NOMEM, "no memory for the configuration");
    return vt_conf_load(out->conf, named, err);
}

bool vt_options_parse(struct vt_options *out, int argc, char **argv, struct vt_err *err)
{
    size_t most = argc > 0 ? (size_t)argc * 2 + 2 : 2;
    vt_autofree const char **overrides = calloc(most, sizeof *overrides);
    struct parsing parsing = { .out = out, .overrides = overrides };
    bool plain = false;

    *out = (struct vt_options){ .conf = vt_conf_new(),
                                .words = calloc(most, sizeof *out->words),
                                .plain_from = SIZE_MAX };
    if (!out->conf || !out->words || !overrides)
        return vt_fail(err, VT_E_NOMEM, "no memory for the command line");
    for (int i = 1; i < argc; i++) {
        if (plain) {
            keep_word(&parsing, argv[i]);
        } else if (strcmp(argv[i], "--") == 0) {
            plain = true;
            out->plain_from = out->word_count;
        } else if (!take(&parsing, argc, argv, &i, err)) {
            return false;
        }
    }
    if (out->help || out->version)
        return true;
    if (!load(out, parsing.conf_path, err))
        return false;
    for (size_t i = 0; i < parsing.override_count; i++)
        if (!vt_conf_override(out->conf, overrides[i], err))
            return false;
    return true;
}

void vt_options_fini(struct vt_options *options)
{
    vt_conf_free(options->conf);
    free(options->conf_path);
    free(options->words);
    *options = (struct vt_options){ 0 };
}

/* "PatientWeight, 0010,1030 ..." is not clear with commas in tags, so spaces part the list. */
static bool read_extra_tags(const char *text, struct vt_archive_conf *out, struct vt_err *err)
{
    struct vt_instance_rules *rules = &out->options.rules;
    char word[80];

    for (const char *p = text; *(p += strspn(p, " \t")); p += strcspn(p, " \t")) {
        size_t length = strcspn(p, " \t");
        if (rules->extra_count == VT_EXTRA_TAGS_MAX)
            return vt_fail(err, VT_E_LIMIT, "index.extra_tags has more than %d tags",
                           VT_EXTRA_TAGS_MAX);
        snprintf(word, sizeof word, "%.*s", (int)length, p);
        if (length >= sizeof word || !vt_dict_tag(word, &out->extra_tags[rules->extra_count]))
            return vt_fail(
                err, VT_E_INVALID,
                "index.extra_tags: '%s' is no keyword or tag of DICOM (words are parted by spaces)",
                word);
        rules->extra_count++;
    }
    rules->extra_tags = out->extra_tags;
    return true;
}

static bool read_policies(const struct vt_conf *conf, struct vt_archive_options *options,
                          struct vt_err *err)
{
    static const char *const words[] = { "default",   "version",    "first_wins",
                                         "last_wins", "quarantine", NULL };
    static const char *const durability[] = { "commit", "relaxed", NULL };
    static const char *const conflict[] = { "accept", "reject", NULL };
    size_t attributes, pixels, relaxed, reject;

    if (!vt_conf_choice(conf, "archive", NULL, "changed_attributes", words, 0, &attributes, err) ||
        !vt_conf_choice(conf, "archive", NULL, "changed_pixels", words, 0, &pixels, err) ||
        !vt_conf_choice(conf, "archive", NULL, "durability", durability, 0, &relaxed, err) ||
        !vt_conf_choice(conf, "archive", NULL, "patient_conflict", conflict, 0, &reject, err))
        return false;
    options->changed_attributes = (enum vt_policy)attributes;
    options->changed_pixels = (enum vt_policy)pixels;
    options->relaxed = relaxed == 1;
    options->patient_conflict_reject = reject == 1;
    return true;
}

static bool read_sizes(const struct vt_conf *conf, struct vt_archive_options *options,
                       struct vt_err *err)
{
    const uint64_t mib = UINT64_C(1) << 20, tib = UINT64_C(1) << 40;

    return vt_conf_size(conf, "archive", NULL, "journal_segment", mib, tib, 0,
                        &options->journal_segment, err) &&
           vt_conf_size(conf, "archive", NULL, "small_object", 1, 16 * mib, 0,
                        &options->small_object, err) &&
           vt_conf_size(conf, "archive", NULL, "warn_free", 1, 1024 * tib, 0, &options->warn_free,
                        err) &&
           vt_conf_size(conf, "archive", NULL, "stop_free", 1, 1024 * tib, 0, &options->stop_free,
                        err) &&
           vt_conf_size(conf, "archive", NULL, "max_instance", 1024, 1024 * tib, 0,
                        &options->max_instance, err) &&
           vt_conf_duration(conf, "archive", NULL, "trash_retention", VT_NS_PER_S,
                            INT64_C(3650) * 86400 * VT_NS_PER_S, 0, &options->trash_retention, err);
}

static bool read_limits(const struct vt_conf *conf, struct vt_element_limits *limits,
                        struct vt_err *err)
{
    const struct vt_element_limits usual = VT_ELEMENT_LIMITS_DEFAULT;
    int64_t depth, elements;

    if (!vt_conf_int(conf, "archive", NULL, "max_depth", 1, 64, usual.depth, &depth, err) ||
        !vt_conf_int(conf, "archive", NULL, "max_elements", 100, 10000000, usual.elements,
                     &elements, err) ||
        !vt_conf_size(conf, "archive", NULL, "max_value", 1024, UINT64_C(4) << 30, usual.value,
                      &limits->value, err))
        return false;
    limits->depth = (uint32_t)depth;
    limits->elements = (uint32_t)elements;
    return true;
}

/* ---- private transfer syntaxes ---- */

static bool read_syntax(char *text, struct vt_private_syntax *out, struct vt_err *err)
{
    static const struct {
        const char *word;
        enum vt_encoding encoding;
    } words[] = { { "implicit-le", VT_IMPLICIT_LE },
                  { "explicit-le", VT_EXPLICIT_LE },
                  { "explicit-be", VT_EXPLICIT_BE },
                  { "deflated", VT_DEFLATED_LE } };
    char *rest = NULL;
    const char *uid = strtok_r(text, " \t", &rest), *encoding = strtok_r(NULL, " \t", &rest),
               *encapsulated = strtok_r(NULL, " \t", &rest);

    if (!uid || !vt_uid_valid(uid))
        return vt_fail(err, VT_E_INVALID, "dicom.private_syntaxes: '%s' is not a UID",
                       uid ? uid : "");
    for (size_t i = 0; encoding && i < VT_COUNT(words); i++)
        if (strcmp(encoding, words[i].word) == 0 &&
            (!encapsulated || strcmp(encapsulated, "encapsulated") == 0)) {
            *out = (struct vt_private_syntax){ uid, words[i].encoding, encapsulated != NULL };
            return true;
        }
    return vt_fail(err, VT_E_INVALID,
                   "dicom.private_syntaxes: behind %s stands implicit-le, explicit-le, explicit-be "
                   "or deflated, and perhaps encapsulated",
                   uid);
}

bool vt_private_conf_read(const struct vt_conf *conf, struct vt_private_conf *out,
                          struct vt_err *err)
{
    const char *text = vt_conf_text(conf, "dicom", NULL, "private_syntaxes", "");
    char *rest = NULL;

    out->count = 0;
    if (strlen(text) >= sizeof out->text)
        return vt_fail(err, VT_E_LIMIT, "dicom.private_syntaxes is too long");
    memcpy(out->text, text, strlen(text) + 1);
    for (char *part = strtok_r(out->text, ",", &rest); part; part = strtok_r(NULL, ",", &rest)) {
        if (out->count == VT_PRIVATE_SYNTAXES_MAX)
            return vt_fail(err, VT_E_LIMIT, "dicom.private_syntaxes has more than %d",
                           VT_PRIVATE_SYNTAXES_MAX);
        if (!read_syntax(part, &out->list[out->count++], err))
            return false;
    }
    return true;
}

/* ---- [archive] ---- */

bool vt_archive_conf_read(const struct vt_conf *conf, struct vt_archive_conf *out,
                          struct vt_err *err)
{
    int64_t readers;

    *out = (struct vt_archive_conf){ 0 };
    struct vt_archive_options *options = &out->options;
    options->path = vt_conf_text(conf, "archive", NULL, "path", "/var/lib/vitrine");
    if (!*options->path)
        return vt_fail(err, VT_E_INVALID, "archive.path is empty: name the folder of the archive");
    if (!read_policies(conf, options, err) || !read_sizes(conf, options, err) ||
        !read_limits(conf, &options->limits, err) ||
        !vt_private_conf_read(conf, &out->syntaxes, err) ||
        !vt_conf_int(conf, "index", NULL, "readers", 1, 256, 8, &readers, err) ||
        !vt_conf_bool(conf, "index", NULL, "lenient_uids", false, &options->rules.lenient_uids,
                      err))
        return false;
    options->readers = (int)readers;
    options->private_syntaxes = out->syntaxes.list;
    options->private_syntax_count = out->syntaxes.count;
    options->rules.default_charset = vt_conf_text(conf, "index", NULL, "default_charset", NULL);
    options->rules.default_issuer = vt_conf_text(conf, "index", NULL, "default_issuer", NULL);
    return read_extra_tags(vt_conf_text(conf, "index", NULL, "extra_tags", ""), out, err);
}

bool vt_query_conf_read(const struct vt_conf *conf, struct vt_query_rules *out, struct vt_err *err)
{
    static const char *const unknown[] = { "none", "required", NULL };
    static const char *const accents[] = { "fold", "keep", NULL };
    struct vt_query_rules rules = { .model = VT_MODEL_PATIENT_ROOT };
    size_t required, keep;
    int64_t most;

    if (!vt_conf_bool(conf, "query", NULL, "strict", false, &rules.strict, err) ||
        !vt_conf_bool(conf, "query", NULL, "fuzzy", false, &rules.fuzzy, err) ||
        !vt_conf_choice(conf, "query", NULL, "match_unknown", unknown, 0, &required, err) ||
        !vt_conf_choice(conf, "query", NULL, "accents", accents, 0, &keep, err) ||
        !vt_conf_int(conf, "query", NULL, "max_matches", 0, INT64_C(1) << 40, 50000, &most, err))
        return false;
    rules.match_unknown = required == 1;
    rules.keep_accents = keep == 1;
    rules.max_matches = (uint64_t)most;
    rules.default_charset = vt_conf_text(conf, "index", NULL, "default_charset", NULL);
    *out = rules;
    return true;
}

bool vt_ae_title_conf_read(const struct vt_conf *conf, char *out, struct vt_err *err)
{
    const char *title = vt_conf_text(conf, "dicom", NULL, "ae_title", "VITRINE");

    if (!vt_ae_title_trim(title, out))
        return vt_fail(err, VT_E_INVALID,
                       "dicom.ae_title = '%s' is not an AE title (1 to 16 printable characters)",
                       title);
    return true;
}

/* The configuration turned into the rooms' option structs: [archive], [index], [query], parts of
 * [dicom]. */
#include "cmd/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "dicom/tags.h"

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
           vt_conf_size(conf, "archive", NULL, "reserve_free", 0, 1024 * tib, 0,
                        &options->reserve_free, err) &&
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

/* ---- [volume "NAME"] ---- */

static bool read_volume(const struct vt_conf *conf, const char *name, struct vt_volume *out,
                        struct vt_err *err)
{
    static const char *const classes[] = { "short-term", "long-term", NULL };
    size_t class;

    if (strlen(name) > VT_VOLUME_NAME_MAX)
        return vt_fail(err, VT_E_INVALID, "volume '%s': a name has up to %d characters", name,
                       VT_VOLUME_NAME_MAX);
    snprintf(out->name, sizeof out->name, "%s", name);
    out->path = vt_conf_text(conf, "volume", name, "path", "");
    if (!vt_conf_choice(conf, "volume", name, "class", classes, VT_VOLUME_LONG_TERM, &class, err) ||
        !vt_conf_bool(conf, "volume", name, "nearline", false, &out->nearline, err) ||
        !vt_conf_size(conf, "volume", name, "warn_free", 1, UINT64_C(1) << 50, 0, &out->warn_free,
                      err) ||
        !vt_conf_bool(conf, "volume", name, "recall", false, &out->recall, err) ||
        !vt_conf_size(conf, "volume", name, "stop_free", 1, UINT64_C(1) << 50, 0, &out->stop_free,
                      err) ||
        !vt_conf_size(conf, "volume", name, "reserve_free", 0, UINT64_C(1) << 50, 0,
                      &out->reserve_free, err))
        return false;
    out->class = (enum vt_volume_class)class;
    return true;
}

bool vt_volumes_conf_read(const struct vt_conf *conf, struct vt_volume out[static VT_VOLUMES_MAX],
                          size_t *out_count, struct vt_err *err)
{
    const char *name;

    *out_count = 0;
    for (size_t i = 0; (name = vt_conf_name(conf, "volume", i)); i++) {
        if (i == VT_VOLUMES_MAX)
            return vt_fail(err, VT_E_LIMIT, "more than %d volumes", VT_VOLUMES_MAX);
        if (!read_volume(conf, name, &out[i], err))
            return false;
        ++*out_count;
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
    if (!vt_volumes_conf_read(conf, out->volumes, &options->volume_count, err))
        return false;
    options->volumes = out->volumes;
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

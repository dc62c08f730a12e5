/* cmd/options.h: what all programs share on the command line, and the configuration turned into the
 * rooms' option structs.
 *
 *   -c FILE, --config FILE           configuration (default: /etc/vitrine/vitrine.conf when it is
 * there, or what VITRINE_CONF names) -o section.key=value             override, may be repeated;
 * wins over the file
 *   --json, -v, --verbose, --help, -h, --version
 *
 * They may stand anywhere. `--` ends them: what follows is a word. What is not one of them stays a
 * word, in order, for the program: so does `-o DIR` of the verbs that write somewhere (a value
 * without section.key= in front is no override). Main thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/archive.h"
#include "archive/query.h"
#include "core/conf.h"

struct vt_err;

struct vt_options {
    struct vt_conf *conf; /* file, then overrides */
    char *conf_path;      /* the file that was read; NULL: none */
    const char **words;   /* what is left of argv; borrowed from it, NULL behind the last */
    size_t word_count;
    size_t plain_from; /* words from here on stood behind `--` */
    bool json, verbose, help, version;
};

/* VT_E_INVALID: wrong usage; VT_E_NOTFOUND: no such configuration. Release with vt_options_fini in
 * any case. */
bool vt_options_parse(struct vt_options *out, int argc, char **argv, struct vt_err *err);
void vt_options_fini(struct vt_options *options);

/* "section.key=value" or "section.NAME.key=value" with a lower-case section and key, no '/' before
 * '='. */
bool vt_options_is_override(const char *text);

/* dicom.private_syntaxes: "UID implicit-le|explicit-le|explicit-be|deflated [encapsulated]", parted
 * by commas. */
enum { VT_PRIVATE_SYNTAXES_MAX = 64, VT_PRIVATE_TEXT_MAX = 4096 };
struct vt_private_conf {
    char text[VT_PRIVATE_TEXT_MAX]; /* the value, cut into words; list points into it */
    struct vt_private_syntax list[VT_PRIVATE_SYNTAXES_MAX];
    size_t count;
};
bool vt_private_conf_read(const struct vt_conf *conf, struct vt_private_conf *out,
                          struct vt_err *err);

/* [archive], [index] and the limits of both. */
enum { VT_EXTRA_TAGS_MAX = 64 };
struct vt_archive_conf {
    struct vt_archive_options
        options; /* text is borrowed from conf; events and index are left to the caller */
    uint32_t extra_tags[VT_EXTRA_TAGS_MAX]; /* options.rules.extra_tags and private_syntaxes point
                                               here: do not move the struct */
    struct vt_private_conf syntaxes;
    struct vt_volume volumes[VT_VOLUMES_MAX];
};
/* Reads: archive.path durability journal_segment small_object warn_free stop_free
 * changed_attributes changed_pixels patient_conflict trash_retention max_instance max_depth
 * max_elements max_value; dicom.private_syntaxes; index.extra_tags default_charset default_issuer lenient_uids readers.
 * vt_dict_load must have been called when index.extra_tags has keywords. */
bool vt_archive_conf_read(const struct vt_conf *conf, struct vt_archive_conf *out,
                          struct vt_err *err);

/* [volume "NAME"]: path, class, nearline, warn_free, stop_free. */
bool vt_volumes_conf_read(const struct vt_conf *conf, struct vt_volume out[static VT_VOLUMES_MAX],
                          size_t *out_count, struct vt_err *err);

/* [query]: strict, match_unknown = none|required, accents = fold|keep, fuzzy, max_matches. model is
 * left VT_MODEL_PATIENT_ROOT, what is negotiated is left off. */
bool vt_query_conf_read(const struct vt_conf *conf, struct vt_query_rules *out, struct vt_err *err);

/* dicom.ae_title (VITRINE), checked and trimmed. out has room for VT_AE_TITLE_MAX + 1. */
bool vt_ae_title_conf_read(const struct vt_conf *conf, char *out, struct vt_err *err);

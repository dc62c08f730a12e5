#include "cmd/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"

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

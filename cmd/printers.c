#include "cmd/printers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "cmd/tls.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"

#define KEY_MAX 32

/* What is said of a print: where it goes, and of which kind it is. */
enum kind { CODE, TEXT, NUMBER, LENGTH };
static const struct word {
    const char *key; /* of the configuration */
    enum kind kind;
    size_t offset, room;
    int least, most;
} words[] = {
#define AT(member) offsetof(struct vt_print_options, member), sizeof(((struct vt_print_options *)NULL)->member)
    { "priority", CODE, AT(priority), 0, 0 },
    { "medium", CODE, AT(medium), 0, 0 },
    { "destination", CODE, AT(destination), 0, 0 },
    { "label", TEXT, AT(label), 0, 0 },
    { "film_size", CODE, AT(film_size), 0, 0 },
    { "orientation", CODE, AT(orientation), 0, 0 },
    { "magnification", CODE, AT(magnification), 0, 0 },
    { "smoothing", CODE, AT(smoothing), 0, 0 },
    { "border", CODE, AT(border), 0, 0 },
    { "empty", CODE, AT(empty), 0, 0 },
    { "trim", CODE, AT(trim), 0, 0 },
    { "resolution", CODE, AT(resolution), 0, 0 },
    { "polarity", CODE, AT(polarity), 0, 0 },
    { "annotation", CODE, AT(annotation), 0, 0 },
    { "image_size", LENGTH, AT(image_size), 0, 0 },
    { "decimate", CODE, AT(decimate), 0, 0 },
    { "configuration", TEXT, AT(configuration), 0, 0 },
    { "copies", NUMBER, AT(copies), 1, 100 },
    { "min_density", NUMBER, AT(min_density), 0, 10000 },
    { "max_density", NUMBER, AT(max_density), 0, 10000 },
    { "illumination", NUMBER, AT(illumination), 0, 65535 },
    { "reflection", NUMBER, AT(reflection), 0, 65535 },
#undef AT
};

static bool is_code(const char *text)
{
    for (; *text; text++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _", *text))
            return false;
    return true;
}

/* DS: millimetres. */
static bool is_length(const char *text)
{
    char *end;
    double value = strtod(text, &end);

    return *text && strspn(text, "0123456789.") == strlen(text) && *end == '\0' && value > 0;
}

/* CS: capitals, digits, space and underscore, 16 at most. */
static bool put_word(const struct word *word, const char *text, struct vt_print_options *out, struct vt_err *err)
{
    char *place = (char *)out + word->offset;

    if (word->kind == NUMBER) {
        char *end;
        long value = strtol(text, &end, 10);
        if (end == text || *end || value < word->least || value > word->most)
            return vt_fail(err, VT_E_INVALID, "%s: '%.40s' is no number from %d to %d", word->key, text, word->least,
                           word->most);
        int number = (int)value;
        memcpy(place, &number, sizeof number);
        return true;
    }
    if (word->kind == LENGTH && (strlen(text) >= word->room || !is_length(text)))
        return vt_fail(err, VT_E_INVALID, "%s: '%.40s' is no length in millimetres", word->key, text);
    if (strlen(text) >= word->room || (word->kind == CODE && !is_code(text)))
        return vt_fail(err, VT_E_INVALID, "%s: '%.60s' is none of the standard's words: up to %zu %s", word->key, text,
                       word->room - 1, word->kind == CODE ? "capitals, digits and underscores" : "characters");
    memcpy(place, text, strlen(text) + 1);
    return true;
}

/* ---- the configuration ---- */

static bool read_section(const struct vt_conf *conf, const char *name, struct vt_printer *out, struct vt_err *err)
{
    struct vt_print_options *options = &out->options;
    const char *layout = vt_conf_text(conf, "printer", name, "layout", "1x1");
    static const char *const depths[] = { "8", "12", NULL };
    bool lut = true;
    size_t depth;

    for (size_t i = 0; i < VT_COUNT(words); i++) {
        const char *text = vt_conf_text(conf, "printer", name, words[i].key, "");
        if (*text && !put_word(&words[i], text, options, err))
            return vt_fail_context(err, "printer.%s", name);
    }
    if (!vt_print_layout(layout, options->layout, &options->boxes, err))
        return vt_fail_context(err, "printer.%s.layout", name);
    if (!vt_conf_bool(conf, "printer", name, "colour", false, &options->colour, err) ||
        !vt_conf_bool(conf, "printer", name, "presentation_lut", true, &lut, err) ||
        !vt_conf_choice(conf, "printer", name, "bits", depths, 0, &depth, err))
        return false;
    out->bits = depth == 1 ? 12 : 8;
    options->no_presentation_lut = !lut;
    return true;
}

static bool read_address(const struct vt_conf *conf, const char *name, struct vt_peer *out, struct vt_err *err)
{
    const char *title = vt_conf_text(conf, "printer", name, "ae_title", name);
    int64_t port;

    *out = (struct vt_peer){ .name = name, .host = vt_conf_text(conf, "printer", name, "host", NULL) };
    if (!vt_ae_title_trim(title, out->ae_title))
        return vt_fail(err, VT_E_INVALID, "printer.%s.ae_title: '%.40s' is not an AE title", name, title);
    if (!out->host)
        return vt_fail(err, VT_E_INVALID, "printer.%s.host is missing", name);
    if (!vt_conf_int(conf, "printer", name, "port", 1, UINT16_MAX, 104, &port, err) ||
        !vt_conf_duration(conf, "printer", name, "timeout", VT_NS_PER_S, 3600 * VT_NS_PER_S, 120 * VT_NS_PER_S,
                          &out->timeout, err))
        return false;
    out->port = (uint16_t)port;
    return vt_peer_tls_read(conf, "printer", name, out, err);
}

static bool is_printer(const struct vt_conf *conf, const char *name)
{
    const char *one;

    for (size_t i = 0; (one = vt_conf_name(conf, "printer", i)); i++)
        if (strcmp(one, name) == 0)
            return true;
    return false;
}

/* ---- what is asked for ---- */

static bool read_window(const char *text, struct vt_printer *out, struct vt_err *err)
{
    char *end, *last;

    out->center = strtod(text, &end);
    out->width = *end == '/' ? strtod(end + 1, &last) : 0;
    out->has_window = end != text && *end == '/' && last != end + 1 && *last == '\0' && out->width > 0 &&
                      isfinite(out->width) && isfinite(out->center);
    return out->has_window ||
           vt_fail(err, VT_E_INVALID, "--window '%.40s' is no CENTER/WIDTH such as 40/400", text);
}

/* "Room 4|morning round": the texts of the annotation boxes. */
static bool read_texts(const char *text, struct vt_print_options *out, struct vt_err *err)
{
    out->text_count = 0;
    for (size_t length; *text; text += length + (text[length] == '|')) {
        length = strcspn(text, "|");
        if (out->text_count == VT_PRINT_TEXTS_MAX || length >= VT_PRINT_TEXT)
            return vt_fail(err, VT_E_INVALID, "--text: up to %d texts of %d characters, parted by '|'", VT_PRINT_TEXTS_MAX,
                           VT_PRINT_TEXT - 1);
        snprintf(out->texts[out->text_count++], VT_PRINT_TEXT, "%.*s", (int)length, text);
    }
    return true;
}

/* "film_size" is "film-size" on the command line. */
static const char *asked_for(const json_t *asked, const char *key)
{
    char option[KEY_MAX];

    snprintf(option, sizeof option, "%s", key);
    for (char *at = option; *at; at++)
        *at = *at == '_' ? '-' : *at;
    return json_string_value(json_object_get(asked, option));
}

static bool read_asked(const json_t *asked, struct vt_printer *out, struct vt_err *err)
{
    const char *text;

    for (size_t i = 0; i < VT_COUNT(words); i++)
        if ((text = asked_for(asked, words[i].key)) && !put_word(&words[i], text, &out->options, err))
            return vt_fail_context(err, "option");
    if ((text = asked_for(asked, "layout")) &&
        !vt_print_layout(text, out->options.layout, &out->options.boxes, err))
        return false;
    if ((text = asked_for(asked, "window")) && !read_window(text, out, err))
        return false;
    if ((text = asked_for(asked, "text")) && !read_texts(text, &out->options, err))
        return false;
    if ((text = asked_for(asked, "state")))
        snprintf(out->state, sizeof out->state, "%s", text);
    if ((text = asked_for(asked, "frame"))) {
        char *end;
        out->frame_asked = true;
        out->frame = strcmp(text, "all") == 0 ? 0 : strtol(text, &end, 10);
        if (out->frame < 0 || (out->frame == 0 && strcmp(text, "all") != 0))
            return vt_fail(err, VT_E_INVALID, "--frame '%.20s' is neither a number nor all", text);
    }
    if ((text = asked_for(asked, "bits"))) {
        out->bits = strcmp(text, "12") == 0 ? 12 : 8;
        if (out->bits == 8 && strcmp(text, "8") != 0)
            return vt_fail(err, VT_E_INVALID, "--bits '%.20s' is neither 8 nor 12", text);
    }
    out->options.colour |= json_is_true(json_object_get(asked, "colour"));
    out->peer.tls |= json_is_true(json_object_get(asked, "tls"));
    return true;
}

bool vt_printer_read(const struct vt_conf *conf, const struct vt_peers *peers, const char *name, const json_t *asked,
                     struct vt_printer *out, struct vt_err *err)
{
    *out = (struct vt_printer){ .frame = 1,
                                .bits = 8,
                                .options = { .copies = 1,
                                             .min_density = -1,
                                             .max_density = -1,
                                             .illumination = -1,
                                             .reflection = -1 } };
    if (is_printer(conf, name)) {
        if (!read_section(conf, name, out, err) || !read_address(conf, name, &out->peer, err))
            return false;
    } else if (strchr(name, '@')) {
        if (!vt_print_layout("1x1", out->options.layout, &out->options.boxes, err) ||
            !vt_peers_resolve(peers, name, &out->peer, out->store, sizeof out->store, err))
            return false;
    } else {
        return vt_fail(err, VT_E_NOTFOUND, "there is no [printer \"%.40s\"] in the configuration: name one, or say AET@HOST:PORT",
                       name);
    }
    if (asked && !read_asked(asked, out, err))
        return false;
    if (out->options.text_count > 0 && !out->options.annotation[0])
        snprintf(out->options.annotation, sizeof out->options.annotation, "ANNOTATION");
    return true;
}

bool vt_printer_tls(const struct vt_conf *conf, struct vt_printer *printer, struct ssl_ctx_st **out, struct vt_err *err)
{
    *out = printer->peer.tls ? vt_tls_of_peer(conf, &printer->peer, err) : NULL;
    return *out || !printer->peer.tls;
}

bool vt_printers_check(const struct vt_conf *conf, const struct vt_peers *peers, struct vt_err *err)
{
    struct ssl_ctx_st *tls;
    struct vt_printer printer;
    const char *name;

    for (size_t i = 0; (name = vt_conf_name(conf, "printer", i)); i++) {
        if (!vt_printer_read(conf, peers, name, NULL, &printer, err) || !vt_printer_tls(conf, &printer, &tls, err))
            return false;
        vt_tls_free(tls);
    }
    return true;
}

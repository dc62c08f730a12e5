#include "media/deidentify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/text.h"
#include "media/deidentify_inside.h"

enum { MODE_TEXT_MAX = 64, BLACK_MAX = 256 << 10, SHIFT_DAYS = 3650, SECRET_BYTES = 32 };
enum {
    BURNED_IN = 0x00280301,
    RECOGNIZABLE = 0x00280302,
    TEMPORAL_MODIFIED = 0x00280303,
    IDENTITY_REMOVED = 0x00120062,
    METHOD = 0x00120063,
    METHOD_CODES = 0x00120064,
    PRIVATE_CHARACTERISTICS = 0x00080300,
    CODE_VALUE = 0x00080100,
    CODING_SCHEME = 0x00080102,
    CODE_MEANING = 0x00080104,
    PERSON_CODES = 0x00401101,
    CONCEPT_CODE = 0x0040a168,
    TEXT_VALUE = 0x0040a160,
    UNFORMATTED_TEXT = 0x00700006,
    ENCAPSULATED_DOCUMENT = 0x00420011,
};

/* ---- the profile ---- */

static const struct {
    const char *word;
    unsigned option;
    const char *code, *meaning;   /* CID 7050; NULL: no method of its own */
} words[] = {
    { "basic", 0, "113100", "Basic Application Confidentiality Profile" },
    { "retain-uids", VT_DEID_RETAIN_UIDS, "113110", "Retain UIDs Option" },
    { "retain-dates", VT_DEID_RETAIN_DATES, "113106", "Retain Longitudinal Temporal Information Full Dates Option" },
    { "modify-dates", VT_DEID_MODIFY_DATES, "113107", "Retain Longitudinal Temporal Information Modified Dates Option" },
    { "retain-device", VT_DEID_RETAIN_DEVICE, "113109", "Retain Device Identity Option" },
    { "retain-institution", VT_DEID_RETAIN_INSTITUTION, "113112", "Retain Institution Identity Option" },
    { "retain-patient", VT_DEID_RETAIN_PATIENT, "113108", "Retain Patient Characteristics Option" },
    { "retain-private", VT_DEID_RETAIN_PRIVATE, "113111", "Retain Safe Private Option" },
    { "clean-descriptors", VT_DEID_CLEAN_DESCRIPTORS, "113105", "Clean Descriptors Option" },
    { "clean-graphics", VT_DEID_CLEAN_GRAPHICS, "113103", "Clean Graphics Option" },
    { "clean-structured-content", VT_DEID_CLEAN_CONTENT, "113104", "Clean Structured Content Option" },
    { "allow-burned-in", VT_DEID_BURNED_IN, NULL, NULL },
};

const char *vt_deid_word_at(size_t i)
{
    return i < VT_COUNT(words) ? words[i].word : NULL;
}

/* Options of the standard that need an eye on each picture. */
static bool needs_eyes(const char *word)
{
    return strcmp(word, "clean-pixel-data") == 0 || strcmp(word, "clean-recognizable-visual-features") == 0;
}

static bool find_word(const char *word, size_t *out, struct vt_err *err)
{
    for (*out = 0; *out < VT_COUNT(words); ++*out)
        if (strcmp(words[*out].word, word) == 0)
            return true;
    if (needs_eyes(word))
        return vt_fail(err, VT_E_INVALID,
                       "%s is not done here, pixels are not changed: leave the word out, and what says that text is part of its "
                       "pixels stays behind",
                       word);
    return vt_fail(err, VT_E_INVALID,
                   "'%.40s' is no word of de-identification: basic, retain-uids, retain-dates, modify-dates, retain-device, "
                   "retain-institution, retain-patient, retain-private, clean-descriptors, clean-graphics, "
                   "clean-structured-content, allow-burned-in",
                   word);
}

static bool read_profile(struct vt_deid *deid, const char *profile, struct vt_err *err)
{
    char copy[VT_DEID_PROFILE_MAX], *rest = NULL;

    if (snprintf(copy, sizeof copy, "%s", profile) >= (int)sizeof copy)
        return vt_fail(err, VT_E_INVALID, "a profile of de-identification has less than %d letters", VT_DEID_PROFILE_MAX);
    for (char *word = strtok_r(copy, ", ", &rest); word; word = strtok_r(NULL, ", ", &rest)) {
        size_t i;
        if (!find_word(word, &i, err))
            return false;
        deid->options |= words[i].option;
    }
    if ((deid->options & VT_DEID_RETAIN_DATES) && (deid->options & VT_DEID_MODIFY_DATES))
        return vt_fail(err, VT_E_INVALID, "dates are either retained or modified");
    return strncmp(profile, "basic", 5) == 0 || vt_fail(err, VT_E_INVALID, "a profile of de-identification begins with 'basic'");
}

static bool take_given(const char *what, const char *given, char out[static VT_DEID_NAME_MAX + 1], struct vt_err *err)
{
    if (!given)
        return true;
    if (strlen(given) > VT_DEID_NAME_MAX || !*given || strchr(given, '\\') || !vt_text_is_ascii(given, strlen(given)))
        return vt_fail(err, VT_E_INVALID, "%s has 1 to %d ASCII letters, no backslash", what, VT_DEID_NAME_MAX);
    snprintf(out, VT_DEID_NAME_MAX + 1, "%s", given);
    return true;
}

static bool make_secret(struct vt_deid *deid, const char *given, struct vt_err *err)
{
    uint8_t bytes[SECRET_BYTES];

    if (given) {
        snprintf(deid->secret, sizeof deid->secret, "%s", given);
        return true;
    }
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return vt_fail(err, VT_E_IO, "no random numbers for an export");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(deid->secret + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

struct vt_deid *vt_deid_new(const struct vt_deid_words *given, struct vt_err *err)
{
    VT_AUTO(vt_deid) deid = calloc(1, sizeof *deid);

    if (!deid || !(deid->digest = EVP_MD_CTX_new()) || EVP_DigestInit_ex(deid->digest, EVP_sha256(), NULL) != 1) {
        vt_fail(err, VT_E_NOMEM, "no memory for de-identification");
        return NULL;
    }
    if (!read_profile(deid, given->profile, err) || !take_given("--patient-name", given->patient_name, deid->name, err) ||
        !take_given("--patient-id", given->patient_id, deid->id, err) || !make_secret(deid, given->secret, err))
        return NULL;
    return vt_take(&deid);
}

void vt_deid_free(struct vt_deid *deid)
{
    if (deid)
        EVP_MD_CTX_free(deid->digest);
    free(deid);
}

/* The first row that is not below the tag. */
const struct vt_deid_rule *vt_deid_rule_find(uint32_t tag)
{
    size_t low = 0, high = VT_DEID_RULES_MAX;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct vt_deid_rule *rule = vt_deid_rule_at(middle);
        if (rule && rule->tag < tag)
            low = middle + 1;
        else
            high = middle;
    }
    const struct vt_deid_rule *rule = vt_deid_rule_at(low);
    return rule && rule->tag == tag ? rule : NULL;
}

/* ---- what may go out ---- */

static bool text_of(const uint8_t *bytes, size_t size, enum vt_encoding encoding, uint32_t tag, char *out, size_t room)
{
    struct vt_element element;

    *out = '\0';
    return vt_element_find(bytes, size, encoding, tag, &element) && vt_element_text(&element, out, room) > 0;
}

/* Those whose pixels often have the name of the patient in them. */
static bool often_burned(const char *sop_class)
{
    static const char *const classes[] = { "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1",
                                           "1.2.840.10008.5.1.4.1.1.77.1.1", "1.2.840.10008.5.1.4.1.1.77.1.4" };

    for (size_t i = 0; i < VT_COUNT(classes); i++)
        if (strncmp(sop_class, classes[i], strlen(classes[i])) == 0)
            return true;
    return false;
}

bool vt_deid_allows(const struct vt_deid *deid, const uint8_t *bytes, size_t size, enum vt_encoding encoding,
                    const char **out_why, const char **out_warning)
{
    char sop_class[VT_UID_MAX + 1], text[64], type[256];
    struct vt_element document;

    *out_why = *out_warning = NULL;
    text_of(bytes, size, encoding, VT_TAG_SOP_CLASS_UID, sop_class, sizeof sop_class);
    bool told = text_of(bytes, size, encoding, BURNED_IN, text, sizeof text);
    bool burned = told && strcmp(text, "YES") == 0;
    text_of(bytes, size, encoding, VT_TAG_IMAGE_TYPE, type, sizeof type);
    if (strcmp(sop_class, "1.2.840.10008.5.1.4.1.1.66") == 0)
        return false; /* what is left of a slide's file, and others' raw data: nobody knows what is in it */
    if (strcmp(sop_class, VT_UID_WHOLE_SLIDE) == 0 && (strstr(type, "\\LABEL") || strstr(type, "\\OVERVIEW")))
        return false;
    if (vt_element_find(bytes, size, encoding, ENCAPSULATED_DOCUMENT, &document)) {
        *out_why = "it holds a document, which cannot be de-identified here";
        return false;
    }
    if (burned && !(deid->options & VT_DEID_BURNED_IN)) {
        *out_why = "its Burned In Annotation says that text is part of the pixels: look at it, then say allow-burned-in";
        return false;
    }
    text_of(bytes, size, encoding, RECOGNIZABLE, text, sizeof text);
    if (burned)
        *out_warning = "text is part of its pixels";
    else if (strcmp(text, "YES") == 0)
        *out_warning = "it says that a face can be recognised in it, and pixels are not changed";
    else if (!told && often_burned(sop_class))
        *out_warning = "it does not say whether text is part of its pixels: look at it";
    return true;
}

/* ---- a data set ---- */

struct passing {
    struct vt_deid *deid;
    struct vt_writer w;
    enum vt_encoding encoding;
    struct vt_deid_black black;
    unsigned days;                        /* that dates move back */
    bool report;                          /* of the Structured Reporting family */
    char name[VT_DEID_NAME_MAX + 1], id[VT_DEID_NAME_MAX + 1];
};

/* Options under which some text stays without the words of what goes. */
enum { CLEANING = VT_DEID_CLEAN_DESCRIPTORS | VT_DEID_CLEAN_GRAPHICS | VT_DEID_CLEAN_CONTENT | VT_DEID_RETAIN_PATIENT };

enum mode { PLAIN, DUMMY, CLEAN, TELLING };   /* of the sequence around; of a content item that tells who */

static bool is_date(const char *vr)
{
    return memcmp(vr, "DA", 2) == 0 || memcmp(vr, "DT", 2) == 0 || memcmp(vr, "TM", 2) == 0;
}

/* UIDs of things that are no instances, and so nobody's. */
static bool names_a_class(uint32_t tag)
{
    static const uint32_t tags[] = { 0x00080016, 0x0008001a, 0x0008001b, 0x00080062, 0x0008010c, 0x00080117, 0x00080118, 0x00081150,
                                     0x0008115a, 0x00083002, 0x00041510, 0x00041512, 0x0004151a, 0x00400440, 0x04000010, 0x00620003,
                                     0x00720083, 0x00720022, 0x00720026 };

    for (size_t i = 0; i < VT_COUNT(tags); i++)
        if (tags[i] == tag)
            return true;
    return false;
}

/* What the table does not name: names, dates and UIDs do not stay; free text of annotations neither. */
static char general(const struct passing *p, const struct vt_element *element, const char *vr)
{
    uint32_t tag = element->tag;
    unsigned group = VT_TAG_GROUP(tag);

    if (group >= 0xfff0 || (group & 0xff00) == 0x5000 || (group & 0xff00) == 0x6000 || (tag >= 0x00160070 && tag <= 0x0016008e) ||
        !vt_dict_keyword(tag))
        return 'X';
    if (tag == PRIVATE_CHARACTERISTICS)
        return p->deid->options & VT_DEID_RETAIN_PRIVATE ? 'K' : 'X';
    if (tag == TEXT_VALUE)
        return p->deid->options & VT_DEID_CLEAN_CONTENT ? 'C' : 'D';
    if (tag == UNFORMATTED_TEXT)
        return p->deid->options & VT_DEID_CLEAN_GRAPHICS ? 'C' : 'D';
    if (tag == 0x00700081)
        return 'Z';
    if (memcmp(vr, "UI", 2) == 0)
        return names_a_class(tag) ? 'K' : 'U';
    if (is_date(vr))
        return p->deid->options & VT_DEID_RETAIN_DATES ? 'K' : p->deid->options & VT_DEID_MODIFY_DATES ? 'M' : 'D';
    return memcmp(vr, "PN", 2) == 0 ? 'D' : 'K';
}

static char action_of(const struct passing *p, const struct vt_element *element, const char *vr)
{
    const struct vt_deid_rule *rule = vt_deid_rule_find(element->tag);
    unsigned options = p->deid->options;

    if (!rule)
        return general(p, element, vr);
    if (rule->keep & options)
        return 'K';
    if ((rule->keep & VT_DEID_RETAIN_DATES) && (options & VT_DEID_MODIFY_DATES))
        return 'M';
    if ((rule->clean & options) ||
        ((rule->clean & VT_DEID_RETAIN_PATIENT) && (options & VT_DEID_RETAIN_PATIENT)))
        return 'C';
    if (rule->action == 'E')
        return p->report ? 'Z' : 'X';
    return rule->action == 'R' ? 'K' : rule->action;
}

static bool pass_items(struct passing *p, const struct vt_element *sequence, enum mode mode, unsigned depth, struct vt_err *err);

static bool keep(struct passing *p, const struct vt_element *element, const char *vr, enum mode mode, unsigned depth,
                 struct vt_err *err)
{
    if (memcmp(vr, "SQ", 2) == 0)
        return pass_items(p, element, mode, depth, err);
    return vt_write_element(&p->w, element, p->encoding, err);
}

/* One item that says who is not told. */
static bool put_nobody(struct passing *p, uint32_t tag, struct vt_err *err)
{
    return vt_write_sequence_begin(&p->w, tag, err) && vt_write_item_begin(&p->w, err) &&
           vt_write_text(&p->w, CODE_VALUE, "SH", "REMOVED", err) && vt_write_text(&p->w, CODING_SCHEME, "SH", "99VITRINE", err) &&
           vt_write_text(&p->w, CODE_MEANING, "LO", "Removed", err) && vt_write_item_end(&p->w, err) &&
           vt_write_sequence_end(&p->w, err);
}

static bool act(struct passing *p, char action, const struct vt_element *element, const char *vr, enum mode mode, unsigned depth,
                struct vt_err *err)
{
    bool sequence = memcmp(vr, "SQ", 2) == 0;

    switch (action) {
    case 'X':
        return true;
    case 'Z':
        return vt_write_bytes(&p->w, element->tag, vr, "", 0, err);
    case 'U':
        return vt_deid_put_uids(&p->w, p->deid, element, err);
    case 'D':
        if (element->tag == PERSON_CODES || (element->tag == CONCEPT_CODE && mode == TELLING))
            return put_nobody(p, element->tag, err);
        return sequence ? pass_items(p, element, DUMMY, depth, err) : vt_deid_put_dummy(&p->w, p->deid, element, vr, err);
    case 'M':
        return vt_deid_put_moved(&p->w, p->deid, element, vr, p->days, err);
    case 'C':
        return sequence ? pass_items(p, element, CLEAN, depth, err)
                        : vt_deid_put_cleaned(&p->w, &p->black, element, vr, err);
    default:
        return keep(p, element, vr, mode, depth, err);
    }
}

/* Below something that is to be replaced as a whole, text goes; codes of public schemes stay, they say what kind of thing it was. */
static bool goes_with_the_whole(const struct vt_element *element, const char *vr, bool private_scheme)
{
    bool code = element->tag >= 0x00080100 && element->tag <= 0x00080122;

    return vt_deid_is_text(vr) && (!code || (element->tag == CODE_MEANING && private_scheme));
}

struct level {
    struct vt_deid_blocks blocks;
    bool private_scheme;
};

static bool pass_element(struct passing *p, struct level *level, const struct vt_element *element, enum mode mode, unsigned depth,
                         struct vt_err *err)
{
    const char *vr = vt_deid_vr_of(element);
    char scheme[17], told = mode == TELLING ? vt_deid_content_action(element->tag) : 0;

    if (VT_TAG_ELEMENT(element->tag) == 0)
        return true;
    if (element->tag == PRIVATE_CHARACTERISTICS)
        level->blocks.declared = *element;
    if (element->tag == CODING_SCHEME) {
        vt_element_text(element, scheme, sizeof scheme);
        level->private_scheme = strncmp(scheme, "99", 2) == 0;
    }
    if (VT_TAG_GROUP(element->tag) % 2) {
        if (!(p->deid->options & VT_DEID_RETAIN_PRIVATE) || !vt_deid_private_stays(&level->blocks, element, p->encoding))
            return true;
        return act(p, mode == CLEAN && vt_deid_is_text(vr) ? 'C' : 'K', element, vr, mode, depth, err);
    }
    char action = action_of(p, element, vr);
    if (told)
        action = told;
    else if (action == 'K' && mode != PLAIN && goes_with_the_whole(element, vr, level->private_scheme))
        action = mode == CLEAN ? 'C' : 'D';
    return act(p, action, element, vr, mode, depth, err);
}

/* Goes as deep as the sequences do, which DEPTH_MAX bounds. */
static bool pass_items(struct passing *p, const struct vt_element *sequence, enum mode mode, unsigned depth, struct vt_err *err)
{
    struct vt_walk items, walk;
    struct vt_element item, element;
    vt_autofree struct level *level = malloc(sizeof *level);
    bool more, ok = vt_write_sequence_begin(&p->w, sequence->tag, err);

    if (!level)
        return vt_fail(err, VT_E_NOMEM, "no memory for the items of a sequence");
    if (depth == VT_DEID_DEPTH_MAX)
        return vt_fail(err, VT_E_LIMIT, "sequences nested more than %d deep", VT_DEID_DEPTH_MAX);
    vt_walk_items(&items, sequence, p->encoding);
    while (ok && (ok = vt_walk_next(&items, &item, &more, err)) && more) {
        *level = (struct level){ .private_scheme = false };
        enum mode inner = vt_deid_content_tells(p->deid, &item, p->encoding) ? TELLING : mode;
        ok = vt_write_item_begin(&p->w, err);
        vt_walk_item(&walk, &item, p->encoding);
        while (ok && (ok = vt_walk_next(&walk, &element, &more, err)) && more)
            ok = pass_element(p, level, &element, inner, depth + 1, err);
        ok = ok && vt_write_item_end(&p->w, err);
    }
    return ok && vt_write_sequence_end(&p->w, err);
}

/* ---- what every one gets ---- */

static bool put_method(struct passing *p, uint32_t tag, struct vt_err *err)
{
    VT_AUTO_BUF(text, 1024);
    bool ok = vt_buf_append_text(&text, "PS3.15 Annex E, by Vitrine", err);

    for (size_t i = 0; ok && i < VT_COUNT(words); i++)
        if (!words[i].option || (p->deid->options & words[i].option))
            ok = vt_buf_printf(&text, err, "\\%s", words[i].word);
    return ok && vt_write_bytes(&p->w, tag, "LO", text.data, text.size, err);
}

static bool put_codes(struct passing *p, uint32_t tag, struct vt_err *err)
{
    bool ok = vt_write_sequence_begin(&p->w, tag, err);

    for (size_t i = 0; ok && i < VT_COUNT(words); i++)
        if (words[i].code && (!words[i].option || (p->deid->options & words[i].option)))
            ok = vt_write_item_begin(&p->w, err) && vt_write_text(&p->w, CODE_VALUE, "SH", words[i].code, err) &&
                 vt_write_text(&p->w, CODING_SCHEME, "SH", "DCM", err) &&
                 vt_write_text(&p->w, CODE_MEANING, "LO", words[i].meaning, err) && vt_write_item_end(&p->w, err);
    return ok && vt_write_sequence_end(&p->w, err);
}

static bool put_name(struct passing *p, uint32_t tag, struct vt_err *err)
{
    return vt_write_text(&p->w, tag, "PN", p->name, err);
}

static bool put_id(struct passing *p, uint32_t tag, struct vt_err *err)
{
    return vt_write_text(&p->w, tag, "LO", p->id, err);
}

static bool put_yes(struct passing *p, uint32_t tag, struct vt_err *err)
{
    return vt_write_text(&p->w, tag, "CS", "YES", err);
}

static bool put_temporal(struct passing *p, uint32_t tag, struct vt_err *err)
{
    unsigned options = p->deid->options;
    const char *what = options & VT_DEID_RETAIN_DATES ? "UNMODIFIED" : options & VT_DEID_MODIFY_DATES ? "MODIFIED" : "REMOVED";

    return vt_write_text(&p->w, tag, "CS", what, err);
}

static const struct {
    uint32_t tag;
    bool (*put)(struct passing *p, uint32_t tag, struct vt_err *err);
} due[] = {
    { VT_TAG_PATIENT_NAME, put_name }, { VT_TAG_PATIENT_ID, put_id },  { IDENTITY_REMOVED, put_yes },
    { METHOD, put_method },            { METHOD_CODES, put_codes },    { TEMPORAL_MODIFIED, put_temporal },
};

static bool put_due(struct passing *p, size_t *next, uint32_t up_to, struct vt_err *err)
{
    for (; *next < VT_COUNT(due) && due[*next].tag <= up_to; ++*next)
        if (!due[*next].put(p, due[*next].tag, err))
            return false;
    return true;
}

static bool is_due(uint32_t tag)
{
    for (size_t i = 0; i < VT_COUNT(due); i++)
        if (due[i].tag == tag)
            return true;
    return false;
}

/* ---- whose it is ---- */

static bool know_patient(struct passing *p, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct vt_deid *deid = p->deid;
    char text[3 * MODE_TEXT_MAX + 3] = "", part[MODE_TEXT_MAX + 1];
    uint8_t digest[VT_DEID_DIGEST];

    if (text_of(bytes, size, p->encoding, VT_TAG_PATIENT_ID, part, sizeof part))
        snprintf(text, sizeof text, "%s\n", part);
    else if (text_of(bytes, size, p->encoding, VT_TAG_PATIENT_NAME, part, sizeof part))
        snprintf(text, sizeof text, "\n%s", part);
    vt_deid_digest(deid, "patient", text, strlen(text), digest);
    if ((deid->id[0] || deid->name[0]) && deid->seen && memcmp(deid->patient, digest, sizeof digest) != 0)
        return vt_fail(err, VT_E_EXISTS,
                       "several patients match, and --patient-id and --patient-name stand for one: export one, or leave them out");
    deid->seen = true;
    memcpy(deid->patient, digest, sizeof digest);
    p->days = 1 + ((unsigned)digest[0] << 16 | (unsigned)digest[1] << 8 | digest[2]) % SHIFT_DAYS;
    snprintf(p->id, sizeof p->id, "ANON%02X%02X%02X%02X%02X%02X", digest[4], digest[5], digest[6], digest[7], digest[8], digest[9]);
    if (deid->id[0])
        snprintf(p->id, sizeof p->id, "%s", deid->id);
    snprintf(p->name, sizeof p->name, "%s", deid->name[0] ? deid->name : p->id);
    return true;
}

static bool pass_all(struct passing *p, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    vt_autofree struct level *level = calloc(1, sizeof *level);
    struct vt_walk walk;
    struct vt_element element;
    size_t next = 0;
    bool more, ok = level || vt_fail(err, VT_E_NOMEM, "no memory for a data set");

    vt_walk_init(&walk, bytes, size, p->encoding);
    while (ok && (ok = vt_walk_next(&walk, &element, &more, err)) && more)
        ok = put_due(p, &next, element.tag, err) &&
             (is_due(element.tag) || pass_element(p, level, &element, PLAIN, 0, err));
    return ok && put_due(p, &next, UINT32_MAX, err);
}

bool vt_deid_run(struct vt_deid *deid, const uint8_t *bytes, size_t size, enum vt_encoding encoding, struct vt_buf *out,
                 struct vt_err *err)
{
    struct passing p = { .deid = deid, .w = { out, VT_EXPLICIT_LE }, .encoding = encoding };
    const struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;
    char sop_class[VT_UID_MAX + 1];
    size_t start = out->size;

    if (!vt_element_check(bytes, size, encoding, &limits, err))
        return false;
    text_of(bytes, size, encoding, VT_TAG_SOP_CLASS_UID, sop_class, sizeof sop_class);
    p.report = strncmp(sop_class, "1.2.840.10008.5.1.4.1.1.88.", 27) == 0;
    vt_buf_init(&p.black.text, BLACK_MAX);
    bool cleans = (deid->options & CLEANING) != 0;
    bool ok = know_patient(&p, bytes, size, err) &&
              (!cleans || vt_deid_black_collect(deid, &p.black, bytes, size, encoding, err)) && pass_all(&p, bytes, size, err);
    vt_buf_fini(&p.black.text);
    if (!ok)
        out->size = start;
    return ok;
}

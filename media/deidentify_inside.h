/* media/deidentify_inside.h: what the files of de-identification share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "dicom/element.h"
#include "media/deidentify.h"

/* X leave out, Z empty, D dummy, U another UID, K keep, C clean the text, M move the date. In the table also: R keep the sequence, its items follow
 * the table; E empty where Structured Reporting needs the attribute, else leave out. */
struct vt_deid_rule {
    uint32_t tag;
    char action;
    uint16_t keep, clean;   /* options under which it is kept or cleaned instead */
};
const struct vt_deid_rule *vt_deid_rule_find(uint32_t tag);   /* NULL: not in the table */
const struct vt_deid_rule *vt_deid_rule_at(size_t i);         /* NULL behind the last */

enum { VT_DEID_RULES_MAX = 1024, VT_DEID_SECRET_MAX = 128, VT_DEID_WORDS_MAX = 2048, VT_DEID_DEPTH_MAX = 32, VT_DEID_WORD_MIN = 3, VT_DEID_DIGEST = 32, VT_DEID_NAME_MAX = 64 };

struct vt_deid {
    unsigned options;
    char secret[VT_DEID_SECRET_MAX + 1];
    char name[VT_DEID_NAME_MAX + 1], id[VT_DEID_NAME_MAX + 1];   /* given ones; "" a pseudonym */
    bool seen;                                                   /* a patient, with given ones: */
    uint8_t patient[VT_DEID_DIGEST];
    struct evp_md_ctx_st *digest;                                /* OpenSSL's, SHA-256 */
};

/* Words that identify, lower case, one after the other with zeroes. */
struct vt_deid_black {
    struct vt_buf text;
    size_t count;
};
bool vt_deid_black_add(struct vt_deid_black *black, const uint8_t *text, size_t size, struct vt_err *err);
/* Words of all text that goes, at any depth. */
bool vt_deid_black_collect(const struct vt_deid *deid, struct vt_deid_black *black, const uint8_t *bytes, size_t size,
                           enum vt_encoding encoding, struct vt_err *err);

bool vt_deid_is_text(const char *vr);
/* The VR that counts: of the dictionary, when the data set says UN. */
const char *vt_deid_vr_of(const struct vt_element *element);

/* ---- structured content (PS3.15 E.3.4) ---- */

/* Does the content item say of whom, by whom, where or of which order? Then its value does not stay, whatever it is. */
bool vt_deid_content_tells(const struct vt_deid *deid, const struct vt_element *item, enum vt_encoding encoding);
/* What becomes of an element of such an item; 0: what becomes of it elsewhere. */
char vt_deid_content_action(uint32_t tag);

/* SHA-256 of the secret, what it is for, and the text. */
void vt_deid_digest(const struct vt_deid *deid, const char *purpose, const void *text, size_t size,
                    uint8_t out[static VT_DEID_DIGEST]);

/* ---- elements with another value ---- */

bool vt_deid_put_dummy(struct vt_writer *w, const struct vt_deid *deid, const struct vt_element *element, const char *vr,
                       struct vt_err *err);
bool vt_deid_put_uids(struct vt_writer *w, const struct vt_deid *deid, const struct vt_element *element, struct vt_err *err);
/* DA, DT, TM: so many days back; a dummy when it is no date. */
bool vt_deid_put_moved(struct vt_writer *w, const struct vt_deid *deid, const struct vt_element *element, const char *vr,
                       unsigned days, struct vt_err *err);
bool vt_deid_put_cleaned(struct vt_writer *w, const struct vt_deid_black *black, const struct vt_element *element,
                         const char *vr, struct vt_err *err);

/* ---- private blocks (PS3.15 E.3.10, PS3.3 C.12.1.1.7) ---- */

enum { VT_DEID_BLOCKS_MAX = 64 };
/* The creators of one level, as they come by. */
struct vt_deid_blocks {
    struct {
        uint16_t group;
        uint8_t block;
        char creator[65];
    } list[VT_DEID_BLOCKS_MAX];
    size_t count;
    struct vt_element declared;   /* (0008,0300) of the level; value NULL: none */
};
bool vt_deid_private_stays(struct vt_deid_blocks *blocks, const struct vt_element *element, enum vt_encoding encoding);

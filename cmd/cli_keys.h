/* cmd/cli_keys.h: KEY[=VALUE] words of find, get and move turned into identifiers (PS3.4 C.4). Main
 * thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "archive/instance.h"
#include "dicom/uids.h"

struct vt_buf;
struct vt_cli;
struct vt_err;

/* --level; `fallback` when it is not given. */
bool vt_keys_level(const struct vt_cli *cli, enum vt_level fallback, enum vt_level *out,
                   struct vt_err *err);
/* --model; else patient root for the PATIENT level and study root for all others. */
bool vt_keys_model(const struct vt_cli *cli, enum vt_level level, enum vt_model *out,
                   struct vt_err *err);

/* The keys a table of this level shows; "" when it is one of `words` already. NULL behind the last.
 */
const char *vt_keys_usual(enum vt_level level, size_t i);

/* Explicit VR LE, with the level, the usual keys when wanted, and (0008,0005) when a value needs
 * it. VT_E_INVALID: no such keyword. Every key is "Keyword", "Keyword=value", "0010,0010=...",
 * "Sequence[0].Keyword=..." or "Sequence.Keyword=...". */
bool vt_keys_identifier(enum vt_level level, const char *const *words, size_t count, bool usual,
                        const char *charset, struct vt_buf *out, struct vt_err *err);

/* For retrieval: the deepest level of which a word gives the unique key, when all words are unique
 * keys with plain values (no wildcard); false: they must be searched first. */
bool vt_keys_are_unique(const char *const *words, size_t count, enum vt_level *out_level);

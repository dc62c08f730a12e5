/* media/slide_worklist.h: whose slide is it? The node's worklist, asked by the slide's barcode and by its file's name.
 *
 * An entry is the slide's when its Accession Number, Container Identifier or Specimen Identifier is the barcode or the name without suffix, or when its Accession
 * Number begins the barcode or name and something that is no letter or digit follows: "S26-1001" for S26-1001-A1.svs. The longest one counts; when two orders
 * of other patients or accession numbers match equally well, nobody's is taken. */
#pragma once

#include <stdbool.h>

struct vt_err;
struct vt_archive;
struct vt_slide_metadata;

/* Fills what the entry knows. VT_E_NOTFOUND: no entry, or several. */
bool vt_slide_worklist(struct vt_archive *archive, const char *name, const char *barcode, struct vt_slide_metadata *out,
                       struct vt_err *err);

/* How well an identifier of an entry fits: 0 not at all. Pure. */
unsigned vt_slide_worklist_rank(const char *identifier, const char *name, const char *barcode, bool may_begin);

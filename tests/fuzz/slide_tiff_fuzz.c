/* Any bytes as a TIFF file: what the walker gives lies inside the file, and its texts are UTF-8 without controls. */
/* sources: media/slide_tiff.c media/slide_tiff_entry.c media/slide_source.c media/slide_facts.c */
/* sources: core/buf.c core/err.c core/io.c */
/* max-length: 8192 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "media/slide_facts.h"
#include "media/slide_source.h"
#include "media/slide_tiff.h"
#include "tests/fuzz/seeds.h"

/* One page with one tile. */
static const uint8_t classic[] = {
    'I', 'I', 42, 0, 8, 0, 0, 0,
    8, 0,
    0, 1, 4, 0, 1, 0, 0, 0, 32, 0, 0, 0,      1, 1, 4, 0, 1, 0, 0, 0, 32, 0, 0, 0,
    3, 1, 3, 0, 1, 0, 0, 0, 7, 0, 0, 0,       0x0e, 1, 2, 0, 7, 0, 0, 0, 110, 0, 0, 0,
    0x42, 1, 4, 0, 1, 0, 0, 0, 32, 0, 0, 0,   0x43, 1, 4, 0, 1, 0, 0, 0, 32, 0, 0, 0,
    0x44, 1, 4, 0, 1, 0, 0, 0, 110, 0, 0, 0,  0x45, 1, 4, 0, 1, 0, 0, 0, 4, 0, 0, 0,
    0, 0, 0, 0,
    0, 0, 0, 0,
    'A', 'p', 'e', 'r', 'i', 'o', 0, 0,
};

static void vt_fuzz_seeds(const char *directory)
{
    vt_fuzz_seed(directory, "classic", classic, sizeof classic);
}

static void must(bool right)
{
    if (!right)
        abort();
}

static void check_text(const struct vt_slide_source *source, const struct vt_tiff_span *span)
{
    static char text[2048];
    struct vt_err err = { 0 };
    struct vt_slide_facts facts = { 0 };
    enum vt_slide_role role;

    if (!vt_tiff_text(source, span, text, sizeof text, &err))
        return;
    must(strlen(text) < sizeof text);
    for (const char *p = text; *p; p++)
        must((unsigned char)*p >= ' ' || *p == '\n' || *p == '\r');
    vt_slide_facts_aperio(text, &facts);
    vt_slide_role_aperio(text, &role);
    must(facts.mpp_x >= 0 && facts.mpp_x <= 100 && strlen(facts.acquired) < sizeof facts.acquired);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const struct vt_slide_source source = { size, -1, bytes, "input" };
    struct vt_err err = { 0 };

    VT_AUTO(vt_tiff) tiff = vt_tiff_read(&source, &err);
    must((tiff != NULL) == (err.code == VT_OK));
    for (size_t i = 0; tiff && i < tiff->page_count; i++) {
        const struct vt_tiff_page *page = &tiff->pages[i];
        must(page->tile_count == (uint64_t)page->columns * page->rows && page->tile_count > 0);
        for (uint32_t j = 0; j < page->tile_count; j++)
            must(vt_slide_inside(&source, page->tiles[j].offset, page->tiles[j].size));
        must(vt_slide_inside(&source, page->icc.offset, page->icc.size));
        must(vt_slide_inside(&source, page->jpeg_tables.offset, page->jpeg_tables.size));
        check_text(&source, &page->description);
        check_text(&source, &page->make);
    }
    return 0;
}

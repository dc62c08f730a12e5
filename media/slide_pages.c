/* Which page of a TIFF is what: Aperio's order and words, else a pyramid of tiled pages. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "media/slide_facts.h"
#include "media/slide_open.h"
#include "media/slide_tiff.h"

enum {
    APERIO_LABEL = 1, APERIO_MACRO = 9,          /* New Subfile Type */
    UNIT_INCH = 2, UNIT_CENTIMETRE = 3,
    WHOLE_PIXELS_MAX = 16 << 20,                 /* of a label, overview or thumbnail */
};
#define MPP_MIN 0.01
#define MPP_MAX 20.0
#define ASPECT_SLACK 0.05

static bool add_image(struct vt_slide *slide, enum vt_slide_role role,
                      const struct vt_tiff_page *page, struct vt_err *err)
{
    if (slide->image_count == VT_SLIDE_IMAGES_MAX)
        return vt_fail(err, VT_E_LIMIT, "%s has more than %d images", slide->name,
                       VT_SLIDE_IMAGES_MAX);
    bool level = role == VT_SLIDE_LEVEL;
    slide->images[slide->image_count++] = (struct vt_slide_image){
        .role = role,
        .page = page,
        .width = page->width,
        .height = page->height,
        .tile_width = level ? page->tile_width : page->width,
        .tile_height = level ? page->tile_height : page->height,
        .columns = level ? page->columns : 1,
        .rows = level ? page->rows : 1,
        .samples = page->samples == 1 ? 1 : 3,
    };
    slide->level_count += level;
    return true;
}

/* Smaller than the level before it, and of the same shape. */
static bool continues(const struct vt_slide_image *above, const struct vt_tiff_page *page)
{
    if (page->tile_width == 0 || page->width >= above->width || page->height > above->height)
        return false;
    double x = (double)above->width / page->width, y = (double)above->height / page->height;
    /* Small levels are rounded to whole pixels. */
    double slack = ASPECT_SLACK + 1.5 / page->width + 1.5 / page->height;
    return fabs(x / y - 1) < slack;
}

static bool take_levels(struct vt_slide *slide, struct vt_err *err)
{
    const struct vt_tiff *tiff = slide->tiff;

    for (size_t i = 0; i < tiff->page_count; i++) {
        const struct vt_tiff_page *page = &tiff->pages[i];
        bool first = slide->level_count == 0;
        if (page->tile_width == 0 || (!first && !continues(&slide->images[slide->level_count - 1], page)))
            continue;
        if (!add_image(slide, VT_SLIDE_LEVEL, page, err))
            return false;
    }
    if (slide->level_count == 0)
        return vt_fail(err, VT_E_INVALID, "%s is no slide: no page of this TIFF has tiles",
                       slide->name);
    return true;
}

static bool taken(const struct vt_slide *slide, enum vt_slide_role role)
{
    for (size_t i = 0; i < slide->image_count; i++)
        if (slide->images[i].role == role)
            return true;
    return false;
}

/* Pages without tiles: the first behind page 0 is the thumbnail, others say what they are. */
static bool role_of(const struct vt_slide *slide, size_t i, const char *description,
                    enum vt_slide_role *out)
{
    const struct vt_tiff_page *page = &slide->tiff->pages[i];

    if (vt_slide_role_aperio(description, out))
        return true;
    if (page->subfile_type == APERIO_LABEL || page->subfile_type == APERIO_MACRO) {
        *out = page->subfile_type == APERIO_LABEL ? VT_SLIDE_LABEL : VT_SLIDE_OVERVIEW;
        return true;
    }
    *out = VT_SLIDE_THUMBNAIL;
    return i == 1;
}

static bool take_others(struct vt_slide *slide, char *description, struct vt_err *err)
{
    for (size_t i = 1; i < slide->tiff->page_count; i++) {
        const struct vt_tiff_page *page = &slide->tiff->pages[i];
        enum vt_slide_role role;
        if (page->tile_width != 0)
            continue;
        if (!vt_tiff_text(&slide->source, &page->description, description, VT_SLIDE_DESCRIPTION, err))
            return false;
        if (!role_of(slide, i, description, &role) || taken(slide, role))
            continue;
        if ((uint64_t)page->width * page->height > WHOLE_PIXELS_MAX || page->width > UINT16_MAX ||
            page->height > UINT16_MAX)
            return vt_fail(err, VT_E_LIMIT, "%s: its %s has %u x %u pixels", slide->name,
                           vt_slide_role_name(role), page->width, page->height);
        if (!add_image(slide, role, page, err))
            return false;
    }
    return true;
}

/* ---- facts ---- */

static bool text_of(const struct vt_slide *slide, const struct vt_tiff_span *span, char *out,
                    struct vt_err *err)
{
    return vt_tiff_text(&slide->source, span, out, 64, err);
}

static bool take_tiff_facts(struct vt_slide *slide, struct vt_err *err)
{
    const struct vt_tiff_page *page = slide->images[0].page;
    struct vt_slide_facts *facts = &slide->facts;
    double unit = page->resolution_unit == UNIT_CENTIMETRE ? 10000.0
                  : page->resolution_unit == UNIT_INCH     ? 25400.0
                                                           : 0;
    char text[64];

    if (page->resolution_x > 0 && page->resolution_y > 0) {
        facts->mpp_x = unit / page->resolution_x;
        facts->mpp_y = unit / page->resolution_y;
    }
    if (!text_of(slide, &page->make, facts->manufacturer, err) ||
        !text_of(slide, &page->model, facts->model, err) ||
        !text_of(slide, &page->software, facts->software, err) ||
        !text_of(slide, &page->date_time, text, err))
        return false;
    vt_slide_date_tiff(text, facts->acquired);
    return true;
}

static bool settle_mpp(struct vt_slide *slide, const struct vt_slide_options *options,
                       struct vt_err *err)
{
    struct vt_slide_facts *facts = &slide->facts;

    if (options->mpp > 0)
        facts->mpp_x = facts->mpp_y = options->mpp;
    if (facts->mpp_x >= MPP_MIN && facts->mpp_x <= MPP_MAX && facts->mpp_y >= MPP_MIN &&
        facts->mpp_y <= MPP_MAX)
        return true;
    return vt_fail(err, VT_E_INVALID,
                   "%s does not say how large its pixels are: give it with --mpp MICROMETRES",
                   slide->name);
}

/* Sorts of TIFF that mean something else than the plain rules say. */
static const char *vendor_of(const struct vt_slide *slide, const char *description)
{
    if (slide->tiff->pages[0].has_ndpi)
        return "Hamamatsu";
    if (strstr(description, "www.leica-microsystems.com/scn"))
        return "Leica SCN";
    if (strstr(description, "iScan"))
        return "Ventana";
    return NULL;
}

static bool take_facts(struct vt_slide *slide, char *description, struct vt_err *err)
{
    const struct vt_tiff_page *page = slide->images[0].page;

    if (!vt_tiff_text(&slide->source, &page->description, description, VT_SLIDE_DESCRIPTION, err))
        return false;
    if (vt_slide_is_aperio(description)) {
        slide->format = "aperio";
        vt_slide_facts_aperio(description, &slide->facts);
        return true;
    }
    slide->format = "tiff";
    return take_tiff_facts(slide, err);
}

bool vt_slide_take_pages(struct vt_slide *slide, const struct vt_slide_options *options,
                         struct vt_err *err)
{
    vt_autofree char *description = malloc(VT_SLIDE_DESCRIPTION);

    if (!description)
        return vt_fail(err, VT_E_NOMEM, "no memory for a description");
    if (!vt_tiff_text(&slide->source, &slide->tiff->pages[0].description, description,
                      VT_SLIDE_DESCRIPTION, err))
        return false;
    const char *vendor = vendor_of(slide, description);
    if (vendor)
        return vt_fail(err, VT_E_UNSUPPORTED,
                       "%s is a %s slide: OpenSlide (libopenslide0) must be installed to read it",
                       slide->name, vendor);
    if (!take_levels(slide, err) || !take_facts(slide, description, err) ||
        !settle_mpp(slide, options, err))
        return false;
    if (strcmp(slide->format, "aperio") == 0 && !take_others(slide, description, err))
        return false;
    slide->other_pages = slide->tiff->page_count - slide->image_count;
    for (size_t i = 0; i < slide->image_count; i++)
        if (!vt_slide_choose_codec(slide, &slide->images[i], options, err))
            return false;
    return true;
}

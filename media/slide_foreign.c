/* Slides of other vendors, read by OpenSlide where it is installed (libopenslide0): its levels, its label and macro. Pixels are
 * compressed anew, so the instances say DERIVED. The library is opened when it is needed: nothing of ours depends on it. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/uids.h"
#include "media/slide_facts.h"
#include "media/slide_open.h"

enum { FRAME_SIDE = 512, QUALITY = 90, WHOLE_MAX = 16 << 20, LEVELS_MAX = 20 };
#define JPEG_BASELINE "1.2.840.10008.1.2.4.50"

/* What we call of openslide.h 3.4. */
struct library {
    const char *(*detect_vendor)(const char *path);
    void *(*open)(const char *path);
    void (*close)(void *slide);
    const char *(*get_error)(void *slide);
    int32_t (*get_level_count)(void *slide);
    void (*get_level_dimensions)(void *slide, int32_t level, int64_t *width, int64_t *height);
    double (*get_level_downsample)(void *slide, int32_t level);
    void (*read_region)(void *slide, uint32_t *out, int64_t x, int64_t y, int32_t level, int64_t width,
                        int64_t height);
    const char *(*get_property_value)(void *slide, const char *name);
    const char *const *(*get_associated_image_names)(void *slide);
    void (*get_associated_image_dimensions)(void *slide, const char *name, int64_t *width,
                                            int64_t *height);
    void (*read_associated_image)(void *slide, const char *name, uint32_t *out);
};

struct vt_foreign {
    void *slide;
    char associated[VT_SLIDE_IMAGES_MAX][64];   /* name of images[i], "" for levels */
};

static struct library library;
static bool library_ready;
static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void load_library(void)
{
    static const char *const names[] = {
        "detect_vendor", "open", "close", "get_error", "get_level_count", "get_level_dimensions",
        "get_level_downsample", "read_region", "get_property_value", "get_associated_image_names",
        "get_associated_image_dimensions", "read_associated_image",
    };
    void *handle = dlopen("libopenslide.so.0", RTLD_NOW | RTLD_LOCAL);
    char symbol[64];

    _Static_assert(sizeof library == VT_COUNT(names) * sizeof(void *), "a name for each function");
    for (size_t i = 0; handle && i < VT_COUNT(names); i++) {
        snprintf(symbol, sizeof symbol, "openslide_%s", names[i]);
        void *function = dlsym(handle, symbol);
        if (!function)
            return;
        memcpy((char *)&library + i * sizeof function, &function, sizeof function);
    }
    library_ready = handle != NULL;
}

void vt_foreign_free(struct vt_foreign *foreign)
{
    if (!foreign)
        return;
    if (foreign->slide)
        library.close(foreign->slide);
    free(foreign);
}

/* ---- images ---- */

static struct vt_slide_image *add_image(struct vt_slide *slide, enum vt_slide_role role, int64_t width,
                                        int64_t height)
{
    if (slide->image_count == VT_SLIDE_IMAGES_MAX || width < 1 || height < 1 || width > INT32_MAX ||
        height > INT32_MAX)
        return NULL;
    struct vt_slide_image *image = &slide->images[slide->image_count++];
    bool level = role == VT_SLIDE_LEVEL;
    uint32_t side = FRAME_SIDE;

    *image = (struct vt_slide_image){
        .role = role,
        .way = VT_SLIDE_REENCODED,
        .foreign_level = -1,
        .width = (uint32_t)width,
        .height = (uint32_t)height,
        .tile_width = level ? side : (uint32_t)width,
        .tile_height = level ? side : (uint32_t)height,
        .samples = 3,
        .transfer_syntax = JPEG_BASELINE,
        .photometric = "YBR_FULL_422",
        .lossy = true,
        .lossy_method = "ISO_10918_1",
    };
    image->columns = (image->width - 1) / image->tile_width + 1;
    image->rows = (image->height - 1) / image->tile_height + 1;
    return image;
}

static bool add_levels(struct vt_slide *slide, struct vt_err *err)
{
    int32_t count = library.get_level_count(slide->foreign->slide);
    int64_t width, height;

    for (int32_t i = 0; i < count && i < LEVELS_MAX; i++) {
        library.get_level_dimensions(slide->foreign->slide, i, &width, &height);
        struct vt_slide_image *image = add_image(slide, VT_SLIDE_LEVEL, width, height);
        if (!image)
            return vt_fail(err, VT_E_INVALID, "%s: level %d has %lld x %lld pixels", slide->name, i,
                           (long long)width, (long long)height);
        image->foreign_level = i;
        slide->level_count++;
    }
    return slide->level_count > 0 || vt_fail(err, VT_E_INVALID, "%s has no level", slide->name);
}

static void add_associated(struct vt_slide *slide)
{
    static const struct { const char *name; enum vt_slide_role role; } known[] = {
        { "thumbnail", VT_SLIDE_THUMBNAIL }, { "label", VT_SLIDE_LABEL }, { "macro", VT_SLIDE_OVERVIEW },
    };
    const char *const *names = library.get_associated_image_names(slide->foreign->slide);
    int64_t width, height;

    for (; names && *names; names++)
        for (size_t i = 0; i < VT_COUNT(known); i++) {
            if (strcmp(*names, known[i].name) != 0)
                continue;
            library.get_associated_image_dimensions(slide->foreign->slide, *names, &width, &height);
            if (width > 0 && height > 0 && width <= UINT16_MAX && height <= WHOLE_MAX / width &&
                add_image(slide, known[i].role, width, height))
                snprintf(slide->foreign->associated[slide->image_count - 1], 64, "%s", *names);
        }
}

/* ---- facts ---- */

static void take_number(struct vt_slide *slide, const char *name, double *out)
{
    const char *value = library.get_property_value(slide->foreign->slide, name);
    double number;

    if (value && vt_slide_decimal(value, &number) && number > 0)
        *out = number;
}

static void take_text(struct vt_slide *slide, const char *name, char *out)
{
    const char *value = library.get_property_value(slide->foreign->slide, name);

    if (value)
        snprintf(out, VT_SLIDE_TEXT, "%.200s", value);
}

static bool take_facts(struct vt_slide *slide, const struct vt_slide_options *options,
                       struct vt_err *err)
{
    struct vt_slide_facts *facts = &slide->facts;
    char comment[VT_SLIDE_TEXT] = "", date[VT_SLIDE_TEXT] = "";

    take_text(slide, "openslide.comment", comment);
    if (vt_slide_is_aperio(comment)) {
        const char *whole = library.get_property_value(slide->foreign->slide, "openslide.comment");
        vt_slide_facts_aperio(whole, facts);
    }
    take_number(slide, "openslide.mpp-x", &facts->mpp_x);
    take_number(slide, "openslide.mpp-y", &facts->mpp_y);
    take_number(slide, "openslide.objective-power", &facts->objective_power);
    take_text(slide, "tiff.DateTime", date);
    if (!facts->acquired[0])
        vt_slide_date_tiff(date, facts->acquired);
    if (!facts->manufacturer[0])
        take_text(slide, "openslide.vendor", facts->manufacturer);
    if (!facts->model[0])
        take_text(slide, "tiff.Model", facts->model);
    if (options->mpp > 0)
        facts->mpp_x = facts->mpp_y = options->mpp;
    return (facts->mpp_x > 0 && facts->mpp_y > 0) ||
           vt_fail(err, VT_E_INVALID,
                   "%s does not say how large its pixels are: give it with --mpp MICROMETRES",
                   slide->name);
}

bool vt_slide_take_foreign(struct vt_slide *slide, const struct vt_slide_options *options,
                           struct vt_err *err)
{
    static const char *const folders[] = { "mirax", "hamamatsu" };

    pthread_once(&library_once, load_library);
    if (!library_ready)
        return vt_fail(err, VT_E_UNSUPPORTED,
                       "%s: slides of this sort need OpenSlide: install libopenslide0", slide->name);
    const char *vendor = library.detect_vendor(slide->path);
    if (!vendor)
        return vt_fail(err, VT_E_UNSUPPORTED, "%s is no slide that OpenSlide knows", slide->name);
    if (!slide->foreign)
        slide->foreign = calloc(1, sizeof *slide->foreign);
    if (!slide->foreign)
        return vt_fail(err, VT_E_NOMEM, "no memory for a slide");
    for (size_t i = 0; i < slide->image_count; i++)
        free(slide->images[i].prefix);
    slide->image_count = slide->level_count = slide->other_pages = 0;
    slide->foreign->slide = library.open(slide->path);
    if (!slide->foreign->slide || library.get_error(slide->foreign->slide))
        return vt_fail(err, VT_E_INVALID, "%s: %.150s", slide->name,
                       slide->foreign->slide ? library.get_error(slide->foreign->slide)
                                             : "OpenSlide cannot open it");
    slide->format = vendor;
    for (size_t i = 0; i < VT_COUNT(folders); i++)
        slide->sidecar_files = slide->sidecar_files || strcmp(vendor, folders[i]) == 0;
    if (!add_levels(slide, err) || !take_facts(slide, options, err))
        return false;
    add_associated(slide);
    return true;
}

/* ---- frames ---- */

/* Premultiplied ARGB over white. */
static void to_rgb(const uint32_t *from, size_t pixels, uint8_t *out)
{
    for (size_t i = 0; i < pixels; i++) {
        uint32_t rest = 255 - (from[i] >> 24);
        for (int shift = 16; shift >= 0; shift -= 8) {
            uint32_t value = (from[i] >> shift & 255) + rest;
            *out++ = (uint8_t)(value > 255 ? 255 : value);
        }
    }
}

bool vt_foreign_frame(struct vt_slide *slide, const struct vt_slide_image *image, uint32_t i,
                      struct vt_buf *out, struct vt_err *err)
{
    struct vt_foreign *foreign = slide->foreign;
    size_t pixels = (size_t)image->tile_width * image->tile_height;
    vt_autofree uint32_t *raw = malloc(pixels * 4);
    vt_autofree uint8_t *rgb = malloc(pixels * 3);
    const struct vt_jpeg_wanted wanted = { .width = image->tile_width,
                                           .height = image->tile_height,
                                           .colours = VT_JPEG_YCBCR,
                                           .quality = QUALITY };

    if (!raw || !rgb)
        return vt_fail(err, VT_E_NOMEM, "no memory for a tile");
    if (image->foreign_level < 0) {
        library.read_associated_image(foreign->slide, foreign->associated[image - slide->images], raw);
    } else {
        /* Places are told in pixels of the first level. */
        double scale = library.get_level_downsample(foreign->slide, image->foreign_level);
        library.read_region(foreign->slide, raw,
                            (int64_t)((double)(i % image->columns * image->tile_width) * scale),
                            (int64_t)((double)(i / image->columns * image->tile_height) * scale),
                            image->foreign_level, image->tile_width, image->tile_height);
    }
    const char *error = library.get_error(foreign->slide);
    if (error)
        return vt_fail(err, VT_E_INVALID, "%s: %.150s", slide->name, error);
    to_rgb(raw, pixels, rgb);
    return vt_jpeg_encode(rgb, &wanted, out, err);
}

/* vitrine slide info, convert, restore, and `vitrine import`, whose paths in options become absolute here. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "cmd/cli.h"
#include "cmd/progress.h"
#include "cmd/table.h"
#include "core/err.h"
#include "dicom/tags.h"
#include "media/import.h"
#include "media/slide_beside.h"
#include "media/slide_folder.h"

/* ---- shared ---- */

static bool on_progress(void *context, uint64_t done, uint64_t total)
{
    vt_progress_show(context, done, total, "bytes", done);
    return !vt_cli_interrupted();
}

/* As the table of imports reads them. */
static bool read_slide_options(const struct vt_cli *cli, struct vt_slide_options *out_reading,
                               struct vt_slide_plan_options *out_plan, struct vt_err *err)
{
    json_t *options = vt_cli_options_json(cli);
    bool ok = options ? vt_import_slide_options(options, out_reading, out_plan, err)
                      : vt_fail(err, VT_E_NOMEM, "no memory for options");

    json_decref(options);
    return ok;
}

static int status_of(bool done, const struct vt_err *err)
{
    return done ? VT_EXIT_DONE : err->code == VT_E_INVALID && !strncmp(err->text, "--", 2) ? VT_EXIT_USAGE
                                                                                        : VT_EXIT_FAILED;
}

static void show(const struct vt_cli *cli, json_t *row)
{
    const struct vt_table_options layout = { .out = cli->out,
                                             .json = cli->options->json,
                                             .layout = VT_LAYOUT_RECORD };
    VT_AUTO(vt_table) table = vt_table_new(&layout);

    if (table && row)
        vt_table_row(table, row);
}

/* ---- info ---- */

static const char *way_name(enum vt_slide_way way)
{
    static const char *const names[] = { "unchanged", "decoded", "compressed again" };

    return names[way];
}

static json_t *image_row(const struct vt_slide_image *image)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(image->transfer_syntax);

    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:s, s:s, s:s, s:i}", "image",
                     vt_slide_role_name(image->role), "width", (int)image->width, "height",
                     (int)image->height, "tile_width", (int)image->tile_width, "tile_height",
                     (int)image->tile_height, "frames", (int)vt_slide_frame_count(image), "photometric",
                     image->photometric, "transfer_syntax", syntax ? syntax->name : "", "tiles",
                     way_name(image->way), "without_bytes", (int)image->holes);
}

static json_t *facts_row(const struct vt_slide *slide)
{
    const struct vt_slide_facts *facts = &slide->facts;

    return json_pack("{s:s%, s:s, s:I, s:f, s:f, s:f, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:b}", "file",
                     slide->path, strlen(slide->path), "format", slide->format, "bytes",
                     (json_int_t)slide->source.size, "mpp_x", facts->mpp_x, "mpp_y", facts->mpp_y,
                     "objective_power", facts->objective_power, "acquired", facts->acquired,
                     "manufacturer", facts->manufacturer, "model", facts->model, "serial",
                     facts->serial, "software", facts->software, "title", facts->title, "barcode",
                     facts->barcode, "levels", (int)slide->level_count, "icc_profile",
                     slide->icc != NULL);
}

int vt_cli_slide_info(struct vt_cli *cli, struct vt_err *err)
{
    struct vt_slide_options reading;
    struct vt_slide_plan_options plan;

    if (!read_slide_options(cli, &reading, &plan, err))
        return VT_EXIT_USAGE;
    VT_AUTO(vt_slide) slide = vt_slide_open(cli->args[0], &reading, err);
    if (!slide)
        return VT_EXIT_FAILED;
    json_t *facts = facts_row(slide), *images = json_array();
    for (size_t i = 0; i < slide->image_count; i++)
        json_array_append_new(images, image_row(&slide->images[i]));
    if (cli->options->json) {
        json_object_set(facts, "images", images);
        show(cli, facts);
    } else {
        const struct vt_table_options layout = { .out = cli->out, .layout = VT_LAYOUT_TABLE };
        show(cli, facts);
        VT_AUTO(vt_table) table = vt_table_new(&layout);
        for (size_t i = 0; table && i < json_array_size(images); i++)
            vt_table_row(table, json_array_get(images, i));
    }
    json_decref(images);
    json_decref(facts);
    return VT_EXIT_DONE;
}

/* ---- convert ---- */

static void tell_converted(const struct vt_cli *cli, const struct vt_slide_result *result,
                           const char *folder)
{
    if (cli->options->json) {
        json_t *row = json_pack("{s:s%, s:s, s:s, s:i, s:i, s:I, s:b, s:s, s:i, s:b}", "folder", folder,
                                strlen(folder), "StudyInstanceUID", result->study_uid, "SeriesInstanceUID",
                                result->series_uid, "levels", (int)result->levels, "instances",
                                (int)result->instances, "bytes", (json_int_t)result->bytes, "verified",
                                result->verified, "sha256", result->sha256, "filled",
                                (int)result->filled, "compressed_again", result->reencoded);
        show(cli, row);
        json_decref(row);
        return;
    }
    fprintf(cli->out, "%u instances in %s%s\n", result->instances, folder,
            result->verified ? "; the original can be rebuilt from them (checked)"
                             : "; the original cannot be rebuilt from them");
    if (result->filled > 0)
        fprintf(cli->out, "%u tiles had no bytes and are white\n", result->filled);
}

static bool convert_into(struct vt_cli *cli, struct vt_slide *slide, const char *folder_path,
                         struct vt_slide_convert_options *options, struct vt_slide_result *out, struct vt_err *err)
{
    VT_AUTO(vt_slide_folder) folder = vt_slide_folder_new(folder_path, err);
    struct vt_slide_beside beside;
    struct vt_progress bar;

    if (!folder)
        return false;
    const struct vt_slide_target target = vt_slide_folder_target(folder);
    if (vt_cli_value(cli, "--dual"))
        vt_slide_folder_dual(folder, &slide->facts);
    options->beside = &beside;
    options->context = &bar;
    vt_progress_init(&bar, cli->options->json);
    bool done = vt_slide_beside_read(cli->args[0], &beside, err) &&
                vt_slide_convert(slide, options, &target, out, err);
    vt_progress_clear(&bar);
    if (done && beside.note[0] && !cli->options->json)
        fprintf(cli->out, "%s\n", beside.note);
    vt_slide_beside_fini(&beside);
    return done;
}

static bool convert(struct vt_cli *cli, const char *folder_path, struct vt_slide_result *out,
                    struct vt_err *err)
{
    const char *metadata_path = vt_cli_value(cli, "--metadata");
    struct vt_slide_metadata metadata = { 0 };
    struct vt_slide_convert_options options = { .progress = on_progress };
    struct vt_slide_options reading;

    if (!read_slide_options(cli, &reading, &options.plan, err))
        return false;
    VT_AUTO(vt_slide) slide = vt_slide_open(cli->args[0], &reading, err);
    if (!slide || (metadata_path && !vt_slide_metadata_read(&metadata, metadata_path, slide->name,
                                                            slide->facts.barcode, err)))
        return false;
    options.plan.metadata = &metadata;
    return convert_into(cli, slide, folder_path, &options, out, err);
}

int vt_cli_slide_convert(struct vt_cli *cli, struct vt_err *err)
{
    const char *folder = vt_cli_value(cli, "--output");
    struct vt_slide_result result;

    if (!folder) {
        vt_fail(err, VT_E_INVALID, "name the folder to write to: -o DIR");
        return VT_EXIT_USAGE;
    }
    if (!vt_dict_load(err) || !convert(cli, folder, &result, err))
        return status_of(false, err);
    tell_converted(cli, &result, folder);
    return VT_EXIT_DONE;
}

/* ---- restore ---- */

static bool absolute(const char *path, char out[static PATH_MAX], struct vt_err *err)
{
    char folder[PATH_MAX];
    int size = path[0] == '/' || !getcwd(folder, sizeof folder)
                   ? snprintf(out, PATH_MAX, "%s", path)
                   : snprintf(out, PATH_MAX, "%s/%s", folder, path);

    return size < PATH_MAX || vt_fail(err, VT_E_INVALID, "'%.60s...' is too long for a path", path);
}

/* Puts an absolute path in the place of an option's value. */
static bool make_absolute(struct vt_cli *cli, const char *name, char room[static PATH_MAX],
                          struct vt_err *err)
{
    for (size_t i = 0; i < VT_CLI_OPTIONS && cli->command->options[i].name; i++)
        if (strcmp(cli->command->options[i].name, name) == 0 && cli->values[i]) {
            if (!absolute(cli->values[i], room, err))
                return false;
            cli->values[i] = room;
        }
    return true;
}

/* What lay beside the slide, beside the file. */
static bool restore_beside(const struct vt_slide_folder *scanned, const struct vt_slide_finder *finder, const char *output,
                           struct vt_err *err)
{
    struct vt_slide_part part = { .fd = -1 };
    char path[PATH_MAX];
    bool there;

    if (!vt_slide_folder_beside(scanned))
        return true;
    if (!finder->open(finder->context, vt_slide_folder_beside(scanned), &part, err))
        return false;
    bool done = vt_slide_beside_save(&part, output, path, &there, err);
    vt_slide_part_close(&part);
    return done;
}

static bool restore_folder(struct vt_cli *cli, const char *output, struct vt_err *err)
{
    struct vt_slide_part raw = { .fd = -1 };
    struct vt_progress bar;
    VT_AUTO(vt_slide_folder) folder = vt_slide_folder_new(cli->args[0], err);

    if (!folder || !vt_slide_folder_scan(folder, err))
        return false;
    const struct vt_slide_finder finder = vt_slide_folder_finder(folder);
    if (!finder.open(finder.context, vt_slide_folder_raw(folder), &raw, err))
        return false;
    VT_AUTO(vt_slide_original) original = vt_slide_original_open(&raw, &finder, err);
    if (!original)
        return false;
    vt_progress_init(&bar, cli->options->json);
    bool done = vt_slide_original_save(original, output, on_progress, &bar, err) &&
                restore_beside(folder, &finder, output, err);
    vt_progress_clear(&bar);
    if (done && cli->options->json)
        fprintf(cli->out, "{\"file\":\"%s\",\"bytes\":%llu}\n", output,
                (unsigned long long)vt_slide_original_size(original));
    else if (done)
        fprintf(cli->out, "%s: %s as it was, SHA-256 equal\n", output, vt_slide_original_name(original));
    return done;
}

int vt_cli_slide_restore(struct vt_cli *cli, struct vt_err *err)
{
    const char *output = vt_cli_value(cli, "--output");
    char path[PATH_MAX];
    struct stat status;

    if (!output) {
        vt_fail(err, VT_E_INVALID, "name the file to write: -o FILE");
        return VT_EXIT_USAGE;
    }
    if (cli->arg_count == 1 && stat(cli->args[0], &status) == 0 && S_ISDIR(status.st_mode))
        return restore_folder(cli, output, err) ? VT_EXIT_DONE : VT_EXIT_FAILED;
    if (!make_absolute(cli, "--output", path, err))
        return VT_EXIT_USAGE;
    return vt_cli_archive(cli, err);
}

int vt_cli_export(struct vt_cli *cli, struct vt_err *err)
{
    char path[PATH_MAX], viewer[PATH_MAX];

    if (!vt_cli_value(cli, "--output") && !vt_cli_value(cli, "--burn")) {
        vt_fail(err, VT_E_INVALID, "name what to write: -o FOLDER, FILE.iso or FILE.zip, or --burn BURNER");
        return VT_EXIT_USAGE;
    }
    return make_absolute(cli, "--output", path, err) && make_absolute(cli, "--viewer", viewer, err) ? vt_cli_archive(cli, err)
                                                                                                   : VT_EXIT_USAGE;
}

int vt_cli_import(struct vt_cli *cli, struct vt_err *err)
{
    struct vt_slide_options reading;
    struct vt_slide_plan_options plan;
    char path[PATH_MAX];

    if (!read_slide_options(cli, &reading, &plan, err) || !make_absolute(cli, "--metadata", path, err))
        return VT_EXIT_USAGE;
    return vt_cli_archive(cli, err);
}

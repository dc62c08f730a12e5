#include "media/export.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <jansson.h>

#include "archive/archive.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/dataset.h"
#include "dicom/element.h"
#include "dicom/header.h"
#include "dicom/transcode.h"
#include "media/directory.h"
#include "media/fileset.h"
#include "media/medium.h"

enum {
    BLOCK = 1 << 20,
    SECTOR = 2048,
    MEDIUM_OVERHEAD = 512 << 10,   /* what a medium needs beside its files */
    RECORD_OVERHEAD = 3072,        /* of each instance: its records, its line of checksums, its folders */
    SYNTAXES_MAX = 4,
    META_MAX = 4096,
};

#define ISO_FILE_MAX (UINT64_C(0xffffffff) - SECTOR)

static const struct profile {
    const char *name;
    const char *syntaxes[SYNTAXES_MAX];   /* the first is what others are transcoded to */
} profiles[] = {
    { "STD-GEN-CD", { VT_UID_EXPLICIT_LE } },
    { "STD-GEN-DVD-RAM", { VT_UID_EXPLICIT_LE } },
    { "STD-GEN-DVD-JPEG", { VT_UID_EXPLICIT_LE, "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51" } },
    { "STD-GEN-DVD-J2K", { VT_UID_EXPLICIT_LE, "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91" } },
    { "STD-GEN-USB-JPEG", { VT_UID_EXPLICIT_LE, "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51" } },
    { "STD-GEN-USB-J2K", { VT_UID_EXPLICIT_LE, "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91" } },
};

const char *vt_export_profile_at(size_t i)
{
    return i < VT_COUNT(profiles) ? profiles[i].name : NULL;
}

struct exporting {
    const struct vt_export_call *call;
    const struct profile *profile;
    enum vt_medium_form form;
    struct vt_medium *media[VT_EXPORT_MEDIA_MAX];
    uint64_t counts[VT_EXPORT_MEDIA_MAX];   /* instances of each */
    size_t media_count;
    struct vt_directory *directory;         /* of the last medium */
    uint64_t used;                          /* bytes of the last medium */
    struct vt_header *header;
    struct vt_transcoded other;
    uint8_t *block;
    struct vt_export_result result;
};

/* ---- a medium ---- */

static const char readme[] =
    "This medium holds medical images as a DICOM file-set.\r\n"
    "The file DICOMDIR names them; open it with a DICOM viewer.\r\n"
    "SHA256.TXT has a checksum of every file.\r\n";

/* "/out/ct.iso" becomes "/out/ct-2.iso"; number 0: as it is. */
static bool name_medium(const struct exporting *exporting, size_t number, char out[static PATH_MAX], struct vt_err *err)
{
    const char *output = exporting->call->output;
    size_t stem = strlen(output) - (exporting->form == VT_MEDIUM_FOLDER ? 0 : 4);
    int length = number ? snprintf(out, PATH_MAX, "%.*s-%zu%s", (int)stem, output, number, output + stem)
                        : snprintf(out, PATH_MAX, "%s", output);

    return length < PATH_MAX || vt_fail(err, VT_E_INVALID, "'%.60s...' is too long for a path", output);
}

static bool open_medium(struct exporting *exporting, struct vt_err *err)
{
    char name[PATH_MAX];

    if (exporting->media_count == VT_EXPORT_MEDIA_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d media", VT_EXPORT_MEDIA_MAX);
    if (!name_medium(exporting, exporting->media_count + 1, name, err))
        return false;
    if (!(exporting->directory = vt_directory_new()))
        return vt_fail(err, VT_E_NOMEM, "no memory for a DICOMDIR");
    struct vt_medium *medium = vt_medium_new(name, exporting->form, err);
    if (!medium)
        return false;
    exporting->media[exporting->media_count++] = medium;
    exporting->used = MEDIUM_OVERHEAD;
    return vt_medium_put(medium, "README.TXT", readme, sizeof readme - 1, err);
}

static bool close_medium(struct exporting *exporting, struct vt_err *err)
{
    VT_AUTO_BUF(directory, VT_DIRECTORY_BYTES_MAX);
    VT_AUTO_BUF(sums, VT_DIRECTORY_BYTES_MAX);
    struct vt_medium *medium = exporting->media_count ? exporting->media[exporting->media_count - 1] : NULL;

    if (!medium || !exporting->directory)
        return true;
    bool ok = vt_directory_write(exporting->directory, &directory, err);
    VT_AUTO(vt_fileset) again = ok ? vt_fileset_read(directory.data, directory.size, err) : NULL;
    if (again && again->count != exporting->counts[exporting->media_count - 1])
        return vt_fail(err, VT_E_INTERNAL, "the DICOMDIR names %zu files instead of %llu", again->count,
                       (unsigned long long)exporting->counts[exporting->media_count - 1]);
    ok = again && vt_medium_put(medium, "DICOMDIR", directory.data, directory.size, err) &&
         vt_medium_sums(medium, &sums, err) && vt_medium_put(medium, "SHA256.TXT", sums.data, sums.size, err) &&
         vt_medium_close(medium, err);
    vt_directory_free(exporting->directory);
    exporting->directory = NULL;
    return ok;
}

static bool make_room(struct exporting *exporting, uint64_t size, struct vt_err *err)
{
    uint64_t need = (size + SECTOR - 1) / SECTOR * SECTOR + RECORD_OVERHEAD, capacity = exporting->call->capacity;

    if (capacity && exporting->directory && exporting->used + need > capacity && !close_medium(exporting, err))
        return false;
    if (!exporting->directory && !open_medium(exporting, err))
        return false;
    exporting->used += need;
    return true;
}

/* ---- an instance ---- */

/* What goes out of it: a part of a file, or bytes. */
struct source {
    int fd;                  /* -1: bytes */
    const uint8_t *bytes;
    uint64_t offset, size;
    const char *transfer_syntax;
};

static bool each_block(struct exporting *exporting, const struct source *source,
                       bool (*take)(void *context, const uint8_t *bytes, size_t size, struct vt_err *err), void *context,
                       struct vt_err *err)
{
    for (uint64_t done = 0; done < source->size;) {
        size_t size = source->size - done < BLOCK ? (size_t)(source->size - done) : BLOCK;
        const uint8_t *bytes = source->fd < 0 ? source->bytes + done : exporting->block;
        if (source->fd >= 0 && !vt_io_pread(source->fd, exporting->block, size, source->offset + done, "an instance", err))
            return false;
        if (!take(context, bytes, size, err))
            return false;
        done += size;
    }
    return true;
}

static bool feed(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    return vt_header_feed(context, bytes, size, err);
}

static bool put(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    return vt_medium_write(context, bytes, size, err);
}

static bool choose(struct exporting *exporting, const struct vt_stored *stored, struct source *out, struct vt_err *err)
{
    const struct profile *profile = exporting->profile;
    const struct vt_transcode what = {
        .fd = stored->fd,
        .offset = stored->data_set_offset,
        .size = stored->data_set_size,
        .from = stored->entry.transfer_syntax,
        .to = profile->syntaxes[0],
    };

    *out = (struct source){ stored->fd, NULL, stored->data_set_offset, stored->data_set_size, stored->entry.transfer_syntax };
    for (size_t i = 0; i < SYNTAXES_MAX && profile->syntaxes[i]; i++)
        if (strcmp(profile->syntaxes[i], stored->entry.transfer_syntax) == 0)
            return true;
    if (!vt_transcode_rank(what.from, what.to, false))
        return vt_fail(err, VT_E_UNSUPPORTED, "%s does not allow transfer syntax %s, and it cannot be transcoded", profile->name,
                       what.from);
    if (!vt_transcode(&what, &exporting->other, err))
        return false;
    bool file = exporting->other.fd >= 0;
    *out = (struct source){ file ? exporting->other.fd : -1, exporting->other.bytes.data, 0,
                            file ? exporting->other.size : exporting->other.bytes.size, what.to };
    exporting->result.transcoded++;
    return true;
}

static bool read_header(struct exporting *exporting, const struct source *source, struct vt_err *err)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(source->transfer_syntax);
    const struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;

    vt_header_reset(exporting->header, syntax ? syntax->encoding : VT_EXPLICIT_LE, syntax && syntax->encapsulated, &limits);
    return each_block(exporting, source, feed, exporting->header, err) && vt_header_finish(exporting->header, err);
}

/* *out_fatal: the medium failed, not the instance. */
static bool write_instance(struct exporting *exporting, const struct source *source, const struct vt_index_entry *entry,
                           bool *out_fatal, struct vt_err *err)
{
    const struct vt_file_meta meta = { entry->sop_class, entry->sop_uid, source->transfer_syntax, NULL };
    const struct vt_directory_entry record = { exporting->header, entry->sop_class, entry->sop_uid, source->transfer_syntax };
    char path[VT_DIRECTORY_ID_MAX];
    VT_AUTO_BUF(head, META_MAX);

    if (!vt_write_file_meta(&head, &meta, err))
        return false;
    uint64_t size = head.size + source->size, capacity = exporting->call->capacity;
    if (capacity && size + MEDIUM_OVERHEAD + RECORD_OVERHEAD + SECTOR > capacity)
        return vt_fail(err, VT_E_LIMIT, "it does not fit on one medium");
    if (exporting->form == VT_MEDIUM_ISO && size > ISO_FILE_MAX)
        return vt_fail(err, VT_E_LIMIT, "a file of an ISO 9660 image has less than 4 GiB");
    if (!make_room(exporting, size, err)) {
        *out_fatal = true;
        return false;
    }
    if (!vt_directory_add(exporting->directory, &record, path, err)) {
        *out_fatal = err->code != VT_E_UNSUPPORTED;
        return false;
    }
    *out_fatal = true;
    struct vt_medium *medium = exporting->media[exporting->media_count - 1];
    if (!vt_medium_begin(medium, path, size, err) || !vt_medium_write(medium, head.data, head.size, err) ||
        !each_block(exporting, source, put, medium, err) || !vt_medium_end(medium, err))
        return false;
    exporting->counts[exporting->media_count - 1]++;
    exporting->result.instances++;
    exporting->result.bytes += size;
    return true;
}

static bool take_instance(struct exporting *exporting, const struct vt_index_entry *entry, bool *out_fatal,
                          struct vt_err *err)
{
    struct vt_stored stored;
    struct source source;

    if (!vt_archive_open_instance(exporting->call->archive, entry, &stored, err))
        return false;
    bool ok = (!stored.corrected || vt_archive_outgoing(exporting->call->archive, &stored, err)) &&
              choose(exporting, &stored, &source, err) && read_header(exporting, &source, err) &&
              write_instance(exporting, &source, &stored.entry, out_fatal, err);
    vt_stored_close(&stored);
    return ok;
}

static bool told_failed(struct exporting *exporting, const struct vt_index_entry *entry, const struct vt_err *why,
                        struct vt_err *err)
{
    json_t *row = json_pack("{s:s, s:s, s:s}", "result", "failed", "sop_instance_uid", entry->sop_uid, "text", why->text);
    bool more = !row || exporting->call->row(exporting->call->context, row);

    json_decref(row);
    exporting->result.failed++;
    return more || vt_fail(err, VT_E_CANCELLED, "stopped");
}

static bool write_all(struct exporting *exporting, struct vt_cursor *cursor, struct vt_err *err)
{
    const struct vt_export_call *call = exporting->call;
    struct vt_index_entry entry;
    bool more, ok;

    while ((ok = vt_cursor_select_next(cursor, &entry, &more, err)) && more) {
        struct vt_err why = { 0 };
        bool fatal = false;
        if (!take_instance(exporting, &entry, &fatal, &why)) {
            if (fatal || why.code == VT_E_NOMEM) {
                *err = why;
                return false;
            }
            if (!told_failed(exporting, &entry, &why, err))
                return false;
        }
        if (call->progress && !call->progress(call->context, exporting->result.instances, 0, "instances"))
            return vt_fail(err, VT_E_CANCELLED, "the export was stopped");
    }
    return ok && close_medium(exporting, err);
}

/* ---- the export ---- */

static bool publish(struct exporting *exporting, struct vt_err *err)
{
    bool several = exporting->media_count > 1;
    char name[PATH_MAX];

    for (size_t i = 0; i < exporting->media_count; i++) {
        if (!name_medium(exporting, several ? i + 1 : 0, name, err) || !vt_medium_publish(exporting->media[i], name, err))
            return false;
        json_t *row = json_pack("{s:s, s:s%, s:I}", "result", "written", "medium", name, strlen(name), "instances",
                                (json_int_t)exporting->counts[i]);
        if (row)
            exporting->call->row(exporting->call->context, row);
        json_decref(row);
        exporting->result.media++;
    }
    return true;
}

static bool run(struct exporting *exporting, struct vt_err *err)
{
    const struct vt_export_call *call = exporting->call;
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE };
    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_IMAGE, call->words, call->word_count, &rules, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    VT_AUTO(vt_cursor) cursor = plan ? vt_index_select(vt_archive_index(call->archive), plan, err) : NULL;

    if (!cursor || !write_all(exporting, cursor, err))
        return false;
    if (exporting->result.instances == 0)
        return exporting->result.failed > 0 ||
               vt_fail(err, VT_E_NOTFOUND, "nothing matches: nothing was written");
    return publish(exporting, err);
}

static bool check(struct exporting *exporting, struct vt_err *err)
{
    const struct vt_export_call *call = exporting->call;
    const char *name = call->profile ? call->profile : profiles[0].name;

    if (!call->output || call->output[0] != '/' || strlen(strrchr(call->output, '/')) < 2)
        return vt_fail(err, VT_E_INVALID, "name what to write: -o FOLDER, FILE.iso or FILE.zip");
    if (call->capacity && call->capacity < VT_EXPORT_CAPACITY_MIN)
        return vt_fail(err, VT_E_INVALID, "--capacity is %d bytes at least", VT_EXPORT_CAPACITY_MIN);
    for (size_t i = 0; i < VT_COUNT(profiles); i++)
        if (strcasecmp(profiles[i].name, name) == 0)
            exporting->profile = &profiles[i];
    if (!exporting->profile)
        return vt_fail(err, VT_E_INVALID, "'%.40s' is no profile that is written here: STD-GEN-CD, STD-GEN-USB-JPEG ...", name);
    if (access(call->output, F_OK) == 0)
        return vt_fail(err, VT_E_EXISTS, "%s is there already", call->output);
    exporting->form = vt_medium_form_of(call->output);
    return true;
}

bool vt_export(const struct vt_export_call *call, struct vt_export_result *out, struct vt_err *err)
{
    vt_autofree struct exporting *exporting = calloc(1, sizeof *exporting);
    vt_autofree uint8_t *block = malloc(BLOCK);
    VT_AUTO(vt_header) header = vt_header_new();

    if (!exporting || !block || !header)
        return vt_fail(err, VT_E_NOMEM, "no memory for an export");
    exporting->call = call;
    exporting->block = block;
    exporting->header = header;
    vt_transcoded_init(&exporting->other);
    bool ok = check(exporting, err) && run(exporting, err);
    for (size_t i = 0; i < exporting->media_count; i++)
        vt_medium_free(exporting->media[i]);
    vt_directory_free(exporting->directory);
    vt_transcoded_fini(&exporting->other);
    *out = exporting->result;
    return ok;
}

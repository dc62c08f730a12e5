/* Receiving one instance after another: bytes pass through the header's state machine into a
 * buffer, and from there to a staging file when they are many. What becomes of them is decided at
 * the end (receive_commit.c). */
#include "archive/receive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/io.h"

enum { BUFFER_ALIGNMENT = 4096 };

struct vt_receive *vt_receive_new(struct vt_archive *archive, struct vt_err *err)
{
    VT_AUTO(vt_receive) receive = calloc(1, sizeof *receive);

    if (receive) {
        receive->archive = archive;
        receive->fd = -1;
        sem_init(&receive->concluded, 0, 0);
        vt_instance_init(&receive->instance);
        vt_buf_init(&receive->record, VT_RECORD_HEAD_MAX);
        vt_buf_init(&receive->meta, VT_RECEIVE_META_MAX);
        receive->header = vt_header_new();
    }
    if (!receive || !receive->header) {
        vt_fail_dimse(err, VT_E_NOMEM, 0xA704, "no memory to receive");
        return NULL;
    }
    return vt_take(&receive);
}

void vt_receive_free(struct vt_receive *receive)
{
    if (!receive)
        return;
    vt_receive_wait(receive);
    vt_receive_abandon(receive);
    sem_destroy(&receive->concluded);
    free(receive->small);
    vt_header_free(receive->header);
    vt_instance_fini(&receive->instance);
    vt_buf_fini(&receive->record);
    vt_buf_fini(&receive->meta);
    free(receive);
}

void vt_receive_text(const struct vt_receive *receive, uint32_t tag, char *out, size_t room)
{
    vt_header_text(receive->header, tag, out, room);
}

void vt_receive_abandon(struct vt_receive *receive)
{
    char name[VT_STAGING_NAME];

    if (receive->fd >= 0)
        close(receive->fd);
    receive->fd = -1;
    if (receive->staging != 0) {
        vt_staging_name(receive->staging, name);
        unlinkat(receive->archive->staging, name, 0);
    }
    receive->staging = 0;
    vt_pool_give(receive->archive->pool, receive->block);
    receive->block = NULL;
    receive->used = 0;
    receive->phase = VT_RECEIVE_IDLE;
}

void vt_receive_rest(struct vt_receive *receive)
{
    if (receive->phase != VT_RECEIVE_IDLE)
        return;
    free(receive->small);
    receive->small = NULL;
    vt_buf_fini(&receive->record);
    vt_header_free(receive->header);
    receive->header = NULL;
    vt_instance_fini(&receive->instance);
    vt_instance_init(&receive->instance);
}

/* ---- begin ---- */

static void copy_text(char *out, size_t room, const char *text)
{
    size_t length = text ? strnlen(text, room - 1) : 0;

    memcpy(out, text ? text : "", length);
    out[length] = '\0';
}

static bool get_memory(struct vt_receive *receive, struct vt_err *err)
{
    void *small = receive->small;

    if (!receive->header)
        receive->header = vt_header_new();
    if (!small &&
        posix_memalign(&small, BUFFER_ALIGNMENT, receive->archive->options.small_object) != 0)
        small = NULL;
    receive->small = small;
    return (receive->header && small) ||
           vt_fail_dimse(err, VT_E_NOMEM, 0xA704, "no memory to receive");
}

/* Our group 0002 for the UIDs that are known now. */
static bool make_meta(struct vt_receive *receive, const char *sop_class, const char *sop_uid,
                      struct vt_err *err)
{
    struct vt_file_meta meta = { sop_class, sop_uid, receive->transfer_syntax,
                                 receive->instance.calling_ae_title[0]
                                     ? receive->instance.calling_ae_title
                                     : NULL };

    vt_buf_reset(&receive->meta);
    return vt_write_file_meta(&receive->meta, &meta, err);
}

bool vt_receive_begin(struct vt_receive *receive, const struct vt_receive_from *from,
                      struct vt_err *err)
{
    struct vt_archive *archive = receive->archive;

    vt_receive_abandon(receive);
    if (!vt_archive_writable(archive, err) || !vt_space_check(archive, err) ||
        !get_memory(receive, err)) {
        atomic_fetch_add(&archive->failed, 1);
        return false;
    }
    vt_instance_reset(&receive->instance);
    copy_text(receive->sop_class, sizeof receive->sop_class, from->sop_class_uid);
    copy_text(receive->sop_uid, sizeof receive->sop_uid, from->sop_instance_uid);
    copy_text(receive->transfer_syntax, sizeof receive->transfer_syntax, from->transfer_syntax_uid);
    copy_text(receive->instance.calling_ae_title, sizeof receive->instance.calling_ae_title,
              from->calling_ae_title);
    copy_text(receive->instance.host, sizeof receive->instance.host, from->host);
    vt_header_reset(receive->header, from->encoding, from->encapsulated, &archive->options.limits);
    receive->written = receive->data_size = 0;
    receive->offset_known = receive->sop_class[0] && receive->sop_uid[0];
    receive->used = VT_RECEIVE_META_MAX;
    if (receive->offset_known) {
        if (!make_meta(receive, receive->sop_class, receive->sop_uid, err))
            return false;
        memcpy(receive->small, receive->meta.data, receive->meta.size);
        receive->used = receive->meta.size;
    }
    receive->read_soon = from->read_soon;
    vt_err_clear(&receive->fault);
    receive->phase = VT_RECEIVE_DATA;
    return true;
}

/* ---- data ---- */

bool vt_receive_place_meta(struct vt_receive *receive, struct vt_err *err)
{
    char sop_class[VT_UID_MAX + 1], sop_uid[VT_UID_MAX + 1];
    uint8_t *buffer = receive->block ? receive->block : receive->small;

    if (receive->offset_known)
        return true;
    vt_header_text(receive->header, VT_TAG_SOP_CLASS_UID, sop_class, sizeof sop_class);
    vt_header_text(receive->header, VT_TAG_SOP_INSTANCE_UID, sop_uid, sizeof sop_uid);
    if (!make_meta(receive, receive->sop_class[0] ? receive->sop_class : sop_class,
                   receive->sop_uid[0] ? receive->sop_uid : sop_uid, err))
        return false;
    size_t data = receive->used - VT_RECEIVE_META_MAX;
    memmove(buffer + receive->meta.size, buffer + VT_RECEIVE_META_MAX, data);
    memcpy(buffer, receive->meta.data, receive->meta.size);
    receive->used = receive->meta.size + data;
    receive->offset_known = true;
    return true;
}

static void set_direct(struct vt_receive *receive, bool direct)
{
    if (receive->direct != direct)
        fcntl(receive->fd, F_SETFL, direct ? O_DIRECT : 0);
    receive->direct = direct;
}

static bool open_staging(struct vt_receive *receive, struct vt_err *err)
{
    struct vt_archive *archive = receive->archive;

    receive->fd = vt_slots_take(archive->slots, &receive->staging, &receive->name_synced,
                                &receive->direct, err);
    if (vt_slots_wanted(archive->slots))
        pthread_cond_signal(&archive->cut_wanted);
    if (receive->fd < 0)
        receive->staging = 0;
    else if (receive->read_soon)
        set_direct(receive, false);
    return receive->fd >= 0;
}

/* Whole blocks as they are; the last part of a block through the page cache: cutting a padded one
 * costs more. */
bool vt_receive_spill(struct vt_receive *receive, struct vt_err *err)
{
    const uint8_t *buffer = receive->block ? receive->block : receive->small;
    size_t whole = receive->used - receive->used % BUFFER_ALIGNMENT;

    if (receive->fd < 0 && !open_staging(receive, err))
        return false;
    if (whole > 0 && !vt_io_pwrite(receive->fd, buffer, whole, receive->written, "staging", err)) {
        /* File systems may take the flag and refuse the write. */
        if (!receive->direct || err->code == VT_E_FULL)
            return false;
        vt_err_clear(err);
        set_direct(receive, false);
        if (!vt_io_pwrite(receive->fd, buffer, whole, receive->written, "staging", err))
            return false;
    }
    if (receive->used > whole) {
        set_direct(receive, false);
        if (!vt_io_pwrite(receive->fd, buffer + whole, receive->used - whole,
                          receive->written + whole, "staging", err))
            return false;
    }
    if (receive->read_soon)
        (void)sync_file_range(receive->fd, (off_t)receive->written, (off_t)receive->used,
                              SYNC_FILE_RANGE_WRITE);
    receive->written += receive->used;
    receive->used = 0;
    return true;
}

/* From the small buffer to a large one, or from the large one to the disk. */
static bool make_room(struct vt_receive *receive, struct vt_err *err)
{
    if (receive->block)
        return vt_receive_place_meta(receive, err) &&
               (receive->used < VT_ARCHIVE_BLOCK || vt_receive_spill(receive, err));
    receive->block = vt_pool_take(receive->archive->pool);
    if (!receive->block)
        return vt_fail_dimse(err, VT_E_NOMEM, 0xA704, "no memory to receive");
    memcpy(receive->block, receive->small, receive->used);
    return true;
}

static size_t room_left(const struct vt_receive *receive)
{
    size_t most = receive->block ? VT_ARCHIVE_BLOCK : receive->archive->options.small_object;

    return most - receive->used;
}

static bool keep(struct vt_receive *receive, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    while (size > 0) {
        uint8_t *buffer = receive->block ? receive->block : receive->small;
        size_t room = room_left(receive);
        size_t part = size < room ? size : room;

        if (bytes != buffer + receive->used) /* else they landed there */
            memcpy(buffer + receive->used, bytes, part);
        receive->used += part;
        bytes += part;
        size -= part;
        if (size > 0 && !make_room(receive, err))
            return false;
    }
    return true;
}

/* What fails here fails again, and is told, when the bytes come. */
uint8_t *vt_receive_landing(void *context, size_t *out_room)
{
    struct vt_receive *receive = context;
    struct vt_err later = { 0 };

    if (receive->phase != VT_RECEIVE_DATA ||
        (room_left(receive) == 0 && !make_room(receive, &later)))
        return NULL;
    *out_room = room_left(receive);
    return (receive->block ? receive->block : receive->small) + receive->used;
}

/* Not to be stored, whatever follows. */
static void refuse(struct vt_receive *receive, const struct vt_err *fault)
{
    vt_receive_abandon(receive);
    receive->fault = *fault;
    receive->phase = VT_RECEIVE_REFUSED;
}

bool vt_receive_fail(struct vt_receive *receive, uint16_t status, struct vt_err *err)
{
    if (err->code == VT_E_FULL) {
        vt_space_forget(receive->archive);
        status = 0xA700;
    }
    if (err->dimse_status == 0)
        err->dimse_status = status;
    vt_receive_abandon(receive);
    receive->fault = *err;
    receive->phase = VT_RECEIVE_FAILED;
    atomic_fetch_add(&receive->archive->failed, 1);
    return false;
}

bool vt_receive_write(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct vt_receive *receive = context;
    struct vt_err fault = { 0 };

    switch (receive->phase) {
    case VT_RECEIVE_DATA:
        break;
    case VT_RECEIVE_REFUSED:
        return true;
    case VT_RECEIVE_FAILED:
        *err = receive->fault;
        return false;
    default:
        return vt_fail_dimse(err, VT_E_INTERNAL, 0xC000, "data without vt_receive_begin");
    }
    receive->data_size += size;
    if (receive->data_size > receive->archive->options.max_instance) {
        vt_fail_dimse(&fault, VT_E_LIMIT, 0xA702, "instance is larger than archive.max_instance");
        refuse(receive, &fault);
    } else if (!vt_header_feed(receive->header, bytes, size, &fault)) {
        if (fault.code == VT_E_NOMEM) {
            *err = fault;
            return vt_receive_fail(receive, 0xA704, err);
        }
        refuse(receive, &fault);
    } else if (!keep(receive, bytes, size, err)) {
        return vt_receive_fail(receive, 0xA701, err);
    }
    return true;
}

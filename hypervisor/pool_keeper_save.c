/* Members and picture in the state folder: written now and then, read at the start. */
#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "hypervisor/pool_keeper_inside.h"

/* Class by class from copies, so that neither readers nor events wait for the disk and never more
 * than one class is there twice. */
static bool write_classes(struct vt_keeper *keeper, struct vt_buf *text, struct vt_err *err)
{
    for (size_t class = 0; class < VT_CLASSES; class ++) {
        VT_AUTO(vt_picture)
        copy = vt_keeper_copy(keeper, VT_CLASS_BIT(class), err);
        if (!copy || (class == 0 && !vt_picture_save_begin(copy, text, err)) ||
            !vt_picture_save_class(copy, (enum vt_class) class, text, err))
            return false;
    }
    return true;
}

bool vt_keeper_save(struct vt_keeper *keeper, struct vt_err *err)
{
    VT_AUTO_BUF(text, VT_PICTURE_FILE_MAX);
    char path[VT_KEEPER_PATH_MAX + 32];

    snprintf(path, sizeof path, "%s/members.json", keeper->folder);
    if ((keeper->xapi && !vt_members_save(keeper->xapi, path, err)) || !write_classes(keeper, &text, err))
        return false;
    pthread_mutex_lock(&keeper->lock);
    keeper->dirty = false;
    pthread_mutex_unlock(&keeper->lock);
    snprintf(path, sizeof path, "%s/picture.json", keeper->folder);
    return vt_picture_save_end(&text, path, err);
}

void *vt_keeper_save_now_and_then(void *context)
{
    struct vt_keeper *keeper = context;
    int64_t next = vt_clock_mono() + keeper->save_every;
    bool stop = false;

    while (!stop) {
        struct vt_err err = { 0 };
        pthread_mutex_lock(&keeper->lock);
        while (!keeper->stop && vt_clock_mono() < next)
            vt_keeper_wait_moved(keeper, next - vt_clock_mono());
        stop = keeper->stop;
        bool dirty = keeper->dirty;
        pthread_mutex_unlock(&keeper->lock);
        next = vt_clock_mono() + keeper->save_every;
        if (dirty && !stop && !vt_keeper_save(keeper, &err))
            vt_log(VT_LOG_WARN, "pool.save", "pool=%s reason=\"%s\"", keeper->name, err.text);
    }
    return NULL;
}

bool vt_keeper_remember(struct vt_keeper *keeper, struct vt_err *err)
{
    char path[VT_KEEPER_PATH_MAX + 32];
    struct vt_err why = { 0 };

    snprintf(path, sizeof path, "%s/members.json", keeper->folder);
    if (keeper->xapi && !vt_members_restore(keeper->xapi, path, err) &&
        err->code != VT_E_NOTFOUND)
        return false;
    vt_err_clear(err);
    snprintf(path, sizeof path, "%s/picture.json", keeper->folder);
    if (vt_picture_restore(keeper->picture, path, &why) || why.code == VT_E_NOTFOUND)
        return true;
    vt_log(VT_LOG_WARN, "pool.picture", "pool=%s reason=\"%s\"", keeper->name, why.text);
    vt_picture_free(keeper->picture);
    keeper->picture = vt_picture_new();
    return keeper->picture || vt_fail(err, VT_E_NOMEM, "no memory for the picture of the pool");
}

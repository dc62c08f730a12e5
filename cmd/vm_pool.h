/* cmd/vm_pool.h: the pool for the commands of the command line: its configuration, a session, the
 * picture, and which objects the words of a command mean. In `vitrine` the session is its own; inside
 * vitrine-poold (cli->call) session and picture are the keeper's. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cmd/cli.h"
#include "hypervisor/picture.h"
#include "hypervisor/xapi.h"

struct vt_driver;
struct vt_err;
struct vt_keeper;

enum { VT_POOL_PATH_MAX = 4096, VT_POOL_PASSWORD_MAX = 256 };

struct vt_pool {
    const struct vt_cli *cli;
    const char *name; /* of the [pool "NAME"] section; NULL: the plain one */
    const char *user;
    char password[VT_POOL_PASSWORD_MAX];
    char state[VT_POOL_PATH_MAX]; /* the folder of members.json and picture.json */
    size_t known;                 /* members whose pins were known before */
    const struct vt_driver *driver;
    void *session; /* of a driver that is not xapi: then there is no xapi and no line */
    struct vt_xapi *xapi;
    struct vt_line *line;
    struct vt_picture *picture;
    bool stale; /* the picture is the saved one: no master answered */
    struct vt_keeper *keeper; /* inside vitrine-poold: it has the session and the picture */
    bool borrowed;            /* the picture is the keeper's, under its lock */
};

/* What the configuration says, and what the state folder remembers; nothing is sent. Release with
 * vt_pool_close in any case. VT_E_INVALID: configuration. */
bool vt_pool_open(const struct vt_cli *cli, struct vt_pool *out, struct vt_err *err);
/* For commands that work with every driver; the other one is VT_E_UNSUPPORTED without a XAPI pool. */
bool vt_pool_open_any(const struct vt_cli *cli, struct vt_pool *out, struct vt_err *err);
/* Logs in and reads those classes. Explains failures; says which certificates were learnt. */
bool vt_pool_load(struct vt_pool *pool, unsigned classes, struct vt_err *err);
/* The same; when no master answers, the picture of the last time, with `stale` set. */
bool vt_pool_load_or_remember(struct vt_pool *pool, unsigned classes, struct vt_err *err);
/* The same for what only reads and is quick. Inside vitrine-poold the picture is the keeper's own,
 * which stands still until vt_pool_release or vt_pool_close; what is said meanwhile is sent behind. */
bool vt_pool_look(struct vt_pool *pool, unsigned classes, struct vt_err *err);
/* The same for what is done next, once the objects are chosen: no picture that is old. */
bool vt_pool_look_now(struct vt_pool *pool, unsigned classes, struct vt_err *err);
/* The objects of a picture that was only looked at are void from here on, in vitrine-poold. */
void vt_pool_release(struct vt_pool *pool);
/* vt_explain with the names of the pool, borrowed or not. */
void vt_pool_explain(struct vt_pool *pool, struct vt_err *err);

/* Only the saved picture, for emergencies: nobody is asked. Without one the picture stays empty. */
void vt_pool_remember(struct vt_pool *pool);
/* Logs out. */
void vt_pool_close(struct vt_pool *pool);

/* The first line of a file that nobody else may read, for both programs. path NULL: none is configured. */
bool vt_pool_password_read(const char *path, char *out, size_t room, struct vt_err *err);
/* The same user and password towards another host: for joining. fingerprint: NULL believes the
 * first. NULL: err. */
struct vt_xapi *vt_pool_other(struct vt_pool *pool, const char *address, const char *fingerprint,
                              struct vt_err *err);
/* pool.join(address, user, password) as a task on the host behind that session; its reply names the
 * task. */
bool vt_pool_send_join(const struct vt_pool *pool, struct vt_xapi *joiner, struct vt_line *line,
                       const char *master, struct vt_xapi_reply *reply, struct vt_err *err);
/* Runs method(ref) as a task to its end; explains a failure (cmd/vm_host.c). */
bool vt_pool_run(struct vt_pool *pool, const char *method, const char *ref, struct vt_err *err);
/* https or http, and ":port" when it is not the default: what a url of another host looks like. */
bool vt_pool_url_of(const struct vt_pool *pool, const char *address, char *out, size_t room,
                    struct vt_err *err);

/* ---- which objects ---- */

/* By name, uuid or the first 8 or more digits of it. VT_E_NOTFOUND, or VT_E_INVALID when several
 * have the name. */
const struct vt_object *vt_pool_find(const struct vt_pool *pool, enum vt_class class,
                                     const char *word, struct vt_err *err);
/* VMs that are named one by one, in that order; however many, all VMs are looked at once. The list is
 * the caller's. NULL: err, as vt_pool_find. */
const struct vt_object **vt_pool_find_vms(const struct vt_pool *pool, const char *const *names,
                                          int count, struct vt_err *err);
/* VMs for people: no templates, snapshots, control domains. */
bool vt_pool_is_vm(const struct vt_object *vm);
/* Where it runs; else where it would, NULL when that is open. */
const struct vt_object *vt_pool_host_of(const struct vt_pool *pool, const struct vt_object *vm);

struct vt_vm_filter {
    const char *const *words; /* names, uuids or patterns with * and ?; none: every VM that the rest
                                 lets through */
    int word_count;
    const struct vt_object *host; /* NULL: any */
    const char *tag, *state;      /* NULL: any */
    bool templates;               /* these instead of VMs */
};
/* The objects of a class by name; the list is the caller's. NULL: err. */
const struct vt_object **vt_pool_sorted(const struct vt_pool *pool, enum vt_class class,
                                        size_t *out_count, struct vt_err *err);
/* The VMs by name, each once. Each word must mean one at least: VT_E_NOTFOUND. The list is the
 * caller's. */
bool vt_pool_select(const struct vt_pool *pool, const struct vt_vm_filter *filter,
                    const struct vt_object ***out_vms, size_t *out_count, struct vt_err *err);
/* --host, --state, --tag, --all and the words of the command. VT_E_INVALID: nothing was named. */
bool vt_pool_filter(const struct vt_pool *pool, bool must_name, struct vt_vm_filter *out,
                    struct vt_err *err);

/* Asks on the terminal for `word` typed in full; --yes answers, and so does --confirm with that
 * word. VT_E_DENIED. */
bool vt_pool_confirm(const struct vt_cli *cli, const char *question, const char *word,
                     struct vt_err *err);

/* 0, 1 or 2 as the contract says. */
int vt_pool_status(const struct vt_err *err);

/* Which objects the words of a command mean. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/vm_pool.h"
#include "core/err.h"

enum { UUID_SHORTEST = 8 };

bool vt_pool_is_vm(const struct vt_object *vm)
{
    return !vt_object_bool(vm, "is_a_template") && !vt_object_bool(vm, "is_a_snapshot") &&
           !vt_object_bool(vm, "is_control_domain");
}

const struct vt_object *vt_pool_host_of(const struct vt_pool *pool, const struct vt_object *vm)
{
    return vt_picture_follow(pool->picture, vm, "resident_on");
}

static bool is_named(const struct vt_object *object, const char *word)
{
    const char *uuid = vt_object_text(object, "uuid");
    size_t length = strlen(word);

    return strcmp(vt_object_text(object, "name_label"), word) == 0 || strcmp(uuid, word) == 0 ||
           (length >= UUID_SHORTEST && strncmp(uuid, word, length) == 0) ||
           (vt_object_class(object) == VT_CLASS_HOST &&
            strcmp(vt_object_text(object, "address"), word) == 0);
}

static const char *const class_words[VT_CLASSES] = {
    [VT_CLASS_VM] = "VM",
    [VT_CLASS_HOST] = "host",
    [VT_CLASS_SR] = "storage",
    [VT_CLASS_NETWORK] = "network",
};

const struct vt_object *vt_pool_find(const struct vt_pool *pool, enum vt_class class,
                                     const char *word, struct vt_err *err)
{
    const struct vt_object *found = NULL;

    VT_PICTURE_EACH(pool->picture, class, object)
    {
        if (!is_named(object, word) || (class == VT_CLASS_VM && !vt_pool_is_vm(object)))
            continue;
        if (found) {
            vt_fail(err, VT_E_INVALID, "several have the name '%.60s': use the uuid, e.g. %s", word,
                    vt_object_text(found, "uuid"));
            return NULL;
        }
        found = object;
    }
    if (!found)
        vt_fail(err, VT_E_NOTFOUND,
                "the pool has no %s '%.60s': 'vitrine %s list' shows what it has",
                class_words[class], word,
                class == VT_CLASS_VM     ? "vm"
                : class == VT_CLASS_HOST ? "host"
                                         : "sr");
    return found;
}

static bool matches(const struct vt_object *vm, const char *word)
{
    return is_named(vm, word) ||
           (strpbrk(word, "*?[") &&
            fnmatch(word, vt_object_text(vm, "name_label"), FNM_CASEFOLD) == 0);
}

static bool passes(const struct vt_pool *pool, const struct vt_vm_filter *filter,
                   const struct vt_object *vm)
{
    bool is_template = vt_object_bool(vm, "is_a_template") && !vt_object_bool(vm, "is_a_snapshot");

    if (filter->templates ? !is_template : !vt_pool_is_vm(vm))
        return false;
    if (filter->host && vt_pool_host_of(pool, vm) != filter->host)
        return false;
    if (filter->tag && !vt_object_has(vm, "tags", filter->tag))
        return false;
    return !filter->state || strcasecmp(filter->state, vt_object_text(vm, "power_state")) == 0;
}

static bool each_word_means_one(const struct vt_pool *pool, const struct vt_vm_filter *filter,
                                struct vt_err *err)
{
    for (int i = 0; i < filter->word_count; i++) {
        size_t hits = 0, names = 0;
        const struct vt_object *last = NULL;
        VT_PICTURE_EACH(pool->picture, VT_CLASS_VM, vm)
        {
            if (!passes(pool, &(struct vt_vm_filter){ .templates = filter->templates }, vm) ||
                !matches(vm, filter->words[i]))
                continue;
            hits++;
            names += strcmp(vt_object_text(vm, "name_label"), filter->words[i]) == 0;
            last = vm;
        }
        if (!hits)
            return vt_fail(err, VT_E_NOTFOUND,
                           "the pool has no VM '%.60s': 'vitrine vm list' shows what it has",
                           filter->words[i]);
        if (names > 1)
            return vt_fail(err, VT_E_INVALID,
                           "several VMs have the name '%.60s': use the uuid, e.g. %s",
                           filter->words[i], vt_object_text(last, "uuid"));
    }
    return true;
}

/* Names first, numbers in them as numbers; the uuid decides between equal names. */
static int by_name(const void *a, const void *b)
{
    const struct vt_object *const *one = a, *const *other = b;
    int order =
        strverscmp(vt_object_text(*one, "name_label"), vt_object_text(*other, "name_label"));

    return order ? order : strcmp(vt_object_text(*one, "uuid"), vt_object_text(*other, "uuid"));
}

bool vt_pool_select(const struct vt_pool *pool, const struct vt_vm_filter *filter,
                    const struct vt_object ***out_vms, size_t *out_count, struct vt_err *err)
{
    size_t count = 0;

    if (!each_word_means_one(pool, filter, err))
        return false;
    const struct vt_object **vms =
        calloc(vt_picture_count(pool->picture, VT_CLASS_VM) + 1, sizeof *vms);
    if (!vms)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of VMs");
    VT_PICTURE_EACH(pool->picture, VT_CLASS_VM, vm)
    {
        bool named = filter->word_count == 0;
        for (int i = 0; i < filter->word_count && !named; i++)
            named = matches(vm, filter->words[i]);
        if (named && passes(pool, filter, vm))
            vms[count++] = vm;
    }
    if (count > 1)
        qsort(vms, count, sizeof *vms, by_name);
    *out_vms = vms;
    *out_count = count;
    return true;
}

const struct vt_object **vt_pool_sorted(const struct vt_pool *pool, enum vt_class class,
                                        size_t *out_count, struct vt_err *err)
{
    const struct vt_object **objects =
        calloc(vt_picture_count(pool->picture, class) + 1, sizeof *objects);
    size_t count = 0;

    if (!objects) {
        vt_fail(err, VT_E_NOMEM, "no memory for a list");
        return NULL;
    }
    VT_PICTURE_EACH(pool->picture, class, object)
    objects[count++] = object;
    qsort(objects, count, sizeof *objects, by_name);
    *out_count = count;
    return objects;
}

static bool is_state(const char *word)
{
    static const char *const states[] = { "Running", "Halted", "Suspended", "Paused" };

    for (size_t i = 0; i < VT_COUNT(states); i++)
        if (strcasecmp(states[i], word) == 0)
            return true;
    return false;
}

bool vt_pool_filter(const struct vt_pool *pool, bool must_name, struct vt_vm_filter *out,
                    struct vt_err *err)
{
    const struct vt_cli *cli = pool->cli;
    const char *host = vt_cli_value(cli, "--host");

    *out = (struct vt_vm_filter){ .words = cli->args,
                                  .word_count = cli->arg_count,
                                  .tag = vt_cli_value(cli, "--tag"),
                                  .state = vt_cli_value(cli, "--state") };
    if (out->state && !is_state(out->state))
        return vt_fail(err, VT_E_INVALID,
                       "--state %.40s is none of running, halted, suspended, paused", out->state);
    if (host && !(out->host = vt_pool_find(pool, VT_CLASS_HOST, host, err)))
        return false;
    if (must_name && out->word_count == 0 && !host && !out->tag && !vt_cli_switch(cli, "--all"))
        return vt_fail(err, VT_E_INVALID, "which VMs? Name them, or say --host, --tag or --all");
    return true;
}


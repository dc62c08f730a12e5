/* Which objects the words of a command mean. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/vm_pool.h"
#include "core/err.h"

enum { UUID_SHORTEST = 8, UUID_LENGTH = 36 };

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

/* ---- many words at once ---- */

/* One word of the command and what it means so far. */
struct word {
    const char *text;
    int place;  /* in the command */
    bool loose; /* a pattern or the first digits of a uuid: compared with every VM */
    size_t hits, names;
    const struct vt_object *last;
};

/* Each word once: the exact ones first, sorted, so that hundreds of them cost no look at all VMs
 * each. */
struct words {
    struct word *items;
    size_t count, exact;
};

static bool is_loose(const char *word)
{
    size_t length = strlen(word);

    return strpbrk(word, "*?[") || (length >= UUID_SHORTEST && length < UUID_LENGTH &&
                                    strspn(word, "0123456789abcdef-") == length);
}

static int by_text(const void *a, const void *b)
{
    const struct word *one = a, *other = b;
    int order = one->loose - other->loose;

    order = order ? order : strcmp(one->text, other->text);
    return order ? order : one->place - other->place;
}

static bool words_init(struct words *words, const char *const *texts, int count,
                       struct vt_err *err)
{
    *words = (struct words){ .items = calloc((size_t)count + 1, sizeof *words->items) };
    if (!words->items)
        return vt_fail(err, VT_E_NOMEM, "no memory for the words of a command");
    for (int i = 0; i < count; i++)
        words->items[i] = (struct word){ texts[i], i, is_loose(texts[i]), 0, 0, NULL };
    qsort(words->items, (size_t)count, sizeof *words->items, by_text);
    for (int i = 0; i < count; i++) {
        const struct word word = words->items[i];
        if (words->count > 0 && strcmp(words->items[words->count - 1].text, word.text) == 0)
            continue;
        words->items[words->count++] = word;
        words->exact += !word.loose;
    }
    return true;
}

static struct word *find_exact(const struct words *words, const char *text)
{
    size_t low = 0, high = words->exact;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(words->items[middle].text, text);
        if (order == 0)
            return &words->items[middle];
        *(order < 0 ? &low : &high) = order < 0 ? middle + 1 : middle;
    }
    return NULL;
}

static void hit(struct word *word, const struct vt_object *vm)
{
    word->hits++;
    word->names += strcmp(vt_object_text(vm, "name_label"), word->text) == 0;
    word->last = vm;
}

/* Does a word mean this VM? Each that does is marked. */
static bool mark(const struct words *words, const struct vt_object *vm)
{
    struct word *name = find_exact(words, vt_object_text(vm, "name_label"));
    struct word *uuid = find_exact(words, vt_object_text(vm, "uuid"));
    bool named = name || uuid;

    if (name)
        hit(name, vm);
    if (uuid && uuid != name)
        hit(uuid, vm);
    for (size_t i = words->exact; i < words->count; i++) {
        if (!matches(vm, words->items[i].text))
            continue;
        hit(&words->items[i], vm);
        named = true;
    }
    return named;
}

/* The first word, as the command has them, that means none or several of one name. */
static bool each_word_means_one(const struct words *words, bool one_only, struct vt_err *err)
{
    const struct word *wrong = NULL;

    for (size_t i = 0; i < words->count; i++) {
        const struct word *word = &words->items[i];
        bool ok = word->hits > 0 && (one_only ? word->hits : word->names) <= 1;
        if (!ok && (!wrong || word->place < wrong->place))
            wrong = word;
    }
    if (!wrong)
        return true;
    if (!wrong->hits)
        return vt_fail(err, VT_E_NOTFOUND,
                       "the pool has no VM '%.60s': 'vitrine vm list' shows what it has",
                       wrong->text);
    return vt_fail(err, VT_E_INVALID, "several VMs have the name '%.60s': use the uuid, e.g. %s",
                   wrong->text, vt_object_text(wrong->last, "uuid"));
}

/* Names first, numbers in them as numbers; the uuid decides between equal names. */
static int by_name(const void *a, const void *b)
{
    const struct vt_object *const *one = a, *const *other = b;
    int order =
        strverscmp(vt_object_text(*one, "name_label"), vt_object_text(*other, "name_label"));

    return order ? order : strcmp(vt_object_text(*one, "uuid"), vt_object_text(*other, "uuid"));
}

/* The VMs that the words mean and the rest lets through. */
static size_t choose(const struct vt_pool *pool, const struct vt_vm_filter *filter,
                     const struct words *words, const struct vt_object **vms)
{
    const struct vt_vm_filter kind = { .templates = filter->templates };
    size_t count = 0;

    VT_PICTURE_EACH(pool->picture, VT_CLASS_VM, vm)
    {
        if (!passes(pool, &kind, vm))
            continue;
        bool named = words->count == 0 || mark(words, vm);
        if (named && passes(pool, filter, vm))
            vms[count++] = vm;
    }
    return count;
}

bool vt_pool_select(const struct vt_pool *pool, const struct vt_vm_filter *filter,
                    const struct vt_object ***out_vms, size_t *out_count, struct vt_err *err)
{
    vt_autofree const struct vt_object **vms =
        calloc(vt_picture_count(pool->picture, VT_CLASS_VM) + 1, sizeof *vms);
    struct words words;

    if (!vms)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of VMs");
    if (!words_init(&words, filter->words, filter->word_count, err))
        return false;
    size_t count = choose(pool, filter, &words, vms);
    bool ok = each_word_means_one(&words, false, err);
    free(words.items);
    if (!ok)
        return false;
    if (count > 1)
        qsort(vms, count, sizeof *vms, by_name);
    *out_vms = vt_take(&vms);
    *out_count = count;
    return true;
}

const struct vt_object **vt_pool_find_vms(const struct vt_pool *pool, const char *const *names,
                                          int count, struct vt_err *err)
{
    const struct vt_object **vms = calloc((size_t)count + 1, sizeof *vms);
    struct words words = { 0 };

    if (!vms)
        vt_fail(err, VT_E_NOMEM, "no memory for a list of VMs");
    bool ok = vms && words_init(&words, names, count, err);
    if (ok) {
        VT_PICTURE_EACH(pool->picture, VT_CLASS_VM, vm)
        if (vt_pool_is_vm(vm))
            mark(&words, vm);
    }
    ok = ok && each_word_means_one(&words, true, err);
    for (int i = 0; ok && i < count; i++) {
        const struct word *word = find_exact(&words, names[i]);
        for (size_t k = words.exact; !word; k++)
            word = strcmp(words.items[k].text, names[i]) == 0 ? &words.items[k] : NULL;
        vms[i] = word->last;
    }
    free(words.items);
    if (ok)
        return vms;
    free(vms);
    return NULL;
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


#include "cmd/identity.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "core/auto.h"
#include "core/conf.h"
#include "core/err.h"

enum { IDENTITIES_MAX = 1000 };

struct identity {
    char *name, *hash; /* hash NULL: the name alone */
};

/* Fixed after reading. */
struct vt_identities {
    struct identity *items;
    size_t count;
};

void vt_identities_free(struct vt_identities *identities)
{
    if (!identities)
        return;
    for (size_t i = 0; i < identities->count; i++) {
        free(identities->items[i].name);
        free(identities->items[i].hash);
    }
    free(identities->items);
    free(identities);
}

static bool add(struct vt_identities *identities, const char *name, const char *hash,
                struct vt_err *err)
{
    struct identity *grown =
        reallocarray(identities->items, identities->count + 1, sizeof *grown);

    if (!grown)
        return vt_fail(err, VT_E_NOMEM, "no memory for users");
    identities->items = grown;
    struct identity *item = &grown[identities->count++];
    *item = (struct identity){ strdup(name), hash ? strdup(hash) : NULL };
    return (item->name && (!hash || item->hash)) || vt_fail(err, VT_E_NOMEM, "no memory for users");
}

struct vt_identities *vt_identities_read(const struct vt_conf *conf, struct vt_err *err)
{
    struct vt_identities *identities = calloc(1, sizeof *identities);
    const char *name;
    bool ok = identities || vt_fail(err, VT_E_NOMEM, "no memory for users");

    for (size_t i = 0; ok && (name = vt_conf_name(conf, "user", i)) != NULL; i++) {
        const char *hash = vt_conf_text(conf, "user", name, "passcode_hash", "");
        if (identities->count == IDENTITIES_MAX)
            ok = vt_fail(err, VT_E_LIMIT, "more than %d users", IDENTITIES_MAX);
        else if (*hash && *hash != '$')
            ok = vt_fail(err, VT_E_INVALID,
                         "user.%s.passcode_hash is no hash: make one with 'mkpasswd -m yescrypt'",
                         name);
        else
            ok = add(identities, name, *hash ? hash : NULL, err);
    }
    if (ok)
        return identities;
    vt_identities_free(identities);
    return NULL;
}

/* In the same time wherever they differ. */
static bool same(const char *a, const char *b)
{
    size_t length = strlen(a);
    unsigned char differ = strlen(b) != length;

    for (size_t i = 0; i < length && !differ; i++)
        differ |= (unsigned char)(a[i] ^ b[i]);
    return !differ;
}

static bool fits(const char *passcode, const char *hash)
{
    vt_autofree struct crypt_data *data = calloc(1, sizeof *data);
    const char *made = data ? crypt_r(passcode, hash, data) : NULL;
    bool fits = made && *made != '*' && same(made, hash);

    if (data)
        explicit_bzero(data, sizeof *data);
    return fits;
}

bool vt_identities_know(void *context, const char *user, const char *passcode)
{
    const struct vt_identities *identities = context;

    for (size_t i = 0; i < identities->count; i++) {
        const struct identity *item = &identities->items[i];
        if (strcmp(item->name, user) == 0)
            return item->hash ? passcode && fits(passcode, item->hash) : !passcode;
    }
    return false;
}

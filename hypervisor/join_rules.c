/* The rules, a function each, in a table in the server's order. A function says its verdict and
 * writes both values. */
#include "hypervisor/join_rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NS_PER_S INT64_C(1000000000)

enum { CLOCK_FAIL_S = 5, CLOCK_WARN_S = 1 };

struct sides {
    const struct vt_join_facts *j, *p;
    struct vt_join_finding *out;
};

typedef enum vt_join_verdict (*rule_fn)(const struct sides *s);

__attribute__((format(printf, 2, 3))) static void say(char *out, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(out, VT_JOIN_TEXT_MAX, format, args);
    va_end(args);
}

static enum vt_join_verdict unless(bool bad, enum vt_join_verdict verdict)
{
    return bad ? verdict : VT_JOIN_OK;
}

/* Two texts must be the same. */
static enum vt_join_verdict same(const struct sides *s, const char *mine, const char *theirs)
{
    say(s->out->joiner, "%s", *mine ? mine : "-");
    say(s->out->pool, "%s", *theirs ? theirs : "-");
    return unless(strcmp(mine, theirs) != 0, VT_JOIN_FAIL);
}

/* There must be none of a thing on the joiner's side. */
static enum vt_join_verdict none(const struct sides *s, size_t count, const char *names)
{
    if (count)
        say(s->out->joiner, "%zu%s%s", count, *names ? ": " : "", names);
    else
        say(s->out->joiner, "none");
    say(s->out->pool, "none wanted");
    return unless(count > 0, VT_JOIN_FAIL);
}

static enum vt_join_verdict off(const struct sides *s, bool mine, bool theirs)
{
    say(s->out->joiner, "%s", mine ? "on" : "off");
    say(s->out->pool, "%s", theirs ? "on" : "off");
    return unless(mine || theirs, VT_JOIN_FAIL);
}

/* ---- the rules ---- */

static enum vt_join_verdict management(const struct sides *s)
{
    say(s->out->joiner, "%s", s->j->management_known ? s->j->management_device : "none");
    say(s->out->pool, "%s", s->p->management_known ? s->p->management_device : "none");
    return unless(!s->j->management_known, VT_JOIN_FAIL);
}

static enum vt_join_verdict ha(const struct sides *s)
{
    return off(s, s->j->ha_enabled, s->p->ha_enabled);
}

static enum vt_join_verdict clustering(const struct sides *s)
{
    return off(s, s->j->clustered, false);
}

static enum vt_join_verdict not_in_pool(const struct sides *s)
{
    const struct vt_join_facts *j = s->j;
    bool same_pool = *j->pool_uuid && strcmp(j->pool_uuid, s->p->pool_uuid) == 0;

    if (*j->slave_of)
        say(s->out->joiner, "%s of %.100s", same_pool ? "already a member" : "member of the pool",
            j->slave_of);
    else if (same_pool)
        say(s->out->joiner, "the master of this pool");
    else if (j->host_count != 1)
        say(s->out->joiner, "master of %zu hosts", j->host_count);
    else
        say(s->out->joiner, "alone");
    say(s->out->pool, "%zu host%s", s->p->host_count, s->p->host_count == 1 ? "" : "s");
    return unless(*j->slave_of || same_pool || j->host_count != 1, VT_JOIN_FAIL);
}

static enum vt_join_verdict running(const struct sides *s)
{
    return none(s, s->j->running_vms, s->j->running_names);
}

static enum vt_join_verdict suspended(const struct sides *s)
{
    return none(s, s->j->stopped_vms, s->j->stopped_names);
}

static enum vt_join_verdict operations(const struct sides *s)
{
    return none(s, s->j->busy_vms + s->j->pool_operations, s->j->busy_names);
}

static enum vt_join_verdict guidance(const struct sides *s)
{
    return none(s, s->j->pending_guidances, "");
}

static enum vt_join_verdict platform(const struct sides *s)
{
    say(s->out->joiner, "%.60s %.60s", s->j->platform_name, s->j->platform_version);
    say(s->out->pool, "%.60s %.60s", s->p->platform_name, s->p->platform_version);
    return unless(strcmp(s->j->platform_name, s->p->platform_name) != 0 ||
                      strcmp(s->j->platform_version, s->p->platform_version) != 0,
                  VT_JOIN_FAIL);
}

static enum vt_join_verdict cpu_vendor(const struct sides *s)
{
    return same(s, s->j->cpu_vendor, s->p->cpu_vendor);
}

static enum vt_join_verdict cpu_model(const struct sides *s)
{
    const struct vt_join_facts *j = s->j, *p = s->p;

    say(s->out->joiner, "%.100s (%s/%s/%s)", j->cpu_modelname, j->cpu_family, j->cpu_model,
        j->cpu_stepping);
    say(s->out->pool, "%.100s (%s/%s/%s)", p->cpu_modelname, p->cpu_family, p->cpu_model,
        p->cpu_stepping);
    return unless(strcmp(s->out->joiner, s->out->pool) != 0, VT_JOIN_WARN);
}

static enum vt_join_verdict cpu_features(const struct sides *s)
{
    return unless(same(s, s->j->cpu_features, s->p->cpu_features) != VT_JOIN_OK, VT_JOIN_WARN);
}

static enum vt_join_verdict software(const struct sides *s)
{
    const struct vt_join_facts *j = s->j, *p = s->p;

    say(s->out->joiner, "%.40s xapi %.40s %.40s", j->brand, j->xapi, j->git_id);
    say(s->out->pool, "%.40s xapi %.40s %.40s", p->brand, p->xapi, p->git_id);
    return unless(strcmp(s->out->joiner, s->out->pool) != 0, VT_JOIN_FAIL);
}

static enum vt_join_verdict updates(const struct sides *s)
{
    return same(s, s->j->updates, s->p->updates);
}

static enum vt_join_verdict shared_storage(const struct sides *s)
{
    return none(s, s->j->shared_srs, s->j->shared_sr_names);
}

static enum vt_join_verdict bonds(const struct sides *s)
{
    size_t count = s->j->bonds ? s->j->bonds : s->j->management_bonded;

    return none(s, count, s->j->management_bonded ? "the management interface" : "");
}

static enum vt_join_verdict tunnels(const struct sides *s)
{
    return none(s, s->j->tunnels, "");
}

static enum vt_join_verdict sriovs(const struct sides *s)
{
    return none(s, s->j->sriovs, "");
}

static enum vt_join_verdict other_vlans(const struct sides *s)
{
    return none(s, s->j->other_vlans, "");
}

static void say_vlan(char *out, int64_t vlan)
{
    if (vlan < 0)
        say(out, "none");
    else
        say(out, "%d", (int)vlan);
}

/* 0 was seen where -1 was meant. */
static enum vt_join_verdict management_vlan(const struct sides *s)
{
    int64_t mine = s->j->management_vlan > 0 ? s->j->management_vlan : -1;
    int64_t theirs = s->p->management_vlan > 0 ? s->p->management_vlan : -1;

    say_vlan(s->out->joiner, mine);
    say_vlan(s->out->pool, theirs);
    return unless(mine != theirs, VT_JOIN_FAIL);
}

static enum vt_join_verdict static_address(const struct sides *s)
{
    say(s->out->joiner, "%s %s", s->j->ip_mode, s->j->ip);
    say(s->out->pool, "%s", s->p->ip_mode);
    if (s->j->ip[0] == '\0')
        return VT_JOIN_FAIL;
    return unless(strcmp(s->j->ip_mode, "Static") != 0, VT_JOIN_WARN);
}

static enum vt_join_verdict clocks(const struct sides *s)
{
    int64_t apart = s->j->clock_offset_ns - s->p->clock_offset_ns;
    int64_t error = s->j->clock_error_ns + s->p->clock_error_ns;

    say(s->out->joiner, "%+.1f s", (double)s->j->clock_offset_ns / (double)NS_PER_S);
    say(s->out->pool, "%+.1f s", (double)s->p->clock_offset_ns / (double)NS_PER_S);
    apart = apart < 0 ? -apart : apart;
    if (apart > CLOCK_FAIL_S * NS_PER_S + error)
        return VT_JOIN_FAIL;
    return unless(apart > CLOCK_WARN_S * NS_PER_S + error, VT_JOIN_WARN);
}

static enum vt_join_verdict directory(const struct sides *s)
{
    const struct vt_join_facts *j = s->j, *p = s->p;

    say(s->out->joiner, "%s %s", *j->auth_type ? j->auth_type : "none", j->auth_name);
    say(s->out->pool, "%s %s", *p->auth_type ? p->auth_type : "none", p->auth_name);
    return unless(strcmp(j->auth_type, p->auth_type) != 0 ||
                      strcasecmp(j->auth_name, p->auth_name) != 0,
                  VT_JOIN_FAIL);
}

static enum vt_join_verdict edition(const struct sides *s)
{
    return same(s, s->j->edition, s->p->edition);
}

static enum vt_join_verdict may_pool(const struct sides *s)
{
    say(s->out->joiner, "%s", s->j->restrict_pooling ? "no pooling" : "pooling");
    say(s->out->pool, "%s", s->p->restrict_pooling ? "no pooling" : "pooling");
    return unless(s->p->restrict_pooling, VT_JOIN_FAIL);
}

static enum vt_join_verdict network_backend(const struct sides *s)
{
    return same(s, s->j->network_backend, s->p->network_backend);
}

static enum vt_join_verdict api_version(const struct sides *s)
{
    say(s->out->joiner, "%d.%d", (int)s->j->api_major, (int)s->j->api_minor);
    say(s->out->pool, "%d.%d", (int)s->p->api_major, (int)s->p->api_minor);
    return unless(strcmp(s->out->joiner, s->out->pool) != 0, VT_JOIN_FAIL);
}

static enum vt_join_verdict db_schema(const struct sides *s)
{
    return same(s, s->j->db_schema, s->p->db_schema);
}

static enum vt_join_verdict address_type(const struct sides *s)
{
    return same(s, s->j->address_type, s->p->address_type);
}

static const char *purposes(const struct vt_join_facts *facts)
{
    return facts->nbd            ? facts->insecure_nbd ? "nbd and insecure_nbd" : "nbd"
           : facts->insecure_nbd ? "insecure_nbd"
                                 : "none";
}

static enum vt_join_verdict network_purpose(const struct sides *s)
{
    say(s->out->joiner, "%s", purposes(s->j));
    say(s->out->pool, "%s", purposes(s->p));
    return unless((s->j->nbd && s->p->insecure_nbd) || (s->j->insecure_nbd && s->p->nbd),
                  VT_JOIN_FAIL);
}

static enum vt_join_verdict tls(const struct sides *s)
{
    say(s->out->joiner, "%s", s->j->tls_verification ? "checked" : "not checked");
    say(s->out->pool, "%s", s->p->tls_verification ? "checked" : "not checked");
    return unless(s->j->tls_verification != s->p->tls_verification, VT_JOIN_FAIL);
}

static enum vt_join_verdict sdn(const struct sides *s)
{
    return same(s, s->j->sdn, s->p->sdn);
}

/* One name for two authorities: the server cannot merge the lists. */
static enum vt_join_verdict authorities(const struct sides *s)
{
    const struct vt_join_ca *clash = NULL;

    for (size_t i = 0; i < s->j->ca_count && !clash; i++)
        for (size_t k = 0; k < s->p->ca_count; k++)
            if (strcmp(s->j->cas[i].name, s->p->cas[k].name) == 0 &&
                strcmp(s->j->cas[i].fingerprint, s->p->cas[k].fingerprint) != 0)
                clash = &s->j->cas[i];
    if (clash)
        say(s->out->joiner, "another %s", clash->name);
    else
        say(s->out->joiner, "%zu", s->j->ca_count);
    say(s->out->pool, "%zu", s->p->ca_count);
    return unless(clash, VT_JOIN_FAIL);
}

static enum vt_join_verdict updating(const struct sides *s)
{
    return off(s, s->j->updating, s->p->updating);
}

/* What the pool's storage drivers can, the joiner's drivers of that type must. */
static const struct vt_join_driver *missing_driver(const struct vt_join_facts *j,
                                                   const struct vt_join_facts *p)
{
    for (size_t i = 0; i < p->driver_count; i++) {
        const struct vt_join_driver *wanted = &p->drivers[i];
        bool has_type = false, has_feature = false;
        for (size_t k = 0; k < j->driver_count; k++) {
            bool type = strcmp(j->drivers[k].type, wanted->type) == 0;
            has_type |= type;
            has_feature |= type && strcmp(j->drivers[k].feature, wanted->feature) == 0 &&
                           j->drivers[k].version >= wanted->version;
        }
        if (has_type && !has_feature)
            return wanted;
    }
    return NULL;
}

static enum vt_join_verdict drivers(const struct sides *s)
{
    const struct vt_join_driver *missing = missing_driver(s->j, s->p);

    if (missing)
        say(s->out->joiner, "%s lacks %s", missing->type, missing->feature);
    else
        say(s->out->joiner, "all of them");
    say(s->out->pool, "%zu features", s->p->driver_count);
    return unless(missing, VT_JOIN_FAIL);
}

/* clang-format off */
static const struct rule {
    const char *name, *title;
    bool paper;
    rule_fn check;
    const char *remedy, *code;
} rules[] = {
    { "management", "a management interface", false, management,
      "give the host an address on its management interface", "HOST_STILL_BOOTING" },
    { "ha", "high availability off", false, ha, "switch high availability off on both sides, join, switch it on",
      "HA_IS_ENABLED" },
    { "clustering", "clustering off", false, clustering, "switch clustering off on the host", "CLUSTERING_ENABLED" },
    { "not-in-pool", "not a member of another pool", true, not_in_pool,
      "eject it from its pool first (that erases its local disks)", "JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS" },
    { "running-vms", "no running VMs", true, running, "shut down the host's VMs", "JOINING_HOST_CANNOT_HAVE_RUNNING_VMS" },
    { "suspended-vms", "no suspended VMs", true, suspended, "resume and shut down the host's suspended and paused VMs",
      "JOINING_HOST_CANNOT_HAVE_RUNNING_OR_SUSPENDED_VMS" },
    { "operations", "no operations in progress", true, operations, "wait until the host's operations have ended",
      "JOINING_HOST_CANNOT_HAVE_VMS_WITH_CURRENT_OPERATIONS" },
    { "guidance", "no restart due after updates", false, guidance, "restart the host, as its updates ask for",
      "HOST_PENDING_MANDATORY_GUIDANCE_NOT_EMPTY" },
    { "platform", "same platform", false, platform, "install the same release on both sides", "HOSTS_NOT_COMPATIBLE" },
    { "cpu-vendor", "same CPU vendor", true, cpu_vendor, "hosts of one pool need processors of one maker",
      "HOSTS_NOT_HOMOGENEOUS" },
    { "cpu-model", "same CPU model", true, cpu_model,
      "VMs started later use what all processors have in common; running ones may not move there", "" },
    { "cpu-features", "same CPU features", true, cpu_features,
      "the pool's features shrink to the common ones for VMs started later", "" },
    { "software", "same software", false, software, "install the same release on both sides", "HOSTS_NOT_HOMOGENEOUS" },
    { "updates", "same updates", false, updates, "apply the same updates on both sides", "HOSTS_NOT_HOMOGENEOUS" },
    { "shared-storage", "no shared storage", true, shared_storage,
      "forget the shared storage on the host, join, then add it to the pool", "JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS" },
    { "bonds", "management interface not bonded", true, bonds, "remove the bond, join, then bond again",
      "POOL_JOINING_HOST_HAS_BONDS" },
    { "tunnels", "no tunnels", false, tunnels, "remove the host's tunnels", "POOL_JOINING_HOST_HAS_TUNNELS" },
    { "sriov", "no SR-IOV networks", false, sriovs, "remove the host's SR-IOV networks", "POOL_JOINING_HOST_HAS_NETWORK_SRIOVS" },
    { "vlans", "no VLANs but the management's", false, other_vlans, "remove the host's VLANs; it inherits the pool's",
      "POOL_JOINING_HOST_HAS_NON_MANAGEMENT_VLANS" },
    { "management-vlan", "same management VLAN", false, management_vlan, "put both management interfaces on one VLAN",
      "POOL_JOINING_HOST_MANAGEMENT_VLAN_DOES_NOT_MATCH" },
    { "static-address", "static management address", true, static_address,
      "give the host a static address (a fixed DHCP lease is as good)", "" },
    { "clock", "clocks synchronised", true, clocks, "let both use the same time server (NTP)", "" },
    { "directory", "same directory service", false, directory, "join the host to the pool's directory, or leave it",
      "POOL_JOINING_EXTERNAL_AUTH_MISMATCH" },
    { "pooling", "the licence allows pools", false, may_pool, "the pool's licence does not include pooling",
      "LICENCE_RESTRICTION" },
    { "edition", "same edition", false, edition, "give the host the pool's licence", "LICENSE_HOST_POOL_MISMATCH" },
    { "network-backend", "same network backend", false, network_backend, "switch one side (xe-switch-network-backend)",
      "OPERATION_NOT_ALLOWED" },
    { "api-version", "same API version", false, api_version, "install the same release on both sides",
      "POOL_JOINING_HOST_MUST_HAVE_SAME_API_VERSION" },
    { "db-schema", "same database schema", false, db_schema, "install the same release on both sides",
      "POOL_JOINING_HOST_MUST_HAVE_SAME_DB_SCHEMA" },
    { "address-type", "same kind of address", false, address_type, "use IPv4 or IPv6 for management on both sides",
      "OPERATION_NOT_ALLOWED" },
    { "network-purpose", "network purposes that go together", false, network_purpose,
      "take nbd or insecure_nbd from one side's networks", "OPERATION_NOT_ALLOWED" },
    { "tls", "same checking of certificates", false, tls, "switch TLS verification on or off on both sides",
      "POOL_JOINING_HOST_TLS_VERIFICATION_MISMATCH" },
    { "sdn", "same SDN controller", false, sdn, "take the SDN controller from one side, or give both the same one",
      "OPERATION_NOT_ALLOWED" },
    { "authorities", "certificate authorities that go together", false, authorities,
      "uninstall the authority of that name on the host", "POOL_JOINING_HOST_CA_CERTIFICATES_CONFLICT" },
    { "updating", "no update running", false, updating, "wait until the update is done", "NOT_SUPPORTED_DURING_UPGRADE" },
    { "storage-drivers", "storage drivers as able", false, drivers, "install the same release on both sides",
      "POOL_JOINING_SM_FEATURES_INCOMPATIBLE" },
};
/* clang-format on */

_Static_assert(sizeof rules / sizeof *rules <= VT_JOIN_RULES_MAX, "room for every rule");

size_t vt_join_check(const struct vt_join_facts *joiner, const struct vt_join_facts *pool,
                     bool strict, struct vt_join_finding *out)
{
    size_t count = sizeof rules / sizeof *rules;

    for (size_t i = 0; i < count; i++) {
        out[i] = (struct vt_join_finding){ .rule = rules[i].name,
                                           .title = rules[i].title,
                                           .paper = rules[i].paper,
                                           .remedy = rules[i].remedy,
                                           .code = rules[i].code };
        out[i].verdict = rules[i].check(&(struct sides){ joiner, pool, &out[i] });
        if (strict && rules[i].paper && out[i].verdict == VT_JOIN_WARN)
            out[i].verdict = VT_JOIN_FAIL;
    }
    return count;
}

size_t vt_join_failures(const struct vt_join_finding *findings, size_t count)
{
    size_t failures = 0;

    for (size_t i = 0; i < count; i++)
        failures += findings[i].verdict == VT_JOIN_FAIL;
    return failures;
}

const char *vt_join_verdict_name(enum vt_join_verdict verdict)
{
    static const char *const names[] = { "ok", "warning", "fails" };

    return names[verdict];
}

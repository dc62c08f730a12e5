/* hypervisor/join_rules.h: may this host join that pool? Every rule of the paper and of XAPI, as
 * pure functions on plain structs. Nothing is asked here: hypervisor/join.h fills the facts. Any
 * thread.
 *
 * A rule of the paper that today's XAPI no longer enforces is a warning, and a failure when
 * `strict` is set. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    VT_JOIN_TEXT_MAX = 160,
    VT_JOIN_NAMES_MAX = 120,
    VT_JOIN_DRIVERS_MAX = 512,
    VT_JOIN_CAS_MAX = 64,
    VT_JOIN_RULES_MAX = 48
};

struct vt_join_driver { /* a capability of a storage driver */
    char type[32];
    char feature[48];
    int64_t version;
};

/* One side: the host that wants to join, or the pool by its master. Empty text: not known. */
/* A certificate authority that was installed by hand. */
struct vt_join_ca {
    char name[64], fingerprint[100];
};

struct vt_join_facts {
    char name[VT_JOIN_TEXT_MAX], address[VT_JOIN_TEXT_MAX], host_uuid[64], pool_uuid[64];
    char slave_of[VT_JOIN_TEXT_MAX]; /* the address of its master when it is a member of a pool */
    size_t host_count;

    char cpu_vendor[VT_JOIN_TEXT_MAX], cpu_modelname[VT_JOIN_TEXT_MAX], cpu_family[16],
        cpu_model[16], cpu_stepping[16];
    char cpu_features[VT_JOIN_TEXT_MAX];
    char brand[VT_JOIN_TEXT_MAX], platform_name[VT_JOIN_TEXT_MAX],
        platform_version[VT_JOIN_TEXT_MAX];
    char xapi[VT_JOIN_TEXT_MAX], git_id[VT_JOIN_TEXT_MAX], db_schema[VT_JOIN_TEXT_MAX],
        network_backend[VT_JOIN_TEXT_MAX];
    int64_t api_major, api_minor;
    char updates[VT_JOIN_TEXT_MAX]; /* those that must be the same on all */

    size_t shared_srs, running_vms, stopped_vms, busy_vms; /* stopped: suspended or paused */
    char shared_sr_names[VT_JOIN_NAMES_MAX], running_names[VT_JOIN_NAMES_MAX],
        stopped_names[VT_JOIN_NAMES_MAX], busy_names[VT_JOIN_NAMES_MAX];
    size_t pool_operations, pending_guidances;
    bool updating;

    int64_t clock_offset_ns, clock_error_ns; /* against our clock, and how far that may be wrong */

    size_t bonds, tunnels, sriovs, other_vlans;
    bool management_known, management_bonded, management_physical;
    char management_device[32], ip_mode[16], ip[64], address_type[16];
    int64_t management_vlan; /* -1: none */

    bool ha_enabled, clustered, restrict_pooling, tls_verification;
    char auth_type[VT_JOIN_TEXT_MAX], auth_name[VT_JOIN_TEXT_MAX], edition[VT_JOIN_TEXT_MAX];
    bool nbd, insecure_nbd; /* purposes of networks */

    char sdn[VT_JOIN_TEXT_MAX]; /* "ssl 10.0.0.5:6640", "" without an SDN controller */
    struct vt_join_ca cas[VT_JOIN_CAS_MAX];
    size_t ca_count;

    struct vt_join_driver drivers[VT_JOIN_DRIVERS_MAX];
    size_t driver_count;
};

enum vt_join_verdict { VT_JOIN_OK, VT_JOIN_WARN, VT_JOIN_FAIL };

struct vt_join_finding {
    const char *rule;  /* "cpu-vendor" */
    const char *title; /* "same CPU vendor" */
    bool paper;        /* the paper demands it */
    enum vt_join_verdict verdict;
    char joiner[VT_JOIN_TEXT_MAX], pool[VT_JOIN_TEXT_MAX]; /* what was compared */
    const char *remedy;                                    /* what to do when it is not OK */
    const char *code; /* what XAPI would answer; "" when it does not check */
};

/* Every rule, in the server's order, whether it holds or not. Returns how many; out has room for
 * VT_JOIN_RULES_MAX. */
size_t vt_join_check(const struct vt_join_facts *joiner, const struct vt_join_facts *pool,
                     bool strict, struct vt_join_finding *out);

size_t vt_join_failures(const struct vt_join_finding *findings, size_t count);
const char *vt_join_verdict_name(enum vt_join_verdict verdict); /* "ok", "warning", "fails" */

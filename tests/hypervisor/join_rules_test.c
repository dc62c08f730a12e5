/* Every rule of joining: two hosts that are alike may join; each thing that is changed breaks its
 * own rule and no other. */
#include "hypervisor/join_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/auto.h"

typedef void (*change_fn)(struct vt_join_facts *j, struct vt_join_facts *p);

static struct vt_join_facts good(const char *name, size_t hosts)
{
    struct vt_join_facts facts = {
        .host_count = hosts,
        .cpu_vendor = "GenuineIntel",
        .cpu_modelname = "Xeon",
        .cpu_family = "6",
        .cpu_model = "85",
        .cpu_stepping = "7",
        .cpu_features = "1f-2e",
        .brand = "XCP-ng",
        .platform_name = "XCP",
        .platform_version = "3.4.0",
        .xapi = "24.19",
        .db_schema = "5.780",
        .network_backend = "openvswitch",
        .api_major = 2,
        .api_minor = 21,
        .management_known = true,
        .management_physical = true,
        .management_device = "eth0",
        .ip_mode = "Static",
        .ip = "10.0.0.1",
        .address_type = "IPv4",
        .management_vlan = -1,
        .edition = "xcp-ng",
        .tls_verification = true,
        .drivers = { { "nfs", "VDI_SNAPSHOT", 2 } },
        .driver_count = 1,
    };

    snprintf(facts.name, sizeof facts.name, "%s", name);
    snprintf(facts.pool_uuid, sizeof facts.pool_uuid, "pool-of-%s", name);
    return facts;
}

#define CHANGE(name, code)                                                                         \
    static void name(struct vt_join_facts *j, struct vt_join_facts *p)                             \
    {                                                                                              \
        (void)j;                                                                                   \
        (void)p;                                                                                   \
        code;                                                                                      \
    }
#define SET(field, text) snprintf(field, sizeof(field), "%s", text)

/* clang-format off */
CHANGE(no_management, j->management_known = false)
CHANGE(ha_here, j->ha_enabled = true)
CHANGE(ha_there, p->ha_enabled = true)
CHANGE(clustered, j->clustered = true)
CHANGE(has_members, j->host_count = 3)
CHANGE(is_slave, SET(j->slave_of, "10.0.0.9"))
CHANGE(is_ours, SET(j->pool_uuid, p->pool_uuid))
CHANGE(runs, (j->running_vms = 2, SET(j->running_names, "A, B")))
CHANGE(suspended, j->stopped_vms = 1)
CHANGE(busy, j->busy_vms = 1)
CHANGE(pool_busy, j->pool_operations = 1)
CHANGE(guidance, j->pending_guidances = 1)
CHANGE(platform, SET(j->platform_version, "3.2.0"))
CHANGE(vendor, SET(j->cpu_vendor, "AuthenticAMD"))
CHANGE(model, SET(j->cpu_model, "106"))
CHANGE(stepping, SET(j->cpu_stepping, "6"))
CHANGE(features, SET(j->cpu_features, "1f-2f"))
CHANGE(version, SET(j->xapi, "23.31"))
CHANGE(update, SET(j->updates, "XS1"))
CHANGE(shared, (j->shared_srs = 1, SET(j->shared_sr_names, "NFS")))
CHANGE(bond, j->bonds = 1)
CHANGE(bonded, j->management_bonded = true)
CHANGE(tunnel, j->tunnels = 1)
CHANGE(sriov, j->sriovs = 1)
CHANGE(vlan, j->other_vlans = 1)
CHANGE(management_vlan, j->management_vlan = 40)
CHANGE(dhcp, SET(j->ip_mode, "DHCP"))
CHANGE(no_address, SET(j->ip, ""))
CHANGE(clock_far, j->clock_offset_ns = INT64_C(7000000000))
CHANGE(clock_near, j->clock_offset_ns = INT64_C(-3000000000))
CHANGE(directory, SET(j->auth_type, "AD"))
CHANGE(no_pooling, p->restrict_pooling = true)
CHANGE(edition, SET(j->edition, "free"))
CHANGE(backend, SET(j->network_backend, "bridge"))
CHANGE(api, j->api_minor = 20)
CHANGE(schema, SET(j->db_schema, "5.602"))
CHANGE(six, SET(j->address_type, "IPv6"))
CHANGE(purpose, (j->nbd = true, p->insecure_nbd = true))
CHANGE(tls, j->tls_verification = false)
CHANGE(sdn, SET(p->sdn, "ssl 10.0.0.5:6640"))
CHANGE(other_authority, (j->ca_count = p->ca_count = 1, SET(j->cas[0].name, "hospital.pem"), SET(p->cas[0].name, "hospital.pem"),
                         SET(j->cas[0].fingerprint, "AA:01"), SET(p->cas[0].fingerprint, "BB:02")))
CHANGE(updating, j->updating = true)
CHANGE(old_driver, j->drivers[0].version = 1)

static const struct {
    change_fn change;
    const char *rule;
    enum vt_join_verdict verdict, strict;
} table[] = {
    { no_management, "management", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { ha_here, "ha", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { ha_there, "ha", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { clustered, "clustering", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { has_members, "not-in-pool", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { is_slave, "not-in-pool", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { is_ours, "not-in-pool", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { runs, "running-vms", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { suspended, "suspended-vms", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { busy, "operations", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { pool_busy, "operations", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { guidance, "guidance", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { platform, "platform", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { vendor, "cpu-vendor", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { model, "cpu-model", VT_JOIN_WARN, VT_JOIN_FAIL },
    { stepping, "cpu-model", VT_JOIN_WARN, VT_JOIN_FAIL },
    { features, "cpu-features", VT_JOIN_WARN, VT_JOIN_FAIL },
    { version, "software", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { update, "updates", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { shared, "shared-storage", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { bond, "bonds", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { bonded, "bonds", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { tunnel, "tunnels", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { sriov, "sriov", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { vlan, "vlans", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { management_vlan, "management-vlan", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { dhcp, "static-address", VT_JOIN_WARN, VT_JOIN_FAIL },
    { no_address, "static-address", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { clock_far, "clock", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { clock_near, "clock", VT_JOIN_WARN, VT_JOIN_FAIL },
    { directory, "directory", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { no_pooling, "pooling", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { edition, "edition", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { backend, "network-backend", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { api, "api-version", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { schema, "db-schema", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { six, "address-type", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { purpose, "network-purpose", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { tls, "tls", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { sdn, "sdn", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { other_authority, "authorities", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { updating, "updating", VT_JOIN_FAIL, VT_JOIN_FAIL },
    { old_driver, "storage-drivers", VT_JOIN_FAIL, VT_JOIN_FAIL },
};
/* clang-format on */

static void check(const struct vt_join_facts *j, const struct vt_join_facts *p, bool strict,
                  const char *rule, enum vt_join_verdict verdict)
{
    struct vt_join_finding findings[VT_JOIN_RULES_MAX];
    size_t count = vt_join_check(j, p, strict, findings), seen = 0;

    for (size_t i = 0; i < count; i++) {
        bool its_own = rule && strcmp(findings[i].rule, rule) == 0;
        seen += its_own;
        if (findings[i].verdict != (its_own ? verdict : VT_JOIN_OK))
            fail_msg("%s changed: %s is '%s' (%s, %s)", rule, findings[i].rule,
                     vt_join_verdict_name(findings[i].verdict), findings[i].joiner,
                     findings[i].pool);
        assert_true(findings[i].joiner[0] && findings[i].pool[0] && findings[i].remedy &&
                    *findings[i].remedy);
    }
    assert_int_equal(seen, rule != NULL);
}

static void alike_hosts_may_join_also_strictly(void **state)
{
    (void)state;
    struct vt_join_facts j = good("new", 1), p = good("master", 3);

    check(&j, &p, false, NULL, VT_JOIN_OK);
    check(&j, &p, true, NULL, VT_JOIN_OK);
}

static void each_difference_breaks_its_own_rule_and_no_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < VT_COUNT(table); i++) {
        struct vt_join_facts j = good("new", 1), p = good("master", 3);
        table[i].change(&j, &p);
        check(&j, &p, false, table[i].rule, table[i].verdict);
        check(&j, &p, true, table[i].rule, table[i].strict);
    }
}

static void every_rule_is_broken_by_some_line_of_the_table(void **state)
{
    (void)state;
    struct vt_join_facts j = good("new", 1), p = good("master", 3);
    struct vt_join_finding findings[VT_JOIN_RULES_MAX];
    size_t count = vt_join_check(&j, &p, false, findings);

    for (size_t i = 0; i < count; i++) {
        bool covered = false;
        for (size_t k = 0; k < VT_COUNT(table); k++)
            covered |= strcmp(table[k].rule, findings[i].rule) == 0;
        if (!covered)
            fail_msg("no line breaks the rule %s", findings[i].rule);
    }
}

static void all_failures_are_counted_and_names_are_shown(void **state)
{
    (void)state;
    struct vt_join_facts j = good("new", 1), p = good("master", 3);
    struct vt_join_finding findings[VT_JOIN_RULES_MAX];

    runs(&j, &p);
    vendor(&j, &p);
    model(&j, &p);
    size_t count = vt_join_check(&j, &p, false, findings);
    assert_int_equal(vt_join_failures(findings, count), 2);
    for (size_t i = 0; i < count; i++)
        if (strcmp(findings[i].rule, "running-vms") == 0)
            assert_string_equal(findings[i].joiner, "2: A, B");
}

static void a_clock_is_judged_within_what_the_look_may_be_wrong(void **state)
{
    (void)state;
    struct vt_join_facts j = good("new", 1), p = good("master", 3);

    j.clock_offset_ns = INT64_C(1800000000);
    j.clock_error_ns = p.clock_error_ns = INT64_C(500000000);
    check(&j, &p, false, NULL, VT_JOIN_OK);
    j.clock_offset_ns = INT64_C(2200000000);
    check(&j, &p, false, "clock", VT_JOIN_WARN);
    j.clock_offset_ns = INT64_C(6100000000);
    check(&j, &p, false, "clock", VT_JOIN_FAIL);
    p.clock_offset_ns = j.clock_offset_ns; /* both wrong by the same: together they are fine */
    check(&j, &p, false, NULL, VT_JOIN_OK);
}

static void directory_names_compare_without_case_and_vlan_zero_is_none(void **state)
{
    (void)state;
    struct vt_join_facts j = good("new", 1), p = good("master", 3);

    SET(j.auth_name, "Hospital.example");
    SET(p.auth_name, "hospital.EXAMPLE");
    j.management_vlan = 0;
    check(&j, &p, false, NULL, VT_JOIN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alike_hosts_may_join_also_strictly),
        cmocka_unit_test(each_difference_breaks_its_own_rule_and_no_other),
        cmocka_unit_test(every_rule_is_broken_by_some_line_of_the_table),
        cmocka_unit_test(all_failures_are_counted_and_names_are_shown),
        cmocka_unit_test(a_clock_is_judged_within_what_the_look_may_be_wrong),
        cmocka_unit_test(directory_names_compare_without_case_and_vlan_zero_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

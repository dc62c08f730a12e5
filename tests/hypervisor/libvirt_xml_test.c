/* What is read out of libvirt's XML, and what is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifndef VT_HAVE_LIBVIRT

int main(void)
{
    puts("built without libvirt");
    return 0;
}

#else

#include "core/err.h"
#include "hypervisor/libvirt_state.h"
#include "tests/support/torture.h"

static void interfaces_are_read_and_written_with_their_link(void **state)
{
    static const char xml[] =
        "<domain><devices><interface type='bridge'><mac address='52:54:00:00:00:01'/>"
        "<source bridge='br0'/><link state='down'/></interface>"
        "<interface type='network'><mac address='52:54:00:00:00:02'/><source network='a&amp;b'/>"
        "</interface><disk device='disk'><source file='/a.qcow2'/></disk>"
        "<disk device='cdrom'><source file='/b.iso'/></disk>"
        "<disk device='disk'><source file='/c'/><readonly/></disk></devices></domain>";
    struct vt_libvirt_vif vifs[VT_LIBVIRT_VIFS_MAX];

    (void)state;
    assert_int_equal(vt_libvirt_vifs(xml, vifs), 2);
    assert_false(vifs[0].up);
    assert_string_equal(vifs[0].network, "br0");
    assert_true(vifs[1].up);
    assert_string_equal(vifs[1].network, "a&b");
    char *cut = vt_libvirt_vif_xml(xml, "52:54:00:00:00:02", false);
    assert_non_null(strstr(cut, "<link state=\"down\"/>"));
    assert_non_null(strstr(cut, "a&amp;b"));
    free(cut);
    assert_null(vt_libvirt_vif_xml(xml, "52:54:00:00:00:03", false));
    assert_int_equal(vt_libvirt_vifs("not xml", vifs), 0);
    char **disks = vt_libvirt_disks(xml);
    assert_string_equal(disks[0], "/a.qcow2");
    assert_null(disks[1]);
    vt_libvirt_disks_free(disks);
}

static void a_snapshots_xml_tells_what_it_keeps(void **state)
{
    (void)state;
    assert_true(vt_libvirt_has_memory(
        "<domainsnapshot><memory snapshot='internal'/><state>running</state></domainsnapshot>"));
    assert_false(vt_libvirt_has_memory("<domainsnapshot><memory snapshot='no'/></domainsnapshot>"));
    assert_true(vt_libvirt_has_memory("<domainsnapshot><state>paused</state></domainsnapshot>"));
    assert_true(vt_libvirt_is_external("<domainsnapshot><disks><disk name='vda' snapshot='no'/>"
                                       "<disk snapshot='external'/></disks></domainsnapshot>"));
    assert_false(vt_libvirt_is_external(
        "<domainsnapshot><disks><disk snapshot='internal'/></disks></domainsnapshot>"));
    assert_int_equal(vt_libvirt_creation_time(
                         "<domainsnapshot><creationTime>1700000000</creationTime></domainsnapshot>"),
                     1700000000);
}

static void an_agent_is_there_when_its_channel_is_connected(void **state)
{
    static const char golden[] =
        "<domain><devices><channel type='unix'>"
        "<source mode='bind' path='/var/lib/libvirt/qemu/channel/target/domain-1-w1/"
        "org.qemu.guest_agent.0'/><target type='virtio' name='%s' state='%s'/>"
        "<alias name='channel0'/></channel></devices></domain>";
    static const struct {
        const char *name, *state;
        bool there;
    } rows[] = {
        { "org.qemu.guest_agent.0", "connected", true },
        { "org.qemu.guest_agent.0", "disconnected", false },
        { "com.redhat.spice.0", "connected", false },
    };
    char xml[600];

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        snprintf(xml, sizeof xml, golden, rows[i].name, rows[i].state);
        assert_int_equal(vt_libvirt_has_agent(xml), rows[i].there);
    }
    assert_false(vt_libvirt_has_agent("<domain><devices/></domain>"));
    assert_false(vt_libvirt_has_agent("not xml"));
}

static void files_behind_a_disk_are_counted(void **state)
{
    static const char xml[] =
        "<domain><devices><disk device='disk'><source file='/top'/><backingStore type='file'>"
        "<source file='/middle'/><backingStore type='file'><source file='/base'/><backingStore/>"
        "</backingStore></backingStore></disk>"
        "<disk device='disk'><source file='/alone'/><backingStore/></disk></devices></domain>";

    (void)state;
    assert_int_equal(vt_libvirt_behind(xml, "/top"), 2);
    assert_int_equal(vt_libvirt_behind(xml, "/alone"), 0);
    assert_int_equal(vt_libvirt_behind(xml, "/base"), 0);
    assert_int_equal(vt_libvirt_behind("not xml", "/top"), 0);
}

static void a_copys_xml_shares_nothing_that_may_exist_once(void **state)
{
    static const char xml[] =
        "<domain><name>a</name><uuid>6f9b</uuid><os><nvram template='/t'>/a.fd</nvram></os><devices>"
        "<disk device='disk'><source file='/d/a.qcow2'/><backingStore type='file'/></disk>"
        "<disk device='cdrom'><source file='/d/b.iso'/><readonly/></disk>"
        "<interface type='bridge'><mac address='52:54:00:00:00:01'/><target dev='vit1'/></interface>"
        "<graphics type='spice'/><graphics type='vnc' port='5901' autoport='no'/></devices></domain>";
    char *from[] = { (char[]){ "/d/a.qcow2" }, NULL }, *to[] = { (char[]){ "/d/x&y-0.qcow2" }, NULL };

    (void)state;
    char *copy = vt_libvirt_copy_xml(xml, "x&y", from, to);
    assert_non_null(strstr(copy, "<name>x&amp;y</name>"));
    assert_non_null(strstr(copy, "<source file=\"/d/x&amp;y-0.qcow2\"/>"));
    assert_non_null(strstr(copy, "/d/b.iso"));
    assert_non_null(strstr(copy, "autoport=\"yes\""));
    static const char *const gone[] = { "uuid", "/a.fd", "backingStore", "52:54", "vit1", "5901" };
    for (size_t i = 0; i < VT_COUNT(gone); i++)
        assert_null(strstr(copy, gone[i]));
    free(copy);
    assert_int_equal(vt_libvirt_vnc(xml), 1);
    assert_int_equal(vt_libvirt_vnc("<domain><devices/></domain>"), -1);
    assert_null(vt_libvirt_copy_xml("not xml", "x", from, to));
    char *volume = vt_libvirt_volume_xml(
        "<volume><target><path>/d/a</path><format type='qcow2'/></target></volume>", "x&y", 42);
    assert_non_null(strstr(volume, "<name>x&amp;y</name><capacity>42</capacity>"));
    assert_non_null(strstr(volume, "<format type=\"qcow2\"/>"));
    free(volume);
}

/* ---- memory ---- */

static bool copy(void *context, struct vt_err *err)
{
    static const char xml[] = "<domain><name>a</name></domain>";
    char *none[] = { NULL };

    (void)context;
    char *made = vt_libvirt_copy_xml(xml, "b", none, none);
    bool ok = made || vt_fail(err, VT_E_NOMEM, "no memory for a copy");
    free(made);
    return ok;
}

static void any_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    assert_true(vt_torture(copy, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interfaces_are_read_and_written_with_their_link),
        cmocka_unit_test(a_snapshots_xml_tells_what_it_keeps),
        cmocka_unit_test(an_agent_is_there_when_its_channel_is_connected),
        cmocka_unit_test(files_behind_a_disk_are_counted),
        cmocka_unit_test(a_copys_xml_shares_nothing_that_may_exist_once),
        cmocka_unit_test(any_failing_allocation_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif

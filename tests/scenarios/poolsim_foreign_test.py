#!/usr/bin/python3
"""The pool simulator under a client that others wrote: XenAPI.py of Debian's python3-os-xenapi (and bare xmlrpc.client
where that one cannot go: local logins). Sessions, records, verbs, events, tasks, redirects, failover, storage, and every
error code of joining a pool."""
import http.client
import socket
import subprocess
import sys
import time
import unittest
import xmlrpc.client

from os_xenapi.client import XenAPI

from simulator import BIN, HOSTS, SPARES, Simulator, value, wait


class Sessions(Simulator):
    def test_a_wrong_password_is_refused_after_a_pause(self):
        session = XenAPI.Session(self.url())
        before = time.monotonic()
        self.failure("SESSION_AUTHENTICATION_FAILED", session.login_with_password, "root", "wrong")
        self.assertGreater(time.monotonic() - before, 0.09)

    def test_a_slave_names_the_address_of_its_master(self):
        details = self.failure("HOST_IS_SLAVE", XenAPI.Session(self.url(1)).login_with_password, "root", "vitrine")
        self.assertEqual(details[1], "127.0.0.1")

    def test_an_expired_session_is_renewed_by_the_client(self):
        session = self.login()
        old = session.handle
        self.ctl("expire-sessions")
        details = self.failure("SESSION_INVALID", lambda: value(self.plain().pool.get_all(old)))
        self.assertEqual(details[1], old)
        self.assertEqual(len(session.xenapi.pool.get_all()), 1)
        self.assertNotEqual(session.handle, old)

    def test_logging_out_ends_the_session(self):
        session = self.login()
        old = session.handle
        session.logout()
        self.failure("SESSION_INVALID", lambda: value(self.plain().pool.get_all(old)))

    def test_unknown_methods_and_wrong_counts_are_named(self):
        session = self.login()
        self.assertEqual(self.failure("MESSAGE_METHOD_UNKNOWN", session.xenapi.VM.levitate, "x")[1], "VM.levitate")
        self.assertEqual(self.failure("MESSAGE_PARAMETER_COUNT_MISMATCH", session.xenapi.VM.start)[1:], ["VM.start", "4", "1"])
        self.assertEqual(self.failure("HANDLE_INVALID", session.xenapi.VM.get_record, "OpaqueRef:x")[1:], ["VM", "OpaqueRef:x"])
        self.assertEqual(self.failure("UUID_INVALID", session.xenapi.VM.get_by_uuid, "x")[1:], ["VM", "x"])

    def test_a_map_key_is_added_once(self):
        session = self.login()
        vm = session.xenapi.VM.get_by_name_label("ws-0003")[0]
        session.xenapi.VM.add_to_other_config(vm, "vitrine:a", "é<1>")
        self.failure("MAP_DUPLICATE_KEY", session.xenapi.VM.add_to_other_config, vm, "vitrine:a", "2")
        self.assertEqual(session.xenapi.VM.get_other_config(vm), {"vitrine:a": "é<1>"})
        session.xenapi.VM.remove_from_other_config(vm, "vitrine:a")
        self.assertEqual(session.xenapi.VM.get_other_config(vm), {})

    def test_a_request_that_is_too_large_or_no_xml_gets_status_500(self):
        for body in (b"<methodCall>", b"x" * (300 * 1024 + 1)):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("POST", "/", body, {"Content-Type": "text/xml"})
                self.assertEqual(connection.getresponse().status, 500)
            except (BrokenPipeError, ConnectionResetError):
                pass   # it closed before the whole body was sent
            connection.close()
        self.login()

    def test_a_chunked_request_is_refused(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.assertIn(b" 500 ", connection.recv(100))

    def test_headers_beyond_1024_bytes_are_refused(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nCookie: " + b"c" * 1000 + b"\r\n\r\n")
            self.assertIn(b" 500 ", connection.recv(100))


class Machines(Simulator):
    def setUp(self):
        super().setUp()
        self.session = self.login()
        self.x = self.session.xenapi
        self.vm = self.x.VM.get_by_name_label("ws-0001")[0]

    def test_two_thirds_run_and_say_where(self):
        records = [r for r in self.x.VM.get_all_records().values()
                   if not (r["is_a_template"] or r["is_a_snapshot"] or r["is_control_domain"])]
        running = [r for r in records if r["power_state"] == "Running"]
        self.assertEqual((len(records), len(running)), (12, 8))
        addresses = {self.x.VM_guest_metrics.get_networks(r["guest_metrics"])["0/ip"] for r in running}
        self.assertEqual(len(addresses), 8)
        self.assertTrue(all(a.startswith("127.64.") for a in addresses))

    def test_every_verb_takes_the_vm_through_its_states(self):
        steps = [("pause", [], "Paused"), ("unpause", [], "Running"), ("suspend", [], "Suspended"),
                 ("resume", [False, False], "Running"), ("clean_reboot", [], "Running"), ("hard_reboot", [], "Running"),
                 ("clean_shutdown", [], "Halted"), ("start", [True, False], "Paused"), ("hard_shutdown", [], "Halted"),
                 ("start", [False, False], "Running"), ("shutdown", [], "Halted")]
        for verb, args, state in steps:
            getattr(self.x.VM, verb)(self.vm, *args)
            self.assertEqual(self.x.VM.get_power_state(self.vm), state, verb)

    def test_a_wrong_state_names_what_was_expected(self):
        self.assertEqual(self.failure("VM_BAD_POWER_STATE", self.x.VM.start, self.vm, False, False)[1:],
                         [self.vm, "halted", "running"])
        self.x.VM.hard_shutdown(self.vm)
        self.assertEqual(self.failure("VM_BAD_POWER_STATE", self.x.VM.hard_shutdown, self.vm)[1:],
                         [self.vm, "paused, suspended, running", "halted"])

    def test_templates_snapshots_and_control_domains_are_protected(self):
        template = self.x.VM.get_by_name_label("Windows 11")[0]
        self.failure("VM_IS_TEMPLATE", self.x.VM.start, template, False, False)
        self.failure("VM_CANNOT_DELETE_DEFAULT_TEMPLATE", self.x.VM.destroy, template)
        snapshot = self.x.VM.snapshot(self.vm, "s")
        self.failure("VM_IS_SNAPSHOT", self.x.VM.start, snapshot, False, False)
        self.failure("REVERT_ONLY_ALLOWED_ON_SNAPSHOT", self.x.VM.revert, self.vm)
        domain = [r for r, v in self.x.VM.get_all_records().items() if v["is_control_domain"]][0]
        self.failure("OPERATION_NOT_ALLOWED", self.x.VM.hard_shutdown, domain)

    def test_a_blocked_operation_gives_its_reason(self):
        self.x.VM.add_to_blocked_operations(self.vm, "hard_shutdown", "in use by a surgeon")
        self.assertNotIn("hard_shutdown", self.x.VM.get_allowed_operations(self.vm))
        self.assertEqual(self.failure("OPERATION_BLOCKED", self.x.VM.hard_shutdown, self.vm)[2], "in use by a surgeon")
        self.x.VM.remove_from_blocked_operations(self.vm, "hard_shutdown")
        self.x.VM.hard_shutdown(self.vm)

    def test_one_operation_excludes_another_but_not_a_hard_shutdown(self):
        call = self.plain().Async
        task = value(call.VM.suspend(self.session.handle, self.vm))
        details = self.failure("OTHER_OPERATION_IN_PROGRESS", self.x.VM.snapshot, self.vm, "s")
        self.assertEqual(details[1:], ["VM", self.vm, "suspend", task])
        self.x.VM.hard_shutdown(self.vm)
        wait(lambda: self.x.task.get_status(task) == "failure")
        self.assertEqual(self.x.task.get_error_info(task)[0], "VM_BAD_POWER_STATE")

    def test_a_task_shows_progress_result_and_failure(self):
        async_vm = self.plain().Async.VM
        task = value(async_vm.snapshot(self.session.handle, self.vm, "s"))
        self.assertEqual(self.x.task.get_name_label(task), "Async.VM.snapshot")
        self.assertIn("snapshot", self.x.VM.get_current_operations(self.vm).values())
        wait(lambda: self.x.task.get_status(task) == "success")
        ref = self.x.task.get_result(task).removeprefix("<value>").removesuffix("</value>")
        self.assertTrue(self.x.VM.get_is_a_snapshot(ref))
        self.assertEqual(self.x.VM.get_snapshot_of(ref), self.vm)
        self.ctl("fail-next-task", "SR_BACKEND_FAILURE_46")
        task = value(async_vm.snapshot(self.session.handle, self.vm, "t"))
        wait(lambda: self.x.task.get_status(task) == "failure")
        self.assertEqual(self.x.task.get_error_info(task)[0], "SR_BACKEND_FAILURE_46")
        task = value(async_vm.start(self.session.handle, self.vm, False, False))
        self.assertEqual(self.x.task.get_error_info(task)[0], "VM_BAD_POWER_STATE")
        self.x.task.destroy(task)
        self.failure("HANDLE_INVALID", self.x.task.get_status, task)

    def test_a_task_can_be_cancelled(self):
        task = value(self.plain().Async.VM.copy(self.session.handle, self.x.VM.get_by_name_label("ws-0003")[0], "c", "OpaqueRef:NULL"))
        self.x.task.cancel(task)
        wait(lambda: self.x.task.get_status(task) == "cancelled")
        self.assertEqual(self.x.VM.get_by_name_label("c"), [])
        self.failure("OPERATION_NOT_ALLOWED", self.x.task.cancel, task)

    def test_snapshots_lengthen_the_chain_until_the_driver_refuses(self):
        vdi = self.x.VBD.get_VDI(self.x.VM.get_VBDs(self.vm)[0])
        snapshots = [self.x.VM.snapshot(self.vm, f"s{i}") for i in range(29)]
        parent, depth = self.x.VDI.get_sm_config(vdi)["vhd-parent"], 1
        while parent:
            depth += 1
            parent = self.x.VDI.get_sm_config(self.x.VDI.get_by_uuid(parent)).get("vhd-parent")
        self.assertEqual(depth, 30)
        self.failure("SR_BACKEND_FAILURE_109", self.x.VM.snapshot, self.vm, "too deep")
        for snapshot in snapshots:
            disk = self.x.VBD.get_VDI(self.x.VM.get_VBDs(snapshot)[0])
            self.x.VM.destroy(snapshot)
            self.x.VDI.destroy(disk)
        wait(lambda: "vhd-parent" not in self.x.VDI.get_sm_config(vdi), what="the merge")
        self.assertEqual(self.x.VM.get_snapshots(self.vm), [])
        self.x.VM.snapshot(self.vm, "again")

    def test_a_full_storage_refuses_and_leaves_nothing_behind(self):
        before = len(self.x.VM.get_all())
        self.ctl("fill-sr", "Shared storage")
        details = self.failure("SR_BACKEND_FAILURE_44", self.x.VM.snapshot, self.vm, "s")
        self.assertEqual(details[1:], ["", "There is insufficient space", ""])
        self.failure("SR_BACKEND_FAILURE_44", self.x.VM.suspend, self.vm)
        self.assertEqual(len(self.x.VM.get_all()), before)

    def test_revert_brings_back_disks_and_halts(self):
        snapshot = self.x.VM.snapshot(self.vm, "s")
        disk = self.x.VBD.get_VDI(self.x.VM.get_VBDs(self.vm)[0])
        self.x.VM.revert(snapshot)
        self.assertEqual(self.x.VM.get_power_state(self.vm), "Halted")
        self.assertNotEqual(self.x.VBD.get_VDI(self.x.VM.get_VBDs(self.vm)[0]), disk)
        self.x.VM.start(self.vm, False, False)
        checkpoint = self.x.VM.checkpoint(self.vm, "c")
        self.x.VM.revert(checkpoint)
        self.assertEqual(self.x.VM.get_power_state(self.vm), "Suspended")

    def test_a_vm_is_made_from_a_template_and_destroyed(self):
        template = self.x.VM.get_by_name_label("Reading workstation")[0]
        self.failure("PROVISION_ONLY_ALLOWED_ON_TEMPLATE", self.x.VM.provision, self.x.VM.get_by_name_label("ws-0003")[0])
        new = self.x.VM.clone(template, "ws-new")
        self.x.VM.provision(new)
        self.assertFalse(self.x.VM.get_is_a_template(new))
        self.x.VM.start(new, False, False)
        wait(lambda: self.x.VM.get_guest_metrics(new) != "OpaqueRef:NULL", what="the guest agent")
        self.x.VM.hard_shutdown(new)
        self.x.VM.destroy(new)
        self.failure("HANDLE_INVALID", self.x.VM.get_record, new)

    def test_migration_moves_and_evacuation_empties(self):
        hosts = {self.x.host.get_name_label(h): h for h in self.x.host.get_all()}
        self.x.VM.pool_migrate(self.vm, hosts["host-02"], {"live": "true"})
        self.assertEqual(self.x.VM.get_resident_on(self.vm), hosts["host-02"])
        self.failure("HOST_NOT_DISABLED", self.x.host.reboot, hosts["host-02"])
        self.x.host.disable(hosts["host-02"])
        self.failure("HOST_DISABLED", self.x.VM.start_on, self.x.VM.get_by_name_label("ws-0003")[0], hosts["host-02"], False, False)
        self.failure("HOST_IN_USE", self.x.host.reboot, hosts["host-02"])
        self.assertEqual(self.x.host.get_vms_which_prevent_evacuation(hosts["host-02"]), {})
        self.x.host.evacuate(hosts["host-02"])
        self.assertEqual(len(self.x.host.get_resident_VMs(hosts["host-02"])), 1)   # the control domain
        self.x.host.enable(hosts["host-02"])

    def test_storage_that_is_unplugged_keeps_vms_away(self):
        host = self.x.host.get_by_name_label("host-03")[0]
        sr = self.x.SR.get_by_name_label("Shared storage")[0]
        pbd = [p for p in self.x.SR.get_PBDs(sr) if self.x.PBD.get_host(p) == host][0]
        self.failure("SR_BACKEND_FAILURE_16", self.x.PBD.unplug, pbd)
        for vm in self.x.host.get_resident_VMs(host):
            if not self.x.VM.get_is_control_domain(vm):
                self.x.VM.hard_shutdown(vm)
        self.x.PBD.unplug(pbd)
        halted = self.x.VM.get_by_name_label("ws-0003")[0]
        self.failure("VM_REQUIRES_SR", self.x.VM.start_on, halted, host, False, False)
        self.x.PBD.plug(pbd)
        self.x.VM.start_on(halted, host, False, False)
        self.x.SR.scan(sr)


class Events(Simulator):
    def setUp(self):
        super().setUp()
        self.session = self.login()
        self.x = self.session.xenapi

    def test_the_whole_state_comes_first_and_then_the_changes(self):
        first = self.from_(["*"], "")
        self.assertTrue(all(e["operation"] == "add" for e in first["events"]))
        self.assertEqual(first["valid_ref_counts"]["host"], HOSTS)
        vm = self.x.VM.get_by_name_label("ws-0001")[0]
        self.x.VM.set_name_description(vm, "seen")
        self.x.VM.add_tags(vm, "vitrine:monitored")
        then = self.from_(["VM"], first["token"])
        self.assertEqual([(e["class"], e["operation"], e["ref"]) for e in then["events"]], [("vm", "mod", vm)])
        self.assertEqual(then["events"][0]["snapshot"]["name_description"], "seen")
        self.assertEqual(then["events"][0]["snapshot"]["tags"], ["vitrine:monitored"])

    def from_(self, classes, token, timeout=5.0):
        return value(getattr(self.plain().event, "from")(self.session.handle, classes, token, timeout))

    def test_a_quiet_pool_answers_at_the_timeout_with_a_token(self):
        token = self.from_(["*"], "")["token"]
        before = time.monotonic()
        reply = self.from_(["VM"], token, 0.3)
        self.assertEqual(reply["events"], [])
        self.assertGreater(time.monotonic() - before, 0.28)
        self.assertLess(time.monotonic() - before, 2)

    def test_deletions_have_no_snapshot_and_what_came_and_went_is_not_told(self):
        vm = self.x.VM.get_by_name_label("ws-0003")[0]
        token = self.from_(["*"], "")["token"]
        brief = self.x.VM.clone(vm, "brief")
        self.x.VM.destroy(brief)
        self.assertEqual([e for e in self.from_(["VM"], token)["events"] if e["ref"] == brief], [])
        kept = self.x.VM.clone(vm, "kept")
        token = self.from_(["VM"], token)["token"]
        self.x.VM.destroy(kept)
        gone = [e for e in self.from_(["VM"], token)["events"] if e["ref"] == kept]
        self.assertEqual([e["operation"] for e in gone], ["del"])
        self.assertNotIn("snapshot", gone[0])

    def test_one_object_can_be_watched(self):
        vm, other = (self.x.VM.get_by_name_label(n)[0] for n in ("ws-0001", "ws-0002"))
        token = self.from_(["*"], "")["token"]
        self.x.VM.set_name_description(other, "not this")
        self.x.VM.set_name_description(vm, "this")
        self.assertEqual([e["ref"] for e in self.from_([f"VM/{vm}"], token)["events"]], [vm])

    def test_inject_brings_an_event_for_an_object(self):
        pool = self.x.pool.get_all()[0]
        token = self.x.event.inject("pool", pool)
        self.assertIn(pool, [e["ref"] for e in self.from_(["pool"], token)["events"]])

    def test_wrong_tokens_and_lost_events_are_failures(self):
        self.failure("EVENT_FROM_TOKEN_PARSE_FAILURE", self.from_, ["*"], "nonsense")
        self.failure("EVENT_SUBSCRIPTION_PARSE_FAILURE", self.from_, [""], "")
        self.ctl("lose-events")
        self.failure("EVENTS_LOST", self.from_, ["*"], "")
        self.assertTrue(self.from_(["*"], "")["events"])

    def test_a_blocked_call_ends_with_the_session(self):
        token = self.from_(["*"], "")["token"]
        killer = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.3; {BIN} ctl --port {self.port} expire-sessions"], stdout=subprocess.DEVNULL)
        self.failure("SESSION_INVALID", self.from_, ["VM"], token, 20.0)
        killer.wait()


class Joining(Simulator):
    """Spoils one rule after the other on the spare host; the code must be the one of the reference."""
    options = ["--vms", "3", "--guest-port", "0", "--pace", "0.01"]
    codes = {
        "ha": "HA_IS_ENABLED", "running-vm": "JOINING_HOST_CANNOT_HAVE_RUNNING_VMS",
        "operation": "JOINING_HOST_CANNOT_HAVE_VMS_WITH_CURRENT_OPERATIONS", "guidance": "HOST_PENDING_MANDATORY_GUIDANCE_NOT_EMPTY",
        "platform": "HOSTS_NOT_COMPATIBLE", "cpu-vendor": "HOSTS_NOT_HOMOGENEOUS", "version": "HOSTS_NOT_HOMOGENEOUS",
        "shared-storage": "JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS", "bond": "POOL_JOINING_HOST_HAS_BONDS",
        "tunnel": "POOL_JOINING_HOST_HAS_TUNNELS", "sriov": "POOL_JOINING_HOST_HAS_NETWORK_SRIOVS",
        "vlan": "POOL_JOINING_HOST_HAS_NON_MANAGEMENT_VLANS",
        "management-vlan": "POOL_JOINING_HOST_MANAGEMENT_VLAN_DOES_NOT_MATCH", "directory": "POOL_JOINING_EXTERNAL_AUTH_MISMATCH",
        "licence": "LICENSE_HOST_POOL_MISMATCH", "network-backend": "OPERATION_NOT_ALLOWED",
        "api-version": "POOL_JOINING_HOST_MUST_HAVE_SAME_API_VERSION", "db-schema": "POOL_JOINING_HOST_MUST_HAVE_SAME_DB_SCHEMA",
        "address-type": "OPERATION_NOT_ALLOWED", "tls": "POOL_JOINING_HOST_TLS_VERIFICATION_MISMATCH",
        "updating": "NOT_SUPPORTED_DURING_UPGRADE", "sm-features": "POOL_JOINING_SM_FEATURES_INCOMPATIBLE",
    }
    silent = {"suspended-vm", "cpu-model", "cpu-features", "dhcp", "clock"}   # today's server joins all the same

    def join(self, session, address="127.0.0.1", user="root", password="vitrine"):
        return session.xenapi.pool.join(address, user, password)

    def test_every_rule_that_is_broken_is_named_by_its_code(self):
        rules = self.ctl("rules").split()
        words = [r for r in rules if r.islower()]
        self.assertEqual(set(words), set(self.codes) | self.silent)
        for word in words:
            if word in self.silent:
                continue
            with self.subTest(rule=word):
                self.stop()
                self.process = subprocess.Popen([BIN, "--port", str(self.port), "--hosts", str(HOSTS), "--spares", str(SPARES),
                                                 *self.options], stderr=subprocess.PIPE, text=True)
                self.process.stderr.readline()
                self.ctl("break-join", "spare-01", word)
                self.failure(self.codes[word], self.join, self.login(HOSTS))

    def test_codes_whose_cause_is_not_modelled_are_raised_by_name(self):
        session = self.login(HOSTS)
        for code in (r for r in self.ctl("rules").split() if r.isupper()):
            self.ctl("break-join", "spare-01", code)
            self.failure(code, self.join, session)

    def test_a_join_to_the_wrong_place_is_refused(self):
        spare, master = self.login(HOSTS), self.login()
        self.failure("JOINING_HOST_CONNECTION_FAILED", self.join, spare, "127.0.0.99")
        self.failure("SESSION_AUTHENTICATION_FAILED", self.join, spare, "127.0.0.1", "root", "wrong")
        self.assertEqual(self.failure("HOST_IS_SLAVE", self.join, spare, "127.0.0.2")[1], "127.0.0.1")
        self.assertEqual(self.failure("OPERATION_NOT_ALLOWED", self.join, spare, f"127.0.0.{1 + HOSTS}")[1],
                         "Host cannot become slave of itself")
        self.assertEqual(self.failure("OPERATION_NOT_ALLOWED", self.join, master, "127.0.0.2")[1], "Host is already part of a pool")
        self.failure("JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS", self.join, master, f"127.0.0.{1 + HOSTS}")
        self.ctl("ha", "on")
        self.failure("HA_IS_ENABLED", self.join, spare)

    def test_force_skips_the_cpu_rule_only(self):
        spare = self.login(HOSTS)
        self.ctl("break-join", "spare-01", "cpu-vendor")
        self.ctl("break-join", "spare-01", "bond")
        self.failure("HOSTS_NOT_HOMOGENEOUS", self.join, spare)
        self.failure("POOL_JOINING_HOST_HAS_BONDS", spare.xenapi.pool.join_force, "127.0.0.1", "root", "vitrine")

    def test_a_host_joins_follows_its_master_and_is_ejected_again(self):
        master, spare = self.login(), self.login(HOSTS)
        uuid = spare.xenapi.host.get_uuid(spare.xenapi.host.get_all()[0])
        storage = {r["uuid"] for r in spare.xenapi.SR.get_all_records().values()}
        self.assertTrue(value(self.plain(HOSTS).Async.pool.join(spare.handle, "127.0.0.1", "root", "vitrine")))
        wait(lambda: len(master.xenapi.host.get_all()) == HOSTS + 1, what="the new member")
        host = master.xenapi.host.get_by_uuid(uuid)
        self.assertLessEqual(storage, {r["uuid"] for r in master.xenapi.SR.get_all_records().values()})
        self.assertEqual(len(master.xenapi.network.get_all()), 1)

        def redirected():
            try:
                self.login(HOSTS)
            except XenAPI.Failure as error:
                return error.details == ["HOST_IS_SLAVE", "127.0.0.1"]
            except OSError:
                return False
        wait(redirected, what="the redirect")
        self.failure("HOST_IS_MASTER", master.xenapi.pool.eject, master.xenapi.pool.get_master(master.xenapi.pool.get_all()[0]))
        master.xenapi.pool.eject(host)
        self.failure("HANDLE_INVALID", master.xenapi.host.get_record, host)

        def alone():
            try:
                return len(self.login(HOSTS).xenapi.host.get_all()) == 1
            except (XenAPI.Failure, OSError):
                return False
        wait(alone, what="the ejected host's own pool")


class Failover(Simulator):
    def local(self, host):
        proxy = self.plain(host)
        return proxy, value(proxy.session.slave_local_login_with_password("root", "vitrine"))

    def test_a_slave_without_a_master_is_recovered_by_a_local_login(self):
        session = self.login()
        vms = session.xenapi.VM.get_all_records()
        dead = session.xenapi.pool.get_master(session.xenapi.pool.get_all()[0])
        lost = [r for r, v in vms.items() if v["resident_on"] == dead and not v["is_control_domain"]]
        proxy, local = self.local(1)
        self.assertFalse(value(proxy.host.is_in_emergency_mode(local)))
        self.ctl("kill-master")
        with self.assertRaises(OSError):
            session.xenapi.pool.get_all()
        wait(lambda: value(proxy.host.is_in_emergency_mode(local)), what="emergency mode")
        self.failure("HOST_STILL_BOOTING", XenAPI.Session(self.url(1)).login_with_password, "root", "vitrine")
        self.failure("HOST_STILL_BOOTING", lambda: value(proxy.VM.get_all(local)))
        value(proxy.pool.emergency_transition_to_master(local))

        def new_master():
            try:
                return self.login(1)
            except (XenAPI.Failure, OSError):
                return None
        fresh = wait(new_master, what="the new master")
        self.assertEqual(len(fresh.xenapi.pool.recover_slaves()), 1)
        self.assertEqual(self.failure("HOST_IS_SLAVE", self.login, 2)[1], "127.0.0.2")
        self.failure("CANNOT_CONTACT_HOST", fresh.xenapi.VM.hard_shutdown, lost[0])
        self.assertEqual(fresh.xenapi.VM.get_power_state(lost[0]), "Running")
        self.failure("HOST_IS_LIVE", fresh.xenapi.host.declare_dead, fresh.xenapi.host.get_by_name_label("host-03")[0])
        fresh.xenapi.host.declare_dead(dead)
        self.assertEqual({fresh.xenapi.VM.get_power_state(r) for r in lost}, {"Halted"})
        fresh.xenapi.VM.start(lost[0], False, False)
        self.ctl("restore-host", "host-01")
        self.assertEqual(self.failure("HOST_IS_SLAVE", self.login, 0)[1], "127.0.0.2")

    def test_high_availability_forbids_the_emergency_calls(self):
        self.ctl("ha", "on")
        proxy, local = self.local(1)
        self.failure("HA_IS_ENABLED", lambda: value(proxy.pool.emergency_transition_to_master(local)))
        self.failure("HA_IS_ENABLED", lambda: value(proxy.pool.emergency_reset_master(local, "127.0.0.3")))
        value(proxy.host.emergency_ha_disable(local))
        value(proxy.session.local_logout(local))
        self.failure("HOST_IS_SLAVE", lambda: value(proxy.host.is_in_emergency_mode(local)))

    def test_a_designated_master_takes_over_with_everybody_following(self):
        session = self.login()
        session.xenapi.pool.designate_new_master(session.xenapi.host.get_by_name_label("host-03")[0])

        def there():
            try:
                return self.login(2)
            except (XenAPI.Failure, OSError):
                return None
        wait(there, what="the new master")

        def follows():
            try:
                self.login(0)
            except XenAPI.Failure as error:
                return error.details == ["HOST_IS_SLAVE", "127.0.0.3"]
            except OSError:
                return False
        wait(follows, what="the old master as a slave")
        self.assertEqual(self.failure("HOST_IS_SLAVE", self.login, 1)[1], "127.0.0.3")

    def test_an_answer_may_be_lost_although_the_work_was_done(self):
        session = self.login()
        vm = session.xenapi.VM.get_by_name_label("ws-0001")[0]
        self.ctl("drop-connections", "1")
        # one try and no more: xmlrpc.client repeats a request on a connection that was dropped
        body = xmlrpc.client.dumps((session.handle, vm, "done"), "VM.set_name_description")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", "/", body, {"Content-Type": "text/xml"})
        with self.assertRaises((http.client.RemoteDisconnected, ConnectionResetError)):
            connection.getresponse()
        connection.close()
        self.assertEqual(session.xenapi.VM.get_name_description(vm), "done")

    def test_two_masters_can_claim_the_pool(self):
        self.ctl("claim-master", "host-02", "on")
        first, second = self.login(0), self.login(1)
        self.assertEqual(*(x.xenapi.pool.get_uuid(x.xenapi.pool.get_all()[0]) for x in (first, second)))
        self.ctl("claim-master", "host-02", "off")
        self.failure("HOST_IS_SLAVE", self.login, 1)

    def test_fields_of_another_version_are_missing_or_unheard_of(self):
        session = self.login()
        vm = session.xenapi.VM.get_by_name_label("ws-0001")[0]
        self.ctl("hide-field", "VM.domain_type")
        self.ctl("set", "VM.power_state", "ws-0001", "Levitating")
        record = session.xenapi.VM.get_record(vm)
        self.assertNotIn("domain_type", record)
        self.assertEqual(record["power_state"], "Levitating")

    def test_clocks_differ_on_demand(self):
        session = self.login()
        host = session.xenapi.host.get_by_name_label("host-02")[0]
        self.ctl("clock", "host-02", "90")
        parse = lambda d: time.mktime(time.strptime(str(d), "%Y%m%dT%H:%M:%SZ"))
        master = session.xenapi.host.get_by_name_label("host-01")[0]
        skew = parse(session.xenapi.host.get_servertime(host)) - parse(session.xenapi.host.get_servertime(master))
        self.assertAlmostEqual(skew, 90, delta=2)


if __name__ == "__main__":
    sys.exit(unittest.main(warnings="ignore"))

#!/usr/bin/python3
"""DICOM over TLS with DCMTK's tools and our own: who is let in by which certificate, what is refused, and that peers and
certificates are read again without a restart."""
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys

import cases
from cases import equal, until
from node import BIN, SKIPPED, Node, free_port, object_files, work_folder, json_lines
from rawdicom import EXPLICIT, SECONDARY_CAPTURE, VERIFICATION, Association, Rejected, instance, part10

WAIT = 60


class Authority:
    """A CA that signs, and revokes."""
    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        folder.mkdir()
        (folder / "index.txt").touch()
        (folder / "crlnumber").write_text("01\n")
        (folder / "ca.cnf").write_text(f"[ca]\ndefault_ca=own\n[own]\ndatabase={folder}/index.txt\ncrlnumber={folder}/crlnumber\n"
                                       "default_md=sha256\ndefault_crl_days=30\n")
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={name}",
                     "-keyout", "ca.key", "-out", "ca.pem")

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def sign(self, name, days=30):
        """Paths of certificate and key."""
        (self.folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}/O=Hospital", "-keyout", f"{name}.key",
                     "-out", f"{name}.csr")
        dates = ["-days", str(days)] if days > 0 else ["-days", "-1"]
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext",
                     *dates, "-out", f"{name}.pem")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def revoke(self, *certificates):
        for certificate in certificates:
            self.openssl("ca", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-revoke", str(certificate))
        self.openssl("ca", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-gencrl", "-out", "crl.pem")
        return self.folder / "crl.pem"


class World:
    """A node with both ports, its configuration in a file, and certificates of all kinds."""
    def __init__(self, work):
        self.work = work
        self.ca, self.stranger = Authority(work / "ca", "Hospital-CA"), Authority(work / "stranger", "Stranger-CA")
        self.node_cert = self.ca.sign("node")
        self.ct1, self.ct2 = self.ca.sign("ct1"), self.ca.sign("ct2")
        self.expired, self.revoked = self.ca.sign("expired", days=0), self.ca.sign("revoked")
        self.foreign = self.stranger.sign("foreign")
        self.crl = self.ca.revoke(self.revoked[0])
        self.conf, self.tls_port = work / "vitrine.conf", free_port()
        self.current = {"cert": self.node_cert, "peers": self.peers()}
        self.write()
        self.node = Node(work / "node")
        self.node.options = ["-c", str(self.conf)]
        self.node.command = [str(BIN / "vitrined"), *self.node.options]
        self.write()
        self.file = work / "one.dcm"
        self.file.write_bytes(part10(instance("1.4.1"), EXPLICIT, SECONDARY_CAPTURE, "1.4.1"))

    def peers(self):
        return ('[peer "CT1"]\ntls = yes\ntls_subject = CN=ct1\nfrom = 127.0.0.1\n'
                '[peer "FINE"]\ntls_fingerprint = ' + fingerprint(self.ct2[0]) + '\n'
                '[peer "SCANNER"]\ncalled = OTHER\n'
                '[peer "SMALL"]\ninstances_per_day = 2\n'
                '[peer "PLAIN"]\n')

    def write(self):
        port = getattr(getattr(self, "node", None), "port", 1)
        self.conf.write_text(f"""[archive]
path = {self.work / 'node'}
[dicom]
port = {port}
tls_port = {self.tls_port}
more_titles = OTHER
tls_certificate = {self.current['cert'][0]}
tls_key = {self.current['cert'][1]}
tls_ca = {self.ca.folder / 'ca.pem'}
tls_crl = {self.crl}
{self.current['peers']}""")

    def reload(self):
        self.write()
        count = sum("configuration.reloaded" in line for line in self.node.lines)
        os.kill(self.node.process.pid, signal.SIGHUP)
        until(lambda: sum("configuration.reloaded" in line for line in self.node.lines) > count, "it is reloaded")

    def dcmtk(self, tool, certificate, calling="PLAIN", port=None, called="VITRINE", *more):
        """Exit status and output of a DCMTK tool over TLS."""
        identity = ["+tls", str(certificate[1]), str(certificate[0])] if certificate else ["+tla"]
        command = [tool, *identity, "+cf", str(self.ca.folder / "ca.pem"), "-aet", calling, "-aec", called, *more, "127.0.0.1",
                   str(port or self.tls_port)]
        if tool == "storescu":
            command.append(str(self.file))
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT)
        return done.returncode, done.stdout + done.stderr

    def logged(self, *words):
        until(lambda: any(all(w in line for w in words) for line in self.node.lines), f"a line with {words}", 20)


def fingerprint(path):
    der = ssl.PEM_cert_to_DER_cert(path.read_text()[path.read_text().index("-----BEGIN"):])
    return hashlib.sha256(der).hexdigest()


def refused(result, *words):
    assert result[0] != 0, f"it was let in: {result[1]}"
    for word in words:
        assert word in result[1], result[1]


def case_a_trusted_certificate_stores_with_dcmtk(world):
    status, output = world.dcmtk("storescu", world.ct1, "PLAIN")
    equal(status, 0, output)
    equal(len(object_files(world.node.path)["1.4.1"]), 1)


def case_no_certificate_is_refused(world):
    refused(world.dcmtk("echoscu", None))
    world.logged("connection.refused", "certificate")


def case_a_strangers_certificate_is_refused(world):
    refused(world.dcmtk("echoscu", world.foreign))


def case_an_expired_certificate_is_refused_and_named(world):
    refused(world.dcmtk("echoscu", world.expired))
    world.logged("connection.refused", "expired")


def case_a_revoked_certificate_is_refused_and_named(world):
    refused(world.dcmtk("echoscu", world.revoked))
    world.logged("connection.refused", "revoked")


def case_the_peers_subject_must_be_in_the_certificate(world):
    equal(world.dcmtk("echoscu", world.ct1, "CT1")[0], 0)
    refused(world.dcmtk("echoscu", world.ct2, "CT1"), "Calling AE Title Not Recognized")
    world.logged("association.refused", "aet=CT1", "certificate is not the one")


def case_the_peers_fingerprint_must_be_the_certificates(world):
    equal(world.dcmtk("echoscu", world.ct2, "FINE")[0], 0)
    refused(world.dcmtk("echoscu", world.ct1, "FINE"), "Calling AE Title Not Recognized")


def case_a_peer_of_tls_is_refused_on_the_plain_port(world):
    try:
        Association(world.node.port, calling="CT1").close()
    except Rejected as e:
        equal((e.result, e.source, e.reason), (1, 1, 3))
    else:
        raise AssertionError("it was let in")


def case_a_called_title_must_be_the_peers(world):
    with Association(world.node.port, calling="SCANNER", called="OTHER") as a:
        equal(a.echo(), 0)
    try:
        Association(world.node.port, calling="SCANNER").close()
    except Rejected as e:
        equal((e.result, e.source, e.reason), (1, 1, 7))
    else:
        raise AssertionError("it was let in")


def case_a_peer_stores_as_much_as_it_may_in_a_day(world):
    with Association(world.node.port, calling="SMALL", contexts=[(SECONDARY_CAPTURE, [EXPLICIT])]) as a:
        equal([a.store(SECONDARY_CAPTURE, f"1.4.7{i}", instance(f"1.4.7{i}"))[0] for i in range(3)], [0, 0, 0xA700])


def case_tls_1_1_is_refused(world):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    try:
        with socket.create_connection(("127.0.0.1", world.tls_port), 20) as s, context.wrap_socket(s):
            raise AssertionError("TLS 1.1 was spoken")
    except ssl.SSLError:
        pass


def served(world):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(*map(str, world.ct1))
    with socket.create_connection(("127.0.0.1", world.tls_port), 20) as s, context.wrap_socket(s) as t:
        return hashlib.sha256(t.getpeercert(True)).hexdigest()


def case_peers_and_certificates_are_read_again(world):
    equal(served(world), fingerprint(world.node_cert[0]))
    with Association(world.node.port, calling="PLAIN") as stays:
        world.current = {"cert": world.ca.sign("renewed"), "peers": world.peers() + '[peer "NEW"]\ncalled = OTHER\n'}
        world.revoked_later = world.ca.sign("later")
        equal(world.dcmtk("echoscu", world.revoked_later)[0], 0)
        world.crl = world.ca.revoke(world.revoked_later[0])
        world.reload()
        equal(served(world), fingerprint(world.current["cert"][0]))
        equal(stays.echo(), 0, "an association goes on")
    refused(world.dcmtk("echoscu", world.revoked_later))
    with Association(world.node.port, calling="NEW", called="OTHER") as a:
        equal(a.echo(), 0)
    try:
        Association(world.node.port, calling="NEW").close()
        raise AssertionError("the new entry is not used")
    except Rejected:
        pass


def case_a_wrong_configuration_changes_nothing(world):
    kept = world.conf.read_text()
    world.conf.write_text(kept.replace("[dicom]", "[dicom]\nae_title = THIS-TITLE-IS-TOO-LONG"))
    os.kill(world.node.process.pid, signal.SIGHUP)
    world.logged("configuration.not-reloaded")
    world.conf.write_text(kept)
    with Association(world.node.port, calling="PLAIN") as a:
        equal(a.echo(), 0)


def vitrine(*words):
    return subprocess.run([str(BIN / "vitrine"), *map(str, words)], capture_output=True, text=True, timeout=WAIT,
                          stdin=subprocess.DEVNULL, env=dict(os.environ, VITRINE_CONF=""))


def case_our_commands_speak_tls(world):
    ours = ["--cert", world.ct1[0], "--key", world.ct1[1], "--ca", world.ca.folder / "ca.pem"]
    peer = f"VITRINE@localhost:{world.tls_port}"
    equal(vitrine("echo", peer, *ours).returncode, 0)
    sent = vitrine("send", peer, world.file, *ours)
    equal(sent.returncode, 0, sent.stderr)
    wrong = vitrine("echo", peer, *ours[:4], "--ca", world.stranger.folder / "ca.pem")
    equal(wrong.returncode, 1)
    assert "certificate is not accepted" in wrong.stderr, wrong.stderr
    nothing = vitrine("echo", peer, "--tls")
    equal(nothing.returncode, 2)
    assert "--ca" in nothing.stderr, nothing.stderr
    by_entry = vitrine("-o", "peer.A.host=127.0.0.1", "-o", f"peer.A.port={world.tls_port}", "-o", "peer.A.ae_title=VITRINE",
                       "-o", "peer.A.tls=yes", "-o", f"peer.A.tls_ca={world.ca.folder / 'ca.pem'}", "-o",
                       f"peer.A.tls_certificate={world.ct1[0]}", "-o", f"peer.A.tls_key={world.ct1[1]}", "-o",
                       "peer.A.tls_fingerprint=" + fingerprint(world.ct2[0]), "echo", "A")
    equal(by_entry.returncode, 1)
    assert "another's" in by_entry.stderr, by_entry.stderr


def case_explain_names_cause_and_remedy(world):
    ours = ["--cert", world.ct1[0], "--key", world.ct1[1], "--ca", world.ca.folder / "ca.pem"]

    def explained(peer, *more):
        return vitrine("-c", world.conf, "peer", "explain", peer, *more).stdout
    fine = explained(f"VITRINE@localhost:{world.tls_port}", *ours)
    assert "It answered" in fine and "Storage commitment" in fine and " TLS" in fine, fine
    assert "does not call itself WRONG" in explained(f"WRONG@localhost:{world.tls_port}", *ours)
    assert "nothing listens on port" in explained(f"VITRINE@127.0.0.1:{free_port()}")
    assert "set tls_ca" in explained(f"VITRINE@localhost:{world.tls_port}", *ours[:4], "--ca", world.stranger.folder / "ca.pem")
    assert "certificate is not the one" in explained("CT1"), explained("CT1")


def case_a_move_goes_to_a_destination_by_tls(world):
    """The destination is DCMTK's storescp with TLS; the node shows its own certificate there."""
    port, folder = free_port(), world.work / "received"
    folder.mkdir()
    world.current["peers"] += (f'[peer "SINK"]\nhost = localhost\nport = {port}\ntls = yes\n')
    world.reload()
    storescp = subprocess.Popen(["storescp", "+tls", str(world.ct2[1]), str(world.ct2[0]), "+cf", str(world.ca.folder / "ca.pem"),
                                 "-od", str(folder), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: reachable(port), "storescp listens")
        moved = subprocess.run(["movescu", "-aet", "PLAIN", "-aec", "VITRINE", "-aem", "SINK", "-S", "-k", "QueryRetrieveLevel=STUDY",
                                "-k", "StudyInstanceUID=1.2.3.4", "127.0.0.1", str(world.node.port)],
                               capture_output=True, text=True, timeout=WAIT)
        equal(moved.returncode, 0, moved.stderr)
        until(lambda: any(folder.iterdir()), "the instance is there")
        send_as_a_job(world, port, len(list(folder.iterdir())), folder)
    finally:
        storescp.terminate()
        storescp.wait(20)


def send_as_a_job(world, port, before, folder):
    """A job shows the node's certificate, and looks at the peer's: it must be the one that the entry names."""
    world.current["peers"] += (f'[peer "RIGHT"]\nae_title = SINK2\nhost = localhost\nport = {port}\ntls = yes\ntls_subject = CN=ct2\n'
                               f'[peer "WRONG"]\nae_title = SINK3\nhost = localhost\nport = {port}\ntls = yes\ntls_subject = CN=ct1\n')
    world.reload()
    sent = world.node.cli("send", "RIGHT", "StudyInstanceUID=1.2.3.4")
    equal(sent.returncode, 0, sent.stdout + sent.stderr)
    assert len(list(folder.iterdir())) >= before
    queued = world.node.cli("send", "WRONG", "StudyInstanceUID=1.2.3.4", "--background")
    equal(queued.returncode, 0, queued.stderr)
    until(lambda: any("certificate is another's" in j["reason"]
                                          for j in json_lines(world.node.cli("job", "list", "--json").stdout)), "the job says why")


def reachable(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def case_a_restart_gives_a_peer_no_second_day(world):
    world.current["peers"] = world.peers()
    world.write()
    world.node.stop()
    world.node.start()
    with Association(world.node.port, calling="SMALL", contexts=[(SECONDARY_CAPTURE, [EXPLICIT])]) as a:
        equal(a.store(SECONDARY_CAPTURE, "1.4.79", instance("1.4.79"))[0], 0xA700)


def main():
    if not shutil.which("openssl"):
        print("openssl is not installed")
        return SKIPPED
    with work_folder("tls") as name:
        world = World(pathlib.Path(name))
        with world.node:
            return cases.run(globals(), world)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""Answers to C-STORE come from whoever commits the group: in order, one for each, also for peers that send ahead, read late, leave
early or share a group with many."""
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rawdicom as raw
from cases import equal, run
from node import Node, object_files, work_folder

CONTEXTS = [(raw.SECONDARY_CAPTURE, [raw.EXPLICIT]), (raw.VERIFICATION, [raw.IMPLICIT])]
STUDY = "1.2.826.0.1.3680043.8.498.77"
AHEAD, PEERS, ROUNDS = 200, 24, 20
SMALL_BUFFER = 4096


def uid(case, i):
    return f"{STUDY}.{case}.{i}"


def request(a, sop, series=f"{STUDY}.1"):
    """Sends a C-STORE and does not wait."""
    number = a.next_id()
    a.send_message(a.context_of(raw.SECONDARY_CAPTURE),
                   {0x0002: raw.SECONDARY_CAPTURE, 0x0100: raw.C_STORE, 0x0110: number, 0x0700: 0, 0x0800: 0, 0x1000: sop},
                   raw.instance(sop, STUDY, series))
    return number


def expect(a, number, status=0):
    values = a.receive_message(30)[1]
    equal((raw.us(values, 0x0120), raw.us(values, 0x0900)), (number, status))


def stored(node):
    return set(object_files(node.path))


def case_a_peer_that_sends_ahead_is_answered_in_order(node):
    with raw.Association(node.port, contexts=CONTEXTS, timeout=30) as a:
        numbers = [request(a, uid(1, i)) for i in range(AHEAD)]
        context = a.context_of(raw.VERIFICATION)
        last = a.next_id()
        a.send_message(context, {0x0002: raw.VERIFICATION, 0x0100: raw.C_ECHO, 0x0110: last, 0x0800: raw.NO_DATA_SET})
        for number in numbers + [last]:
            expect(a, number)
    equal({uid(1, i) for i in range(AHEAD)} - stored(node), set())


def case_a_peer_that_reads_late_gets_every_answer(node):
    """Its window takes a few answers only: the rest waits for it, not the node."""
    with raw.Association(node.port, contexts=CONTEXTS, timeout=60) as a:
        a.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        numbers = []
        sender = threading.Thread(target=lambda: numbers.extend(request(a, uid(2, i)) for i in range(AHEAD)))
        sender.start()
        with raw.Association(node.port, contexts=CONTEXTS, timeout=30) as other:
            for i in range(ROUNDS):
                equal(other.store(raw.SECONDARY_CAPTURE, uid(3, i), raw.instance(uid(3, i), STUDY))[0], 0)
        for i in range(AHEAD):
            equal(raw.us(a.receive_message(60)[1], 0x0120), i + 1)
        sender.join()


def case_who_leaves_before_the_answer_hurts_nobody(node):
    for i in range(ROUNDS):
        a = raw.Association(node.port, contexts=CONTEXTS, timeout=30)
        request(a, uid(4, i))
        (a.abort, a.close, a.release)[i % 3]()
        a.close()
    with raw.Association(node.port, contexts=CONTEXTS, timeout=30) as a:
        for i in range(ROUNDS):                      # the same again, perhaps while the first is under way
            equal(a.store(raw.SECONDARY_CAPTURE, uid(4, i), raw.instance(uid(4, i), STUDY, f"{STUDY}.1"))[0], 0)
    files = object_files(node.path)
    equal([len(files[uid(4, i)]) for i in range(ROUNDS)], [1] * ROUNDS)


def case_many_in_one_group_are_answered_each(node):
    failures = []

    def peer(k):
        try:
            with raw.Association(node.port, calling=f"P{k}", contexts=CONTEXTS, timeout=60) as a:
                for i in range(ROUNDS):
                    expect(a, request(a, uid(5, k * ROUNDS + i), f"{STUDY}.5.{k}"))
                    # Everyone's: the first copy is kept, the others are identical.
                    expect(a, request(a, uid(6, i), f"{STUDY}.6"))
        except Exception as e:                       # told by the case
            failures.append((k, e))

    peers = [threading.Thread(target=peer, args=(k,)) for k in range(PEERS)]
    for one in peers:
        one.start()
    for one in peers:
        one.join()
    equal(failures, [])
    files = object_files(node.path)
    equal([len(files[uid(6, i)]) for i in range(ROUNDS)], [1] * ROUNDS)
    equal({uid(5, i) for i in range(PEERS * ROUNDS)} - set(files), set())


def case_a_refusal_is_told_on_the_same_way(node):
    with raw.Association(node.port, contexts=CONTEXTS, timeout=30) as a:
        status, values = a.store(raw.SECONDARY_CAPTURE, uid(7, 1), raw.instance(uid(7, 2), STUDY))
        equal(status, 0xA900)
        equal(bool(raw.comment_of(values)), True)
        equal(a.store(raw.SECONDARY_CAPTURE, uid(7, 1), raw.instance(uid(7, 1), STUDY))[0], 0)


def main():
    with work_folder("store-answers") as folder:
        node = Node(f"{folder}/archive", [])
        with node:
            status = run(globals(), node)
        if node.process.returncode != 0:
            print("vitrined ended with", node.process.returncode, *node.lines[-20:], sep="\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())

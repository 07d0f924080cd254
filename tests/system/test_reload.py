"""SIGHUP and `tiercast reload`: what a file's changes do to a node in the middle of a broadcast, and what they must not."""
import json
import os
import select
import signal
import socket
import subprocess
import time

import trees
from harness import check, equal, eventually


def write(node, text=None):
    """The node's file, as its fields say now; written aside and renamed, as an operator's tools do."""
    beside = node.config_path + ".new"
    with open(beside, "w", encoding="utf-8") as file:
        file.write(node.config() if text is None else text)
    os.rename(beside, node.config_path)


def reload(node):
    """Exit status, lines of standard output, lines of standard error."""
    done = subprocess.run(node.host.command([node.binary, "reload", "--socket", node.socket]), capture_output=True, text=True,
                          timeout=30)
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def told(node, event):
    """The log's lines of that event."""
    return [line for line in node.log().splitlines() if f" {event}" in line]


def another_group(t, number, name, pinned=True):
    """A group of nobody's source: more TOML for a node."""
    if not hasattr(t, "other_key"):
        t.other_key = t.keygen(os.path.join(t.dir, "other.key"), "--source").public
    return (f'[[group]]\nname = "{name}"\nid = {number}\npinned = {str(pinned).lower()}\n'
            f'sources = [{{ id = 1, key = "{t.other_key}" }}]\n')


def test_a_relay_added_in_the_middle_of_a_broadcast_joins_and_its_listeners_hear(t):
    tree = trees.Tree(t).start()
    first = t.listener("ear-first", [tree.edge], host=tree.ears).start()
    trees.listening(tree.origin, 1)
    encoder = t.encoder(tree.origin.host, t.speech(12))
    eventually(lambda: trees.group(tree.origin)["input"]["packets"] > 50, 15, "speech comes in")
    added = t.node("added", upstreams=[tree.relay])  # whom the relay's file does not name yet
    added.start()
    eventually(lambda: told(added, "parent_denied"), 10, "it is not let in before the relay knows it")
    write(tree.relay)
    equal(reload(tree.relay), (0, ['downstream "added" added'], []), "what the reload says")
    trees.live(added, timeout=15)  # it asks again 5 s after a refusal, at the latest 7.5
    late = t.listener("ear-late", [added], host=t.host("ears-late")).start()
    trees.listening(tree.origin, 2)
    eventually(lambda: trees.group(added)["newest"] > 0, 5, "frames at the new relay")
    encoder.wait(30)
    trees.end(tree.origin, [first, late])
    for listener in (first, late):
        trees.dense(listener)
        check(len(listener.heard()) > 25, f"{listener.name} heard {len(listener.heard())} frames of speech")
    equal(len(told(tree.relay, "reloaded")), 1, "one line in the relay's log")


def test_a_hundred_reloads_during_a_broadcast_cost_no_frame_and_no_lease(t):
    source = t.new_source()
    origin = t.node("origin", source=source)
    relays = [t.node(f"relay-{n}", upstreams=[origin]) for n in "ab"]
    edge = t.node("edge", upstreams=relays)
    for node in (origin, *relays, edge):
        node.start()
    trees.live(edge, parents=2)
    ears = t.host("ears")
    listeners = [t.listener(f"ear-{i}", [edge], host=ears).start() for i in range(3)]
    trees.listening(origin, 3)
    tap = t.capture(origin.host)
    encoder = t.encoder(origin.host, t.speech(20))
    eventually(lambda: trees.group(origin)["input"]["packets"] > 50, 15, "speech comes in")
    stranger = t.keygen(os.path.join(t.dir, "stranger.key")).public
    plain = edge.config()
    more = plain.replace('level = "debug"', 'level = "info"') + another_group(t, 7, "other")
    more += f'[[downstream]]\nname = "stranger"\npublic_key = "{stranger}"\n'
    # And every other time the edge lets go of one of its two parents, a different one each time.
    tables = [f'[[upstream]]\naddress = "{r.address}"\npublic_key = "{r.key.public}"\n' for r in relays]
    for table in tables:
        check(table in plain, "the file is as this test takes it to be")
    began = time.monotonic()
    for i in range(100):
        if i % 2 == 0:
            write(edge, more.replace(tables[i // 2 % 2], "") if i % 10 == 0 else more)
        else:
            write(edge, plain)
        if i % 4 < 2:
            status, said, wrong = reload(edge)
            check(status == 0 and not wrong and len(said) >= 3, f"reload {i}: {status} {said} {wrong}")
        else:
            before = len(told(edge, "reloaded"))
            edge.signal(signal.SIGHUP)
            eventually(lambda: len(told(edge, "reloaded")) > before, 10, f"reload {i} by SIGHUP is logged")
        time.sleep(0.02)
    took = time.monotonic() - began
    print(f"    100 reloads in {took:.1f} s")
    check(encoder.process.poll() is None, f"the broadcast went on while it was reloaded, which took {took:.1f} s")
    equal(len(told(edge, "reloaded")), 100, "one line in the log each")
    encoder.wait(40)
    sent = trees.media.opus_packets(tap.stop())
    status = edge.status()
    equal(status["listen"]["leases"], 3, "leases at the edge")
    for name in ("lease_expired", "lease_moved", "worker_ended_lease", "fanout_drop_overwritten"):
        equal(status["counters"][name], 0, name)
    equal(status["counters"]["lease_installed"], 3, "nobody joined anew")
    equal([g["name"] for g in status["groups"]], ["main"], "the groups of the last file")
    eventually(lambda: sum(u["state"] == "live" for u in edge.status()["upstreams"]) == 2, 15, "both parents again")
    trees.end(origin, listeners)
    for listener in listeners:
        trees.dense(listener)
        trees.heard_all(listener, sent)
        equal(listener.report()["lost"], 0, f"frames {listener.name} lost")
    equal(edge.stop(), 0, "the edge's exit status")


def test_a_bad_file_is_refused_as_a_whole_and_all_goes_on(t):
    tree = trees.Tree(t).start()
    listener = t.listener("ear", [tree.edge], host=tree.ears).start()
    trees.listening(tree.origin, 1)
    encoder = t.encoder(tree.origin.host, t.speech(6))
    eventually(lambda: trees.group(tree.origin)["input"]["packets"] > 25, 15, "speech comes in")
    edge = tree.edge
    good = edge.config()
    before = edge.status()
    # A good change and a bad one in the same file: neither is taken.
    write(edge, good.replace('level = "debug"', 'level = "error"\nlevle = 3') + another_group(t, 7, "other"))
    status, said, wrong = reload(edge)
    equal((status, said), (78, []), f"a key that is not known: {wrong}")
    line = next(i for i, text in enumerate(good.splitlines(), 1) if text.startswith("level"))
    check(any(w.startswith(f"{edge.config_path}:{line + 1}:1: log.levle") for w in wrong), f"file, line and column: {wrong}")
    write(edge, "[node\n")
    edge.signal(signal.SIGHUP)
    eventually(lambda: len(told(edge, "reload_refused")) == 2, 10, "refused in the log")
    check(edge.config_path + ":1" in told(edge, "reload_refused")[1], told(edge, "reload_refused")[1])
    os.rename(edge.config_path, edge.config_path + ".away")
    status, said, wrong = reload(edge)
    equal((status, said), (78, []), f"a file that is not there: {wrong}")
    # A recording that cannot be made is an error, too, which only trying tells.
    write(edge, good + another_group(t, 7, "other") + 'record = { directory = "/nowhere/at/all" }\n')
    status, said, wrong = reload(edge)
    equal((status, said), (78, []), f"a directory that is not there: {wrong}")
    after = edge.status()
    equal([g["name"] for g in after["groups"]], [g["name"] for g in before["groups"]], "groups")
    write(edge, good)
    equal(reload(edge), (0, ["nothing has changed"], []), "the file that runs")
    encoder.wait(30)
    equal(edge.status()["counters"]["lease_installed"], 1, "nobody had to join anew")
    trees.end(tree.origin, [listener])
    trees.dense(listener)


def test_what_needs_a_restart_is_said_and_the_rest_is_taken_over(t):
    source = t.new_source()
    origin = t.node("origin", source=source).start()
    text = origin.config()
    changed = text.replace(f'"{origin.address}"', f'"{origin.host.v4}:4999"').replace('level = "debug"', 'level = "info"')
    write(origin, changed)
    status, said, wrong = reload(origin)
    equal((status, wrong), (75, []), f"the exit status where something needs a restart: {said}")
    equal(said, ["log level info", f"needs a restart: listen.address: {origin.address} runs, the file says "
                 f"{origin.host.v4}:4999"], "what it says")
    equal(reload(origin)[:2], (75, said[1:]), "and again, as long as it is so")
    write(origin, text)
    equal(reload(origin), (0, ["log level debug"], []), "the file of before")
    # A group whose source is here is added with its RTP, its key and its state.
    key = t.keygen(os.path.join(t.dir, "second.key"), "--source")
    second = (f'[[group]]\nname = "second"\nid = 2\nsources = [{{ id = 1, key = "{key.public}" }}]\n'
              f'source = {{ rtp = "127.0.0.1:5104", id = 1, signing_key = "{key.path}" }}\n')
    write(origin, text + second)
    equal(reload(origin), (0, ['group "second" added'], []), "a second source")
    groups = origin.status()["groups"]
    equal([(g["name"], g["role"]) for g in groups], [("main", "origin"), ("second", "origin")], "the groups")
    eventually(lambda: origin.status()["groups"][1]["sealed"] > 50, 10, "its clock runs")
    write(origin, text)
    status, said, wrong = reload(origin)
    check(status == 75 and said[0].startswith('needs a restart: group "second": its source is here'), f"{said}")
    equal(origin.stop(), 0, "exit status")


def test_a_removed_groups_listener_is_told_why_and_others_hear_on(t):
    source = t.new_source()
    origin = t.node("origin", source=source)
    other = t.node("edge", upstreams=[origin], extra=another_group(t, 7, "other"))
    origin.start()
    other.start()
    trees.live(other)
    ears = t.host("ears")
    stays = t.listener("stays", [other], host=ears).start()
    goes = t.listener("goes", [other], host=ears)
    at = goes.command.index("--group") + 1
    goes.command[at] = "7"
    goes.command += ["--source-key", f"1:{t.other_key}"]
    goes.command = [w for i, w in enumerate(goes.command)
                    if not (w == "--source-key" and goes.command[i + 1].endswith(source.public))
                    and not w.endswith(source.public)]
    goes.start()
    eventually(lambda: other.status()["listen"]["leases"] == 2, 15, "both have joined")
    other.extra = ""
    write(other)
    equal(reload(other), (0, ['group "other" removed'], []), "what the reload says")
    eventually(lambda: other.status()["listen"]["leases"] == 1, 2, "its lease ends at once")
    eventually(lambda: "ended the subscription: this node does not carry that group" in goes.log(), 5, "it is told why")
    equal(other.status()["counters"]["worker_removed_member"], 1, "members of removed groups")
    time.sleep(1)
    check(goes.alive, "it goes on asking, for the group may come back")
    other.extra = another_group(t, 7, "other")
    write(other)
    equal(reload(other), (0, ['group "other" added'], []), "and back it is")
    eventually(lambda: other.status()["listen"]["leases"] == 2, 15, "so is its listener")
    trees.end(origin, [stays])
    trees.dense(stays)


def test_a_removed_downstream_is_let_go_at_once(t):
    source = t.new_source()
    origin = t.node("origin", source=source)
    relays = [t.node(f"relay-{n}", upstreams=[origin]) for n in "ab"]
    for node in (origin, *relays):
        node.start()
    for relay in relays:
        trees.live(relay)
    equal(origin.status()["listen"]["leases"], 2, "leases")
    origin.downstreams.remove(relays[0])
    write(origin)
    equal(reload(origin), (0, ['downstream "relay-a" removed'], []), "what the reload says")
    eventually(lambda: origin.status()["listen"]["leases"] == 1, 2, "its lease ends at once")
    eventually(lambda: relays[0].status()["upstreams"][0]["state"] == "denied", 5, "and it gets no other")
    equal(relays[1].status()["upstreams"][0]["state"], "live", "the other one's goes on")
    origin.downstreams.append(relays[0])
    write(origin)
    equal(reload(origin), (0, ['downstream "relay-a" added'], []), "back again")
    trees.live(relays[0], timeout=15)


def test_systemd_is_told_of_a_reload_and_its_end(t):
    source = t.new_source()
    node = t.node("origin", source=source)
    write(node)
    path = os.path.join(node.dir, "service.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        heard = []

        def hear(timeout, until):
            deadline = time.monotonic() + timeout
            while not until() and time.monotonic() < deadline:
                if select.select([manager], [], [], 0.05)[0]:
                    heard.append(manager.recv(65536).decode().split("\n"))
            check(until(), f"not told within {timeout} s, but {heard}")
        node.spawn([t.binary, "run", "-c", node.config_path], {"NOTIFY_SOCKET": path})
        hear(10, lambda: any("READY=1" in message for message in heard))
        for by_signal, good in ((True, True), (False, True), (True, False)):
            heard.clear()
            write(node, None if good else "nonsense")
            before = time.clock_gettime(time.CLOCK_MONOTONIC)
            if by_signal:
                node.signal(signal.SIGHUP)
            else:
                reload(node)
            hear(10, lambda: any("READY=1" in message for message in heard))
            said = [m for m in heard if m[0] in ("RELOADING=1", "READY=1")]
            equal([m[0] for m in said], ["RELOADING=1", "READY=1"], f"a reload and its end: {heard}")
            stamp = next(int(a.split("=")[1]) for a in said[0] if a.startswith("MONOTONIC_USEC="))
            check(before * 1e6 <= stamp <= time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6, f"its time: {stamp}")
        json.loads(node.admin("status", "--json"))
        equal(node.stop(), 0, "exit status")


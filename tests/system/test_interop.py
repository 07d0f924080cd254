"""The document and its enemies: tests/interop is a listener written from crypto/PROTOCOL.md; and with it, forgers who
hold the group's key as every listener does, and an origin that signs with a key of its own."""
import json
import os
import re
import subprocess
import time
from collections import namedtuple

import harness
import media
import trees
from harness import check, equal, eventually

INTEROP = os.path.join(harness.ROOT, "tests/interop")
PYTHON = ["/usr/bin/python3", "-B"]  # Debian's: the one that its python3-cryptography is for

Logged = namedtuple("Logged", "sequence kind source epoch size hash attested")


class Independent(harness.Process):
    """tests/interop/listen.py in group 1; to be asked like a harness.Listener."""

    def __init__(self, t, host, name, parent, script="listen.py", options=()):
        super().__init__(t, host, name)
        self.log_file, self.report_path = (os.path.join(t.dir, name + end) for end in (".packets", ".report"))
        self.command = [*PYTHON, os.path.join(INTEROP, script), parent.address, "--key", parent.key.public,
                        "--group", "1", "--log", self.log_file, "--report", self.report_path, *options]
        for source in t.sources:
            self.command += ["--source-key", f"{source.id}:{source.public}"]

    def start(self):
        self.spawn(self.command)
        return self

    def report(self):
        with open(self.report_path, encoding="ascii") as file:
            return json.load(file)

    def frames(self):
        """A line per tick, in order; complete once it has ended."""
        with open(self.log_file, encoding="ascii") as file:
            return [Logged(**json.loads(line)) for line in file]

    def heard(self):
        return [f.hash for f in self.frames() if f.kind == "frame"]


class Forger(Independent):
    """tests/interop/forge.py on a host of its own: a listener of `edge` that seals frames under the group's key. `aims`
    are (node whose address they bear, host, port)."""

    def __init__(self, t, edge, aims, options=()):
        towards = [w for node, host, port in aims for w in ("--towards", f"{node.address},{host.v4}:{port}")]
        super().__init__(t, t.host("forger"), "forger", edge, script="forge.py", options=[*towards, *options])

    def hashes(self):
        """Of what it has forged."""
        with open(self.log_file, encoding="ascii") as file:
            return set(file.read().split())


def port_towards(host, node):
    """The port at which something on that host receives from a node."""
    sockets = host.run("ss", "-H", "-u", "-a", "-n")
    ports = re.findall(rf"{re.escape(host.v4)}\]?:(\d+) +\S*{re.escape(node.host.v4)}\]?:{node.port}\s", sockets)
    equal(len(ports), 1, f"sockets of {host.name} towards {node.name} in {sockets!r}")
    return int(ports[0])


def all_attested(listener):
    """Each tick once, in order, attested."""
    frames = trees.dense(listener)
    equal([f for f in frames if not f.attested][:3], [], f"what {listener.name} has without an attestation")
    return frames


def nothing_forged(listener, forger):
    forged = forger.hashes()
    check(len(forged) > 200, f"{len(forged)} frames were forged")
    equal(forged & {f.hash for f in listener.frames()}, set(), f"forged audio at {listener.name}")


def on_air(t, seconds):
    """A tree with one independent listener, and an encoder that has begun; what it sends is captured."""
    tree = trees.Tree(t).start()
    independent = Independent(t, tree.ears, "independent", tree.edge).start()
    trees.listening(tree.edge, 1)
    return tree, independent, t.capture(tree.origin.host), t.encoder(tree.origin.host, t.speech(seconds))


def test_the_documents_examples_hold_for_another_implementation(t):
    done = subprocess.run([*PYTHON, os.path.join(INTEROP, "examples.py")], capture_output=True, text=True)
    check(done.returncode == 0, f"crypto/PROTOCOL.md §20 and tests/interop differ: {done.stderr}")


def test_a_listener_written_from_the_document_gets_every_packet_across_two_rotations(t):
    tree, independent, tap, encoder = on_air(t, 90)
    eventually(lambda: trees.group(tree.origin)["input"]["packets"] > 50, 15, "a second of speech")
    epochs = [trees.group(tree.origin)["epoch"]]
    for _ in range(2):
        tree.origin.admin("rotate", "main")  # at once, or when the next epoch has been known below for 30 s
        eventually(lambda: trees.group(tree.origin)["epoch"] != epochs[-1], 35, "the next epoch")
        epochs.append(trees.group(tree.origin)["epoch"])
        before = trees.group(tree.origin)["input"]["packets"]
        eventually(lambda: trees.group(tree.origin)["input"]["packets"] > before + 50, 15, "a second of speech in it")
    encoder.stop()
    sent = media.opus_packets(tap.stop())
    trees.end(tree.origin, [independent])
    frames = all_attested(independent)
    trees.heard_all(independent, sent)
    spoken = list(dict.fromkeys(f.epoch for f in frames if f.kind == "frame"))
    equal(spoken, epochs, "the epochs of what it heard, in order")
    report = independent.report()
    counted = [report[n] for n in ("joined", "opened", "attested")]
    equal(counted, [1, len(frames), len(frames)], "joined, opened, attested")
    check(report["acknowledged"] >= 4, f"keepalives kept its lease: {report}")
    late = Independent(t, tree.ears, "late", tree.edge).start()
    equal(late.wait(15), 0, "the exit status of who joins when it is over")
    check(late.report()["ended"], f"it saw the attested end: {late.report()}")


def test_its_nacks_bring_back_what_the_network_lost(t):
    tree, independent, tap, encoder = on_air(t, 12)
    tree.ears.lose(50)
    tree.edge.host.lose(50, sender=tree.ears)
    eventually(lambda: trees.group(tree.origin)["input"]["packets"] > 400, 20, "eight seconds of speech with loss")
    t.net.partition(tree.ears, tree.edge.host)  # an outage: an attestation is among what it costs
    time.sleep(1)
    t.net.partition(tree.ears, tree.edge.host, cut=False)
    encoder.wait(30)
    sent = media.opus_packets(tap.stop())
    tree.ears.lose(0)
    tree.edge.host.lose(0, sender=tree.ears)
    trees.end(tree.origin, [independent])
    frames, report = independent.frames(), independent.report()
    first = frames[0].sequence
    equal([f.sequence for f in frames], list(range(first, first + len(frames))), "each tick once")
    # Of what is resent at most three times a few in a million are lost for good.
    lost = [f for f in frames if f.kind == "lost"]
    check(len(lost) <= 2, f"lost: {lost}; {report}")
    equal([f for f in frames if f.kind != "lost" and not f.attested], [], "without an attestation")
    found = media.match([trees.opus_hash(p) for p in sent], independent.heard())
    equal(found.foreign, [], "packets that nobody sent")
    check(found.matched >= len(sent) - len(lost), f"{found.matched} of {len(sent)} packets, {len(lost)} ticks lost")
    edge = trees.counters(tree.edge)
    check(report["repaired"] > 40 and edge["resend_frame"] > 40, f"NACKs for frames: {report}, {edge}")
    check(report["asked_attestations"] > 0 and edge["resend_attestation"] > 0, f"for attestations: {report}, {edge}")
    check(report["joined"] >= 2, f"it joined anew when its parent was silent: {report}")


def test_parity_alone_brings_back_what_the_network_lost(t):
    """For a listener that asks for nothing, and for ours, which hardly has to."""
    tree = trees.Tree(t, edge={"group": {"parity": {"data": 4, "repair": 2}}}).start()
    independent = Independent(t, tree.ears, "independent", tree.edge, options=["--no-nacks"]).start()
    ear = t.listener("ear", [tree.edge], host=tree.ears).start()
    trees.listening(tree.edge, 2)
    encoder = t.encoder(tree.origin.host, t.speech(8))
    tree.ears.lose(50)
    encoder.wait(30)
    tree.ears.lose(0)
    trees.end(tree.origin, [independent, ear])
    frames, report = independent.frames(), independent.report()
    check(report["rebuilt"] > 3, f"rebuilt, of some 20: {report}")
    lost = [f for f in frames if f.kind == "lost"]
    check(len(lost) <= 4, f"lost, where 3 of 6 were lost: {lost}; {report}")
    equal(trees.dense(ear)[0].kind in ("frame", "empty"), True, "what our listener begins with")
    repaired = ear.report()["repaired_by"]
    check(repaired["parity"] > 3 and repaired["resent"] < repaired["parity"], f"repaired by: {repaired}")


def test_forged_frames_towards_relays_fail_by_the_links_mac(t):
    """From another host, in the parent's name, at the right port, sealed with the right key."""
    tree = trees.Tree(t).start()
    ear = t.listener("ear", [tree.edge], host=tree.ears).start()
    independent = Independent(t, t.host("ears-2"), "independent", tree.edge).start()
    trees.listening(tree.edge, 2)
    victims = tree.nodes[1:]
    aims = [(up, node.host, port_towards(node.host, up)) for up, node in zip(tree.nodes, victims)]
    forger = Forger(t, tree.edge, aims, ["--signed"]).start()
    trees.listening(tree.edge, 3)
    sent = trees.send_speech(t, tree.origin, 6)
    equal(forger.stop(), 0, "the forger's exit status")
    aimed = forger.report()["forged_datagrams"] // len(victims)
    for node in victims:
        eventually(lambda: trees.group(node)["counters"]["intake_drop_link_mac"] >= aimed * 0.9, 10,
                   f"{aimed} forged datagrams are refused by {node.name}")
        counters = trees.group(node)["counters"]
        later = [counters[n] for n in ("intake_drop_signature", "intake_drop_conflict", "intake_drop_ahead")]
        equal(later, [0, 0, 0], "what a later check refused")
    trees.end(tree.origin, [ear, independent])
    trees.dense(ear)
    all_attested(independent)
    for listener in (ear, independent):
        nothing_forged(listener, forger)
        trees.heard_all(listener, sent)


def test_a_strict_listener_plays_the_true_one_of_two_versions(t):
    """For each sequence a forged frame in the edge's name comes first; it opens under the group's key."""
    tree = trees.Tree(t).start()
    strict = t.listener("strict", [tree.edge], host=tree.ears, options=["--strict"]).start()
    independent = Independent(t, t.host("ears-2"), "independent", tree.edge).start()
    trees.listening(tree.edge, 2)
    aims = [(tree.edge, ear.host, port_towards(ear.host, tree.edge)) for ear in (strict, independent)]
    forger = Forger(t, tree.edge, aims).start()
    trees.listening(tree.edge, 3)
    sent = trees.send_speech(t, tree.origin, 6)
    equal(forger.stop(), 0, "the forger's exit status")
    trees.end(tree.origin, [strict, independent])
    trees.dense(strict)
    all_attested(independent)
    for listener in (strict, independent):
        nothing_forged(listener, forger)
        trees.heard_all(listener, sent)
    counters, report = strict.report()["counters"], independent.report()
    check(counters["playout_drop_not_as_attested"] > 200 and report["refuted"] > 200, f"refuted: {counters}, {report}")
    check(counters["playout_attest_drop_forged"] > 20 and report["attestations_forged"] > 20,
          f"forged attestations: {counters}, {report}")


def test_an_origin_that_signs_with_another_key_is_refused_by_the_first_relay(t):
    source = t.new_source()
    key = t.keygen(os.path.join(t.dir, "rogue-source.key"), "--source")
    own = harness.Source(source.id, key.path, key.public)
    origin = t.node("origin", source=source)
    rogue = t.node("rogue", source=own, sources=[own])
    relay = t.node("relay", upstreams=[origin, rogue], sections={"node": {"parents": 2}})
    edge = t.node("edge", upstreams=[relay])
    ears = t.host("ears")
    origin.start()
    # Epochs are numbered by the second of their making. A second later some of the rogue's have the numbers of the true
    # ones, and at least one has not: which the relay cannot pass over as known, but must refuse.
    first = min(e["epoch"] for e in trees.group(origin)["epochs"])
    eventually(lambda: time.time() >= first + 1, 10, "a second later")
    for node in (rogue, relay, edge):
        node.start()
    trees.live(edge)
    listeners = [t.listener("ear", [edge], host=ears).start(),
                 t.listener("strict", [edge], host=ears, options=["--strict"]).start(),
                 Independent(t, ears, "independent", edge).start()]
    trees.listening(edge, 3)
    other = os.path.join(t.dir, "other.wav")
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-ss", "5", "-i", t.speech(15), other], check=True)
    tap = t.capture(rogue.host)
    t.encoder(rogue.host, other)
    sent = trees.send_speech(t, origin, 6)
    counters = trees.group(relay)["counters"]
    untrue = {trees.opus_hash(p) for p in media.opus_packets(tap.stop())} - {trees.opus_hash(p) for p in sent}
    check(len(untrue) > 200, f"{len(untrue)} packets of other audio went to the rogue origin")
    check(trees.counters(relay)["feed_drop_epoch"] > 0, "announcements of the rogue that the relay refused")
    check(counters["intake_drop_signature"] > 200, f"frames of the rogue that the relay refused: {counters}")
    equal(counters["intake_drop_link_mac"], 0, "refused already by the link's MAC, which the rogue can make")
    equal(trees.group(edge)["counters"]["intake_drop_signature"], 0, "frames that came further than the first relay")
    trees.end(origin, listeners)
    for listener in listeners:
        trees.dense(listener)
        trees.heard_all(listener, sent)
        equal(untrue & {f.hash for f in listener.frames()}, set(), f"other audio at {listener.name}")

"""Nodes that are stopped on purpose, in the middle of a broadcast: those below go elsewhere first, and miss nothing."""
import re
import signal
import subprocess
import time

import trees
from harness import check, equal, eventually


class TwoTiers:
    """An origin, two relays, two edges below both, two listeners at both edges, speech."""

    def __init__(self, t, seconds):
        self.origin = t.node("origin", source=t.new_source())
        self.relays = [t.node(f"relay-{n}", upstreams=[self.origin]) for n in (1, 2)]
        self.edges = [t.node(f"edge-{n}", upstreams=self.relays) for n in (1, 2)]
        ears = t.host("ears")
        for node in (self.origin, *self.relays, *self.edges):
            node.start()
        for edge in self.edges:
            trees.live(edge, parents=2)
        self.listeners = [t.listener(f"ear-{n}", self.edges, host=ears).start() for n in (1, 2)]
        trees.listening(self.origin, 2)
        self.tap = t.capture(self.origin.host)
        self.encoder = t.encoder(self.origin.host, t.speech(seconds))
        eventually(lambda: trees.group(self.origin)["input"]["packets"] > 25, 15, "half a second of speech")

    def end(self):
        """Every listener heard all of it, bit for bit."""
        self.encoder.wait(30)
        sent = trees.media.opus_packets(self.tap.stop())
        trees.end(self.origin, self.listeners)
        for listener in self.listeners:
            trees.dense(listener)
            trees.heard_all(listener, sent)
            report = listener.report()
            equal(report["lost"], 0, f"frames {listener.name} lost")
        return sent


def test_an_upgrade_of_every_node_of_a_tree_loses_nobody_a_frame(t):
    tree = TwoTiers(t, 7)
    took = []
    for node in (*tree.relays, *tree.edges):
        began = time.monotonic()
        equal(node.stop(), 0, f"{node.name}'s exit status")
        took.append(time.monotonic() - began)
        log = node.log()
        check("drained" in log and "drain_incomplete" not in log, f"{node.name} was left by all: {log}")
        node.start()
    check(trees.group(tree.origin)["input"]["age_ms"] < 500, f"there was speech until the upgrade's end: {took}")
    sent = tree.end()
    print(f"    stopped after {', '.join(f'{s:.1f}' for s in took)} s; {len(sent)} packets heard by each listener")


def test_drain_tells_who_is_left_and_ends_when_all_have_gone(t):
    tree = TwoTiers(t, 6)
    relay, other = tree.relays
    other.stop()
    # Both edges have another parent, which does not run yet: they are waited for.
    drain = relay.host.popen([t.binary, "drain", "--timeout", "60", "--socket", relay.socket], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    t.cleanups.append(drain.kill)
    first = drain.stderr.readline()
    told = re.match(r"(\d) left, for up to (\d+) s more", first)
    check(told and told[1] == "2" and 55 <= int(told[2]) <= 60, f"what it says first: {first!r}")
    draining = relay.status()["draining"]
    equal((draining["leases"], draining["staying"]), (2, 0), f"in status: {draining}")
    check("draining: 2 of its leases left" in relay.admin("status"), "status for people tells")
    other.start()
    out, err = drain.communicate(timeout=10)
    equal((drain.returncode, out), (0, "drained: nobody is left; the node stops\n"), f"how it ended; it said {err}")
    equal(relay.wait(5), 0, "the relay's exit status")
    tree.end()


def test_nobody_is_waited_for_who_cannot_leave_and_a_second_signal_waits_for_nobody(t):
    origin = t.node("origin", source=t.new_source())
    gone = t.node("gone", upstreams=[origin])  # never starts
    ears = t.host("ears")

    def stops(*parents):
        """How long it takes with a listener that has these."""
        origin.start()
        listener = t.listener(f"ear-{len(parents)}", parents, host=ears).start() if parents else None
        if listener:
            trees.listening(origin, 1)
        began = time.monotonic()
        origin.signal(signal.SIGTERM)
        if gone in parents:
            time.sleep(1)
            check(origin.alive, "it waits for who has another parent")
            began = time.monotonic()
            origin.signal(signal.SIGTERM)
        equal(origin.wait(15), 0, "the exit status")
        if listener:
            listener.kill()
        return time.monotonic() - began

    check(stops() < 1.5, "nobody is there, and nobody is waited for")
    check(stops(origin) < 1.5, "a listener without another parent cannot leave")
    equal(origin.log().count('drained cannot_leave=1'), 1, f"that is told: {origin.log()!r}")
    check(stops(origin, gone) < 1.5, "a second signal stops it at once")

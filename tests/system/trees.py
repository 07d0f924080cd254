"""What several of the system tests need: small trees of nodes, and what must hold of what their listeners got."""
import os
import re
import subprocess
import types

import media
from harness import check, equal, eventually, opus_hash

CONCEALMENT = 2  # bytes: an Opus packet no longer says only "conceal this" (RFC 6716 §3.2)


class Tree:
    """origin -> relay -> edge, each on a host of its own; a host "ears" for listeners."""

    def __init__(self, t, edge=None, origin=None, relay=None):
        self.t = t
        self.source = t.new_source()
        self.origin = t.node("origin", source=self.source, **(origin or {}))
        self.relay = t.node("relay", upstreams=[self.origin], **(relay or {}))
        self.edge = t.node("edge", upstreams=[self.relay], **(edge or {}))
        self.ears = t.host("ears")
        self.nodes = [self.origin, self.relay, self.edge]

    def start(self):
        for node in self.nodes:
            node.start()
        for node in self.nodes[1:]:
            live(node)
        return self


def other(node, address):
    """A node as its children and listeners name it by another of its addresses."""
    return types.SimpleNamespace(address=address, key=node.key, downstreams=node.downstreams)


def group(node):
    return node.status()["groups"][0]


def counters(node):
    return node.status()["counters"]


def live(node, parents=1, timeout=10):
    """Until so many of its parents send."""
    def count():
        return sum(u["state"] == "live" for u in node.status()["upstreams"]) >= parents
    eventually(count, timeout, f"{parents} live parents of {node.name}")


def listening(node, listeners, timeout=15):
    """Until the node counts so many listeners in its subtree."""
    eventually(lambda: group(node)["tally"]["listeners"] == listeners, timeout, f"{listeners} listeners below {node.name}")


def end(origin, listeners, timeout=10):
    """Ends the broadcast; every listener believes it and exits with 0."""
    origin.admin("end", "main")
    for listener in listeners:
        equal(listener.wait(timeout), 0, f"{listener.name}'s exit status after the broadcast's end: {listener.log()!r}")
        check(listener.report()["ended"], f"{listener.name} reports the attested end")


def dense(listener):
    """Every tick came, once and in order; what it played."""
    frames = listener.frames()
    check(frames, f"{listener.name} played nothing")
    for before, after in zip(frames, frames[1:]):
        equal(after.sequence - before.sequence, 1, f"{listener.name}'s step after {before.sequence}")
    equal([f.sequence for f in frames if f.kind == "lost"], [], f"what {listener.name} lost")
    return frames


def same_as_sent(name, got, sent):
    """All of `sent`, bit for bit, in order, each once; between and around them nothing but ticks without audio."""
    audio = [packet for packet in got if len(packet) > CONCEALMENT]
    found = media.match(sent, audio)
    check(audio == sent, f"{name}: {len(audio)} packets of {len(sent)} sent; {found.matched} match, missing "
          f"{len(found.missing)}, never sent {len(found.foreign)}, first differing "
          f"{next((i for i, (a, b) in enumerate(zip(audio, sent)) if a != b), 'none')}")


def heard_all(listener, sent):
    """The same by the frame log's hashes."""
    equal(listener.heard() == [opus_hash(p) for p in sent], True,
          f"{listener.name} heard what was sent ({len(listener.heard())} of {len(sent)})")


def accepted_by_others(path, seconds):
    """ffprobe and opusinfo read the recording without a word of complaint, as of that length."""
    probe = subprocess.run(["ffprobe", "-v", "warning", "-show_entries", "format=duration", "-of", "csv=p=0", path],
                           capture_output=True, text=True)
    equal((probe.returncode, probe.stderr), (0, ""), f"ffprobe {os.path.basename(path)}")
    check(abs(float(probe.stdout) - seconds) < 0.011, f"ffprobe tells {probe.stdout.strip()} s, played were {seconds:.3f} s")
    info = subprocess.run(["opusinfo", path], capture_output=True, text=True)
    said = info.stdout + info.stderr
    check(info.returncode == 0 and not re.search("warning|error|invalid|illegal|corrupt", said, re.I), f"opusinfo: {said}")


def send_speech(t, origin, seconds, capture=True):
    """Speech to an origin by ffmpeg, to its end; the Opus packets that it sent."""
    tap = t.capture(origin.host) if capture else None
    encoder = t.encoder(origin.host, t.speech(seconds))
    encoder.wait(seconds + 20)
    return media.opus_packets(tap.stop()) if capture else []

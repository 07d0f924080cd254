"""What a tree carries: the encoder's packets to every listener, sealed once, the same bytes on every link."""
import glob
import os
import time

import media
import trees
from harness import check, equal, eventually

HEADER, TAG, SIGNATURE, MAC = 16, 16, 64, 16
FRAME = 0x20


def test_three_tiers_carry_every_packet_bit_for_bit(t):
    recordings = os.path.join(t.dir, "recordings")
    os.makedirs(recordings)
    record = {"group": {"record": {"directory": recordings}}}
    tree = trees.Tree(t, edge=record).start()
    listeners = [t.listener(f"ear-{i}", [tree.edge], host=tree.ears).start() for i in range(4)]
    listeners.append(t.listener("near", [tree.relay], host=tree.ears).start())
    listeners.append(t.listener("nearest", [tree.origin], host=tree.ears).start())
    trees.listening(tree.origin, len(listeners))
    sent = trees.send_speech(t, tree.origin, 8)
    check(len(sent) >= 400, f"{len(sent)} packets for 8 s")
    trees.end(tree.origin, listeners)
    for listener in listeners:
        played = trees.dense(listener)
        trees.heard_all(listener, sent)
        ogg = media.read_ogg(listener.output)
        check(ogg.ended, "the recording has an end")
        trees.same_as_sent(listener.name, ogg.packets, sent)
        trees.accepted_by_others(listener.output, len(played) * 0.02)
        equal(listener.report()["frames"], len(sent), f"frames in {listener.name}'s report")
    time.sleep(2.5)  # a recorder waits so long for what may still come
    equal(tree.edge.stop(), 0, "the edge's exit status")
    (path,) = glob.glob(recordings + "/*.opus")
    ogg = media.read_ogg(path)
    check(ogg.ended, "the node's recording has an end")
    trees.same_as_sent("the node's recording", ogg.packets, sent)
    trees.accepted_by_others(path, (ogg.granules[-1] - 120) / 48000)


def test_ipv6_carries_the_same(t):
    six = {"v6": True}
    tree = trees.Tree(t, edge=six, relay=six, origin=six).start()
    listener = t.listener("ear", [tree.edge], host=tree.ears).start()
    trees.listening(tree.origin, 1)
    sent = trees.send_speech(t, tree.origin, 3)
    trees.end(tree.origin, [listener])
    trees.dense(listener)
    trees.heard_all(listener, sent)


def test_another_encoder_and_frame_length_are_carried_too(t):
    """GStreamer, 60 ms frames: another encoder, another frame length."""
    tree = trees.Tree(t, **{n: {"group": {"frame_ms": 60}} for n in ("origin", "relay", "edge")}).start()
    listener = t.listener("ear", [tree.edge], host=tree.ears).start()
    trees.listening(tree.origin, 1)
    tap = t.capture(tree.origin.host)
    t.encoder(tree.origin.host, t.speech(3), kind="gstreamer", frame_ms=60).wait(20)
    sent = media.opus_packets(tap.stop())
    trees.end(tree.origin, [listener])
    trees.heard_all(listener, sent)
    trees.accepted_by_others(listener.output, len(trees.dense(listener)) * 0.06)


def sealed_and_sent(node, seconds):
    """Over some seconds: ticks of the media clock, frames sealed, datagrams sent to listeners."""
    def look():
        status = node.status()
        g = status["groups"][0]
        return g["newest"], g["sealed"], status["counters"]["fanout_datagram"]
    before = look()
    time.sleep(seconds)
    return [b - a for a, b in zip(before, look())]


def test_a_frame_is_sealed_once_however_many_listen(t):
    source = t.new_source()
    origin = t.node("origin", source=source).start()
    ears = t.host("ears")
    listeners = []
    for count in (1, 20):
        listeners += [t.listener(f"ear-{i}", [origin], host=ears).start() for i in range(len(listeners), count)]
        trees.listening(origin, count)
        newest, sealed, datagrams = sealed_and_sent(origin, 2)
        check(newest >= 50, f"{newest} ticks in 2 s")
        equal(sealed, newest, f"frames sealed in {newest} ticks with {count} listeners")
        # Attestations and those frames that were on their way while the status was made come on top, or are left out.
        check(abs(datagrams - count * newest) <= count * 8, f"{datagrams} datagrams, {newest} ticks, {count} listeners")
    trees.end(origin, listeners)


def test_every_link_carries_the_same_sealed_bytes(t):
    tree = trees.Tree(t).start()
    listener = t.listener("ear", [tree.edge], host=tree.ears).start()
    trees.listening(tree.origin, 1)
    at_relay = t.capture(tree.relay.host, interface="eth0", expression=f"udp and src host {tree.origin.host.v4}")
    at_edge = t.capture(tree.edge.host, interface="eth0", expression=f"udp and src host {tree.relay.host.v4}")
    at_ear = t.capture(tree.ears, interface="eth0", expression=f"udp and src host {tree.edge.host.v4}")
    trees.send_speech(t, tree.origin, 4, capture=False)
    captures = [c.stop() for c in (at_relay, at_edge, at_ear)]
    trees.end(tree.origin, [listener])
    tail = SIGNATURE + MAC
    links = []
    for name, datagrams, trailers in zip(("relay", "edge", "ear"), captures, (tail, tail, 0)):
        check(not any(d.fragment for d in datagrams), f"no fragments at {name}")
        frames = {}
        for datagram in datagrams:
            if datagram.payload[0] != FRAME:
                continue
            sealed = datagram.payload[:len(datagram.payload) - trailers]
            check(len(sealed) >= HEADER + TAG, f"a frame of {len(datagram.payload)} bytes at {name}")
            check(frames.setdefault(sealed[10:16], sealed) == sealed, f"two versions of one sequence at {name}")
        links.append((name, frames, [d.payload for d in datagrams if d.payload[0] == FRAME]))
    (_, first, whole), *others = links
    for name, frames, datagrams in others:
        common = first.keys() & frames.keys()
        due = [s for s in first if s >= min(frames, default=b"")]  # that capture began later
        check(len(common) >= 150 and len(common) >= len(due) - 20, f"{len(common)} frames of {len(due)} at {name}")
        check(any(len(frames[s]) > 60 for s in common), "speech is among them")
        for sequence in common:
            check(frames[sequence] == first[sequence], f"frame {int.from_bytes(sequence, 'big')} differs at {name}")
    # Between relays the signature is the same at every hop too; only the link's MAC differs.
    signed = [{d[10:16]: d[:-MAC] for d in datagrams} for _, _, datagrams in links[:2]]
    check(all(signed[0][s] == signed[1][s] for s in signed[0].keys() & signed[1].keys()), "a signature changed")
    macs = [{d[10:16]: d[-MAC:] for d in datagrams} for _, _, datagrams in links[:2]]
    check(all(macs[0][s] != macs[1][s] for s in macs[0].keys() & macs[1].keys()), "links share a MAC key")


def test_strict_listeners_play_all_that_is_attested_and_nothing_of_another_source(t):
    tree = trees.Tree(t).start()
    strict = t.listener("strict", [tree.edge], host=tree.ears, options=["--strict"]).start()
    stranger = t.keygen(os.path.join(t.dir, "stranger.key"), "--source")
    other = t.listener("deceived", [tree.edge], host=tree.ears, options=["--strict", "--seconds", "5"])
    other.command = [w.replace(tree.source.public, stranger.public) for w in other.command]
    other.start()
    trees.listening(tree.origin, 2)
    sent = trees.send_speech(t, tree.origin, 3)
    equal(other.wait(20), 69, "the exit status of who trusts another key")
    check("the source's signature is not of the key in --source-key" in other.log(), f"its message: {other.log()!r}")
    equal(other.report()["frames"], 0, "frames it played")
    trees.end(tree.origin, [strict])
    trees.dense(strict)
    trees.heard_all(strict, sent)
    eventually(lambda: trees.group(tree.origin)["tally"]["listeners"] == 0, 10, "nobody left below the origin")

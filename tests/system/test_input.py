"""Hostile and mistaken input: the public port, the command line, the configuration, the encoder."""
import os
import socket
import sys
import time

import network
import trees
from harness import alone, check, equal, eventually

# Runs in the attacker's namespace: datagrams of every kind at the public port; what comes back is weighed.
ATTACK = """
import os, random, select, socket, sys, time
host, port, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
r = random.Random(seed)
family = socket.AF_INET6 if ":" in host else socket.AF_INET
socks = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(8)]
for s in socks:
    s.connect((host, port)); s.setblocking(False)
noise = r.randbytes(1 << 20)
types = (0x01, 0x02, 0x03, 0x04, 0x10, 0x20, 0x21, 0x22, 0x23, 0x24, 0x3f, 0x00, 0xff)
lengths = (0, 1, 2, 15, 16, 17, 18, 33, 34, 35, 42, 43, 44, 63, 64, 65, 91, 92, 123, 150, 1231, 1232, 1233, 1400, 1472)
sent = answers = largest = sent_bytes = answer_bytes = odd = refused = 0
def drain():
    global answers, largest, answer_bytes, odd
    for s in socks:
        while True:
            try: d = s.recv(65536)
            except OSError: break
            answers += 1; answer_bytes += len(d); largest = max(largest, len(d)); odd += d[:1] != b"\\x02"
while sent < count:
    kind = r.randrange(10)
    if kind == 0: # a real HELLO, or nearly
        d = bytearray(b"\\x01\\x00\\x01" + r.randbytes(8) + bytes(53))
        if r.randrange(2): d[r.randrange(64)] ^= 1 << r.randrange(8)
        if r.randrange(4) == 0: d = d[:r.randrange(65)]
    else:
        n = r.choice(lengths) if kind < 8 else r.randrange(1473)
        if kind == 9 and r.randrange(50) == 0: n = r.randrange(1473, 9000)
        at = r.randrange(len(noise) - n)
        d = bytearray(noise[at:at + n])
        if n: d[0] = r.choice(types)
        if n > 1 and r.randrange(2): d[1] = r.randrange(3)
        if n > 2 and r.randrange(2): d[2] = 1
    try:
        r.choice(socks).send(d); sent += 1; sent_bytes += len(d)
    except BlockingIOError: time.sleep(0.001)
    except OSError: refused += 1
    if sent % 64 == 0: drain()
time.sleep(0.5); drain()
print(answers, largest, sent_bytes, answer_bytes, odd, sent)
"""


@alone
def test_a_million_junk_datagrams_at_the_public_port_hurt_nobody(t):
    """The edge is the sanitized program: what it does wrong ends it."""
    tree = trees.Tree(t, edge={"binary": t.sanitized}).start()
    listener = t.listener("ear", [tree.edge], host=tree.ears).start()
    trees.listening(tree.edge, 1)
    before = trees.counters(tree.edge)
    attacker = t.host("attacker")
    told = attacker.run(sys.executable, "-c", ATTACK, tree.edge.host.v4, str(tree.edge.port), "7", "1000000")
    answers, largest, sent_bytes, answer_bytes, odd, sent = map(int, told.split())
    check(tree.edge.alive, f"the edge lives: {tree.edge.log()[-2000:]}")
    after = trees.counters(tree.edge)
    check(answers > 0, "real HELLOs among it were answered: the attack arrived")
    check(largest <= 35, f"an answer of {largest} bytes: RETRY has 35, HELLO 64")
    equal(odd, 0, "answers that are no RETRY")
    check(answer_bytes * 20 < sent_bytes, f"{answer_bytes} bytes of answers to {sent_bytes}")
    more = {n: after[n] - before.get(n, 0) for n in after if after[n] != before.get(n, 0)}
    dropped = {n: v for n, v in more.items() if "drop" in n and n.startswith(("kernel_", "join_", "lease_", "loop_"))}
    print(f"    {sent} datagrams, {answers} answered; dropped: {dropped}")
    check(sum(dropped.values()) + more["join_retry"] >= sent, f"what became of the {sent} datagrams: {more}")
    trees.end(tree.origin, [listener])
    trees.dense(listener)
    equal(tree.edge.stop(), 0, f"the edge's exit status: {tree.edge.log()[-2000:]}")


def test_listen_says_why_it_hears_nothing(t):
    source = t.new_source()
    node = t.node("origin", source=source).start()
    ears = t.host("ears")
    stranger = t.keygen(os.path.join(t.dir, "stranger.key"))

    def listen(name, **changes):
        listener = t.listener(name, [node], host=ears)
        for what, instead in changes.items():
            old = {"group": "1", "key": f"{node.address},{node.key.public}", "address": f"{node.address},{node.key.public}"}[what]
            listener.command[listener.command.index(old)] = instead
        return listener.start()
    cases = [
        (listen("no-group", group="2"), "denied the join: this node does not carry that group"),
        (listen("wrong-key", key=f"{node.address},{stranger.public}"), "answers, but does not accept: is --key its public key?"),
        (listen("no-node", address=f"{node.host.v4}:4999,{node.key.public}"), "no answer at all from"),
        (listen("no-host", address=f"10.77.0.250:4800,{node.key.public}"), "no answer at all from"),
    ]
    signer = t.keygen(os.path.join(t.dir, "signer.key"), "--source")
    for options in ([], ["--strict"]):
        deceived = t.listener("".join(["wrong-source", *options]), [node], host=ears, options=["--seconds", "8", *options])
        deceived.command = [w.replace(source.public, signer.public) for w in deceived.command]
        cases.append((deceived.start(), "the source's signature is not of the key in --source-key"))
    for listener, message in cases:
        equal(listener.wait(30), 69, f"exit status of {listener.name}: {listener.log()!r}")
        check(message in listener.log(), f"{listener.name} says {listener.log()!r}")
    unwritable = t.listener("unwritable", [node], host=ears)
    unwritable.command[unwritable.command.index(unwritable.output)] = "/nonexistent/out.opus"
    equal(unwritable.start().wait(10), 73, f"exit status of {unwritable.log()!r}")


def fails(node, status, *messages):
    """The node does not start: this exit status, and all of these words."""
    with open(node.config_path, "w", encoding="utf-8") as file:
        file.write(node.config())
    node.spawn([node.t.binary, "run", "-c", node.config_path])
    equal(node.wait(10), status, f"exit status of {node.name}: {node.log()!r}")
    for message in messages:
        check(message in node.log(), f"{node.name} does not say {message!r}, but {node.log()!r}")


def test_a_node_that_cannot_start_says_why(t):
    source = t.new_source()
    host = t.host("origin")

    def node(name, **options):
        return t.node(name, host=host, source=source, **options)
    fails(node("unknown-key", sections={"listen": {"adress": "0.0.0.0:1"}}), 78, "adress", "address", "node.toml")
    fails(node("out-of-range", group={"frame_ms": 25}), 78, "frame_ms")
    bad_toml = node("no-toml", extra="[[[")
    fails(bad_toml, 78, "node.toml")
    opened = node("open-key")
    os.chmod(opened.key.path, 0o644)
    fails(opened, 77, "chmod 600", opened.key.path)
    gone = node("no-key")
    os.unlink(gone.key.path)
    fails(gone, 66, "tiercast keygen -o", gone.key.path)
    garbled = node("garbled-key")
    with open(garbled.key.path, "w", encoding="utf-8") as file:
        file.write("not a key\n")
    fails(garbled, 65, "not a private key")
    first = node("first").start()
    fails(node("second"), 71, "the port is in use")
    equal(first.stop(), 0, "the first one's exit status")
    check_command = network.run(t.binary, "check", "-c", first.config_path)
    check(check_command is not None, "a good configuration passes `tiercast check`")
    equal(host.popen([t.binary, "run", "-c", os.path.join(t.dir, "none.toml")], stderr=-3).wait(10), 66, "without a file")
    equal(host.popen([t.binary, "ruin"], stderr=-3).wait(10), 64, "an unknown command")


RTP = """
import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[2])):
    if sys.argv[1] == "pcmu": d = struct.pack(">BBHII", 0x80, 0, i, i * 160, 7) + bytes(160)
    elif sys.argv[1] == "junk": d = bytes([i & 0x3f]) * (i % 40)
    elif sys.argv[1] == "long": d = struct.pack(">BBHII", 0x80, 97, i, i * 960, 9) + b"\\x98" + bytes(1200)
    s.sendto(d, ("127.0.0.1", 5004)); time.sleep(0.02)
"""


def test_input_that_is_not_the_groups_opus_is_refused_with_a_reason(t):
    source = t.new_source()
    origin = t.node("origin", source=source).start()
    listener = t.listener("ear", [origin], host=t.host("ears")).start()
    trees.listening(origin, 1)

    def refused(counter, words):
        def told():
            return trees.group(origin)["counters"].get(counter, 0) > 10 and words in origin.log()
        eventually(told, 5, f"{counter} counted, and {words!r} logged")
        check(words in trees.group(origin)["input"]["last_refused"], "the status tells the last reason")
    names = [n for n in trees.group(origin)["counters"] if n.startswith("ingest")]
    by = {what: next(n for n in names if what in n) for what in ("payload_type", "malformed", "other_duration", "too_long")}
    for kind, counter, words in (("pcmu", "payload_type", "RTP payload type 0 is not Opus"),
                                 ("junk", "malformed", "what arrives is not RTP version 2"),
                                 ("long", "too_long", "lower the encoder's bitrate")):
        origin.host.run(sys.executable, "-c", RTP, kind, "40")
        refused(by[counter], words)
    encoder = t.encoder(origin.host, t.speech(3), frame_ms=60)
    encoder.wait(20)
    refused(by["other_duration"], "Opus packets of 60")
    check("frame_ms = 20" in origin.log(), "it says what the group has")
    # None of it reached anybody, and good input still does.
    sent = trees.send_speech(t, origin, 2)
    trees.end(origin, [listener])
    trees.dense(listener)
    trees.heard_all(listener, sent)

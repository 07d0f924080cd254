#!/usr/bin/env python3
"""The harness's own promises: what the other tests stand on. Runs without the binary."""
import os
import signal
import subprocess
import sys

import harness
import media
import network
from harness import check, equal

SEND = """
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[2])):
    s.sendto(i.to_bytes(4, "big"), (sys.argv[1], 9000)); time.sleep(0.0002)
"""
COUNT = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
s.bind(("::", 9000)); print("ready", flush=True)
s.settimeout(float(sys.argv[1]))
n = 0
try:
    while True:
        s.recv(2048); n += 1
except TimeoutError:
    print(n)
"""


def arrived(sender, receiver, address, count):
    """How many of `count` datagrams get through."""
    counter = receiver.popen([sys.executable, "-c", COUNT, "1"], stdout=subprocess.PIPE, text=True)
    equal(counter.stdout.readline().strip(), "ready", "the counter")
    sender.run(sys.executable, "-c", SEND, address, str(count))
    return int(counter.communicate(timeout=30)[0])


def test_hosts_reach_each_other_by_both_protocols(t):
    a, b = t.host("a"), t.host("b")
    check(t.host("a") is a, "a host is made once")
    equal(arrived(a, b, b.v4, 50), 50, "datagrams over IPv4")
    equal(arrived(b, a, a.v6, 50), 50, "datagrams over IPv6")


def test_loss_is_as_set_and_ends(t):
    a, b, c = t.host("a"), t.host("b"), t.host("c")
    b.lose(200)
    got = arrived(a, b, b.v4, 2000)
    check(1500 <= got <= 1700, f"{got} of 2000 came at 20 % loss")
    b.lose(0)
    equal(arrived(a, b, b.v6, 200), 200, "datagrams after the loss")
    b.lose(1000, sender=a)
    equal(arrived(a, b, b.v6, 50), 0, "datagrams from the host that is dropped")
    equal(arrived(c, b, b.v4, 50), 50, "datagrams from another")


def test_a_partition_cuts_both_ways_and_heals(t):
    a, b, c = t.host("a"), t.host("b"), t.host("c")
    t.net.partition(a, b)
    equal(arrived(a, b, b.v4, 20), 0, "datagrams a to b")
    equal(arrived(b, a, a.v6, 20), 0, "datagrams b to a")
    equal(arrived(a, c, c.v4, 20), 20, "datagrams a to c")
    t.net.partition(a, b, cut=False)
    equal(arrived(a, b, b.v4, 20), 20, "datagrams after it healed")


def check_capture(t, kind, frame_ms):
    host = t.host("origin")
    capture = t.capture(host)
    encoder = t.encoder(host, t.speech(2), kind=kind, frame_ms=frame_ms)
    encoder.wait(20)
    datagrams = capture.stop()
    rtp = [media.read_rtp(d.payload) for d in datagrams]
    check(2000 / frame_ms <= len(rtp) <= 2000 / frame_ms + 3, f"{len(rtp)} packets for 2 s of {frame_ms} ms")
    for before, after in zip(rtp, rtp[1:]):
        equal((after.sequence - before.sequence) & 0xffff, 1, "the step of RTP's sequence")
    equal(len({r.ssrc for r in rtp}), 1, "SSRCs")
    check(all(96 <= r.payload_type <= 127 for r in rtp), "a dynamic payload type")
    packets = media.opus_packets(datagrams)
    equal(len(packets), len(rtp), "Opus packets")
    check(datagrams[-1].time - datagrams[0].time > 1.5, "it is sent in real time")
    check(not any(d.fragment for d in datagrams), "no fragments")
    return packets


def test_what_ffmpeg_sends_is_captured(t):
    check_capture(t, "ffmpeg", 20)


def test_what_gstreamer_sends_is_captured(t):
    check_capture(t, "gstreamer", 60)


def test_ogg_is_read_packet_by_packet_and_damage_is_seen(t):
    """The same speech encoded twice by ffmpeg, once into Ogg and once into RTP: bit for bit the same packets."""
    host = t.host("origin")
    sent = check_capture(t, "ffmpeg", 20)
    path = os.path.join(t.dir, "speech.opus")
    host.run("ffmpeg", "-nostdin", "-v", "error", "-i", t.speech(2), "-c:a", "libopus", "-b:a", "24k", "-application",
             "voip", "-frame_duration", "20", path)
    ogg = media.read_ogg(path)
    equal(ogg.packets[:100], sent[:100], "the packets")
    check(ogg.ended and ogg.granules[-1] > 90000, "the end and its granule position")
    with open(path, "rb") as file:
        good = file.read()
    for bad in (good[:-1], good[:200] + bytes([good[200] ^ 1]) + good[201:], good[1:]):
        with open(path, "wb") as file:
            file.write(bad)
        try:
            media.read_ogg(path)
        except ValueError:
            continue
        check(False, "a damaged file was read")


def test_matching_tells_missing_from_foreign(t):
    equal(media.match("abcdefg", "bceg"), media.Match(4, [3, 5], []), "holes")
    equal(media.match("abcdefg", "bcx"), media.Match(2, [], [2]), "what was never sent")
    equal(media.match("abcdefg", "ba"), media.Match(1, [], [1]), "what came late")
    equal(media.match("aabaab", "aabaab"), media.Match(6, [], []), "equal packets")
    equal(media.match("abc", ""), media.Match(0, [], []), "nothing")


def test_configuration_values_are_toml(t):
    text = harness.toml({"a": 1, "b": "x\"y", "c": [True, {"d": 0.5}]})
    equal(text, '{ a = 1, b = "x\\"y", c = [true, { d = 0.5 }] }', "an inline table")


def test_readiness_is_heard_through_the_notify_socket(t):
    """With a stand-in for the binary, since this is about the harness."""
    stand_in = os.path.join(t.dir, "stand-in")
    with open(stand_in, "w", encoding="utf-8") as file:
        file.write(f"""#!{sys.executable}
import base64, os, socket, sys, time
if sys.argv[1] == "keygen":
    os.close(os.open(sys.argv[-1], os.O_CREAT | os.O_WRONLY, 0o600))
if sys.argv[1] in ("keygen", "pubkey"):
    print(base64.b64encode(bytes(32)).decode()); sys.exit()
print("starting", file=sys.stderr)
if "parents = 7" in open(sys.argv[3]).read(): sys.exit(78)
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"STATUS=up\\nREADY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(60)
""")
    os.chmod(stand_in, 0o755)
    t.binary = stand_in
    t.new_source()
    origin = t.node("origin", source=t.sources[0])
    relay = t.node("relay", upstreams=[origin])
    origin.start()
    check("STATUS=up" in origin.notified, "the whole message was heard")
    check(f'public_key = "{relay.key.public}"' in origin.config(), "the relay may join")
    check("starting" in origin.log(), "the log is kept")
    origin.kill()
    origin.start()
    equal(origin.stop(), -signal.SIGTERM, "the exit status")
    relay.sections = {"node": {"parents": 7}}
    try:
        relay.start()
    except harness.Failed as error:
        check("status 78" in str(error), f"why it did not start: {error}")
    else:
        check(False, "a node that ended was taken for ready")


def test_a_killed_run_leaves_nothing_behind(t):
    """A run of its own is killed in the middle; its namespaces go with the next sweep, its children at once."""
    script = os.path.join(t.dir, "killed_test.py")
    with open(script, "w", encoding="utf-8") as file:
        file.write("import sys, time\nsys.path.insert(0, sys.argv.pop())\nimport harness\n"
                   "def test_sleep(t):\n"
                   "    child = t.host('a').popen(['sleep', '60'])\n"
                   "    print(child.pid, flush=True)\n    time.sleep(60)\n"
                   "harness.main(globals())\n")
    here = os.path.dirname(os.path.abspath(__file__))
    for number, left in ((signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, 2)):
        run = subprocess.Popen([sys.executable, script, here], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               env={**os.environ, "TMPDIR": t.dir})
        child = int(run.stdout.readline())
        run.send_signal(number)
        run.wait(20)
        run.stdout.close()
        own = [n for n in network.run("ip", "netns", "list").split() if n.startswith(f"{network.PREFIX}{run.pid}-")]
        equal(len(own), left, f"namespaces left after signal {number}")
        harness.eventually(lambda: not os.path.exists(f"/proc/{child}"), 5, "the child's end")
    network.sweep()
    check(f"{network.PREFIX}{run.pid}-" not in network.run("ip", "netns", "list"), "the sweep removes what was left")


if __name__ == "__main__":
    harness.main(globals())

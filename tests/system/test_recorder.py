"""What becomes of recordings: killed nodes, disks that take nothing, the end of a broadcast, two that record the same."""
import glob
import json
import os
import subprocess
import sys
import time

import media
import network
import trees
from harness import ROOT, check, equal, eventually


def recordings(folder, count):
    """So many finished ones, in order of time; nothing else is there."""
    names = sorted(os.listdir(folder))
    check(len(names) == count and all(name.endswith(".opus") for name in names), f"what is in {folder}: {names}")
    return [os.path.join(folder, name) for name in names]


def tags(path):
    return dict(tag.split("=", 1) for tag in subprocess.run(["opusinfo", path], capture_output=True, text=True, check=True)
                .stdout.replace("\t", "").splitlines() if tag.startswith("TIERCAST_"))


def recorded(path):
    """Audio by its sequence."""
    ogg = media.read_ogg(path)
    check(ogg.ended, f"{path} has an end")
    first, out = int(tags(path)["TIERCAST_SEQUENCE"]), {}
    for index, packet in enumerate(ogg.packets[1:]):  # behind what the pre-skip skips; a packet a tick
        if len(packet) > trees.CONCEALMENT:
            out[first + index] = packet
    return out


def broadcast(t, folder, **options):
    node = t.node("origin", source=t.new_source(), group={"record": {"directory": folder, **options}}).start()
    listener = t.listener("ear", [node], host=t.host("ears")).start()
    trees.listening(node, 1)
    return node, listener


def problem(node):
    return trees.group(node)["recording"].get("problem", "")


def nothing_is_missing(t, node, listener, folder, sent):
    """Neither there nor in the one recording, which has its name within a second of the end."""
    trees.end(node, [listener])
    eventually(lambda: glob.glob(f"{folder}/*.opus"), 1, "the recording is finished")
    trees.dense(listener)
    trees.heard_all(listener, sent)
    (path,) = [path for path in glob.glob(f"{folder}/*") if path.endswith((".opus", ".part"))]
    trees.same_as_sent("the recording", list(recorded(path).values()), sent)
    equal(node.stop(), 0, "the exit status")
    for event in ("recording_failed", "recording_goes_on", "recording_gap"):
        equal(node.log().count(event), 0 if event.endswith("gap") else 1, f"times of {event}: {node.log()!r}")


def test_killed_nodes_leave_recordings_that_play_to_within_a_second_of_the_kill(t):
    """Some kills; by itself the script does 500."""
    done = subprocess.run([sys.executable, os.path.join(ROOT, "tests/system/recorder_kills.py"), "--binary", t.binary,
                           "--nodes", "5", "--rounds", "2", "--longest", "3", "--json"], capture_output=True, text=True)
    check(done.stdout, f"it says {done.stderr!r}")
    result = json.loads(done.stdout)
    equal(result["problems"], [], f"what is wrong, seed {result['seed']}")
    check(result["files"] >= 10 and result["missing_ms_most"] <= 1000, f"what it found: {result}")


def test_a_full_disk_costs_a_recording_nothing_once_there_is_room(t):
    disk = t.disk("recordings", "12k")
    node, listener = broadcast(t, disk)
    sent = trees.send_speech(t, node, 6)
    check("No space left on device; make room there" in problem(node), f"the problem: {problem(node)!r}")
    check(trees.group(node)["recording"]["waiting_bytes"] > 5000, "bytes that wait")
    status = node.admin("status")
    check("the recording waits for its disk" in status and "make room there" in status, f"status: {status!r}")
    network.run("mount", "-o", "remount,size=1m", disk)
    eventually(lambda: not problem(node), 5, "the recording goes on")
    nothing_is_missing(t, node, listener, disk, sent)


def test_a_read_only_disk_keeps_no_node_from_starting(t):
    disk = t.disk("recordings", "1m")
    network.run("mount", "-o", "remount,ro", disk)
    node, listener = broadcast(t, disk)
    check("Read-only file system; mount it for writing again" in problem(node), f"the problem: {problem(node)!r}")
    sent = trees.send_speech(t, node, 3)
    equal(os.listdir(disk), [], "what is there")
    # The node has mounts of its own: to make the file system writable is not all.
    network.run("nsenter", "-t", str(node.pid), "-m", "mount", "-o", "remount,rw", disk)
    eventually(lambda: not problem(node), 5, "the recording goes on")
    nothing_is_missing(t, node, listener, disk, sent)


def test_a_disk_that_hangs_costs_nobody_a_frame(t):
    image, disk = os.path.join(t.dir, "image"), os.path.join(t.dir, "recordings")
    os.mkdir(disk)
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    network.run("mkfs.ext4", "-q", "-F", image)
    network.run("mount", "-o", "loop", image, disk)
    t.mounts.append(disk)
    node, listener = broadcast(t, disk)
    encoder = t.capture(node.host), t.encoder(node.host, t.speech(8))
    eventually(lambda: glob.glob(f"{disk}/*.part"), 5, "the recording has begun")
    network.run("fsfreeze", "-f", disk)  # who writes waits, in the kernel
    try:
        eventually(lambda: "recording_slow" in node.log(), 8, "the recording is told to be slow")
        check("the disk has taken nothing for 5 s" in problem(node), f"the problem: {problem(node)!r}")
        check(trees.group(node)["counters"]["recording_slow"] == 1, "times that it was")
    finally:
        network.run("fsfreeze", "-u", disk)
    encoder[1].wait(20)
    sent = media.opus_packets(encoder[0].stop())
    eventually(lambda: not problem(node), 5, "the recording goes on")
    trees.end(node, [listener])
    trees.dense(listener)
    trees.heard_all(listener, sent)
    eventually(lambda: glob.glob(f"{disk}/*.opus"), 1, "the recording is finished")
    (path,) = glob.glob(f"{disk}/*.opus")
    trees.same_as_sent("the recording", list(recorded(path).values()), sent)
    equal(node.stop(), 0, "the exit status")


def test_two_that_record_a_broadcast_have_the_same_and_post_it_at_its_end(t):
    """An origin, and an edge that comes later, loses a tenth of what comes, and is cut off for three seconds."""
    said = os.path.join(t.dir, "posted")
    script = os.path.join(t.dir, "post")
    with open(script, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\necho "$TIERCAST_NODE $TIERCAST_WHY $*" >> {said}\n[ $TIERCAST_NODE = origin ] || exit 7\n')
    os.chmod(script, 0o755)
    folders = {name: os.path.join(t.dir, f"of-{name}") for name in ("origin", "edge")}
    record = {name: {"record": {"directory": folder, "finished": [script, "--now"]}} for name, folder in folders.items()}
    origin = t.node("origin", source=t.new_source(), group=record["origin"])
    edge = t.node("edge", upstreams=[origin], group=record["edge"])
    origin.start()
    tap, encoder = t.capture(origin.host), t.encoder(origin.host, t.speech(12))
    eventually(lambda: glob.glob(folders["origin"] + "/*.part"), 10, "the origin records")
    time.sleep(1)
    edge.start()
    trees.live(edge)
    edge.host.lose(100)
    time.sleep(1)
    t.net.partition(origin.host, edge.host)
    time.sleep(3)
    t.net.partition(origin.host, edge.host, False)
    encoder.wait(20)
    edge.host.lose(0)
    sent = media.opus_packets(tap.stop())
    origin.admin("end", "main")
    ended = time.monotonic()
    (first,) = eventually(lambda: glob.glob(folders["origin"] + "/*.opus"), 1, "the origin's recording is finished")
    eventually(lambda: os.path.exists(said) and first in open(said, encoding="utf-8").read(), 1, "the origin's is posted")
    check(time.monotonic() - ended < 1.5, "both within a second or so")
    (second,) = eventually(lambda: glob.glob(folders["edge"] + "/*.opus"), 3, "the edge's recording is finished")
    whole, part = recorded(first), recorded(second)
    trees.same_as_sent("the origin's recording", list(whole.values()), sent)
    begins = min(part)
    check(begins > min(whole) + 25, "the edge came later")
    equal({s: p for s, p in whole.items() if s >= begins} == part, True, "the edge has the same from there on, nothing lost")
    for path in (first, second):
        trees.accepted_by_others(path, (media.read_ogg(path).granules[-1] - 120) / 48000)
    eventually(lambda: "finished_command_ended" in edge.log(), 5, "the edge has heard of its command's end")
    equal(sorted(open(said, encoding="utf-8").read().splitlines()),
          [f"edge end --now {second}", f"origin end --now {first}"], "what the commands got")
    check("finished_command_ended group=main" in origin.log() and "status=0" in origin.log(), f"log: {origin.log()!r}")
    check("status=7" in edge.log(), f"log: {edge.log()!r}")
    equal([trees.counters(node)["finished_command_failed"] for node in (origin, edge)], [0, 1], "commands that failed")
    for node in (origin, edge):
        equal(node.stop(), 0, "the exit status")
    recordings(folders["origin"], 1)


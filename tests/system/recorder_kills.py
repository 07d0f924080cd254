#!/usr/bin/env python3
"""Kills recording nodes (kill -9) at random moments, many times over, and looks at every file that they leave behind: it
must be read by opusinfo and opusdec without a complaint, hold what was sent, packet for packet, up to a second before the
kill at least, and no packet twice. Every node is an origin that only records, on loopback; as any user."""
import argparse
import bisect
import glob
import json
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import namedtuple

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [HERE, os.path.join(HERE, "../../scripts/lib")]
sys.dont_write_bytecode = True

import media  # noqa: E402

FRAME = 0.020  # s
STARTS = 1.5  # s from its start, after which a node must hear its input
Kill = namedtuple("Kill", "started at recording")  # of one process; whether it had told that it records


def speech(folder, seconds):
    """Opus packets of that much speech, as an encoder makes them, none twice: each names its place."""
    wav, opus = os.path.join(folder, "speech.wav"), os.path.join(folder, "speech.opus")
    media.make_speech(wav, seconds)
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", wav, "-c:a", "libopus", "-b:a", "24k", "-application",
                    "voip", "-frame_duration", "20", opus], check=True)
    return list(dict.fromkeys(packet for packet in media.read_ogg(opus).packets if len(packet) > 2))


def free_ports(count, chance):
    """Of UDP on loopback, which the kernel gives to nobody who does not ask for that one."""
    ports, held = [], []
    while len(ports) < count:
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            port = chance.randrange(10000, 32000)
            probe.bind(("127.0.0.1", port))
            ports.append(port)
            held.append(probe)
        except OSError:
            probe.close()
    for probe in held:
        probe.close()
    return ports


class Sender(threading.Thread):
    """RTP to all ports, the same to each, in real time; `sent` has (when, packet) of each."""

    def __init__(self, packets, ports):
        super().__init__(daemon=True)
        self.packets, self.ports, self.sent, self.stopped = packets, ports, [], threading.Event()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def run(self):
        began, number = time.monotonic(), 0
        while not self.stopped.is_set():
            if number == len(self.packets):
                break
            packet = self.packets[number]
            rtp = struct.pack(">BBHII", 0x80, 97, number & 0xffff, number * 960 & 0xffffffff, 0x54657374) + packet
            self.sent.append((time.monotonic(), packet))
            for port in self.ports:
                self.socket.sendto(rtp, ("127.0.0.1", port))
            number += 1
            time.sleep(max(0, began + number * FRAME - time.monotonic()))


class Node:
    """One after another the processes of one node; each is killed but the last."""

    def __init__(self, binary, folder, name, port):
        self.binary, self.folder, self.name = binary, os.path.join(folder, name), name
        self.recordings = os.path.join(self.folder, "recordings")
        os.makedirs(os.path.join(self.folder, "state"), mode=0o700)
        def key(*words):
            return subprocess.run([binary, "keygen", *words], capture_output=True, text=True, check=True).stdout.strip()
        key("-o", f"{self.folder}/node.key")
        source = key("--source", "-o", f"{self.folder}/source.key")
        with open(f"{self.folder}/node.toml", "w", encoding="utf-8") as file:
            file.write(f'[node]\nname = "{name}"\nkey = "{self.folder}/node.key"\nstate = "{self.folder}/state"\n'
                       f'[[group]]\nname = "main"\nid = 1\nsources = [{{ id = 1, key = "{source}" }}]\n'
                       f'source = {{ rtp = "127.0.0.1:{port}", id = 1, signing_key = "{self.folder}/source.key" }}\n'
                       f'record = {{ directory = "{self.recordings}" }}\n')
        self.log = os.path.join(self.folder, "log")
        self.kills = []

    def start(self):
        with open(self.log, "ab") as log:
            return subprocess.Popen([self.binary, "run", "-c", f"{self.folder}/node.toml"], stdin=subprocess.DEVNULL,
                                    stdout=log, stderr=log)

    def lives_and_dies(self, moments):
        for moment in moments:
            started = time.monotonic()
            process = self.start()
            time.sleep(moment)
            if process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with status {process.returncode}: {self.last_words()}")
            at = time.monotonic()
            process.kill()
            process.wait()
            self.kills.append(Kill(started, at, bool(self.parts())))

    def recovers(self):
        """A last process, stopped as usual: what the kills have left has its name then."""
        process = self.start()
        deadline = time.monotonic() + 20
        while [p for p in self.parts() if self.before_last(p)] and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
        process.terminate()
        if process.wait(20) != 0:
            raise RuntimeError(f"{self.name} ended with status {process.returncode}: {self.last_words()}")

    def before_last(self, part):
        return os.path.getmtime(part) < time.time() - 3

    def parts(self):
        return glob.glob(f"{self.recordings}/*.part")

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]


class Bad(Exception):
    """What must not be of a file."""


def accepted(path):
    """opusinfo, and opusdec, which is opusfile, read it without a word of complaint."""
    info = subprocess.run(["opusinfo", path], capture_output=True, text=True)
    said = info.stdout + info.stderr
    if info.returncode != 0 or re.search("warning|error|invalid|illegal|corrupt", said, re.I):
        raise Bad(f"{path}: opusinfo: {said}")
    played = subprocess.run(["opusdec", "--quiet", path, "/dev/null"], capture_output=True, text=True)
    if played.returncode != 0 or played.stderr.strip():
        raise Bad(f"{path}: opusdec: {played.stderr}")


def place(path, packets, sent, places):
    """Index of the first packet in `sent`; the others follow it without a hole."""
    at = places.get(packets[0])
    if at is None or [packet for _, packet in sent[at:at + len(packets)]] != packets:
        raise Bad(f"{path}: its {len(packets)} packets were not sent so")
    return at


def look_at(node, sent):
    """Of each kill the seconds before it that are in no file; problems in words; how many files."""
    places, problems, spans = {packet: index for index, (_, packet) in enumerate(sent)}, [], []
    for path in sorted(glob.glob(f"{node.recordings}/*.opus")):
        try:
            accepted(path)
            ogg = media.read_ogg(path)
            if not ogg.ended:
                raise Bad(f"{path} has no end")
            packets = [packet for packet in ogg.packets[1:] if len(packet) > 2]  # but the silence that is skipped
            if not packets:
                raise Bad(f"{path} is empty")
            at = place(path, packets, sent, places)
            spans.append((at, at + len(packets), path))
        except (Bad, ValueError) as bad:
            problems.append(str(bad))
    problems += [f"{path} is left over" for path in node.parts()]
    spans.sort()
    problems += [f"{one[2]} and {two[2]} hold the same packets" for one, two in zip(spans, spans[1:]) if two[0] < one[1]]
    times, missing = [when for when, _ in sent], []
    for kill in node.kills:
        last = bisect.bisect_left(times, kill.at) - 1  # what was sent before it
        first = bisect.bisect_left(times, kill.started + STARTS)
        if first > last:
            continue  # it may have heard nothing yet
        ends = [end for begin, end, _ in spans if begin <= last and times[end - 1] >= kill.started]
        held = max((end for end in ends if end <= last + 2), default=None)
        missing.append(kill.at - (times[held - 1] if held else kill.started + STARTS))
        if missing[-1] > 1:
            problems.append(f"{node.name}: killed at {kill.at:.3f}, {missing[-1]:.3f} s before it are in no file")
    return missing, problems, len(spans)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(HERE, "../../build/release/tiercast"))
    parser.add_argument("--nodes", type=int, default=10, help="at once; default 10")
    parser.add_argument("--rounds", type=int, default=50, help="kills of each; default 50")
    parser.add_argument("--longest", type=float, default=5, help="s that a process lives at most; default 5")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--keep", action="store_true", help="leave the files there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chance, folder = random.Random(options.seed), tempfile.mkdtemp(prefix="tiercast-kills-")
    binary = os.path.abspath(options.binary)
    try:
        packets = speech(folder, int(30 + options.rounds * (options.longest / 2 + 1)))
        ports = free_ports(options.nodes, chance)
        nodes = [Node(binary, folder, f"node-{n}", port) for n, port in enumerate(ports)]
        sender = Sender(packets, ports)
        sender.start()
        failures = []

        def live(node, moments):
            try:
                node.lives_and_dies(moments)
                node.recovers()
            except Exception as error:  # told below, with the others'
                failures.append(f"{node.name}: {error}")
        threads = [threading.Thread(target=live, args=(node, [chance.uniform(0.02, options.longest)
                                                              for _ in range(options.rounds)])) for node in nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sender.stopped.set()
        sender.join()
        missing, problems, files = [], failures, 0
        for node in nodes:
            of_node = look_at(node, sender.sent)
            missing += of_node[0]
            problems += of_node[1]
            files += of_node[2]
        if len(sender.sent) == len(packets):
            problems.append("the speech was too short")
        kills = sum(len(node.kills) for node in nodes)
        recording = sum(kill.recording for node in nodes for kill in node.kills)
        result = {"seed": options.seed, "kills": kills, "while_recording": recording, "files": files,
                  "judged": len(missing), "missing_ms_median": round(1000 * sorted(missing)[len(missing) // 2]),
                  "missing_ms_most": round(1000 * max(missing)), "problems": problems[:20]}
        print(json.dumps(result) if options.json else "\n".join(f"{k}: {v}" for k, v in result.items()))
        return 1 if problems or kills != options.nodes * options.rounds else 0
    finally:
        if options.keep:
            print(folder, file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

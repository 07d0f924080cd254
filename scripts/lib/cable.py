"""Cables with faults, between hosts and their bridge (network.Net.host(name, cable=True)): loss, alone or in bursts, delay,
jitter, reordering, duplicates, of the UDP datagrams on their way to the host.

  cable.py FAULTS SEED FAR,NEAR ...      FAR and NEAR, the ends of each: NAMESPACE:INTERFACE, tap devices

FAULTS is a file of JSON, {} at first, read anew at SIGHUP: loss (0..1, overall), burst (mean length of what is lost in a
row; without it each datagram has its own fate), delay_ms, jitter_ms (added, up to so much; nobody is overtaken), late
(0..1) and late_ms (so many are held back so long, and overtaken), twice (0..1: come again within 10 ms). The bursts are
Gilbert and Elliott's: a good state, where nothing is lost, and a bad one, where all is. Knows nothing of tiercast."""
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import signal
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 0x0002, 0x1000
ETHERTYPES = {b"\x08\x00": 23, b"\x86\xdd": 20}  # IPv4, IPv6: where the protocol stands
UDP = 17


def tap(end):
    """The device's descriptor. The process stays in its namespace."""
    namespace, interface = end.split(":")
    with open(f"/run/netns/{namespace}", "rb") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", interface.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


def is_udp(frame):
    at = ETHERTYPES.get(frame[12:14])
    return at is not None and len(frame) > at and frame[at] == UDP


class Fate:
    """What becomes of one datagram after the other, of one direction."""

    def __init__(self, chance):
        self.chance, self.faults, self.bad, self.last = chance, {}, False, 0.0

    def lost(self):
        loss, burst = self.faults.get("loss", 0), self.faults.get("burst")
        if not burst or not loss:
            return self.chance.random() < loss
        leave = 1 / burst  # the bad state, after each; so often is it entered that it has `loss` of the time
        self.bad = self.chance.random() < (1 - leave if self.bad else leave * loss / (1 - loss))
        return self.bad

    def times(self, now):
        """When it comes: never, once, or twice."""
        faults, chance = self.faults, self.chance
        if self.lost():
            return []
        at = now + faults.get("delay_ms", 0) / 1000 + chance.random() * faults.get("jitter_ms", 0) / 1000
        at = self.last = max(at, self.last)
        if chance.random() < faults.get("late", 0):
            at += faults["late_ms"] / 1000
        return [at] + ([at + chance.random() / 100] if chance.random() < faults.get("twice", 0) else [])


def main(path, seed, *cables):
    fates, to, waiting, count = {}, {}, [], 0
    poll = select.poll()
    for number, cable in enumerate(cables):
        far, near = map(tap, cable.split(","))
        fates[far] = Fate(random.Random(f"{seed} {number}"))
        for one, other in ((far, near), (near, far)):
            to[one] = other
            poll.register(one, select.POLLIN)

    def read_faults(*_):
        with open(path, encoding="utf-8") as file:
            faults = json.load(file)
        for fate in fates.values():
            fate.faults = faults
    signal.signal(signal.SIGHUP, read_faults)
    read_faults()

    def put(descriptor, frame):
        try:
            os.write(descriptor, frame)
        except OSError:  # its queue is full, or it is down: lost, as on others
            pass
    while True:
        until = max(0, (waiting[0][0] - time.monotonic()) * 1000) if waiting else None
        for one, _ in poll.poll(until):
            while True:
                try:
                    frame = os.read(one, 65536)
                except OSError:
                    break
                if one not in fates or not is_udp(frame) or not fates[one].faults:
                    put(to[one], frame)
                    continue
                for at in fates[one].times(time.monotonic()):
                    count += 1
                    heapq.heappush(waiting, (at, count, to[one], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, descriptor, frame = heapq.heappop(waiting)
            put(descriptor, frame)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A listener: one parent, one group, a socket and a clock. Joins, keeps its lease, joins anew when its parent falls
silent, asks for what is missing, and leaves (crypto/PROTOCOL.md §7, §13, §14)."""
import hashlib
import json
import random
import select
import socket
import time
from collections import Counter

import wire
from join import Joining
from lease import HANDSHAKE_LIFE
from stream import Stream

SILENCE_FLOOR, SILENCE_FRAMES, UNATTESTED = 0.060, 3, 2.0
SEEKS_AFTER, KEEPALIVE_ANSWERED, JOIN_SPREAD = 1.0, 0.6, 0.4
NACKS_APART = 0.025  # a parent takes 50 CONTROLs a second, and keepalives are among them


class Listener:
    def __init__(self, address, key, group, source_keys, log=None, asks=True):
        family, _, _, _, self._address = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.connect(self._address)
        self.socket.setblocking(False)
        self._key, self.group, self._log, self._asks = key, group, log, asks
        self.stream = Stream(group, source_keys)
        self.counters = Counter()
        self.lease, self.joining = None, Joining(key, group, time.monotonic())
        self.epochs_used = set()
        self._probed_at = None          # a keepalive was sent because of silence
        self._due_from = (0, 0)         # (newest, opened) at the last keepalive
        self._joins_at = None           # when to join anew
        self._nacks_from = 0.0

    def run(self, until=None, stopping=lambda: False):
        """To the attested end, to a time of time.monotonic(), or until stopping() says so. Then it leaves."""
        while not self.stream.ended() and not stopping() and (until is None or time.monotonic() < until):
            select.select([self.socket], [], [], 0.005)
            now = time.monotonic()
            while (data := self._receive()) is not None:
                self.on_datagram(data, now)
            self.turn(now)
        if self.lease:
            self._send(self.lease.seal(wire.leave(1)))
        self._write(self.stream.settled(time.monotonic(), all_of_it=True))

    def _receive(self):
        try:
            return self.socket.recv(2048)
        except BlockingIOError:
            return None
        except ConnectionError:  # an ICMP message: nobody listens there just now
            self.counters["unreachable"] += 1
            return None

    def _send(self, datagram):
        try:
            self.socket.send(datagram)
        except (BlockingIOError, ConnectionError):
            self.counters["not_sent"] += 1

    def on_datagram(self, data, now):
        if not data or len(data) > wire.MAX_DATAGRAM:
            self.counters["malformed"] += 1
        elif data[0] in (wire.RETRY, wire.ACCEPT):
            self._on_join(data, now)
        elif data[0] == wire.CONTROL:
            self._on_control(data, now)
        else:
            self.stream.on_datagram(data, now)

    def _on_join(self, data, now):
        accepted = self.joining and self.joining.on_datagram(data, now)
        if accepted:
            self.lease, records = accepted
            self.joining, self._joins_at, self._probed_at = None, None, None
            self.stream.last_frame_at = self.stream.last_attest_at = now
            self.counters["joined"] += 1
            self._on_records(records, now, accepting=True)

    def _on_control(self, data, now):
        records = self.lease.open(data, now) if self.lease else None
        if records is None:
            self.counters["control_refused"] += 1
            return
        self.counters["control"] += 1
        self._on_records(records, now, accepting=False)

    def _on_records(self, records, now, accepting):
        for record in records:
            if isinstance(record, wire.GroupInfo) and record.group == self.group:
                self.stream.on_info(record, now, accepting)
            elif isinstance(record, wire.Epoch):
                self.stream.on_epoch(record, now)
            elif isinstance(record, wire.Acknowledgement):
                self.counters["acknowledged"] += 1
                self._probed_at = None
            elif isinstance(record, wire.GoAway):
                self.counters["go_away"] += 1
                if wire.GO_AWAY_REASONS[record.reason] == "drain":
                    self._send(self.lease.seal(wire.go_away()))
                    continue
                self._joins_at = now + record.retry_after + random.uniform(0, 1)
            elif isinstance(record, wire.Leave):
                self.counters["left_by_parent"] += 1
                self.lease = None
                self._joins_at = self._joins_at or now + random.uniform(0, 1)

    def turn(self, now):
        """Everything that time brings."""
        if self._joins_at is not None and now >= self._joins_at and not self.joining:
            self.joining, self._joins_at = Joining(self._key, self.group, now), None
        for datagram in self.joining.poll(now) if self.joining else []:
            self._send(datagram)
        if self.lease:
            self._watch(now)
            if self.stream.epochs.wants(now):
                self.lease.early(now)
            if now >= self.lease.deadline:
                self._send(self.lease.keepalive(now, self.group, self.stream.epochs.held(), self._loss()))
                self.counters["keepalives"] += 1
            asks = self._asks and now >= self._nacks_from
            nacks = self.stream.nacks(now, self.lease.round_trip) if asks else []
            if nacks:
                self._send(self.lease.seal(*nacks))
                self._nacks_from = now + NACKS_APART
                self.counters["nacks"] += len(nacks)
        self._write(self.stream.settled(now))

    def _watch(self, now):
        """Is the parent still there?"""
        silence = max(SILENCE_FRAMES * self.stream.frame_s, SILENCE_FLOOR)
        silent = now - self.stream.last_frame_at > silence
        idles = self.stream.last_idle_at is not None and now - self.stream.last_idle_at <= silence
        if silent and self._probed_at is None:
            self._probed_at = now
            self.lease.early(now)
        patience = max(2 * self.lease.round_trip, KEEPALIVE_ANSWERED)
        unanswered = self._probed_at is not None and now - self._probed_at > patience
        if idles and now - self.stream.last_frame_at <= SEEKS_AFTER:
            unanswered = False
        unattested = not silent and now - self.stream.last_attest_at > UNATTESTED
        if (silent and unanswered and not self.lease.seeking) or unattested or now - self.lease.began > HANDSHAKE_LIFE:
            self._join_anew(now)

    def _join_anew(self, now):
        """Beside the old lease, which serves until the new one is there."""
        if not self.joining and self._joins_at is None:
            self.counters["joins_anew"] += 1
            self._joins_at = now + random.uniform(0, JOIN_SPREAD)

    def _loss(self):
        """The share of the frames due since the last keepalive that did not come."""
        newest, opened = self.stream.newest, self.stream.counters["opened"]
        due, came = newest - self._due_from[0], opened - self._due_from[1]
        first, self._due_from = self._due_from == (0, 0), (newest, opened)
        return 0.0 if first or due <= 0 else min(1.0, max(0.0, 1 - came / due))

    def _write(self, entries):
        for e in entries:
            if e.kind != "lost":
                self.epochs_used.add((e.source, e.epoch))
            if self._log:
                hashed = hashlib.blake2b(e.packet, digest_size=16).hexdigest()
                json.dump({"sequence": e.sequence, "kind": e.kind, "source": e.source, "epoch": e.epoch,
                           "size": len(e.packet), "hash": hashed, "attested": e.attested}, self._log)
                self._log.write("\n")

    def report(self):
        return {**self.counters, **self.stream.counters, "ended": self.stream.ended(),
                "epochs_used": sorted(self.epochs_used)}

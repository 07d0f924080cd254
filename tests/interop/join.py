"""The way in: HELLO, RETRY, JOIN, ACCEPT (crypto/PROTOCOL.md §6.1). Bytes and times in, bytes out; no socket, no clock.
Times are seconds."""
import hashlib
import os
import random

import noise
import wire
from lease import Lease

VERSION, PATTERN_NK = 1, 2
FIRST_RESEND, MAX_RESEND, MOST_JOINS = 0.2, 3.2, 5
COOKIE_LIFE = 9.0  # of its 10 s, as `issued` was rounded down
MAX_DIFFICULTY = 24
LEAST_WAIT_AFTER_DENIAL = 5.0


class Refused(Exception):
    """There is no use in trying again; the text is for people."""


def solve(join, solution_at, difficulty):
    """JOIN with a solution put in such that BLAKE2b-256 of it all begins with so many zero bits."""
    before, after, tries = join[:solution_at], join[solution_at + 8:], 0
    while difficulty:
        candidate = before + tries.to_bytes(8, "big") + after
        if int.from_bytes(hashlib.blake2b(candidate, digest_size=32).digest(), "big") >> (256 - difficulty) == 0:
            return candidate
        tries += 1
    return join


class Joining:
    """poll() gives what is to be sent; accept comes out of on_datagram as a Lease and the records beside it."""

    def __init__(self, key, group, now):
        self._key, self._group = key, group
        self.denied = None
        self._start(now)

    def _start(self, now):
        self._nonce = os.urandom(8)
        self._hello = bytes([wire.HELLO, 0, VERSION]) + self._nonce + bytes(53)
        self._join, self._noise = None, None
        self._sent, self._expires = 0, None
        self._interval, self.deadline = FIRST_RESEND, now

    def poll(self, now):
        if now < self.deadline:
            return []
        if self._join and (self._sent == MOST_JOINS or now > self._expires):
            self._start(now)
        self.deadline = now + self._interval * random.uniform(0.75, 1.25)
        self._interval = min(2 * self._interval, MAX_RESEND)
        if self._join:
            self._sent += 1
            self._joined_at = now
            return [self._join]
        return [self._hello]

    def on_datagram(self, data, now):
        """None, or (Lease, records)."""
        if data[0] == wire.RETRY and len(data) == 35 and not self._join and data[4:12] == self._nonce:
            self._on_retry(data, now)
        elif data[0] == wire.ACCEPT and self._sent and data[2:10] == self._nonce:
            return self._on_accept(data, now)
        return None

    def _on_retry(self, retry, now):
        lowest, highest, wait, difficulty = retry[2], retry[3], int.from_bytes(retry[16:18], "big"), retry[18]
        if not lowest <= VERSION <= highest:
            raise Refused(f"the node speaks versions {lowest} to {highest}, not {VERSION}")
        if difficulty > MAX_DIFFICULTY:
            raise Refused(f"the node asks for a puzzle of {difficulty} bits")
        clear = bytes([wire.JOIN, 0, VERSION, PATTERN_NK]) + retry[4:35]
        self._noise = noise.Initiator(self._key, self._hello + retry + clear)
        message = self._noise.write(wire.join_request(self._group))
        self._join = solve(clear + bytes(8) + message, len(clear), difficulty)
        self._expires = now + wait / 10 + COOKIE_LIFE
        self._interval, self.deadline = FIRST_RESEND, now + wait / 10

    def _on_accept(self, data, now):
        try:
            payload, up, down = self._noise.read(data[10:])
            records = wire.read_records(payload)
        except (noise.Forged, wire.Malformed):
            return None  # the true one may still come
        for record in records:
            if isinstance(record, wire.Denied):
                self.denied = record
                self._start(now)
                self.deadline = now + max(LEAST_WAIT_AFTER_DENIAL, record.retry_after) * random.uniform(1, 1.25)
                return None
            if isinstance(record, wire.Accepted):
                round_trip = now - self._joined_at if self._sent == 1 else 0
                return Lease(record, up, down, round_trip, now), records
        return None

"""A lease: CONTROL in both directions, keepalives and tokens (crypto/PROTOCOL.md §3.5, §7 and §8). Bytes and times in,
bytes out; no socket, no clock. Times are seconds."""
import random

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

import wire

KEEPALIVE, RESEND, LEAST_APART, HANDSHAKE_LIFE = 5.0, 0.5, 0.05, 23 * 3600.0
REPLAY_WINDOW = 64
HEADER, MIN_CONTROL, MAX_HELD = 18, 34, 64


class Lease:
    def __init__(self, accepted, up, down, round_trip, now):
        self._lane, self._id, self._token = accepted.lane, wire.number(accepted.lease, 8), accepted.token
        self._up, self._down = ChaCha20Poly1305(up), ChaCha20Poly1305(down)
        self._counter, self._token_counter = 0, -1
        self._newest, self._seen = -1, set()
        self._number, self._unanswered = 0, {}  # number -> when sent; emptied by an acknowledgement
        self.round_trip = round_trip
        self.began = now
        self.seeking = False
        self._last, self.deadline = None, now  # the first keepalive is due at once

    def seal(self, *records):
        header = bytes([wire.CONTROL, self._lane]) + self._id + wire.number(self._counter, 8)
        self._counter += 1
        return header + self._up.encrypt(bytes(4) + header[10:18], b"".join(records), header)

    def open(self, data, now):
        """The records of a CONTROL that came, [] if there are none, or None if it is not good."""
        if len(data) < MIN_CONTROL or data[2:10] != self._id:
            return None
        counter = int.from_bytes(data[10:18], "big")
        if counter <= self._newest - REPLAY_WINDOW or counter in self._seen:
            return None
        try:
            payload = self._down.decrypt(bytes(4) + data[10:18], data[HEADER:], data[:HEADER])
        except InvalidTag:
            return None
        self._newest = max(self._newest, counter)
        self._seen = {c for c in self._seen if c > self._newest - REPLAY_WINDOW} | {counter}
        try:
            records = wire.read_records(payload)
        except wire.Malformed:
            return None
        for record in records:
            self._on_record(record, counter, now)
        return records

    def _on_record(self, record, counter, now):
        if isinstance(record, (wire.Acknowledgement, wire.Token)) and counter > self._token_counter:
            self._token, self._token_counter = record.token, counter
        if isinstance(record, wire.Token):
            self.early(now)
        if isinstance(record, wire.Acknowledgement) and record.number in self._unanswered:
            sample = now - self._unanswered[record.number]
            self.round_trip = sample if not self.round_trip else self.round_trip + (sample - self.round_trip) / 8
            first = self._number == len(self._unanswered)  # nothing was acknowledged before
            self._unanswered.clear()
            self.seeking = record.seeking == 1
            self.deadline = self._last + KEEPALIVE * (random.uniform(0, 1) if first else random.uniform(0.95, 1))

    def early(self, now):
        """A keepalive sooner than planned."""
        self.deadline = min(self.deadline, max(now, self._last + LEAST_APART if self._last is not None else now))

    def unanswered_since(self):
        """When the first keepalive went out that nothing has answered yet, or None."""
        return min(self._unanswered.values(), default=None)

    def keepalive(self, now, group, held, loss):
        """The CONTROL that is due. `held`: (source, epoch) of each value known."""
        self._number += 1
        self._unanswered[self._number] = now
        if len(self._unanswered) > 100:
            del self._unanswered[next(iter(self._unanswered))]
        self._last, self.deadline = now, now + RESEND
        return self.seal(wire.keepalive(self._number, self._token, loss, self.round_trip),
                         wire.epochs_held(group, sorted(held)[-MAX_HELD:]))

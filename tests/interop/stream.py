"""One group's frames: opened, put in order, attested (crypto/PROTOCOL.md §9 to §11, §14, §15). What is told of a frame
waits for its attestation, as in strict mode. Bytes and times in, entries for a log out; no socket, no clock. Times are
seconds."""
from collections import Counter, namedtuple

import seal
import wire
from epochs import Epochs
from noise import Forged
from parity import Blocks
from slots import Slot, Version, ranges

AHEAD_OF_ATTESTED = 3.0  # no frame further on than this is taken
DEADLINE = 3.0           # how long a frame, and its attestation, are waited for; who plays would not wait so long
MOST_VERSIONS = 2
LOOSE = 64               # frames kept before it is known where the stream is

Entry = namedtuple("Entry", "sequence kind source epoch packet attested")  # kind: frame, empty, lost


class Stream:
    def __init__(self, group, source_keys):
        self.group, self._source_keys = group, source_keys
        self.epochs = Epochs(group, source_keys)
        self.frame_s = 0.02   # until group info tells
        self.next = None      # the first sequence that is not settled; None: it is not known where the stream is
        self.end = None       # the last sequence, attested
        self.newest = 0       # all up to here are known to exist
        self.counters = Counter()
        self.last_frame_at = self.last_idle_at = self.last_attest_at = None
        self._parity = Blocks(group)
        self._slots = {}      # dense from next to newest, but for jumps
        self._believed = 0    # the stream is at least here
        self._newest_attested = 0

    def on_datagram(self, data, now):
        try:
            if data[0] == wire.FRAME:
                self._on_frame(data, now)
            elif data[0] == wire.ATTEST:
                self._on_attest(data, now)
            elif data[0] == wire.PARITY:
                self._on_rebuilt(self._parity.on_parity(data), now)
            elif data[0] == wire.IDLE and len(data) == seal.HEADER:
                self._on_idle(wire.read_header(data), now)
            else:
                self.counters["not_for_listeners"] += 1
        except wire.Malformed:
            self.counters["malformed"] += 1

    def _on_rebuilt(self, frames, now):
        """By the same way as what comes."""
        for frame in frames:
            self.counters["rebuilt"] += 1
            self._on_frame(frame, now)

    def on_info(self, info, now, accepting):
        """Group info; `accepting`: it came with ACCEPT, and is believed."""
        self.frame_s = info.frame_ms / 1000
        if accepting and info.flags & wire.INFO_ENDED and info.newest and self.next is None:
            self._begin(info.newest)  # its attestation tells whether that is so
            self._exists(info.newest, now)
        if not info.flags & wire.INFO_ANCHORED:
            return
        if accepting:
            self._believed = max(self._believed, info.newest)
            if self.next is None:
                self._begin(info.newest + 1)
        if self.next is not None:
            self._exists(info.newest, now)

    def on_epoch(self, record, now):
        try:
            waited = self.epochs.add(record)
        except Forged:
            self.counters["forged_epoch"] += 1
            return
        if waited is not None:
            self.counters["epochs"] += 1
            for frame in waited:
                self._on_frame(frame, now)

    # Where the stream is.

    def _window(self):
        return round(AHEAD_OF_ATTESTED / self.frame_s)

    def _too_far(self, sequence):
        return self.next is not None and sequence > max(self._believed, self.next) + self._window()

    def _begin(self, sequence):
        self.next, self.newest = sequence, max(self.newest, sequence - 1)
        for early in [s for s in self._slots if s < sequence]:
            del self._slots[early]

    def _exists(self, sequence, now):
        """Up to here there are frames; those that did not come are gaps. Not so before a jump beyond the window."""
        if sequence <= self.newest or self._too_far(sequence):
            return
        first = self.newest + 1 if sequence - self.newest <= self._window() else sequence
        for s in range(first, sequence + 1):
            self._slots.setdefault(s, Slot(now))
        self.newest = sequence

    def _on_idle(self, header, now):
        if header.group == self.group:
            self.last_idle_at = now
            if self.next is not None:
                self._exists(header.sequence, now)

    # Frames.

    def _foreign(self, header):
        if header.group == self.group and header.source in self._source_keys:
            return False
        self.counters["foreign"] += 1
        return True

    def _on_frame(self, data, now):
        header = wire.read_header(data)
        if not seal.HEADER + seal.TAG <= len(data) <= wire.MAX_SEALED:
            raise wire.Malformed("a FRAME of that length")
        if self._foreign(header):
            return
        self.last_frame_at = now
        why_not, hashed = self._refusal(header, data)
        if why_not:
            self.counters[why_not] += 1
            return
        try:
            packet = self.epochs.open(header, data)
        except Forged:
            self.counters["forged"] += 1
            return
        if packet is None:
            self.counters["awaited_epoch" if self.epochs.wait(header, data) else "unknown_epoch"] += 1
        else:
            self._keep(Version(header, hashed, packet), now)
            self._on_rebuilt(self._parity.on_frame(header.sequence, data), now)

    def _refusal(self, header, data):
        hashed, slot = seal.frame_hash(data), self._slots.get(header.sequence)
        why_not = None
        if self.next is not None and header.sequence < self.next:
            why_not = "late"
        elif self._too_far(header.sequence):
            why_not = "too_far_ahead"
        elif slot and any(v.hash == hashed for v in slot.versions):
            why_not = "duplicate"
        elif slot and slot.attested and slot.attested != hashed:
            why_not = "against_attestation"
        elif slot and len(slot.versions) == MOST_VERSIONS:
            why_not = "too_many_versions"
        return why_not, hashed

    def _keep(self, version, now):
        sequence = version.header.sequence
        if self.next is not None:
            self._exists(sequence, now)
        elif len(self._slots) >= LOOSE:
            del self._slots[min(self._slots)]
        slot = self._slots.setdefault(sequence, Slot(now))
        self.counters["repaired"] += bool(slot.asked and not slot.versions)
        self.counters["opened"] += 1
        slot.came_at = slot.came_at or now
        slot.gap = False
        slot.versions.append(version)
        self._heed_flags(sequence)
        if self.next is None:  # three in a row that open tell where the stream is
            for first in range(sequence - 2, sequence + 1):
                if all(s in self._slots for s in range(first, first + 3)):
                    self._begin(first)
                    self._exists(first + 2, now)
                    return

    # Attestations.

    def _on_attest(self, data, now):
        header, hashes = seal.read_attest(data)
        if self._foreign(header):
            return
        last, ends = header.sequence + len(hashes) - 1, bool(header.flags & wire.END)
        news = {s: h for s, h in enumerate(hashes, header.sequence) if h != bytes(seal.HASH) and s >= (self.next or 0)
                and not (s in self._slots and self._slots[s].attested)}
        if not news and (not ends or self.end == last):
            self.counters["attestations_old"] += 1
            return
        try:
            seal.verify_attest(data, self._source_keys[header.source])
        except Forged:
            self.counters["attestations_forged"] += 1
            return
        self.counters["attestations"] += 1
        self.last_attest_at = now
        self._newest_attested = max(self._newest_attested, last)
        self._believed = max(self._believed, last)
        if self.next is None:
            self._begin(header.sequence)
        self._exists(header.sequence, now)
        self._exists(last, now)
        for sequence, hashed in news.items():
            self.counters["refuted"] += self._slots.setdefault(sequence, Slot(now)).attest(hashed)
            self._heed_flags(sequence)
        if ends:
            self._ends_at(last)
        if self.end is not None and self._newest_attested > self.end:
            self.end = None  # it goes on

    def _ends_at(self, sequence):
        if sequence >= self._newest_attested:
            self.end = sequence

    def _heed_flags(self, sequence):
        """A frame's own flags are believed once it is attested. Before a discontinuity nothing is missing."""
        good = self._slots[sequence].good()
        if good and good.header.flags & wire.END:
            self._ends_at(sequence)
        if good and good.header.flags & wire.DISCONTINUITY:
            sequence -= 1
            while (slot := self._slots.get(sequence)) and not slot.versions and not slot.attested:
                slot.gap = True
                sequence -= 1

    # What is asked for, and what comes out.

    def nacks(self, now, round_trip):
        """The NACK records that are due."""
        if self.next is None:
            return []
        frames = [s for s in sorted(self._slots) if self._slots[s].asks_frame(now, round_trip)]
        attests = [s for s in sorted(self._slots) if self._slots[s].asks_attest(now, s < self._newest_attested)]
        self.counters["asked_frames"] += len(frames)
        self.counters["asked_attestations"] += len(attests)
        return [wire.nack(self.group, kind, ranges(asked)) for kind, asked in enumerate((frames, attests)) if asked]

    def settled(self, now, all_of_it=False):
        """Entries in the order of sequences: attested, or given up."""
        entries = []
        while self._slots and self.next is not None and not self.ended():
            if self.next not in self._slots:
                self.counters["jumps"] += 1
                self.next = min(self._slots)
            slot = self._slots[self.next]
            version = slot.good()
            if not slot.gap:
                if not version and not all_of_it and now < slot.known_at + DEADLINE:
                    break
                entries.append(self._entry(version or next(iter(slot.versions), None), version is not None))
            del self._slots[self.next]
            self.next += 1
        return entries

    def _entry(self, version, attested):
        if version is None:
            self.counters["lost"] += 1
            return Entry(self.next, "lost", 0, 0, b"", False)
        self.counters["attested" if attested else "unattested"] += 1
        kind = "frame" if version.packet else "empty"
        return Entry(self.next, kind, version.header.source, version.header.epoch, version.packet, attested)

    def ended(self):
        return self.end is not None and self.next is not None and self.next > self.end

"""What is held of each sequence until it is settled, and what is asked for again (crypto/PROTOCOL.md §13)."""
import random
from collections import namedtuple

REORDER, NACK_MARGIN, NACK_MOST = 0.005, 0.010, 0.075  # a round trip and the margin; at least four rounds in 300 ms
ATTEST_WITHIN, ATTEST_OVERTAKEN, ATTEST_AGAIN = 0.6, 0.05, 0.1  # it comes 500 ms after its frame at the latest
MAX_RANGES, MAX_COUNT = 32, 0xffff

Version = namedtuple("Version", "header hash packet")


class Slot:
    """One sequence. Up to two versions of it are held until one is attested."""

    def __init__(self, now):
        self.known_at, self.came_at = now, None  # that there is such a frame; its first version
        self.versions, self.attested = [], None  # attested: the hash
        self.gap = False  # there is no such frame: the sequence jumped here
        self.asked = 0
        self._ask_frame = now + REORDER
        self._ask_attest = None

    def good(self):
        """The version that is attested, or None."""
        return next((v for v in self.versions if v.hash == self.attested), None)

    def attest(self, hashed):
        """How many versions this refutes."""
        self.attested = hashed
        before = len(self.versions)
        self.versions = [v for v in self.versions if v.hash == hashed]
        return before - len(self.versions)

    def asks_frame(self, now, round_trip):
        if self.gap or self.versions or now < self._ask_frame:
            return False
        self._ask_frame = now + min(round_trip + NACK_MARGIN, NACK_MOST) * random.uniform(1, 1.25)
        self.asked += 1
        return True

    def asks_attest(self, now, passed_by):
        """`passed_by`: a later frame is attested already."""
        if self.gap or self.attested:
            return False
        due = self.known_at + ATTEST_OVERTAKEN if passed_by else (self.came_at or self.known_at) + ATTEST_WITHIN
        if now < (self._ask_attest or due):
            return False
        self._ask_attest = now + ATTEST_AGAIN * random.uniform(1, 1.25)
        return True


def ranges(sequences):
    """(first, count) of each run of rising sequences, as many as one NACK may have."""
    runs = []
    for sequence in sequences:
        if runs and sequence == sum(runs[-1]) and runs[-1][1] < MAX_COUNT:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((sequence, 1))
    return runs[:MAX_RANGES]

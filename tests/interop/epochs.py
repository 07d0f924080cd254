"""The keys of the epochs that are known, and the frames that wait for one (crypto/PROTOCOL.md §5.3 and §10). Knows no
sequence and no time but that of asking."""
import seal
from noise import Forged

MOST_UNUSED, MOST_USED = 4, 4  # of a source: announcements alone never push out what is in use
UNKNOWN_EPOCHS, AWAITING, ASK_EVERY = 2, 64, 2.0


class Known:
    def __init__(self, record):
        self.name, self.value = (record.source, record.epoch), record.value
        self.key = seal.FrameKey(record.value, record.group, record.source, record.epoch)
        self.used = self.failed = False


class Epochs:
    def __init__(self, group, sources):
        self._group, self._sources = group, set(sources)
        self._known = []     # oldest first
        self._awaiting = []  # (name, datagram)
        self._asked_at = None

    def add(self, record):
        """The frames that waited for it; None if it tells nothing new. Announcements are not signed: values of one
        epoch that differ are kept side by side, and the one that opens is the right one."""
        if record.group != self._group or record.source not in self._sources:
            return None
        known = Known(record)
        if any((k.name, k.value) == (known.name, known.value) for k in self._known):
            return None
        self._known.append(known)
        for used, most in ((False, MOST_UNUSED), (True, MOST_USED)):
            alike = [k for k in self._known if k.used == used and k.name[0] == record.source]
            for old in alike[:-most]:
                self._known.remove(old)
        waited = [frame for name, frame in self._awaiting if name == known.name]
        self._awaiting = [a for a in self._awaiting if a[0] != known.name]
        return waited

    def find(self, header):
        return [k for k in self._known if k.name == (header.source, header.epoch)]

    def open(self, header, frame):
        """The Opus packet; None if the epoch is unknown; Forged."""
        candidates = self.find(header)
        if not candidates:
            return None
        for known in candidates:
            try:
                packet = known.key.open(frame)
                known.used = True
                return packet
            except Forged:
                known.failed = True
        raise Forged("a frame")

    def held(self):
        """What a keepalive names. A value that never opened anything, though tried, is to be told again."""
        return {k.name for k in self._known if k.used or not k.failed}

    def wait(self, header, frame):
        """Keeps a frame for its epoch's value to come; False if there is no room."""
        name, names = (header.source, header.epoch), {n for n, _ in self._awaiting}
        if len(self._awaiting) >= AWAITING or (name not in names and len(names) >= UNKNOWN_EPOCHS):
            return False
        self._awaiting.append((name, frame))
        return True

    def wants(self, now):
        """Whether to ask by an early keepalive now."""
        if not self._awaiting or (self._asked_at is not None and now < self._asked_at + ASK_EVERY):
            return False
        self._asked_at = now
        return True

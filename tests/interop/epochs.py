"""The keys of the epochs that are known, and the frames that wait for one (crypto/PROTOCOL.md §5.3 and §10). Knows no
sequence and no time but that of asking."""
import seal

MOST_UNUSED, MOST_USED = 4, 4  # of a source: announcements alone never push out what is in use
UNKNOWN_EPOCHS, AWAITING, ASK_EVERY = 2, 64, 2.0


class Known:
    def __init__(self, record):
        self.name = (record.source, record.epoch)
        self.key = seal.FrameKey(record.value, record.group, record.source, record.epoch)
        self.used = False


class Epochs:
    def __init__(self, group, source_keys):
        self._group, self._source_keys = group, source_keys
        self._known = []     # oldest first
        self._awaiting = []  # (name, datagram)
        self._asked_at = None

    def add(self, record):
        """The frames that waited for it; None if it tells nothing new. Forged: the source has not signed it."""
        if record.group != self._group or record.source not in self._source_keys or self._find(record):
            return None
        seal.verify_epoch(record, self._source_keys[record.source])
        known = Known(record)
        self._known.append(known)
        for used, most in ((False, MOST_UNUSED), (True, MOST_USED)):
            alike = [k for k in self._known if k.used == used and k.name[0] == record.source]
            for old in alike[:-most]:
                self._known.remove(old)
        waited = [frame for name, frame in self._awaiting if name == known.name]
        self._awaiting = [a for a in self._awaiting if a[0] != known.name]
        return waited

    def _find(self, named):
        return next((k for k in self._known if k.name == (named.source, named.epoch)), None)

    def key(self, header):
        known = self._find(header)
        return known and known.key

    def open(self, header, frame):
        """The Opus packet; None if the epoch is unknown; Forged."""
        known = self._find(header)
        if not known:
            return None
        packet = known.key.open(frame)
        known.used = True
        return packet

    def held(self):
        """What a keepalive names."""
        return {k.name for k in self._known}

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

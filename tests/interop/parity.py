"""Parity (crypto/PROTOCOL.md §13.1): FRAMEs that are missing, from those of their block that came and its symbols. Bytes
in, bytes out; whether what is rebuilt is genuine others decide."""
import wire

HEADER = 16
KEPT = 128  # frames, and so many symbols


def _times(a, b):
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0x11d if a & 0x80 else 0)
        b >>= 1
    return product


TIMES = [[_times(a, b) for b in range(256)] for a in range(256)]
INVERSE = [0] + [row.index(1) for row in TIMES[1:]]


def weight(k, index, position):
    return INVERSE[(k + index) ^ position]


def _add(into, factor, other):
    row = TIMES[factor]
    for at, byte in enumerate(other):
        into[at] ^= row[byte]


def symbols(frames, r):
    """Those of a whole block."""
    data = [wire.number(len(f), 2) + f for f in frames]
    out = []
    for index in range(r):
        symbol = bytearray(max(map(len, data)))
        for position, one in enumerate(data):
            _add(symbol, weight(len(frames), index, position), one)
        out.append(bytes(symbol))
    return out


def _solve(rows, sides):
    """rows · x = sides, in place; x is then in sides."""
    for i in range(len(rows)):
        pivot = next(j for j in range(i, len(rows)) if rows[j][i])
        rows[i], rows[pivot], sides[i], sides[pivot] = rows[pivot], rows[i], sides[pivot], sides[i]
        factor = INVERSE[rows[i][i]]
        rows[i] = [TIMES[factor][x] for x in rows[i]]
        sides[i] = bytearray(TIMES[factor][x] for x in sides[i])
        for j in range(len(rows)):
            if j != i and rows[j][i]:
                _add(sides[j], rows[j][i], sides[i])
                rows[j] = [x ^ TIMES[rows[j][i]][y] for x, y in zip(rows[j], rows[i])]
    return sides


def rebuild(k, frames, parities, length):
    """The missing ones by position. `frames` by position, `parities` by index, as many as frames are missing."""
    missing = [i for i in range(k) if i not in frames]
    used = sorted(parities)[:len(missing)]
    sides = []
    for index in used:
        side = bytearray(parities[index])
        for position, frame in frames.items():
            _add(side, weight(k, index, position), wire.number(len(frame), 2) + frame)
        sides.append(side)
    out = {}
    for position, symbol in zip(missing, _solve([[weight(k, i, p) for p in missing] for i in used], sides)):
        size = int.from_bytes(symbol[:2], "big")
        if not HEADER < size <= length - 2:
            raise wire.Malformed("what was rebuilt is no FRAME")
        out[position] = bytes(symbol[2:2 + size])
    return out


class Blocks:
    def __init__(self, group):
        self._group = group
        self._frames, self._parities = {}, {}  # by sequence; by (first, k, r, length), then index

    def on_frame(self, sequence, data):
        """What that frame, which was taken, lets be rebuilt."""
        self._frames[sequence] = data
        while len(self._frames) > KEPT:
            del self._frames[min(self._frames)]
        return [f for block in list(self._parities) if block[0] <= sequence < block[0] + block[1]
                for f in self._rebuild(block)]

    def on_parity(self, data):
        header, r = wire.read_header(data), wire.Reader(data[HEADER:])
        k, repair, index = (r.number(1) for _ in range(3))
        symbol = r.take(r.left)
        if (header.group != self._group or not 1 <= k <= 32 or not index < repair <= min(k, 16) or header.sequence % k
                or not 34 <= len(symbol) <= 1114):
            raise wire.Malformed("a PARITY like that")
        block = (header.sequence, k, repair, len(symbol))
        self._parities.setdefault(block, {})[index] = symbol
        while len(self._parities) > KEPT // 16:
            del self._parities[min(self._parities)]
        return self._rebuild(block)

    def _rebuild(self, block):
        first, k, _, length = block
        frames = {i: self._frames[first + i] for i in range(k) if first + i in self._frames}
        parities = self._parities.get(block, {})
        if len(frames) == k:
            self._parities.pop(block, None)
        if len(frames) == k or len(parities) < k - len(frames):
            return []
        del self._parities[block]
        if any(len(f) + 2 > length for f in frames.values()):
            return []
        rebuilt = rebuild(k, frames, parities, length)
        fits = all(f[0] == wire.FRAME and (h := wire.read_header(f)).group == self._group and h.sequence == first + i
                   for i, f in rebuilt.items())
        return list(rebuilt.values()) if fits else []

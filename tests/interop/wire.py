"""Layouts: the 16-byte header and the records (crypto/PROTOCOL.md §3 and §4). Knows no key and no state."""
from collections import namedtuple

HELLO, RETRY, JOIN, ACCEPT, CONTROL = 0x01, 0x02, 0x03, 0x04, 0x10
FRAME, PARITY, ATTEST, IDLE = 0x20, 0x21, 0x22, 0x23
MAX_DATAGRAM, MAX_SEALED = 1232, 1112
END, DISCONTINUITY = 0x01, 0x02


class Malformed(Exception):
    pass


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise Malformed("shorter than its fields")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    @property
    def left(self):
        return len(self.data) - self.at


def number(value, count):
    return value.to_bytes(count, "big")


Header = namedtuple("Header", "type flags source group epoch sequence")


def read_header(data):
    r = Reader(data)
    header = Header(*(r.number(n) for n in (1, 1, 1, 3, 4, 6)))
    if header.group == 0 or (header.sequence == 0 and header.type != IDLE):
        raise Malformed("group or sequence 0")
    return header


def write_header(header):
    return b"".join(number(value, n) for value, n in zip(header, (1, 1, 1, 3, 4, 6)))


# What comes down. `path` are node ids.
Acknowledgement = namedtuple("Acknowledgement", "number token seeking path")
Epoch = namedtuple("Epoch", "group source epoch value signature")
GroupInfo = namedtuple("GroupInfo", "group source frame_ms flags newest stamped stamped_at ssrc rtp_timestamp")
GoAway = namedtuple("GoAway", "reason retry_after")
Leave = namedtuple("Leave", "reason")
Token = namedtuple("Token", "token")
Accepted = namedtuple("Accepted", "lane lease token path")
Denied = namedtuple("Denied", "reason retry_after")

INFO_ENDED, INFO_ANCHORED, INFO_STAMPED = 0x01, 0x02, 0x04
GO_AWAY_REASONS = {1: "stop", 2: "drain", 3: "loss", 4: "idle"}
DENIALS = {1: "the group is not carried here", 2: "not allowed", 3: "full", 4: "draining", 5: "would make a loop",
           6: "the request made no sense"}


def _among(value, allowed):
    if value not in allowed:
        raise Malformed(f"{value} is out of range")
    return value


def _path(r):
    return [r.number(8) for _ in range(_among(r.number(1), range(9)))]


_PARSERS = {
    0x02: lambda r: Acknowledgement(r.number(4), r.take(8), r.number(1), _path(r)),
    0x06: lambda r: Epoch(r.number(3), r.number(1), r.number(4), r.take(32), r.take(64)),
    0x07: lambda r: GroupInfo(r.number(3), r.number(1), _among(r.number(1), (10, 20, 40, 60)), r.number(1), r.number(6),
                              r.number(6), r.number(8), r.number(4), r.number(4)),
    0x08: lambda r: GoAway(_among(r.number(1), GO_AWAY_REASONS), r.number(2)),
    0x0a: lambda r: Leave(_among(r.number(1), GO_AWAY_REASONS)),
    0x0c: lambda r: Token(r.take(8)),
    0x11: lambda r: Accepted(r.number(1), r.number(8), r.take(8), _path(r)),
    0x12: lambda r: Denied(_among(r.number(1), DENIALS), r.number(2)),
}
_KNOWN = set(range(0x01, 0x0e)) | set(range(0x10, 0x14))  # those that only go up are known, and mean nothing down


def read_records(payload):
    """All of them or, when one is bad, none: Malformed."""
    r, records = Reader(payload), []
    while r.left:
        kind = r.number(1)
        value = Reader(r.take(r.number(2)))
        if kind & 0x7f in _PARSERS:
            records.append(_PARSERS[kind & 0x7f](value))
        elif kind & 0x80 and kind & 0x7f not in _KNOWN:
            raise Malformed(f"critical record {kind & 0x7f:#x} is unknown")
    return records


def _record(kind, *parts):
    value = b"".join(parts)
    return number(kind, 1) + number(len(value), 2) + value


def keepalive(count, token, loss, round_trip):
    return _record(0x01, number(count, 4), token, number(round(loss * 65535), 2),
                   number(min(round(round_trip * 1e6), 0xffffffff), 4), number(1, 1))


def nack(group, kind, ranges):
    return _record(0x05, number(group, 3), number(kind, 1), *(number(f, 6) + number(n, 2) for f, n in ranges))


def leave(reason):
    return _record(0x0a, number(reason, 1))


def go_away():
    return _record(0x08, number(2, 1), number(0, 2))  # drain: there is nowhere else


def epochs_held(group, names):
    return _record(0x0b, *(number(group, 3) + number(source, 1) + number(epoch, 4) for source, epoch in names))


def join_request(group):
    return _record(0x10, number(group, 3), number(1, 1), number(1, 1))  # a listener, unicast

"""Reads Ogg Opus, and believes nothing of it unchecked. Knows nothing of tiercast."""
import struct
from collections import namedtuple

OggOpus = namedtuple("OggOpus", "head tags packets granules ended")  # granules: of each page that ends a packet


def _ogg_crc_table():
    table = []
    for i in range(256):
        crc = i << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04c11db7 if crc & 0x80000000 else 0)) & 0xffffffff
        table.append(crc)
    return table


_CRC = _ogg_crc_table()


def read_ogg(path):
    """An Ogg Opus file (RFC 3533, RFC 7845): every page's checksum and number is checked."""
    with open(path, "rb") as file:
        data = file.read()
    packets, granules, partial, at, number, ended = [], [], b"", 0, 0, False
    while at < len(data):
        if data[at:at + 4] != b"OggS":
            raise ValueError(f"{path}: no page at byte {at}")
        flags, granule, _, page, crc, segments = struct.unpack_from("<BqIIIB", data, at + 5)
        lacing = data[at + 27:at + 27 + segments]
        body = at + 27 + segments
        whole = data[at:at + 22] + bytes(4) + data[at + 26:body + sum(lacing)]
        check = 0
        for byte in whole:
            check = (check << 8 & 0xffffffff) ^ _CRC[check >> 24 ^ byte]
        if check != crc or page != number or len(whole) != body + sum(lacing) - at:
            raise ValueError(f"{path}: page {page} at byte {at} is damaged, cut short or out of order")
        for length in lacing:
            partial += data[body:body + length]
            body += length
            if length < 255:
                packets.append(partial)
                partial = b""
        if granule != -1:
            granules.append(granule)
        at, number, ended = body, number + 1, bool(flags & 4)
    if len(packets) < 2 or packets[0][:8] != b"OpusHead" or packets[1][:8] != b"OpusTags":
        raise ValueError(f"{path}: not Ogg Opus")
    return OggOpus(packets[0], packets[1], packets[2:], granules, ended)

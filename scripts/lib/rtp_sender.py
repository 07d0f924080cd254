"""An encoder to compare with: plays an Ogg Opus file as RTP in real time, each packet at its time, and logs what it sent
and when. A packet whose bytes were sent before is left out, so that a packet's hash names it.

  rtp_sender.py FILE.opus LOG FRAME_MS ADDRESS:PORT ...    the same to each

A line of the log: BLAKE2b-128 of the payload, milliseconds of CLOCK_MONOTONIC when it left. Knows nothing of tiercast."""
import hashlib
import random
import socket
import struct
import sys
import time

from ogg import read_ogg

PAYLOAD_TYPE = 97  # as ffmpeg's


def packet_hash(packet):
    """A frame log's."""
    return hashlib.blake2b(packet, digest_size=16).hexdigest()


def unlike(packets):
    """Each with its hash, those that are like an earlier one left out."""
    seen = {}
    for packet in packets:
        seen.setdefault(packet_hash(packet), packet)
    return list(seen.items())


def play(packets, log, frame_ms, send):
    ssrc, sequence, timestamp = random.getrandbits(32), random.getrandbits(16), random.getrandbits(32)
    begin = time.clock_gettime(time.CLOCK_MONOTONIC)
    for n, (name, packet) in enumerate(packets):
        while (left := begin + n * frame_ms / 1000 - time.clock_gettime(time.CLOCK_MONOTONIC)) > 0:
            time.sleep(left)
        at = time.clock_gettime(time.CLOCK_MONOTONIC)
        send(struct.pack(">BBHII", 0x80, PAYLOAD_TYPE | (0x80 if n == 0 else 0), (sequence + n) & 0xffff,
                         (timestamp + n * 48 * frame_ms) & 0xffffffff, ssrc) + packet)
        log.write(f"{name} {at * 1000:.3f}\n")
        log.flush()


def main(path, log, frame_ms, *addresses):
    to = [(address.rsplit(":", 1)[0], int(address.rsplit(":", 1)[1])) for address in addresses]
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(datagram):
        for address in to:
            try:
                out.sendto(datagram, address)
            except OSError:  # nobody there, or no way there, now: encoders go on
                pass
    with open(log, "w", encoding="ascii") as file:
        play(unlike(read_ogg(path).packets), file, int(frame_ms), send)


if __name__ == "__main__":
    main(*sys.argv[1:])

#!/usr/bin/python3
"""A listener gone bad: it holds the group's key, as every listener does, and seals frames of its own for sequences that
are still to come. Their datagrams bear a parent's address, so that somebody's child may take them for its parent's.
Root, IPv4 and a network without source address validation only.

--towards FROM:PORT,TO:PORT  forge as if from FROM to TO (again for more)
--signed                     with the trailers of a relay link: a signature and a MAC, of keys of its own
Its --log has the hashes of what it has forged; its --report how many datagrams it sent. SIGTERM ends it."""
import hashlib
import os
import signal
import socket
import struct
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import listen
import seal
import wire
from listener import Listener

AHEAD = 20         # frames: far enough that the forged one comes before the true one
ATTEST_EVERY = 10  # forged frames that one forged attestation covers


def udp(source, destination, payload):
    """An IPv4 packet; the kernel fills in its length and checksum, and UDP may be without one."""
    head = struct.pack(">HHHH", source[1], destination[1], 8 + len(payload), 0)
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, 17, 0, socket.inet_aton(source[0]),
                       socket.inet_aton(destination[0])) + head + payload


class Forger(Listener):
    def __init__(self, options):
        super().__init__(options.address, options.key, options.group, dict(options.source_key))
        self._towards, self._signed = options.towards, options.signed
        self._signer, self._mac_key = Ed25519PrivateKey.generate(), os.urandom(32)
        self._raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._hashes, self._forged_log = [], open(options.log, "w", encoding="ascii")

    def on_datagram(self, data, now):
        super().on_datagram(data, now)
        if data[:1] == bytes([wire.FRAME]):
            header = wire.read_header(data)
            key = self.stream.epochs.key(header)
            if key:
                self._forge(key, header._replace(sequence=header.sequence + AHEAD))

    def _forge(self, key, header):
        """What opens under the group's key is what everybody else may seal too. It claims ends and jumps as well."""
        packet = b"\x78" + os.urandom(60)
        frame = key.seal(header._replace(flags=header.sequence % 4), packet)
        self._forged_log.write(hashlib.blake2b(packet, digest_size=16).hexdigest() + "\n")
        self._forged_log.flush()
        self._spoof(frame, self._signer.sign(b"tiercast frame v1" + frame))
        self._hashes.append(seal.frame_hash(frame))
        if len(self._hashes) == ATTEST_EVERY:
            attest = wire.write_header(header._replace(type=wire.ATTEST, flags=wire.END,
                                                       sequence=header.sequence - ATTEST_EVERY + 1))
            attest += bytes([ATTEST_EVERY]) + b"".join(self._hashes)
            self._spoof(attest + self._signer.sign(b"tiercast attest v1" + attest), b"")
            self._hashes.clear()

    def _spoof(self, datagram, signature):
        if self._signed:
            datagram += signature
            datagram += hashlib.blake2b(datagram, digest_size=16, key=self._mac_key).digest()
        for source, destination in self._towards:
            self._raw.sendto(udp(source, destination, datagram), (destination[0], 0))
            self.counters["forged_datagrams"] += 1


def main():
    parser = listen.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--towards", required=True, action="append", metavar="FROM:PORT,TO:PORT",
                        type=lambda text: [listen.address(part) for part in text.split(",")])
    parser.add_argument("--signed", action="store_true")
    options = parser.parse_args()
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    forger = Forger(options)
    forger.run(time.monotonic() + options.seconds if options.seconds else None, lambda: bool(stopped))
    listen.write_report(forger, options.report)


if __name__ == "__main__":
    main()

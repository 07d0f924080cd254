"""Frames and attestations: what opens and what is signed (crypto/PROTOCOL.md §5.3 and §11). Keeps no state."""
import hashlib

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

import wire
from noise import Forged

HEADER, TAG, SIGNATURE, HASH = 16, 16, 64, 16


class FrameKey:
    """Of one epoch of one source."""

    def __init__(self, value, group, source, epoch):
        where = wire.number(group, 3) + wire.number(source, 1) + wire.number(epoch, 4)
        derived = hashlib.blake2b(value + where, digest_size=44, key=bytes(32)).digest()
        self._cipher, self._iv = ChaCha20Poly1305(derived[:32]), int.from_bytes(derived[32:], "big")

    def _nonce(self, sequence):
        return wire.number(self._iv ^ sequence, 12)

    def open(self, frame):
        """The Opus packet, empty for a tick without audio; Forged."""
        header = frame[:HEADER]
        try:
            return self._cipher.decrypt(self._nonce(wire.read_header(header).sequence), frame[HEADER:], header)
        except InvalidTag:
            raise Forged("a frame") from None

    def seal(self, header, packet):
        clear = wire.write_header(header)
        return clear + self._cipher.encrypt(self._nonce(header.sequence), packet, clear)


def frame_hash(frame):
    return hashlib.blake2b(frame, digest_size=HASH).digest()


def read_attest(datagram):
    """Header and hashes; Malformed. The signature is not looked at."""
    r = wire.Reader(datagram)
    header, count = wire.read_header(r.take(HEADER)), r.number(1)
    if not 1 <= count <= 64 or r.left != count * HASH + SIGNATURE:
        raise wire.Malformed("an ATTEST of that length")
    return header, [r.take(HASH) for _ in range(count)]


def _verify(source_key, signature, message, what):
    try:
        Ed25519PublicKey.from_public_bytes(source_key).verify(signature, message)
    except InvalidSignature:
        raise Forged(what) from None


def verify_attest(datagram, source_key):
    _verify(source_key, datagram[-SIGNATURE:], b"tiercast attest v1" + datagram[:-SIGNATURE], "an attestation")


def verify_epoch(record, source_key):
    message = wire.number(record.group, 3) + wire.number(record.source, 1) + wire.number(record.epoch, 4) + record.value
    _verify(source_key, record.signature, b"tiercast epoch v1" + message, "an announcement")

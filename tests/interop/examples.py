#!/usr/bin/python3
"""The examples of crypto/PROTOCOL.md §20, read out of that document, against this implementation; a forged frame, a
forged attestation and a puzzle besides. Silent and 0 when all is as written."""
import hashlib
import os
import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import join
import lease
import noise
import parity
import seal
import wire
from noise import Forged

DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../crypto/PROTOCOL.md")
COUNTING = bytes(range(32))
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")  # RFC 8032 §7.1, TEST 1


def example(name, text):
    """The hexadecimal digits behind a name, over as many lines as they take."""
    found = re.search(rf"^    {name} +((?:[0-9a-f]{{2}}[0-9a-f ]*\s+)+)", text, re.M)
    return bytes.fromhex("".join(found[1].split()))


def forged(action, *arguments):
    try:
        action(*arguments)
    except Forged:
        return True
    return False


def check_frame(text):
    frame, hashed, signed = (example(name, text) for name in ("FRAME", "hash", "signed"))
    header = wire.Header(wire.FRAME, 0, 1, 0x010203, 1_700_000_000, 0x0102030405)
    key = seal.FrameKey(COUNTING, header.group, header.source, header.epoch)
    assert wire.read_header(frame) == header
    assert key.open(frame) == bytes.fromhex("fc010203")
    assert key.seal(header, bytes.fromhex("fc010203")) == frame
    assert seal.frame_hash(frame) == hashed
    signer = Ed25519PrivateKey.from_private_bytes(SEED)
    assert signer.sign(b"tiercast frame v1" + frame) == signed
    for at in range(len(frame)):
        assert forged(key.open, frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1:])
    attest = wire.write_header(header._replace(type=wire.ATTEST)) + b"\x01" + hashed
    attest += signer.sign(b"tiercast attest v1" + attest)
    public = signer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    seal.verify_attest(attest, public)
    assert seal.read_attest(attest) == (header._replace(type=wire.ATTEST), [hashed])
    assert forged(seal.verify_attest, attest[:20] + b"!" + attest[21:], public)


def check_control(text):
    control, link_key = example("CONTROL", text), example("link key", text)
    accepted = wire.Accepted(3, 0x1122334455667788, bytes(8), [])
    ours = lease.Lease(accepted, COUNTING, COUNTING, 0, 0)
    ours._counter = 5
    assert ours.seal(wire.leave(1)) == control
    assert ours.open(control, 0) == [wire.Leave(1)]
    assert ours.open(control, 0) is None  # once
    assert hashlib.blake2b(b"tiercast link", digest_size=32, key=COUNTING).digest() == link_key


def check_noise():
    """The cacophony project's vector for this pattern, as tests/crypto/noise_vectors.hpp has it."""
    here = noise.Initiator(bytes.fromhex("31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62"),
                           b"John Galt",
                           bytes.fromhex("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a"))
    assert here.write(b"Ludwig von Mises") == bytes.fromhex(
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944f3041e39b0c8ba56008f2d1183fea6ac"
        "83564ead0267b0842ec4c521ed1e1407")
    answer = bytes.fromhex("95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
                           "2281dcc1835131f305dca14525e15e27d1f32294aa835e40fc18be480c1db9")
    assert forged(here.read, answer[:-1] + b"!")  # and the true one opens still
    payload, up, down = here.read(answer)
    assert payload == b"Murray Rothbard"
    for key, plain, sealed in ((up, b"F. A. Hayek", "357e24e9f28ba22080666f7efacc01b2a0a4e358e742aeeff2aaf5"),
                               (down, b"Carl Menger", "8b23b34ff3169de06a39551e969ca7876cc5122a4acff74bf2ec29")):
        assert ChaCha20Poly1305(key).encrypt(bytes(12), plain, b"") == bytes.fromhex(sealed)


def check_parity(text):
    header = wire.Header(wire.FRAME, 0, 1, 0x010203, 0x6553f100, 15)
    frames = [wire.write_header(header._replace(sequence=15 + i)) + bytes(range(16 * i, 17 * i + 16)) for i in range(3)]
    packets = [wire.write_header(header._replace(type=wire.PARITY)) + bytes((3, 2, i)) + symbol
               for i, symbol in enumerate(parity.symbols(frames, 2))]
    assert packets == [example(f"index {i}", text) for i in range(2)]
    blocks = parity.Blocks(0x010203)
    assert blocks.on_frame(16, frames[1]) == [] and blocks.on_parity(packets[1]) == []
    assert blocks.on_parity(packets[0]) == [frames[0], frames[2]]


def check_records():
    def down(*records):
        return b"".join(bytes([kind]) + wire.number(len(value), 2) + value for kind, value in records)

    def refused(payload):
        try:
            wire.read_records(payload)
        except wire.Malformed:
            return True
        return False
    leave, unknown = (0x0a, b"\x01"), (0x7e, b"later")
    assert wire.read_records(down(unknown, leave)) == [wire.Leave(1)]
    assert wire.read_records(down((0x8a, b"\x02 and more"))) == [wire.Leave(2)]
    assert refused(down(leave, (0xfe, b"later")))  # critical
    assert refused(down(leave, (0x0a, b"\x05"))) and refused(down(leave, (0x0a, b""))) and refused(down(leave)[:-1])


def check_puzzle():
    solved = join.solve(bytes(100), 35, 12)
    assert int.from_bytes(hashlib.blake2b(solved, digest_size=32).digest(), "big") >> (256 - 12) == 0
    assert solved[:35] + solved[43:] == bytes(92)


if __name__ == "__main__":
    with open(DOCUMENT, encoding="utf-8") as file:
        examples = file.read().partition("\n## 20 Examples")[2]
    check_noise()
    check_frame(examples)
    check_control(examples)
    check_parity(examples)
    check_records()
    check_puzzle()

"""Noise_NK_25519_ChaChaPoly_BLAKE2b (Noise Protocol Framework, revision 34): the initiator, and no other pattern. Knows
nothing of packets. OpenSSL's ciphers, by python3-cryptography: another implementation than tiercast's libsodium."""
import copy
import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NAME = b"Noise_NK_25519_ChaChaPoly_BLAKE2b"


class Forged(Exception):
    """Something that does not verify."""


def hkdf(chaining_key, material):
    """Two outputs of 64 bytes (Noise §4.3)."""
    secret = hmac.digest(chaining_key, material, "blake2b")
    first = hmac.digest(secret, b"\x01", "blake2b")
    return first, hmac.digest(secret, first + b"\x02", "blake2b")


class Symmetric:
    """Noise §5.2, with its CipherState."""

    def __init__(self):
        self.hash = self.chaining_key = NAME.ljust(64, b"\0")
        self.cipher, self.count = None, 0

    def mix_hash(self, data):
        self.hash = hashlib.blake2b(self.hash + data).digest()

    def mix_key(self, material):
        self.chaining_key, key = hkdf(self.chaining_key, material)
        self.cipher, self.count = ChaCha20Poly1305(key[:32]), 0

    def _nonce(self):
        self.count += 1
        return bytes(4) + (self.count - 1).to_bytes(8, "little")

    def encrypt(self, plain):
        sealed = self.cipher.encrypt(self._nonce(), plain, self.hash)
        self.mix_hash(sealed)
        return sealed

    def decrypt(self, sealed):
        try:
            plain = self.cipher.decrypt(self._nonce(), sealed, self.hash)
        except InvalidTag:
            raise Forged("Noise message 2") from None
        self.mix_hash(sealed)
        return plain


class Initiator:
    """`ephemeral` is for test vectors only."""

    def __init__(self, responder_key, prologue, ephemeral=None):
        self._responder = X25519PublicKey.from_public_bytes(responder_key)
        self._ephemeral = X25519PrivateKey.from_private_bytes(ephemeral) if ephemeral else X25519PrivateKey.generate()
        self._state = Symmetric()
        self._state.mix_hash(prologue)
        self._state.mix_hash(responder_key)

    def _mix_exchange(self, state, public):
        try:
            state.mix_key(self._ephemeral.exchange(public))
        except ValueError:
            raise Forged("X25519 gives zeros") from None

    def write(self, payload):
        """Message 1: -> e, es."""
        public = self._ephemeral.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._state.mix_hash(public)
        self._mix_exchange(self._state, self._responder)
        return public + self._state.encrypt(payload)

    def read(self, message):
        """Message 2: <- e, ee. Its payload and the two transport keys, up and down; Forged leaves all as it was."""
        if len(message) < 48:
            raise Forged("Noise message 2 is too short")
        state = copy.copy(self._state)
        state.mix_hash(message[:32])
        self._mix_exchange(state, X25519PublicKey.from_public_bytes(message[:32]))
        payload = state.decrypt(message[32:])
        up, down = hkdf(state.chaining_key, b"")
        return payload, up[:32], down[:32]

"""Recorded speech, and ffmpeg that sends it as RTP in real time. Knows nothing of tiercast."""
import pathlib
import subprocess

from children import Failure

SOUNDS = pathlib.Path("/usr/share/asterisk/sounds/en_US_f_Allison")
SPEECH = ["demo-congrats.g722", "demo-instruct.g722"]


def make_wav(given, folder, seconds, noise=False):
    """So many seconds of the file, or of Debian's asterisk-core-sounds-en-g722; repeated if it is shorter. As WAV, so
    that the encoder below is fed evenly. With a little noise no two packets of it are the same."""
    filters = ["-af", "aeval=val(0)+random(0)/500:c=same"] if noise else []
    return _make(given, folder, seconds, [*filters, "-ac", "1", "-ar", "48000"], "speech.wav")


def make_opus(given, folder, seconds, frame_ms=20):
    """The same, encoded, and not for the ear: for a sender that is no encoder, with little work."""
    return _make(given, folder, seconds, ["-ac", "1", *_opus(frame_ms), "-compression_level", "1"], "speech.opus")


def _make(given, folder, seconds, form, name):
    if given:
        source = ["-stream_loop", "-1", "-i", given]
    else:
        missing = [name for name in SPEECH if not (SOUNDS / name).exists()]
        if missing:
            raise Failure(f"no speech in {SOUNDS}: scripts/bootstrap, or give a file", 66)
        speech = b"".join((SOUNDS / name).read_bytes() for name in SPEECH)
        (folder / "speech.g722").write_bytes(speech * (1 + seconds * 8000 // len(speech)))  # G.722 has 64 kbit/s
        source = ["-f", "g722", "-i", folder / "speech.g722"]
    done = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *source, "-t", str(seconds), "-vn", *form, folder / name],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"ffmpeg cannot read {given or 'the speech'}:\n{done.stderr}", 65)
    return folder / name


def _opus(frame_ms):
    return ["-c:a", "libopus", "-application", "voip", "-b:a", "32k", "-frame_duration", str(frame_ms)]


def encoder(wav, addresses, frame_ms=20):
    """The command that plays it to each HOST:PORT, to its end."""
    # Of mono at 48 kHz 96 bytes are a millisecond: read in greater pieces than a frame, several would leave at a time.
    return ["ffmpeg", "-nostdin", "-v", "error", "-re", "-max_size", str(96 * frame_ms), "-i", wav, "-map", "0:a",
            *_opus(frame_ms), "-f", "tee", "|".join(f"[f=rtp]rtp://{address}" for address in addresses)]

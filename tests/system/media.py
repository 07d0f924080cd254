"""Speech, real encoders that send it as RTP, and readers for what comes out: pcap, RTP and Ogg Opus. For tests that
compare Opus packets bit for bit. Knows nothing of tiercast."""
import glob
import os
import signal
import struct
import subprocess
import time
from collections import namedtuple

from ogg import read_ogg  # noqa: F401

SOUNDS = "/usr/share/asterisk/sounds/en_US_f_Allison"


def make_speech(path, seconds):
    """A WAV file, 48 kHz mono, of so many seconds of a person speaking."""
    recordings = sorted(glob.glob(f"{SOUNDS}/*.g722"), key=os.path.getsize, reverse=True)
    if not recordings:
        raise RuntimeError(f"no speech in {SOUNDS}: apt-get install asterisk-core-sounds-en-g722")
    speech = bytearray()
    while len(speech) < seconds * 8000:  # G.722: 64 kbit/s
        for recording in recordings:
            with open(recording, "rb") as file:
                speech += file.read()
            if len(speech) >= seconds * 8000:
                break
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "g722", "-i", "-", "-t", str(seconds), "-ar", "48000",
                    "-ac", "1", path], input=bytes(speech), check=True)
    return path


class Encoder:
    """A real encoder that plays a WAV file in real time as RTP to a port of its own host: "ffmpeg" or "gstreamer"."""

    def __init__(self, host, wav, port=5004, kind="ffmpeg", frame_ms=20, address="127.0.0.1", log=subprocess.DEVNULL,
                 payload=(), rtcp_port=None):
        """payload: more properties of GStreamer's rtpopuspay; rtcp_port: where ffmpeg's RTCP goes, else the port above."""
        if kind == "ffmpeg":
            url = f"rtp://{address}:{port}" + (f"?rtcpport={rtcp_port}" if rtcp_port else "")
            command = ["ffmpeg", "-nostdin", "-v", "warning", "-re", "-i", wav, "-c:a", "libopus", "-b:a", "24k",
                       "-application", "voip", "-frame_duration", str(frame_ms), "-f", "rtp", url]
        else:
            command = ["gst-launch-1.0", "-q", "filesrc", f"location={wav}", "!", "wavparse", "!", "audioconvert", "!",
                       "audioresample", "!", "opusenc", "bitrate=24000", f"frame-size={frame_ms}", "!",
                       "rtpopuspay", *payload, "!", "udpsink", f"host={address}", f"port={port}"]
        self.process = host.popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)

    def wait(self, timeout):
        """To the file's end."""
        status = self.process.wait(timeout)
        if status != 0:
            raise RuntimeError(f"the encoder ended with status {status}")

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def sound_card(folder, recorded):
    """The environment of ALSA programs whose sound card hears the WAV file, then silence, and keeps what it is to play in
    played.raw of that folder. It is as fast as they are."""
    heard, path = os.path.join(folder, "recorded.raw"), os.path.join(folder, "asound.conf")
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", recorded, "-f", "s16le", heard], check=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write('pcm.!default { type file\n slave.pcm { type null }\n format raw\n'
                   f' file "{folder}/played.raw"\n infile "{heard}" }}\n')
    return {"ALSA_CONFIG_PATH": path}


class Capture:
    """tcpdump on one interface of a host, ready when constructed."""

    def __init__(self, host, path, interface="lo", expression="udp dst port 5004"):
        self.path = path
        self.process = host.popen(["tcpdump", "-Z", "root", "-i", interface, "-n", "-s", "0", "-B", "8192", "-U",
                                   "--immediate-mode", "-w", path, expression], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = b""
        while b"listening on" not in said:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError(f"tcpdump: {said.decode().strip()}")
            said += line

    def stop(self):
        """Ends it; the UDP datagrams it saw."""
        if self.process.poll() is None:
            time.sleep(0.2)  # what the kernel has not handed over yet
            self.process.send_signal(signal.SIGINT)
        said = self.process.communicate()[1].decode()
        if " 0 packets dropped by kernel" not in " " + said.replace("\n", " "):
            raise RuntimeError(f"tcpdump lost packets: {said.strip()}")
        return read_pcap(self.path)


Datagram = namedtuple("Datagram", "time source destination payload fragment")  # addresses: (bytes, port)


def read_pcap(path):
    """The UDP datagrams of a capture of Ethernet frames (loopback too), IPv4 and IPv6."""
    with open(path, "rb") as file:
        data = file.read()
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}[data[:4]]
    if struct.unpack_from(order + "I", data, 20)[0] != 1:
        raise ValueError(f"{path}: not Ethernet")
    out, at = [], 24
    while at + 16 <= len(data):
        seconds, micros, length, _ = struct.unpack_from(order + "IIII", data, at)
        frame = data[at + 16:at + 16 + length]
        at += 16 + length
        kind = struct.unpack_from(">H", frame, 12)[0]
        ip = frame[14:]
        if kind == 0x0800 and ip[9] == 17:
            fragment = (struct.unpack_from(">H", ip, 6)[0] & 0x3fff) != 0
            source, destination, udp = ip[12:16], ip[16:20], ip[(ip[0] & 15) * 4:struct.unpack_from(">H", ip, 2)[0]]
        elif kind == 0x86dd and ip[6] == 17:
            fragment = False
            source, destination, udp = ip[8:24], ip[24:40], ip[40:40 + struct.unpack_from(">H", ip, 4)[0]]
        else:
            continue
        from_port, to_port = struct.unpack_from(">HH", udp)
        out.append(Datagram(seconds + micros / 1e6, (source, from_port), (destination, to_port), udp[8:], fragment))
    return out


Rtp = namedtuple("Rtp", "sequence timestamp ssrc payload_type marker payload")


def read_rtp(datagram):
    """RFC 3550 §5.1, with CSRCs, extension and padding taken off."""
    first, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", datagram)
    if first >> 6 != 2:
        raise ValueError("not RTP")
    start, end = 12 + (first & 15) * 4, len(datagram)
    if first & 0x10:
        start += 4 + 4 * struct.unpack_from(">H", datagram, start + 2)[0]
    if first & 0x20:
        end -= datagram[-1]
    return Rtp(sequence, timestamp, ssrc, second & 0x7f, second >> 7, datagram[start:end])


def opus_packets(datagrams):
    """The Opus packets of an RTP capture in the sender's order, each once."""
    packets, seen = [], set()
    for datagram in datagrams:
        rtp = read_rtp(datagram.payload)
        if (rtp.ssrc, rtp.timestamp, rtp.sequence) not in seen:
            seen.add((rtp.ssrc, rtp.timestamp, rtp.sequence))
            packets.append(rtp.payload)
    return packets


def envelope(path, frame_ms=20):
    """How loud it is, a value per frame, of a WAV or Opus file. By libopus: ffmpeg's own decoder before 6.0 stumbles over
    in-band FEC (its ticket 9890)."""
    decoder = ["-c:a", "libopus"] if path.endswith(".opus") else []
    command = ["ffmpeg", "-nostdin", "-v", "error", *decoder, "-i", path, "-f", "s16le", "-ar", "8000", "-ac", "1", "-"]
    pcm = subprocess.run(command, capture_output=True, check=True).stdout
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm[:len(pcm) // 2 * 2])
    size = 8 * frame_ms
    return [(sum(s * s for s in samples[i:i + size]) / size) ** 0.5 for i in range(0, len(samples) - size + 1, size)]


def loud(values):
    """Of an envelope what is between the silence before and behind it."""
    first = next((i for i, v in enumerate(values) if v > 50), 0)
    last = next((i for i, v in enumerate(reversed(values)) if v > 50), 0)
    return values[first:len(values) - last]


def likeness(whole, part):
    """How alike two envelopes are where `part` fits best into `whole`, 1 being the same, and where that is."""
    def correlation(a, b):
        mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
        a, b = [x - mean_a for x in a], [x - mean_b for x in b]
        norm = (sum(x * x for x in a) * sum(x * x for x in b)) ** 0.5
        return sum(x * y for x, y in zip(a, b)) / norm if norm else 0.0
    at = range(0, len(whole) - len(part) + 1)
    return max((correlation(whole[i:i + len(part)], part), i) for i in at) if len(part) > 1 and at else (0.0, 0)


def follows(heard, spoken, piece=25, slack=10):
    """The likeness of each piece of `spoken` to what is heard where it is due: behind the piece before it, give or take
    `slack`. A player that corrects its pace moves what comes later: it costs the piece in which it does so, no other."""
    _, at = likeness(heard, spoken[:2 * piece])
    found = []
    for from_ in range(0, len(spoken) - piece + 1, piece):
        begin = max(0, at - slack)
        alike, into = likeness(heard[begin:at + slack + piece], spoken[from_:from_ + piece])
        # A silence is like nothing: the next is due where this one was.
        at = (begin + into if alike > 0.7 else at) + piece
        found.append(round(alike, 3))
    return found


Match = namedtuple("Match", "matched missing foreign")


def match(sent, got):
    """How `got` follows from `sent` in order: how many are equal, which of `sent` (indices, between the first and the
    last matched) are missing, and which of `got` (indices) were never sent, or not in this order."""
    where = {}
    for i, item in enumerate(sent):
        where.setdefault(item, []).append(i)
    matched, missing, foreign, last = 0, [], [], None
    for i, item in enumerate(got):
        at = next((s for s in where.get(item, ()) if last is None or s > last), None)
        if at is None:
            foreign.append(i)
            continue
        if last is not None:
            missing.extend(range(last + 1, at))
        matched, last = matched + 1, at
    return Match(matched, missing, foreign)

"""The ways out of a listener: decoded WAV, samples, live Ogg Opus and RTP, with real players behind them; and readers
that are slow, that go away, and disks that are full."""
import array
import math
import os
import re
import subprocess
import time

import media
import network
import trees
from harness import NOBODY, check, equal, eventually

TICK = 960  # samples of 20 ms
SILENT = {"SDL_AUDIODRIVER": "dummy", "SDL_VIDEODRIVER": "dummy"}  # ffplay without a sound card
# VLC without one, or a display, to its input's end; as root it refuses to run. A WAV file's name goes behind it.
VLC = (f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups vlc - -I dummy --play-and-exit --aout afile"
       " --audiofile-file")


class Air:
    """One node that is origin and edge, and a host for listeners."""

    def __init__(self, t):
        self.t, self.source = t, t.new_source()
        self.node = t.node("origin", source=self.source).start()
        self.ears = t.host("ears")

    def listener(self, *options, name="ear", file=True):
        """With `file` it records Ogg Opus too."""
        listener = self.t.listener(name, [self.node], host=self.ears, options=options)
        if not file:
            at = listener.command.index("-o")
            del listener.command[at:at + 2]
        return listener

    def started(self, *options, **how):
        listener = self.listener(*options, **how).start()
        trees.listening(self.node, 1)
        return listener

    def ticks(self, seconds):
        """Lets so much of the broadcast pass."""
        newest = trees.group(self.node)["newest"]
        eventually(lambda: trees.group(self.node)["newest"] >= newest + seconds * 50, 60, f"{seconds} s of broadcast")


def player(t, host, command, stdin=subprocess.DEVNULL, environment=None):
    """A real player in a host; what it complains of is in .complaints()."""
    path = os.path.join(t.dir, f"player-{len(t.cleanups)}.log")
    with open(path, "wb") as log:
        process = host.popen(command.split(), stdin=stdin, stdout=subprocess.DEVNULL, stderr=log,
                             env={**os.environ, **(environment or {})})

    def complaints():
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop():
        if process.poll() is None:
            process.kill()
        process.wait()
    process.complaints = complaints
    t.cleanups.append(stop)
    return process


def start_into(listener, stdout):
    with open(listener.log_path, "ab") as log:
        listener.process = listener.host.popen(listener.command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=log)
    return listener


def piped(t, listener, command, environment=None):
    """listener | command"""
    end, start = os.pipe()
    start_into(listener, start)
    os.close(start)
    process = player(t, listener.host, command, end, environment)
    os.close(end)
    return process


def wav_header(path):
    """How many bytes precede the samples of any WAV file."""
    with open(path, "rb") as file:
        return file.read(4096).index(b"data") + 8


def spoken(t, seconds):
    path = t.speech(seconds)
    return samples(path, wav_header(path))


def speak_with_fec(t, host, seconds):
    """An encoder whose packets carry in-band FEC, to its end."""
    encoder = player(t, host, f"gst-launch-1.0 -q filesrc location={t.speech(seconds)} ! wavparse ! audioconvert !"
                              " audioresample ! opusenc bitrate=24000 audio-type=voice inband-fec=true"
                              " packet-loss-percentage=20 ! rtpopuspay ! udpsink host=127.0.0.1 port=5004")
    equal(encoder.wait(seconds + 20), 0, f"the encoder's exit status: {encoder.complaints()}")


def size_of(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def samples(path, header=0):
    with open(path, "rb") as file:
        data = file.read()[header:]
    equal(len(data) % 2, 0, f"bytes of {os.path.basename(path)}, over whole samples")
    return array.array("h", data)


def probed(path, entries):
    probe = subprocess.run(["ffprobe", "-v", "warning", "-show_entries", f"stream={entries}", "-of", "csv=p=0", path],
                           capture_output=True, text=True)
    equal((probe.returncode, probe.stderr), (0, ""), f"ffprobe {os.path.basename(path)}")
    return probe.stdout.strip()


def loudness(audio, channels=1):
    """Of every tick."""
    step = TICK * channels
    ticks = (audio[i:i + step:8] for i in range(0, len(audio) - step + 1, step))
    return [math.sqrt(sum(s * s for s in tick) / len(tick)) for tick in ticks]


def likeness(a, b):
    """How much b's loudness goes with a's, at the best delay of b: at most 1."""
    def correlation(x, y):
        n = min(len(x), len(y))
        x, y = x[:n], y[:n]
        mean_x, mean_y = sum(x) / n, sum(y) / n
        top = sum((p - mean_x) * (q - mean_y) for p, q in zip(x, y))
        return top / (math.sqrt(sum((p - mean_x) ** 2 for p in x) * sum((q - mean_y) ** 2 for q in y)) or 1)
    return max(correlation(a, b[delay:]) for delay in range(0, max(1, len(b) - len(a) + 1)))


def test_wav_and_samples_are_what_the_recorded_packets_decode_to(t):
    air = Air(t)
    base = os.path.join(t.dir, "out")
    listener = air.started("-o", base + ".wav", "--pcm", base + ".pcm", "--channels", "1")
    trees.send_speech(t, air.node, 6, capture=False)
    trees.end(air.node, [listener])
    played = trees.dense(listener)
    equal(probed(base + ".wav", "codec_name,sample_rate,channels,duration_ts"),
          f"pcm_s16le,48000,1,{len(played) * TICK}", "what ffprobe says of the WAV file")
    wav, raw = samples(base + ".wav", 44), samples(base + ".pcm")
    equal(wav == raw, True, "the file without a header holds the same samples")
    # The same libopus, another program: to the sample, as long as there is audio.
    decoded = os.path.join(t.dir, "decoded.pcm")
    network.run(*f"ffmpeg -nostdin -v error -c:a libopus -i {listener.output} -f s16le {decoded}".split())
    other = samples(decoded)
    equal(len(other), len(wav), "samples of the Ogg file")
    heard = TICK * (max(i for i, f in enumerate(played) if f.kind == "frame") + 1)
    equal(next((i for i in range(heard) if wav[i] != other[i]), None), None, f"the first to differ of {heard} samples")
    alike = likeness(loudness(spoken(t, 6)), loudness(wav))
    check(alike > 0.95, f"what was heard is like what was spoken: {alike:.3f}")
    (report,) = [o for o in listener.report()["outputs"] if o["name"].endswith(".wav")]
    equal((report["state"], report["dropped"], report["decoder_refused"]), ("open", 0, 0), "what the report says of it")


def test_ogg_on_standard_output_is_played_while_it_is_live(t):
    """From the first tick, though it is silent and nobody speaks yet."""
    air = Air(t)
    out = os.path.join(t.dir, "live.pcm")
    listener = air.listener("-o", "-", name="decoded", file=False)
    ffmpeg = piped(t, listener, f"ffmpeg -nostdin -v warning -c:a libopus -i - -f s16le -ac 1 -flush_packets 1 {out}")
    plain = air.listener("-o", "-", name="heard", file=False)
    ffplay = piped(t, plain, "ffplay -v warning -nodisp -autoexit -acodec libopus -", SILENT)
    trees.listening(air.node, 2)
    eventually(lambda: size_of(out) > 0, 20, "the first sample, of silence")
    speak_with_fec(t, air.node.host, 5)
    trees.end(air.node, [listener, plain])
    for process in (ffmpeg, ffplay):
        equal(process.wait(20), 0, f"a player's exit status: {process.complaints()}")
        equal(process.complaints(), "", "what a player complains of")
    decoded = samples(out)
    equal(len(decoded), len(trees.dense(listener)) * TICK, "samples that ffmpeg decoded")
    alike = likeness(loudness(spoken(t, 5)), loudness(decoded))
    check(alike > 0.95, f"what was heard is like what was spoken: {alike:.3f}")


def test_ogg_on_standard_output_is_played_by_vlc(t):
    air = Air(t)
    home = t.home()
    heard = os.path.join(home, "heard.wav")
    listener = air.listener("-o", "-", file=False)
    vlc = piped(t, listener, f"{VLC} {heard}", {"HOME": home})
    trees.listening(air.node, 1)
    speak_with_fec(t, air.node.host, 5)
    trees.end(air.node, [listener])
    equal(vlc.wait(20), 0, f"VLC's exit status: {vlc.complaints()}")
    equal(probed(heard, "sample_rate,channels"), "48000,2", "what it played")
    decoded, played = samples(heard, wav_header(heard)), len(trees.dense(listener))
    # A moment may be missing at either end.
    check(played - 10 <= len(decoded) / 2 / TICK <= played, f"{len(decoded) / 2 / TICK:.1f} ticks of {played}")
    alike = likeness(loudness(spoken(t, 5)), loudness(decoded, 2))
    check(alike > 0.95, f"what was heard is like what was spoken: {alike:.3f}")


def test_samples_on_standard_output_go_into_a_player(t):
    air = Air(t)
    base = os.path.join(t.dir, "out")
    listener = air.listener("--pcm", "-", "-o", base + ".wav", file=False)
    ffmpeg = piped(t, listener, f"ffmpeg -nostdin -v warning -f s16le -ar 48000 -ac 2 -i - -f s16le {base}.pcm")
    mono = air.listener("--pcm", "-", "--channels", "1", name="mono", file=False)
    ffplay = piped(t, mono, "ffplay -v warning -nodisp -autoexit -f s16le -ar 48000 -ac 1 -", SILENT)
    trees.listening(air.node, 2)
    trees.send_speech(t, air.node, 3, capture=False)
    trees.end(air.node, [listener, mono])
    for process in (ffmpeg, ffplay):
        equal(process.wait(20), 0, f"a player's exit status: {process.complaints()}")
    played = trees.dense(listener)
    equal(probed(base + ".wav", "channels,duration_ts"), f"2,{len(played) * TICK}", "the WAV file beside it")
    # Through the pipe it is played: the player's buffer is filled with silence, and the pace may be corrected.
    piped_, filed = loudness(samples(base + ".pcm"), 2), loudness(samples(base + ".wav", 44), 2)
    found = media.follows(piped_ + [0] * 100, media.loud(filed))
    check(sorted(found)[len(found) // 5] > 0.85, f"what came by the pipe is like what is in the file, in its order: {found}")


def test_rtp_and_its_sdp_file_are_opened_by_ffmpeg_and_gstreamer(t):
    air = Air(t)
    base = os.path.join(t.dir, "rtp")
    ports = (6004, 6006)
    listeners = [air.listener("--rtp", f"127.0.0.1:{port}", "--sdp", f"{base}-{port}.sdp", name=f"ear-{port}").start()
                 for port in ports]
    for port in ports:
        eventually(lambda path=f"{base}-{port}.sdp": size_of(path) > 0, 10, "the SDP file")
    player(t, air.ears, f"ffmpeg -nostdin -v error -protocol_whitelist file,udp,rtp -c:a libopus -i {base}-6004.sdp"
                        f" -f s16le -ac 1 -flush_packets 1 {base}-6004.pcm")
    with open(base + "-6006.sdp", encoding="ascii") as file:
        described = re.search(r"m=audio (\d+) RTP/AVP (\d+).*a=rtpmap:\2 (\w+)/(\d+)/2", file.read(), re.S)
    port, payload, encoding, rate = described.groups()
    caps = f"application/x-rtp,media=audio,payload={payload},clock-rate={rate},encoding-name={encoding.upper()}"
    player(t, air.ears, f"gst-launch-1.0 -q udpsrc port={port} caps={caps} ! rtpjitterbuffer ! rtpopusdepay ! opusdec !"
                        f" audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=48000,channels=1 !"
                        f" filesink buffer-mode=unbuffered location={base}-6006.pcm")

    def bound():
        return all(f":{p} " in air.ears.run("ss", "-H", "-l", "-u", "-n") for p in ports)
    eventually(bound, 20, "both players at their ports")
    tap = t.capture(air.node.host)
    speak_with_fec(t, air.node.host, 5)
    sent = media.opus_packets(tap.stop())
    trees.end(air.node, listeners)
    speech = loudness(spoken(t, 5))
    for listener, port in zip(listeners, ports):
        trees.dense(listener)
        path = f"{base}-{port}.pcm"
        enough = (len(sent) - 5) * TICK * 2
        eventually(lambda p=path: size_of(p) >= enough, 15, f"{len(sent)} frames in {path}")
        decoded = samples(path)
        check(len(decoded) <= len(sent) * TICK, f"{len(decoded) / TICK:.1f} ticks of {len(sent)} in {path}")
        # A player that starts may leave out a moment: the speech is longer than what was heard.
        alike = likeness(loudness(decoded)[:len(speech) - 10], speech + [0] * 10)
        check(alike > 0.9, f"what is in {os.path.basename(path)} is like what was spoken: {alike:.3f}")


def test_losses_change_nothing_of_the_length_and_fec_brings_some_back(t):
    air = Air(t)
    wav = os.path.join(t.dir, "out.wav")
    listener = air.started("-o", wav, "--channels", "1", "--playout", "60")
    # Without a word from the listener to the node nothing is resent; its lease is good for some more seconds.
    air.node.host.cut(air.ears)
    air.ears.lose(50)
    speak_with_fec(t, air.node.host, 6)
    air.node.host.cut(air.ears, False)
    air.ears.lose(0)
    trees.end(air.node, [listener], 20)
    frames = listener.frames()
    ticks = frames[-1].sequence - frames[0].sequence + 1
    equal(len(frames), ticks, "ticks, those that were lost included")
    check(listener.lost(), "some were lost")
    equal(probed(wav, "duration_ts"), str(ticks * TICK), "samples in the WAV file")
    (report,) = [o for o in listener.report()["outputs"] if o["name"] == wav]
    counted = sum(report["decoder_" + what] for what in ("packets", "recovered", "concealed", "silent"))
    equal(counted, ticks, f"ticks by what became of them: {report}")
    check(report["decoder_recovered"] > 0, f"FEC brought something back: {report}, lost {len(listener.lost())}")
    alike = likeness(loudness(spoken(t, 6)), loudness(samples(wav, 44)))
    check(alike > 0.9, f"what was heard is like what was spoken: {alike:.3f}")


def test_a_reader_that_sleeps_costs_the_listener_nothing(t):
    air = Air(t)
    listener = air.listener("--pcm", "-", "--channels", "1")
    end, start = os.pipe()
    start_into(listener, start)
    os.close(start)
    trees.listening(air.node, 1)
    eventually(lambda: "standard output is read too slowly" in listener.log(), 30, "it says that it is read too slowly")
    air.ticks(2)
    check(listener.alive, "it lives")
    air.node.admin("end", "main")
    got = b""
    while chunk := os.read(end, 65536):  # awake again
        got += chunk
    os.close(end)
    equal(listener.wait(10), 0, f"exit status: {listener.log()!r}")
    played = trees.dense(listener)
    trees.accepted_by_others(listener.output, len(played) * 0.02)
    (report,) = [o for o in listener.report()["outputs"] if o["name"] == "standard output"]
    equal(len(got) % 2, 0, "bytes of half a sample")
    kept = len(got) / (2 * TICK)
    check(100 <= kept <= 150, f"{kept} ticks were kept: two seconds, and what a pipe holds")
    check(report["dropped"] >= 100, f"the report counts {report['dropped']} ticks left out")
    equal(listener.log().count("too slowly"), 1, "times that it says so")


def test_a_player_that_is_closed_ends_the_listener_unless_something_else_is_left(t):
    air = Air(t)
    only = air.listener("-o", "-", name="only", file=False)
    both = air.listener("--pcm", "-", name="both")
    quiet = air.listener("-o", "-", "--quiet", name="quiet", file=False)
    readers = []
    for listener in (only, both, quiet):
        end, start = os.pipe()
        readers.append(end)
        start_into(listener, start)
        os.close(start)
    trees.listening(air.node, 3)
    for end in readers:
        check(os.read(end, 1), "the first byte")
        os.close(end)
    equal(only.wait(10), 0, f"exit status of who has nobody left: {only.log()!r}")
    equal(only.log(), "tiercast: nobody reads standard output any more\n", "what it says")
    equal(quiet.wait(10), 0, "exit status of the quiet one")
    equal(quiet.log(), "", "what the quiet one says")
    eventually(lambda: "nobody reads standard output" in both.log(), 10, "the other says so too")
    trees.listening(air.node, 1)  # they left
    air.ticks(1)
    trees.end(air.node, [both])
    trees.accepted_by_others(both.output, len(trees.dense(both)) * 0.02)


def test_a_full_disk_is_told_and_what_was_written_is_good(t):
    air = Air(t)
    small, smaller = t.disk("small", "128k"), t.disk("smaller", "16k")
    wav, ogg = os.path.join(small, "out.wav"), os.path.join(smaller, "out.opus")
    outputs = {"wav": ("-o", wav), "ogg": ("-o", ogg), "full": ("--pcm", "/dev/full")}
    listeners = {name: air.listener(*options, name=name, file=False).start() for name, options in outputs.items()}
    beside = air.listener("-o", os.path.join(smaller, "other.opus"), name="beside").start()
    encoder = t.encoder(air.node.host, t.speech(12))
    for name, (_, path) in outputs.items():
        equal(listeners[name].wait(40), 74, f"exit status of {name}: {listeners[name].log()!r}")
        equal(listeners[name].log(), f"tiercast: cannot write to {path} any further: No space left on device\n",
              "what it says")
    size = os.path.getsize(wav)
    equal((size - 44) % (2 * 2 * TICK), 0, "bytes of half a tick at the WAV file's end")
    check(size > 100000, f"the WAV file has {size} bytes")
    equal(probed(wav, "duration_ts"), str((size - 44) // 4), "samples in the WAV file")
    recording = media.read_ogg(ogg)
    check(len(recording.packets) > 50 and not recording.ended, f"{len(recording.packets)} packets without an end")
    decoded = subprocess.run(f"ffmpeg -nostdin -v error -i {ogg} -f null -".split(), capture_output=True, text=True)
    equal((decoded.returncode, decoded.stderr), (0, ""), "ffmpeg decodes what is there")
    encoder.stop()
    # Who has another output goes on, and tells at the end.
    check(beside.alive, "who has another output goes on")
    air.node.admin("end", "main")
    equal(beside.wait(10), 74, f"its exit status: {beside.log()!r}")
    trees.accepted_by_others(beside.output, len(trees.dense(beside)) * 0.02)


def test_audio_is_not_written_to_a_terminal(t):
    air = Air(t)
    leader, follower = os.openpty()
    for options in (["-o", "-"], ["--pcm", "-"]):
        listener = air.listener(*options, name="terminal" + options[0], file=False)
        start_into(listener, follower)
        equal(listener.wait(10), 64, f"exit status: {listener.log()!r}")
        check("standard output is a terminal" in listener.log(), f"it says {listener.log()!r}")
    os.close(leader)
    os.close(follower)

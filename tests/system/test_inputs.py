"""The ways into an origin: WAV, raw PCM and Ogg Opus from files, pipes and standard input, and RTP as encoders send it."""
import os
import re
import signal
import subprocess

import media
import readme
import trees
from harness import check, equal, eventually, opus_hash


def origin(t, source, name="origin", host=None, **options):
    """A node with that input instead of RTP: {"wav": "-"}."""
    key = t.sources[0] if t.sources else t.new_source()
    group = {"source": {**source, "id": key.id, "signing_key": key.path}, **options.pop("group", {})}
    return t.node(name, host=host, source=key, group=group, **options)


class Writer:
    """A command whose standard output is what a node reads; or None, and the test writes."""

    def __init__(self, t):
        self.t = t
        self.read_end, self.write_end = os.pipe()
        t.cleanups.append(self.close)

    def run(self, *command):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.write_end)
        self.t.cleanups.append(process.kill)
        self.close()
        return process

    def write(self, data):
        while data:
            data = data[os.write(self.write_end, data):]

    def close(self):
        for end in (self.read_end, self.write_end):
            if end is not None:
                os.close(end)
        self.read_end = self.write_end = None

    def start(self, node):
        """The node, with this as its standard input."""
        node.start(stdin=self.read_end)
        os.close(self.read_end)
        self.read_end = None
        return node


def convert(t, name, wav, *options):
    path = os.path.join(t.dir, name)
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", wav, *options, path], check=True)
    return path


def ends(listener, timeout=30):
    """The broadcast ends without anybody's saying so, and the listener believes it."""
    equal(listener.wait(timeout), 0, f"{listener.name}'s exit status: {listener.log()!r}")
    check(listener.report()["ended"], f"{listener.name} reports the attested end")
    return trees.dense(listener)


def told_end(node, name):
    """Once, with the input's name and length; that many seconds."""
    lines = [line for line in node.log().splitlines() if "broadcast_ended" in line]
    equal(len(lines), 1, f"lines about the end in {node.log()!r}")
    check(name in lines[0], f"{lines[0]!r} names {name}")
    return float(re.search(r"seconds=([0-9.]+)", lines[0])[1])


def heard_speech(listener, wav, seconds):
    """Audio for at least so many seconds, and it is what the file has."""
    audio = sum(f.kind == "frame" for f in listener.frames())
    check(audio * 0.02 >= seconds, f"{listener.name} heard {audio} frames with audio of 20 ms, {seconds} s expected")
    like, at = media.likeness([0.0] * 60 + media.envelope(wav) + [0.0] * 60, media.loud(media.envelope(listener.output)))
    check(like > 0.9, f"what {listener.name} heard resembles {os.path.basename(wav)} by {like:.2f}, best at frame {at}")


def test_wav_files_of_any_rate_are_played_to_their_end(t):
    wav = t.speech(5)
    ears = t.host("ears")
    cases = []
    for name, options in (("stereo44", ["-ar", "44100", "-ac", "2"]), ("mono8", ["-ar", "8000"]),
                          ("float96", ["-ar", "96000", "-c:a", "pcm_f32le"]), ("mono24", ["-c:a", "pcm_s24le"])):
        path = convert(t, f"{name}.wav", wav, *options)
        node = origin(t, {"wav": path}, name=name).start()
        cases.append((node, path, t.listener(f"ear-{name}", [node], host=ears).start()))
    given = trees.group(cases[0][0])["input"]
    equal((given["kind"], given["from"]), ("wav", cases[0][1]), "the status tells what the input is")
    for node, path, listener in cases:
        ends(listener)
        told = told_end(node, path)
        check(5 <= told <= 5.1, f"{node.name} tells {told} s")
        heard_speech(listener, wav, 1.5)  # it was played while the listener came
        check(trees.group(node)["ended"], "the status tells the end")
        check("input_silent" not in node.log(), "an end is no silence")
        equal(node.stop(), 0, "the exit status")


def test_a_wav_stream_on_standard_input_is_played_from_its_first_word(t):
    wav, writer = t.speech(4), Writer(t)
    node = writer.start(origin(t, {"wav": "-"}))
    listener = t.listener("ear", [node], host=t.host("ears")).start()
    trees.listening(node, 1)
    writer.run("ffmpeg", "-nostdin", "-v", "error", "-i", wav, "-ar", "44100", "-ac", "2", "-f", "wav", "-")
    ends(listener)
    check(4 <= told_end(node, "standard input") <= 4.1, "the length")
    heard_speech(listener, wav, 4)
    check("input_damaged" not in node.log(), f"nothing is wrong with it: {node.log()!r}")


def test_raw_samples_come_in_at_the_speed_of_a_live_source(t):
    wav, writer = t.speech(4), Writer(t)
    node = writer.start(origin(t, {"pcm": "-", "rate": 16000, "channels": 2, "format": "s16le", "bitrate": 40000}))
    listener = t.listener("ear", [node], host=t.host("ears")).start()
    trees.listening(node, 1)
    writer.run("ffmpeg", "-nostdin", "-v", "error", "-re", "-i", wav, "-ar", "16000", "-ac", "2", "-f", "s16le", "-")
    eventually(lambda: trees.group(node)["input"]["packets"] > 50, 10, "packets")
    equal(trees.group(node)["input"]["kind"], "pcm", "the status tells the kind")
    ends(listener)
    heard_speech(listener, wav, 4)


def test_an_ogg_file_arrives_bit_for_bit(t):
    """Through a named pipe, whose writer comes when all listen; 60 ms frames by ffmpeg, 20 ms by opusenc."""
    wav = t.speech(4)
    ears = t.host("ears")
    long_frames = convert(t, "long.opus", wav, "-c:a", "libopus", "-frame_duration", "60", "-b:a", "20k")
    short_frames = os.path.join(t.dir, "short.opus")
    subprocess.run(["opusenc", "--quiet", "--framesize", "20", wav, short_frames], check=True, capture_output=True)
    for name, path, frame_ms in (("long", long_frames, 60), ("short", short_frames, 20)):
        pipe = os.path.join(t.dir, name + ".pipe")
        os.mkfifo(pipe)
        node = origin(t, {"ogg": pipe}, name=name, group={"frame_ms": frame_ms}).start()
        listener = t.listener(f"ear-{name}", [node], host=ears).start()
        trees.listening(node, 1)
        equal(trees.group(node)["input"]["age_ms"], None, "nothing has come")
        subprocess.run(["dd", "status=none", f"if={path}", f"of={pipe}"], check=True, timeout=20)
        ends(listener)
        packets = media.read_ogg(path).packets
        trees.heard_all(listener, packets)
        trees.same_as_sent(listener.name, media.read_ogg(listener.output).packets[1:], packets)
        told_end(node, pipe)


def test_a_restarted_node_plays_its_file_from_the_beginning(t):
    path = convert(t, "talk.opus", t.speech(9), "-c:a", "libopus")
    hashes = [opus_hash(p) for p in media.read_ogg(path).packets]
    node = origin(t, {"ogg": path}).start()
    listener = t.listener("ear", [node], host=t.host("ears")).start()
    trees.listening(node, 1)

    def played():
        return trees.group(node)["input"]["packets"]
    eventually(lambda: played() > 200, 15, "enough of it that the listener is back before it comes again")
    once = played() + 25
    eventually(lambda: played() > once + 25, 10, "some more")
    equal(node.stop(), 0, "the exit status in the middle of the file")
    check("broadcast_ended" not in node.log(), "a stop is no end")
    check(listener.alive, "and the listener waits")
    node.start()
    equal(listener.wait(30), 0, f"the listener's exit status: {listener.log()!r}")
    heard = listener.heard()
    equal(heard[-1], hashes[-1], "the last frame heard is the file's")
    equal(heard.count(hashes[once]), 2, "how often it heard what was played before the restart")


def before_the_first_byte(t, seconds):
    """A node that waits for WAV on its standard input, and somebody who listens: the WAV, its writer, the two."""
    with open(t.speech(seconds), "rb") as file:
        data = file.read()
    writer = Writer(t)
    node = writer.start(origin(t, {"wav": "-"}))
    listener = t.listener("ear", [node], host=t.host("ears")).start()
    trees.listening(node, 1)
    return data, writer, node, listener


def test_standard_input_that_pauses_goes_on(t):
    """The clock runs, on empty frames; nobody's broadcast ends; and all that was written is heard."""
    data, writer, node, listener = before_the_first_byte(t, 4)
    half = len(data) // 2
    writer.write(data[:half])
    eventually(lambda: "input_silent" in node.log(), 15, "the pause is told of")
    check("nothing more comes from standard input" in node.log(), f"and of what: {node.log()!r}")
    check(listener.alive and not trees.group(node)["ended"], "nothing has ended")
    writer.write(data[half:])
    writer.close()
    frames = ends(listener)
    kinds = "".join("a" if f.kind == "frame" else "." for f in frames).strip(".")
    pauses = [len(run) for run in re.findall(r"\.+", kinds) if len(run) >= 50]
    equal(len(pauses), 1, f"pauses of more than a second in {kinds}")
    check(abs(kinds.count("a") - 201) <= 1, f"{kinds.count('a')} frames of audio in {kinds}")


def test_a_stop_is_prompt_while_standard_input_is_idle_and_ends_nothing(t):
    data, writer, node, listener = before_the_first_byte(t, 2)
    equal(node.stop(timeout=5), 0, "the exit status before anything came")
    again = Writer(t)
    again.start(node)
    again.write(data[:len(data) // 2])
    eventually(lambda: trees.group(node)["input"]["packets"] > 40, 10, "what was written is played")
    for number in (signal.SIGINT, signal.SIGTERM):
        node.signal(number)
    equal(node.wait(5), 0, "the exit status in the middle")
    check("broadcast_ended" not in node.log(), f"nothing ended: {node.log()!r}")
    check(listener.alive, f"the listener waits for another: {listener.log()!r}")


def test_a_wav_file_that_is_cut_short_is_played_as_far_as_it_goes(t):
    path = os.path.join(t.dir, "short.wav")
    with open(t.speech(4), "rb") as file, open(path, "wb") as short:
        short.write(file.read()[:-96001])  # its last second, and a half of a sample
    node = origin(t, {"wav": path}).start()
    listener = t.listener("ear", [node], host=t.host("ears")).start()
    ends(listener)
    check(3 <= told_end(node, path) <= 3.1, "the length of what is there")
    equal(node.log().count("cut short"), 1, f"times that it is told: {node.log()!r}")


def test_an_ogg_file_that_is_cut_short_is_played_as_far_as_it_goes(t):
    whole = convert(t, "whole.opus", t.speech(4), "-c:a", "libopus")
    path = os.path.join(t.dir, "short.opus")
    with open(whole, "rb") as file, open(path, "wb") as short:
        short.write(file.read()[:-3000])
    node = origin(t, {"ogg": path}).start()
    listener = t.listener("ear", [node], host=t.host("ears")).start()
    ends(listener)
    hashes = [opus_hash(p) for p in media.read_ogg(whole).packets]
    heard = listener.heard()
    runs = (hashes[i:i + len(heard)] for i in range(len(hashes)))
    check(heard and heard in runs, f"{len(heard)} packets heard are one run of the file's")
    equal(node.log().count("cut short"), 1, f"times that it is told: {node.log()!r}")


def test_an_input_that_cannot_be_used_says_why(t):
    host = t.host("origin")
    wav = t.speech(2)

    def refused(name, source, status, *words, stdin=subprocess.DEVNULL, checked=True):
        node = origin(t, source, name=name, host=host)
        with open(node.config_path, "w", encoding="utf-8") as file:
            file.write(node.config())
        node.spawn([t.binary, "run", "-c", node.config_path], stdin=stdin)
        equal(node.wait(10), status, f"exit status of {name}: {node.log()!r}")
        if checked:
            done = subprocess.run([t.binary, "check", "-c", node.config_path], capture_output=True, text=True)
            equal(done.returncode, status, f"exit status of `check` of {name}: {done.stderr!r}")
        for word in words:
            check(word in node.log(), f"{name} does not say {word!r}, but {node.log()!r}")
            check(not checked or word in done.stderr, f"`check` of {name} does not say {word!r}")
    missing = os.path.join(t.dir, "nothing.wav")
    refused("missing", {"wav": missing}, 66, missing, "No such file or directory")
    refused("directory", {"ogg": t.dir}, 66, t.dir, "a directory")
    refused("no-wav", {"wav": __file__}, 65, __file__, "not a WAV file")
    refused("no-ogg", {"ogg": wav}, 65, wav, "not an Ogg file")
    eight = convert(t, "eight.wav", wav, "-c:a", "pcm_u8")
    refused("8-bit", {"wav": eight}, 65, eight, "8 bits")
    six = convert(t, "six.wav", wav, "-ac", "6")
    refused("6-channels", {"wav": six}, 65, "6 channels")
    long_frames = convert(t, "long.opus", wav, "-c:a", "libopus", "-frame_duration", "60")
    refused("other-length", {"ogg": long_frames}, 65, "packets of 60 ms", "frame_ms = 20")
    vorbis = convert(t, "vorbis.ogg", wav, "-c:a", "libvorbis")
    refused("vorbis", {"ogg": vorbis}, 65, "no Opus in it, but Vorbis")
    empty = os.path.join(t.dir, "empty.pcm")
    open(empty, "wb").close()
    refused("empty", {"pcm": empty}, 65, empty, "empty")
    # Standard input is known when it comes.
    refused("nothing", {"wav": "-"}, 65, "standard input", "empty", checked=False)
    with open(__file__, "rb") as text:
        refused("text", {"wav": "-"}, 65, "standard input", "not a WAV file", stdin=text, checked=False)
    master, terminal = os.openpty()
    refused("terminal", {"pcm": "-"}, 66, "standard input", "a terminal", stdin=terminal, checked=False)
    os.close(master)
    os.close(terminal)


def test_rtp_is_taken_as_encoders_send_it(t):
    """Any dynamic payload type, timestamps and numbers that begin anywhere, and RTCP on either port."""
    source = t.new_source()
    node = t.node("origin", source=source).start()
    listener = t.listener("ear", [node], host=t.host("ears")).start()
    trees.listening(node, 1)
    wav, sent = t.speech(3), []
    for options in ({"kind": "gstreamer", "payload": ["pt=96", "timestamp-offset=4294967000", "seqnum-offset=65530"]},
                    {"kind": "gstreamer", "payload": ["pt=127", "timestamp-offset=12345", "seqnum-offset=1"]},
                    {"kind": "ffmpeg"}, {"kind": "ffmpeg", "rtcp_port": 5004}):
        tap = t.capture(node.host)
        t.encoder(node.host, wav, **options).wait(30)
        rtp = [d for d in tap.stop() if not 192 <= d.payload[1] <= 223]  # RTCP, RFC 5761 §4
        sent += media.opus_packets(rtp)
    counters = trees.group(node)["counters"]
    check(counters["ingest_rtcp"] > 0, f"RTCP came to the port itself: {counters}")
    equal(counters["ingest_sender"], 4, "senders, one after the other")
    equal(sum(v for n, v in counters.items() if n.startswith("ingest_drop")), 0, f"drops: {counters}")
    trees.end(node, [listener])
    trees.dense(listener)
    trees.heard_all(listener, sent)


@readme.runs("Ways in")
def test_the_readmes_ways_in_bring_audio_in(t):
    """Each with the configuration that its comment tells, side by side. A sound card hears what is in a file here."""
    wav, key = t.speech(3), t.new_source()
    ways = {}
    for command in readme.commands("Ways in"):
        ways.setdefault(command.comment, []).append(command)
    running = []
    for number, (comment, commands) in enumerate(ways.items()):
        source = re.match(r"# source = \{ (.*), …", comment)[1]
        node = t.node(f"way-{number}", source=key, group={"source": "here"})
        os.symlink(wav, os.path.join(node.dir, "talk.wav"))
        with open(os.path.join(node.dir, "talk.toml"), "w", encoding="utf-8") as file:
            file.write(node.config().replace('source = "here"',
                                             f'source = {{ {source}, id = {key.id}, signing_key = "{key.path}" }}'))
        if source.startswith("rtp"):
            node.spawn([t.binary, "run", "-c", os.path.join(node.dir, "talk.toml")])
            eventually(lambda: os.path.exists(node.socket) and node.status(), 10, "the node")
        shell = readme.Shell(t, node.host, node.dir, environment=media.sound_card(node.dir, wav))
        running.append((node, source, commands[-1].text, shell.start(commands)))
    check(len(running) >= 7, f"{len(running)} ways in")
    for node, source, command, run in running:
        def input_has(what):
            check(run.alive or source.startswith("rtp"), f"{command!r} has ended: {run.log()!r}")
            return os.path.exists(node.socket) and what(trees.group(node))
        eventually(lambda: input_has(lambda group: group["input"]["packets"] > 50), 30, f"audio by {command!r}")
        if "arecord" in command:  # it hears silence for ever, once the file is over
            node.host.end("arecord")
        if not source.startswith("rtp"):
            eventually(lambda: input_has(lambda group: group["ended"]), 30, f"the end of {command!r}")
        drops = {n: v for n, v in trees.group(node)["counters"].items() if n.startswith("ingest_drop") and v}
        equal(drops, {}, f"drops by {command!r}")

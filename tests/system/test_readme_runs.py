"""From a checkout to a first broadcast and its players, by README.md's own commands."""
import json
import os
import re
import shutil
import subprocess
import types

import media
import network
import readme
import trees
from harness import NOBODY, ROOT, check, equal, eventually

FIRST = "The first broadcast, in five minutes"
# Ends the shell when its parent goes, and has a /usr/local of its own: what is installed there goes with it.
OWN_USR_LOCAL = ["unshare", "--mount", "sh", "-ec", 'mount -t tmpfs -o mode=755 tmpfs /usr/local; exec "$@"', "sh"]


def installing(t):
    """Where what is done to /usr/local is undone."""
    def popen(command, **options):
        return readme.Here.popen([*OWN_USR_LOCAL, *command], **options)
    return types.SimpleNamespace(popen=popen)


@readme.runs("Build and install")
def test_the_readmes_build_and_install_leave_a_program_that_runs(t):
    shell = readme.Shell(t, installing(t), ROOT, environment={"BUILD": os.path.dirname(t.binary), "HOME": t.dir})
    shell.stand_in("sudo", 'exec "$@"')
    commands = readme.commands("Build and install")
    at = next(i for i, c in enumerate(commands) if "DESTDIR=" in c.text.split("#")[0])
    look = "find /usr/local -type f | sort; /usr/local/bin/tiercast --version"
    for some in (commands[:at], commands[at:]):  # to /usr/local at once; by way of an archive
        said = shell.run([*some, readme.Command(-1, "", look, "")], 120).said()
        for name in ("bin/tiercast", "lib/systemd/system/tiercast@.service", "lib/systemd/system/tiercast@.socket",
                     "share/doc/tiercast/README.md", "share/doc/tiercast/PROTOCOL.md",
                     "share/doc/tiercast/examples/origin.toml"):
            check(f"/usr/local/{name}\n" in said, f"{name} is not installed: {said!r}")
        check(re.search(r"^tiercast \d+\.\d+\.\d+$", said, re.M), f"it runs: {said!r}")


@readme.runs("tiercast", "scripts/demo")
def test_the_readmes_demo_plays_a_broadcast(t):
    shell = readme.Shell(t, t.host("demo"), ROOT, environment={"BUILD": os.path.dirname(t.binary), "TMPDIR": t.dir})
    said = shell.run(readme.commands("tiercast", "scripts/demo"), 120).said()
    check("12 listeners" in said and said.splitlines()[-2] == "No listener lost a frame.", f"it says {said!r}")


def shown_by(ffplay):
    """How many seconds of it ffplay has played, as its last line shows."""
    times = re.findall(r"(\d+\.\d+) M-A:", ffplay.log())
    return float(times[-1]) if times else 0.0


@readme.runs(FIRST)
def test_the_readmes_first_broadcast_needs_no_more_than_it_says(t):
    """As a user without any privilege, in an empty folder with a recording, in one shell and another for the player."""
    folder = t.home("first")
    shutil.copy(t.speech(3), os.path.join(folder, "talk.wav"))
    host = t.host("stage")
    shells = [readme.Shell(t, host, folder, NOBODY, environment={"HOME": folder, "SDL_AUDIODRIVER": "dummy",
                                                                 "SDL_VIDEODRIVER": "dummy"}) for _ in range(2)]
    commands = readme.commands(FIRST)
    player = [c for c in commands if c.text.startswith("ffplay")]
    speaker = shells[0].start([c for c in commands if c not in player])
    eventually(lambda: os.path.exists(os.path.join(folder, "talk.sdp")), 20, f"the listeners: {speaker.log()!r}")
    eventually(lambda: readme.read(os.path.join(folder, "talk.sdp")).endswith("\n"), 5, "what the player opens")
    ffplay = shells[1].start(player)
    speaker.finish(60)
    check(shown_by(ffplay) > 1 and ffplay.alive, f"what the player says: {ffplay.log()!r}")
    said = speaker.said()
    check("talk.toml: ok: origin stage" in said, f"`check` is content: {said!r}")
    check(re.search(r"^stage origin ", said, re.M) and re.search(r"^main  .* 2  .* rtp ok", said, re.M), f"status: {said!r}")
    recording = said.splitlines()[-1]
    check(re.fullmatch(r"main-\w+\.opus", recording), f"the recording's name: {recording!r}")
    eventually(lambda: not host.pids("tiercast"), 10, "the node and the listeners have ended")
    for name in ("heard.opus", f"recordings/{recording}"):
        ogg = media.read_ogg(os.path.join(folder, name))
        check(ogg.ended, f"{name} has an end")
        audio = sum(len(packet) > trees.CONCEALMENT for packet in ogg.packets)
        check(audio >= 300, f"{name} has {audio} packets with audio of twice 3 s")
        trees.accepted_by_others(os.path.join(folder, name), (ogg.granules[-1] - 312) / 48000)


@readme.runs("Ways out")
def test_the_readmes_ways_out_lead_into_players(t):
    """All at once, on the configuration of the first broadcast; but of two players at one port one after the other. Sound
    cards: ALSA's that writes a file, SDL's dummy, and what GStreamer takes where there is none: OpenAL's null, if it has
    that (of gstreamer1.0-plugins-bad), which would else fill ALSA's file. VLC writes a file, and not as root."""
    wav, host = t.speech(10), t.host("stage")
    os.symlink(wav, os.path.join(t.dir, "talk.wav"))
    shell = readme.Shell(t, host, t.dir, environment={"SDL_AUDIODRIVER": "dummy", "SDL_VIDEODRIVER": "dummy",
                                                      "ALSOFT_DRIVERS": "null", "GST_DEBUG": "opusdec:6",
                                                      **media.sound_card(t.dir, wav)})
    shell.run(readme.commands(FIRST, "NODE=", "SOURCE=", "cat "))
    shell.start(readme.commands(FIRST, "tiercast run"))
    socket = os.path.join(t.dir, "admin.sock")
    eventually(lambda: os.path.exists(socket), 10, "the node")
    shell.run(readme.commands("Ways out", "TALK="))
    home = t.home()
    nobodys = readme.Shell(t, host, home, NOBODY, environment={**shell.environment, "HOME": home})
    to_file = ["-I", "dummy", "--play-and-exit", "--aout", "afile", "--audiofile-file", os.path.join(home, "vlc.wav")]
    ways = [nobodys.start([way], to_file) if "vlc" in way.text else shell.start([way])
            for way in readme.commands("Ways out", "tiercast listen")]

    def listeners():
        return json.loads(host.run(t.binary, "status", "--json", "--socket", socket))["groups"][0]["tally"]["listeners"]
    eventually(lambda: listeners() == len(ways), 20, f"{len(ways)} listeners")
    speaker = shell.start(readme.commands(FIRST, "ffmpeg"))
    player = shell.start(readme.commands("Ways out", "ffplay"))
    eventually(lambda: shown_by(player) > 1, 15, "ffplay plays what talk.sdp describes")
    player.kill()
    player = shell.start(readme.commands("Ways out", "gst-launch"))
    eventually(lambda: player.log().count("opus_dec_chain_parse_data") > 50, 15, f"GStreamer plays: {player.log()[-500:]!r}")
    check(player.alive and "ERROR" not in player.log(), f"what GStreamer says: {player.log()!r}")
    speaker.finish(30)
    shell.run(readme.commands(FIRST, "tiercast end"))
    for way, run in zip(readme.commands("Ways out", "tiercast listen"), ways):
        if "ffplay" in way.text:  # it stays, with its window
            eventually(lambda: shown_by(run) > 10, 20, f"{way.text} plays: {run.log()[-500:]!r}")
            check(run.alive and not re.search("error|invalid", run.log(), re.I), f"what ffplay says: {run.log()!r}")
        else:
            run.finish(20)
    speech = [0.0] * 60 + media.envelope(wav) + [0.0] * 60
    played = os.path.join(t.dir, "played.wav")
    network.run(*f"ffmpeg -nostdin -v error -f s16le -ar 48000 -ac 2 -i {t.dir}/played.raw {played}".split())
    for path in (os.path.join(t.dir, "heard.opus"), os.path.join(t.dir, "heard.wav"), played, to_file[-1]):
        like, at = media.likeness(speech, media.loud(media.envelope(path)))
        check(like > 0.9, f"{os.path.basename(path)} resembles what was spoken by {like:.2f}, best at frame {at}")

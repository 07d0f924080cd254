"""Who takes part in scripts/bench/compare. Each has a name, says why it cannot take part (why_not), what it is (version,
command) and measures itself once: CPU of who sends, and what came out at the far end."""
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from children import Children, Failure
from network import die_with_parent, run
from tree import Tree
from usage import cpu_ns
from veth import DESTINATIONS, installed

HERE = pathlib.Path(__file__).resolve().parent
SPAN = 2  # seconds, of those that run by themselves
START = 30


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return next((line for line in (done.stdout + done.stderr).splitlines() if line.strip()), "?").strip()


def over_span(count, pid):
    """CPU and count over SPAN seconds."""
    before = cpu_ns(pid), count()
    time.sleep(SPAN)
    after = cpu_ns(pid), count()
    if after[1] == before[1]:
        raise Failure("nothing came out at the far end")
    return {"cpu_ns": after[0] - before[0], "delivered": after[1] - before[1], "lost": None}


def until(what, true, seconds=START, instead=lambda: ""):
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise Failure(f"waited {seconds:.0f} s for {what}{instead()}")
        time.sleep(0.1)


class Fanout:
    """A backend of the relay, or a bare loop, in `tiercast bench fanout`: as fast as it goes."""

    def __init__(self, wire, program, backend, destinations, payload):
        self.wire, self.program, self.backend, self.destinations = wire, program, backend, destinations
        own = backend not in ("sendto", "floor")
        self.name = f"tiercast {backend}" if own else {"sendto": "bare sendto", "floor": "bare sendmmsg"}[backend]
        per_round = 3_000_000 if backend == "xdp" else 300_000
        self.frames = max(3, per_round // destinations)
        self.command = ["tiercast", "bench", "fanout", "--destinations", str(destinations), "--frames",
                        str(self.frames), "--payload", str(payload), "--rounds", "1", "--backend", backend, "--to",
                        DESTINATIONS, "--interface", "out0", "--json"]

    def why_not(self):
        return ""

    def version(self):
        return first_line(self.program, "--version")

    def measure(self):
        before = self.wire.delivered()
        said = json.loads(self.wire.sender.run(self.program, *self.command[1:]))
        delivered = self.wire.delivered() - before
        # One frame more goes first, which its CPU time leaves out.
        sent = self.destinations * (self.frames + 1)
        share = delivered / sent
        return {"cpu_ns": said["cpu_ns_per_datagram"] * self.destinations * self.frames,
                "delivered": share * self.destinations * self.frames, "lost": 1 - share}


class Node:
    """A whole node, that takes RTP from ffmpeg and serves so many lease holders. A frame lasts 60 ms, so that it is not
    more than one core can do."""

    def __init__(self, wire, program, swarm, destinations, backend):
        self.wire, self.program, self.swarm, self.destinations = wire, program, swarm, destinations
        self.backend, self.name = backend, f"tiercast node ({backend})"
        self.command = ["tiercast", "run", "-c", "FILE"]

    def why_not(self):
        missing = installed("ffmpeg")
        return f"{missing[0]} is not installed" if missing else ""

    def version(self):
        return first_line(self.program, "--version")

    def measure(self):
        with tempfile.TemporaryDirectory(prefix="tiercast-bench-") as folder:
            children = Children(pathlib.Path(folder))
            try:
                tree = Tree(self.program, pathlib.Path(folder), children, {"node": []}, {"node": self.wire.sender},
                            max_leases=2 * self.destinations, frame_ms=60, listen={"backend": self.backend})
                tree.start()
                used = tree.state()["node"]["listen"]["backend"]
                if used["name"] != self.backend:
                    raise Failure(f"the node sends by {used['name']}: {used.get('why')}")
                tree.run_at("node", "encoder", [
                    "ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "anoisesrc=a=0.1:r=48000", "-c:a", "libopus",
                    "-b:a", "24k", "-vbr", "off", "-frame_duration", "60", "-f", "rtp", f"rtp://127.0.0.1:{tree.rtp}"])
                children.start("swarm", self.wire.sink.command([
                    self.swarm, tree.address["node"], tree.key["node"], "1", f"1:{tree.source}", str(self.destinations),
                    "600", "deaf"]))
                tree.wait(f"{self.destinations} listeners",
                          lambda state: state["node"]["groups"][0]["tally"]["listeners"] >= self.destinations,
                          30 + self.destinations / 200)
                node = self.wire.sender.pids("tiercast")[0]
                return over_span(self.wire.delivered, node)
            finally:
                children.stop()


class Gstreamer:
    """multiudpsink with so many clients, fed as fast as it takes; what it is fed costs a few microseconds a packet."""
    CLIENTS = 10000  # of one multiudpsink: an argument's length has a limit

    def __init__(self, wire, destinations, payload, srtp):
        self.wire = wire
        self.name = "GStreamer srtpenc ! multiudpsink" if srtp else "GStreamer multiudpsink"
        self.srtp = srtp
        # RTP of as many bytes as tiercast's datagram: 12 of header, and samples of two bytes.
        samples = (payload - 12) // 2
        source = ["audiotestsrc", "wave=silence", f"samplesperbuffer={samples}", "!",
                  "audio/x-raw,format=S16BE,rate=8000,channels=1", "!", "rtpL16pay", "!"]
        if srtp:
            source += ["srtpenc", f"key={'0123456789' * 6}", "!"]
        names = self._names(destinations)
        lists = [",".join(names[first:first + self.CLIENTS]) for first in range(0, destinations, self.CLIENTS)]
        sink = ["multiudpsink", "sync=false", "async=false"]
        if len(lists) == 1:
            pipeline = source + sink + [f"clients={lists[0]}"]
        else:
            pipeline = source + ["tee", "name=all"]
            for each in lists:
                pipeline += ["all.", "!"] + sink + [f"clients={each}"]
        self.pipeline = ["gst-launch-1.0", "-q"] + pipeline
        self.command = [word if not word.startswith("clients=") else "clients=11.0.0.1:9,11.0.0.2:9,..."
                        for word in self.pipeline]

    @staticmethod
    def _names(count):
        """As short as they can be."""
        base = next(b for b in range(2, 256) if b ** 3 > count)
        return [f"11.{n // base ** 2}.{n // base % base}.{n % base}:9" for n in range(1, count + 1)]

    def why_not(self):
        if installed("gst-launch-1.0", "gst-inspect-1.0"):
            return "gst-launch-1.0 is not installed"
        for element in ("multiudpsink", "rtpL16pay") + (("srtpenc",) if self.srtp else ()):
            if subprocess.run(["gst-inspect-1.0", "--exists", element], capture_output=True).returncode != 0:
                return f"GStreamer has no {element} here"
        return ""

    def version(self):
        return first_line("gst-launch-1.0", "--version").replace("gst-launch-1.0 version", "GStreamer")

    def measure(self):
        with tempfile.TemporaryFile() as said:
            process = self.wire.sender.popen(self.pipeline, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                             start_new_session=True)
            try:
                begin = self.wire.delivered()

                def flows():
                    if process.poll() is not None:
                        said.seek(0)
                        raise Failure(f"gst-launch-1.0 ended: {said.read().decode(errors='replace').strip()[-300:]}")
                    return self.wire.delivered() > begin
                until("GStreamer's first packets", flows)
                time.sleep(0.5)
                return over_span(self.wire.delivered, process.pid)
            finally:
                process.kill()
                process.wait()


class Icecast:
    """Icecast 2 over TCP to so many HTTP listeners. Ogg Opus of 20 ms frames, a page each, as live audio wants it: a
    page that a listener got is a packet delivered."""
    CONFIGURATION = """<icecast>
  <limits><clients>{clients}</clients><sources>2</sources><queue-size>1048576</queue-size>
    <burst-on-connect>0</burst-on-connect><burst-size>0</burst-size></limits>
  <authentication><source-password>bench</source-password><admin-user>admin</admin-user>
    <admin-password>bench</admin-password></authentication>
  <hostname>bench</hostname>
  <listen-socket><port>8000</port></listen-socket>
  <paths><basedir>{folder}</basedir><logdir>{folder}</logdir><webroot>{folder}</webroot><adminroot>{folder}</adminroot>
  </paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>3</loglevel></logging>
  <security><chroot>0</chroot><changeowner><user>nobody</user><group>nogroup</group></changeowner></security>
</icecast>
"""
    SOURCE = ["ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "anoisesrc=a=0.1:r=48000", "-c:a", "libopus", "-b:a",
              "64k", "-vbr", "off", "-frame_duration", "20", "-page_duration", "20000", "-f", "ogg", "-content_type",
              "application/ogg", "icecast://source:bench@127.0.0.1:8000/live.ogg"]

    def __init__(self, wire, listeners):
        self.wire, self.listeners = wire, listeners
        self.name = "Icecast 2 (TCP)"
        self.command = ["icecast2", "-c", "FILE"]

    def why_not(self):
        missing = installed("icecast2", "ffmpeg")
        return f"{missing[0]} is not installed" if missing else ""

    def version(self):
        return first_line("icecast2", "-v")

    def measure(self):
        with tempfile.TemporaryDirectory(prefix="tiercast-bench-") as name:
            folder = pathlib.Path(name)
            folder.chmod(0o777)  # its logs, by the user that it becomes
            configuration = folder / "icecast.xml"
            configuration.write_text(self.CONFIGURATION.format(clients=self.listeners + 10, folder=folder))
            children, listeners = Children(folder), None
            try:
                server = children.start("icecast", self.wire.sender.command(["icecast2", "-c", str(configuration)]))
                until("Icecast", lambda: ":8000" in self.wire.sender.run("ss", "-ltnH"))
                children.start("source", self.wire.sender.command(self.SOURCE))
                log = folder / "error.log"
                until("Icecast's source", lambda: log.exists() and "/live.ogg" in log.read_text(errors="replace"))
                time.sleep(1)
                children.check(["icecast", "source"])
                with open(folder / "listeners.log", "wb") as said:
                    listeners = self.wire.sink.popen(
                        [sys.executable, HERE / "icecast_listeners.py", self.wire.sender.v4, "8000", "/live.ogg",
                         str(self.listeners)],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True)

                def counts():
                    listeners.stdin.write("\n")
                    listeners.stdin.flush()
                    line = listeners.stdout.readline()
                    if not line:
                        raise Failure(f"the listeners have ended:\n{children.last_words('listeners')}")
                    return json.loads(line)
                until(f"{self.listeners} listeners", lambda: counts()["connected"] >= self.listeners,
                      START + self.listeners / 50,
                      instead=lambda: f", had {counts()}; Icecast said: {log.read_text(errors='replace')[-300:]}")
                time.sleep(1)
                pid = self.wire.sender.pids("icecast2")[0] if server.poll() is None else 0
                done = over_span(lambda: counts()["pages"], pid)
                due = self.listeners * 50 * SPAN
                return {**done, "lost": None, "of_due": done["delivered"] / due}
            finally:
                if listeners is not None:
                    listeners.kill()
                    listeners.wait()
                children.stop()

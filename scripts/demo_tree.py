"""The running part of scripts/demo: a tree of nodes, its listeners, a talk, and a table of who heard what.

Every process started here belongs to Children and is gone when this ends, however it ends.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SECONDS = 30  # of speech
LISTENERS = 4  # at each edge; the last one plays only what the source has attested
REGIONALS, EDGES = ["regional-1", "regional-2"], ["edge-1", "edge-2", "edge-3"]
VICTIM = "regional-1"
SOUNDS = pathlib.Path("/usr/share/asterisk/sounds/en")
SPEECH = ["demo-congrats.g722", "demo-instruct.g722"]


class Failure(Exception):
    """The demonstration went wrong; the text says where."""


class Children:
    """The processes that this one started: only these are ever signalled."""

    def __init__(self, folder):
        self.folder, self.running = folder, {}

    def start(self, name, command):
        with open(self.folder / f"{name}.log", "wb") as log:
            # A session of its own: Ctrl-C comes to this process alone, which then ends the others in order.
            self.running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                  start_new_session=True)
        return self.running[name]

    def kill(self, name):
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def check(self, names):
        """Fails if one that should run has ended."""
        for name in names:
            if name in self.running and (status := self.running[name].poll()) is not None:
                raise Failure(f"{name} ended with status {status}:\n{self.last_words(name)}")

    def last_words(self, name):
        lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join("  " + line for line in lines[-5:])

    def stop(self):
        for process in self.running.values():
            if process.poll() is None:
                process.terminate()
        until = time.monotonic() + 5
        for process in self.running.values():
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_ports(count):
    """UDP ports of loopback that nobody uses, each with the next one (RTCP) free too."""
    held, ports = [], []
    while len(ports) < count:
        pair = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        held += pair  # closed only at the end, so that none is found twice
        try:
            pair[0].bind(("127.0.0.1", 0))
            port = pair[0].getsockname()[1]
            pair[1].bind(("127.0.0.1", port + 1))
            ports.append(port)
        except (OSError, OverflowError):
            pass
    for each in held:
        each.close()
    return ports


class Tree:
    """Keys, configurations and nodes: an origin, the regional relays below it, the edges below both of those."""

    def __init__(self, program, folder, children):
        self.program, self.folder, self.children = program, folder, children
        self.names = ["origin", *REGIONALS, *EDGES]
        *ports, self.rtp = free_ports(len(self.names) + 1)
        self.address = {name: f"127.0.0.1:{port}" for name, port in zip(self.names, ports)}
        self.key = {name: self.tiercast("keygen", "-o", folder / f"{name}.key").strip() for name in self.names}
        self.source = self.tiercast("keygen", "--source", "-o", folder / "source.key").strip()
        self.killed = set()

    def tiercast(self, *arguments):
        done = subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"tiercast {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def start(self):
        self.configure("origin", [], REGIONALS)
        for name in REGIONALS:
            self.configure(name, ["origin"], EDGES)
        for name in EDGES:
            self.configure(name, REGIONALS, [])
        for name in self.names:
            self.children.start(name, [self.program, "run", "-c", self.folder / f"{name}.toml"])
        self.wait("the tree to stand", lambda state: all(
            state[name] and all(up["state"] == "live" for up in state[name]["upstreams"]) for name in self.names))

    def configure(self, name, parents, children):
        text = f"""[node]
name = "{name}"
key = "{self.folder}/{name}.key"
parents = {max(1, len(parents))}

[listen]
address = "{self.address[name]}"
max_leases = 100

[admin]
socket = "{self.folder}/{name}.sock"
"""
        if name == "origin":
            text = text.replace("parents = 1", f'state = "{self.folder}/state"')
        for parent in parents:
            text += f'\n[[upstream]]\naddress = "{self.address[parent]}"\npublic_key = "{self.key[parent]}"\n'
        for child in children:
            text += f'\n[[downstream]]\nname = "{child}"\npublic_key = "{self.key[child]}"\n'
        text += f'\n[[group]]\nname = "main"\nid = 1\nsources = [{{ id = 1, key = "{self.source}" }}]\npinned = true\n'
        if name == "origin":
            text += (f'source = {{ rtp = "127.0.0.1:{self.rtp}", id = 1, signing_key = "{self.folder}/source.key" }}\n'
                     f'record = {{ directory = "{self.folder}/recordings" }}\n')
        (self.folder / f"{name}.toml").write_text(text)

    def listen(self, edge, number):
        name = f"{edge}-listener-{number}"
        command = [self.program, "listen", self.address[edge], "--key", self.key[edge], "--group", "1",
                   "--source-key", f"1:{self.source}", "--output", self.folder / "recordings" / f"{name}.opus",
                   "--report", self.folder / f"{name}.json"]
        self.children.start(name, command + (["--strict"] if number == LISTENERS else []))
        return name

    def state(self):
        """What each node says of itself; None of one that does not answer."""
        state = {}
        for name in self.names:
            done = subprocess.run([self.program, "status", "--json", "--socket", self.folder / f"{name}.sock"],
                                  capture_output=True)
            state[name] = json.loads(done.stdout) if done.returncode == 0 else None
        return state

    def wait(self, what, ready):
        until = time.monotonic() + 15
        while not ready(self.state()):
            self.children.check(list(self.children.running))
            if time.monotonic() > until:
                raise Failure(f"waited 15 s for {what}")
            time.sleep(0.2)


class View:
    """The tree as it runs: redrawn in place on a terminal, else one line every five seconds."""

    def __init__(self, tree):
        self.tree, self.live, self.height, self.next_line = tree, sys.stdout.isatty(), 0, 0

    def show(self, seconds):
        if not self.live and seconds < self.next_line:
            return
        state = self.tree.state()
        lines = [f"{seconds:4.0f} s", *(self.line(name, state) for name in self.tree.names)]
        if self.live:
            width = shutil.get_terminal_size().columns - 1  # a wrapped line would break the counting of lines
            print(f"\033[{self.height}A\033[J" if self.height else "", end="")
            print("\n".join(line[:width] for line in lines), flush=True)
            self.height = len(lines)
        else:
            self.next_line = seconds + 5
            group = state["origin"]["groups"][0]
            parents = ", ".join(f"{edge} {self.live_parents(state[edge])}" for edge in EDGES)
            print(f"{seconds:4.0f} s  sealed {group['sealed']:,}  listeners {group['tally']['listeners']}"
                  f"  live parents: {parents}", flush=True)

    @staticmethod
    def live_parents(status):
        return sum(up["state"] == "live" for up in status["upstreams"]) if status else 0

    def line(self, name, state):
        status = state[name]
        branch = {"o": "", "r": "  ", "e": "    "}[name[0]] + name  # edges hang below both regional relays
        if status is None:
            return f"  {branch:<18} {'killed with kill -9' if name in self.tree.killed else 'does not answer'}"
        group = status["groups"][0]
        if name == "origin":
            speed = group["input"]["bits_per_second"] / 1000
            return (f"  {branch:<18} sealed {group['sealed']:>6,}  input {speed:.0f} kbit/s"
                    f"  listeners {group['tally']['listeners']}, relays {group['tally']['relays']}")
        counters = group["counters"]
        return (f"  {branch:<18} passed {counters['intake_frame']:>6,}"
                f"  parents live {self.live_parents(status)} of {len(status['upstreams'])}"
                f"  repaired {counters['repair_repaired']}  lost {counters['repair_given_up']}"
                f"  listeners {group['tally']['listeners']}")


def make_wav(given, folder):
    """Half a minute of speech as WAV, so that the encoder below is fed evenly."""
    if given:
        source = ["-stream_loop", "-1", "-i", given]
    else:
        (folder / "speech.g722").write_bytes(b"".join((SOUNDS / name).read_bytes() for name in SPEECH))
        source = ["-f", "g722", "-i", folder / "speech.g722"]
    done = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *source, "-t", str(SECONDS), "-vn", "-ac", "1", "-ar",
                           "48000", folder / "speech.wav"], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"ffmpeg cannot read {given or 'the speech'}:\n{done.stderr}")
    return folder / "speech.wav"


def broadcast(tree, view, wav):
    """Plays the talk to its end; one relay dies in the middle."""
    encoder = tree.children.start("ffmpeg", [
        "ffmpeg", "-nostdin", "-v", "error", "-re", "-i", wav, "-c:a", "libopus", "-application", "voip", "-b:a", "32k",
        "-frame_duration", "20", "-f", "rtp", f"rtp://127.0.0.1:{tree.rtp}"])
    start = time.monotonic()
    while encoder.poll() is None:
        seconds = time.monotonic() - start
        if not tree.killed and seconds > SECONDS / 2:
            tree.children.kill(VICTIM)
            tree.killed.add(VICTIM)
            if not view.live:
                print(f"{seconds:4.0f} s  kill -9 {VICTIM}", flush=True)
        view.show(seconds)
        tree.children.check([name for name in tree.children.running if name != "ffmpeg"])
        if seconds > SECONDS + 20:
            raise Failure("ffmpeg does not come to an end")
        time.sleep(0.5)
    if encoder.returncode != 0:
        raise Failure(f"ffmpeg:\n{tree.children.last_words('ffmpeg')}")


def table(origin, reports):
    """Prints who heard what. True if nobody missed anything."""
    packets, sealed = origin["input"]["packets"], origin["sealed"]
    print(f"\nffmpeg sent {packets:,} frames of 20 ms.\n\n"
          f"{'':24}{'frames got':>11}{'lost':>6}{'latency, median':>17}{'p99':>10}")
    perfect, delivered = True, 0
    for name, report in reports.items():
        delivered += report["frames"] + report["empty"]
        perfect &= report["frames"] == packets and report["lost"] == 0 and report["ended"]
        latency = [f"{report[k]:.1f} ms" if k in report else "?" for k in ("latency_median_ms", "latency_p99_ms")]
        strict = "  strict" if name.endswith(f"-{LISTENERS}") else ""
        print(f"{name:24}{report['frames']:>11,}{report['lost']:>6}{latency[0]:>17}{latency[1]:>10}{strict}")
    print(f"\nSealed once: {sealed:,} (with the silence before and after the talk). Delivered: {delivered:,}.")
    return perfect


def run(program, given, folder, children):
    wav = make_wav(given, folder)
    tree = Tree(program, folder, children)
    tree.start()
    listeners = [tree.listen(edge, number) for edge in EDGES for number in range(1, LISTENERS + 1)]
    tree.wait("the listeners to join", lambda state: state["origin"]["groups"][0]["tally"]["listeners"] == len(listeners))
    print(f"One origin, {len(REGIONALS)} regional relays, {len(EDGES)} edges, {len(listeners)} listeners on loopback;"
          f" {VICTIM} dies in the middle.", flush=True)
    broadcast(tree, View(tree), wav)
    time.sleep(1)  # a pause of the speaker is not yet the end: `tiercast end` is
    tree.tiercast("end", "main", "--socket", folder / "origin.sock")
    for name in listeners:
        try:
            if children.running[name].wait(15) != 0:
                raise Failure(f"{name}:\n{children.last_words(name)}")
        except subprocess.TimeoutExpired:
            raise Failure(f"{name} did not notice the end of the broadcast") from None
    origin = tree.state()["origin"]["groups"][0]
    return table(origin, {name: json.loads((folder / f"{name}.json").read_text()) for name in listeners})


def interrupted(signum, frame):
    raise KeyboardInterrupt


def main(program, given=None):
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupted)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tiercast-demo-"))
    (folder / "recordings").mkdir()
    (folder / "state").mkdir(mode=0o700)
    children = Children(folder)
    status, keep_all = 1, True
    try:
        perfect = run(os.path.abspath(program), given, folder, children)
        status, keep_all = (0 if perfect else 1), not perfect
        print("No listener lost a frame." if perfect else "FAILED: a listener did not get every frame to the end.")
    except Failure as failure:
        print(f"demo: {failure}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        status, keep_all = 130, False
    finally:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)  # nothing interrupts the clearing up
        children.stop()
        if status == 130 or not children.running:
            shutil.rmtree(folder)  # nothing in it is worth keeping
        elif keep_all:
            print(f"demo: logs and reports are in {folder}", file=sys.stderr)
        else:
            for path in folder.iterdir():
                if path.name != "recordings":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            print(f"The origin's recording and what each listener heard: {folder}/recordings")
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

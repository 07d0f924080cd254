"""The running part of scripts/demo: a tree of nodes, its listeners, a talk, and a table of who heard what.

Every process started here belongs to Children and is gone when this ends, however it ends.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
sys.dont_write_bytecode = True

import speech  # noqa: E402
from children import Children, Failure, Interrupted, ignore_signals, raise_on_signals  # noqa: E402
from tree import Tree  # noqa: E402

SECONDS = 30  # of speech
LISTENERS = 4  # at each edge; the last one plays only what the source has attested
REGIONALS, EDGES = ["regional-1", "regional-2"], ["edge-1", "edge-2", "edge-3"]
VICTIM = "regional-1"


class DemoTree(Tree):
    """An origin, the regional relays below it, the edges below both of those; and who listens there."""

    def __init__(self, program, folder, children):
        parents = {"origin": [], **{name: ["origin"] for name in REGIONALS}, **{name: REGIONALS for name in EDGES}}
        super().__init__(program, folder, children, parents, record=True)

    def listen(self, edge, number):
        name = f"{edge}-listener-{number}"
        command = [self.program, "listen", self.address[edge], "--key", self.key[edge], "--group", "1",
                   "--source-key", f"1:{self.source}", "--output", self.folder / "recordings" / f"{name}.opus",
                   "--report", self.folder / f"{name}.json"]
        self.children.start(name, command + (["--strict"] if number == LISTENERS else []))
        return name


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
                f"  repaired {counters['repair_resent'] + counters['repair_late']}  lost {counters['repair_given_up']}"
                f"  listeners {group['tally']['listeners']}")


def broadcast(tree, view, wav):
    """Plays the talk to its end; one relay dies in the middle."""
    encoder = tree.children.start("ffmpeg", speech.encoder(wav, tree.inputs()))
    start = time.monotonic()
    while encoder.poll() is None:
        seconds = time.monotonic() - start
        if not tree.killed and seconds > SECONDS / 2:
            tree.kill(VICTIM)
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
    wav = speech.make_wav(given, folder, SECONDS)
    tree = DemoTree(program, folder, children)
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


def main(program, given=None):
    raise_on_signals()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tiercast-demo-"))
    children = Children(folder)
    status, keep_all = 1, True
    try:
        perfect = run(os.path.abspath(program), given, folder, children)
        status, keep_all = (0 if perfect else 1), not perfect
        print("No listener lost a frame." if perfect else "FAILED: a listener did not get every frame to the end.")
    except Failure as failure:
        print(f"demo: {failure}", file=sys.stderr)
    except Interrupted as interrupted:
        print("\ndemo: interrupted", file=sys.stderr)
        status, keep_all = interrupted.status, False
    finally:
        ignore_signals()
        nothing = not children.stop()
        if status >= 128 or nothing:
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

"""`tiercast status` as an operator meets it: a real tree, what is wrong with it, a terminal."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import types

import harness
import trees
from harness import check, equal, eventually

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def says(node, what, timeout=20):
    """Until the first line of its status has that, and no line is too long."""
    def look():
        lines = node.admin("status").split("\n")
        check(all(len(line) <= 100 and "\t" not in line and "\x1b" not in line for line in lines), f"the form: {lines}")
        seen.append(lines[0])
        return lines if what in lines[0] else None
    seen = []
    try:
        return eventually(look, timeout, f"{node.name} says {what!r}")
    except harness.Failed as error:
        raise harness.Failed(f"{error}; it says {seen[-3:]}") from None


def row(lines, start, under):
    """The line that starts so, somewhere below that heading."""
    at = next(i for i, line in enumerate(lines) if line.startswith(under))
    return next(line for line in lines[at + 1:] if line.startswith(start))


def test_a_healthy_tree_says_ok_and_a_sick_one_what_is_wrong(t):
    source = t.new_source()
    origin = t.node("origin", source=source)
    a, b = (t.node(name, upstreams=[origin]) for name in ("relay-a", "relay-b"))
    edge = t.node("edge", upstreams=[a, b])
    nodes = [origin, a, b, edge]
    for node in nodes:
        node.start()
    trees.live(edge, parents=2)
    ears = t.host("ears")
    for i in range(3):
        t.listener(f"ear-{i}", [edge], host=ears).start()
    encoder = t.encoder(origin.host, t.speech(90))
    trees.listening(origin, 3)
    says(origin, " origin 0.")
    for node in nodes:
        lines = says(node, ": ok")
        check(lines[0].startswith(f"{node.name} {'origin' if node is origin else 'relay'} "), f"who it is: {lines[0]}")
    lines = says(edge, ": ok")
    check("live" in row(lines, a.address, "parents") and "live" in row(lines, b.address, "parents"), f"its parents: {lines}")
    check(row(lines, "main ", "groups").endswith("audio"), f"its group: {lines}")
    check(row(lines, " ", "listeners").split()[0] == "3", f"its listeners: {lines}")

    def counted():
        rows = [row(says(node, ": ok"), "edge ", "children").split() for node in (a, b)]
        return sorted(r[2] for r in rows) == ["-", "3"]
    eventually(counted, 15, "one of its parents counts the edge's listeners, the other leaves them to it")
    lines = says(origin, ": ok")
    for relay in (a, b):
        check(relay.host.v4 in row(lines, relay.name, "children"), f"the origin lists {relay.name}: {lines}")

    a.kill()
    lines = says(edge, f": 1 of 2 parents live: {a.address} ")
    check(lines[1].startswith("  -> "), f"what to do: {lines[1]}")
    encoder.stop()
    lines = says(origin, ": group main: the input is silent for ")
    check("is the encoder sending RTP to 127.0.0.1:5004?" in lines[1], f"what to do: {lines[1]}")
    check("rtp silent" in row(lines, "main ", "groups"), f"its group: {lines}")
    origin.kill()
    says(edge, ": the parents live, but nothing comes to them")
    says(b, f": no parent is live: {origin.address} ")
    b.kill()
    says(edge, ": none of 2 parents is live")


def test_nodes_that_do_not_fit_each_other_say_so_as_the_readme_tells(t):
    source = t.new_source()
    origin = t.node("origin", source=source)
    stranger = t.keygen(os.path.join(t.dir, "stranger.key"))
    signer = t.keygen(os.path.join(t.dir, "signer.key"), "--source")
    wrong_key = types.SimpleNamespace(address=origin.address, key=stranger, downstreams=[])
    relays = {name: t.node(name, upstreams=[parent], **options) for name, parent, options in (
        ("unlisted", origin, {}), ("wrong-key", wrong_key, {}), ("other-id", origin, {"group": {"id": 2}}),
        ("other-frames", origin, {"group": {"frame_ms": 60}}),
        ("other-source", origin, {"sources": [harness.Source(source.id, signer.path, signer.public)]}))}
    del origin.downstreams[0]
    for node in (origin, *relays.values()):
        node.start()
    encoder = t.encoder(origin.host, t.speech(90))
    for name, verdict, advice in (("unlisted", "denies the join", "not allowed here"), ("wrong-key", "does not accept", ""),
                                  ("other-id", "denies the join", "this node does not carry that group"),
                                  ("other-source", "group main: no frame", ""), ("other-frames", ": ok", "")):
        check(advice in says(relays[name], verdict)[1], f"what it says below that: {advice}")
    origins = trees.counters(origin)
    check(origins["join_denied"] > 0 and origins["join_drop_handshake"] > 0, f"who was not let in: {origins}")
    check(trees.group(relays["other-source"])["counters"]["intake_drop_signature"] > 50, "frames of another's signature")
    eventually(lambda: trees.counters(relays["other-frames"])["feed_drop_frame_length"] > 2, 10, "what is of another length")

    log = relays["unlisted"].log
    eventually(lambda: "parent_missing" in log(), 15, "it logs that it lacks its parent")
    check("denies the join: not allowed here" in log() and "no answer" not in log(), f"and why: {log()!r}")
    relays["other-source"].stop()

    # An end, and what opens the broadcast again.
    origin.admin("end", "main")
    lines = says(origin, " origin 0.")
    check(row(lines, "main ", "groups").endswith("ended"), f"its group: {lines}")
    eventually(lambda: trees.group(origin)["counters"]["ingest_drop_ended"] > 10, 5, "what still comes is refused")
    origin.restart()
    check(row(says(origin, ": ok"), "main ", "groups").endswith("rtp ok"), "it is on the air again")
    encoder.stop()
    silence = origin.host.popen("ffmpeg -nostdin -v error -re -f lavfi -i anullsrc=r=48000:cl=mono -c:a libopus -frame_duration 20"
                                " -f rtp rtp://127.0.0.1:5004".split(), stdout=subprocess.DEVNULL)
    t.cleanups.append(silence.kill)

    def quiet():
        kbit_s = float(row(says(origin, ": ok"), "main ", "groups").split()[3])
        return 0.5 < kbit_s < 2.5
    eventually(quiet, 15, "an encoder of silence has 1 or 2 kbit/s")


def test_a_full_node_says_so_and_so_does_who_is_denied(t):
    node = t.node("origin", source=t.new_source(), sections={"listen": {"max_leases": 2}}).start()
    listeners = [t.listener(f"ear-{i}", [node], host=t.host("ears")).start() for i in range(3)]
    says(node, " origin 0.")
    check(any("full: 2 of 2 leases are taken" in line for line in says(node, "the input is silent")), "it is full")
    eventually(lambda: any(not l.alive for l in listeners), 20, "one gives up")
    (denied,) = [l for l in listeners if not l.alive]
    equal((denied.wait(1), "denied the join: this node is full" in denied.log()), (69, True), f"why: {denied.log()!r}")
    check(trees.counters(node)["join_denied"] > 0, "joins that were denied")


class Terminal:
    """A command on a pseudo-terminal of its own, which is its controlling one."""

    def __init__(self, command, rows=40, columns=120, environment=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave, self.text = slave, ""
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        env={**os.environ, "TERM": "xterm", **(environment or {})},
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def read(self, until, timeout=20):
        """More of its output, until that many bytes or a pattern came."""
        deadline = time.monotonic() + timeout
        while not until(self.text):
            check(time.monotonic() < deadline, f"the terminal shows {self.text!r}")
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += os.read(self.master, 65536).decode()

    def type(self, keys):
        os.write(self.master, keys)

    def screen(self):
        """What stands there in the end: as much of a terminal as repainting needs."""
        rows, at, column = [""], 0, 0
        for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x1b]", self.text):
            code = ANSI.match(piece) and piece[-1]
            if code == "A":
                at = max(at - int(piece[2:-1]), 0)
            elif code == "K":
                rows[at] = rows[at][:column]
            elif code == "J":
                rows = rows[:at] + [rows[at][:column]]
            elif code == "m":
                pass
            elif code:
                raise harness.Failed(f"an escape sequence that leaves more behind than colours: {piece!r}")
            elif piece == "\r":
                column = 0
            elif piece == "\n":
                at += 1
                rows += [""] * (at + 1 - len(rows))
            else:
                rows[at] = rows[at][:column].ljust(column) + piece + rows[at][column + 1:]
                column += 1
        return rows

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def test_watch_repaints_in_place_and_ends_with_ctrl_c(t):
    node = t.node("origin", source=t.new_source()).start()
    command = [t.binary, "status", "--socket", node.socket, "--watch", "0.2"]
    verdict = "group main: the input is silent"
    for rows, environment in ((40, {}), (6, {"NO_COLOR": "1"})):
        terminal = Terminal(command, rows=rows, environment=environment)
        t.cleanups.append(terminal.close)
        terminal.read(lambda text: text.count(verdict) >= 4)
        terminal.type(b"\x03")
        equal(terminal.process.wait(10), 0, "the exit status after Ctrl-C")
        while select.select([terminal.master], [], [], 0.2)[0]:
            terminal.text += os.read(terminal.master, 65536).decode()
        equal(termios.tcgetattr(terminal.slave), terminal.before, "the terminal's settings")
        screen = terminal.screen()
        equal(sum(verdict in line for line in screen), 1, f"blocks on the screen: {screen}")
        equal(screen[-1], "", "the cursor stands at the start of an empty line")
        check(len(screen) <= rows, f"{len(screen)} lines of {rows}")
        if rows == 6:
            check(screen[-2].startswith("... and "), f"what there is no room for is counted: {screen}")
        equal("\x1b[1;31m" in terminal.text, not environment, "colour")
        check(all(len(line) <= 100 for line in screen), f"the columns: {screen}")


def test_watch_without_a_terminal_prints_blocks_until_it_is_interrupted(t):
    node = t.node("origin", source=t.new_source()).start()
    command = [t.binary, "status", "--socket", node.socket, "--watch", "0.3"]
    watch = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    t.cleanups.append(watch.kill)
    blocks = [[]]
    while len(blocks) <= 3:
        line = watch.stdout.readline()
        if not line:
            raise harness.Failed(f"it ended with {watch.wait(5)}: {watch.stderr.read()}")
        blocks[-1].append(line.rstrip("\n")) if line != "\n" else blocks.append([])
    watch.send_signal(signal.SIGINT)
    equal(watch.wait(10), 0, "the exit status after SIGINT")
    equal(watch.stderr.read(), "", "what it says of that")
    for block in blocks[:3]:
        check(block[0].startswith("origin origin "), f"a block begins with the verdict: {block}")
        check("\x1b" not in "".join(block), "no colour, no cursor")
        check(re.search(r"main +1 +\d+\.\d ", row(block, "main ", "groups")), f"with rates, also the first: {block}")
    watch = subprocess.Popen(command + ["--json"], stdout=subprocess.PIPE, text=True)
    t.cleanups.append(watch.kill)
    first, second = (json.loads(watch.stdout.readline()) for _ in range(2))
    check(second["node"]["uptime_ms"] > first["node"]["uptime_ms"], "an object a line, each later than the one before")
    watch.send_signal(signal.SIGTERM)
    equal(watch.wait(10), 0, "the exit status after SIGTERM")


def test_what_stops_status_is_said_in_one_line_with_what_to_do(t):
    node = t.node("origin", source=t.new_source()).start()
    command = [t.binary, "status", "--socket", node.socket]

    def refused(command, status, words, **options):
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, **options)
        equal((done.returncode, done.stdout), (status, ""), f"{command}: {done.stderr}")
        check(words in done.stderr and done.stderr.count("\n") == 1, f"one line that says {words!r}: {done.stderr!r}")
    for more in ([], ["--watch"], ["--json"], ["--json", "--watch"]):
        refused([t.binary, "status", "--socket", node.socket + "x", *more], 69, "is the node running")
    # The program where others can run it, the socket where they cannot reach it.
    os.chmod(t.dir, 0o755)
    os.chmod(node.dir, 0o700)
    copy = os.path.join(t.dir, "tiercast")
    subprocess.run(["cp", t.binary, copy], check=True)
    refused([copy, *command[1:]], 77, "run this as the node's user, or as root", user=65534, group=65534, extra_groups=[])
    node.freeze()
    refused(command, 69, "no answer in 5 s")
    node.freeze(False)
    watch = subprocess.Popen(command + ["--watch", "0.2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    t.cleanups.append(watch.kill)
    check(watch.stdout.readline().startswith("origin "), "it watches")
    node.kill()
    equal(watch.wait(10), 69, "the exit status when the node has gone")
    said = watch.stderr.read()
    check(said.startswith("tiercast: the node has gone: ") and said.count("\n") == 1, f"what it says: {said!r}")
    with open("/dev/full", "w", encoding="utf-8") as full:
        node.start()
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
        equal((done.returncode, "No space left" in done.stderr), (74, True), f"a full disk: {done.stderr!r}")

"""Drills: that they pass when nobody loses anything, fail when somebody does, count right, and leave nothing behind.
With the README's own command lines."""
import importlib.machinery
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import types

import cable
import harness
import network
import readme
import trees
from harness import ROOT, check, equal, eventually

sys.path.insert(1, os.path.join(ROOT, "scripts/drills"))

import figures  # noqa: E402

SECONDS = "5"  # measured
LISTENER_FIELDS = set(figures.Figures._fields)


def fields():
    """Those of the README's table."""
    cells = re.findall(r"^\| (`.*?) \|", readme.section("Rehearse").split("| field | is |")[1], re.M)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def environment(t):
    return {**os.environ, "TMPDIR": t.dir}


def drill(t, command, *options, status=0):
    """One of the README's, to its end, on the program under test; what it printed, and what it said."""
    shell = readme.Shell(t, folder=ROOT, environment=environment(t))
    run = shell.run(readme.commands("Rehearse", command), 120, status=status,
                    more=["--program", t.binary, "--seconds", SECONDS, *options])
    return run.said(), run.log().removeprefix(run.said())


def passed(out, stage):
    """What --json printed of a drill that passed: every field that the README tells of, and no other."""
    result = json.loads(out)
    equal(set(result), fields(), "the fields")
    equal([result[name] for name in ("drill", "stage", "verdict", "reasons")], ["kill-parent", stage, "PASS", []], "it")
    equal([result[name] for name in ("lost", "twice", "altered", "frame_ms")], [0, 0, 0, 20],
          "frames lost, played twice, altered; their length")
    check(result["seconds"] >= float(SECONDS), f"measured: {result['seconds']} s")
    check(result["recovery_ms"] is not None and result["longest_gap_ms"] > 0, f"recovered, after a gap: {result}")
    for listener in result["listeners"]:
        equal(set(listener), LISTENER_FIELDS, "a listener's fields")
        equal((listener["lost"], listener["status"]), (0, None), f"what {listener['name']} lost, and that it stayed")
        check(abs(listener["frames"] - result["seconds"] * 50) <= 1, f"{listener} got all that was sent in that time")
        check(listener["audio"] > listener["frames"] / 2, f"{listener} heard speech")
    equal(result["frames"], sum(listener["frames"] for listener in result["listeners"]), "the sum of the frames")
    return result


def nothing_left(t, pid):
    equal([n for n in os.listdir(t.dir) if n.startswith("tiercast-drill-")], [], "files left")
    check(f"{network.PREFIX}{pid}-" not in network.run("ip", "netns", "list"), "no namespace is left")


def executables():
    with os.scandir(os.path.join(ROOT, "scripts/drills")) as entries:
        return {entry.name for entry in entries if entry.is_file() and os.access(entry.path, os.X_OK)}


# What each must have done to be one, if nothing was lost: frames came late, or some were excused.
DISTURBS = {"bursty-link": "repaired", "kill-all-relays-at-once": "excused", "lossy-link": "repaired",
            "nat-rebind": "repaired", "partition-both-then-heal": "excused", "reorder-duplicate": "repaired", "restart-origin": "excused"}


@harness.alone
@readme.runs("Rehearse", "scripts/drills/all --short")
def test_every_drill_passes_in_its_short_form(t):
    shell = readme.Shell(t, folder=t.home(), environment=environment(t))
    os.symlink(os.path.join(ROOT, "scripts"), os.path.join(shell.folder, "scripts"))
    shell.run(readme.commands("Rehearse", "scripts/drills/all --short"), 180, more=["--program", t.binary])
    with open(os.path.join(shell.folder, "drills.json"), encoding="utf-8") as file:
        results = json.load(file)
    equal({result["drill"] for result in results}, executables() - {"all"}, "what was played")
    for result in results:
        equal((result["way"], result["verdict"], result["reasons"]), (result["way"], "PASS", []), "the verdict")
        equal(fields() - set(result), set(), f"fields that {result['way']} has not")
        field = DISTURBS.get(result["drill"])
        check(field is None or result[field] > 0, f"{result['way']}: {field} are {field and result[field]}")
    by_standby([result for result in results if "--standby" in result["way"]])
    with open(os.path.join(shell.folder, "drills.txt"), encoding="utf-8") as file:
        report = file.read()
    check(report.splitlines()[-1].startswith(f"PASS: {len(results)} of {len(results)} passed"), f"the report: {report}")
    equal([n for n in os.listdir(t.dir) if n.startswith("tiercast-drill-")], [], "files left")
    told = set(re.findall(r"^\| `([a-z-]+)` \|", readme.section("Rehearse").split("| field | is |")[0], re.M))
    equal(executables() - {"all"} - told, set(), "drills that the README's table has not")


def by_standby(results):
    """Each listener's own: whose live edge hangs waits until it is missed, and then gets all from the other one."""
    equal([result["way"] for result in results], ["stop-parent --standby --victim edge"], "those with a standby")
    equal(results[0]["bars"]["gap_ms"], 200, "the longest gap allowed")
    for listener in results[0]["listeners"]:
        live, standby = re.fullmatch(r"(edge-\d) \((edge-\d)\)", listener["edge"]).groups()
        check(live != standby, f"another edge stands by: {listener}")
        check(live != results[0]["victim"] or listener["longest_gap_ms"] >= 60, f"{listener} had one live edge, which hung")


@readme.runs("Rehearse", "scripts/drills/kill-parent --single-parent")
def test_a_drill_without_a_second_parent_fails_and_says_what_was_lost(t):
    kept = os.path.join(t.dir, "kept")
    out, err = drill(t, "scripts/drills/kill-parent --single-parent", "--listeners", "4", "--keep", kept, status=1)
    last = out.splitlines()[-1]
    told = re.match(r"FAIL: (\d+) frames lost \(0 allowed\)", last)
    check(told and int(told[1]) > 50, f"two of four listeners lost some seconds: {last!r}")
    rows = [line.split() for line in out.splitlines() if line.startswith("listener-")]
    equal(len(rows), 4, f"lines of listeners in {out}")
    equal(sum(int(row[3]) for row in rows), int(told[1]), "the sum of what each lost")
    equal(sorted(int(row[3]) > 0 for row in rows), [False, False, True, True], "only those below the killed relay lost any")
    check(re.search(r"kill -9 (relay-\d)\n.* \1 started again", err), f"what was done is told: {err}")
    check(os.path.exists(os.path.join(kept, "listener-4.frames")), "the logs are kept if so wished")


@readme.runs("Rehearse", "scripts/drills/kill-parent --victim edge")
def test_a_drill_kills_an_edge_among_two(t):
    result = passed(drill(t, "scripts/drills/kill-parent --victim edge", "--json")[0], "namespaces")
    check(result["victim"].startswith("edge-"), f"an edge was killed: {result['victim']}")
    equal({listener["edge"] for listener in result["listeners"]}, {"edge-1+edge-2", "edge-2+edge-1"}, "edges of each")
    equal(len(result["listeners"]), 100, "listeners")


def test_an_interrupted_drill_leaves_nothing_behind(t):
    command = [os.path.join(ROOT, "scripts/drills/kill-parent"), "--program", t.binary, "--listeners", "3"]
    both = [os.path.join(ROOT, "scripts/drills/all"), "--program", t.binary, "--listeners", "3", "--short", "--jobs", "2",
            "--only", "stop-parent"]
    for words, number, after, hosts in ((command, signal.SIGINT, "seed", 7), (both, signal.SIGTERM, "", 14)):
        run = subprocess.Popen(words, env=environment(t), stderr=subprocess.PIPE, text=True)
        t.cleanups.append(run.kill)

        def own():
            drills = [run.pid] if words is command else children_of(run.pid)
            return [n for n in network.run("ip", "netns", "list").split()
                    if any(n.startswith(f"{network.PREFIX}{pid}-") for pid in drills)]
        while after and after not in (line := run.stderr.readline()):
            check(line, f"it did not come to {after!r}")
        eventually(lambda: len(own()) == hosts and processes(own()) >= hosts, 30, "all its namespaces")
        names = own()
        pids = [pid for n in names for pid in network.run("ip", "netns", "pids", n).split()]
        run.send_signal(number)
        said = run.communicate(timeout=20)[1]
        equal(run.returncode, 128 + number, f"the exit status; it said {said}")
        check("interrupted" in said and "Traceback" not in said, f"it says so: {said}")
        equal([n for n in os.listdir(t.dir) if n.startswith("tiercast-drill-")], [], "files left")
        equal(set(names) & set(network.run("ip", "netns", "list").split()), set(), "namespaces left")
        equal([pid for pid in pids if os.path.exists(f"/proc/{pid}")], [], "processes left")


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return file.read().split()


def processes(namespaces):
    return sum(len(network.run("ip", "netns", "pids", n).split()) for n in namespaces)


def test_the_report_of_all_drills_names_what_failed(t):
    path = os.path.join(ROOT, "scripts/drills/all")
    every = importlib.machinery.SourceFileLoader("every", path).load_module()

    def result(verdict, **values):
        return {"verdict": verdict, "reasons": ["3 frames lost (0 allowed)"] if verdict == "FAIL" else [], "lost": 0,
                "excused": 0, "repaired": 5, "longest_gap_ms": 30.4, "recovery_ms": None, **values}

    def report(*results):
        done = [(every.Play("kill-parent", (), n), result, "no\nroot\n") for n, result in enumerate(results)]
        return every.report(done, types.SimpleNamespace(jobs=2, seed=7), 60.4)
    text, status = report(result("PASS"), result("PASS", longest_gap_ms=99.6, recovery_ms=70.0))
    equal(status, 0, "the exit status when all passed")
    equal(text.splitlines()[1].split(), "kill-parent 2 of 2 0 0 10 100 ms 70 ms".split(), "its row")
    check(text.endswith("PASS: 2 of 2 passed, 0 failed, 0 could not be run; 60 s, 2 at once; seed 7"), text)
    text, status = report(result("PASS"), result("FAIL", lost=3))
    equal((status, text.splitlines()[-2]), (1, "kill-parent --seed 1: 3 frames lost (0 allowed)"), "when one failed")
    equal(text.splitlines()[1].split()[:5], ["kill-parent", "1", "of", "2", "3"], "its row")
    text, status = report(None)
    equal((status, text.splitlines()[-2]), (70, "kill-parent --seed 0 could not be run: root"), "when one could not be run")


def test_a_cables_faults_are_as_set(t):
    def share(count, **faults):
        fate = cable.Fate(random.Random(1))
        fate.faults = faults
        return [fate.times(n) for n in range(count)]
    lost = [not times for times in share(100_000, loss=0.05, burst=5)]
    check(0.045 < sum(lost) / len(lost) < 0.055, f"lost in bursts: {sum(lost)} of {len(lost)}")
    bursts = sum(one and not before for before, one in zip([False, *lost], lost))
    check(4.7 < sum(lost) / bursts < 5.3, f"the mean burst: {sum(lost)} in {bursts}")
    lost = [not times for times in share(100_000, loss=0.05)]
    bursts = sum(one and not before for before, one in zip([False, *lost], lost))
    check(0.045 < sum(lost) / len(lost) < 0.055 and sum(lost) / bursts < 1.1, "lost one by one")
    times = share(10_000, delay_ms=10, jitter_ms=5, late=0.1, late_ms=2000, twice=0.2)
    check(all(0.01 <= of[0] - n <= 2.016 for n, of in enumerate(times)), "the delay")
    check(900 < sum(of[0] - n > 2 for n, of in enumerate(times)) < 1100, "how many are held back")
    check(1900 < sum(len(of) == 2 for of in times) < 2100, "how many come twice")
    together = cable.Fate(random.Random(1))
    together.faults = {"jitter_ms": 50}
    at = [together.times(0.001 * n)[0] for n in range(1000)]
    equal(at, sorted(at), "who is late by jitter is not overtaken")


class Deployment:
    """Two relays below an origin, two edges below both, speech; and an `ssh` that reaches the first relay."""

    def __init__(self, t):
        self.t, self.source = t, t.new_source()
        self.origin = t.node("origin", source=self.source)
        self.relays = [t.node(f"relay-{n}", upstreams=[self.origin]) for n in (1, 2)]
        self.edges = [t.node(f"edge-{n}", upstreams=self.relays) for n in (1, 2)]
        self.nodes = [self.origin, *self.relays, *self.edges]
        self.ears = t.host("ears")
        for node in self.nodes:
            node.start()
        for edge in self.edges:
            trees.live(edge, parents=2)
        t.encoder(self.origin.host, t.speech(60))
        self.did = os.path.join(t.dir, "did")
        relay = self.relays[0]
        self.environment = {**environment(t), "EDGE_1": self.edges[0].address, "EDGE_1_KEY": self.edges[0].key.public,
                            "EDGE_2": self.edges[1].address, "EDGE_2_KEY": self.edges[1].key.public,
                            "SOURCE": self.source.public}
        self.shell = readme.Shell(t, self.ears, ROOT, environment=self.environment)
        self.shell.stand_in("ssh", f"""echo "$*" >> {self.did}
case "$*" in
  "relay-1 systemctl kill -s KILL tiercast@relay") kill -9 {relay.pid} ;;
  "relay-1 systemctl start tiercast@relay")
    exec nsenter --net=/run/netns/{relay.host.namespace} {t.binary} run -c {relay.config_path} >> {relay.log_path} 2>&1 & ;;
  *) echo "what: $*" >&2; exit 255 ;;
esac""")
        t.cleanups.append(relay.host.end)

    def drill(self, line, *options):
        """Another than the README's."""
        run = self.ears.popen(["bash", "-c", f'exec {line} "$@"', "drill", "--program", self.t.binary, "--listeners", "4",
                               *options], cwd=ROOT, env=self.shell.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        self.t.cleanups.append(run.kill)
        return run

    def commands(self):
        with open(self.did, encoding="utf-8") as file:
            return [words[2] if len(words) > 2 else words[0] for words in map(str.split, file)]


@readme.runs("Rehearse", "scripts/drills/kill-parent --against")
def test_a_drill_against_a_running_deployment(t):
    deployment = Deployment(t)
    commands = readme.commands("Rehearse", "scripts/drills/kill-parent --against")
    run = deployment.shell.run(commands, 60, more=["--program", t.binary, "--listeners", "4", "--json", "--seconds",
                                                   SECONDS, "--heal-after", "1"])
    result = passed(run.said(), "against")
    equal(result["victim"], "ssh relay-1 systemctl kill -s KILL tiercast@relay", "what did the damage")
    equal(deployment.commands(), ["kill", "start"], "what was done to the relay")
    equal(deployment.relays[0].process.poll(), -signal.SIGKILL, "how the relay ended")
    for node in deployment.nodes:
        check(node.alive or node is deployment.relays[0], f"{node.name}, which the drill did not start, runs on")
    trees.live(deployment.edges[0], parents=2)
    # Interrupted after the damage, it undoes that; and a command that fails is no verdict.
    line = re.sub(r"--hurt-command '.*?'", "--hurt-command 'true'", commands[0].text)
    for number, options in ((signal.SIGTERM, ("--standby",)), (0, ("--hurt-command", "ssh nowhere"))):
        run = deployment.drill(line, "--seconds", "4", *options)
        while number and not (told := run.stderr.readline()).endswith(" s  true\n"):
            check(told, "it did not come to the damage")
            if "listeners with a standby; seed" in told:
                equal(sum(edge.status()["listen"]["leases"] for edge in deployment.edges), 2 * 4, "leases, two each")
        if number:
            run.send_signal(number)
        out, err = run.communicate(timeout=60)
        equal(run.returncode, 128 + number if number else 69, f"the exit status; it said {out}{err}")
        equal(out, "", "a verdict")
        if not number:
            check("`ssh nowhere` ended with status 255:\nwhat: nowhere" in err, f"it says what failed: {err}")
        nothing_left(t, run.pid)
    equal([c for c in deployment.commands() if c != "nowhere"], ["kill", "start", "start", "start"], "what was done in all")


def test_a_drill_refuses_what_makes_no_sense(t):
    against = ["--against", "--edge", f"127.0.0.1:9,{'A' * 43}=", "--source-key", "1:x", "--hurt-command", "false"]
    for words, status in ((["--edge", "a:1,x"], 64), (["--against"], 64), ([*against, "--edges", "2"], 64),
                          (["--victim", "origin"], 64), (["--listeners", "0"], 64),
                          (["--seconds", "5", "--heal-after", "3"], 64), (["--seconds", "5", "--heal-after", "1", "--grace", "2500"], 64),
                          (["--single-parent", "--parents", "2"], 64), (["--standby", "--edges", "1"], 64),
                          (["--standby", "--parents", "2"], 64), (["--program", "/nonexistent"], 64),
                          (["--keep", t.dir], 73)):
        done = subprocess.run([os.path.join(ROOT, "scripts/drills/kill-parent"), "--program", t.binary, *words],
                              capture_output=True, text=True, env=environment(t))
        equal((done.returncode, done.stdout), (status, ""), f"the exit status of {words}: {done.stderr}")
        check(done.stderr.startswith("kill-parent: ") and len(done.stderr.splitlines()) == 1, f"it says why: {done.stderr}")
    help_text = subprocess.run([os.path.join(ROOT, "scripts/drills/kill-parent"), "--help"], capture_output=True, text=True)
    check(help_text.returncode == 0 and "--max-lost" in help_text.stdout, "its help")


BEGIN, HURT, END = 1_000, 3_000, 8_000
SPAN = figures.Span(BEGIN, HURT, HURT + 10, END)
SENT = [(f"h{s}", 20 * s + 2) for s in range(450)]  # ms


def ticks(at=lambda s: 0, without=(), until=450, name=lambda s: f"h{s}"):
    """A log of 20 ms frames, sequence s sent at 20 × s + 5 ms; `at`: how much later it came."""
    return [figures.Tick(s, "lost" if s in without else "frame", name(s), 20 * s + 5 + at(s)) for s in range(until)]


def figures_of(log, *others, sent=None, span=SPAN):
    each, frame, _ = figures.measure([(f"l{n}", "edge", None, l) for n, l in enumerate([log, *others])], span, sent)
    equal(frame, 20, "the frame length")
    return each[0]


class Growing(io.RawIOBase):
    """A file that has these bytes, and behind each end of it, which is the next time that it is read, the next ones."""

    def __init__(self, *parts):
        self.parts = [piece for part in parts for piece in (part, b"")]

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self.parts.pop(0) if self.parts else b""
        buffer[:len(piece)] = piece
        return len(piece)


def test_a_drill_reads_logs_that_grow(t):
    """What comes behind the piece of a line at the end is no line of its own."""
    line = b"17 4321 frame 180 00ff 0.125 1234.5\n"
    figures.open = lambda path, encoding: io.TextIOWrapper(io.BufferedReader(Growing(line + line[:20], line[20:])), encoding)
    try:
        equal(figures.read_logs("?"), {17: [figures.Tick(4321, "frame", "00ff", 1234.5)]}, "what is whole")
        equal(figures.read_sent("?"), [("17", 4321)], "what is whole")
    finally:
        del figures.open


def test_a_drills_figures_are_right(t):
    def expect(log, what, lost=0, twice=0, gap=20, recovery=0, repaired=0, altered=0, others=()):
        for sent in (None, SENT):  # as of a running deployment, and with the sender's log
            got = figures_of(log, *others, sent=sent)
            equal((got.frames + got.lost, got.lost, got.twice, got.longest_gap_ms, got.recovery_ms, got.repaired,
                   got.altered), (350, lost, twice, gap, recovery, repaired, altered),
                  f"sent, lost, twice, gap, recovery, repaired and altered {what}, {'with' if sent else 'without'} a log")

    hurt, back = HURT // 20, 4_005  # ms
    expect(ticks(), "when all is well")
    expect(ticks(lambda s: s % 3 * 7), "with the usual jitter", gap=27)
    # Some 50 frames wait for the moment when it is mended, and come at once then.
    expect(ticks(lambda s: max(0, back - 20 * s - 5) if s >= hurt else 0), "of an outage that all came after",
           gap=back - HURT + 15, recovery=back - HURT)
    lost = range(hurt, hurt + 50)
    expect(ticks(without=lost), "of an outage", lost=50, gap=20 * 51, recovery=20 * 50 + 5)
    expect(ticks(without=[200]), "of one lost frame", lost=1, gap=40)
    expect(ticks(until=200), "of who fell silent", lost=200, gap=END - 199 * 20 - 5, recovery=None, others=[ticks()])
    expect(ticks(until=hurt), "when all fell silent", lost=250, gap=END - hurt * 20 + 15, recovery=None,
           others=[ticks(until=hurt)])
    again = ticks()
    expect(again[:200] + again[190:], "of ten ticks played again", twice=10, repaired=9)
    # A hiccup long after is no part of the recovery, but it is a gap.
    expect(ticks(lambda s: 500 if s == 350 else 0, without=range(hurt, hurt + 10)), "of two outages", lost=10, gap=220,
           recovery=205, repaired=1)
    expect(ticks(), "beside others that suffer", others=[ticks(until=200)])
    expect(ticks(lambda s: 30 if s in (200, 300) else 0), "of two that were overtaken", gap=40, repaired=2, recovery=0)


def test_a_drills_figures_tell_what_is_altered_and_what_is_excused(t):
    other = ticks(name=lambda s: "other" if s == 200 else f"h{s}")
    equal(figures_of(other, ticks(), ticks()).altered, 1, "what is not as the others got it")
    got = figures_of(other, sent=SENT)
    equal((got.altered, got.lost), (1, 1), "what is not as it was sent: nor did that come")
    # Undone from 4,000 to 4,100 ms; 200 ms of grace: 215 is the last that may be lost.
    span = SPAN._replace(healed=(4_000, 4_100), grace=200)
    got = figures_of(ticks(without=range(149, 220)), sent=SENT, span=span)
    equal((got.lost, got.excused), (71, 65), "lost, and of it between the damage and the end of the grace")
    check(290 < got.recovery_ms < 330, f"since the undoing's end, until the 220th came: {got.recovery_ms}")
    equal(figures_of(ticks(without=range(149, 220)), sent=SENT, span=span._replace(grace=None)).excused, 0, "without")


def test_a_drills_verdict_names_what_is_above_a_limit(t):
    lost = range(HURT // 20, HURT // 20 + 50)
    none = dict.fromkeys(figures.UNITS) | {"lost": 0, "twice": 0, "altered": 0}

    def reasons(of, **bars):
        return figures.reasons_to_fail([of], {**none, **bars}, figures.summary([of], 250))
    bad = figures_of(ticks(without=lost))
    equal(reasons(figures_of(ticks())), [], "reasons to fail")
    equal(reasons(bad), ["50 frames lost (0 allowed)"], "reasons to fail")
    equal(reasons(bad._replace(excused=50)), [], "reasons to fail")
    equal(reasons(bad, lost=None, lost_percent=19.9), ["20 % of the frames lost (19.9 allowed)"], "reasons to fail")
    equal(reasons(bad, lost=50, gap_ms=1000, recovery_ms=1000),
          ["1020 ms the longest gap (1000 allowed)", "1005 ms to recover (1000 allowed)"], "reasons to fail")
    equal(reasons(bad._replace(lost=0, status=69, recovery_ms=None)),
          ["1 of 1 listeners had not recovered at the end", "l0 ended by itself with status 69"], "reasons to fail")
    for sent in (None, SENT):
        try:
            figures_of([], sent=sent)
            check(False, "figures of nothing at all")
        except figures.NothingToMeasure:
            pass

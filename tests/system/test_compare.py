"""scripts/bench/compare: that it counts what came out at the far end, tells who was left out and why, and leaves nothing
behind. Not what it measures: the figures are a machine's."""
import json
import os
import signal
import subprocess

import network
import readme
from harness import ROOT, LeftOut, check, equal

SMALL = ["--no-install", "--destinations", "64", "--listeners", "5", "--sizes", "8", "--rounds", "1"]
OTHERS = {"tiercast node (xdp)", "tiercast node (sendmmsg)", "GStreamer multiudpsink", "GStreamer srtpenc ! multiudpsink",
          "Icecast 2 (TCP)"}
OWN = {"tiercast xdp", "tiercast sendmmsg", "bare sendmmsg"}


def environment(t):
    return {**os.environ, "TMPDIR": t.dir}


def can(t):
    if reason := network.why_not(("ip", "bpftool", "clang", "gcc", "ss")):
        raise LeftOut(reason)
    return os.path.dirname(t.binary)


def nothing_left(t, pid):
    equal([n for n in os.listdir(t.dir) if n.startswith("tiercast-bench-")], [], "files left")
    check(f"{network.PREFIX}{pid}-" not in network.run("ip", "netns", "list"), "no namespace is left")


@readme.runs("Beside others", "scripts/bench/compare")
def test_a_comparison_counts_at_the_far_end(t):
    build = can(t)
    shell = readme.Shell(t, folder=ROOT, environment=environment(t))
    run = shell.run(readme.commands("Beside others", "scripts/bench/compare"), 120, more=[build, *SMALL, "--json"])
    result = json.loads(run.said())
    rows = {(row["contestant"], row["destinations"]): row for row in result["rows"]}
    for name in OWN | {"bare sendto"}:
        row = rows[name, 64]
        equal(row["rounds"], 1, f"rounds of {name}")
        check(row["delivered"] >= 64 * 100 and row["lost"] < 0.5, f"{name} delivered: {row}")
        check(0 < row["min"] <= row["cpu_ns_per_delivered"] <= row["max"], f"what it cost {name}: {row}")
    check(all((name, 8) in rows for name in OWN), f"the other size: {sorted(rows)}")
    equal(rows["tiercast sendmmsg", 64]["of_sendmmsg"], 1.0, "its ratio to itself")
    check(rows["tiercast xdp", 64]["of_sendmmsg"] < 1, "below the network stack it is cheaper")
    left_out = {each["contestant"] for each in result["skipped"] if each["reason"]}
    equal({name for name, _ in rows} - OWN - {"bare sendto"} | left_out, OTHERS, "the others, and who is left out")
    equal(set(result["contestants"]), {name for name, _ in rows}, "whose versions are told")
    equal([n for n in os.listdir(t.dir) if n.startswith("tiercast-bench-")], [], "files left")


def test_an_interrupted_comparison_leaves_nothing_behind(t):
    command = [os.path.join(ROOT, "scripts/bench/compare"), can(t), *SMALL[:-1], "1000", "--only", "bare sendmmsg"]
    run = subprocess.Popen(command, env=environment(t), stderr=subprocess.PIPE, text=True)
    t.cleanups.append(run.kill)
    while "round 3" not in (line := run.stderr.readline()):
        check(line, "it came to its third round")
    run.send_signal(signal.SIGTERM)
    said = run.communicate(timeout=20)[1]
    equal(run.returncode, 128 + signal.SIGTERM, f"the exit status; it said {said}")
    check("Traceback" not in said, f"it says nothing of its inside: {said}")
    nothing_left(t, run.pid)


def test_a_comparison_refuses_what_makes_no_sense(t):
    for words in (["--rounds", "0"], ["--sizes", "many"], ["--payload", "5"], ["--destinations", "-1"]):
        done = subprocess.run([os.path.join(ROOT, "scripts/bench/compare"), *words], capture_output=True, text=True)
        equal(done.returncode, 2, f"the exit status of {words}: {done.stderr}")

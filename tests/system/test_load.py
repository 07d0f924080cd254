"""`tiercast load`: many listeners from one process, and that it sees what each of them gets."""
import json
import os
import signal
import time

import network
import readme
import trees
from harness import Failed, NOBODY, Process, alone, check, equal, eventually

SECTION = "Many listeners at once"
PREFIX, PREFIX_V6 = "10.64.0.0/10", "fd64::/64"
FRAMES = 50  # a second


class Load(Process):
    """Of one edge and group 1; what it has printed is in report(). `wrap`: words before its own."""

    def __init__(self, t, host, name, edge, *options, address=None, wrap=()):
        super().__init__(t, host, name)
        self.command = [*wrap, t.binary, "load", address or edge.address, "--key", edge.key.public, "--group", "1", "--json",
                        *options]
        for source in t.sources:
            self.command += ["--source-key", f"{source.id}:{source.public}"]

    def start(self):
        self.spawn(self.command)
        return self

    def held(self, timeout=10):
        """Until it says that all have joined."""
        eventually(lambda: "are held for" in self.log() or not self.alive, timeout, f"all have joined: {self.log()!r}")
        return self

    def report(self):
        lines = [line for line in self.log().splitlines() if line.startswith("{")]
        if not lines:
            raise Failed(f"no report: {self.log()!r}")
        return json.loads(lines[0])


def own(ears, *others):
    """The prefixes are the host's; the others know."""
    for v6, prefix, gateway in (([], PREFIX, ears.v4), (["-6"], PREFIX_V6, ears.v6)):
        ears.run("ip", *v6, "route", "replace", "local", prefix, "dev", "lo")
        for other in others:
            other.run("ip", *v6, "route", "replace", prefix, "via", gateway)


def programs(host, interface="eth0"):
    """Of XDP, on the interface."""
    (link,) = json.loads(host.run("ip", "-j", "link", "show", interface))
    return link.get("xdp", {}).get("attached", [])


def good(load, listeners, seconds):
    """All have joined, and each got each frame, in order and once; the report."""
    status = load.wait(seconds + 15)
    told = load.report()
    equal((status, told["wrong"]), (0, ""), f"{load.name}'s verdict: {load.log()!r}")
    equal((told["joined"], told["leases"]), (listeners, listeners), "joined, with a lease")
    equal([told[n] for n in ("lost", "twice", "late", "silent", "leases_lost", "socket_drops", "drop_malformed")], [0] * 7,
          "lost, twice …")
    check(told["frames"] > listeners * FRAMES * (seconds - 0.5), f"{told['frames']} frames")
    check(told["keepalives"] >= listeners and told["keepalives_unanswered"] == 0, f"keepalives: {told}")
    sample = told["sample"]
    check(sample["opened"] == sample["frames"] > 0 and sample["attested"] > FRAMES * (seconds - 2), f"the sample: {sample}")
    return told


@alone
@readme.runs(SECTION)
def test_the_readmes_many_listeners_get_every_frame(t):
    source = t.new_source()
    node = t.node("origin", source=source, sections={"listen": {"address": ["0.0.0.0:4800", f"[{t.host('origin').v6}]:4800"]}})
    node.start()
    ears = t.host("ears")
    own(ears, node.host)
    encoder = t.encoder(node.host, t.speech(20))
    variables = {"NODE": node.key.public, "SOURCE": source.public, "EDGE": f"{node.host.v4}:4800", "EDGE_KEY": node.key.public}
    ears.run("ip", "route", "del", "local", PREFIX, "dev", "lo")  # the command does it
    shells = [readme.Shell(t, host, environment=variables) for host in (node.host, ears)]
    here = shells[0].start(readme.commands(SECTION, "tiercast load 127"))
    there = shells[1].start(readme.commands(SECTION, "ip route", 'tiercast load "$EDGE"'))
    sixth = Load(t, ears, "sixth", node, "--from", PREFIX_V6, "--listeners", "50", "--seconds", "4",
                 address=f"[{node.host.v6}]:4800", wrap=["setpriv", f"--reuid={NOBODY}", "--clear-groups"])
    os.chmod(t.dir, 0o755)
    sixth.start()
    good(sixth, 50, 4)
    for run, listeners in ((here, 250), (there, 500)):
        run.finish(30)
        said = run.said()
        check(f"{listeners} of {listeners} joined, {listeners} have a lease" in said, f"it says {said!r}")
        check(said.endswith("ok          every listener joined, and nothing was lost since\n"), f"it says {said!r}")
    check("below the stack of eth0 (native)" in there.said() and "in the socket" in here.said(), "how they counted")
    eventually(lambda: node.status()["listen"]["leases"] == 0, 5, "all have left")
    encoder.stop()


def test_a_frame_that_is_lost_is_seen_and_a_killed_load_leaves_nothing_behind(t):
    source = t.new_source()
    node = t.node("origin", source=source)
    node.start()
    ears = t.host("ears")
    own(ears, node.host)
    t.encoder(node.host, t.speech(20))
    # As nobody, with the two capabilities that it says it needs.
    wrap = ["setpriv", f"--reuid={NOBODY}", "--clear-groups", "--inh-caps=-all,+net_admin,+bpf",
            "--ambient-caps=+net_admin,+bpf", "--bounding-set=-all,+net_admin,+bpf"]
    os.chmod(t.dir, 0o755)
    load = Load(t, ears, "load", node, "--from", PREFIX, "--listeners", "300", "--seconds", "4", "--sample", "10",
                "--count-on", "eth0", wrap=wrap).start().held()
    equal(len(programs(ears)), 1, "XDP programs on the interface")

    def rules(text):
        network.run("ip", "netns", "exec", t.net.bridge, "nft", "-f", "-", input=text)
    # The eighth, and the 151st, which is one of the sample.
    rules("""add table bridge load
add counter bridge load dropped
add chain bridge load forward { type filter hook forward priority 0; }
add rule bridge load forward ip daddr { 10.64.0.8, 10.64.0.151 } udp sport 4800 @th,64,8 0x20 counter name dropped drop
""")
    time.sleep(0.5)
    rules("flush chain bridge load forward")
    said = network.run("ip", "netns", "exec", t.net.bridge, "nft", "-j", "list", "counter", "bridge", "load", "dropped")
    (dropped,) = [entry["counter"]["packets"] for entry in json.loads(said)["nftables"] if "counter" in entry]
    check(2 * FRAMES * 0.3 < dropped < 2 * FRAMES, f"{dropped} frames dropped on their way")
    equal(load.wait(15), 69, "the exit status")
    told = load.report()
    equal((told["lost"], told["listeners_that_lost"]), (dropped, 2), "frames lost, and by how many listeners")
    equal(told["longest_gap"], (dropped + 1) // 2, "the longest gap")
    equal(told["wrong"], f"{dropped} frames were lost, by 2 of 300 listeners", "the verdict")
    check(told["frames"] > 300 * FRAMES * 3 and told["sample"]["lost_above_counter"] == 0, f"the rest came: {told}")
    check(told["wrong"] in load.log().splitlines()[-1], "it says so in the last line")
    equal(programs(ears), [], "what is left on the interface")

    killed = Load(t, ears, "killed", node, "--from", PREFIX, "--listeners", "10", "--seconds", "60", "--count-on",
                  "eth0").start().held()
    equal(len(programs(ears)), 1, "XDP programs on the interface")
    killed.kill()
    eventually(lambda: programs(ears) == [], 3, "the kernel has taken its program away")


def test_load_says_what_is_wrong_and_ends_early_when_it_is_told_to(t):
    source = t.new_source()
    node = t.node("origin", source=source, sections={"listen": {"max_leases": 20}})
    node.start()
    ears = t.host("ears")

    def refused(*options):
        load = Load(t, ears, f"refused-{len(t.processes)}", node, *options).start()
        return load.wait(5), load.log()
    status, said = refused()
    check(status == 64 and "--from: which addresses" in said, f"{status}: {said}")
    status, said = refused("--from", PREFIX)
    check(status == 71 and f"`ip route add local {PREFIX} dev lo`" in said, f"{status}: {said}")
    status, said = refused("--from", PREFIX_V6)
    check(status == 64 and "of the other family" in said, f"{status}: {said}")
    own(ears, node.host)
    status, said = refused("--from", "10.64.0.0/30", "--listeners", "3")
    check(status == 64 and "has 2 addresses for 3 listeners" in said, f"{status}: {said}")
    status, said = refused("--from", PREFIX, "--count-on", "eth9")
    check(status == 64 and "no such interface" in said, f"{status}: {said}")

    full = Load(t, ears, "full", node, "--from", PREFIX, "--listeners", "30", "--seconds", "60").start().held()
    began = time.monotonic()
    full.signal(signal.SIGINT)
    equal(full.wait(5), 69, "the exit status of one that is ended early")
    check(time.monotonic() - began < 3, "it ended at once")
    told = full.report()
    equal((told["interrupted"], told["joined"], told["join_failures"]["denied_full"] >= 10), (True, 20, True), f"{told}")
    check("this node is full" in told["wrong"], f"the verdict: {told['wrong']!r}")
    eventually(lambda: node.status()["listen"]["leases"] == 0, 5, "all have left")

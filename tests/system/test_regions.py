"""README.md's tree with two regions, built as it says: five machines with systemd and the addresses of the document, a
firewall on each that lets through what it says, keys and configurations by its own commands."""
import json
import os
import re

import media
import readme
import service_manager
import trees
from harness import LeftOut, check, equal, eventually

REGIONS = "A tree with two regions"
AT = {"origin": "192.0.2.1", "regional-1": "198.51.100.1", "regional-2": "203.0.113.1", "edge-1": "198.51.100.11",
      "edge-2": "203.0.113.11"}
LETS_IN = {"origin": "{ 198.51.100.1, 203.0.113.1 }", "regional-1": "{ 198.51.100.11, 203.0.113.11 }",
           "regional-2": "{ 198.51.100.11, 203.0.113.11 }", "edge-1": "0.0.0.0/0", "edge-2": "0.0.0.0/0"}
FIREWALL = """table inet firewall {{
  chain input {{
    type filter hook input priority filter; policy drop
    iif lo accept
    ct state established,related accept
    ip saddr {} udp dport 4800 accept
  }}
}}
"""


class Machines:
    """Of the nodes, by name; and one more, from which they are reached, and where people listen."""

    def __init__(self, t):
        self.hosts = {name: t.host(name) for name in AT}
        self.ears = t.host("ears")
        for name, host in [*self.hosts.items(), ("ears", self.ears)]:
            source = ["src", AT[name]] if name in AT else []
            if source:
                host.run("ip", "address", "add", f"{AT[name]}/32", "dev", "eth0")
                host.run("nft", "-f", "-", input=FIREWALL.format(LETS_IN[name]))
            for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"):
                host.run("ip", "route", "add", net, "dev", "eth0", *source)
        self.systems = {name: service_manager.ServiceManager(t, host) for name, host in self.hosts.items()}
        for system in self.systems.values():
            if reason := system.why_not():
                raise LeftOut(reason)
        self.shell = readme.Shell(t, self.ears, t.dir)
        there = "".join(f"  {name}) init={system.init} ;;\n" for name, system in self.systems.items())
        self.shell.stand_in("ssh", f"""case "$1" in
{there}  *) exit 255 ;;
esac
shift
exec nsenter -t "$init" -m -p -n env -i PATH={service_manager.PATH} HOME=/root sh -c "$*"
""")

    def status(self, name):
        done = self.systems[name].ask("/usr/local/bin/tiercast", "status", "--json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def live(self, name):
        status = self.status(name)
        return sum(up["state"] == "live" for up in status["upstreams"]) if status else -1

    def kill(self, name):
        self.systems[name].systemctl("kill", "--signal=KILL", f"tiercast@{name}.service")

    def tracked(self, name):
        return int(self.hosts[name].run("cat", "/proc/sys/net/netfilter/nf_conntrack_count"))


@readme.runs(REGIONS)
def test_the_readmes_tree_with_two_regions_stands_as_it_says(t):
    machines = Machines(t)
    shell = machines.shell
    commands = readme.commands(REGIONS)
    look = next(i for i, c in enumerate(commands) if "tiercast status" in c.text)
    end = next(i for i, c in enumerate(commands) if "tiercast end" in c.text)

    said = shell.run(commands[:look], 60).said()
    for name in AT:
        check(f"/etc/tiercast/{name}.toml: ok: " in said, f"{name}'s configuration is checked: {said!r}")
    eventually(lambda: [machines.live(name) for name in AT] == [0, 1, 1, 2, 2], 20, "all parents of all nodes are live")
    eventually(lambda: machines.status("origin")["node"]["uptime_ms"] > 3500, 5, "the origin misses its input")
    said = shell.run(commands[look:look + 1]).said()
    verdicts = dict(re.findall(r"^(\S+) (?:origin|relay) \S+ up [^:]*: (.*)$", said, re.M))
    equal(sorted(verdicts), sorted(AT), "who answers")
    equal([verdicts[name] for name in list(AT)[1:]], ["ok"] * 4, f"what relays and edges say: {said}")
    check(verdicts["origin"].startswith("group main: the input is silent"), f"what the origin says: {said}")
    for name in ("edge-1", "edge-2"):
        buffers = re.findall(r"rb(\d+)", machines.hosts[name].run("ss", "-ulnmH", "sport", "=", ":4800"))
        equal({int(size) for size in buffers}, {16 << 20}, f"the socket buffers of {name}, doubled as the kernel does")

    shell.run(commands[look + 1:end])
    eventually(lambda: machines.status("origin")["groups"][0]["tally"]["listeners"] == 3, 20, "three listeners in all")
    for name in ("edge-1", "edge-2"):
        equal(machines.status(name)["listen"]["leases"], 2, f"listeners at {name}")
        check(machines.tracked(name) <= 2, f"{name}'s firewall keeps {machines.tracked(name)} connections, of two parents")

    # Speech; a relay is killed in it, then an edge, which systemd starts again.
    os.symlink(t.speech(9), os.path.join(t.dir, "talk.wav"))
    tap = t.capture(machines.hosts["origin"])
    speaker = readme.Shell(t, machines.hosts["origin"], t.dir).start(
        readme.commands("The first broadcast, in five minutes", "ffmpeg"))
    for packets, victim in ((100, "regional-1"), (250, "edge-1")):
        eventually(lambda: machines.status("origin")["groups"][0]["input"]["packets"] > packets, 20, f"{packets} packets")
        machines.kill(victim)
    speaker.finish(30)
    eventually(lambda: machines.live("edge-1") == 2, 20, "the edge is back")
    eventually(lambda: machines.status("edge-1")["listen"]["leases"] == 2, 20, "and its listeners")
    sent = media.opus_packets(tap.stop())
    shell.run(commands[end:])
    eventually(lambda: not machines.ears.pids("tiercast"), 10, "the end of all listeners")
    for name in ("region-2", "both"):
        ogg = media.read_ogg(os.path.join(t.dir, f"{name}.opus"))
        trees.same_as_sent(name, ogg.packets, sent)
        check(ogg.ended, f"{name}.opus has an end")
    ogg = media.read_ogg(os.path.join(t.dir, "region-1.opus"))
    found = media.match(sent, [packet for packet in ogg.packets if len(packet) > trees.CONCEALMENT])
    check(ogg.ended and len(sent) - 200 < found.matched < len(sent), f"{found.matched} of {len(sent)} heard in region 1")

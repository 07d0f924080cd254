"""Network namespaces joined by a bridge, with loss and partitions, for tests and drills. Needs root. Knows nothing of
tiercast but its name, which the namespaces begin with."""
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import threading

PREFIX = "tiercast"  # of what sweep() may remove: on a machine where others have namespaces too
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """For Popen(preexec_fn=): whatever happens to the test, its children go too (PR_SET_PDEATHSIG)."""
    _libc.prctl(1, 9)


def run(*command, **options):
    """Runs to the end; the error carries what the command said."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def why_not(tools=("ip", "nft", "tcpdump")):
    """Why no namespace can be made here, or nothing done in it for want of a tool; empty if one can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in tools:
        if subprocess.run(["which", tool], capture_output=True).returncode != 0:
            return f"{tool} is not installed: scripts/bootstrap"
    name = f"{PREFIX}{os.getpid()}-try"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if tried.returncode != 0:
        return f"no network namespace can be made here: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return ""


def _namespaces():
    """Not by `ip netns list`, which fails when one goes away meanwhile."""
    try:
        return os.listdir("/run/netns")
    except FileNotFoundError:  # there was never one
        return []


def sweep():
    """Removes what a run that was killed left behind."""
    for name in _namespaces():
        owner = re.fullmatch(PREFIX + r"(\d+)-.*", name)
        if owner and not os.path.exists(f"/proc/{owner[1]}"):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
            shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)


def remove_own():
    """Removes every namespace of this process, also one that an interrupted Net() did not come to know of."""
    for name in _namespaces():
        if name.startswith(f"{PREFIX}{os.getpid()}-"):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def make_namespace(name):
    """Its name, which remove_own() knows."""
    namespace = f"{PREFIX}{os.getpid()}-{name}"
    run("ip", "netns", "add", namespace)
    run("ip", "-n", namespace, "link", "set", "lo", "up")
    return namespace


class Host:
    """One namespace with lo and eth0: 10.77.0.N and fd77::N."""

    def __init__(self, namespace, name, number):
        self.namespace, self.name, self.number = namespace, name, number
        self.v4, self.v6 = f"10.77.0.{number}", f"fd77::{number:x}"
        self._rules = {}  # what for -> nft rules on input
        self.ends = ()  # of its cable, if that is one with faults: (namespace:interface far from it, and its own)

    def command(self, command):
        return ["ip", "netns", "exec", self.namespace, *command]

    def run(self, *command, **options):
        return run(*self.command(command), **options)

    def popen(self, command, **options):
        return subprocess.Popen(self.command(command), preexec_fn=die_with_parent, **options)

    def pids(self, program=None):
        """Of what runs here, all or that of that name."""
        out = []
        for pid in map(int, run("ip", "netns", "pids", self.namespace).split()):
            try:
                with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                    out += [pid] if program in (None, file.read().strip()) else []
            except (FileNotFoundError, ProcessLookupError):  # it has ended
                pass
        return out

    def end(self, program=None):
        """Kills it."""
        for pid in self.pids(program):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def etc(self, name, text):
        """Gives this host a file of its own in /etc."""
        os.makedirs(f"/etc/netns/{self.namespace}", exist_ok=True)
        with open(f"/etc/netns/{self.namespace}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def sockets(self, make):
        """What make() returns, called with this host's network: the sockets that it makes stay there."""
        made = []

        def call():  # a namespace is a thread's own
            with open(f"/run/netns/{self.namespace}", "rb") as namespace:
                if _libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(make())
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        return made[0]

    def lose(self, per_mille, sender=None):
        """Drops so many of 1000 UDP datagrams that come in, of one host or all; 0 ends it."""
        rule = f"meta l4proto udp numgen random mod 1000 <= {per_mille - 1} drop"
        self._set(("lose", sender and sender.name), [f"{of} {rule}" for of in self._from(sender)] if per_mille else None)

    def cut(self, other, cut=True):
        """Drops all that comes from another host."""
        self._set(("cut", other.name), [f"{of} drop" for of in self._from(other)] if cut else None)

    @staticmethod
    def _from(sender):
        return [f"ip saddr {sender.v4}", f"ip6 saddr {sender.v6}"] if sender else ['iifname "eth0"']

    def _set(self, key, rules):
        self._rules.pop(key, None)
        if rules:
            self._rules[key] = rules
        # One transaction: the table is there (add), goes, and comes anew.
        lines = ["add table inet test", "delete table inet test", "add table inet test",
                 "add chain inet test input { type filter hook input priority 0; }"]
        lines += [f"add rule inet test input {rule}" for rules in self._rules.values() for rule in rules]
        self.run("nft", "-f", "-", input="\n".join(lines) + "\n")


class Net:
    """Hosts on one bridge, which has a namespace of its own. close() removes everything."""

    def __init__(self):
        self.hosts = {}
        self._made = []
        self._dropped = {}  # what for -> nft rules on what the bridge passes on
        self.bridge = self._namespace("bridge")
        run("ip", "-n", self.bridge, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", self.bridge, "link", "set", "br0", "up")

    def _namespace(self, name):
        self._made.append(make_namespace(name))
        return self._made[-1]

    def host(self, name, cable=False):
        """The host of that name, made when first asked for. With `cable` it hears and says nothing until a cable.py has
        taken its two ends, which are what `ends` of it says."""
        if name in self.hosts:
            return self.hosts[name]
        number = len(self.hosts) + 1
        host = Host(self._namespace(name), name, number)
        port = f"port{number}"
        if cable:
            host.ends = f"{self.bridge}:{port}", f"{host.namespace}:eth0"
            for end in host.ends:
                namespace, interface = end.split(":")
                run("ip", "-n", namespace, "tuntap", "add", "dev", interface, "mode", "tap")
        else:
            run("ip", "-n", self.bridge, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns",
                host.namespace)
        run("ip", "-n", self.bridge, "link", "set", port, "master", "br0", "up")
        run("ip", "-n", host.namespace, "addr", "add", f"{host.v4}/24", "dev", "eth0")
        run("ip", "-n", host.namespace, "addr", "add", f"{host.v6}/64", "dev", "eth0", "nodad")
        run("ip", "-n", host.namespace, "link", "set", "eth0", "up")
        self.hosts[name] = host
        return host

    def collect(self, host):
        """The far end of the host's cable collects packets as drivers do: only then a virtual device takes such that
        come from below the network stack."""
        run("ip", "netns", "exec", self.bridge, "ethtool", "-K", f"port{host.number}", "gro", "on")

    def second_link(self, host, interface="eth1"):
        """One more interface, 10.78.0.N and fd78::N, on a bridge of its own; again after it was deleted."""
        bridge, port = f"br-{interface}", f"{interface}-{host.number}"
        if f"{bridge}:" not in run("ip", "-n", self.bridge, "link"):
            run("ip", "-n", self.bridge, "link", "add", bridge, "type", "bridge")
            run("ip", "-n", self.bridge, "link", "set", bridge, "up")
        run("ip", "-n", self.bridge, "link", "add", port, "type", "veth", "peer", "name", interface, "netns",
            host.namespace)
        run("ip", "-n", self.bridge, "link", "set", port, "master", bridge, "up")
        host.run("ip", "addr", "add", f"10.78.0.{host.number}/24", "dev", interface)
        host.run("ip", "addr", "add", f"fd78::{host.number:x}/64", "dev", interface, "nodad")
        host.run("ip", "link", "set", interface, "up")

    def set_bridge(self, option, value):
        """Of the bridge between all eth0, as `ip link` names it."""
        run("ip", "-n", self.bridge, "link", "set", "br0", "type", "bridge", option, value)

    def block(self, address, block=True):
        """The bridges pass nothing on that goes to this address, as of a multicast group; nobody is told."""
        self._drop(address, [f"{'ip6' if ':' in address else 'ip'} daddr {address}"] if block else [])

    def isolate(self, host, cut=True):
        """Nothing comes to the host or from it, and nobody is told; False ends it."""
        port = f"port{host.number}"
        self._drop(port, [f'iifname "{port}"', f'oifname "{port}"'] if cut else [])

    def _drop(self, key, what):
        self._dropped[key] = what
        lines = ["add table bridge test", "delete table bridge test", "add table bridge test",
                 "add chain bridge test forward { type filter hook forward priority 0; }"]
        lines += [f"add rule bridge test forward {each} drop" for rules in self._dropped.values() for each in rules]
        run("ip", "netns", "exec", self.bridge, "nft", "-f", "-", input="\n".join(lines) + "\n")

    def behind(self, router, name):
        """A host whose only way is over the router, which translates its addresses (NAT). It has 10.79.0.2."""
        inside = Host(self._namespace(name), name, 2)
        inside.v4, inside.v6 = "10.79.0.2", None
        run("ip", "-n", router.namespace, "link", "add", "inside", "type", "veth", "peer", "name", "eth0", "netns",
            inside.namespace)
        router.run("ip", "addr", "add", "10.79.0.1/24", "dev", "inside")
        router.run("ip", "link", "set", "inside", "up")
        inside.run("ip", "addr", "add", "10.79.0.2/24", "dev", "eth0")
        inside.run("ip", "link", "set", "eth0", "up")
        inside.run("ip", "route", "add", "default", "via", "10.79.0.1")
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        return inside

    @staticmethod
    def translate(router, first, last):
        """The router gives what comes from behind it these ports, and forgets all that it knew: its address goes and
        comes, which is when a masquerading kernel does."""
        router.run("nft", "-f", "-", input=f"""add table ip nat
delete table ip nat
add table ip nat
add chain ip nat post {{ type nat hook postrouting priority 100; }}
add rule ip nat post oifname "eth0" meta l4proto udp masquerade to :{first}-{last}
""")
        address = f"{router.v4}/24 dev eth0"
        router.run("ip", "-batch", "-", input=f"addr del {address}\naddr add {address}\n")

    def partition(self, a, b, cut=True):
        """Neither hears the other, until cut=False."""
        a.cut(b, cut)
        b.cut(a, cut)

    def close(self):
        for namespace in self._made:
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True)
            shutil.rmtree(f"/etc/netns/{namespace}", ignore_errors=True)
        self._made = []
        self.hosts = {}


class Wire:
    """Two hosts and one cable between them, without a bridge's work. What leaves either waits in a queue where the other
    is not as fast. close() removes both."""

    def __init__(self, *names):
        self.hosts = [Host(make_namespace(name), name, number) for number, name in enumerate(names, 1)]
        one, other = self.hosts
        # A queue for each processor: else who sends on one has to wait for the other, which takes out what both put in.
        queues = ["numtxqueues", str(os.cpu_count()), "numrxqueues", str(os.cpu_count())]
        run("ip", "-n", one.namespace, "link", "add", "eth0", *queues, "type", "veth", "peer", "name", "eth0", *queues,
            "netns", other.namespace)
        for host in self.hosts:
            run("ip", "-n", host.namespace, "addr", "add", f"{host.v4}/24", "dev", "eth0")
            run("ip", "-n", host.namespace, "addr", "add", f"{host.v6}/64", "dev", "eth0", "nodad")
            run("ip", "-n", host.namespace, "link", "set", "eth0", "txqueuelen", "1000000", "up")
            host.run("tc", "qdisc", "add", "dev", "eth0", "root", "pfifo")

    def own(self, host, prefix):
        """The host is at every address of the prefix; the others know."""
        v6 = ["-6"] if ":" in prefix else []
        host.run("ip", *v6, "route", "add", "local", prefix, "dev", "lo")
        for other in self.hosts:
            if other is not host:
                other.run("ip", *v6, "route", "add", prefix, "via", host.v6 if v6 else host.v4)

    @staticmethod
    def threaded(host):
        """What comes to the host is work of its kernel's own threads, not of who sends it. These have real-time priority:
        a cable holds 256 packets, and loses what is not taken out in time. False: the kernel cannot (yet): only where
        something of XDP is attached."""
        def threads():
            out = {}  # by the queue's number, in the order of queues
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                        if (name := file.read()).startswith("napi/eth0-"):
                            out[int(name.removeprefix("napi/eth0-"))] = int(pid)
                except OSError:  # it has ended
                    pass
            return out
        before = threads()
        done = subprocess.run(host.command(["sh", "-c", "echo 1 > /sys/class/net/eth0/threaded"]), capture_output=True)
        # Each on another processor than the one whose packets it takes out.
        now = threads()
        for queue, pid in enumerate(now[number] for number in sorted(now.keys() - before.keys())):
            os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
            os.sched_setaffinity(pid, {(queue + 1) % os.cpu_count()})
        return done.returncode == 0

    def dropped(self):
        """Packets that came to nobody's socket, nor to a queue: by host and direction, what is not 0."""
        out = {}
        for host in self.hosts:
            for link in json.loads(host.run("ip", "-s", "-j", "link", "show", "eth0")):
                for way in ("tx", "rx"):
                    if count := link["stats64"][way]["dropped"]:
                        out[f"{host.name}_{way}"] = count
            for discipline in json.loads(host.run("tc", "-s", "-j", "qdisc", "show", "dev", "eth0")):
                if discipline.get("drops"):
                    out[f"{host.name}_queue"] = discipline["drops"]
        return out

    def close(self):
        for host in self.hosts:
            subprocess.run(["ip", "netns", "del", host.namespace], capture_output=True)
            shutil.rmtree(f"/etc/netns/{host.namespace}", ignore_errors=True)
        self.hosts = []

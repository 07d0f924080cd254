"""A tree of nodes: keys, configurations, processes. On loopback, or each node on a host of its own (network.Host)."""
import json
import signal
import socket
import subprocess
import time

from children import Failure
from network import die_with_parent


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
    """`parents` names each node's parents, none of the origin's; `hosts`, if given, where each node runs. Of two origins
    the first is the primary; both take RTP from other hosts, which a single one does not. `folder` gets keys,
    configurations, logs, and "state" of the origin; "recordings" too if `record`. Of its parents so many as `live` send
    to a node at once, others are on standby; all, without. `wraps`: of a node, what its command becomes."""

    def __init__(self, program, folder, children, parents, hosts=None, record=False, max_leases=100, frame_ms=20,
                 listen=None, live=None, wraps=None):
        self.program, self.folder, self.children = program, folder, children
        self.parents, self.hosts, self.record = parents, hosts or {}, record
        self.live, self.wraps = live, wraps or {}
        self.max_leases, self.frame_ms, self.listen_keys = max_leases, frame_ms, listen or {}
        self.names = list(parents)
        self.origins = [name for name in parents if not parents[name]]
        if hosts:
            self.rtp, self.address = 5004, {name: f"{hosts[name].v4}:4800" for name in self.names}
        else:
            *ports, self.rtp = free_ports(len(self.names) + 1)
            self.address = {name: f"127.0.0.1:{port}" for name, port in zip(self.names, ports)}
        for name in self.origins:
            self._state(name).mkdir(mode=0o700)
        if record:
            (folder / "recordings").mkdir()
        self.key = {name: self.tiercast("keygen", "-o", folder / f"{name}.key").strip() for name in self.names}
        self.sources = {name: self.tiercast("keygen", "--source", "-o", self._source_key(name)).strip()
                        for name in self.origins}
        self.source = self.sources[self.origins[0]]
        self.killed, self.hung = set(), set()

    def _state(self, origin):
        return self.folder / ("state" if origin == self.origins[0] else f"state-{origin}")

    def _source_key(self, origin):
        return self.folder / ("source.key" if origin == self.origins[0] else f"source-{origin}.key")

    def source_keys(self):
        """As listeners are given them."""
        return [f"{number}:{key}" for number, key in enumerate(self.sources.values(), 1)]

    def inputs(self):
        """Where RTP goes, seen from the origin's host or, if there are two, from any."""
        if len(self.origins) == 1:
            return [f"127.0.0.1:{self.rtp}"]
        return [f"{self.hosts[name].v4}:{self.rtp}" for name in self.origins]

    def tiercast(self, *arguments):
        done = subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"tiercast {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def start(self):
        for name in self.names:
            (self.folder / f"{name}.toml").write_text(self.configuration(name))
        for name in self.names:
            self.start_node(name)
        self.wait("the tree to stand", lambda state: all(
            state[name] and self.stands(name, [up["state"] for up in state[name]["upstreams"]]) for name in self.names))

    def stands(self, name, states):
        """As many parents are live as should be; if there are others, one stands by."""
        live = self.live_parents(name)
        return states.count("live") >= live and (live == len(states) or "standby" in states)

    def live_parents(self, name):
        """Who is below both origins forwards one of the two: it needs both."""
        parents = self.parents[name]
        return len(parents) if set(parents) == set(self.origins) else min(len(parents), self.live or len(parents))

    def start_node(self, name):
        command = [self.program, "run", "-c", self.folder / f"{name}.toml"]
        self.run_at(name, name, self.wraps[name](command) if name in self.wraps else command)
        self.killed.discard(name)

    def kill(self, name):
        """As power loss would: SIGKILL."""
        self.children.kill(name)
        self.killed.add(name)

    def signal(self, name, number):
        self.children.running[name].send_signal(number)
        if number == signal.SIGSTOP:
            self.hung.add(name)
        elif number == signal.SIGCONT:
            self.hung.discard(name)

    def run_at(self, node, name, command):
        """A process of that name, where the node is."""
        return self.children.start(name, self.hosts[node].command(command) if node in self.hosts else command)

    def configuration(self, name):
        parents = self.parents[name]
        text = f"""[node]
name = "{name}"
key = "{self.folder}/{name}.key"
""" + (f"parents = {self.live_parents(name)}\n" if parents else f'state = "{self._state(name)}"\n') + f"""
[listen]
address = "{self.address[name]}"
max_leases = {self.max_leases}
""" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in self.listen_keys.items()) + f"""
[admin]
socket = "{self.folder}/{name}.sock"
"""
        for parent in parents:
            text += f'\n[[upstream]]\naddress = "{self.address[parent]}"\npublic_key = "{self.key[parent]}"\n'
        for child in self.names:
            if name in self.parents[child] or (name != child and name in self.origins and child in self.origins):
                text += f'\n[[downstream]]\nname = "{child}"\npublic_key = "{self.key[child]}"\n'
        text += f'\n[[group]]\nname = "main"\nid = 1\nframe_ms = {self.frame_ms}\n'
        known = ", ".join(f'{{ id = {number}, key = "{key}" }}' for number, key in enumerate(self.sources.values(), 1))
        text += f'sources = [{known}]\npinned = true\n'
        if not parents:
            number = self.origins.index(name)
            text += (f'source = {{ rtp = "{self.inputs()[number]}", id = {number + 1}, '
                     f'signing_key = "{self._source_key(name)}"')
            for other in self.origins:
                if other != name:
                    text += f', align = "{self.address[other]}", align_key = "{self.key[other]}"'
            text += " }\n"
            if self.record:
                text += f'record = {{ directory = "{self.folder}/recordings" }}\n'
        return text

    def state(self, names=None):
        """What each node, or each of these, says of itself; None of one that does not answer."""
        names = self.names if names is None else names
        asked = {name: subprocess.Popen([self.program, "status", "--json", "--socket", self.folder / f"{name}.sock"],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
                 for name in names if name not in self.hung}  # of those it would wait for an answer
        said = {name: process.communicate()[0] for name, process in asked.items()}
        return {name: json.loads(said[name]) if name in asked and asked[name].returncode == 0 else None
                for name in names}

    def wait(self, what, ready, seconds=15):
        until = time.monotonic() + seconds
        while not ready(self.state()):
            self.children.check(list(self.children.running))
            if time.monotonic() > until:
                raise Failure(f"waited {seconds:.0f} s for {what}")
            time.sleep(0.2)

"""Sockets that systemd has bound: the node that is given them, the drop-in that makes them fit, what does not fit."""
import os
import re
import socket
import subprocess
import sys
import time

import harness
import network
import service_manager
import trees
from harness import check, equal, eventually

# As systemd starts a service: the descriptors from 3 on, the environment, and then the program.
START = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split(",")]
for i, fd in enumerate(fds):
    os.dup2(fd, 3 + i); os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join(["edge.socket"] * len(fds)))
os.execvp(sys.argv[2], sys.argv[2:])
"""


def bind(lines):
    """As systemd does: one socket a ListenDatagram=, in their order, with ReusePort=yes and BindIPv6Only=both."""
    out = []
    for line in lines:
        host, port = line.rsplit(":", 1)
        made = socket.socket(socket.AF_INET6 if host[0] == "[" else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        if host[0] == "[":
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((host.strip("[]"), int(port)))
        out.append(made)
    return out


class ActivatedNode(harness.Node):
    """Started with `passed`, sockets that this process keeps."""
    passed = ()

    def spawn(self, command, environment=None, stdin=subprocess.DEVNULL):
        fds = [s.fileno() for s in self.passed]
        with open(self.log_path, "ab") as log:
            self.process = self.host.popen([sys.executable, "-c", START, ",".join(map(str, fds)), *command], stdin=stdin,
                                           stdout=log, stderr=log, pass_fds=fds, env={**os.environ, **(environment or {})})

    def listen_lines(self):
        """What the drop-in for its configuration has the socket unit listen on."""
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(self.config())
        unit = network.run(self.t.binary, "check", "-c", self.config_path, "--print-socket-unit")
        lines = re.findall(r"^ListenDatagram=(.*)$", unit, re.M)
        equal(lines[0], "", "the unit's own addresses are dropped first")
        return lines[1:]


def hello():
    return bytes([1, 0, 1]) + os.urandom(8) + bytes(53)



def test_a_node_serves_with_sockets_that_were_bound_before_it(t):
    source = t.new_source()
    origin = t.node("origin", source=source)
    host, ears = t.host("edge"), t.host("ears")
    edge = ActivatedNode(t, host, "edge", upstreams=[origin])
    origin.start()
    workers = min(2, len(os.sched_getaffinity(0)))
    addresses = [f"{host.v4}:4800", f"[{host.v6}]:4800", "[::]:4801"]
    edge.sections["listen"] = {"address": addresses, "workers": workers}
    lines = edge.listen_lines()
    equal(lines, [a for a in addresses for _ in range(1 + workers)], "each address once for joins and once a worker")
    edge.passed = host.sockets(lambda: bind(lines))
    edge.start()
    trees.live(edge)
    equal(edge.status()["listen"]["addresses"], addresses, "the addresses in its status")

    def speech_reaches(names):
        at = [f"{host.v4}:4800", f"[{host.v6}]:4800", f"{host.v4}:4801", f"[{host.v6}]:4801"]
        listeners = [t.listener(name, [trees.other(edge, at[i % 4])], host=ears).start() for i, name in enumerate(names)]
        trees.listening(origin, len(listeners))
        return listeners
    listeners = speech_reaches([f"before-{i}" for i in range(8)])
    sent = trees.send_speech(t, origin, 3)
    for listener in listeners:
        equal(listener.stop(), 0, f"{listener.name}'s exit status")
        trees.heard_all(listener, sent)
    counters = trees.counters(edge)
    check(counters["lease_drop_malformed"] == 0, "what is no CONTROL met the workers' filters")
    trees.listening(origin, 0)

    # Killed, and started again with the same sockets: what came in between waits in their queues.
    edge.kill()
    askers = ears.sockets(lambda: [socket.socket(f, socket.SOCK_DGRAM) for f in (socket.AF_INET, socket.AF_INET6)])
    for asker, to in zip(askers, (host.v4, host.v6)):
        asker.sendto(hello(), (to, 4800))
        time.sleep(0.2)
    edge.start()
    for asker in askers:
        asker.settimeout(10)
        answer, who = asker.recvfrom(2048)
        equal((answer[0], len(answer), who[1]), (2, 35, 4800), "RETRY to a HELLO from before the start")
    trees.live(edge)
    listeners = speech_reaches([f"after-{i}" for i in range(8)])
    sent = trees.send_speech(t, origin, 3)
    trees.end(origin, listeners)
    for listener in listeners:
        trees.dense(listener)
        trees.heard_all(listener, sent)
    equal(edge.stop(), 0, "the exit status")
    # They are still bound, and nobody's but the manager's.
    askers[0].sendto(hello(), (host.v4, 4800))
    eventually(lambda: edge.passed[0].recv(2048)[:1] == b"\x01", 5, "the manager's sockets are as they were")


def test_sockets_that_do_not_fit_the_configuration_are_refused(t):
    source = t.new_source()
    host = t.host("edge")
    needed = "one for joins and one a worker: write the socket unit's drop-in with `tiercast check -c FILE --print-socket-unit`"

    def refused(name, lines, *words, listen=None):
        node = ActivatedNode(t, host, name, source=source)
        if listen:
            node.sections["listen"] = listen
        node.listen_lines()
        node.passed = host.sockets(lambda: bind(lines))
        node.spawn([t.binary, "run", "-c", node.config_path])
        equal(node.wait(10), 78, f"{name}: the exit status")
        for word in words + (needed,):
            check(word in node.log(), f"{name}: {word!r} is not in {node.log()!r}")
        for made in node.passed:
            made.close()
    v4, v6 = f"{host.v4}:4800", f"[{host.v6}]:4800"
    refused("number", [v4], f"are {v4} (1 socket)", f"needs {v4} (2 sockets)")
    refused("more", [v4] * 3, f"are {v4} (3 sockets)", f"needs {v4} (2 sockets)")
    refused("port", [f"{host.v4}:4801"] * 2, f"are {host.v4}:4801 (2 sockets)")
    refused("family", [v6] * 2, f"are {v6} (2 sockets)")
    refused("addresses", [v4] * 2, f"needs {v4}, {v6} (2 sockets each)", listen={"address": [v4, v6]})
    # And where nobody can join, none at all.
    silent = ActivatedNode(t, host, "silent", source=source, sections={"listen": None}, group={"record": {"directory": t.dir}})
    with open(silent.config_path, "w", encoding="utf-8") as file:
        file.write(silent.config())
    silent.passed = host.sockets(lambda: bind([f"{host.v4}:4803"]))
    silent.spawn([t.binary, "run", "-c", silent.config_path])
    equal((silent.wait(10), "this configuration has no [listen]" in silent.log()), (78, True), silent.log())
    # Another address is systemd's choice: FreeBind=, a floating one.
    other = ActivatedNode(t, host, "other", source=source)
    other.sections["listen"] = {"address": "192.0.2.1:4800"}
    other.passed = host.sockets(lambda: bind([v4] * 2))
    other.start()
    equal(other.status()["listen"]["addresses"], [v4], "the address that it was given wins")
    equal(other.stop(), 0, "the exit status")


def test_systemd_socket_activate_starts_a_node_which_says_what_it_needs(t):
    """The tool makes one socket an address, without SO_REUSEPORT: one too few for any node."""
    if subprocess.run(["which", "systemd-socket-activate"], capture_output=True).returncode != 0:
        return print("left out: no systemd-socket-activate")
    source = t.new_source()
    node = t.node("edge", source=source)
    with open(node.config_path, "w", encoding="utf-8") as file:
        file.write(node.config())
    node.spawn(["systemd-socket-activate", "--datagram", "--listen", node.address, t.binary, "run", "-c", node.config_path])
    eventually(lambda: "Listening on" in node.log(), 10, "it listens")
    node.host.sockets(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).sendto(hello(), (node.host.v4, 4800))
    equal(node.wait(10), 78, f"the exit status: {node.log()!r}")
    check(f"the sockets passed in are {node.address} (1 socket)" in node.log(), node.log())


def hears_all(t, origin, listeners, seconds=3):
    """Speech through the tree, to all of them."""
    trees.listening(origin, len(listeners))
    sent = trees.send_speech(t, origin, seconds)
    for listener in listeners:
        equal(listener.stop(), 0, f"{listener.name}'s exit status")
        trees.heard_all(listener, sent)
    trees.listening(origin, 0)


def test_a_real_systemd_holds_the_sockets_over_the_nodes_restarts(t):
    source = t.new_source()
    origin = t.node("origin", source=source)
    host, ears = t.host("edge"), t.host("ears")
    addresses = [f"{host.v4}:4800", f"[{host.v6}]:4800"]
    edge = t.node("edge", host=host, upstreams=[origin])
    edge.sections = {"node": {"key": "credential:keys_node.key"}, "listen": {"address": addresses},
                     "admin": {"socket": "/run/tiercast/admin.sock"}}
    etc = os.path.join(t.dir, "etc")
    os.makedirs(os.path.join(etc, "edge.keys"), mode=0o700)
    os.rename(edge.key.path, os.path.join(etc, "edge.keys/node.key"))
    os.chmod(etc, 0o755)
    with open(os.path.join(etc, "edge.toml"), "w", encoding="utf-8") as file:
        file.write(edge.config())
    os.chmod(os.path.join(etc, "edge.toml"), 0o644)
    unit = network.run(t.binary, "check", "-c", os.path.join(etc, "edge.toml"), "--print-socket-unit")
    manager = service_manager.ServiceManager(t, host, etc)
    reason = manager.why_not()
    if reason:
        return print(f"left out: {reason}")
    origin.start()
    manager.drop_in("tiercast@edge.socket", unit)
    manager.drop_in("tiercast@edge.service", "[Service]\nRestartSec=3s\n")  # time to look, also on a busy machine
    manager.systemctl("start", "tiercast@edge.socket")
    equal(manager.properties("tiercast@edge.service", "ActiveState"), ["inactive"], "the node, before anybody comes")

    # Whoever comes first starts it.
    marked = t.capture(ears, interface="eth0", expression="(ip[1] == 0xb8 or ip6[0:2] & 0x0ff0 == 0x0b80) and udp src port 4800")
    listeners = [t.listener(f"first-{i}", [trees.other(edge, a)], host=ears).start() for i, a in enumerate(addresses)]

    def started():
        return manager.properties("tiercast@edge.service", "ActiveState", "SubState") == ["active", "running"]
    eventually(started, 20, f"the node runs: {manager.log()}")
    hears_all(t, origin, listeners)
    frames = {d.source[0] for d in marked.stop() if len(d.payload) > 32}
    equal(len(frames), 2, "addresses, one of each family, whose frames carry the unit's IPTOS")
    buffers = re.findall(r"skmem:\(r\d+,rb(\d+),t\d+,tb(\d+)", host.run("ss", "-ulnmH", "sport", "=", ":4800"))
    equal(buffers, [(str(16 << 20),) * 2] * 4, "the sockets' buffers, as the kernel counts them")

    # Killed: systemd starts it again, and what came meanwhile waits.
    askers = ears.sockets(lambda: [socket.socket(f, socket.SOCK_DGRAM) for f in (socket.AF_INET, socket.AF_INET6)])
    manager.systemctl("kill", "--signal=KILL", "tiercast@edge.service")
    eventually(lambda: not started(), 5, "it is dead")
    for asker, to in zip(askers, (host.v4, host.v6)):
        asker.sendto(hello(), (to, 4800))
    check(not started(), "it is still dead")
    for asker in askers:
        asker.settimeout(20)
        answer = asker.recv(2048)
        equal((answer[0], len(answer)), (2, 35), "RETRY to a HELLO from before the start")
    eventually(started, 20, "it runs again")
    equal(manager.properties("tiercast@edge.service", "NRestarts"), ["1"], "restarts")
    hears_all(t, origin, [t.listener(f"second-{i}", [trees.other(edge, a)], host=ears).start()
                          for i, a in enumerate(addresses)])
    manager.systemctl("restart", "tiercast@edge.service")
    hears_all(t, origin, [t.listener("third", [trees.other(edge, addresses[1])], host=ears).start()])

    # Sockets that do not fit: 78, and no second try.
    manager.systemctl("stop", "tiercast@edge.socket", "tiercast@edge.service")
    manager.drop_in("tiercast@edge.socket", f"[Socket]\nListenDatagram=\nListenDatagram={addresses[0]}\n")
    manager.systemctl("start", "tiercast@edge.socket")
    equal(manager.ask("systemctl", "start", "tiercast@edge.service").returncode != 0, True, "the start fails")
    equal(manager.properties("tiercast@edge.service", "ExecMainStatus", "NRestarts"), ["78", "0"], "status and restarts")

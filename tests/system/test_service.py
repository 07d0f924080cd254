"""A node as a service and its operator's commands: readiness, watchdog, status, end, rotate."""
import json
import os
import re
import select
import signal
import socket
import subprocess
import time

import harness
import readme
import service_manager
import trees
from harness import LeftOut, check, equal, eventually


def test_systemd_is_told_ready_alive_and_stopping(t):
    source = t.new_source()
    node = t.node("origin", source=source)
    with open(node.config_path, "w", encoding="utf-8") as file:
        file.write(node.config())
    path = os.path.join(node.dir, "service.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        heard = []  # (time, assignment)

        def hear(until, timeout):
            deadline = time.monotonic() + timeout
            while not any(a.startswith(until) for _, a in heard) and time.monotonic() < deadline:
                if select.select([manager], [], [], 0.05)[0]:
                    heard.extend((time.monotonic(), a) for a in manager.recv(65536).decode().split("\n"))
            check(any(a.startswith(until) for _, a in heard), f"{until} is not told within {timeout} s, but {heard}")
        node.spawn([t.binary, "run", "-c", node.config_path], {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000000"})
        hear("READY=1", 10)
        equal(node.status()["node"]["name"], "origin", "it answers once it is ready")
        check(any(a.startswith("STATUS=") and "1 group" in a for _, a in heard), f"a status for people: {heard}")
        heard.clear()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if select.select([manager], [], [], 0.05)[0]:
                heard.extend((time.monotonic(), a) for a in manager.recv(65536).decode().split("\n"))
        beats = [at for at, a in heard if a == "WATCHDOG=1"]
        check(len(beats) >= 3, f"{len(beats)} signs of life in 5 s")
        check(all(b - a < 2 for a, b in zip(beats, beats[1:])), "none later than the watchdog's interval")
        heard.clear()
        node.signal(signal.SIGTERM)
        hear("STOPPING=1", 5)
        equal(node.wait(10), 0, "the exit status")


def test_the_unit_is_clean_and_hardly_exposed(t):
    done = subprocess.run([os.path.join(harness.ROOT, "tests/system/systemd_unit.sh")], capture_output=True, text=True,
                          env={**os.environ, "BUILD": os.path.dirname(t.binary)})
    check(done.returncode == 0, done.stdout + done.stderr)


def test_status_tells_what_a_node_sees(t):
    tree = trees.Tree(t).start()
    listeners = [t.listener(f"ear-{i}", [tree.edge], host=tree.ears).start() for i in range(3)]
    trees.listening(tree.origin, 3)
    encoder = t.encoder(tree.origin.host, t.speech(4))
    eventually(lambda: (trees.group(tree.origin)["input"]["age_ms"] or 9e9) < 1000, 10, "speech comes in")
    time.sleep(1)
    origin, relay, edge = (node.status() for node in tree.nodes)
    equal([s["node"]["name"] for s in (origin, relay, edge)], ["origin", "relay", "edge"], "names")
    equal(len({s["node"]["id"] for s in (origin, relay, edge)}), 3, "different ids")
    equal([s["groups"][0]["role"] for s in (origin, relay, edge)], ["origin", "relay", "relay"], "roles")
    equal([s["groups"][0]["tally"]["listeners"] for s in (origin, relay, edge)], [3, 3, 3], "the tally at every tier")
    equal([s["listen"]["leases"] for s in (origin, relay, edge)], [1, 1, 3], "leases")
    (up,) = edge["upstreams"]
    equal((up["state"], up["address"], up["public_key"]), ("live", tree.relay.address, tree.relay.key.public), "the parent")
    equal(up["path"], [relay["node"]["id"], origin["node"]["id"]], "the path up to the origin")
    check(0 <= up["round_trip_ms"] < 1000, "a round trip")
    given = origin["groups"][0]["input"]
    check(given["packets"] > 20 and given["bits_per_second"] > 5000 and given["ssrc"] != 0, f"the input: {given}")
    check(abs(origin["groups"][0]["newest"] - edge["groups"][0]["newest"]) < 100, "the edge keeps up")
    epochs = {e["epoch"] for e in origin["groups"][0]["epochs"]}
    check(len(epochs) >= 3 and origin["groups"][0]["epoch"] in epochs, "the epoch in use and two announced")
    equal({e["epoch"] for e in edge["groups"][0]["epochs"]} >= epochs, True, "the edge knows them all")
    for status in (origin, relay, edge):
        check(status["memory"]["resident"] > 1 << 20 and status["memory"]["history"] > 0, "memory")
        check(not any(v for n, v in status["counters"].items() if n.endswith(("forged", "ring_full"))), "nothing forged")
    text = tree.edge.admin("status")
    for word in ("edge", "main", tree.relay.address):
        check(word in text, f"{word} is in the text: {text}")
    encoder.stop()
    trees.end(tree.origin, listeners)
    check(trees.group(tree.origin)["ended"], "the origin's status tells the end")
    eventually(lambda: trees.group(tree.edge)["ended"], 5, "and the edge's")


def test_rotate_answers_with_when_and_errors_say_what_to_do(t):
    source = t.new_source()
    origin = t.node("origin", source=source)
    relay = t.node("relay", upstreams=[origin])
    origin.start()
    relay.start()
    trees.live(relay)
    answer = origin.admin("rotate", "main")
    check(re.search(r"in \d+ ?s|rotating", answer), f"it says when: {answer!r}")

    def refused(node, *words):
        done = subprocess.run(node.host.command([t.binary, *words, "--socket", node.socket]), capture_output=True, text=True)
        check(done.returncode not in (0, -signal.SIGSEGV), f"{words} succeeded: {done.stdout}")
        return done.returncode, done.stderr
    equal(refused(relay, "rotate", "main")[1].strip(), "tiercast: no source of this group is here: rotate at its origin",
          "rotating where there is no source")
    check("no source of this group is here" in refused(relay, "end", "1")[1], "ending where there is no source")
    check("no group other" in refused(origin, "end", "other")[1], "a group that is not there")
    relay.stop()
    status, said = refused(relay, "status")
    equal(status, 69, f"status of a node that is not there: {said}")
    json.loads(origin.admin("status", "--json"))


def by_hand(shell, command):
    """What the README has people do with an editor."""
    return shell.run([readme.Command(-1, "", command, "")]).said()


@readme.runs("As a service")
@readme.runs("Reading `tiercast status`")
@readme.runs("When something fails")
def test_the_readmes_service_runs_as_it_says(t):
    """An origin and an edge of one machine, the edge with another port and admin socket."""
    manager = service_manager.ServiceManager(t, t.host("machine"))
    if reason := manager.why_not():
        raise LeftOut(reason)
    shell = readme.Shell(t, manager, path=service_manager.PATH)
    commands = readme.commands("As a service")
    starts, then = (next(i for i, c in enumerate(commands) if c.text.startswith(beginning))
                     for beginning in ("systemctl daemon-reload", "install -d /etc/systemd"))

    node, source = shell.run(commands[:starts]).said().split()
    by_hand(shell, "install -d -m 0700 /etc/tiercast/edge.keys")
    edge = by_hand(shell, "tiercast keygen -o /etc/tiercast/edge.keys/node.key").strip()
    by_hand(shell, f"""cd /etc/tiercast
sed -i -e 's|"/etc/tiercast/node.key"|"credential:keys_node.key"|' \\
  -e 's|"/etc/tiercast/source.key"|"credential:keys_source.key"|' \\
  -e 's|{{ id = 1, key = ".*" }}|{{ id = 1, key = "{source}" }}|' origin.toml
printf '\\n[[downstream]]\\nname = "edge"\\npublic_key = "{edge}"\\n' >> origin.toml
cat > edge.toml <<'END'
[node]
name = "edge"
key  = "credential:keys_node.key"
[listen]
address = ["127.0.0.1:4801", "[::1]:4801"]
[admin]
socket = "/run/tiercast/edge.sock"
[[upstream]]
address    = "127.0.0.1:4800"
public_key = "{node}"
[[group]]
name    = "main"
id      = 1
sources = [{{ id = 1, key = "{source}" }}]
pinned  = true
END""")
    said = shell.run(commands[starts:then]).said()
    check(re.search(r"tiercast\[\d+\]: ", said), f"the journal has its lines: {said!r}")
    ready = re.compile(r"tiercast\[\d+\]: ready node=origin\n")  # a moment after it tells systemd
    eventually(lambda: ready.search(by_hand(shell, "journalctl -u tiercast@origin")), 10, "the journal to have it")
    check(re.search(r"^origin origin .* up ", said, re.M), f"the status: {said!r}")
    reloads = [c for c in commands if " reload" in c.text]
    upgrade = [c for c in commands if c.text.startswith(("tiercast drain", "systemctl start", "tiercast status  "))]
    equal(len(upgrade), 3, "what an upgrade takes")
    shell.run([c for c in commands[then:] if c not in reloads + upgrade])
    equal(manager.properties("tiercast@edge.service", "ActiveState", "TriggeredBy"), ["active", "tiercast@edge.socket"],
          "the edge")
    equal(manager.host.run("ss", "-ulnH", "sport", "=", ":4801").count("UNCONN"), 4, "the sockets of its drop-in")

    def edges_status():
        return json.loads(by_hand(shell, "tiercast status --json --socket /run/tiercast/edge.sock"))

    def edges_parent():
        return edges_status()["upstreams"][0]["state"] == "live"
    eventually(edges_parent, 10, "the edge hears the origin")
    edges = edges_status()["listen"]["backend"]
    equal(edges["name"], "xdp", f"the edge's backend, with its drop-in's privileges: {edges}")
    (process,) = manager.properties("tiercast@edge.service", "MainPID")
    held = set(re.findall(r"^Cap(?:Prm|Eff|Amb):\s*(\w+)$", by_hand(shell, f"cat /proc/{process}/task/*/status"), re.M))
    equal(held, {"0" * 16}, "the capabilities that its threads have now")
    origins = json.loads(by_hand(shell, "tiercast status --json"))["listen"]["backend"]
    equal(origins["name"], "sendmmsg", "the origin's, without")
    check("CAP_BPF" in origins["why"], f"it says what it lacks: {origins}")

    by_hand(shell, f'''printf '\\n[[downstream]]\\nname = "edge-fra-3"\\npublic_key = "{source}"\\n' >> /etc/tiercast/origin.toml''')
    equal(shell.run(reloads).said(), 'downstream "edge-fra-3" added\n', "what a reload answers")
    check(" reloaded " in by_hand(shell, "journalctl -u tiercast@origin"), "the journal has it")

    # What one looks with.
    looks = readme.commands("Reading `tiercast status`")
    watch = shell.start([c for c in looks if "--watch" in c.text])
    said = shell.run([c for c in looks if "--watch" not in c.text]).said()
    verdict, _, answer = said.partition("{")
    check(verdict.startswith("origin origin "), f"the status: {verdict!r}")
    equal(json.loads("{" + answer)["node"]["name"], "origin", "the name in JSON")
    eventually(lambda: watch.said().count("origin origin ") >= 3, 20, "the status, again and again")
    check(watch.alive, f"until it is interrupted: {watch.log()!r}")
    watch.kill()
    said = shell.run(readme.commands("When something fails")).said()
    for told in ('"seal_frame": ', "ready node=edge", "ExecMainStatus=0", "NRestarts=0", " 127.0.0.1.4800 > ",
                 "edge.toml: ok: "):
        check(told in said, f"{told!r} is in what they print: {said!r}")
    eventually(edges_parent, 10, "the edge hears the origin again")

    # Nobody is below the origin any more, so that all are away at once. Without its socket's unit nothing starts it.
    by_hand(shell, "systemctl stop tiercast@edge.socket tiercast@edge")
    equal(shell.run(upgrade[:1]).said(), "drained: nobody is left; the node stops\n", "what drain prints")
    eventually(lambda: manager.properties("tiercast@origin.service", "ActiveState") == ["inactive"], 5, "the origin ends")
    by_hand(shell, "systemctl start tiercast@origin")
    check("origin origin " in shell.run(upgrade[1:]).said(), "the status")
    eventually(edges_parent, 10, "the edge hears the origin that was started again")

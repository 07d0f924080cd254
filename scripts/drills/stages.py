"""Where a drill is played: in network namespaces of its own, or against a running deployment. A stage starts what is
needed and the listeners, and can do the damage and undo it; when and why is the drill's."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import figures
import network
import speech
from children import Failure, default_signals
from tree import Tree

PATIENCE = 30  # s for listeners to hear something: a busy machine plays some drills at once
STARTS = 10  # s for a node that is started again to answer
MORE_SPEECH = PATIENCE + 30  # s beyond what is to be measured: until then, and for what the damage and its undoing take
COMMAND_PATIENCE = 60  # s for the operator's commands
PROCESSES = 16  # listeners that are a process each; more are many in one


def program(name):
    """One of scripts/lib."""
    return os.path.join(os.path.dirname(network.__file__), name)


class Stage:
    """What both have in common: listeners, each with its frame log."""

    WHEN = (0.45, 0.55)  # the damage comes: of what is measured
    LASTING = False  # it hurts until the end, or is no damage to recover from
    victim = None  # who is hurt

    def __init__(self, options, folder, children):
        self.options, self.folder, self.children = options, folder, children
        # process -> (what its edges are called, its log's file, its listeners: {name: number or None}, the file that is
        # there once they have all their parents, or None: they do not tell)
        self.listeners = {}
        self.where = "?"

    def listen_all(self, edges, group, source_keys, wrap=lambda command: command):
        """All listeners, spread over the edges: each receives from `parents` of them, and has one more on standby if it is
        to have one. edges: (what to call it, HOST:PORT, KEY) of each."""
        options = self.options
        known = options.parents + options.standby
        orders = [[edges[(n + i) % len(edges)] for i in range(known)] for n in range(len(edges))]
        if options.listeners <= PROCESSES and not options.standby:  # a swarm tells who stands by
            for n in range(options.listeners):
                self._listen(n + 1, orders[n % len(orders)], group, source_keys, wrap)
            return
        program = os.path.join(os.path.dirname(options.program), "swarm")
        if not os.access(program, os.X_OK):
            why = "listeners with a standby" if options.standby else f"more than {PROCESSES} listeners"
            raise Failure(f"{why} need {program}: make {os.path.relpath(program)}", 69)
        for n, order in enumerate(orders[:options.listeners]):
            count = len(range(n, options.listeners, len(orders)))
            self._swarm(program, n + 1, order, count, group, source_keys, wrap)

    def _listen(self, number, edges, group, source_keys, wrap):
        name = f"listener-{number}"
        log = self.folder / f"{name}.frames"
        command = [self.options.program, "listen", *(f"{address},{key}" for _, address, key in edges), "--parents",
                   str(self.options.parents), "--group", str(group), "--quiet", "--report", self.folder / f"{name}.json",
                   "--frame-log", log]
        for key in source_keys:
            command += ["--source-key", key]
        if self.options.playout:
            command += ["--playout", str(self.options.playout)]
        self.children.start(name, wrap(command))
        self.listeners[name] = self._called(edges), log, {name: None}, None

    def _swarm(self, program, number, edges, count, group, source_keys, wrap):
        name = f"swarm-{number}"
        log, ready = self.folder / f"{name}.frames", self.folder / f"{name}.ready"
        (_, address, key), *others = edges
        command = [program, address, key, str(group), source_keys[0], str(count), "86400", "frames", log,
                   "ready", ready, "live", str(self.options.parents)]
        for _, address, key in others:
            command += ["parent", address, key]
        for each in source_keys[1:]:
            command += ["source", each]
        if self.options.playout:
            command += ["playout", str(self.options.playout)]
        self.children.start(name, wrap(command))
        self.listeners[name] = self._called(edges), log, {f"{name}.{ear + 1}": ear for ear in range(count)}, ready

    def _called(self, edges):
        """Who stands by in brackets."""
        names, live = [called for called, *_ in edges], self.options.parents
        return "+".join(names[:live]) + "".join(f" ({name})" for name in names[live:])

    def has_parents(self, process):
        """That process's listeners have all their parents, as far as it tells."""
        ready = self.listeners[process][-1]
        return ready is None or ready.exists()

    def logs(self, process):
        """{listener: its ticks} until now, of that process."""
        _, path, names, _ = self.listeners[process]
        ticks = figures.read_logs(path) if path.exists() else {}
        return {name: ticks.get(number, []) for name, number in names.items()}

    def sent(self):
        """What was sent to the origin, as figures.read_sent() gives it; None: not known."""

    def hurt(self):
        """Does the damage; says what it did."""

    def look(self):
        """While it hurts, at its end: for findings()."""

    def heal(self):
        """Undoes it; says what it did, or nothing if there is no way."""

    def look_back(self):
        """At the end of what is measured, also if it was undone before: for findings()."""

    def findings(self):
        """Once the listeners have ended: more reasons to fail, in words, and more fields of the result."""
        return [], {}

    def check(self):
        """Fails if something that should run does not."""

    def last_words(self):
        """What explains a failure, of what is not a listener."""
        return ""

    def close(self):
        """Everything is gone that the stage made, but for its children."""


class Namespaces(Stage):
    """An origin, two regional relays, edges below both of them (or below one, with --single-parent), speech."""

    TOOLS = ("ip",)
    RELAYS = ["relay-1", "relay-2"]

    def __init__(self, options, folder, children):
        super().__init__(options, folder, children)
        self.tree, self.net, self.may_make_namespaces = None, None, False
        self.edges = [f"edge-{n}" for n in range(1, options.edges + 1)]

    # What a drill may have otherwise, in the order of calls; see also hurt() and heal().

    def shape(self):
        """The parents of each node."""
        one = 1 if self.options.single_parent else 2
        parents = {"origin": [], **{name: ["origin"] for name in self.RELAYS}}
        for n, edge in enumerate(self.edges):
            parents[edge] = [self.RELAYS[(n + i) % 2] for i in range(one)]
        return parents

    def choose(self, parents, chance):
        """Decides what will be hurt, with nothing started yet; `parents` of each node."""

    def make_hosts(self, names):
        """Where each node runs."""
        return {name: self.net.host(name) for name in names}

    def make_ears(self):
        """Where the listeners run: whatever has a command()."""
        return self.net.host("listeners")

    def make_tree(self, parents, hosts):
        return Tree(self.options.program, self.folder, self.children, parents, hosts,
                    max_leases=self.options.listeners + 100, live=1 if self.options.standby else None)

    def start_encoder(self, seconds):
        """Speech of that length; "sent" is its log."""
        opus = speech.make_opus(self.options.file, self.folder, seconds, self.tree.frame_ms)
        self.tree.run_at("origin", "encoder", [sys.executable, "-B", program("rtp_sender.py"), opus, self.folder / "sent",
                                               str(self.tree.frame_ms), *self.tree.inputs()])

    def start(self):
        if os.geteuid() != 0:
            raise Failure("network namespaces need root; --against a running deployment does not", 77)
        self.may_make_namespaces = True
        if why := network.why_not(self.TOOLS):
            raise Failure(why, 69)
        if not shutil.which("ffmpeg"):
            raise Failure("ffmpeg is not installed: scripts/bootstrap", 69)
        network.sweep()
        options, parents = self.options, self.shape()
        self.choose(parents, random.Random(options.seed))
        self.net = network.Net()
        hosts = self.make_hosts(list(parents))
        ears = self.make_ears()
        self.tree = self.make_tree(parents, hosts)
        self.tree.start()
        self.start_encoder(int(options.seconds) + MORE_SPEECH)
        self.listen_all([(edge, self.tree.address[edge], self.tree.key[edge]) for edge in self.edges], 1,
                        self.tree.source_keys(), ears.command)
        below = ("one parent each" if options.single_parent else
                 "a parent and a standby each" if options.standby else "below both")
        origins = "an origin" if len(self.tree.origins) == 1 else f"{len(self.tree.origins)} origins"
        self.where = (f"in namespaces: {origins}, {len(self.RELAYS)} relays, {len(self.edges)} edges ({below}), "
                      f"{options.listeners} listeners{' with a standby' if options.standby else ''}")

    def start_again(self, names):
        """Nodes that have ended. Returns, as a service manager's start does, once each answers; says how long it took."""
        began = time.monotonic()
        for name in names:
            self.tree.start_node(name)
        while None in self.tree.state(names).values():
            self.check()
            if time.monotonic() > began + STARTS:
                raise Failure(f"{' and '.join(names)}: started, and no answer within {STARTS} s", 69)
            time.sleep(0.1)
        return f"{' and '.join(names)} started again, in {time.monotonic() - began:.1f} s"

    def look(self):
        """`state` is what each node says of itself, which is kept with the rest."""
        self.state = self.tree.state()
        for name, state in self.state.items():
            (self.folder / f"{name}.json").write_text(json.dumps(state, indent=1))

    def sent(self):
        return figures.read_sent(self.folder / "sent")

    def check(self):
        self.children.check([*self.tree.names, "encoder"])

    def last_words(self):
        logs = [(name, self.folder / f"{name}.log") for name in self.tree.names] if self.tree else []
        return "\n".join(f"{name}:\n{self.children.last_words(name)}" for name, path in logs if path.exists())

    def close(self):
        if self.may_make_namespaces:
            network.remove_own()


class OneParent(Namespaces):
    """One that somebody depends on is hurt: a relay, or an edge. For drills with drill.add_victim()'s option."""

    def choose(self, parents, chance):
        if self.options.victim == "edge":
            self.victim = chance.choice(self.edges[:self.options.listeners])
        else:  # the first of an edge's is the one that is live, if one is on standby
            self.victim = chance.choice(sorted({parents[edge][0] for edge in self.edges}))
        self.children_of = [name for name in parents if self.victim in parents[name]]

    def look(self):
        """Whom those below it still have for a live parent."""
        super().look()
        self.unaware = [name for name in self.children_of if self.state[name] for up in self.state[name]["upstreams"]
                        if up["address"] == self.tree.address[self.victim] and up["state"] == "live"]

    def findings(self):
        return [f"{name} did not notice that anything happened to {self.victim}" for name in self.unaware], {}


class Cables(Namespaces):
    """Between every host and the bridge is a cable that may get faults."""

    def make_hosts(self, names):
        return {name: self.net.host(name, cable=True) for name in names}

    def make_ears(self):
        ears = self.net.host("listeners", cable=True)
        self._faults().write_text("{}")
        self.children.start("cables", [sys.executable, "-B", program("cable.py"), self._faults(), str(self.options.seed),
                                       *(",".join(host.ends) for host in self.net.hosts.values())])
        return ears

    def set_faults(self, **faults):
        """As cable.py has them, from now on."""
        self._faults().write_text(json.dumps(faults))
        self.children.running["cables"].send_signal(signal.SIGHUP)

    def check(self):
        super().check()
        self.children.check(["cables"])

    def _faults(self):
        return self.folder / "faults.json"


class Running(Stage):
    """A deployment that somebody else started: the operator's commands do the damage and undo it."""

    def __init__(self, options, folder, children):
        super().__init__(options, folder, children)
        self.victim = options.hurt_command
        self.where = f"against {', '.join(edge.split(',')[0] for edge in options.edge)}: {options.listeners} listeners"
        self.where += " with a standby" if options.standby else ""

    def start(self):
        edges = [(edge.split(",")[0], *edge.split(",")) for edge in self.options.edge]
        self.listen_all(edges, self.options.group, self.options.source_key)

    def hurt(self):
        return self.command(self.options.hurt_command)

    def heal(self):
        return self.command(self.options.heal_command) if self.options.heal_command else None

    def command(self, command):
        """Runs it with a shell, to its end. What it leaves running is not the drill's."""
        with open(self.folder / "commands.log", "a+", encoding="utf-8", errors="replace") as log:
            began = log.tell()
            process = subprocess.Popen(command, shell=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True, preexec_fn=default_signals)
            try:
                status = process.wait(COMMAND_PATIENCE)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise Failure(f"`{command}` did not end within {COMMAND_PATIENCE} s", 69) from None
                raise
            log.seek(began)
            if status != 0:
                raise Failure(f"`{command}` ended with status {status}:\n{log.read().strip()}", 69)
        return command

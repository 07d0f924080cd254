"""Where a drill is played: in network namespaces of its own, or against a running deployment. A stage starts what is
needed and the listeners, and can do the damage and undo it; when and why is the drill's."""
import os
import random
import shutil
import signal
import subprocess

import network
import speech
from children import Failure, default_signals
from tree import Tree

PATIENCE = 15  # s for listeners to hear something
COMMAND_PATIENCE = 60  # s for the operator's commands


class Stage:
    """What both have in common: listeners, each with its frame log."""

    def __init__(self, options, folder, children):
        self.options, self.folder, self.children = options, folder, children
        self.listeners = {}  # name -> the edges it receives from
        self.where = "?"

    def listen(self, number, edges, group, source_keys, wrap=lambda command: command):
        """edges: (what to call it, HOST:PORT,KEY) of each."""
        name = f"listener-{number}"
        command = [self.options.program, "listen", *(address for _, address in edges), "--group", str(group), "--quiet",
                   "--report", self.folder / f"{name}.json", "--frame-log", self.folder / f"{name}.frames"]
        for key in source_keys:
            command += ["--source-key", key]
        self.children.start(name, wrap(command))
        self.listeners[name] = "+".join(called for called, _ in edges)

    def hurt(self):
        """Does the damage; says what it did."""

    def heal(self):
        """Undoes it; says what it did, or nothing if there is no way."""

    def check(self):
        """Fails if something that should run does not."""

    def last_words(self):
        """What explains a failure, of what is not a listener."""
        return ""

    def close(self):
        """Everything is gone that the stage made, but for its children."""


class Namespaces(Stage):
    """An origin, two regional relays, edges below both of them (or below one, with --single-parent), speech."""

    RELAYS = ["relay-1", "relay-2"]

    def __init__(self, options, folder, children):
        super().__init__(options, folder, children)
        self.victim, self.tree, self.may_make_namespaces = None, None, False

    def choose(self, parents, edges, chance):
        """Decides what will be hurt, with nothing started yet; `parents` of each node."""

    def start(self):
        if os.geteuid() != 0:
            raise Failure("network namespaces need root; --against a running deployment does not", 77)
        self.may_make_namespaces = True
        if why := network.why_not(("ip",)):
            raise Failure(why, 69)
        if not shutil.which("ffmpeg"):
            raise Failure("ffmpeg is not installed: scripts/bootstrap", 69)
        network.sweep()
        options, one = self.options, 1 if self.options.single_parent else 2
        edges = [f"edge-{n}" for n in range(1, options.edges + 1)]
        parents = {"origin": [], **{name: ["origin"] for name in self.RELAYS}}
        for n, edge in enumerate(edges):
            parents[edge] = [self.RELAYS[(n + i) % 2] for i in range(one)]
        self.choose(parents, edges, random.Random(self.options.seed))
        net = network.Net()
        hosts = {name: net.host(name) for name in parents}
        ears = net.host("listeners")
        self.tree = Tree(options.program, self.folder, self.children, parents, hosts)
        self.tree.start()
        wav = speech.make_wav(options.file, self.folder, int(options.seconds) + 2 * PATIENCE)
        self.tree.run_at("origin", "ffmpeg", speech.encoder(wav, self.tree.rtp))
        for n in range(options.listeners):
            heard = [edges[(n + i) % len(edges)] for i in range(options.parents)]
            self.listen(n + 1, [(edge, f"{self.tree.address[edge]},{self.tree.key[edge]}") for edge in heard], 1,
                        [f"1:{self.tree.source}"], ears.command)
        below = "one parent each" if options.single_parent else "below both"
        self.where = (f"in namespaces: an origin, {len(self.RELAYS)} relays, {len(edges)} edges ({below}), "
                      f"{options.listeners} listeners")

    def check(self):
        self.children.check([*self.tree.names, "ffmpeg"])

    def last_words(self):
        logs = [(name, self.folder / f"{name}.log") for name in self.tree.names] if self.tree else []
        return "\n".join(f"{name}:\n{self.children.last_words(name)}" for name, path in logs if path.exists())

    def close(self):
        if self.may_make_namespaces:
            network.remove_own()


class Running(Stage):
    """A deployment that somebody else started: the operator's commands do the damage and undo it."""

    def __init__(self, options, folder, children):
        super().__init__(options, folder, children)
        self.victim = options.kill_command
        self.where = f"against {', '.join(edge.split(',')[0] for edge in options.edge)}: {options.listeners} listeners"

    def start(self):
        edges = self.options.edge
        for n in range(self.options.listeners):
            heard = [edges[(n + i) % len(edges)] for i in range(self.options.parents)]
            self.listen(n + 1, [(edge.split(",")[0], edge) for edge in heard], self.options.group, self.options.source_key)

    def hurt(self):
        return self.command(self.options.kill_command)

    def heal(self):
        return self.command(self.options.restore_command) if self.options.restore_command else None

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

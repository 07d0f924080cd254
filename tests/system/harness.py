"""Tests with the real binary in network namespaces: nodes, listeners, and a small runner. Python 3, standard library.

A test is a function test_…(t) in a file that ends with `harness.main(globals())`; t is a Test, made for it and cleaned
up after it, whatever happens. See harness_test.py."""
import argparse
import base64
import fnmatch
import functools
import hashlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import namedtuple

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(1, os.path.join(ROOT, "scripts/lib"))

import media  # noqa: E402
import network  # noqa: E402

NOBODY = 65534  # the user, and the group, without any privilege


class Failed(Exception):
    """A test's expectation that did not hold."""


class LeftOut(Exception):
    """Why a test cannot be played on this machine. It counts as passed, and says so."""


def check(condition, why):
    if not condition:
        raise Failed(why)


def equal(got, expected, what):
    check(got == expected, f"{what}: {got!r}, expected {expected!r}")


def eventually(condition, timeout, what):
    """Waits until condition() is true and gives its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < deadline, f"{what}: not within {timeout} s")
        time.sleep(0.05)  # a condition is often a process


def toml(value):
    """A TOML value; a dict is an inline table."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value)  # strings, numbers, true and false look alike in both


class Process:
    """A child in a host's namespace, with its stderr in a file."""

    def __init__(self, t, host, name):
        self.t, self.host, self.name = t, host, name
        self.log_path = os.path.join(t.dir, name + ".log")
        self.process = None
        t.processes.append(self)

    def spawn(self, command, environment=None, stdin=subprocess.DEVNULL):
        with open(self.log_path, "ab") as log:
            self.process = self.host.popen(command, stdin=stdin, stdout=log, stderr=log,
                                           env={**os.environ, **(environment or {})})

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """As power loss would: SIGKILL."""
        if self.alive:
            self.signal(signal.SIGKILL)
        return self.process.wait() if self.process else None

    def stop(self, timeout=15):
        """SIGTERM; the exit status."""
        if self.alive:
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def freeze(self, frozen=True):
        self.signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def wait(self, timeout):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end within {timeout} s") from None

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def cleanup(self):
        if self.process:
            self.kill()


Key = namedtuple("Key", "path public")
Source = namedtuple("Source", "id path public")


class Node(Process):
    """`tiercast run`. Its configuration is written at each start(), from what the fields say then; `sections` overrides
    or adds keys ({"node": {"parents": 1}}; None leaves a section out), `group` those of its one group; `extra` is more
    TOML, behind it all. `multicast`: where its parents' frames come that way, too."""

    def __init__(self, t, host, name, source=None, sources=None, upstreams=(), port=4800, v6=False, group=None,
                 sections=None, extra="", binary=None, multicast=None):
        super().__init__(t, host, name)
        self.dir = os.path.join(t.dir, name)
        os.makedirs(self.dir)
        self.key = t.keygen(os.path.join(self.dir, "node.key"))
        self.source, self.sources = source, sources
        self.upstreams, self.downstreams = list(upstreams), []
        for upstream in self.upstreams:
            upstream.downstreams.append(self)
        self.port, self.v6 = port, v6
        self.group, self.sections = dict(group or {}), dict(sections or {})
        self.extra, self.multicast = extra, multicast
        self.binary = binary or t.binary
        self.config_path = os.path.join(self.dir, "node.toml")
        self.socket = os.path.join(self.dir, "admin.sock")
        self.notified = []

    @property
    def address(self):
        return f"[{self.host.v6}]:{self.port}" if self.v6 else f"{self.host.v4}:{self.port}"

    def config(self):
        sections = {"node": {"name": self.name, "key": self.key.path}, "listen": {"address": self.address},
                    "admin": {"socket": self.socket}, "log": {"level": "debug"}}
        group = {"name": "main", "id": 1, "pinned": True,
                 "sources": [{"id": s.id, "key": s.public} for s in self.sources or self.t.sources]}
        if self.source:
            sections["node"]["state"] = os.path.join(self.dir, "state")
            os.makedirs(sections["node"]["state"], exist_ok=True)
            group["source"] = {"rtp": "127.0.0.1:5004", "id": self.source.id, "signing_key": self.source.path}
            del group["pinned"]
        group.update(self.group)
        text = ""
        for name in list(sections) + [s for s in self.sections if s not in sections]:
            changes = self.sections.get(name, {})
            if changes is None:
                continue
            keys = {**sections.get(name, {}), **changes}
            text += f"[{name}]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in keys.items()) + "\n"
        way = {"multicast": self.multicast} if self.multicast else {}
        tables = [("upstream", {"address": u.address, "public_key": u.key.public, **way}) for u in self.upstreams]
        tables += [("downstream", {"name": d.name, "public_key": d.key.public}) for d in self.downstreams]
        for name, keys in tables + [("group", group)]:
            text += f"[[{name}]]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in keys.items()) + "\n"
        return text + self.extra

    def start(self, timeout=10, stdin=subprocess.DEVNULL):
        """Until it says READY=1 to its service manager, which is this."""
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(self.config())
        path = os.path.join(self.dir, "notify.sock")
        if os.path.exists(path):
            os.unlink(path)
        self.notified = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            self.spawn([self.binary, "run", "-c", self.config_path], {"NOTIFY_SOCKET": path}, stdin)
            deadline = time.monotonic() + timeout
            while "READY=1" not in self.notified:
                if select.select([notify], [], [], 0.05)[0]:
                    self.notified += notify.recv(65536).decode().split("\n")
                elif not self.alive:
                    raise Failed(f"{self.name} ended with status {self.process.returncode} before it was ready")
                check(time.monotonic() < deadline, f"{self.name} is not ready after {timeout} s")
        return self

    def restart(self):
        self.stop()
        return self.start()

    def admin(self, *words):
        """One of the commands that talk to a running node; what it prints. Its socket is a file, whatever network."""
        return network.run(self.t.binary, *words, "--socket", self.socket)

    def status(self):
        return json.loads(self.admin("status", "--json"))


Played = namedtuple("Played", "sequence kind size hash waited_ms came_ms")  # the last: of CLOCK_MONOTONIC


class Listener(Process):
    """`tiercast listen` of group 1."""

    def __init__(self, t, host, name, parents, sources=None, options=()):
        super().__init__(t, host, name)
        base = os.path.join(t.dir, name)
        self.output, self.report_path, self.frames_path = base + ".opus", base + ".json", base + ".frames"
        self.command = [t.binary, "listen", *[f"{p.address},{p.key.public}" for p in parents], "--group", "1",
                        "-o", self.output, "--report", self.report_path, "--frame-log", self.frames_path]
        for source in sources or t.sources:
            self.command += ["--source-key", f"{source.id}:{source.public}"]
        self.command += list(options)

    def start(self):
        self.spawn(self.command)
        return self

    def report(self):
        with open(self.report_path, encoding="utf-8") as file:
            return json.load(file)

    def frames(self):
        """What the frame log says, a line per tick; complete once the listener has ended."""
        with open(self.frames_path, encoding="utf-8") as file:
            fields = [line.split() for line in file]
        return [Played(int(f[0]), f[1], int(f[2]), f[3], float(f[4]), float(f[5])) for f in fields]

    def heard(self):
        """The hashes of the frames that came, in order; to compare with opus_hash() of what was sent."""
        return [f.hash for f in self.frames() if f.kind == "frame"]

    def lost(self):
        return [f.sequence for f in self.frames() if f.kind == "lost"]


def opus_hash(packet):
    """A frame log's: BLAKE2b-128."""
    return hashlib.blake2b(packet, digest_size=16).hexdigest()


class Test:
    """What a test gets: a network, a directory, keys, and everything it starts ended after it."""

    def __init__(self, binary):
        self.binary = binary
        self.dir = tempfile.mkdtemp(prefix="tiercast-test-")
        self.processes, self.cleanups, self.mounts = [], [], []
        self.sources = []  # of the group, as nodes and listeners know them
        self.net = network.Net()

    @property
    def sanitized(self):
        """The program built with the address and undefined behaviour sanitizers: what they find ends it."""
        path = os.path.join(ROOT, "build/asan/tiercast")
        if not os.path.exists(path):
            network.run("make", "--silent", "asan", "GOALS=build/asan/tiercast", cwd=ROOT)
        return path

    def host(self, name):
        return self.net.host(name)

    def installed(self):
        """Where `make install` has put everything, as DESTDIR. Nothing is built for it: other tests run the same files."""
        root = os.path.join(self.dir, "installed")
        if not os.path.exists(root):
            network.run("make", "--silent", "install", f"BUILD={os.path.dirname(self.binary)}", f"--old-file={self.binary}",
                        f"DESTDIR={root}", cwd=ROOT)
        return root

    def keygen(self, path, *options):
        public = network.run(self.binary, "keygen", *options, "-o", path).strip()
        check(len(base64.b64decode(public, validate=True)) == 32, f"keygen printed {public!r}, not a key")
        equal(os.stat(path).st_mode & 0o777, 0o600, f"the mode of {path}")
        again = network.run(self.binary, "pubkey", *options, path).strip()
        equal(again, public, f"pubkey of {path}")
        return Key(path, public)

    def new_source(self, number=1):
        key = self.keygen(os.path.join(self.dir, f"source-{number}.key"), "--source")
        self.sources.append(Source(number, key.path, key.public))
        return self.sources[-1]

    def node(self, name, host=None, **options):
        return Node(self, host or self.host(name), name, **options)

    def home(self, name="home"):
        """A folder of nobody's, for what is not run as root."""
        path = os.path.join(self.dir, name)
        os.mkdir(path)
        os.chown(path, NOBODY, NOBODY)
        os.chmod(self.dir, 0o755)
        return path

    def disk(self, name, size):
        """A file system of that size: "16k"."""
        path = os.path.join(self.dir, name)
        os.makedirs(path)
        network.run("mount", "-t", "tmpfs", "-o", f"size={size}", "tiercast-test", path)
        self.mounts.append(path)
        return path

    def listener(self, name, parents, host=None, **options):
        return Listener(self, host or self.host(name), name, parents, **options)

    def speech(self, seconds):
        path = os.path.join(self.dir, f"speech-{seconds}.wav")
        return path if os.path.exists(path) else media.make_speech(path, seconds)

    def encoder(self, host, wav, **options):
        encoder = media.Encoder(host, wav, **options)
        self.cleanups.append(encoder.stop)
        return encoder

    def capture(self, host, **options):
        capture = media.Capture(host, os.path.join(self.dir, f"capture-{len(self.cleanups)}.pcap"), **options)
        self.cleanups.append(capture.process.kill)
        return capture

    def close(self, keep):
        mounted = [functools.partial(network.run, "umount", path) for path in self.mounts]
        for cleanup in self.cleanups + [p.cleanup for p in self.processes] + mounted + [self.net.close]:
            try:
                cleanup()
            except Exception as error:  # the others must still be cleaned up
                print(f"cleaning up: {error}", file=sys.stderr)
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)


def alone(test):
    """Marks a test that needs all processors: nothing runs beside it."""
    test.alone = True
    return test


class _Beside:
    """The process group that whoever runs the tests has at work meanwhile: it stands still while a test is alone."""

    def __init__(self, group):
        self.group = group

    def pause(self):
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def _signal(self, which):
        if self.group:
            try:
                os.killpg(self.group, which)
            except ProcessLookupError:  # it is done
                self.group = None


def _run_side_by_side(tests, options):
    """Each in a process of its own, `options.jobs` at once; then those that are marked alone."""
    waiting = [(n, f) for n, f in tests if not hasattr(f, "alone")] + [(n, f) for n, f in tests if hasattr(f, "alone")]
    beside = _Beside(options.beside)
    running, passed, failed = {}, 0, 0
    command = [sys.executable, sys.argv[0], "--binary", options.binary, "--lines", str(options.lines)]
    command += ["--keep"] if options.keep else []
    try:
        while waiting or running:
            while waiting and len(running) < (1 if hasattr(waiting[0][1], "alone") else options.jobs):
                name, function = waiting.pop(0)
                if hasattr(function, "alone"):
                    beside.pause()
                output = tempfile.TemporaryFile("w+")
                running[name] = subprocess.Popen([*command, "--exactly", name], stdout=output, stderr=output), output
            time.sleep(0.05)
            for name, (process, output) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[name]
                output.seek(0)
                lines = output.read().splitlines()
                print("\n".join(l for l in lines if not l.endswith(" failed")), flush=True)
                good = process.returncode == 0
                passed, failed = passed + good, failed + (not good)
    finally:
        beside.resume()
        for process, _ in running.values():
            process.terminate()  # it cleans up
        for process, _ in running.values():
            process.wait()
    return passed, failed


def _run_one(function, name, options):
    began = time.monotonic()
    test, why = None, None
    try:
        test = Test(options.binary)
        function(test)
        for afterwards in getattr(function, "afterwards", ()):
            afterwards(test)
    except LeftOut as reason:
        print(f"left out {name}: {reason}")
    except Exception as error:
        at = error.__traceback__
        while at.tb_next and at.tb_next.tb_frame.f_code.co_filename == function.__code__.co_filename:
            at = at.tb_next
        kind = "" if isinstance(error, Failed) else f"{type(error).__name__}: "
        why = f"{kind}{error} (line {at.tb_lineno})"
    finally:
        logs = [(p.name, p.log()) for p in test.processes] if test else []
        if test:
            test.close(options.keep)
    if why is None:
        print(f"ok {name} ({time.monotonic() - began:.1f} s)", flush=True)
        return True
    print(f"FAILED {name}: {why}")
    for process, log in logs:
        for line in log.splitlines()[-options.lines:]:
            print(f"    {process}: {line}")
    if options.keep:
        print(f"    kept: {test.dir}" if test else "")
    sys.stdout.flush()
    return False


def main(names):
    """Runs the test_… functions among `names` (a module's globals()) and exits; 0: none failed."""
    parser = argparse.ArgumentParser(description="Tests with the real binary in network namespaces; needs root.")
    parser.add_argument("--binary", default=os.path.join(ROOT, "build/release/tiercast"))
    parser.add_argument("--only", default="*", metavar="PATTERN", help="test names, with * and ?")
    parser.add_argument("--exactly", metavar="NAME", help="this one test")
    parser.add_argument("--repeat", type=int, default=1, metavar="N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="tests at once")
    parser.add_argument("--beside", type=int, metavar="GROUP", help="a process group that tests which must be alone pause")
    parser.add_argument("--lines", type=int, default=25, metavar="N", help="of each log, after a failure")
    parser.add_argument("--keep", action="store_true", help="keep the tests' files")
    options = parser.parse_args()
    options.binary = os.path.abspath(options.binary)
    pattern = options.only if set(options.only) & set("*?") else f"*{options.only}*"
    tests = [(n, f) for n, f in names.items() if n.startswith("test_") and callable(f) and fnmatch.fnmatch(n, pattern)]
    if options.exactly:
        tests = [(n, f) for n, f in names.items() if n == options.exactly]
    if not tests:
        sys.exit(f"no test is named like {options.exactly or options.only}")
    reason = network.why_not()
    if reason:
        print(f"skipped: {reason}")
        print(f"0 passed, 0 failed, {len(tests)} skipped")
        sys.exit(0)
    network.sweep()
    # A signal is an exception like any other, so that everything is cleaned up. Also Ctrl-C's where a shell that starts
    # this in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    passed = failed = 0
    try:
        for turn in range(options.repeat):
            if options.jobs > 1:
                good, bad = _run_side_by_side(tests, options)
                passed, failed = passed + good, failed + bad
                continue
            for name, function in tests:
                good = _run_one(function, name if options.repeat == 1 else f"{name} #{turn + 1}", options)
                passed, failed = passed + good, failed + (not good)
    finally:
        print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)

"""README.md's commands, and that tests run them, as they stand there.

    @readme.runs("As a service", "systemctl enable", "journalctl")   # those of the section that begin so; all, without
    def test_…(t):
        shell = readme.Shell(t, host)
        shell.run(readme.commands("As a service", "systemctl enable"))

A test that promises commands fails unless bash came to each of them, and each ended well or was running when the test
ended it. test_readme.py sees to it that every command is promised by a test."""
import functools
import os
import re
import shlex
import signal
import subprocess
from collections import namedtuple

import harness
from harness import ROOT, check

PATH = os.path.join(ROOT, "README.md")

# What no test runs, and why.
NOT_RUN = {"scripts/test": "it runs these tests, and would not end"}
# Programs that are others here, and why.
STAND_INS = {"ssh": "the machines are namespaces of this one: the rest of the line is run in the one of that name",
             "sudo": "these tests are root's already"}

# `comment`: the lines of comment that stand above it, up to an empty line.
Command = namedtuple("Command", "number section text comment")
Block = namedtuple("Block", "section language lines")

VARIABLES = "variables:"  # behind this the ledger has a shell's, when it has come to its end


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def text():
    return read(PATH)


def section(name):
    """What stands below that heading."""
    parts = [part for part in re.split(r"^##? ", text(), flags=re.M) if part.startswith(name + "\n")]
    check(len(parts) == 1, f"README.md has {len(parts)} sections {name!r}")
    return parts[0]


def blocks(whole):
    """What is fenced, by section: a heading of the second level, and the first one what precedes those."""
    out, heading, block = [], "", None
    for line in whole.splitlines():
        if line.startswith("```"):
            block = None if block else Block(heading, line[3:].strip(), [])
            out += [block] if block else []
        elif block:
            block.lines.append(line)
        elif line.startswith(("# ", "## ")):
            heading = line.lstrip("# ").strip()
    return out


def _whole(lines):
    """How many lines the first one's command has: \\ at a line's end, here-documents, loops."""
    documents, loops = [], 0
    for at, line in enumerate(lines):
        if documents:
            documents = documents[line.strip() == documents[0]:]
        else:
            documents = re.findall(r"<<-?\s*['\"]?(\w+)", line)
            loops += bool(re.match(r"\s*(for|while|if)\b", line)) - bool(re.search(r"(^|;)\s*(done|fi)\b", line))
        if not documents and loops <= 0 and not line.endswith("\\"):
            return at + 1
    return len(lines)


def parse(whole):
    """The commands of all blocks that are marked as sh, in their order."""
    out = []
    for block in blocks(whole):
        lines, comment, under = block.lines if block.language == "sh" else [], "", False
        while lines:
            if lines[0].startswith("#"):
                comment = lines[0] if under or not comment else comment + "\n" + lines[0]
                lines, under = lines[1:], False
                continue
            if not lines[0].strip():
                lines, comment = lines[1:], ""
                continue
            count = _whole(lines)
            out.append(Command(len(out), block.section, "\n".join(lines[:count]), comment))
            lines, under = lines[count:], True
    return out


def select(all_commands, name, beginnings=()):
    """Those of that section, or of these those that begin so, or are so, with $ at the end. Each must be of at least one."""
    found = [c for c in all_commands if c.section == name]

    def meant(command, beginning):
        return command.text.startswith(beginning) or beginning == _without_comment(command.text) + "$"
    missing = [b for b in beginnings or ("",) if not any(meant(c, b) for c in found)]
    check(not missing, f"README.md has no command in {name!r} that begins with {missing}")
    return [c for c in found if not beginnings or any(meant(c, b) for b in beginnings)]


def _without_comment(line):
    return re.sub(r"\s+#\s.*$", "", line)


def commands(name, *beginnings):
    return select(parse(text()), name, beginnings)


# --- which test runs what ---

promises = []  # (test, section, beginnings)


def runs(name, *beginnings):
    def promise(test):
        promises.append((test, name, beginnings))
        test.afterwards = [functools.partial(all_ran, test)]
        return test
    return promise


def unpromised():
    """Those that no test runs, and that are not known for that."""
    promised = {c for _, name, beginnings in promises for c in commands(name, *beginnings)}
    return [c.text for c in parse(text()) if c not in promised and _without_comment(c.text) not in NOT_RUN]


def all_ran(test, t):
    """Fails unless everything ran that the test has promised, word for word. What still runs is ended."""
    fates = {}
    for run in getattr(t, "readme_runs", []):
        for command, fate in run.fates().items():
            fates.setdefault(command, []).append(fate)
    for _, name, beginnings in [p for p in promises if p[0] is test]:
        for command in commands(name, *beginnings):
            bad = [fate for fate in fates.get(command, ["was not run"]) if fate not in ("ended", "was ended")]
            check(not bad, f"README.md: {command.text!r} {' and '.join(bad)}")


# --- running them ---


class Here:
    """This machine, where others are hosts of the test's network."""
    name = "here"

    @staticmethod
    def popen(command, **options):
        return subprocess.Popen(command, preexec_fn=harness.network.die_with_parent, **options)


class Run(harness.Process):
    """Some commands, one after the other, in one bash. What they print is in said(), with errors in log()."""

    def __init__(self, t, host, name, some, script, folder, environment, user):
        super().__init__(t, host, name)
        self.commands = {command.number: command for command in some}
        self.ledger_path = os.path.join(t.dir, name + ".ledger")
        enter = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        self.ended_by_test = False
        ledger = os.open(self.ledger_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        with open(self.log_path, "wb") as log, open(self.log_path + ".out", "wb") as out:
            self.process = host.popen([*enter, "bash", "-c", script.replace("LEDGER", str(ledger))], cwd=folder,
                                      env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=log, pass_fds=[ledger],
                                      start_new_session=True)
        os.close(ledger)

    def said(self):
        return read(self.log_path + ".out")

    def log(self):
        return self.said() + read(self.log_path)

    def kill(self):
        """And what it has left running."""
        if self.alive:
            self.ended_by_test = True
            self.process.kill()  # first: it must not tell of the others' end
        self.process.wait()
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def finish(self, timeout):
        """Its end, which must be a good one."""
        status = self.wait(timeout)
        check(status == 0, f"README.md's commands ended with status {status}: {self.log()!r}")

    def _told(self):
        fates, _, variables = read(self.ledger_path).partition(VARIABLES)
        return fates, variables

    def fates(self):
        """What became of each command that it came to."""
        if self.alive:
            self.kill()
        cut = "was ended" if self.ended_by_test else "was cut off"
        told = dict(line.split(" ", 1) for line in self._told()[0].splitlines())
        return {self.commands[int(number)]: cut if fate == "begins" else fate for number, fate in told.items()}

    def variables(self):
        """Those of a shell that has come to its end."""
        return dict(v.split("=", 1) for v in self._told()[1].split("\0") if "=" in v and not v.startswith(("_=", "SHLVL=")))


class Shell:
    """A bash in a folder of a host that runs commands of the README. Variables last from one run to the next. `host` is
    whatever has a popen()."""

    def __init__(self, t, host=Here, folder=None, user=None, path=None, environment=None):
        self.t, self.host, self.folder, self.user = t, host, folder, user
        self.bin = os.path.join(t.dir, "bin")
        os.chmod(t.dir, 0o755)
        if not os.path.exists(self.bin):
            os.mkdir(self.bin)
            subprocess.run(["cp", t.binary, self.bin], check=True)  # where also an unprivileged user can run it
        self.environment = {**os.environ, **(environment or {}), "PATH": path or f"{self.bin}:{os.environ['PATH']}"}
        t.readme_runs = getattr(t, "readme_runs", [])

    def stand_in(self, program, script):
        check(program in STAND_INS, f"{program} has no place among the programs that are others here")
        with open(os.path.join(self.bin, program), "w", encoding="utf-8") as file:
            file.write(f"#!/bin/bash\n{script}\n")
        os.chmod(file.name, 0o755)

    def start(self, some, more=(), status=0):
        """`more`: words behind the last one; `status`: how that must end. A Run, which goes on."""
        script = ("set -e -o pipefail -o allexport\n"
                  "trap 'echo $readme_command failed with status $? >&LEDGER' ERR\n")
        for command in some:
            line = command.text
            if more and command is some[-1]:
                line = _without_comment(line) + " " + shlex.join(more)
            if status and command is some[-1]:
                line = f"trap - ERR; set +e\n{line}\n" + (
                    f"[ $? = {status} ] || {{ echo $readme_command did not end with status {status} >&LEDGER; exit 1; }}")
            script += (f"readme_command={command.number}; echo $readme_command begins >&LEDGER\n{line}\n"
                       "echo $readme_command ended >&LEDGER\n")
        script += f"echo -n '{VARIABLES}' >&LEDGER; env -0 >&LEDGER\n"
        run = Run(self.t, self.host, f"readme-{len(self.t.readme_runs)}", some, script, self.folder, self.environment,
                  self.user)
        self.t.readme_runs.append(run)
        return run

    def run(self, some, timeout=30, **how):
        """All of it, to its end; the Run."""
        run = self.start(some, **how)
        run.finish(timeout)
        self.environment.update(run.variables())
        return run

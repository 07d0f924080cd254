"""What every drill has in common: listeners play a stream, something is hurt in the middle, and what the listeners got
is measured and judged. A drill is a parser() with options of its own, and a Namespaces that knows how to hurt() and
heal(); see kill-relay."""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, "../lib"))

import figures  # noqa: E402
import stages  # noqa: E402
from children import Children, Failure, Interrupted, ignore_signals, raise_on_signals  # noqa: E402

BUILT = os.path.normpath(os.path.join(HERE, "../../build/release/tiercast"))
SETTLE = 1  # s from the last listener's first tick to the beginning of what is measured
ENOUGH = 0.5  # s each listener must have played by then
AFTER = 2  # s: what was sent until the end is played or given up then
MOST_LISTENERS = 64


def now():
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        print(f"{self.prog}: {message}; see --help", file=sys.stderr)
        sys.exit(64)


def parser(name, description, epilog):
    out = Parser(prog=name, description=description, epilog=epilog, allow_abbrev=False,
                 formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("file", nargs="?", metavar="FILE",
                     help="speech to send, anything that ffmpeg reads; repeated if short")
    out.add_argument("--listeners", type=int, default=12, metavar="N", help="in all; default 12")
    out.add_argument("--parents", type=int, metavar="N", help="edges that each listener receives from at once; default 1")
    out.add_argument("--seconds", type=float, default=20, metavar="S", help="measured; default 20")
    out.add_argument("--restart-after", type=float, metavar="S", help="undo the damage S seconds after it")
    out.add_argument("--seed", type=int, metavar="N", help="what is left to chance; printed")
    out.add_argument("--program", metavar="FILE", help="tiercast; default build/release/tiercast, else the one in PATH")
    out.add_argument("--keep", metavar="DIR", help="keep configurations, logs and reports in this new directory")
    out.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    own = out.add_argument_group("in network namespaces of its own (the default; root)")
    own.add_argument("--edges", type=int, metavar="N", help="default 2")
    own.add_argument("--single-parent", action="store_true", help="nobody has a second parent")
    running = out.add_argument_group("against a running deployment")
    running.add_argument("--against", action="store_true", help="start listeners only")
    running.add_argument("--edge", action="append", default=[], metavar="HOST:PORT,KEY", help="an edge; several times")
    running.add_argument("--group", type=int, metavar="ID", help="default 1")
    running.add_argument("--source-key", action="append", default=[], metavar="ID:KEY", help="of the group")
    running.add_argument("--kill-command", metavar="COMMAND", help="does the damage; run by sh")
    running.add_argument("--restore-command", metavar="COMMAND", help="undoes it; at the end, unless --restart-after")
    bars = out.add_argument_group("bars, above which the drill fails")
    bars.add_argument("--max-lost", type=int, default=0, metavar="N", help="frames lost by all together; default 0")
    bars.add_argument("--max-twice", type=int, default=0, metavar="N", help="frames played twice; default 0")
    bars.add_argument("--max-gap", type=float, metavar="MS", help="longest gap between arrivals; default: no bar")
    bars.add_argument("--max-recovery", type=float, metavar="MS", help="time to recover; default: no bar, but it must")
    return out


def parse(parser):
    """The options, checked; what is only of the other stage is refused."""
    options = parser.parse_args()

    def refuse(names, why):
        for name in names:
            if getattr(options, name, None):
                parser.error(f"{'FILE' if name == 'file' else '--' + name.replace('_', '-')} {why}")

    if options.against:
        refuse(("file", "edges", "single_parent", "victim"), "is for namespaces of the drill's own, not for --against")
        for name in ("edge", "source_key", "kill_command"):
            if not getattr(options, name):
                parser.error(f"--against needs --{name.replace('_', '-')}")
        for edge in options.edge:
            if not re.fullmatch(r"[^,\s]+:\d+,[A-Za-z0-9+/]{43}=", edge):
                parser.error(f"--edge {edge}: give HOST:PORT,KEY with the edge's public key")
        if options.restart_after is not None and not options.restore_command:
            parser.error("--restart-after needs --restore-command")
        options.group = options.group or 1
    else:
        refuse(("edge", "group", "source_key", "kill_command", "restore_command"), "needs --against")
        options.edges = 2 if options.edges is None else options.edges
        if options.single_parent and (options.parents or 1) > 1:
            parser.error("--parents: --single-parent means one")
        if options.parents is None and getattr(options, "victim", None) == "edge" and not options.single_parent:
            options.parents = 2
        if options.file and not os.access(options.file, os.R_OK):
            parser.error(f"{options.file} cannot be read")
    options.parents = 1 if options.parents is None else options.parents
    edges = len(options.edge) if options.against else options.edges
    for name, value, least, most in (("--listeners", options.listeners, 1, MOST_LISTENERS), ("--edges", edges, 1, 16),
                                     ("--parents", options.parents, 1, edges), ("--seconds", options.seconds, 4, 600)):
        if not least <= value <= most:
            parser.error(f"{name} {value:g}: use {least} to {most}")
    if options.restart_after is not None and not 0 <= options.restart_after <= 0.4 * options.seconds:
        parser.error(f"--restart-after {options.restart_after:g}: use 0 to {0.4 * options.seconds:g}, or more --seconds")
    options.program = options.program or (BUILT if os.path.exists(BUILT) else shutil.which("tiercast"))
    if not options.program or not os.access(options.program, os.X_OK):
        parser.error(f"{options.program or 'tiercast'} is not there to be run: build it, or give --program")
    options.program = os.path.abspath(options.program)
    options.seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    return options


class Play:
    """One performance of a drill on its stage, by the clock."""

    def __init__(self, stage, options):
        self.stage, self.options = stage, options
        self.began = now()
        self.owes_healing = False

    def say(self, text):
        print(f"{now() - self.began:6.1f} s  {text}", file=sys.stderr, flush=True)

    def sleep_until(self, time_):
        while (left := time_ - now()) > 0:
            self.stage.check()
            time.sleep(min(left, 0.2))

    def everybody_hears(self):
        until = now() + stages.PATIENCE
        waiting = list(self.stage.listeners)
        while waiting:
            self.stage.check()
            try:
                self.stage.children.check(waiting)
            except Failure as failure:
                raise Failure(str(failure), 69) from None
            waiting = [name for name in waiting if not self.hears(name)]
            if now() > until:
                raise Failure(f"after {stages.PATIENCE} s {waiting[0]}, which listens to "
                              f"{self.stage.listeners[waiting[0]]}, hears nothing", 69)
            time.sleep(0.1)

    def hears(self, name):
        came = figures.came(self.log(name))
        return len(came) >= 25 and (self.options.against or came[-1].kind == "frame")

    def log(self, name):
        path = self.stage.folder / f"{name}.frames"
        return figures.read_log(path) if path.exists() else []

    def heal(self):
        did = self.stage.heal()
        self.owes_healing = False
        if did:
            self.say(did)

    def perform(self):
        """What is measured, and the listeners: (name, from, exit status if it ended by itself, ticks)."""
        options, stage = self.options, self.stage
        stage.start()
        self.everybody_hears()
        time.sleep(SETTLE)
        self.say(f"{stage.where}; seed {options.seed}")
        begin = now()
        self.sleep_until(begin + options.seconds * random.Random(f"{options.seed} when").uniform(0.45, 0.55))
        hurt_began = now()
        self.owes_healing = options.against
        self.say(stage.hurt())
        hurt_ended = now()
        if options.restart_after is not None:
            self.sleep_until(hurt_ended + options.restart_after)
            self.heal()
        self.sleep_until(begin + options.seconds)
        end = now()
        self.sleep_until(end + AFTER)
        ended = {name: stage.children.running[name].poll() for name in stage.listeners}
        stage.children.stop(stage.listeners)
        if self.owes_healing:
            self.heal()
        span = figures.Span(*(at * 1000 for at in (begin, hurt_began, hurt_ended, end)))
        return span, [(name, edge, ended[name], self.log(name)) for name, edge in stage.listeners.items()]


def judge(name, play, span, listeners):
    """The result as --json prints it, and the figures for the table."""
    options = play.options
    try:
        each, frame = figures.measure(listeners, span)
    except figures.NothingToMeasure as nothing:
        raise Failure(str(nothing), 69) from None
    bars = {"lost": options.max_lost, "twice": options.max_twice, "gap_ms": options.max_gap,
            "recovery_ms": options.max_recovery}
    reasons = figures.reasons_to_fail(each, bars)
    rounded = [{k: round(v, 3) if isinstance(v, float) else v for k, v in f._asdict().items()} for f in each]
    whole = {k: round(v, 3) if isinstance(v, float) else v for k, v in figures.summary(each).items()}
    return {"drill": name, "stage": "against" if options.against else "namespaces",
            "verdict": "FAIL" if reasons else "PASS", "reasons": reasons, "victim": play.stage.victim, "seed": options.seed,
            "frame_ms": frame, "seconds": options.seconds, "hurt_after_s": round((span.hurt_began - span.begin) / 1000, 3),
            "restart_after_s": options.restart_after, **whole, "bars": bars, "listeners": rounded}, each


def show(result, each, as_json):
    if as_json:
        return print(json.dumps(result, indent=2))
    print(f"\n{figures.table(each)}\n")
    if result["verdict"] == "FAIL":
        return print(f"FAIL: {'; '.join(result['reasons'])}")
    print(f"PASS: {result['lost']} frames lost, {result['twice']} played twice by {len(each)} listeners; longest gap "
          f"{result['longest_gap_ms']:.0f} ms, recovered in {result['recovery_ms']:.0f} ms")


def main(parser, namespaces, running=stages.Running):
    """Runs the drill on the stage that the options choose; the exit status: 0 PASS, 1 FAIL, others: it could not run."""
    options, name = parse(parser), parser.prog
    raise_on_signals()
    status, stage, play, children = 70, None, None, None
    folder = None
    try:
        folder = make_folder(options.keep)
        children = Children(folder)
        stage = (running if options.against else namespaces)(options, folder, children)
        play = Play(stage, options)
        span, listeners = play.perform()
        result, each = judge(name, play, span, listeners)
        status = 1 if result["verdict"] == "FAIL" else 0
    except Failure as failure:
        print(f"{name}: {failure}", file=sys.stderr)
        if stage and (words := stage.last_words()):
            print(words, file=sys.stderr)
        status = failure.status if failure.status != 1 else 70
    except Interrupted as interrupted:
        print(f"{name}: interrupted", file=sys.stderr)
        status = interrupted.status
    finally:
        ignore_signals()
        clear_up(name, options, play, stage, children, folder)
    if status in (0, 1):
        show(result, each, options.json)
    return status


def make_folder(keep):
    if not keep:
        return pathlib.Path(tempfile.mkdtemp(prefix="tiercast-drill-"))
    folder = pathlib.Path(keep).absolute()
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise Failure(f"--keep {keep}: {error.strerror}", 73) from None
    return folder


def clear_up(name, options, play, stage, children, folder):
    """Whatever was done is undone, in this order: what was hurt, processes, namespaces, files."""
    if play and play.owes_healing:
        try:
            play.heal()
        except Failure as failure:
            print(f"{name}: not undone: {failure}", file=sys.stderr)
    if children:
        children.stop()
    if stage:
        stage.close()
    if folder and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)

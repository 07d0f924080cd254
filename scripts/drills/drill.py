"""What every drill has in common: listeners play a stream, something is hurt in the middle, and what the listeners got
is measured and judged. A drill is an executable file here: a docstring for its --help, a parser() with what it changes of
the options, and a stages.Namespaces that knows how to hurt() and heal(); see kill-parent."""
import argparse
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, "../lib"))

import figures  # noqa: E402
import stages  # noqa: E402
from children import Children, Failure, Interrupted, ignore_signals, raise_on_signals  # noqa: E402

BUILT = os.path.normpath(os.path.join(HERE, "../../build/release/tiercast"))
SETTLE = 1  # s from the last listener's first tick to the beginning of what is measured
ENOUGH = 0.5  # s each listener must have played by then
LEAST_AFTER = 3  # s that are measured after an undoing, at least: who was cut off comes back then
AFTER = 2  # s: what was sent until the end is played or given up then
MOST_LISTENERS = 1000
MOST_PARENTS = 8  # live ones of a listener
STANDBY_MS = 200  # what a standby is for: nothing is lost by who plays so much later, and nobody waits longer
STANDBY_JOINS = 4  # s after the others, about: it is no hurry
COMMON = """
What is measured begins a second after the last listener heard something and, with --standby, has one; it is longer than
--seconds by as long as the damage and its undoing take, and goes on for three seconds after these. Lost is what was
sent in that time and never came; the longest gap is between two arrivals since the damage ("before": until it). Recovered
is who has got all that was sent until then, and waits for nothing for a second. In namespaces a node that is started again
is back once it answers, within 10 s. PASS: nothing was above its limit, and
everybody recovered.

The heal command is run also when the drill is interrupted or fails after the damage.
Exit status: 0 PASS, 1 FAIL; others: the drill could not be run (64 command line, 69 something is missing or does not
answer, 77 not root), 128 + N when ended by signal N."""


def now():
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        print(f"{self.prog}: {message}; see --help", file=sys.stderr)
        sys.exit(64)


def parser(text, short=None, variants=((),), long_variants=(), **defaults):
    """The options of the drill that is run, with other defaults and, for --short, yet others. `text`: its help;
    `variants`: options of each way in which scripts/drills/all plays it, `long_variants`: of more ways, but for --short."""
    description, _, epilog = text.partition("\n\n")
    out = Parser(prog=os.path.basename(sys.argv[0]), description=description, epilog=epilog.rstrip() + "\n" + COMMON,
                 allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("file", nargs="?", metavar="FILE",
                     help="speech to send, anything that ffmpeg reads; repeated if short")
    out.add_argument("--listeners", type=int, default=12, metavar="N", help="in all; default %(default)s")
    out.add_argument("--parents", type=int, metavar="N", help="edges that each listener receives from at once; default 1")
    out.add_argument("--standby", action="store_true",
                     help="one more edge stands by for each listener, and in namespaces one of two parents for each node; "
                          f"--playout and, where nothing may be lost, --max-gap are {STANDBY_MS} then")
    out.add_argument("--playout", type=int, metavar="MS", help="of the listeners; default: theirs")
    out.add_argument("--seconds", type=float, default=20, metavar="S", help="measured; default %(default)g")
    out.add_argument("--heal-after", type=float, metavar="S",
                     help="undo the damage S seconds after it" + (f"; default {defaults['heal_after']:g}"
                                                                  if "heal_after" in defaults else ""))
    out.add_argument("--short", action="store_true", help="other defaults, for a drill of some seconds")
    out.add_argument("--seed", type=int, metavar="N", help="what is left to chance; printed")
    out.add_argument("--program", metavar="FILE", help="tiercast; default build/release/tiercast, else the one in PATH")
    out.add_argument("--keep", metavar="DIR", help="keep configurations, logs and reports in this new directory")
    out.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    out.add_argument("--variants", action="store_true", 
                     help="only print the ways in which scripts/drills/all plays it, each after the seconds measured, and "
                          "waited for a standby")
    own = out.add_argument_group("in network namespaces of its own (the default; root)")
    own.add_argument("--edges", type=int, metavar="N", help="default 2")
    own.add_argument("--single-parent", action="store_true", help="nobody has a second parent")
    running = out.add_argument_group("against a running deployment")
    running.add_argument("--against", action="store_true", help="start listeners only")
    running.add_argument("--edge", action="append", default=[], metavar="HOST:PORT,KEY", help="an edge; several times")
    running.add_argument("--group", type=int, metavar="ID", help="default 1")
    running.add_argument("--source-key", action="append", default=[], metavar="ID:KEY", help="of the group")
    running.add_argument("--hurt-command", metavar="COMMAND", help="does the damage; run by sh")
    running.add_argument("--heal-command", metavar="COMMAND", help="undoes it; at the end, unless --heal-after")
    bars = out.add_argument_group("limits, above which the drill fails; default: none")
    for name, kind, metavar, text in (
            ("max-lost", int, "N", "frames lost by all together"),
            ("max-lost-percent", float, "P", "of what was sent since the damage, until its undoing"),
            ("grace", float, "MS", "but for what is sent from the damage until so long after its undoing"),
            ("max-twice", int, "N", "frames played twice"),
            ("max-altered", int, "N", "frames that are not as they were sent"),
            ("max-gap", float, "MS", "longest gap between arrivals"),
            ("max-recovery", float, "MS", "time to recover, with --grace since the undoing's end")):
        usual = 0 if name in ("max-lost", "max-twice", "max-altered") else None
        default = defaults.get(key := name.replace("-", "_"), usual)
        bars.add_argument(f"--{name}", type=kind, metavar=metavar, default=default,
                          help=text + (f"; default {default:g}" if default is not None else ""))
        defaults.pop(key, None)
    out.set_defaults(**defaults)
    out.of_short = {"seconds": 5, "listeners": 6, **({"heal_after": 1} if "heal_after" in defaults else {}),
                    **(short or {})}
    out.of_all, out.of_all_long = variants, long_variants
    return out


VICTIMS = ((), ("--victim", "edge"))  # variants of add_victim()
STANDBYS = tuple(("--standby", *way) for way in VICTIMS)


def add_victim(parser):
    """For a stages.OneParent."""
    parser.add_argument("--victim", choices=("relay", "edge"), help="which of the namespaces' nodes is hurt; default relay")
    return parser


def parse(parser):
    """The options, checked; what is only of the other stage is refused."""
    options, _ = parser.parse_known_args()
    if options.short:
        parser.set_defaults(**parser.of_short)
    options = parser.parse_args()
    if options.variants:
        for way in (*parser.of_all, *(() if options.short else parser.of_all_long)):
            print(shlex.join([f"{options.seconds + (STANDBY_JOINS if '--standby' in way else 0):g}", *way]))
        sys.exit(0)

    def refuse(names, why):
        for name in names:
            if getattr(options, name, None):
                parser.error(f"{'FILE' if name == 'file' else '--' + name.replace('_', '-')} {why}")

    if options.against:
        refuse(("file", "edges", "single_parent", "victim"),
               "is for namespaces of the drill's own, not for --against")
        for name in ("edge", "source_key", "hurt_command"):
            if not getattr(options, name):
                parser.error(f"--against needs --{name.replace('_', '-')}")
        for edge in options.edge:
            if not re.fullmatch(r"[^,\s]+:\d+,[A-Za-z0-9+/]{43}=", edge):
                parser.error(f"--edge {edge}: give HOST:PORT,KEY with the edge's public key")
        if options.heal_after is not None and not options.heal_command:
            parser.error("--heal-after needs --heal-command")
        options.group = options.group or 1
    else:
        refuse(("edge", "group", "source_key", "hurt_command", "heal_command"), "needs --against")
        options.edges = 2 if options.edges is None else options.edges
        if options.single_parent and (options.parents or 1) > 1:
            parser.error("--parents: --single-parent means one")
        if options.single_parent and options.standby:
            parser.error("--standby: --single-parent means that there is no other")
        hurts_edges = getattr(options, "victim", None) == "edge" or getattr(options, "hurts_edges", False)
        if options.parents is None and hurts_edges and not options.single_parent and not options.standby:
            options.parents = 2
        if options.file and not os.access(options.file, os.R_OK):
            parser.error(f"{options.file} cannot be read")
    options.parents = 1 if options.parents is None else options.parents
    if options.standby:
        options.playout = options.playout or STANDBY_MS
        if options.max_gap is None and options.max_lost == 0 and options.grace is None:
            options.max_gap = STANDBY_MS
    edges = len(options.edge) if options.against else options.edges
    most_parents = min(MOST_PARENTS, edges - options.standby)
    for name, value, least, most in (("--listeners", options.listeners, 1, MOST_LISTENERS),
                                     ("--edges", edges, 1 + options.standby, 16),
                                     ("--parents", options.parents, 1, most_parents),
                                     ("--seconds", options.seconds, 4, 600)):
        if not least <= value <= most:
            parser.error(f"{name} {value:g}: use {least} to {most}")
    if options.heal_after is not None and not 0 <= options.heal_after <= 0.4 * options.seconds:
        parser.error(f"--heal-after {options.heal_after:g}: use 0 to {0.4 * options.seconds:g}, or more --seconds")
    # WHEN: the damage comes after 0.55 of what is measured at the latest.
    after = max(0.45 * options.seconds - (options.heal_after or 0), LEAST_AFTER)
    if options.grace and options.heal_after is not None and after * 1000 < options.grace + figures.SETTLED:
        parser.error(f"--seconds {options.seconds:g}: too few to see who has recovered --grace {options.grace:g} ms after "
                     "the undoing")
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
            waiting = [name for name in waiting if self.lacks(name)]
            if waiting and now() > until:
                raise Failure(f"after {stages.PATIENCE} s {waiting[0]}, which listens to "
                              f"{self.stage.listeners[waiting[0]][0]}, {self.lacks(waiting[0])}", 69)
            time.sleep(0.1)

    def lacks(self, process):
        """What one of that process's listeners does, or does not yet, that what is measured may not begin with."""
        if not all(map(self.hears, self.stage.logs(process).values())):
            return "hears nothing"
        return "" if self.stage.has_parents(process) else "lacks a parent"

    def hears(self, ticks):
        came = figures.came(ticks)
        return len(came) >= 25 and (self.options.against or came[-1].kind == "frame")

    def after(self, before):
        """s to be measured after it all."""
        if self.options.heal_after is None:
            return self.options.seconds - before
        return max(self.options.seconds - before - self.options.heal_after, LEAST_AFTER)

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
        calm = options.seconds * random.Random(f"{options.seed} when").uniform(*stage.WHEN)
        begin = now()
        self.sleep_until(begin + calm)
        hurt_began = now()
        self.owes_healing = options.against
        self.say(stage.hurt())
        hurt_ended, healed = now(), None
        if options.heal_after is not None:
            self.sleep_until(hurt_ended + options.heal_after)
            stage.look()
            heal_began = now()
            self.heal()
            healed = heal_began * 1000, now() * 1000
        # On a busy machine all of this takes its time, of which nothing is taken from what comes after.
        self.sleep_until(now() + self.after(calm))
        end = now()
        if healed is None:
            stage.look()
        stage.look_back()
        self.sleep_until(end + AFTER)
        ended = {name: stage.children.running[name].poll() for name in stage.listeners}
        stage.children.stop(stage.listeners)
        if self.owes_healing:
            self.heal()
        span = figures.Span(*(at * 1000 for at in (begin, hurt_began, hurt_ended, end)), healed, options.grace)
        return span, [(name, edge, ended[process], ticks) for process, (edge, *_) in stage.listeners.items()
                      for name, ticks in stage.logs(process).items()]


def judge(name, play, span, listeners):
    """The result as --json prints it, and the figures for the table."""
    options, stage = play.options, play.stage
    try:
        each, frame, meanwhile = figures.measure(listeners, span, stage.sent())
    except figures.NothingToMeasure as nothing:
        raise Failure(str(nothing), 69) from None
    if stage.LASTING:  # nothing to recover from
        each = [of._replace(recovery_ms=None) for of in each]
    bars = {"lost": options.max_lost, "lost_percent": options.max_lost_percent, "altered": options.max_altered,
            "twice": options.max_twice, "gap_ms": options.max_gap, "recovery_ms": options.max_recovery}
    whole = figures.summary(each, meanwhile)
    more_reasons, more = stage.findings()
    reasons = figures.reasons_to_fail(each, bars, whole, stage.LASTING) + more_reasons

    def rounded(fields):
        return {k: round(v, 3) if isinstance(v, float) else v for k, v in fields.items()}
    return {"drill": name, "stage": "against" if options.against else "namespaces",
            "verdict": "FAIL" if reasons else "PASS", "reasons": reasons, "victim": stage.victim, "seed": options.seed,
            "frame_ms": frame, "seconds": round((span.end - span.begin) / 1000, 3), "hurt_after_s": round((span.hurt_began - span.begin) / 1000, 3),
            "heal_after_s": round((span.healed[0] - span.hurt_ended) / 1000, 3) if span.healed else None, **rounded(whole), "bars": {**bars, "grace_ms": options.grace}, **more,
            "listeners": [rounded(f._asdict()) for f in each]}, each


def show(result, each, lasting, as_json):
    if as_json:
        return print(json.dumps(result, indent=2))
    grace = result["bars"]["grace_ms"]
    excused = "" if grace is None else f"; what was sent from the damage until {grace:g} ms after its undoing may be lost"
    print(f"\n{figures.table(each, lasting)}\n\nlimits: {figures.limits(result['bars'])}{excused}")
    if result["verdict"] == "FAIL":
        return print(f"FAIL: {'; '.join(result['reasons'])}")
    recovery = "" if result["recovery_ms"] is None else f", recovered in {result['recovery_ms']:.0f} ms"
    print(f"PASS: {result['lost']} frames lost, {result['twice']} played twice, {result['repaired']} repaired of "
          f"{len(each)} listeners; longest gap {result['longest_gap_ms']:.0f} ms{recovery}")


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
    except Exception:  # no verdict: Python's own status would be that of FAIL
        traceback.print_exc()
    finally:
        ignore_signals()
        clear_up(name, options, play, stage, children, folder)
    if status in (0, 1):
        show(result, each, stage.LASTING, options.json)
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
        children.end()  # a node that is told to stop waits for those below it, also where these are dead
    if stage:
        stage.close()
    if folder and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)

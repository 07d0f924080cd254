"""What a drill's listeners got, from their frame logs, and the verdict on it. Knows no process, clock or network."""
import collections
import statistics

SETTLED = 1000  # ms: recovered is who from then on waited for nothing for so long

Tick = collections.namedtuple("Tick", "sequence kind hash came")  # came: ms of CLOCK_MONOTONIC
# What is measured, ms of the same clock. `healed`: when the undoing began and ended, or None. `grace`: ms after it until
# which what is sent since the damage may be lost; None: none of it.
Span = collections.namedtuple("Span", "begin hurt_began hurt_ended end healed grace", defaults=(None, None))
Figures = collections.namedtuple(
    "Figures", "name edge status frames audio lost excused altered twice repaired longest_gap_ms longest_gap_before_ms "
    "recovery_ms")


class NothingToMeasure(Exception):
    """Too little came before the damage to tell what is usual."""


def _lines(path):
    """The words of each line; one at the end that is not whole yet is left out."""
    with open(path, encoding="ascii") as file:
        whole = file.read()  # at once: by lines, a piece at the end and what is written behind it meanwhile would be two
    return [line.split() for line in whole[:whole.rfind("\n") + 1].splitlines()]


def read_logs(path):
    """Of a frame log as `tiercast listen --frame-log` writes it {None: its ticks}; of one of many listeners, whose lines
    begin with the listener's number, {number: its ticks}."""
    logs = {}
    for *ear, sequence, kind, _, name, _, came in _lines(path):
        logs.setdefault(int(ear[0]) if ear else None, []).append(Tick(int(sequence), kind, name, float(came)))
    return logs


def read_sent(path):
    """What the sender logged: (hash, ms) of each."""
    return [(name, float(at)) for name, at, *_ in _lines(path)]


def came(ticks):
    return [tick for tick in ticks if tick.kind != "lost"]


def frame_length(logs, until):
    """The group's frame length in ms, of what came until then: a sequence is a tick of the media clock."""
    steps = []
    for ticks in logs:
        before = [tick for tick in came(ticks) if tick.came < until]
        if len(before) > 10 and before[-1].sequence > before[0].sequence:
            steps.append((before[-1].came - before[0].came) / (before[-1].sequence - before[0].sequence))
    if not steps:
        raise NothingToMeasure("no listener heard anything before the damage")
    return min((10, 20, 40, 60), key=lambda ms: abs(ms - statistics.median(steps)))


class _Sent:
    """By the sender's own log: a frame is its hash, and all that it sent is known."""

    def __init__(self, sent, span):
        self.due = dict(sent)
        self.keys = [key for key, at in sent if span.begin <= at < span.end]
        self.beyond = {key for key, at in sent if at >= span.end}

    @staticmethod
    def frames(ticks):
        """(what it is called here, when it came, whether it has audio) of each."""
        return [(tick.hash, tick.came, True) for tick in ticks if tick.kind == "frame"]

    def altered(self, ticks):
        return sum(tick.kind == "frame" and tick.hash not in self.due for tick in ticks)


class _Sequences:
    """Without one. The media clock has no holes, so the fastest arrival before the damage tells when each sequence was
    sent: what was due in the span and never came is lost, also if nothing came after it. Altered is what is not as most
    others got it."""

    def __init__(self, logs, span, frame):
        usual = [tick for ticks in logs for tick in came(ticks) if span.begin <= tick.came < span.hurt_began]
        if not usual:
            raise NothingToMeasure("nobody heard anything between the beginning and the damage")
        base = usual[0].sequence
        sent = min(tick.came - (tick.sequence - base) * frame for tick in usual)  # when `base` was
        first, last = (base + int(-((sent - at) // frame)) for at in (span.begin, span.end))
        self.keys = range(first, last)
        highest = max(tick.sequence for ticks in logs for tick in ticks)
        self.beyond = range(last, highest + 1)
        self.due = {s: sent + (s - base) * frame for s in range(first, max(last, highest + 1))}
        versions = collections.defaultdict(collections.Counter)
        for ticks in logs:
            for tick in came(ticks):
                versions[tick.sequence][tick.hash] += 1
        self.usual = {s: count.most_common(1)[0][0] for s, count in versions.items()}

    @staticmethod
    def frames(ticks):
        return [(tick.sequence, tick.came, tick.kind == "frame") for tick in came(ticks)]

    def altered(self, ticks):
        return sum(tick.hash != self.usual[tick.sequence] for tick in came(ticks))


def measure(listeners, span, sent=None):
    """Figures of each listener, the frame length, and how many of the span's frames were sent since the damage (until
    its undoing). `listeners`: (name, edge, exit status, ticks) of each; `sent`: as read_sent() gives it, if it is known.

    Late is what came later than anything did before the damage, by more than a frame."""
    logs = [ticks for *_, ticks in listeners]
    frame = frame_length(logs, span.hurt_began)
    stream = _Sequences(logs, span, frame) if sent is None else _Sent(sent, span)
    if sent is not None and not any(span.begin <= tick.came < span.hurt_began for ticks in logs for tick in came(ticks)):
        raise NothingToMeasure("nobody heard anything between the beginning and the damage")
    until = span.healed[0] if span.healed else span.end
    meanwhile = sum(span.hurt_began <= stream.due[key] < until for key in stream.keys)
    return [_one(*each, span, frame, stream) for each in listeners], frame, meanwhile


def _one(name, edge, status, ticks, span, frame, stream):
    got, twice, audio = {}, 0, set()
    for key, at, has_audio in stream.frames(ticks):
        twice += key in got
        got.setdefault(key, at)
        audio |= {key} if has_audio else set()
    missing = [key for key in stream.keys if key not in got]
    before = [at - stream.due[key] for key, at in got.items()
              if key in stream.due and span.begin <= stream.due[key] and at < span.hurt_began]
    patience = max(before, default=0) + frame
    gap_before, gap = _longest_gaps(sorted(tick.came for tick in came(ticks)), span)
    return Figures(name, edge, status, len(stream.keys) - len(missing), len(audio.intersection(stream.keys)),
                   len(missing),
                   sum(_excused(stream.due[key], span) for key in missing), stream.altered(ticks), twice,
                   _repaired(ticks, span), gap, gap_before, _recovery(got, stream, span, patience))


def _excused(due, span):
    return span.healed is not None and span.grace is not None and span.hurt_began <= due < span.healed[1] + span.grace


def _repaired(ticks, span):
    """Came after a later one did: resent, rebuilt, or overtaken."""
    repaired, earliest = 0, float("inf")
    for tick in reversed(came(ticks)):
        repaired += span.begin <= tick.came < span.end and tick.came > earliest
        earliest = min(earliest, tick.came)
    return repaired


def _longest_gaps(arrivals, span):
    """The longest times without an arrival until the damage, and since: from the last one before it on."""
    inside = [at for at in arrivals if span.begin <= at <= span.end]
    before = [at for at in inside if at < span.hurt_began]
    since = [at for at in inside if at >= span.hurt_began]
    return (max((b - a for a, b in zip(before, before[1:])), default=0.0),
            max(b - a for a, b in zip([*(before or [span.begin])[-1:], *since], [*since, span.end])))


def _recovery(got, stream, span, patience):
    """ms from the damage, or from the end of the undoing of one that may cost frames until then, until everything that
    was sent had come and nothing was late for SETTLED; None: nothing came any more. What never came is waited for until
    something sent after it came."""
    since_when, calm = span.hurt_began, span.hurt_ended
    if span.healed is not None and span.grace is not None:
        since_when = calm = span.healed[1]
    recovered = since_when
    came_later = min((at for key, at in got.items() if key in stream.beyond), default=None)
    waits = []  # (late from, until) of each, from the last to the first
    for key in reversed(stream.keys):
        until, late = got.get(key, came_later), stream.due[key] + patience
        if key in got:
            came_later = min(got[key], came_later or got[key])
        if until is None or until > late:
            waits.append((late, until))
    if waits and waits[0][1] is None:
        return None
    for since, until in reversed(waits):
        if until < since_when:
            continue
        if since > max(recovered, calm) + SETTLED:
            break
        recovered = max(recovered, until)
    return recovered - since_when


def summary(figures, meanwhile):
    """The worst of all listeners, and the sums."""
    recoveries = [f.recovery_ms for f in figures]
    return {**{name: sum(getattr(f, name) for f in figures)
               for name in ("frames", "lost", "excused", "altered", "twice", "repaired")},
            "lost_percent": 100 * sum(f.lost for f in figures) / max(1, meanwhile * len(figures)),
            "listeners_that_lost": sum(f.lost > f.excused for f in figures),
            "longest_gap_ms": max(f.longest_gap_ms for f in figures),
            "longest_gap_before_ms": max(f.longest_gap_before_ms for f in figures),
            "recovery_ms": None if None in recoveries else max(recoveries)}


UNITS = {"lost": "frames lost", "lost_percent": "% of the frames lost", "altered": "frames altered",
         "twice": "frames played twice", "gap_ms": "ms the longest gap", "recovery_ms": "ms to recover"}


def limits(bars):
    """In words. `bars`: of each unit, above which the drill fails; None: nothing does."""
    return ", ".join(f"{bars[name]:g} {unit}" for name, unit in UNITS.items() if bars[name] is not None)


def reasons_to_fail(figures, bars, whole, lasting=False):
    """Why the drill failed, in words; empty: it passed. `whole`: summary(); `lasting`: there was nothing to recover
    from."""
    reasons = []
    values = {**whole, "lost": whole["lost"] - whole["excused"], "gap_ms": whole["longest_gap_ms"]}
    behind = sum(f.recovery_ms is None for f in figures)
    if behind and not lasting:
        reasons.append(f"{behind} of {len(figures)} listeners had not recovered at the end")
    for name, unit in UNITS.items():
        value = values[name]
        if bars[name] is not None and value is not None and value > bars[name]:
            shown = f"{value:.3g}" if name == "lost_percent" else f"{value:.0f}"
            reasons.append(f"{shown} {unit} ({bars[name]:g} allowed)")
    return reasons + [f"{f.name} ended by itself with status {f.status}" for f in figures if f.status is not None]


SHOWN = 16  # listeners; of more, only the worst


def table(figures, lasting=False):
    worst = sorted(figures, key=lambda f: (f.excused - f.lost, -f.lost, -f.longest_gap_ms))[:SHOWN // 2]
    shown = figures if len(figures) <= SHOWN else worst
    width = max(len(f.name) for f in shown) + 2
    wide = max(4, *(len(f.edge) for f in shown)) + 2
    lines = [f"{'':{width}}{'from':{wide}}{'frames':>7}{'lost':>7}{'repaired':>10}{'twice':>7}"
             f"{'longest gap':>13}{'before':>11}{'recovered in':>14}"]
    row = "{:{}}{:{}}{:>7,}{:>7,}{:>10,}{:>7,}{:>10.1f} ms{:>8.1f} ms{:>14}"
    for f in shown:
        recovery = ("-" if lasting else "never") if f.recovery_ms is None else f"{f.recovery_ms:.0f} ms"
        lines.append(row.format(f.name, width, f.edge, wide, f.frames, f.lost, f.repaired, f.twice, f.longest_gap_ms,
                                f.longest_gap_before_ms, recovery))
    if len(shown) < len(figures):
        lines.append(f"and {len(figures) - len(shown)} others, none worse")
    return "\n".join(lines)

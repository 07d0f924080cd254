"""What a drill's listeners got, from their frame logs, and the verdict on it. Knows no process, clock or network."""
import collections
import statistics

SETTLED = 1000  # ms: recovered is who from then on waited for nothing for so long

Tick = collections.namedtuple("Tick", "sequence kind came")  # came: ms of CLOCK_MONOTONIC
Span = collections.namedtuple("Span", "begin hurt_began hurt_ended end")  # what is measured, ms of the same clock
Figures = collections.namedtuple(
    "Figures", "name edge status frames audio lost twice longest_gap_ms longest_gap_before_ms recovery_ms")


class NothingToMeasure(Exception):
    """Too little came before the damage to tell what is usual."""


def read_log(path):
    """A frame log as `tiercast listen --frame-log` writes it; a last line that is not whole yet is left out."""
    ticks = []
    with open(path, encoding="ascii") as file:
        for line in file:
            if line.endswith("\n"):
                sequence, kind, _, _, _, came = line.split()
                ticks.append(Tick(int(sequence), kind, float(came)))
    return ticks


def came(ticks):
    return [tick for tick in ticks if tick.kind != "lost"]


def frame_length(logs, until):
    """The group's frame length in ms, of what came until then: a sequence is a tick of the media clock."""
    steps = []
    for ticks in logs.values():
        before = [tick for tick in came(ticks) if tick.came < until]
        if len(before) > 10 and before[-1].sequence > before[0].sequence:
            steps.append((before[-1].came - before[0].came) / (before[-1].sequence - before[0].sequence))
    if not steps:
        raise NothingToMeasure("no listener heard anything before the damage")
    return min((10, 20, 40, 60), key=lambda ms: abs(ms - statistics.median(steps)))


def measure(listeners, span):
    """Figures of each listener, and the frame length. `listeners`: (name, edge, exit status, ticks) of each.

    The media clock has no holes, so the fastest arrival before the damage tells when each sequence was sent: what was
    due in the span and never came is lost, also if nothing came after it. Late is what came later than anything did
    before the damage, by more than a frame."""
    frame = frame_length({name: ticks for name, _, _, ticks in listeners}, span.hurt_began)
    usual = [tick for *_, ticks in listeners for tick in came(ticks) if span.begin <= tick.came < span.hurt_began]
    if not usual:
        raise NothingToMeasure("nobody heard anything between the beginning and the damage")
    base = usual[0].sequence
    sent = min(tick.came - (tick.sequence - base) * frame for tick in usual)  # when `base` was
    first, last = (base + int(-((sent - at) // frame)) for at in (span.begin, span.end))
    sequences = range(first, last)
    return [_one(*each, span, frame, lambda s: sent + (s - base) * frame, sequences) for each in listeners], frame


def _one(name, edge, status, ticks, span, frame, due, sequences):
    got, audio = {}, 0
    for tick in came(ticks):
        if tick.sequence not in got:
            got[tick.sequence] = tick.came
            audio += tick.kind == "frame" and tick.sequence in sequences
    twice = len(came(ticks)) - len(got)
    missing = [s for s in sequences if s not in got]
    before = [at - due(s) for s, at in got.items() if span.begin <= due(s) and at < span.hurt_began]
    patience = max(before, default=0) + frame
    gap_before, gap = _longest_gaps(sorted(got.values()), span)
    return Figures(name, edge, status, len(sequences) - len(missing), audio, len(missing), twice, gap, gap_before,
                   _recovery(got, sequences, span, lambda s: due(s) + patience))


def _longest_gaps(arrivals, span):
    """The longest times without an arrival until the damage, and since: from the last one before it on."""
    inside = [at for at in arrivals if span.begin <= at <= span.end]
    before = [at for at in inside if at < span.hurt_began]
    since = [at for at in inside if at >= span.hurt_began]
    return (max((b - a for a, b in zip(before, before[1:])), default=0.0),
            max(b - a for a, b in zip([*(before or [span.begin])[-1:], *since], [*since, span.end])))


def _recovery(got, sequences, span, late_from):
    """ms from the damage until everything that was sent had come and nothing was late for SETTLED; None: nothing came any
    more. What never came is waited for until something sent after it came."""
    recovered = span.hurt_began
    came_later = min((at for s, at in got.items() if s >= sequences.stop), default=None)
    waits = []  # (late from, until) of each, from the last to the first
    for s in reversed(sequences):
        until = got.get(s, came_later)
        if s in got:
            came_later = min(got[s], came_later or got[s])
        if until is None or until > late_from(s):
            waits.append((late_from(s), until))
    if waits and waits[0][1] is None:
        return None
    for since, until in reversed(waits):
        if until < span.hurt_began:
            continue
        if since > max(recovered, span.hurt_ended) + SETTLED:
            break
        recovered = max(recovered, until)
    return recovered - span.hurt_began


def summary(figures):
    """The worst of all listeners, and the sums."""
    recoveries = [f.recovery_ms for f in figures]
    return {"frames": sum(f.frames for f in figures), "lost": sum(f.lost for f in figures),
            "twice": sum(f.twice for f in figures), "longest_gap_ms": max(f.longest_gap_ms for f in figures),
            "longest_gap_before_ms": max(f.longest_gap_before_ms for f in figures),
            "recovery_ms": None if None in recoveries else max(recoveries)}


def reasons_to_fail(figures, bars):
    """Why the drill failed, in words; empty: it passed. `bars`: lost, twice, gap_ms, recovery_ms; None: no bar."""
    whole = summary(figures)
    reasons = []
    for name, text in (("lost", "{} frames lost"), ("twice", "{} frames played twice")):
        if whole[name] > bars[name]:
            reasons.append(f"{text.format(whole[name])} ({bars[name]} allowed)")
    behind = sum(f.recovery_ms is None for f in figures)
    if behind:
        reasons.append(f"{behind} of {len(figures)} listeners had not recovered at the end")
    for name, text in (("gap_ms", "the longest gap"), ("recovery_ms", "the time to recover")):
        value = whole["longest_gap_ms" if name == "gap_ms" else name]
        if bars[name] is not None and value is not None and value > bars[name]:
            reasons.append(f"{text} is {value:.0f} ms ({bars[name]:g} allowed)")
    ended = [f"{f.name} ended by itself with status {f.status}" for f in figures if f.status is not None]
    return reasons + ended


def table(figures):
    width = max(len(f.name) for f in figures) + 2
    wide = max(4, *(len(f.edge) for f in figures)) + 2
    lines = [f"{'':{width}}{'from':{wide}}{'frames':>7}{'lost':>7}{'twice':>7}"
             f"{'longest gap':>13}{'before':>11}{'recovered in':>14}"]
    row = "{:{}}{:{}}{:>7,}{:>7,}{:>7,}{:>10.1f} ms{:>8.1f} ms{:>14}"
    for f in figures:
        recovery = "never" if f.recovery_ms is None else f"{f.recovery_ms:.0f} ms"
        lines.append(row.format(f.name, width, f.edge, wide, f.frames, f.lost, f.twice, f.longest_gap_ms,
                                f.longest_gap_before_ms, recovery))
    return "\n".join(lines)

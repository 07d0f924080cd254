"""Several workers: where they run, and what one that stands still is to the others."""
import ctypes
import os
import time

import harness
import trees
from harness import check, equal, eventually

STALL = 3  # seconds
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000  # threads too


class Stall:
    """One thread stopped as by a debugger; its process goes on."""

    def __init__(self, thread):
        self.thread = thread
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long] * 4
        self.libc.ptrace.restype = ctypes.c_long

    def ask(self, request):
        done = self.libc.ptrace(request, self.thread, 0, 0)
        equal(done, 0, f"ptrace request {request:#x} of {self.thread}: {os.strerror(ctypes.get_errno())}; its result")

    def __enter__(self):
        self.ask(PTRACE_SEIZE)
        self.ask(PTRACE_INTERRUPT)
        os.waitpid(self.thread, WALL)

    def __exit__(self, *_):
        self.ask(PTRACE_DETACH)


def threads(node, name):
    tasks = f"/proc/{node.pid}/task"
    found = []
    for thread in sorted(os.listdir(tasks), key=int):
        with open(f"{tasks}/{thread}/comm", encoding="utf-8") as comm:
            found += [int(thread)] if comm.read().strip() == name else []
    return found


def test_a_worker_that_stands_still_is_in_nobodys_way(t):
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise harness.LeftOut("two workers need two CPUs")
    listen = {"workers": 2, "cpus": [cpus[1], cpus[0]], "busy_poll": 50}
    origin = t.node("origin", source=t.new_source())
    edge = t.node("edge", upstreams=[origin], sections={"node": {"cpu": cpus[1]}, "listen": listen})
    for node in (origin, edge):
        node.start()
    trees.live(edge)
    workers = threads(edge, "worker")
    equal([os.sched_getaffinity(w) for w in workers], [{cpus[1]}, {cpus[0]}], "the workers' CPUs")
    equal(os.sched_getaffinity(edge.pid), {cpus[1]}, "the feed's CPU")
    counters = trees.counters(edge)
    equal([counters[f"thread_{what}_refused"] for what in ("cpu", "busy_poll")], [0, 0], "refusals")

    ears = t.host("ears")
    listeners = [t.listener(f"ear-{i}", [edge], host=ears).start() for i in range(4)]
    trees.listening(edge, 4)
    encoder = t.encoder(origin.host, t.speech(12))
    time.sleep(1)
    way = edge.status()["listen"]["passage"]
    check(way["last_send"]["frames"] > 40 and way["first_send"]["p50_us"] <= way["last_send"]["p50_us"], f"the way: {way}")
    with Stall(workers[1]):
        time.sleep(STALL)
        status = edge.status()  # the feed answers
        quiet = status["listen"]["worker_quiet_ms"]
        check(quiet[0] < 1500 < quiet[1], f"who turns: {quiet}")
        check(trees.group(edge)["last_frame_ms"] < 500, "frames come in")
    eventually(lambda: edge.status()["listen"]["worker_quiet_ms"][1] < 1500, 5, "the worker turns again")
    time.sleep(2)
    encoder.stop()
    status = edge.status()
    trees.end(origin, listeners)

    lost = sorted((len(listener.lost()), listener.name) for listener in listeners)
    equal([count for count, _ in lost[:2]], [0, 0], f"what the other worker's listeners lost, of {lost}")
    check(lost[2][0] > 0, f"what the stalled one's lost, but for what they got when they asked: {lost}")
    for listener in listeners:
        late = [f for f in listener.frames()[-50:] if f.kind == "lost"]
        equal(late, [], f"what {listener.name} lost in the last second")
    skipped = status["listen"]["worker_skipped"]
    check(skipped[0] == 0 and skipped[1] > 50, f"skipped by each worker: {skipped}")
    counters = status["counters"]
    equal(counters["fanout_drop_late"] + counters["fanout_drop_overwritten"] + counters["feed_drop_worker_ring_full"],
          skipped[1], "the same by its reasons")
    check(status["listen"]["passage"]["hand_off"]["max_us"] > (STALL - 1) * 1e6, "the longest hand-off")


if __name__ == "__main__":
    harness.main(globals())

"""What is played live: at an even pace, whole, whatever the network does to the packets on their way."""
import array
import heapq
import os
import random
import select
import socket
import threading
import time

import media
import trees
from harness import check, equal, eventually
from test_outputs import Air, loudness, spoken, start_into

SECOND = 96000  # bytes of mono


class Jitter:
    """A proxy on a host: what comes back from the node is late by as much as delay(seconds) says, and so overtakes."""

    def __init__(self, host, node, delay, port=4900):
        self.address, self.delay, self.began = f"127.0.0.1:{port}", delay, time.monotonic()
        self._near, self._far = host.sockets(lambda: self._open(node, port))
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @staticmethod
    def _open(node, port):
        near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        near.bind(("127.0.0.1", port))
        host, _, at = node.address.rpartition(":")
        far.connect((host, int(at)))
        return near, far

    def _run(self):
        late, listener, count = [], None, 0
        while not self._ended:
            wait = max(0, late[0][0] - time.monotonic()) if late else 0.1
            ready, _, _ = select.select([self._near, self._far], [], [], min(wait, 0.1))
            now = time.monotonic()
            if self._near in ready:
                datagram, listener = self._near.recvfrom(2048)
                self._far.send(datagram)
            if self._far in ready:
                count += 1
                heapq.heappush(late, (now + self.delay(now - self.began), count, self._far.recv(2048)))
            while late and late[0][0] <= now:
                self._near.sendto(heapq.heappop(late)[2], listener)

    def stop(self):
        self._ended = True
        self._thread.join()
        self._near.close()
        self._far.close()


class Reader:
    """Takes whatever comes through a pipe, and notes when."""

    def __init__(self, end):
        self.end, self.data, self.came = end, bytearray(), []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while chunk := os.read(self.end, 65536):
            self.data += chunk
            self.came.append((time.monotonic(), len(self.data)))

    def finish(self):
        self._thread.join(20)
        os.close(self.end)


def test_a_jittery_network_is_not_heard(t):
    """± 40 ms, so that packets overtake each other, and every two seconds nothing for 140 ms."""
    air, random_ = Air(t), random.Random(1)

    def delay(seconds):
        into = seconds % 2
        return random_.uniform(0, 0.08) + (0.14 - into if seconds > 1 and into < 0.14 else 0)
    proxy = Jitter(air.ears, air.node, delay)
    t.cleanups.append(proxy.stop)
    listener = t.listener("ear", [trees.other(air.node, proxy.address)], host=air.ears,
                          options=["--pcm", "-", "--channels", "1", "--playout", "800"])
    end, start = os.pipe()
    start_into(listener, start)
    os.close(start)
    reader = Reader(end)
    trees.listening(air.node, 1)
    eventually(lambda: len(reader.data) > 1.5 * SECOND, 20, "the silence that a player's buffer is filled with")
    began = time.monotonic()
    trees.send_speech(t, air.node, 5, capture=False)
    ended = time.monotonic()
    trees.end(air.node, [listener])
    reader.finish()
    trees.dense(listener)  # the packets all came

    (report,) = [o for o in listener.report()["outputs"] if o["name"] == "standard output"]
    told = {key: report[key] for key in ("target_ms", "delay_ms", "player_late", "player_concealed", "player_inserted",
                                         "player_left_out", "player_samples_shortened", "player_samples_lengthened")}
    check(80 <= report["target_ms"] <= 800, f"the delay is what the network asks for: {told}")
    check(report["player_late"] + report["player_concealed"] + report["player_skipped"] <= 20, f"nearly all: {told}")
    # Where the pace is corrected, or time stood still, a piece is less like what was spoken: one in five at most.
    found = media.follows(loudness(array.array("h", bytes(reader.data))), media.loud(loudness(spoken(t, 5))))
    check(sorted(found)[len(found) // 5] > 0.85, f"each half second that was spoken is heard, in its order: {found}; {told}")

    # The pace: a tick each 20 ms, where the network brings several at once or none.
    gaps = [at - before for (before, _), (at, _) in zip(reader.came, reader.came[1:]) if began <= at <= ended]
    even = sum(0.01 < gap < 0.035 for gap in gaps) / len(gaps)
    check(even > 0.6, f"{even:.3f} of {len(gaps)} ticks came in their time; {told}")


def test_a_fixed_latency_is_kept_and_told(t):
    air = Air(t)
    listener = air.listener("--pcm", "-", "--channels", "1", "--latency", "400")
    end, start = os.pipe()
    start_into(listener, start)
    os.close(start)
    reader = Reader(end)
    trees.listening(air.node, 1)
    trees.send_speech(t, air.node, 3, capture=False)
    trees.end(air.node, [listener])
    reader.finish()
    (report,) = [o for o in listener.report()["outputs"] if o["name"] == "standard output"]
    equal(report["target_ms"], 400, "the delay asked for")
    check(340 <= report["delay_ms"] <= 460, f"and had: {report['delay_ms']}")
    equal(report["player_inserted"], 0, "ticks inserted")

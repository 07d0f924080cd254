"""The backend below the network stack in a running node: whom it reaches, what it leaves behind, what it does without."""
import os
import re
import time

import trees
from harness import check, equal, eventually


def backend(node):
    return node.status()["listen"]["backend"]


def devices(host):
    return re.findall(r"^\d+: (tiercast\d+):", host.run("ip", "-o", "link"), re.M)


def gave_up_its_capabilities(node):
    """Those that loading an eBPF program takes, in each of its threads."""
    held = set()
    for task in os.listdir(f"/proc/{node.pid}/task"):
        with open(f"/proc/{node.pid}/task/{task}/status", encoding="utf-8") as file:
            held.update(re.findall(r"^Cap(?:Prm|Eff):\s*(\w+)$", file.read(), re.M))
    admin, perfmon, bpf = 1 << 12, 1 << 38, 1 << 39
    equal([bits for bits in held if int(bits, 16) & (admin | perfmon | bpf)], [], "capabilities that it has no use for now")


def test_listeners_are_reached_below_the_stack_and_a_killed_node_leaves_nothing(t):
    tree = trees.Tree(t, edge={"sections": {"listen": {"backend": "xdp", "spread": 50}}})
    t.net.collect(tree.edge.host)
    tree.start()
    listeners = [t.listener(f"ear-{i}", [tree.edge], host=tree.ears).start() for i in range(4)]
    trees.listening(tree.origin, len(listeners))
    eventually(lambda: backend(tree.edge).get("direct") == 4, 10, f"all below the stack: {backend(tree.edge)}")
    gave_up_its_capabilities(tree.edge)
    before = trees.counters(tree.edge)
    sent = trees.send_speech(t, tree.origin, 4)
    after = trees.counters(tree.edge)
    direct = after["xdp_sent"] - before["xdp_sent"]
    check(direct >= 4 * len(sent), f"{direct} datagrams below the stack for {len(sent)} frames to 4 listeners")
    equal(after["fan_out_sent"] - before["fan_out_sent"], 0, "datagrams through it")
    trees.end(tree.origin, listeners)
    for listener in listeners:
        trees.dense(listener)
        trees.heard_all(listener, sent)
    equal(len(devices(tree.edge.host)), 1, "the device that its program is attached to")
    tree.edge.kill()
    eventually(lambda: devices(tree.edge.host) == [], 5, "it is gone with the process")


def test_a_next_hop_that_is_lost_and_found_costs_no_frame(t):
    tree = trees.Tree(t)
    t.net.collect(tree.edge.host)
    tree.start()
    listener = t.listener("ear", [tree.edge], host=tree.ears).start()
    trees.listening(tree.origin, 1)
    eventually(lambda: backend(tree.edge).get("direct") == 1, 10, "below the stack")
    encoder = t.encoder(tree.origin.host, t.speech(6))
    for _ in range(8):
        time.sleep(0.5)
        tree.edge.host.run("ip", "neighbour", "flush", "all")
    encoder.wait(20)
    counters = trees.counters(tree.edge)
    check(counters["xdp_demoted"] >= 1 and counters["xdp_promoted"] >= 1, f"it changed over, and back: {counters}")
    trees.end(tree.origin, [listener])
    equal(listener.report()["lost"], 0, "frames that it lost")


def test_a_node_that_nobody_joins_keeps_no_capability_either(t):
    node = t.node("recorder", source=t.new_source(), sections={"listen": None}, group={"record": {"directory": t.dir}})
    node.start()
    gave_up_its_capabilities(node)


def test_a_node_without_privileges_says_so_once_and_uses_sendmmsg(t):
    tree = trees.Tree(t, edge={"sections": {"listen": {"backend": "xdp"}}})
    spawn = tree.edge.spawn
    tree.edge.spawn = lambda command, *more, **options: spawn(
        ["setpriv", "--bounding-set=-net_admin,-bpf,-perfmon", "--inh-caps=-all", "--", *command], *more, **options)
    tree.start()
    says = backend(tree.edge)
    equal(says["name"], "sendmmsg", f"the backend: {says}")
    check("CAP_BPF" in says["why"], f"why: {says}")
    lines = [line for line in tree.edge.log().splitlines() if " backend " in line]
    equal(len(lines), 1, f"lines about it: {lines}")
    check(" warning backend " in lines[0] and "CAP_BPF" in lines[0], lines[0])
    listener = t.listener("ear", [tree.edge], host=tree.ears).start()
    trees.listening(tree.origin, 1)
    sent = trees.send_speech(t, tree.origin, 3)
    trees.end(tree.origin, [listener])
    trees.heard_all(listener, sent)


def test_spread_sends_a_frame_in_parts_over_its_time(t):
    """Forty listeners, 80 % of 60 ms: how far apart one frame's first and last datagram leave."""
    sections = {"listen": {"spread": 80, "max_leases": 100}}
    tree = trees.Tree(t, **{n: {"group": {"frame_ms": 60}} for n in ("origin", "relay")},
                      edge={"group": {"frame_ms": 60}, "sections": sections})
    t.net.collect(tree.edge.host)
    tree.start()
    swarm = [t.listener(f"ear-{i}", [tree.edge], host=tree.ears).start() for i in range(12)]
    trees.listening(tree.origin, len(swarm))
    tap = t.capture(tree.ears, interface="eth0", expression="udp src port 4800 and udp[8] == 0x20")
    time.sleep(2)
    by_sequence = {}
    for datagram in tap.stop():
        by_sequence.setdefault(datagram.payload[10:16], []).append(datagram.time)
    spans = sorted(max(times) - min(times) for times in by_sequence.values() if len(times) == len(swarm))
    check(len(spans) >= 20, f"{len(spans)} frames seen at all listeners")
    middle = spans[len(spans) // 2]
    check(0.030 <= middle <= 0.060, f"the median frame's datagrams are {middle * 1000:.1f} ms apart, of 60")

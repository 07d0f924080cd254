"""IPv6 beside IPv4 and without it, several listen addresses, and answers from the address that was joined."""
import socket

import media
import trees
from harness import check, equal, eventually


def test_a_tree_without_ipv4_carries_every_packet(t):
    six = {"v6": True}
    source = t.new_source()
    rtp = {"source": {"rtp": "[::1]:5004", "id": source.id, "signing_key": source.path}}
    origin = t.node("origin", source=source, v6=True, group=rtp)
    relay = t.node("relay", upstreams=[origin], **six)
    edge = t.node("edge", upstreams=[relay], **six)
    ears = t.host("ears")
    for host in (origin.host, relay.host, edge.host, ears):
        host.run("ip", "-4", "addr", "flush", "dev", "eth0")
        check("inet " not in host.run("ip", "addr", "show", "dev", "eth0"), "no IPv4 is left")
    for node in (origin, relay, edge):
        node.start()
    for node in (relay, edge):
        trees.live(node)
    listener = t.listener("ear", [edge], host=ears).start()
    trees.listening(origin, 1)
    tap = t.capture(origin.host)
    t.encoder(origin.host, t.speech(3), address="[::1]").wait(20)
    sent = media.opus_packets(tap.stop())
    check(len(sent) >= 150, f"{len(sent)} packets for 3 s")
    trees.end(origin, [listener])
    trees.dense(listener)
    trees.heard_all(listener, sent)


def test_a_mixed_tree_serves_listeners_of_both_kinds_at_one_edge(t):
    """IPv4 origin, dual-stack relay, edge that joins by IPv6 and has four addresses, two sockets of each kind."""
    source = t.new_source()
    origin = t.node("origin", source=source)
    relay = t.node("relay", upstreams=[origin], v6=True, sections={"listen": {"address": "[::]:4800"}})
    host = t.host("edge")
    addresses = [f"{host.v4}:4800", f"[{host.v6}]:4800", "[::]:4801", "0.0.0.0:4802"]
    edge = t.node("edge", host=host, upstreams=[relay], sections={"listen": {"address": addresses, "workers": 2}})
    nodes = [origin, relay, edge]
    for node in nodes:
        node.start()
    for node in nodes[1:]:
        trees.live(node)
    equal(edge.status()["listen"]["addresses"], addresses, "the addresses in the edge's status")
    check(all(a in edge.admin("status") for a in addresses), "and in its text")
    equal(relay.status()["listen"]["addresses"], ["[::]:4800"], "the relay's")
    ears = t.host("ears")
    joined = addresses[:2] + [f"{host.v4}:4801", f"[{host.v6}]:4801", f"{host.v4}:4802"]
    listeners = [t.listener(f"ear-{i}-{n}", [trees.other(edge, address)], host=ears).start()
                 for n in range(2) for i, address in enumerate(joined)]
    # One that has the same edge as two parents, by an address of either family.
    listeners.append(t.listener("ear-both", [trees.other(edge, a) for a in addresses[:2]], host=ears).start())
    trees.listening(origin, len(listeners))
    sent = trees.send_speech(t, origin, 4)
    trees.end(origin, listeners)
    for listener in listeners:
        trees.dense(listener)
        trees.heard_all(listener, sent)
    counters = trees.counters(edge)
    equal([n for n, v in counters.items() if v and n.startswith(("outlet_drop", "fan_out_drop"))], [], "sends that failed")


def test_answers_leave_from_the_address_that_was_joined(t):
    """A node on all addresses of a host that has two of each family on one interface; a relay and four listeners, each
    at another one of them."""
    source = t.new_source()
    origin = t.node("origin", source=source, sections={"listen": {"address": "[::]:4800"}})
    host, ears = origin.host, t.host("ears")
    second_v4, second_v6 = "10.77.0.200", "fd77::200"
    host.run("ip", "addr", "add", f"{second_v4}/24", "dev", "eth0")
    host.run("ip", "addr", "add", f"{second_v6}/64", "dev", "eth0", "nodad")
    joined = [f"{host.v4}:4800", f"{second_v4}:4800", f"[{host.v6}]:4800", f"[{second_v6}]:4800"]
    relay = t.node("relay", upstreams=[trees.other(origin, joined[1])])
    origin.start()
    taps = [t.capture(h, interface="eth0", expression="udp port 4800") for h in (ears, relay.host)]
    relay.start()
    trees.live(relay)
    listeners = [t.listener(f"ear-{i}", [trees.other(origin, a)], host=ears).start() for i, a in enumerate(joined)]
    trees.listening(origin, len(listeners))
    sent = trees.send_speech(t, origin, 3)
    trees.end(origin, listeners)
    for listener in listeners:
        trees.dense(listener)
        trees.heard_all(listener, sent)
    for tap, count in zip(taps, (4, 1)):
        asked, answered, bytes_from = {}, {}, {}
        for d in tap.stop():
            if d.destination[1] == 4800:
                asked.setdefault(d.source, set()).add(d.destination)
            else:
                answered.setdefault(d.destination, set()).add(d.source)
                bytes_from[d.source] = bytes_from.get(d.source, 0) + len(d.payload)
        equal(answered, asked, "where each child's answers and frames came from, and where it had asked")
        equal((len(asked), [len(a) for a in asked.values()]), (count, [1] * count), "children, and addresses of each")
        check(all(size > 10000 for size in bytes_from.values()), f"frames came by all of them: {bytes_from}")
        if count == 4:
            packed = [socket.inet_pton(socket.AF_INET6 if ":" in a else socket.AF_INET, a)
                      for a in (host.v4, second_v4, host.v6, second_v6)]
            equal({a for (a, _), in asked.values()}, set(packed), "the four addresses")


def test_a_name_with_addresses_of_both_families_is_tried_until_one_answers(t):
    """A parent's name that means an IPv6 address where nobody is, and an IPv4 address."""
    source = t.new_source()
    origin = t.node("origin", source=source)
    relay = t.node("relay", upstreams=[trees.other(origin, "parent.test:4800")])
    # `ip netns exec` shows a host its own /etc/hosts.
    relay.host.etc("hosts", f"fd77::dead parent.test\n{origin.host.v4} parent.test\n")
    origin.start()
    relay.start()
    trees.live(relay, timeout=30)
    (up,) = relay.status()["upstreams"]
    equal(up["address"], "parent.test:4800", "its name")


def test_a_second_node_on_one_of_the_addresses_is_told(t):
    source = t.new_source()
    first = t.node("first", source=source)
    second = t.node("second", host=first.host, source=source)
    ours = f"127.0.0.1:{second.port}"
    first.sections["listen"] = {"address": [first.address, f"[{first.host.v6}]:4801"]}
    second.sections["listen"] = {"address": [ours, f"[{first.host.v6}]:4801"]}
    first.start()
    second_config = second.config()
    with open(second.config_path, "w", encoding="utf-8") as file:
        file.write(second_config)
    second.spawn([t.binary, "run", "-c", second.config_path])
    equal(second.wait(10), 71, "the second one's exit status")
    check(f"cannot listen on [{first.host.v6}]:4801: the port is in use" in second.log(), second.log())
    eventually(lambda: first.status()["listen"]["addresses"], 5, "the first one lives")

"""IP multicast among real hosts: who takes frames that way, what the wire carries, how unicast steps in when the network
fails, and what another sender on the network can do."""
import os
import re
import socket
import struct
import threading
import time
import tomllib

import media
import readme
import trees
from harness import Failed, check, equal, eventually
from test_reload import reload, told, write

FRAME, ATTEST, IDLE = 0x20, 0x22, 0x23
SIGNATURE = 64
V4, V6 = "239.77.0.1", "ff15::77:1"
SOURCE_SPECIFIC = "232.77.0.1"
PORT = 4801
# On a busy machine a process may be held up for more than three frames, 60 ms of those of 20 ms. That is taken for a
# failure, and the next one's consequences last longer: so most tests here have longer frames, and wait with patience.
FRAME_MS = 40
PATIENCE = 40


def at(group):
    return f"[{group}]:{PORT}" if ":" in group else f"{group}:{PORT}"


def sends(group=V4, interface="eth0", **more):
    """For Node(sections=): it sends frames there."""
    return {"listen": {"multicast": {"group": at(group), "interface": interface, **more}}}


def takes(group=V4, interface="eth0"):
    """For Node(multicast=)."""
    return {"group": at(group), "interface": interface}


def option(group=V4, interface="eth0"):
    """For listeners."""
    return ["--multicast", f"{at(group)}@{interface}"]


class Lan:
    """origin and relay, which takes its frames by multicast; a listener that does so too, one that does not, and one
    below the relay."""

    def __init__(self, t, group=V4, interface="eth0", frame_ms=FRAME_MS, **options):
        self.t, self.frame_ms = t, frame_ms
        options["group"] = {"frame_ms": frame_ms}
        self.source = t.new_source()
        self.origin = t.node("origin", source=self.source, sections=sends(group, interface), **options)
        self.relay = t.node("relay", upstreams=[self.origin], multicast=takes(group, interface), **options)
        self.near = t.listener("near", [self.origin], options=option(group, interface))
        self.plain = t.listener("plain", [self.origin])
        self.below = t.listener("below", [self.relay])
        self.listeners = [self.near, self.plain, self.below]
        if interface != "eth0":
            for host in (self.origin.host, self.relay.host, self.near.host):
                t.net.second_link(host, interface)

    def start(self, by_multicast=2):
        """Until so many take multicast: relay and near."""
        self.origin.start()
        self.relay.start()
        trees.live(self.relay)
        for listener in self.listeners:
            listener.start()
        trees.listening(self.origin, len(self.listeners))
        taken(self.origin, by_multicast)
        return self

    def speak(self, seconds):
        """Starts it, and waits until it comes in."""
        self.tap = self.t.capture(self.origin.host)
        self.encoder = self.t.encoder(self.origin.host, self.t.speech(seconds), frame_ms=self.frame_ms)
        eventually(lambda: trees.group(self.origin)["input"]["packets"] > 10, 15, "speech comes in")

    def all_hear(self):
        """To the end of speech and broadcast: everybody has played every packet."""
        self.encoder.wait(40)
        sent = media.opus_packets(self.tap.stop())
        check(len(sent) >= 2000 / self.frame_ms, f"{len(sent)} packets")
        trees.end(self.origin, self.listeners)
        for listener in self.listeners:
            trees.dense(listener)
            trees.heard_all(listener, sent)


def by_multicast(node):
    """How many of its leases."""
    return node.status()["listen"]["multicast"]["leases"]


def taken(node, leases):
    """Until so many of the node's leases take multicast."""
    eventually(lambda: by_multicast(node) == leases, PATIENCE, f"{leases} leases of {node.name} by multicast")


def delivers(node):
    return node.status()["upstreams"][0]["multicast"]["delivers"]


def changes_are_told(node, least):
    """Its log has a line for each change of how its parent's frames come, and there were so many; by multicast now."""
    def told_of():
        ways = [re.search(r"by=(\w+)", line)[1] for line in told(node, "delivery ")]
        counters = node.status()["upstreams"][0]["counters"]
        made = sum(v for n, v in counters.items() if n.startswith(("delivery_to", "delivery_back")))
        equal(ways, ["multicast", "unicast"] * (len(ways) // 2) + ["multicast"] * (len(ways) % 2), "the log's lines")
        return made == len(ways) >= least and ways[-1] == "multicast"
    eventually(told_of, PATIENCE, f"{least} changes in {node.name}'s log: {told(node, 'delivery ')}")


def sequences(datagrams):
    """The frames' among them, in the order of the wire."""
    return [int.from_bytes(d.payload[10:16], "big") for d in datagrams if d.payload[0] == FRAME]


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def look_at_the_wire(t, node, address, leases):
    """What leaves it in two seconds, in which so many leases took multicast all the time."""
    for _ in range(5):
        taken(node, leases)
        before = trees.counters(node)["worker_delivery_change"]
        wire = t.capture(node.host, interface="eth0", expression=f"udp and src host {address}")
        time.sleep(2)
        datagrams = wire.stop()
        if trees.counters(node)["worker_delivery_change"] == before:
            return datagrams
    raise Failed("multicast fails again and again")


def all_play_what_leaves_once(t, group, v6):
    lan = Lan(t, group, v6=v6, frame_ms=20)
    strict = t.listener("strict", [lan.origin], options=[*option(group), "--strict"])
    lan.listeners.append(strict)
    lan.start(by_multicast=3)
    lan.speak(4)
    datagrams = look_at_the_wire(t, lan.origin, lan.origin.host.v6 if v6 else lan.origin.host.v4, 3)
    taken(lan.origin, 3)
    status = lan.origin.status()["listen"]["multicast"]
    equal(dict(status, leases=3), {"group": at(group), "interface": "eth0", "ttl": 1, "leases": 3}, "the origin's status")
    eventually(lambda: delivers(lan.relay), PATIENCE, "the relay's status")
    (up,) = lan.relay.status()["upstreams"]
    equal((up["multicast"]["group"], up["multicast"]["interface"]), (at(group), "eth0"), "the relay's status")
    check(up["multicast"]["datagrams"] > 100 and "problem" not in up["multicast"], f"{up['multicast']}")
    lan.all_hear()

    once = [d for d in datagrams if d.destination == (packed(group), PORT)]
    numbers = sequences(once)
    check(len(numbers) >= 90, f"{len(numbers)} frames by multicast in 2 s")
    equal(numbers, list(range(numbers[0], numbers[0] + len(numbers))), "each frame left once, in order")
    check(all(d.payload[0] in (FRAME, ATTEST, IDLE) for d in once), "the stream, and nothing else")
    frames = [d for d in datagrams if d.payload[0] == FRAME and d.destination[0] != packed(group)]
    alone = lan.plain.host
    equal({d.destination[0] for d in frames}, {packed(alone.v6 if v6 else alone.v4)}, "who was sent frames by unicast")
    check(abs(len(frames) - len(numbers)) <= 3, f"{len(frames)} frames to who takes unicast, {len(numbers)} by multicast")
    sealed = {d.payload[10:16]: d.payload[:-SIGNATURE] for d in once if d.payload[0] == FRAME}
    for d in frames:
        check(sealed.get(d.payload[10:16], d.payload) == d.payload, "the same sealed bytes both ways")
    for listener in (lan.near, strict):
        multicast = listener.report()["parents"][0]["multicast"]
        check("problem" not in multicast and multicast["datagrams"] > 150, f"{listener.name}: {multicast}")
    check("multicast" not in lan.plain.report()["parents"][0], "who has not asked for it")


def test_multicast_leaves_once_and_all_play_it_bit_for_bit(t):
    all_play_what_leaves_once(t, V4, v6=False)


def test_multicast_by_ipv6_leaves_once_and_all_play_it_bit_for_bit(t):
    all_play_what_leaves_once(t, V6, v6=True)


def test_multicast_passes_switches_that_snoop_for_it(t):
    """A bridge with a querier passes a group on to those ports alone where IGMPv3 or MLDv2 has asked for it."""
    for name, value in (("mcast_igmp_version", "3"), ("mcast_mld_version", "2"), ("mcast_query_response_interval", "10"),
                        ("mcast_querier", "1")):
        t.net.set_bridge(name, value)
    lan = Lan(t).start()
    time.sleep(1)  # until then a querier that is new keeps passing on everything
    taps = [t.capture(host, interface="eth0", expression=f"udp and dst host {V4}")
            for host in (lan.near.host, lan.relay.host, lan.plain.host)]
    lan.speak(3)
    lan.all_hear()
    near, relay, plain = [len(tap.stop()) for tap in taps]
    check(near >= 75 and relay >= 75, f"datagrams at who has asked: {near}, {relay}")
    equal(plain, 0, "datagrams at who has not")


def test_multicast_unplugged_in_the_middle_of_speech_costs_nobody_a_frame(t):
    lan = Lan(t).start()
    hosts = [lan.relay.host, lan.near.host]
    taps = [t.capture(host, interface="eth0", expression=f"udp and src host {lan.origin.host.v4}") for host in hosts]
    lan.speak(9)
    taken(lan.origin, 2)
    time.sleep(0.2)
    t.net.block(V4)
    taken(lan.origin, 0)
    check(not delivers(lan.relay), "the relay's status")
    time.sleep(0.5)
    plugged_in = time.time()
    t.net.block(V4, False)
    taken(lan.origin, 2)
    changes_are_told(lan.relay, least=3)
    waited = []
    for tap in taps:
        frames = [(d.time, d.destination[0] == packed(V4)) for d in tap.stop() if d.payload[0] == FRAME]
        last = max(at for at, multicast in frames if multicast and at < plugged_in)
        after = [at for at, multicast in frames if not multicast and at > last]
        waited.append(1000 * (after[0] - last))
        check(len(after) > 4000 / FRAME_MS, f"{len(after)} frames by unicast after that")
    print(f"    unicast came after {', '.join(f'{w:.0f}' for w in waited)} ms")
    for ms in waited:
        check(ms <= 300, f"unicast came after {ms:.0f} ms, and what is played waits for no more than 300")
    lan.all_hear()
    (parent,) = lan.near.report()["parents"]
    check(parent["delivery_back_silent"] >= 1 and parent["delivery_to_multicast"] >= 2, f"near's changes: {parent}")
    equal([lan.relay.status()["upstreams"][0]["counters"]["parent_rejoin"], parent["parent_rejoin"]], [0, 0],
          "parents joined anew")


def test_multicast_heals_after_the_senders_interface_was_down(t):
    lan = Lan(t, V6, interface="eth1", v6=True).start()
    lan.speak(9)
    lan.origin.host.run("ip", "link", "set", "eth1", "down")
    taken(lan.origin, 0)
    eventually(lambda: told(lan.origin, "multicast_not_sent"), 5, "the origin's log")
    check("interface=eth1" in told(lan.origin, "multicast_not_sent")[0], told(lan.origin, "multicast_not_sent")[0])
    lan.origin.host.run("ip", "link", "set", "eth1", "up")
    taken(lan.origin, 2)
    eventually(lambda: told(lan.origin, "multicast_sent_again"), 5, "the origin's log again")
    lan.all_hear()
    equal(len(told(lan.origin, "multicast_not_sent")), 1, "one line of the trouble")
    check(trees.counters(lan.origin)["multicast_drop_unreachable"] > 5, "what was not sent is counted")


def test_multicast_heals_after_interfaces_were_removed_and_made_again(t):
    """At the sender, which finds the new one when it sends; at a receiver, which joins anew when nothing has come for
    long; and at one that has stayed."""
    lan = Lan(t, interface="eth1").start()
    lan.speak(12)
    hosts = [lan.origin.host, lan.relay.host]
    for host in hosts:
        host.run("ip", "link", "del", "eth1")
    taken(lan.origin, 0)
    for host in hosts:
        t.net.second_link(host)
    taken(lan.origin, 2)
    changes_are_told(lan.relay, least=3)
    equal(trees.counters(lan.origin)["multicast_reattached"], 1, "the origin found the interface anew")
    check(trees.counters(lan.relay)["uplink_multicast_join"] >= 2, "the relay joined anew")
    lan.all_hear()


class Rogue:
    """A host that hears what goes to the group, whoever it is for, and sends there itself, in its own name or the
    sender's."""

    def __init__(self, t, group=V4):
        self.host, self.group = t.host("rogue"), group
        self.raw = self.host.sockets(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)))
        self.raw.bind(("eth0", 0x0800))
        self.mac = self.raw.getsockname()[4]
        membership = struct.pack("IHH8s", self.host.sockets(lambda: socket.if_nametoindex("eth0")), 1, 0, b"")
        self.raw.setsockopt(263, 1, membership)  # SOL_PACKET, PACKET_ADD_MEMBERSHIP: promiscuous
        self.udp = self.host.sockets(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(self.host.v4))
        self.on_frame = lambda frame: None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        t.cleanups.append(self.stop)

    def _listen(self):
        self.raw.settimeout(0.1)
        while not self.stopping.is_set():
            try:
                packet, (_, _, kind, *_) = self.raw.recvfrom(2048)
            except TimeoutError:
                continue
            ip = packet[14:]
            if kind == socket.PACKET_OUTGOING or ip[9] != 17 or ip[16:20] != packed(self.group):
                continue
            if ip[12:16] != packed(self.host.v4) and ip[28] == FRAME:
                self.on_frame(packet)

    def send(self, payload):
        """In its own name."""
        self.udp.sendto(payload, (self.group, PORT))

    def forge(self, packet, payload):
        """In the name of who sent that packet."""
        # From this host's own MAC address: with the sender's the bridge would take what goes to the sender here, too.
        ethernet, ip, udp = packet[:6] + self.mac + packet[12:14], packet[14:34], packet[34:42]
        size = len(payload) + 8
        header = ip[:2] + struct.pack(">H", 20 + size) + ip[4:10] + bytes(2) + ip[12:20]
        total = sum(struct.unpack(">10H", header))
        total = (total & 0xffff) + (total >> 16)
        checksum = ~(total + (total >> 16)) & 0xffff
        header = header[:10] + struct.pack(">H", checksum) + header[12:]
        self.raw.send(ethernet + header + udp[:4] + struct.pack(">HH", size, 0) + payload)

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.raw.close()
        self.udp.close()


def payload_of(packet):
    return packet[42:]


def test_multicast_of_another_sender_is_not_heard(t):
    """Junk and copies of true frames, to the same group and port."""
    lan = Lan(t).start()
    rogue = Rogue(t)
    tap = t.capture(lan.relay.host, interface="eth0", expression=f"udp and src host {rogue.host.v4}")
    sent = []

    def echo(packet):
        for data in (payload_of(packet), os.urandom(100), b"", b"\x20" + os.urandom(200)):
            rogue.send(data)
            sent.append(data)
    rogue.on_frame = echo
    lan.speak(3)
    lan.encoder.wait(20)
    rogue.stop()
    lan.all_hear()
    check(len(sent) > 250, f"{len(sent)} datagrams of the other sender")
    equal(len(tap.stop()), len(sent), "how many of them reached the relay's host")
    most = lan.origin.status()["counters"]["multicast_sent"]
    relay = lan.relay.status()
    heard = relay["counters"]["uplink_multicast_datagram"]
    check(100 < heard <= most, f"the relay took {heard} datagrams, the origin sent {most}")
    heard = lan.near.report()["counters"]["uplink_multicast_datagram"]
    check(100 < heard <= most, f"near took {heard} datagrams, the origin sent {most}")
    dropped = {n: v for n, v in trees.group(lan.relay)["counters"].items() if v and n.startswith("intake_drop")}
    equal(dropped, {}, "what the relay dropped")


def test_multicast_forged_in_the_senders_name_is_counted_and_not_played(t):
    lan = Lan(t)
    strict = t.listener("strict", [lan.origin], options=[*option(), "--strict"])
    lan.listeners.append(strict)
    lan.start(by_multicast=3)
    rogue = Rogue(t)
    seen = []

    def forge(packet):
        seen[:] = [packet]
        true = payload_of(packet)
        sequence = int.from_bytes(true[10:16], "big")
        altered = bytearray(true)
        if sequence % 4 == 0:
            altered[20] ^= 1  # the frame that just came, with another content
        else:
            altered[10:16] = (sequence + 2).to_bytes(6, "big")  # one that is to come
        rogue.forge(packet, bytes(altered))
    rogue.on_frame = forge
    lan.speak(6)
    time.sleep(2)
    # Fewer than 50 a second are looked at and thrown away, and the true ones beside them go on being heard.
    counters = trees.group(lan.relay)["counters"]
    check(counters["intake_drop_signature"] > 20, f"forged frames that the relay counted: {counters}")
    equal(counters["intake_drop_distrusted"], 0, "what was not even looked at")
    taken(lan.origin, 3)
    # Of far more than that, of frames to come, most are dropped unread, true ones among them, and unicast steps in.
    flooding = threading.Event()
    flooding.set()

    def flood():
        while flooding.is_set():
            forged = bytearray(payload_of(seen[0])[:-1] + os.urandom(1))
            forged[10:16] = (int.from_bytes(forged[10:16], "big") + 3).to_bytes(6, "big")
            rogue.forge(seen[0], bytes(forged))
            time.sleep(0.001)
    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    try:
        taken(lan.origin, 0)
    finally:
        flooding.clear()
        thread.join()
    rogue.on_frame = lambda packet: None
    lan.all_hear()
    check(trees.group(lan.relay)["counters"]["intake_drop_distrusted"] > 0, "a flood of forgeries")
    for listener in (lan.near, strict):
        counters = listener.report()["counters"]
        check(counters["listener_drop_signature"] > 20, f"forged frames that {listener.name} counted: {counters}")
        equal(counters["playout_drop_forged"], 0, "forged frames that came as far as the playout")


def test_multicast_interface_that_is_not_there_ends_a_sender_and_not_a_receiver(t):
    source = t.new_source()
    sender = t.node("sender", source=source, sections=sends(interface="lan7"))
    write(sender)
    sender.spawn([t.binary, "run", "-c", sender.config_path])
    equal(sender.wait(10), 71, "the exit status")
    check(f"cannot send to {at(V4)} on lan7: there is no interface lan7; `ip link` lists those there are" in sender.log(),
          sender.log())
    origin = t.node("origin", source=source, sections=sends())
    relay = t.node("relay", upstreams=[origin], multicast=takes(interface="lan7"))
    ear = t.listener("ear", [origin], options=option(interface="lan7"))
    below = t.listener("below", [relay])
    for node in (origin, relay):
        node.start()
    trees.live(relay)
    for listener in (ear, below):
        listener.start()
    trees.listening(origin, 2)
    eventually(lambda: told(relay, "multicast_unavailable"), 5, "the relay's log")
    (line,) = told(relay, "multicast_unavailable")
    check("there is no interface lan7" in line and "warning" in line, line)
    sent = trees.send_speech(t, origin, 3)
    equal(origin.status()["listen"]["multicast"]["leases"], 0, "leases by multicast")
    problem = relay.status()["upstreams"][0]["multicast"]["problem"]
    check("there is no interface lan7" in problem, f"the relay's status: {problem}")
    check("there is no interface lan7" in relay.admin("status"), "and in words")
    trees.end(origin, [ear, below])
    for listener in (ear, below):
        trees.dense(listener)
        trees.heard_all(listener, sent)
    check("there is no interface lan7" in ear.report()["parents"][0]["multicast"]["problem"], "the listener's report")


def test_multicast_comes_from_the_interfaces_own_address_where_a_node_listens_on_all(t):
    """A relay that is told so takes it, of either family; a listener, who knows the node by another address, does not,
    and lacks nothing."""
    source = t.new_source()
    for number, group in enumerate((V4, V6)):
        sections = sends(group, "eth1")
        sections["listen"]["address"] = f"[::]:{4800 + number}"
        origin = t.node(f"origin-{number}", host=t.host("origin"), source=source, sections=sections,
                        group={"source": {"rtp": f"127.0.0.1:{5004 + 2 * number}", "id": 1, "signing_key": source.path}})
        origin.port, origin.v6 = 4800 + number, number == 1
        relay = t.node(f"relay-{number}", upstreams=[origin], v6=number == 1)
        if number == 0:
            t.net.second_link(origin.host)
            ears = t.host("ears")
            t.net.second_link(ears)
        t.net.second_link(relay.host)
        own = f"fd78::{origin.host.number:x}" if number else f"10.78.0.{origin.host.number}"
        relay.multicast = {**takes(group, "eth1"), "source": own}
        origin.start()
        relay.start()
        trees.live(relay)
        ear = t.listener(f"ear-{number}", [origin], host=ears, options=option(group, "eth1")).start()
        below = t.listener(f"below-{number}", [relay], host=ears).start()
        trees.listening(origin, 2)
        eventually(lambda: by_multicast(origin) == 1 and delivers(relay), PATIENCE, "the relay takes it")
        trees.end(origin, [ear, below])
        for listener in (ear, below):
            check(len(trees.dense(listener)) > 30, f"{listener.name} heard all")
        equal(ear.report()["parents"][0]["multicast"], {"delivers": False, "datagrams": 0}, "the listener")


@readme.runs("IP multicast")
def test_multicast_as_the_readme_has_it(t):
    section = readme.section("IP multicast")
    toml = tomllib.loads("\n".join(re.findall("```text\n(.*?)```", section, re.S)))
    source = t.new_source()
    origin = t.node("origin", source=source, sections={"listen": {"multicast": toml["listen"]["multicast"]}})
    relay = t.node("relay", upstreams=[origin], multicast=toml["upstream"][0]["multicast"])
    origin.start()
    relay.start()
    trees.live(relay)
    shell = readme.Shell(t, t.host("ears"), folder=t.dir,
                         environment={"EDGE": origin.address, "EDGE_KEY": origin.key.public, "SOURCE": source.public})
    ear = shell.start(readme.commands("IP multicast"))
    trees.listening(origin, 1)
    taken(origin, 2)
    said = re.search("`(multicast .*) [0-9]+ (of the leases take it)`", section)
    eventually(lambda: f"{said[1]} 2 {said[2]}" in origin.admin("status"), PATIENCE, said[0])
    sent = trees.send_speech(t, origin, 2)
    origin.admin("end", "main")
    ear.finish(10)
    trees.same_as_sent("ear", media.read_ogg(os.path.join(t.dir, "talk.opus")).packets, sent)


def test_multicast_in_the_status_for_people(t):
    lan = Lan(t).start()
    eventually(lambda: re.search(rf"^{re.escape(lan.origin.address)} +multicast ", lan.relay.admin("status"), re.M), PATIENCE,
               "the relay's parent is taken by multicast")
    eventually(lambda: f"  multicast {at(V4)} on eth0: 2 of the leases take it\n" in lan.origin.admin("status"), PATIENCE,
               "how many take it")
    t.net.block(V4)
    eventually(lambda: f"multicast {at(V4)} on eth0 of {lan.origin.address} does not come" in lan.relay.admin("status"), PATIENCE,
               "the relay says what is wrong")
    check(re.search(rf"^{re.escape(lan.origin.address)} +live ", lan.relay.admin("status"), re.M), "and that its parent lives")


def test_multicast_of_a_parent_is_added_and_removed_by_reload(t):
    lan = Lan(t, SOURCE_SPECIFIC)
    lan.relay.multicast = None
    lan.start(by_multicast=1)
    lan.speak(8)
    origin, relay = lan.origin, lan.relay
    for multicast, leases in ((takes(SOURCE_SPECIFIC), 2), (None, 1), (takes(SOURCE_SPECIFIC), 2)):
        relay.multicast = multicast
        write(relay)
        status, said, wrong = reload(relay)
        equal((status, wrong), (0, []), f"the reload: {said}")
        equal(len(said), 2, f"one upstream removed, one added: {said}")
        taken(origin, leases)
        eventually(lambda: len(relay.status()["upstreams"]) == 1, 8, "the one before is gone")
        equal("multicast" in relay.status()["upstreams"][0], multicast is not None, "what its status says")
        trees.live(relay)
    lan.all_hear()

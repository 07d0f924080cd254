"""Two origins of one group, fed by one encoder: one is killed, and nobody hears it."""
import os
import time

import media
import readme
import trees
from harness import check, equal, eventually


def two_origins(t):
    sources = [t.new_source(1), t.new_source(2)]
    origins = [t.node(f"origin-{s.id}", source=s) for s in sources]
    for one, other in zip(origins, reversed(origins)):
        one.downstreams.append(other)
        one.group["source"] = {"rtp": f"{one.host.v4}:5004", "id": one.source.id, "signing_key": one.source.path,
                               "align": other.address, "align_key": other.key.public}
    relay = t.node("relay", upstreams=origins)
    edge = t.node("edge", upstreams=[relay])
    return origins, relay, edge


def aligned(origin):
    return trees.group(origin)["align"]["by"] in ("announcement", "payloads")


def active(node):
    return trees.group(node)["active_source"]


@readme.runs("Two origins")
def test_the_primary_origin_killed_is_not_heard(t):
    origins, relay, edge = two_origins(t)
    primary, standby = origins
    for node in [*origins, relay, edge]:
        node.start()
    trees.live(relay, parents=2)
    trees.live(edge)
    studio, ears = t.host("studio"), t.host("ears")
    listeners = [t.listener("ear", [edge], host=ears).start(),
                 t.listener("strict", [edge], host=ears, options=["--strict"]).start()]
    trees.listening(edge, 2)
    tap = t.capture(studio, interface="eth0", expression=f"udp dst port 5004 and dst host {standby.host.v4}")
    here = t.home("studio")
    os.symlink(t.speech(7), os.path.join(here, "talk.wav"))
    names = {"ORIGIN_1": primary.host.v4, "ORIGIN_2": standby.host.v4}
    encoder = readme.Shell(t, studio, here, environment=names).start(readme.commands("Two origins"))
    eventually(lambda: all(map(aligned, origins)), 5, "both origins are aligned")
    equal(active(relay), 1, "the active source")
    time.sleep(1)
    primary.kill()
    eventually(lambda: active(edge) == 2, 2, "the standby's source is forwarded")
    primary.start()
    eventually(lambda: aligned(primary), 5, "the primary is aligned again")
    equal(encoder.wait(20), 0, f"the encoder's exit status: {encoder.log()!r}")
    sent = media.opus_packets(tap.stop())
    check(len(sent) >= 340, f"{len(sent)} packets")
    time.sleep(1)
    for origin in origins:
        origin.admin("end", "main")
    for listener in listeners:
        equal(listener.wait(10), 0, f"{listener.name}'s exit status: {listener.log()!r}")
        trees.dense(listener)
        trees.heard_all(listener, sent)
        trees.same_as_sent(listener.name, media.read_ogg(listener.output).packets, sent)

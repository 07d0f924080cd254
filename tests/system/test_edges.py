"""Edges that send their listeners elsewhere, to others of the operator's list and to nobody else."""
import os
import re

import readme
import trees
from harness import check, equal, eventually
from test_reload import reload, write

README = "Where else"


def sign(t, shell, edges):
    """The README's list of these edges, in the test's folder; its path and the operator's public key."""
    with open(os.path.join(t.dir, "edges.txt"), "w", encoding="utf-8") as file:
        file.writelines(f"{edge.address} {edge.key.public}\n" for edge in edges)
    said = shell.run(readme.commands(README, "OPERATOR=", "tiercast edges")).said()
    check(re.fullmatch(f"edges: ok: {len(edges)} edges; serial \\d+, 20\\d\\d-.* UTC\\n", said), f"what it says: {said!r}")
    return os.path.join(t.dir, "edges"), shell.environment["OPERATOR"]


@readme.runs(README)
def test_a_listener_that_knows_one_edge_goes_on_from_another_and_loses_nothing(t):
    origin = t.node("origin", source=t.new_source())
    edges = [t.node(f"edge-{n}", upstreams=[origin]) for n in (1, 2)]
    ears = t.host("ears")
    shell = readme.Shell(t, ears, t.dir)
    path, key = sign(t, shell, edges)
    for edge in edges:
        edge.sections["edges"] = {"file": path, "operator": key}
    for node in (origin, *edges):
        node.start()
    for edge in edges:
        trees.live(edge)
    one, two = edges
    listener = t.listener("ear", [one], host=ears, options=["--edges", path, "--operator", key]).start()
    shell.environment["TALK"] = f"{one.address} --key {one.key.public} --group 1 --source-key 1:{t.sources[0].public}"
    other = shell.start(readme.commands(README, "tiercast listen"))
    trees.listening(one, 2)
    equal(one.status()["edges"]["named"], 1, "the edges that it names")
    one.sections["edges"]["elsewhere"] = [one.address]  # itself: none
    write(one)
    status, said, _ = reload(one)
    check(status == 0 and re.fullmatch(rf"edges: 2 in {path}, serial \d+", said[0]), f"what a reload says: {said}")
    equal(one.status()["edges"]["named"], 0, "the edges that it names then")
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n")
    status, _, said = reload(one)
    check(status == 78 and f"{path}:6: no signature in the last line" in " ".join(said), f"of a list that is none: {said}")
    os.truncate(path, os.path.getsize(path) - 1)
    del one.sections["edges"]["elsewhere"]
    write(one)
    equal(reload(one)[0], 0, "the list as it was")
    tap = t.capture(origin.host)
    encoder = t.encoder(origin.host, t.speech(5))
    eventually(lambda: trees.group(origin)["input"]["packets"] > 25, 15, "half a second of speech")
    equal(one.admin("drain"), "drained: nobody is left; the node stops\n", "how it drains")
    equal(one.wait(5), 0, "its exit status")
    trees.listening(two, 2)
    encoder.wait(20)
    sent = trees.media.opus_packets(tap.stop())
    trees.end(origin, [listener])
    other.finish(10)
    trees.dense(listener)
    trees.heard_all(listener, sent)
    report = listener.report()
    equal((report["lost"], report["counters"]["elsewhere_learnt"]), (0, 1), "frames lost, and edges learnt")
    equal([p["address"] for p in report["parents"]], [one.address, two.address], "its parents at the end")

"""Edges that send their listeners elsewhere, to others of the operator's list and to nobody else."""
import os
import re

import readme
from harness import check

README = "Where else"


def sign(t, shell, edges):
    """The README's list of these edges, in the test's folder; its path and the operator's public key."""
    with open(os.path.join(t.dir, "edges.txt"), "w", encoding="utf-8") as file:
        file.writelines(f"{edge.address} {edge.key.public}\n" for edge in edges)
    said = shell.run(readme.commands(README, "OPERATOR=", "tiercast edges")).said()
    check(re.fullmatch(f"edges: ok: {len(edges)} edges; serial \\d+, 20\\d\\d-.* UTC\\n", said), f"what it says: {said!r}")
    return os.path.join(t.dir, "edges"), shell.environment["OPERATOR"]


@readme.runs(README)
def test_the_readmes_list_of_edges_is_signed_and_checked(t):
    sign(t, readme.Shell(t, folder=t.dir), [t.node("one"), t.node("two")])

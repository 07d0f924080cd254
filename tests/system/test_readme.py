"""That README.md keeps its word: each command in it is run by a test, each counter, option, message and status that it
names is there. And that none of this can be had for nothing."""
import os
import re
import subprocess
import sys

import harness
import readme
import trees
from harness import ROOT, check, equal

TEST = """# It

```sh
one     # a comment
two \\
  three
cat > four <<END
# no comment
END
for n in 1 2; do
  cat <<'X'
done
X
done
```

## Next

```sh
# About five
# and six.
five

# seven
seven
eight | nine
```

```text
ten
```
"""


def fails(what, call):
    try:
        call()
    except harness.Failed as error:
        return str(error)
    raise harness.Failed(f"{what} passed")


def test_commands_are_read_out_of_the_readme(t):
    found = readme.parse(TEST)
    equal([c.text for c in found], ["one     # a comment", "two \\\n  three", "cat > four <<END\n# no comment\nEND",
                                    "for n in 1 2; do\n  cat <<'X'\ndone\nX\ndone", "five", "seven", "eight | nine"], "all")
    equal([c.section for c in found], ["It"] * 4 + ["Next"] * 3, "their sections")
    equal([c.comment for c in found[3:]], ["", "# About five\n# and six.", "# seven", "# seven"], "the comments above them")
    equal([c.text for c in readme.select(found, "Next", ["sev", "eight"])], ["seven", "eight | nine"], "by their beginnings")
    equal([c.text for c in readme.select(found, "It", ["one$"])], ["one     # a comment"], "by all that it is")
    for none in ("nine", "eight$"):
        fails("the beginning of no command", lambda: readme.select(found, "Next", [none]))
    fails("a section without commands", lambda: readme.select(found, "Other"))


def test_a_promise_is_kept_only_by_running(t):
    def lines(*texts):
        return [readme.Command(number, "It", text, "") for number, text in enumerate(texts)]

    def fate(*texts, **how):
        fake = type("T", (), {"dir": t.dir, "binary": t.binary, "processes": []})
        shell = readme.Shell(fake)
        run = shell.start(lines(*texts), **how)
        if texts[-1] != "sleep 60":
            run.wait(10)
        else:
            harness.eventually(lambda: f"{len(texts) - 1} begins" in readme.read(run.ledger_path), 10, "its last command")
        return list(run.fates().values())
    equal(fate("true", "false | true", "NAME=$(echo a b)", "[ \"$NAME\" = 'a b' ]"), ["ended", "failed with status 1"],
          "a failure in a pipe, and nothing behind it is run")
    equal(fate("NAME=$(echo a b)", "[ \"$NAME\" = 'a b' ]     # comment"), ["ended", "ended"], "a variable")
    equal(fate("for n in 0 1; do\n  [ $n = 1 ]\ndone"), ["failed with status 1"], "a loop's first turn")
    equal(fate("no-such-program"), ["failed with status 127"], "a program that is not there")
    equal(fate("true", "echo (", "true"), ["ended", "was cut off"], "no shell")
    equal(fate("kill -9 $$"), ["was cut off"], "a shell that is killed")
    equal(fate("sleep 60 &", "sleep 60"), ["ended", "was ended"], "what the test ends")
    equal(fate("test a =     # or so", more=["b"], status=1), ["ended"], "a command with more words, that fails as it must")
    equal(fate("true", status=1), ["did not end with status 1"], "one that should fail")

    shell = readme.Shell(t)
    some = lines("ONE=1", "[ $ONE = 1 ] && echo heard")
    shell.run(some[:1])
    equal(shell.run(some[1:]).said(), "heard\n", "what a later run has of an earlier one")
    test = type("Test", (), {})
    kept = readme.PATH, readme.promises
    readme.promises = []
    readme.PATH = os.path.join(t.dir, "README.md")
    with open(readme.PATH, "w", encoding="utf-8") as file:
        file.write("# It\n\n```sh\nONE=1\n[ $ONE = 1 ] && echo heard\nthird\n```\n")
    try:
        equal(len(readme.unpromised()), 3, "commands that nobody promises")
        readme.runs("It", "ONE", "[")(test)
        readme.all_ran(test, t)
        equal(readme.unpromised(), ["third"], "what nobody promises")
        readme.runs("It")(test)
        equal(readme.unpromised(), [], "what nobody promises")
        check("'third' was not run" in fails("a promise that is not kept", lambda: readme.all_ran(test, t)), "it says which")
        shell.run([readme.parse(readme.text())[2]._replace(text="true")])
        fails("a promise that is kept with another command", lambda: readme.all_ran(test, t))
    finally:
        readme.PATH, readme.promises = kept
    fails("a stand-in for what can be run", lambda: shell.stand_in("tiercast", "true"))


def test_every_command_of_the_readme_is_run_by_a_test(t):
    equal(readme.unpromised(), [], "commands that no test runs: see readme.py")
    for test, name, beginnings in readme.promises:
        readme.commands(name, *beginnings)
        check(test.__name__.startswith("test_") and vars(sys.modules[test.__module__])[test.__name__] is test,
              f"{test.__name__}, which runs some of {name!r}, is a test")
    every = readme.parse(readme.text())
    for command in readme.NOT_RUN:
        check(any(c.text.startswith(command) for c in every), f"{command!r}, which is not run, is there")
    for program in readme.STAND_INS:
        check(any(re.search(rf"\b{program} ", c.text) for c in every), f"{program} is used")
    for command in every:
        done = subprocess.run(["bash", "-n", "-c", command.text], capture_output=True, text=True)
        equal((done.returncode, done.stderr), (0, ""), f"{command.text!r} as bash reads it")
    # What is no command says so, and is none.
    programs = {word for c in every for word in re.findall(r"(?:^|\| )([\w./-]+) ", c.text)}
    for block in readme.blocks(readme.text()):
        check(block.language in ("sh", "text"), f"a block in {block.section!r} is {block.language or 'of no language'}")
        if block.language == "text":
            wrong = [line for line in block.lines if set(line.split()[:1]) & programs - {"ffmpeg"}]
            equal(wrong, [], f"commands in {block.section!r} that pass for text")


def spans():
    """What the text has in backquotes, without the blocks."""
    plain = re.sub(r"^```.*?^```$", "", readme.text(), flags=re.M | re.S)
    return re.findall(r"`([^`]+)`", re.sub(r"\s*\n\s*", " ", plain))


def keys_of(value):
    if isinstance(value, dict):
        return set(value) | {key for item in value.values() for key in keys_of(item)}
    return {key for item in value for key in keys_of(item)} if isinstance(value, list) else set()


def sources(*folders):
    return "".join(readme.read(os.path.join(folder, name)) for top in folders
                   for folder, _, names in os.walk(os.path.join(ROOT, top)) for name in names
                   if name.endswith((".cpp", ".hpp", ".toml", ".py", ".in")) or "." not in name)


# Names with an underscore that are others': sysctls, options of ffmpeg, SDL's.
OTHERS = {"frame_duration", "io_uring", "io_uring_disabled", "rmem_max", "rp_filter", "wmem_max"}


def test_every_counter_and_key_that_the_readme_names_is_there(t):
    tree = trees.Tree(t, edge={"group": {"record": {"directory": os.path.join(t.dir, "recordings")}}}).start()
    pipe = os.path.join(t.dir, "pipe")
    os.mkfifo(pipe)
    player = tree.ears.popen(["cat", pipe], stdout=subprocess.DEVNULL)
    listener = t.listener("ear", [tree.edge], host=tree.ears, options=["--pcm", pipe]).start()
    trees.listening(tree.origin, 1)
    have = {key for node in tree.nodes for key in keys_of(node.status())}
    trees.end(tree.origin, [listener])
    player.wait()
    have |= keys_of(listener.report())
    have |= set(re.findall(r'\b([a-z_]+)\b(?= *=)', sources("config/examples")))  # keys of the configuration
    have |= set(re.findall(r'log::\w+\(\s*"(\w+)"', sources("relay")))  # events
    have |= set(re.findall(r'"(\w+)"', sources("scripts/drills"))) | set(re.findall(r"(\w+)[ ,]", sources("scripts/drills")))
    named = {word for span in spans() if not span.startswith(("credential:", "key = ", "signing_key = "))
             for word in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", span)}
    check(len(named) > 40, f"{len(named)} names")
    equal(sorted(named - have - OTHERS), [], "names in the README that nothing has")


def test_every_option_and_message_that_the_readme_names_is_there(t):
    def help_of(*command):
        return subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    own = help_of(t.binary)
    helps = own + "".join(help_of(t.binary, word) for word in re.findall(r"^  (\w+) ", own, re.M))
    for script in ("drills/all", "drills/kill-parent", "drills/lossy-link", "drills/clock-step", "bench/compare",
                   "bench/leases", "bootstrap"):
        helps += help_of(os.path.join(ROOT, "scripts", script))
    options = {option for span in spans() for option in re.findall(r"--[a-z][a-z-]+", span)}
    equal(sorted(o for o in options if not re.search(rf"{o}\b", helps)), [], "options that nothing has")
    words = {span.split()[1] for span in spans() if span.startswith("tiercast ")}
    equal(sorted(word for word in words if not re.search(rf"^  {word} ", own, re.M)), [], "commands that are none")

    # What the program says is in its sources, in pieces between what differs from time to time.
    said = re.sub(r"\{(:[^}]*)?\}", "", re.sub(r'"\s*\n\s*"', "", sources("relay/cli", "relay/node", "relay/wire")))
    tables = [readme.section(name) for name in ("Reading `tiercast status`", "When something fails",
                                                "What a listener's messages mean")]
    messages = [span for table in tables for row in re.findall(r"^\| ([^|]*)\|", table, re.M)
                for span in re.findall(r"`([^`]+)`", row) if " " in span]
    check(len(messages) > 40, f"{len(messages)} messages")
    for message in messages:
        for piece in re.split(r": |…(?:/s)?|\b[NM]\b|\b\d+\b", message):
            check(piece.strip(" :,") in said, f"{piece!r} of {message!r} is in the sources")


def test_the_readmes_exit_statuses_are_the_programs(t):
    code = sources("relay")
    values = dict(re.findall(r"^ +(\w+) = (\d+),", readme.read(os.path.join(ROOT, "relay/base/exit_code.hpp")), re.M))
    used = {values[name] for name in re.findall(r"ExitCode::(\w+)", code) if name in values}
    equal(sorted(re.findall(r"^\| (\d+) \|", readme.section("Exit status"), re.M), key=int), sorted(used, key=int), "they")
    unit = readme.read(os.path.join(ROOT, "systemd/tiercast@.service.in"))
    fails_section = readme.section("When something fails").replace("\n", " ")
    final = re.search(r"After ([\d, and]+), which no restart can mend", fails_section)
    equal(re.findall(r"\d+", final[1]), re.search(r"RestartPreventExitStatus=(.*)", unit)[1].split(), "those that are final")


def test_the_readmes_picture_of_the_status_is_the_status(t):
    """Its headings, and the form of its lines."""
    (picture,) = [b.lines for b in readme.blocks(readme.text()) if b.section == "Reading `tiercast status`" and
                  b.language == "text"]
    source = t.new_source()
    origin = t.node("origin", source=source)
    relay = t.node("relay", upstreams=[origin])
    edge = t.node("edge", upstreams=[relay])
    for node in (origin, relay, edge):
        node.start()
    trees.live(edge)
    lines = relay.admin("status").split("\n")
    headings = [line for line in picture if line.startswith(("parents", "groups", "children", "listeners"))]
    equal([line for line in lines if line in headings], headings, f"headings in {lines}")
    for drawn in picture[1:]:
        if drawn not in headings:
            check(len(drawn) <= 100, f"{drawn!r} is no longer than such lines are")


def test_the_readmes_links_lead_somewhere(t):
    text = readme.text()
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for link in re.findall(r"\]\(([^)]*)\)", text):
        path, _, anchor = link.partition("#")
        check(os.path.exists(os.path.join(ROOT, path)), f"{link} is there")
        check(path or anchor in anchors, f"{link} leads to {anchors}")


def test_the_readmes_packages_are_those_that_the_program_needs(t):
    libraries = re.findall(r"=> (/\S+)", subprocess.run(["ldd", t.binary], capture_output=True, text=True, check=True).stdout)
    files = [os.path.realpath(path) for path in libraries]
    files += [path.removeprefix("/usr") for path in files]  # of either both are the same, and dpkg knows one
    owners = subprocess.run(["dpkg-query", "-S", *files], capture_output=True, text=True).stdout
    needed = {line.split(":")[0] for line in owners.splitlines()}
    told = set(re.findall(r"`(z?lib[\w+.-]+)`", readme.section("Build and install")))
    equal(sorted(needed - {"libc6", "libgcc-s1"}), sorted(told), "the packages")

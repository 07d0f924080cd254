// check, keygen, pubkey and edges as a user meets them: exit status, stdout, stderr.
#include "relay/cli/commands.hpp"

#include <filesystem>

#include "relay/base/exit_code.hpp"
#include "relay/cli/load_config.hpp"
#include "tests/cli/temporary_directory.hpp"

namespace tiercast::commands_test {

using namespace tiercast::cli;
using test::Ran;
using test::run_caught;
using test::TemporaryDirectory;
using test::write_file;

namespace {

// RFC 7748 §6.1, Alice; RFC 8032 §7.1, test 1.
const std::string kNodePrivate = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
const std::string kNodePublic = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
const std::string kSourcePrivate = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const std::string kSourcePublic = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const std::string kOtherPublic = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

template <class T>
Ran caught(const T& options, const std::string& input = "") {
  return run_caught([&] { return run(options); }, input);
}

/// An origin's file that is right, with its keys beside it.
struct Origin {
  TemporaryDirectory directory;
  std::string node_key = write_file(directory / "node.key", kNodePrivate + "\n");
  std::string source_key = write_file(directory / "source.key", kSourcePrivate + "\n");
  std::string file = directory / "origin.toml";

  std::string text(const std::string& upstream = kOtherPublic, const std::string& source = kSourcePublic) const {
    return "[node]\nname = \"origin\"\nkey = \"" + node_key +
           "\"\nstate = \"/s\"\n[listen]\naddress = \"0.0.0.0:4800\"\n" +
           "[[upstream]]\naddress = \"up:1\"\npublic_key = \"" + upstream + "\"\n[[group]]\nname = \"main\"\nid = 1\n" +
           "sources = [{ id = 1, key = \"" + source +
           "\" }]\nsource = { rtp = \"127.0.0.1:5004\", id = 1, signing_key = \"" + source_key + "\" }\n";
  }
  Ran check(const std::string& contents) {
    write_file(file, contents);
    return caught(CheckOptions{file});
  }
};

}  // namespace

TEST_CASE("check says ok, in one line on stdout, of a file that is right") {
  Origin origin;
  const Ran ran = origin.check(origin.text());
  CHECK(ran.exit_code == ExitCode::ok);
  CHECK(ran.out == origin.file + ": ok: origin origin (public key " + kNodePublic +
                       "): group main; listens on 0.0.0.0:4800 with 1 worker; 1 upstream\n");
  CHECK(ran.err.empty());
}

TEST_CASE("check names every listen address") {
  Origin origin;
  std::string text = origin.text();
  const std::string one = "\"0.0.0.0:4800\"";
  text.replace(text.find(one), one.size(), "[\"192.0.2.1:4800\", \"[2001:db8::1]:4800\", \"[::1]:1\"]");
  const Ran ran = origin.check(text);
  CHECK(ran.exit_code == ExitCode::ok);
  CHECK(ran.out.find("; listens on 192.0.2.1:4800, [2001:db8::1]:4800 and [::1]:1 with 1 worker;") !=
        std::string::npos);
}

TEST_CASE("check --print-socket-unit prints a drop-in with each address once for joins and once a worker") {
  Origin origin;
  write_file(origin.file, origin.text());
  CHECK(std::filesystem::remove(origin.node_key));  // of no concern here
  const Ran one = caught(CheckOptions{origin.file, true});
  CHECK(one.exit_code == ExitCode::ok);
  CHECK(one.err.empty());
  CHECK(one.out == "# /etc/systemd/system/tiercast@NAME.socket.d/listen.conf, from " + origin.file +
                       "\n[Socket]\nListenDatagram=\n# one for joins, 1 worker\nListenDatagram=0.0.0.0:4800\n"
                       "ListenDatagram=0.0.0.0:4800\n");
  std::string text = origin.text();
  const std::string address = "\"0.0.0.0:4800\"";
  text.replace(text.find(address), address.size(), "[\"192.0.2.1:1\", \"[2001:db8::1]:2\"]");
  write_file(origin.file, text);
  const Ran two = caught(CheckOptions{origin.file, true});
  CHECK(two.exit_code == ExitCode::ok);
  CHECK(
      two.out.ends_with("\nListenDatagram=192.0.2.1:1\nListenDatagram=192.0.2.1:1\n# one for joins, 1 worker\n"
                        "ListenDatagram=[2001:db8::1]:2\nListenDatagram=[2001:db8::1]:2\n"));
}

TEST_CASE("check --print-socket-unit of a node that listens nowhere, or of a wrong file, prints nothing and exits 78") {
  Origin origin;
  std::string text = origin.text();
  const std::string listen = "[listen]\naddress = \"0.0.0.0:4800\"\n";
  text.erase(text.find(listen), listen.size());
  for (const std::string& contents : {text, std::string{"[node]\n"}}) {
    write_file(origin.file, contents);
    const Ran ran = caught(CheckOptions{origin.file, true});
    CHECK(ran.exit_code == ExitCode::config);
    CHECK(ran.out.empty());
    CHECK(ran.err.starts_with(origin.file));
  }
}

TEST_CASE("check outside of the unit looks at all but the credentials, and says so") {
  Origin origin;
  std::string text = origin.text();
  text.replace(text.find(origin.node_key), origin.node_key.size(), "credential:node");
  const Ran ran = origin.check(text);
  CHECK(ran.exit_code == ExitCode::ok);
  CHECK(ran.out ==
        origin.file + ": ok: origin origin: group main; listens on 0.0.0.0:4800 with 1 worker; 1 upstream\n");
  CHECK(ran.err ==
        origin.file + ": note: credential:node is not looked at: only the unit with its LoadCredential= has it\n");
}

TEST_CASE("check tells what a recording would lack, which is no error: another user may run the node") {
  Origin origin;
  const std::string there = origin.directory / "recordings", nowhere = origin.directory / "no/recordings";
  Ran ran =
      origin.check(origin.text() + "record = { directory = \"" + there + "\", finished = [\"/bin/true\", \"x\"] }\n");
  CHECK(ran.exit_code == ExitCode::ok);
  CHECK(ran.err.empty());
  ran = origin.check(origin.text() + "record = { directory = \"" + nowhere + "\", finished = \"/no/post\" }\n");
  CHECK(ran.exit_code == ExitCode::ok);
  const std::string note = origin.file + ": note: group \"main\": ";
  CHECK(ran.err == note + "neither the record directory " + nowhere +
                       " nor its parent is there: the node makes the last folder only\n" + note +
                       "/no/post, to be run with finished recordings, cannot be run: No such file or directory\n");
}

TEST_CASE("check reports every problem on stderr and exits 78") {
  Origin origin;
  const Ran ran = origin.check("[node]\nnmae = \"a\"\nkey = 7\n");
  CHECK(ran.exit_code == ExitCode::config);
  CHECK(ran.out.empty());
  CHECK(ran.err == origin.file + ":1:1: node.name is missing; add name = \"edge-fra-1\"\n" +  //
                       origin.file +
                       ":1:1: [[group]]: missing; a node carries at least one, with name, id and sources\n" +
                       origin.file +
                       ":1:1: [listen]: missing, and this node neither records nor has an [[upstream]]: it "
                       "would do nothing; add [listen] with address = \"0.0.0.0:4800\"\n" +
                       origin.file + ":2:1: node.nmae: unknown key; did you mean name?\n" + origin.file +
                       ":3:7: node.key = 7: an integer; use text in quotes, as in key = "
                       "\"/etc/tiercast/node.key\"\n");
}

TEST_CASE("check exits 66 when there is no configuration") {
  const TemporaryDirectory directory;
  const Ran ran = caught(CheckOptions{directory / "none.toml"});
  CHECK(ran.exit_code == ExitCode::no_input);
  CHECK(ran.err == (directory / "none.toml") + ": cannot read the configuration: No such file or directory\n");
  const Ran folder = caught(CheckOptions{directory / ""});
  CHECK(folder.exit_code == ExitCode::no_input);
  CHECK(folder.err == (directory / "") + ": cannot read the configuration: Is a directory\n");
}

TEST_CASE("check opens every key, and reports all that cannot be used") {
  Origin origin;
  REQUIRE(::chmod(origin.node_key.c_str(), 0640) == 0);
  REQUIRE(::unlink(origin.source_key.c_str()) == 0);
  const Ran ran = origin.check(origin.text());
  CHECK(ran.exit_code == ExitCode::config);
  CHECK(ran.out.empty());
  CHECK(ran.err == origin.node_key + ": mode 0640 lets others at a private key; chmod 600 " + origin.node_key + "\n" +
                       origin.source_key +
                       ": cannot open it: No such file or directory; make one with: tiercast keygen "
                       "-o " +
                       origin.source_key + "\n");
}

TEST_CASE("check compares the private keys with the public ones in the file") {
  Origin origin;
  const Ran ran = origin.check(origin.text(kNodePublic, kOtherPublic));
  CHECK(ran.exit_code == ExitCode::config);
  CHECK(ran.err == "upstream up: public_key is this node's own (of " + origin.node_key + "); use the other's\n" +
                       origin.source_key +
                       ": not the key of source 1 of group \"main\", whose listeners would refuse "
                       "every frame; its public key is " +
                       kSourcePublic + "\n");
}

TEST_CASE("keys come with the exit status of what is wrong with one, and the configuration's when several are") {
  Origin origin;
  const auto failure = [&] {
    write_file(origin.file, origin.text());
    const auto config = load_config(origin.file);
    REQUIRE(config);
    const auto keys = load_keys(*config);
    REQUIRE_FALSE(keys);
    return keys.error().exit_code;
  };
  write_file(origin.node_key, "x");
  CHECK(failure() == ExitCode::data);
  write_file(origin.node_key, kNodePrivate, 0604);
  CHECK(failure() == ExitCode::permission);
  write_file(origin.source_key, "x");
  CHECK(failure() == ExitCode::config);
}

TEST_CASE("loaded keys stand beside their groups") {
  Origin origin;
  write_file(origin.file, origin.text() + "[[group]]\nname = \"second\"\nid = 2\nsources = [{ id = 1, key = \"" +
                              kOtherPublic + "\" }]\n");
  const auto config = load_config(origin.file);
  REQUIRE(config);
  const auto keys = load_keys(*config);
  REQUIRE(keys);
  CHECK(crypto::to_base64(crypto::node_public_key(keys->node)) == kNodePublic);
  REQUIRE(keys->signing.size() == 2);
  REQUIRE(keys->signing[0]);
  CHECK(crypto::to_base64(crypto::signing_public_key(*keys->signing[0])) == kSourcePublic);
  CHECK_FALSE(keys->signing[1]);
}

TEST_CASE("edges sign prints a list that edges check and a node's file take, and nobody else's") {
  Origin origin;
  const std::string other = origin.directory / "other.key", list = origin.directory / "edges.txt",
                    file = origin.directory / "edges";
  write_file(other, kNodePrivate + "\n");
  write_file(list, "# two\nedge-1.example.net:4800 " + kOtherPublic + "\n-\n[2001:db8::1]:4800 " + kNodePublic + "\n");
  const crypto::PublicKey key = *crypto::public_key_from_base64(kSourcePublic);
  const Ran made = caught(EdgesSignOptions{{origin.source_key}, list});
  CHECK(made.exit_code == ExitCode::ok);
  CHECK(made.err.empty());
  write_file(file, made.out);
  Ran ran = caught(EdgesCheckOptions{key, file});
  CHECK(ran.exit_code == ExitCode::ok);
  CHECK(ran.out.starts_with(file + ": ok: 2 edges, 1 no more; serial "));
  CHECK(ran.out.ends_with(" UTC\n"));
  write_file(file, caught(EdgesSignOptions{{other}, list}).out);
  ran = caught(EdgesCheckOptions{key, file});
  CHECK(ran.exit_code == ExitCode::data);
  CHECK(ran.out.empty());
  CHECK(ran.err == "tiercast edges check: " + file +
                       ":6: not the operator's signature of what stands above it; is the file changed, or the operator "
                       "another?\n");

  const auto check = [&](const std::string& more) {
    return origin.check(origin.text() + "[edges]\nfile = \"" + file + "\"\noperator = \"" + kSourcePublic + "\"\n" +
                        more);
  };
  ran = check("");
  CHECK(ran.exit_code == ExitCode::data);
  CHECK(ran.err.starts_with(file + ":6: not the operator's signature"));
  write_file(file, made.out);
  ran = check("elsewhere = [\"edge-1.example.net:4800\"]\n");
  CHECK(ran.exit_code == ExitCode::ok);
  CHECK(ran.out.find("; 1 upstream; 2 edges of serial ") != std::string::npos);
  ran = check("elsewhere = [\"edge-1.example.net:4800\", \"edge-1.example.net:4801\"]\n");
  CHECK(ran.exit_code == ExitCode::config);
  CHECK(ran.err == origin.file + ": edges.elsewhere: edge-1.example.net:4801 is not in " + file +
                       "; write it as it stands there\n");
  CHECK(std::filesystem::remove(file));
  ran = check("");
  CHECK(ran.exit_code == ExitCode::no_input);
  CHECK(ran.err == file + ": cannot read the list of edges: No such file or directory\n");
}

TEST_CASE("edges sign says what is wrong with its list or its key, and prints nothing") {
  const Origin origin;
  const std::string list = write_file(origin.directory / "edges.txt", "edge-1.example.net:4800 x\n");
  Ran ran = caught(EdgesSignOptions{{origin.source_key}, list});
  CHECK(ran.exit_code == ExitCode::data);
  CHECK(ran.out.empty());
  CHECK(ran.err == "tiercast edges sign: " + list +
                       ":1: no public key behind edge-1.example.net:4800; write one space and the 44 characters that "
                       "`tiercast pubkey` prints there\n");
  CHECK(caught(EdgesSignOptions{{origin.source_key}, list + "x"}).exit_code == ExitCode::no_input);
  const std::string open_key = write_file(origin.directory / "open.key", kSourcePrivate, 0644);
  CHECK(caught(EdgesSignOptions{{open_key}, list}).exit_code == ExitCode::permission);
}

TEST_CASE("pubkey prints the public key of either kind, from stdin or a file") {
  Ran ran = caught(PubkeyOptions{KeyKind::node, ""}, kNodePrivate + "\n");
  CHECK(ran.exit_code == ExitCode::ok);
  CHECK(ran.out == kNodePublic + "\n");
  CHECK(ran.err.empty());
  CHECK(caught(PubkeyOptions{KeyKind::source, ""}, kSourcePrivate).out == kSourcePublic + "\n");
  const Origin origin;
  CHECK(caught(PubkeyOptions{KeyKind::node, origin.node_key}).out == kNodePublic + "\n");
  CHECK(caught(PubkeyOptions{KeyKind::source, origin.source_key}).out == kSourcePublic + "\n");
  ran = caught(PubkeyOptions{KeyKind::node, ""}, "nonsense\n");
  CHECK(ran.exit_code == ExitCode::data);
  CHECK(ran.out.empty());
  CHECK(ran.err ==
        "tiercast pubkey: standard input: not a private key; it holds 44 characters on one line, as `tiercast "
        "keygen` prints them\n");
}

TEST_CASE("keygen prints a new key each time, that pubkey takes") {
  const Ran first = caught(KeygenOptions{});
  const Ran second = caught(KeygenOptions{KeyKind::source, ""});
  CHECK(first.exit_code == ExitCode::ok);
  CHECK(first.out.size() == 45);
  CHECK(first.err.empty());
  CHECK(first.out != second.out);
  CHECK(caught(PubkeyOptions{}, first.out).exit_code == ExitCode::ok);
}

TEST_CASE("keygen -o writes the private key to the file and the public one to stdout") {
  const TemporaryDirectory directory;
  for (const KeyKind kind : {KeyKind::node, KeyKind::source}) {
    const std::string file = directory / (kind == KeyKind::node ? "node.key" : "source.key");
    const Ran made = caught(KeygenOptions{kind, file});
    CHECK(made.exit_code == ExitCode::ok);
    CHECK(made.out == caught(PubkeyOptions{kind, file}).out);
    CHECK(made.out.find(test::read_file(file)) == std::string::npos);
    const Ran again = caught(KeygenOptions{kind, file});
    CHECK(again.exit_code == ExitCode::cannot_create);
    CHECK(again.out.empty());
    CHECK(again.err == "tiercast keygen: " + file +
                           ": is there already, and keys are never overwritten; move it away, or name another file\n");
    CHECK(made.out == caught(PubkeyOptions{kind, file}).out);
  }
}

}  // namespace tiercast::commands_test

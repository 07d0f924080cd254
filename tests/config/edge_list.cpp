// The operator's list of edges: what a person writes, what is signed, and that nothing but that is believed.
#include "config/edge_list.hpp"

#include <doctest/doctest.h>

#include "crypto/blake2b.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::config::edge_list_test {
namespace {

const std::string kA = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const std::string kB = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

crypto::SourceSigner signer_of(std::uint64_t seed) {
  test::SeededRandom random{seed};
  return crypto::SourceSigner{crypto::generate_private_key(random)};
}

Edge edge(const std::string& address, const std::string& key) {
  return {*split_host_port(address), *crypto::public_key_from_base64(key)};
}

const EdgeList kList{1796083200, {edge("edge-1.example.net:4800", kA), std::nullopt, edge("[2001:db8::1]:443", kB)}};
const std::string kBody =
    "tiercast edges 1\nserial 1796083200\nedge-1.example.net:4800 " + kA + "\n-\n[2001:db8::1]:443 " + kB + "\n";

std::array<std::uint8_t, 64> hash_of(const std::string& text) {
  std::array<std::uint8_t, 64> out{};
  crypto::Blake2b{out.size()}.add(text).finish(out);
  return out;
}

/// Text as the operator would have signed it.
std::string as_signed(const std::string& body, const crypto::SourceSigner& with) {
  return body + "signature " + crypto::to_base64(with.sign(crypto::as_bytes("tiercast edges v1"), hash_of(body))) +
         "\n";
}

std::string unsigned_error(const std::string& text) {
  const auto edges = parse_edges(text, "list");
  return edges ? "taken" : edges.error();
}

std::string error_of(const std::string& text, const crypto::SourceSigner& with) {
  const auto list = parse_edge_list(text, "signed", with.public_key());
  return list ? "taken" : list.error();
}

TEST_CASE("what a person writes: an edge a line, comments and blanks between them") {
  const auto edges = parse_edges(
      "# ours\n\n  edge-1.example.net:4800\t " + kA + "  # Frankfurt\n - # was edge-2\r\n" + "[2001:db8::1]:443 " + kB,
      "list");
  REQUIRE(edges);
  CHECK(*edges == kList.edges);
}

TEST_CASE("a line that is none, and what stands twice, is refused with its place") {
  CHECK(unsigned_error("") == "list: no edge in it; write HOST:PORT KEY, one a line");
  CHECK(unsigned_error("-\n-\n") == "list: no edge in it; write HOST:PORT KEY, one a line");
  const std::string form =
      "\": use HOST:PORT KEY, as in edge-1.example.net:4800 or [2001:db8::1]:4800; or - for an edge that is no more";
  CHECK(unsigned_error("\nedge-1 " + kA) == "list:2: \"edge-1 " + kA + form);
  for (const std::string address : {"e:0", "e:65536", "2001:db8::1:4800", "<e>:1", ":1", "--", "e/1:1"}) {
    CAPTURE(address);
    CHECK(unsigned_error(address + " " + kA) == "list:1: \"" + address + " " + kA + form);
  }
  CHECK(unsigned_error(std::string(254, 'e') + ":1 " + kA).ends_with("for an edge that is no more"));
  const std::string no_key =
      "list:1: no public key behind e:1; write one space and the 44 characters that `tiercast pubkey` prints there";
  for (const std::string& key : {std::string{}, std::string{" x"}, " " + kA + " y", " " + kA.substr(1),
                                 " " + crypto::to_base64(crypto::PublicKey{})})
    CHECK(unsigned_error("e:1" + key) == no_key);
  CHECK(unsigned_error("e:1 " + kA + "\n\ne:1 " + kB) ==
        "list:3: line 1 has this address already; each edge has its own");
  CHECK(unsigned_error("e:1 " + kA + "\nf:1 " + kA) == "list:2: line 1 has this key already; each edge has its own");
  CHECK(unsigned_error(as_signed(kBody, signer_of(1))) ==
        "list:1: this list is signed already; sign the one that it was made from");
}

TEST_CASE("a signed list is plain text, and read back is the same") {
  const auto with = signer_of(1);
  const auto text = sign_edge_list(kList, with, "list");
  REQUIRE(text);
  CHECK(*text == as_signed(kBody, with));
  const auto list = parse_edge_list(*text, "signed", with.public_key());
  REQUIRE(list);
  CHECK(*list == kList);
  CHECK(list->count() == 2);
}

TEST_CASE("a list of 4,096 edges is one, and no longer one is") {
  const auto with = signer_of(1);
  EdgeList list{1, {}};
  const auto add = [&](std::uint64_t n) {
    crypto::PublicKey key{};
    store_be<8>(key.data(), n + 1);
    list.edges.push_back(Edge{{"edge-" + std::to_string(n) + ".example.net", 4800}, key});
  };
  for (std::uint64_t n = 0; n < kMaxEdges; ++n) add(n);
  const auto most = sign_edge_list(list, with, "list");
  REQUIRE(most);
  CHECK(parse_edge_list(*most, "signed", with.public_key()) == list);
  add(kMaxEdges);
  CHECK(error_of(*sign_edge_list(list, with, "list"), with) ==
        "signed:4099: more than 4096 lines; a list can have no more");
  // Nor one of very long names.
  for (auto& edge : list.edges) edge->address.host.insert(0, std::string(220, 'e'));
  const std::string long_one = ": longer than 1048576 bytes, more than a list of 4096 edges should need";
  CHECK(sign_edge_list(list, with, "list").error() == "list" + long_one);
  CHECK(error_of(std::string(kMaxEdgeList + 1, ' '), with) == "signed" + long_one);
}

TEST_CASE("nothing but what the operator signed is believed: forged, altered, cut off, in another order") {
  const auto with = signer_of(1), other = signer_of(2);
  const std::string good = as_signed(kBody, with);
  const std::string not_his =
      "signed:6: not the operator's signature of what stands above it; is the file changed, or the operator another?";
  CHECK(error_of(good, with) == "taken");
  CHECK(error_of(as_signed(kBody, other), with) == not_his);
  // Signed as something else, or as it stands.
  for (const char* label : {"tiercast frame v1", "tiercast attest v1", "tiercast epoch v1", "tiercast edges v2", ""})
    for (const auto& signature : {with.sign(crypto::as_bytes(label), hash_of(kBody)),
                                  with.sign(crypto::as_bytes(label), crypto::as_bytes(kBody))})
      CHECK(error_of(kBody + "signature " + crypto::to_base64(signature) + "\n", with) == not_his);
  // Lines left out, doubled, moved.
  const std::string signature = good.substr(kBody.size());
  std::vector<std::string> lines;
  for (std::size_t at = 0, end = 0; at < kBody.size(); at = end + 1) {
    end = kBody.find('\n', at);
    lines.push_back(kBody.substr(at, end + 1 - at));
  }
  const auto joined = [&](const std::vector<std::string>& some) {
    std::string out;
    for (const std::string& line : some) out += line;
    return out + signature;
  };
  for (std::size_t i = 1; i < lines.size(); ++i) {
    auto some = lines;
    some.erase(some.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK(error_of(joined(some), with) != "taken");
    some = lines;
    std::swap(some[i], some[i == 1 ? 2 : 1]);
    CHECK(error_of(joined(some), with) != "taken");
    some = lines;
    some.push_back(lines[i]);
    CHECK(error_of(joined(some), with) != "taken");
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    CHECK(error_of(good.substr(0, size), with) != "taken");
  }
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string altered = good;
    altered[i] = static_cast<char>(altered[i] ^ 1);
    CAPTURE(i);
    CHECK(error_of(altered, with) != "taken");
  }
  CHECK(error_of(good + "\n", with) == "signed:7: no signature in the last line; is the file cut off?");
  CHECK(error_of(kBody, with) == "signed:5: no signature in the last line; is the file cut off?");
}

TEST_CASE("what is signed must be a list all the same, of this version") {
  const auto with = signer_of(1);
  const std::string head = "tiercast edges 1\nserial 5\n";
  CHECK(error_of("", with) == "signed:1: not a signed list of edges; make one with `tiercast edges sign`");
  CHECK(error_of("e:1 " + kA + "\n", with) ==
        "signed:1: not a signed list of edges; make one with `tiercast edges sign`");
  CHECK(error_of(as_signed("tiercast edges 2\nserial 5\ne:1 " + kA + "\n", with), with) ==
        "signed:1: \"tiercast edges 2\": of another version than this program's, which is 1");
  for (const std::string serial :
       {"serial", "serial ", "serial x", "serial -1", "serial 05", "serial 5 ", "e:1 5", "serial 18446744073709551616"})
    CHECK(error_of(as_signed("tiercast edges 1\n" + serial + "\ne:1 " + kA + "\n", with), with) ==
          "signed:2: \"" + serial + "\": use serial and a number");
  CHECK(error_of(as_signed(head, with), with) == "signed: no edge in it; write HOST:PORT KEY, one a line");
  CHECK(error_of(as_signed(head + "e:1 " + kA + "\n\nf:1 " + kB + "\n", with), with).starts_with("signed:4: \"\""));
  CHECK(error_of(as_signed(head + "e:1 " + kA + "\ne:1 " + kB + "\n", with), with) ==
        "signed:4: line 3 has this address already; each edge has its own");
  CHECK(error_of(as_signed(head + "e:1  " + kA + "\n", with), with).starts_with("signed:3: no public key behind e:1"));
  CHECK(error_of(as_signed("tiercast edges 1\n", with), with) == "signed:2: \"\": use serial and a number");
}

}  // namespace
}  // namespace tiercast::config::edge_list_test

#include "config/edge_list.hpp"

#include <algorithm>
#include <map>

#include "config/document.hpp"
#include "config/host.hpp"
#include "crypto/base64.hpp"
#include "crypto/blake2b.hpp"
#include "relay/base/decimal.hpp"

namespace tiercast::config {
namespace {

constexpr std::string_view kTitle = "tiercast edges 1";
constexpr std::string_view kTitleOfAny = "tiercast edges ";
constexpr std::string_view kSerial = "serial ";
constexpr std::string_view kSignature = "signature ";
constexpr std::string_view kRetired = "-";
constexpr std::string_view kLabel = "tiercast edges v1";  // of the signature: it is good for nothing else
constexpr std::size_t kMaxHost = 253;                     // a DNS name's

tl::unexpected<std::string> wrong(const std::string& file, std::size_t line, const std::string& why) {
  return tl::unexpected(file + ":" + std::to_string(line) + ": " + why);
}

tl::unexpected<std::string> too_long(const std::string& file) {
  return tl::unexpected(file + ": longer than " + std::to_string(kMaxEdgeList) + " bytes, more than a list of " +
                        std::to_string(kMaxEdges) + " edges should need");
}

std::string quoted(std::string_view text) { return "\"" + printable(text) + "\""; }

/// What is signed of a text, however long.
std::array<std::uint8_t, 64> digest_of(std::string_view text) {
  std::array<std::uint8_t, 64> out{};
  crypto::Blake2b{out.size()}.add(text).finish(out);
  return out;
}

/// Lines one after another, without their ends. The last one may lack its end.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}
  std::optional<std::string_view> next() {
    if (rest_.empty()) return std::nullopt;
    ++number_;
    const std::size_t end = rest_.find('\n');
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    return line;
  }
  std::size_t number() const { return number_; }  // of the last one, from 1

 private:
  std::string_view rest_;
  std::size_t number_ = 0;
};

/// Takes edges, and refuses what does not go together.
class Collector {
 public:
  explicit Collector(const std::string& file) : file_(file) {}

  tl::expected<void, std::string> add(std::string_view line, std::size_t number) {
    if (edges_.size() == kMaxEdges)
      return wrong(file_, number, "more than " + std::to_string(kMaxEdges) + " lines; a list can have no more");
    if (line == kRetired) {
      edges_.emplace_back();
      return {};
    }
    const std::size_t space = line.find(' ');
    const auto address = split_host_port(line.substr(0, space));
    if (!address || !is_host(address->host) || address->host.size() > kMaxHost || address->port == 0)
      return wrong(file_, number,
                   quoted(line) +
                       ": use HOST:PORT KEY, as in edge-1.example.net:4800 or [2001:db8::1]:4800; or - for "
                       "an edge that is no more");
    const auto key = crypto::public_key_from_base64(space == std::string_view::npos ? "" : line.substr(space + 1));
    if (!key || *key == crypto::PublicKey{})
      return wrong(file_, number,
                   "no public key behind " + to_string(*address) +
                       "; write one space and the 44 characters that `tiercast pubkey` prints there");
    if (const auto [first, fresh] = addresses_.emplace(to_string(*address), number); !fresh)
      return twice(number, "address", first->second);
    if (const auto [first, fresh] = keys_.emplace(*key, number); !fresh) return twice(number, "key", first->second);
    edges_.push_back(Edge{*address, *key});
    return {};
  }

  tl::expected<std::vector<std::optional<Edge>>, std::string> take() {
    if (keys_.empty()) return tl::unexpected(file_ + ": no edge in it; write HOST:PORT KEY, one a line");
    return std::move(edges_);
  }

 private:
  tl::unexpected<std::string> twice(std::size_t number, const std::string& what, std::size_t first) const {
    return wrong(file_, number,
                 "line " + std::to_string(first) + " has this " + what + " already; each edge has its own");
  }

  const std::string& file_;
  std::vector<std::optional<Edge>> edges_;
  std::map<std::string, std::size_t> addresses_;  // and the lines that have them
  std::map<crypto::PublicKey, std::size_t> keys_;
};

/// What a person may write around and between the words.
std::string trimmed(std::string_view line) {
  line = line.substr(0, line.find('#'));
  std::string out;
  for (const char c : line) {
    const bool blank = c == ' ' || c == '\t' || c == '\r';
    if (!blank) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

std::string line_of(const std::optional<Edge>& edge) {
  if (!edge) return std::string{kRetired} + "\n";
  return to_string(edge->address) + " " + crypto::to_base64(edge->public_key) + "\n";
}

std::optional<std::uint64_t> parse_serial(std::string_view line) {
  if (!line.starts_with(kSerial)) return std::nullopt;
  line.remove_prefix(kSerial.size());
  const auto serial = from_decimal<std::uint64_t>(line);
  return serial && std::to_string(*serial) == line ? serial : std::nullopt;
}

}  // namespace

std::size_t EdgeList::count() const {
  return static_cast<std::size_t>(
      std::count_if(edges.begin(), edges.end(), [](const auto& e) { return e.has_value(); }));
}

tl::expected<std::vector<std::optional<Edge>>, std::string> parse_edges(std::string_view text,
                                                                        const std::string& file) {
  if (text.size() > kMaxEdgeList) return too_long(file);
  Collector edges{file};
  Lines lines{text};
  while (const auto line = lines.next()) {
    if (lines.number() == 1 && line->starts_with(kTitleOfAny))
      return wrong(file, 1, "this list is signed already; sign the one that it was made from");
    const std::string words = trimmed(*line);
    if (words.empty()) continue;
    if (const auto added = edges.add(words, lines.number()); !added) return tl::unexpected(added.error());
  }
  return edges.take();
}

tl::expected<std::string, std::string> sign_edge_list(const EdgeList& list, const crypto::SourceSigner& with,
                                                      const std::string& file) {
  std::string text = std::string{kTitle} + "\n" + std::string{kSerial} + std::to_string(list.serial) + "\n";
  for (const auto& edge : list.edges) text += line_of(edge);
  const crypto::Signature signature = with.sign(crypto::as_bytes(kLabel), digest_of(text));
  text += std::string{kSignature} + crypto::to_base64(signature) + "\n";
  if (text.size() > kMaxEdgeList) return too_long(file);
  return text;
}

tl::expected<EdgeList, std::string> parse_edge_list(std::string_view text, const std::string& file,
                                                    const crypto::PublicKey& operator_key) {
  if (text.size() > kMaxEdgeList) return too_long(file);
  Lines lines{text};
  const std::string_view title = lines.next().value_or("");
  if (title != kTitle)
    return wrong(file, 1,
                 title.starts_with(kTitleOfAny)
                     ? quoted(title) + ": of another version than this program's, which is 1"
                     : std::string{"not a signed list of edges; make one with `tiercast edges sign`"});
  // The signature comes first: nothing below is looked at that the operator has not written.
  const std::size_t end = text.ends_with('\n') ? text.rfind('\n', text.size() - 2) : std::string_view::npos;
  const std::string_view signed_part = text.substr(0, end == std::string_view::npos ? 0 : end + 1);
  const std::string_view last = text.substr(signed_part.size());
  const auto last_line = static_cast<std::size_t>(std::count(signed_part.begin(), signed_part.end(), '\n')) + 1;
  crypto::Signature signature{};
  if (signed_part.empty() || !last.starts_with(kSignature) ||
      !crypto::from_base64(last.substr(kSignature.size(), last.size() - kSignature.size() - 1), signature))
    return wrong(file, last_line, "no signature in the last line; is the file cut off?");
  if (!crypto::verify(operator_key, crypto::as_bytes(kLabel), digest_of(signed_part), signature))
    return wrong(file, last_line,
                 "not the operator's signature of what stands above it; is the file changed, or the operator another?");
  lines = Lines{signed_part};
  (void)lines.next();
  EdgeList out;
  const std::string_view serial_line = lines.next().value_or("");
  const auto serial = parse_serial(serial_line);
  if (!serial) return wrong(file, 2, quoted(serial_line) + ": use serial and a number");
  out.serial = *serial;
  Collector edges{file};
  while (const auto line = lines.next()) {
    if (const auto added = edges.add(*line, lines.number()); !added) return tl::unexpected(added.error());
  }
  auto taken = edges.take();
  if (!taken) return tl::unexpected(taken.error());
  out.edges = std::move(*taken);
  return out;
}

}  // namespace tiercast::config

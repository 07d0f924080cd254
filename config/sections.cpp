// Each section's keys: their form, their bounds, their defaults. Knows one section at a time.
#include "config/sections.hpp"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <utility>

#include "config/host.hpp"
#include "config/multicast.hpp"
#include "relay/wire/limits.hpp"

namespace tiercast::config {
namespace {

constexpr std::int64_t kMaxWorkers = 255;            // a lane is one byte
constexpr std::int64_t kMaxSpread = 90;              // percent: the rest is for what takes longer than it should
constexpr std::int64_t kMaxLeases = (1 << 24) - 1;   // a lease's slot is 24 bits
constexpr std::int64_t kMaxGroupId = (1 << 24) - 1;  // 24 bits, 0 means none
constexpr std::int64_t kMaxParents = 8;              // live at once
constexpr Duration kMostDrain = std::chrono::hours{1};
constexpr std::int64_t kMostCpu = 1023;       // a cpu_set_t's
constexpr std::int64_t kMostBusyPoll = 1000;  // µs; more would be a processor that never sleeps
constexpr std::size_t kMaxName = 64;
constexpr std::size_t kMostArguments = 16;
constexpr std::size_t kMostElsewhere = 64;
constexpr std::size_t kMaxSocketPath = 107;           // sockaddr_un's sun_path and its zero
constexpr Duration kLeastRotation = wire::kEpochAge;  // an epoch is known below for so long before its use
constexpr Duration kMostRotation = std::chrono::hours{24};

/// Names go into file names, metrics and messages: keep them plain.
bool is_plain_name(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  return name.size() <= kMaxName && name.find_first_not_of(kAllowed) == std::string_view::npos && name.front() != '.' &&
         name.front() != '-';
}

std::string read_name(Table& table, std::string_view example) {
  table.demand("name", "\"" + std::string{example} + "\"");
  const auto name = table.text("name", example);
  if (!name) return {};
  if (is_plain_name(*name)) return *name;
  table.refuse("name", "use up to 64 letters, digits and any of - _ . (not - or . first)");
  return {};
}

crypto::PublicKey read_public_key(Table& table, std::string_view key, std::string_view command) {
  const std::string use = "the 44 characters that `" + std::string{command} + "` prints";
  table.demand(key, "\"…\", " + use);
  const auto text = table.text(key, "…");
  if (!text) return {};
  const auto parsed = crypto::public_key_from_base64(*text);
  if (!parsed) {
    table.refuse(key, "not a public key; use " + use);
    return {};
  }
  if (*parsed == crypto::PublicKey{}) table.refuse(key, "all zeros, a placeholder; use " + use);
  return *parsed;
}

KeyRef read_key_ref(Table& table, std::string_view key, std::string_view example, const Machine& machine) {
  constexpr std::string_view kCredential = "credential:";
  table.demand(key, "\"" + std::string{example} + "\"");
  const auto text = table.text(key, example);
  if (!text) return {};
  if (crypto::public_key_from_base64(*text)) {
    table.refuse_hidden(key,
                        "a key itself, and this file is no secret; make a new one with `tiercast keygen -o FILE` and "
                        "write the file's name here");
    return {};
  }
  if (!text->starts_with(kCredential)) return {*text};
  const std::string name = text->substr(kCredential.size());
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
    table.refuse(key, "use credential:NAME, NAME as in the unit's LoadCredential=NAME:FILE");
    return {};
  }
  if (machine.credentials_directory.empty()) {
    if (machine.outside_its_unit) return {*text, true, true};
    table.refuse(key, "$CREDENTIALS_DIRECTORY is not set: only a systemd unit with LoadCredential=" + name +
                          ":FILE has it; start that, or name a file");
    return {};
  }
  return {machine.credentials_directory + "/" + name, true, false};
}

std::optional<Endpoint> read_endpoint(Table& table, std::string_view key, const Table::Item& item,
                                      std::string_view example, std::uint16_t most) {
  const auto endpoint = parse_endpoint(item.text);
  if (!endpoint) {
    table.refuse(key, *item.value,
                 "not an address with a port; use numbers, as in \"" + std::string{example} + "\" or \"[::1]:4800\"");
    return std::nullopt;
  }
  if (endpoint->port == 0 || endpoint->port > most) {
    table.refuse(key, *item.value, "port " + std::to_string(endpoint->port) + "; use 1 to " + std::to_string(most));
    return std::nullopt;
  }
  return endpoint;
}

std::optional<Endpoint> read_endpoint(Table& table, std::string_view key, std::string_view example,
                                      std::uint16_t most) {
  const auto text = table.text(key, example);
  return text ? read_endpoint(table, key, {*text, table.value(key)}, example, most) : std::nullopt;
}

/// Where another node is: a name or a number.
std::optional<HostPort> read_host_port(Table& table, std::string_view key, const Table::Item& item,
                                       std::string_view example) {
  const auto address = split_host_port(item.text);
  if (!address || !is_host(address->host)) {
    table.refuse(key, *item.value,
                 "not HOST:PORT; write it as in \"" + std::string{example} + "\" or \"[2001:db8::1]:4800\"");
  } else if (address->port == 0) {
    table.refuse(key, *item.value, "port 0; use 1 to 65535");
  } else {
    return *address;
  }
  return std::nullopt;
}

std::optional<HostPort> read_host_port(Table& table, std::string_view key, std::string_view example) {
  const auto text = table.text(key, example);
  return text ? read_host_port(table, key, {*text, table.value(key)}, example) : std::nullopt;
}

/// What comes to `narrow` would come to `wide` as well. [::] takes IPv4 too.
bool covers(const Endpoint& wide, const Endpoint& narrow) {
  if (wide.port != narrow.port) return false;
  constexpr std::string_view kAnyV4 = "0.0.0.0:0";
  return wide.ip == Endpoint{}.ip || (wide.ip == parse_endpoint(kAnyV4)->ip && narrow.is_v4()) ||
         (wide.ip == narrow.ip && wide.scope == narrow.scope);
}

std::vector<Endpoint> read_addresses(Table& table) {
  constexpr std::string_view kExample = "0.0.0.0:4800";
  table.demand("address", "\"" + std::string{kExample} + "\"");
  std::vector<Endpoint> out;
  for (const Table::Item& item : table.texts("address", kExample, kMaxAddresses)) {
    const auto address = read_endpoint(table, "address", item, kExample, 65535);
    if (!address) continue;
    const auto other = std::find_if(out.begin(), out.end(),
                                    [&](const Endpoint& e) { return covers(e, *address) || covers(*address, e); });
    if (other == out.end()) {
      out.push_back(*address);
    } else if (*other == *address) {
      table.refuse("address", *item.value, "given twice; name each address once");
    } else {
      const Endpoint& wide = covers(*other, *address) ? *other : *address;
      const Endpoint& narrow = wide == *other ? *address : *other;
      table.refuse("address", *item.value,
                   to_string(wide) + " takes what comes to " + to_string(narrow) + " too; leave one of them out" +
                       (narrow.is_v4() && !wide.is_v4() ? ", or name IPv6 addresses instead of [::]" : ""));
    }
  }
  return out;
}

/// What [listen] and [[upstream]] have in common; nothing where either is missing or wrong.
std::optional<MulticastIn> read_group_and_interface(Table& multicast) {
  constexpr std::string_view kGroup = "239.10.0.1:4801", kInterface = "eth0";
  const auto quoted = [](std::string_view text) { return "\"" + std::string{text} + "\""; };
  multicast.demand("group", quoted(kGroup));
  multicast.demand("interface", quoted(kInterface));
  std::optional<Endpoint> group;
  std::optional<std::string> interface;
  if (const auto text = multicast.text("group", kGroup)) {
    if (const auto parsed = parse_multicast_group(*text)) {
      group = *parsed;
    } else {
      multicast.refuse("group", parsed.error());
    }
  }
  if (const auto text = multicast.text("interface", kInterface)) {
    if (is_interface_name(*text)) {
      interface = *text;
    } else {
      multicast.refuse("interface", kInterfaceNameHint);
    }
  }
  if (!group || !interface) return std::nullopt;
  return MulticastIn{*group, *interface};
}

std::optional<MulticastOut> read_multicast_out(Table& table) {
  auto multicast = table.table("multicast", R"({ group = "239.10.0.1:4801", interface = "eth1", ttl = 1 })");
  if (!multicast) return std::nullopt;
  const auto where = read_group_and_interface(*multicast);
  const auto ttl = multicast->integer("ttl", 1, 255);
  multicast->report_unknown();
  if (!where) return std::nullopt;
  return MulticastOut{where->group, where->interface, static_cast<std::uint8_t>(ttl.value_or(1))};
}

std::optional<MulticastIn> read_multicast_in(Table& table, const HostPort& parent) {
  auto multicast = table.table("multicast", R"({ group = "239.10.0.1:4801", interface = "eth0" })");
  if (!multicast) return std::nullopt;
  auto where = read_group_and_interface(*multicast);
  const auto text = multicast->text("source", "10.0.0.1");
  multicast->report_unknown();
  if (text) {
    const auto source = parse_multicast_source(*text);
    if (!source) {
      multicast->refuse("source", source.error());
    } else if (where) {
      where->source = *source;
      if (is_of_two_families(*where, parent))
        multicast->refuse("source",
                          "not of the group's family; use the parent's other address, or a group of this one's");
    }
  } else if (where && !multicast->has("source") && is_of_two_families(*where, parent)) {
    multicast->refuse("group",
                      "not of the family of upstream.address; add source = the parent's address in the group's family");
  }
  return where;
}

/// "1h", "30m", "90s".
std::optional<Duration> parse_duration(std::string_view text) {
  std::uint32_t number = 0;  // of hours at most: fits a Duration
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  constexpr std::uint32_t kMost = 1'000'000;
  number = std::min(number, kMost);  // beyond every bound here
  if (unit == "h") return std::chrono::hours{number};
  if (unit == "m") return std::chrono::minutes{number};
  if (unit == "s") return std::chrono::seconds{number};
  return std::nullopt;
}

/// A time within bounds, or off, which is 0. `least` and `most` are what messages call the bounds.
struct Times {
  Duration least, most;
  std::string_view least_text, most_text;
  std::string_view examples = "\"1h\", \"30m\" or \"90s\"";
};
void read_time(Table& table, std::string_view key, const Times& within, Duration& out) {
  const Value* value = table.value(key);
  if (!value) return;
  const bool off = (value->kind == Value::Kind::text && value->text == "off") ||
                   (value->kind == Value::Kind::integer && value->integer == 0);
  if (off) {
    out = Duration::zero();
    return;
  }
  const auto duration = value->kind == Value::Kind::text ? parse_duration(value->text) : std::nullopt;
  if (!duration) {
    table.refuse(key, "use a time such as " + std::string{within.examples} + ", or \"off\"");
  } else if (*duration < within.least || *duration > within.most) {
    table.refuse(
        key, "use \"" + std::string{within.least_text} + "\" to \"" + std::string{within.most_text} + "\", or \"off\"");
  } else {
    out = *duration;
  }
}

void read_sources(Table& table, Group& group) {
  constexpr const char* kExample = "[{ id = 1, key = \"…\" }]";
  table.demand("sources", kExample);
  if (!table.has("sources")) return;
  std::vector<Table> sources = table.tables("sources", kExample);
  if (sources.size() > wire::kMaxSources) {
    table.refuse("sources", "has " + std::to_string(sources.size()) + "; use 1 or 2, a primary and a standby");
  }
  for (Table& source : sources) {
    SourceKey key;
    source.demand("id", "1");
    if (const auto id = source.integer("id", 1, 255)) key.id = SourceId{static_cast<std::uint8_t>(*id)};
    key.key = read_public_key(source, "key", "tiercast pubkey --source");
    const bool used = std::any_of(group.sources.begin(), group.sources.end(),
                                  [&](const SourceKey& other) { return other.id == key.id; });
    if (key.id != SourceId{} && used)
      source.refuse("id", "used twice in this group; give each source an id of its own");
    source.report_unknown();
    group.sources.push_back(key);
  }
}

/// Reports `keys` where they are, with why they are not wanted.
void refuse_keys(Table& table, std::initializer_list<std::string_view> keys, std::string_view why) {
  for (const std::string_view key : keys) {
    if (table.value(key)) table.refuse(key, why);
  }
}

/// Exactly one of rtp, wav, pcm, ogg.
void read_input_kind(Table& source, SourceInput& input) {
  static constexpr std::pair<std::string_view, InputKind> kKinds[] = {
      {"rtp", InputKind::rtp}, {"wav", InputKind::wav}, {"pcm", InputKind::pcm}, {"ogg", InputKind::ogg}};
  std::string_view first;
  for (const auto& [key, kind] : kKinds) {
    if (!source.value(key)) continue;
    if (!first.empty()) {
      source.refuse(key, "there is " + std::string{first} + " already; use one input");
      continue;
    }
    first = key;
    input.kind = kind;
  }
  if (first.empty()) return source.refuse_all("no input; add rtp = \"127.0.0.1:5004\", or wav, pcm or ogg = \"FILE\"");
  if (input.kind == InputKind::rtp) {  // RTCP comes to the port above
    if (const auto rtp = read_endpoint(source, first, "127.0.0.1:5004", 65534)) input.rtp = *rtp;
  } else if (const auto file = source.text(first, "/var/lib/tiercast/talk." + std::string{first})) {
    input.file = *file;
  }
}

void read_pcm_format(Table& source, publish::PcmFormat& format) {
  static constexpr Choice<publish::SampleFormat> kFormats[] = {{"s16le", publish::SampleFormat::s16le},
                                                               {"s24le", publish::SampleFormat::s24le},
                                                               {"s32le", publish::SampleFormat::s32le},
                                                               {"f32le", publish::SampleFormat::f32le}};
  if (const auto samples = source.choice("format", kFormats)) format.format = *samples;
  if (const auto rate = source.integer("rate", publish::kMinSampleRate, publish::kMaxSampleRate))
    format.rate = static_cast<std::uint32_t>(*rate);
  if (const auto channels = source.integer("channels", 1, 2)) format.channels = static_cast<std::uint8_t>(*channels);
}

void read_encoding(Table& source, publish::Encoding& encoding, std::uint8_t frame_ms) {
  const std::uint32_t most = publish::greatest_bitrate(frame_ms);
  const std::string why = most < publish::kMaxBitrate ? "with packets of " + std::to_string(frame_ms) + " ms " : "";
  if (const auto bitrate = source.integer("bitrate", publish::kMinBitrate, most, why))
    encoding.bitrate = static_cast<std::uint32_t>(*bitrate);
  if (const auto complexity = source.integer("complexity", 0, 10)) encoding.complexity = static_cast<int>(*complexity);
  if (const auto fec = source.boolean("fec")) encoding.fec = *fec;
  if (!encoding.fec) return refuse_keys(source, {"expected_loss"}, "only fec = true makes use of it; leave it out");
  if (const auto loss = source.integer("expected_loss", 1, 100)) encoding.expected_loss = static_cast<int>(*loss);
}

void read_align(Table& source, Group& group) {
  SourceInput& input = *group.source;
  if (!source.value("align"))
    return refuse_keys(source, {"align_key"}, "there is no align; name the other origin's address in it");
  if (input.kind != InputKind::rtp)
    return refuse_keys(source, {"align", "align_key"}, "only rtp can be sent to two origins alike; leave it out");
  if (group.sources.size() < 2) {
    (void)source.value("align_key");  // known, and of no use
    return source.refuse("align", "the group has one source; add the other origin's to sources, or leave it out");
  }
  Align align;
  if (const auto address = read_host_port(source, "align", "origin-2.example.net:4800")) align.address = *address;
  align.public_key = read_public_key(source, "align_key", "tiercast pubkey");
  input.align = align;
}

void read_input(Table& table, Group& group, const Machine& machine) {
  auto source =
      table.table("source", R"({ rtp = "127.0.0.1:5004", id = 1, signing_key = "/etc/tiercast/source.key" })");
  if (!source) return;
  SourceInput& input = group.source.emplace();
  read_input_kind(*source, input);
  if (input.kind == InputKind::pcm) {
    read_pcm_format(*source, input.pcm);
  } else {
    refuse_keys(*source, {"format", "rate", "channels"}, "only pcm needs to be told; leave it out");
  }
  if (input.kind == InputKind::wav || input.kind == InputKind::pcm) {
    read_encoding(*source, input.encoding, group.frame_ms);
  } else {
    refuse_keys(*source, {"bitrate", "complexity", "fec", "expected_loss"},
                "only wav and pcm are encoded here; leave it out, and tell the encoder");
  }
  read_align(*source, group);
  source->demand("id", "1");
  if (const auto id = source->integer("id", 1, 255)) {
    input.id = SourceId{static_cast<std::uint8_t>(*id)};
    const bool named = std::any_of(group.sources.begin(), group.sources.end(),
                                   [&](const SourceKey& key) { return key.id == input.id; });
    const bool all_read = std::none_of(group.sources.begin(), group.sources.end(),
                                       [](const SourceKey& key) { return key.id == SourceId{}; });
    if (!named && all_read && !group.sources.empty()) {
      source->refuse("id", "not among the group's sources; add { id = " + std::to_string(*id) +
                               ", key = \"…\" } to sources, or use an id from there");
    }
  }
  input.signing_key = read_key_ref(*source, "signing_key", "/etc/tiercast/source.key", machine);
  source->report_unknown();
}

void read_record(Table& table, Group& group) {
  auto record = table.table("record", R"({ directory = "/var/lib/tiercast" })");
  if (!record) return;
  group.record.emplace();
  record->demand("directory", "\"/var/lib/tiercast\"");
  if (const auto directory = record->text("directory", "/var/lib/tiercast")) group.record->directory = *directory;
  read_time(*record, "silence", {1s, 24h, "1s", "24h"}, group.record->silence);
  const auto finished = record->texts("finished", "/usr/local/bin/post", kMostArguments);
  for (const auto& word : finished) group.record->finished.push_back(word.text);
  if (!finished.empty() && finished.front().text.front() != '/')
    record->refuse("finished", *finished.front().value,
                   "no shell runs it: begin with the program's whole path, as in [\"/usr/local/bin/post\"]");
  record->report_unknown();
}

void read_parity(Table& table, Group& group) {
  auto parity = table.table("parity", "{ data = 10, repair = 2 }");
  if (!parity) return;
  parity->demand("data", "10");
  parity->demand("repair", "2");
  // What is rebuilt after its time is of no use: a block must end well before its first frame is played.
  const std::int64_t most = std::min<std::int64_t>(
      wire::kMaxParityData, wire::kStrictPlayout / 2 / std::chrono::milliseconds{group.frame_ms});
  const auto data = parity->integer("data", 2, most);
  const auto repair = parity->integer("repair", 1, std::min<std::int64_t>(wire::kMaxParityRepair, data.value_or(2)));
  if (data && repair) group.parity = {static_cast<std::uint8_t>(*data), static_cast<std::uint8_t>(*repair)};
  parity->report_unknown();
}

bool is_usable(std::int64_t cpu, const Machine& machine) {
  if (machine.usable.empty()) return cpu >= 0 && cpu < machine.cpus;
  return std::any_of(machine.usable.begin(), machine.usable.end(), [cpu](unsigned one) { return cpu == one; });
}

/// "0 to 3", "0 to 3, 8".
std::string usable_cpus(const Machine& machine) {
  std::vector<unsigned> all = machine.usable;
  for (unsigned cpu = 0; machine.usable.empty() && cpu < machine.cpus; ++cpu) all.push_back(cpu);
  std::string out;
  for (std::size_t first = 0, last = 0; first < all.size(); first = ++last) {
    while (last + 1 < all.size() && all[last + 1] == all[last] + 1) ++last;
    out += (out.empty() ? "" : ", ") + std::to_string(all[first]);
    if (last > first) out += " to " + std::to_string(all[last]);
  }
  return out;
}

std::string no_such_cpu(std::int64_t cpu, const Machine& machine) {
  return "there is no CPU " + std::to_string(cpu) + " for this process; use " + usable_cpus(machine);
}

/// One a worker.
std::vector<unsigned> read_cpus(Table& table, const Machine& machine, unsigned workers) {
  const auto numbers = table.integers("cpus", "[2, 3]");
  if (numbers.empty()) return {};
  std::vector<unsigned> out;
  for (const Table::Number& item : numbers) {
    const auto cpu = static_cast<unsigned>(item.number);
    if (!is_usable(item.number, machine)) {
      table.refuse("cpus", *item.value, no_such_cpu(item.number, machine));
    } else if (std::find(out.begin(), out.end(), cpu) != out.end()) {
      table.refuse("cpus", *item.value, "given twice; each worker needs a CPU of its own");
    } else {
      out.push_back(cpu);
    }
  }
  if (out.size() == numbers.size() && out.size() != workers) {
    table.refuse("cpus", std::to_string(out.size()) + (out.size() == 1 ? " CPU" : " CPUs") +
                             " for workers = " + std::to_string(workers) + "; name one for each, or leave it out");
  }
  return out;
}

}  // namespace

Node read_node(Table& table, const Machine& machine) {
  Node out;
  out.name = read_name(table, "edge-fra-1");
  out.key = read_key_ref(table, "key", "/etc/tiercast/node.key", machine);
  if (const auto state = table.text("state", "/var/lib/tiercast")) out.state = *state;
  if (const auto parents = table.integer("parents", 1, kMaxParents)) out.parents = static_cast<int>(*parents);
  read_time(table, "drain", {1s, kMostDrain, "1s", "1h", "\"10s\" or \"1m\""}, out.drain);
  if (const auto cpu = table.integer("cpu", 0, kMostCpu)) {
    if (is_usable(*cpu, machine)) {
      out.cpu = static_cast<unsigned>(*cpu);
    } else {
      table.refuse("cpu", no_such_cpu(*cpu, machine));
    }
  }
  table.report_unknown();
  return out;
}

Listen read_listen(Table& table, const Machine& machine) {
  Listen out;
  out.addresses = read_addresses(table);
  const std::int64_t cpus = std::clamp<std::int64_t>(machine.cpus, 1, kMaxWorkers);
  const std::string why =
      "this machine has " + std::to_string(machine.cpus) + (machine.cpus == 1 ? " CPU; " : " CPUs; ");
  if (const auto workers = table.integer("workers", 1, cpus, why)) out.workers = static_cast<unsigned>(*workers);
  out.cpus = read_cpus(table, machine, out.workers);
  if (const auto busy = table.integer("busy_poll", 0, kMostBusyPoll, "in microseconds; "))
    out.busy_poll = static_cast<unsigned>(*busy);
  static constexpr Choice<Backend> kBackends[] = {{to_text(Backend::automatic), Backend::automatic},
                                                  {to_text(Backend::sendmmsg), Backend::sendmmsg},
                                                  {to_text(Backend::xdp), Backend::xdp}};
  if (const auto backend = table.choice("backend", kBackends)) out.backend = *backend;
  if (const auto most = table.integer("max_leases", 1, kMaxLeases)) out.max_leases = static_cast<std::uint32_t>(*most);
  if (const auto spread = table.integer("spread", 0, kMaxSpread, "percent of a frame's length; "))
    out.spread = static_cast<unsigned>(*spread);
  out.multicast = read_multicast_out(table);
  table.report_unknown();
  return out;
}

Upstream read_upstream(Table& table) {
  Upstream out;
  constexpr std::string_view kExample = "relay-1.example.net:4800";
  table.demand("address", "\"" + std::string{kExample} + "\"");
  if (const auto address = read_host_port(table, "address", kExample)) out.address = *address;
  out.public_key = read_public_key(table, "public_key", "tiercast pubkey");
  out.multicast = read_multicast_in(table, out.address);
  table.report_unknown();
  return out;
}

Downstream read_downstream(Table& table) {
  Downstream out;
  out.name = read_name(table, "edge-fra-2");
  out.public_key = read_public_key(table, "public_key", "tiercast pubkey");
  table.report_unknown();
  return out;
}

Group read_group(Table& table, const Machine& machine) {
  Group out;
  out.name = read_name(table, "main");
  if (!out.name.empty() && out.name.find_first_not_of("0123456789") == std::string::npos) {
    table.refuse("name", "digits alone look like an id; begin it with a letter");
  }
  table.demand("id", "1");
  if (const auto id = table.integer("id", 1, kMaxGroupId)) out.id = GroupId{static_cast<std::uint32_t>(*id)};
  read_sources(table, out);
  static constexpr Choice<Admission> kAdmissions[] = {{"open", Admission::open}, {"ticket", Admission::ticket, false}};
  if (const auto admission = table.choice("admission", kAdmissions)) out.admission = *admission;
  static constexpr Choice<KeyMode> kKeyModes[] = {{"relay", KeyMode::relay}, {"ticket", KeyMode::ticket, false}};
  if (const auto keys = table.choice("keys", kKeyModes)) out.keys = *keys;
  table.not_available("ticket_key", "leave it out, with admission = \"open\"");
  if (const auto frame = table.one_of("frame_ms", {10, 20, 40, 60})) out.frame_ms = static_cast<std::uint8_t>(*frame);
  if (const auto pinned = table.boolean("pinned")) out.pinned = *pinned;
  read_parity(table, out);
  read_time(table, "rotate", {kLeastRotation, kMostRotation, "30s", "24h"}, out.rotate);
  read_input(table, out, machine);
  read_record(table, out);
  table.report_unknown();
  return out;
}

Admin read_admin(Table& table) {
  Admin out{kDefaultAdminSocket};
  if (const auto socket = table.text("socket", kDefaultAdminSocket)) {
    if (socket->size() > kMaxSocketPath)
      table.refuse("socket", "longer than a socket's path may be; use up to 107 bytes");
    out.socket = *socket;
  }
  table.not_available("metrics", "leave it out and read `tiercast status --json`");
  table.report_unknown();
  return out;
}

Edges read_edges(Table& table) {
  constexpr std::string_view kExample = "edge-fra-2.example.net:4800";
  Edges out;
  table.demand("file", "\"/etc/tiercast/edges\"");
  if (const auto file = table.text("file", "/etc/tiercast/edges")) out.file = *file;
  out.operator_key = read_public_key(table, "operator", "tiercast pubkey --source");
  for (const Table::Item& item : table.texts("elsewhere", kExample, kMostElsewhere)) {
    const auto address = read_host_port(table, "elsewhere", item, kExample);
    if (!address) continue;
    if (std::find(out.elsewhere.begin(), out.elsewhere.end(), *address) != out.elsewhere.end())
      table.refuse("elsewhere", *item.value, "given twice; name each edge once");
    out.elsewhere.push_back(*address);
  }
  table.report_unknown();
  return out;
}

LogLevel read_log(Table& table) {
  static constexpr Choice<LogLevel> kLevels[] = {{to_text(LogLevel::debug), LogLevel::debug},
                                                 {to_text(LogLevel::info), LogLevel::info},
                                                 {to_text(LogLevel::warning), LogLevel::warning},
                                                 {to_text(LogLevel::error), LogLevel::error}};
  const auto level = table.choice("level", kLevels);
  table.report_unknown();
  return level.value_or(LogLevel::info);
}

}  // namespace tiercast::config

// What no section can see alone: duplicates, contradictions, what one section demands of another.
#include <algorithm>
#include <map>
#include <tuple>

#include "config/multicast.hpp"
#include "config/sections.hpp"
#include "relay/wire/limits.hpp"

namespace tiercast::config {
namespace {

/// Reports every entry whose `key` has the value of an earlier one; entries left at their default were reported before.
template <class Entry, class Project>
void refuse_duplicates(const std::vector<Entry>& entries, std::vector<Table>& tables, std::string_view key,
                       const std::string& what, const std::string& remedy, Project project) {
  using Key = std::decay_t<decltype(project(entries.front()))>;
  std::map<Key, std::size_t> seen;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Key value = project(entries[i]);
    if (value == Key{}) continue;
    const auto [first, fresh] = seen.emplace(value, i);
    if (fresh) continue;
    std::string why = what;
    why += " at line " + std::to_string(tables[first->second].at(key).line) + " has it already; " + remedy;
    tables[i].refuse(key, why);
  }
}

bool overlap(const Endpoint& a, const Endpoint& b) {
  const auto is_any = [](const Endpoint& e) {
    return e.ip == Endpoint{}.ip || e.ip == parse_endpoint("0.0.0.0:0")->ip;
  };
  return a.port == b.port && (a.ip == b.ip || is_any(a) || is_any(b));
}

void check_groups(const Config& config, Sections& sections) {
  std::vector<Table>& tables = sections.groups;
  refuse_duplicates(config.groups, tables, "id", "the group", "give each group an id of its own",
                    [](const Group& group) { return group.id; });
  refuse_duplicates(config.groups, tables, "name", "the group", "give each group a name of its own",
                    [](const Group& group) { return group.name; });
  if (!sections.root.has("group")) {
    sections.root.refuse_hidden("[[group]]", "missing; a node carries at least one, with name, id and sources");
  }
  if (tables.size() > wire::kMaxGroups) {
    tables[wire::kMaxGroups].refuse_all("the file has " + std::to_string(tables.size()) + " groups; use up to " +
                                        std::to_string(wire::kMaxGroups));
  }
  for (std::size_t i = 0; i < tables.size(); ++i) {
    if (!tables[i].has("source")) {
      if (!sections.root.has("upstream")) {
        tables[i].refuse_hidden("source", "missing, and there is no [[upstream]] to bring the group; add either");
      }
      continue;
    }
    for (std::size_t j = 0; j < i; ++j) {
      const auto &mine = config.groups[i].source, &other = config.groups[j].source;
      if (mine && other && mine->rtp.port != 0 && overlap(mine->rtp, other->rtp)) {
        tables[i].refuse_hidden("source", "rtp " + to_string(mine->rtp) + " is taken by group \"" +
                                              config.groups[j].name + "\"; give each group's RTP a port of its own");
      }
      if (mine && other && mine->reads_standard_input() && other->reads_standard_input()) {
        tables[i].refuse_hidden("source", "standard input is taken by group \"" + config.groups[j].name +
                                              "\"; name a file or a named pipe (mkfifo) here");
      }
    }
    if (sections.node && !sections.node->has("state")) {
      tables[i].refuse_hidden("source",
                              "an origin must remember which epochs it used; add state = "
                              "\"/var/lib/tiercast\" to [node]");
    }
  }
}

/// What is received: where, and from whom.
std::tuple<Endpoint, std::string, std::string> multicast_stream(const Upstream& upstream) {
  if (!upstream.multicast) return {};
  const MulticastIn& in = *upstream.multicast;
  const auto source = in.source ? in.source : multicast_source_of(upstream.address);
  return {in.group, in.interface, source ? to_string(*source) : upstream.address.host};
}

void check_relays(const Config& config, Sections& sections) {
  refuse_duplicates(config.upstreams, sections.upstreams, "address", "the upstream", "name each parent once",
                    [](const Upstream& upstream) {
                      return std::tuple{upstream.address.host, upstream.address.port};
                    });
  refuse_duplicates(config.upstreams, sections.upstreams, "multicast", "the upstream",
                    "one parent's frames come by it; name its source, or leave it out", multicast_stream);
  refuse_duplicates(config.downstreams, sections.downstreams, "name", "the downstream",
                    "give each relay a name of its own", [](const Downstream& downstream) { return downstream.name; });
  refuse_duplicates(config.downstreams, sections.downstreams, "public_key", "the downstream",
                    "each relay has a key of its own",
                    [](const Downstream& downstream) { return downstream.public_key; });
  if (!sections.downstreams.empty() && !sections.root.has("listen")) {
    sections.downstreams.front().refuse_all(
        "nobody can join a node without [listen]; add it with "
        "address = \"0.0.0.0:4800\", or leave [[downstream]] out");
  }
}

}  // namespace

void check_together(const Config& config, Sections& sections) {
  check_groups(config, sections);
  check_relays(config, sections);
  const bool records = std::any_of(sections.groups.begin(), sections.groups.end(),
                                   [](const Table& group) { return group.has("record"); });
  const bool serves = sections.root.has("listen") || sections.root.has("upstream");
  if (!serves && !records) {
    sections.root.refuse_hidden("[listen]",
                                "missing, and this node neither records nor has an [[upstream]]: it would do "
                                "nothing; add [listen] with address = \"0.0.0.0:4800\"");
  }
}

}  // namespace tiercast::config

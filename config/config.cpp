#include "config/config.hpp"

#include <algorithm>

#include "config/document.hpp"
#include "config/sections.hpp"
#include "config/toml_reader.hpp"

namespace tiercast::config {

const Group* find_group(const Config& config, GroupId id) {
  for (const Group& group : config.groups)
    if (group.id == id) return &group;
  return nullptr;
}

std::vector<std::uint16_t> told_of(const Edges& edges, const crypto::PublicKey& own) {
  std::vector<std::uint16_t> out;
  for (std::size_t i = 0; i < edges.list.edges.size(); ++i) {
    const auto& edge = edges.list.edges[i];
    if (!edge || edge->public_key == own) continue;
    const auto& only = edges.elsewhere;
    if (only.empty() || std::find(only.begin(), only.end(), edge->address) != only.end())
      out.push_back(static_cast<std::uint16_t>(i));
  }
  return out;
}

bool Config::is_origin() const {
  return std::any_of(groups.begin(), groups.end(), [](const Group& group) { return group.source.has_value(); });
}

Loaded parse(const std::string& text, const std::string& file, const Machine& machine) {
  Problems problems;
  const auto document = parse_document(text);
  if (!document) {
    problems.add(document.error().at, document.error().text);
    return {std::nullopt, problems.take(file)};
  }

  Config config;
  Sections sections{Table{*document, "", problems}, {}, {}, {}, {}, {}};
  Table& root = sections.root;
  if (!root.has("node")) problems.add({}, "[node] is missing; add it with a name and a key");
  sections.node = root.table("node", "a section, [node]");
  sections.listen = root.table("listen", "a section, [listen]");
  sections.upstreams = root.tables("upstream", "[[upstream]], one a parent");
  sections.downstreams = root.tables("downstream", "[[downstream]], one a relay");
  sections.groups = root.tables("group", "[[group]], one a broadcast");
  auto admin = root.table("admin", "a section, [admin]");
  auto log = root.table("log", "a section, [log]");
  auto edges = root.table("edges", "a section, [edges]");
  root.report_unknown();

  if (sections.node) config.node = read_node(*sections.node, machine);
  if (sections.listen) config.listen = read_listen(*sections.listen, machine);
  for (Table& table : sections.upstreams) config.upstreams.push_back(read_upstream(table));
  for (Table& table : sections.downstreams) config.downstreams.push_back(read_downstream(table));
  for (Table& table : sections.groups) config.groups.push_back(read_group(table, machine));
  if (admin) config.admin = read_admin(*admin);
  if (log) config.log_level = read_log(*log);
  if (edges) config.edges = read_edges(*edges);
  check_together(config, sections);

  Loaded out;
  out.problems = problems.take(file);
  if (out.problems.empty()) out.config = std::move(config);
  return out;
}

}  // namespace tiercast::config

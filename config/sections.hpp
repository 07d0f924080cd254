// The sections of the file, each read on its own, and the tables they came from: the cross checks need the places.
#pragma once

#include <optional>
#include <vector>

#include "config/config.hpp"
#include "config/toml_reader.hpp"

namespace tiercast::config {

/// Tables that belong to the entries of a Config, in the same order; those of sections that are missing are absent.
struct Sections {
  Table root;
  std::optional<Table> node;
  std::optional<Table> listen;
  std::vector<Table> upstreams;
  std::vector<Table> downstreams;
  std::vector<Table> groups;
};

/// What is wrong in itself is reported; its entry is left at its default, so that entries and tables keep in step.
Node read_node(Table& table, const Machine& machine);
Listen read_listen(Table& table, const Machine& machine);
Upstream read_upstream(Table& table);
Downstream read_downstream(Table& table);
Group read_group(Table& table, const Machine& machine);
Admin read_admin(Table& table);
LogLevel read_log(Table& table);
Edges read_edges(Table& table);

/// What is wrong only together: duplicates, contradictions, what one section demands of another.
void check_together(const Config& config, Sections& sections);

}  // namespace tiercast::config

#include "relay/control/tally.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <limits>

namespace tiercast::control {
namespace {

constexpr Duration kReportAtMostEvery = 1s;

std::uint32_t saturated(std::uint64_t n) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(n, std::numeric_limits<std::uint32_t>::max()));
}

void shift(std::uint64_t& count, int by) {
  assert(by >= 0 || count > 0);
  if (by >= 0 || count > 0) count += static_cast<std::uint64_t>(by);
}

}  // namespace

Tally::Tally(std::size_t max_reports)
    : reports_(max_reports), heads_(std::bit_ceil(std::max<std::size_t>(max_reports, 2)), kNone) {
  groups_.reserve(wire::kMaxGroups);
  for (std::size_t i = max_reports; i-- > 0;) {
    reports_[i].next = free_;
    free_ = static_cast<std::uint32_t>(i);
  }
}

std::uint32_t Tally::index_of(GroupId group) const {
  const auto at = std::find_if(groups_.begin(), groups_.end(), [&](const Group& g) { return g.id == group; });
  return at == groups_.end() ? kNone : static_cast<std::uint32_t>(at - groups_.begin());
}

/// kNone: there are kMaxGroups others.
std::uint32_t Tally::index_or_new(GroupId group) {
  std::uint32_t at = index_of(group);
  if (at == kNone && (at = index_of(GroupId{})) != kNone) groups_[at].id = group;
  if (at == kNone && groups_.size() < wire::kMaxGroups) {
    at = static_cast<std::uint32_t>(groups_.size());
    groups_.push_back(Group{.id = group});
  }
  return at;
}

void Tally::own(GroupId group, int listeners, int relays) {
  const std::uint32_t at = index_or_new(group);
  if (at == kNone) return counters_.drop_full.add();
  shift(groups_[at].listeners, listeners);
  shift(groups_[at].relays, relays);
  changed_ = true;
}

std::size_t Tally::bucket_of(LeaseId child, std::uint32_t group) const {
  // A lease id ends in 24 random bits of our own choice: nobody can aim at a chain.
  const std::uint64_t mixed = (child.value ^ std::uint64_t{group} << 32) * 0x9e3779b97f4a7c15;
  return mixed >> 32 & (heads_.size() - 1);
}

/// Its place in reports_; kNone: there is none.
std::uint32_t Tally::find(LeaseId child, std::uint32_t group) const {
  std::uint32_t at = heads_[bucket_of(child, group)];
  while (at != kNone && (reports_[at].child != child || reports_[at].group != group)) at = reports_[at].next;
  return at;
}

void Tally::reported(LeaseId child, const wire::Tally& report, Time now) {
  counters_.reports_received.add();
  const std::uint32_t group = index_or_new(report.group);
  if (group == kNone) return counters_.drop_full.add();
  std::uint32_t at = find(child, group);
  if (at == kNone) {
    std::uint32_t& head = head_of(child, group);
    if (free_ == kNone) return counters_.drop_full.add();
    at = free_;
    free_ = reports_[at].next;
    reports_[at] = Report{.child = child, .group = group, .next = head};
    head = at;
  }
  Report& r = reports_[at];
  r.at = now;
  if (r.listeners == report.listeners && r.relays == report.relays) return;
  Group& g = groups_[group];
  g.reported_listeners += std::uint64_t{report.listeners} - r.listeners;
  g.reported_relays += std::uint64_t{report.relays} - r.relays;
  r.listeners = report.listeners;
  r.relays = report.relays;
  changed_ = true;
}

void Tally::forget(LeaseId child, std::uint32_t group) {
  std::uint32_t* link = &head_of(child, group);
  while (*link != kNone && (reports_[*link].child != child || reports_[*link].group != group))
    link = &reports_[*link].next;
  if (*link == kNone) return;
  const std::uint32_t at = *link;
  Report& r = reports_[at];
  groups_[group].reported_listeners -= r.listeners;
  groups_[group].reported_relays -= r.relays;
  *link = r.next;
  r = Report{.child = {}, .next = free_};
  free_ = at;
  changed_ = true;
}

void Tally::expire(Time now) {
  for (const Report& r : reports_)
    if (r.group != kNone && now - r.at > wire::kTallyLife) forget(r.child, r.group);
}

void Tally::child_left(LeaseId child) {
  for (std::uint32_t group = 0; group < groups_.size(); ++group) forget(child, group);
}

void Tally::child_left(LeaseId child, GroupId group) {
  if (const std::uint32_t at = index_of(group); at != kNone) forget(child, at);
}

wire::Tally Tally::reported_by(LeaseId child, GroupId group) const {
  wire::Tally out{.group = group};
  const std::uint32_t index = index_of(group);
  if (index == kNone) return out;
  const std::uint32_t at = find(child, index);
  if (at == kNone) return out;
  out.listeners = reports_[at].listeners;
  out.relays = reports_[at].relays;
  return out;
}

void Tally::group_ended(GroupId group) {
  const std::uint32_t at = index_of(group);
  if (at == kNone) return;
  assert(std::none_of(reports_.begin(), reports_.end(),
                      [at](const Report& r) { return r.child != LeaseId{} && r.group == at; }));
  groups_[at] = Group{};
}

wire::Tally Tally::total_of(const Group& g) {
  return {.group = g.id,
          .listeners = saturated(g.listeners + g.reported_listeners),
          .relays = saturated(g.relays + g.reported_relays)};
}

wire::Tally Tally::total(GroupId group) const {
  const std::uint32_t at = index_of(group);
  return at == kNone ? wire::Tally{.group = group} : total_of(groups_[at]);
}

Time Tally::next_report() const {
  if (!ever_reported_) return changed_ ? Time{} : kNever;  // nothing below yet: nothing to say
  return last_report_ + (changed_ ? kReportAtMostEvery : wire::kKeepalive);
}

void Tally::reported_upstream(Time now) {
  changed_ = false;
  ever_reported_ = true;
  last_report_ = now;
}

}  // namespace tiercast::control

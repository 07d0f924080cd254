#include "relay/node/status.hpp"

#include <malloc.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "relay/net/steering.hpp"

namespace tiercast::node {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kChildren = 256;  // listed; the others are counted

std::string hex(std::uint64_t v) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(v));
  return text.data();
}

double share(std::uint16_t of_65535) { return of_65535 / 65535.0; }

// Counters of several of one kind (workers) are summed under one name.
void add_one(Json& out, const char* name, const Counter& counter) {
  out[name] = out.value(name, std::uint64_t{0}) + counter.get();
}
template <class T>
void add(Json& out, const T& counters) {
  counters.each([&](const char* name, const Counter& counter) { add_one(out, name, counter); });
}

Json path_json(const InlineVector<NodeId, wire::kMaxPath>& path) {
  Json out = Json::array();
  for (NodeId id : path) out.push_back(hex(id.value));
  return out;
}

const char* state_of(const control::Parent& parent, Time now) {
  if (parent.duty() == control::Duty::cold) return "reserve";
  if (parent.live(now)) return parent.duty() == control::Duty::live ? "live" : "standby";
  return parent.leased() ? "silent" : parent.denial() ? "denied" : "joining";
}

Json upstream_json(const StatusSources& s, std::size_t p, Time now) {
  const control::Parent& parent = s.feed.parents()[p];
  Json out;
  const HostPort& name = s.uplinks.name(p);
  out["address"] = name.host + ":" + std::to_string(name.port);
  out["public_key"] = crypto::to_base64(parent.config().key);
  out["state"] = state_of(parent, now);
  if (s.feed.learnt(p)) out["learnt"] = true;
  const UplinkFigures& figures = s.feed.uplink_figures(p);
  out["datagrams"] = figures.datagrams;
  out["loss"] = share(figures.loss);
  if (const MulticastUplink* multicast = s.feed.multicast(p)) {
    const config::MulticastIn& in = *s.uplinks.multicast(p);
    out["multicast"] = {{"group", to_string(in.group)},
                        {"interface", in.interface},
                        {"delivers", multicast->way.wanted() == wire::Delivery::multicast},
                        {"datagrams", multicast->datagrams}};
    if (!s.uplinks.multicast_problem(p).empty()) out["multicast"]["problem"] = s.uplinks.multicast_problem(p);
  }
  if (parent.leased()) {
    out["seeking"] = parent.seeking();
    out["round_trip_ms"] = milliseconds(parent.round_trip());
    out["path"] = path_json(parent.lease()->path());
    if (const auto last = parent.last_stream()) out["last_heard_ms"] = milliseconds(now - *last);
  } else {
    if (parent.denial()) out["denied"] = wire::to_text(parent.denial()->reason);
    if (!s.uplinks.problem(p).empty()) out["problem"] = s.uplinks.problem(p);
    out["answers"] = parent.answers();
  }
  Json counters = Json::object();
  add(counters, parent.counters());
  if (parent.lease()) add(counters, parent.lease()->counters());
  if (const MulticastUplink* multicast = s.feed.multicast(p)) add(counters, multicast->way.counters());
  out["counters"] = counters;
  return out;
}

const char* kind_name(config::InputKind kind) {
  switch (kind) {
    case config::InputKind::rtp: return "rtp";
    case config::InputKind::wav: return "wav";
    case config::InputKind::pcm: return "pcm";
    case config::InputKind::ogg: break;
  }
  return "ogg";
}

Json input_json(const config::SourceInput& input, const Origin& origin, Time now, std::uint8_t frame_ms) {
  const auto health = origin.health(now);
  Json out;
  out["kind"] = kind_name(input.kind);
  out["from"] = input.kind == config::InputKind::rtp ? to_string(input.rtp) : input.file;
  out["age_ms"] = health.age ? Json(milliseconds(*health.age)) : Json();
  out["bits_per_second"] = health.bits_per_second;
  out["packets"] = health.packets;
  out["lost"] = health.lost;
  out["reordered"] = health.reordered;
  out["duplicates"] = health.duplicates;
  out["ssrc"] = health.ssrc;
  if (health.last_refusal) out["last_refused"] = publish::to_text(*health.last_refusal, frame_ms);
  return out;
}

Json align_json(const Origin& origin, const AlignLink& link, Time now) {
  const publish::Alignment& alignment = *origin.alignment();
  Json out{{"source", link.other().value}, {"by", to_text(alignment.state())}, {"lives", alignment.other_lives(now)}};
  if (alignment.off() != 0) out["off_ticks"] = alignment.off();
  const control::Parent& parent = link.parent();
  out["state"] = parent.live(now) ? "live" : parent.leased() ? "silent" : parent.denial() ? "denied" : "joining";
  if (parent.denial()) out["denied"] = wire::to_text(parent.denial()->reason);
  out["answers"] = parent.leased() || parent.answers();
  return out;
}

/// Of a relay that knows two.
Json sources_json(const forward::ActiveSource& active, Time now) {
  Json out = Json::array();
  for (std::size_t i = 0; i < active.size(); ++i) {
    const auto age = active.age(i, now);
    out.push_back({{"id", active.id(i).value},
                   {"active", active.current() == active.id(i)},
                   {"newest", active.newest(i).value},
                   {"age_ms", age ? Json(milliseconds(*age)) : Json()},
                   {"good", active.good(i, now)}});
  }
  return out;
}

Json group_json(const StatusSources& s, const FeedGroup& group, Time now) {
  const auto& shared = group.group;
  Json out;
  out["name"] = shared.name;
  out["id"] = shared.id.value;
  out["frame_ms"] = shared.frame.count();
  out["role"] = group.origin ? "origin" : "relay";
  out["newest"] = shared.history.newest().value;
  out["ended"] = group.origin ? (group.origin->statement().flags & wire::kInfoEnded) != 0 : group.ended;
  out["subscribed"] = group.subscribed;
  if (group.last_frame) out["last_frame_ms"] = milliseconds(now - *group.last_frame);
  const wire::Tally tally = s.feed.tally(shared.index);
  out["tally"] = {{"listeners", tally.listeners}, {"relays", tally.relays}};
  out["epochs"] = Json::array();
  for (const auto& epoch : group.epochs.all())
    out["epochs"].push_back({{"source", epoch.source.value}, {"epoch", epoch.epoch.value}});
  if (const auto active = group.intake.active().current()) {
    out["active_source"] = active->value;
    for (const auto& used : group.epochs.used()) {
      if (group.origin || used.source != *active) continue;
      out["epoch"] = used.epoch.value;
      out["epoch_known"] = group.epochs.knows(used.source, used.epoch);
    }
  }
  if (const auto latency = group.latency.last()) out["latency_ms"] = milliseconds(*latency);
  out["missing"] = group.gaps.missing();
  Json counters = Json::object();
  if (group.origin) {
    const Origin& origin = *group.origin;
    if (const auto epoch = origin.current_epoch()) out["epoch"] = epoch->epoch.value;
    out["input"] = input_json(*config::find_group(s.config, shared.id)->source, origin, now,
                              static_cast<std::uint8_t>(shared.frame.count()));
    for (const auto& media : s.media)
      if (media->group() == shared.index && media->ogg_counters() != nullptr) add(counters, *media->ogg_counters());
    out["sealed"] = origin.publisher().counters().frames.get();
    add(counters, origin.ingest().counters());
    add(counters, origin.publisher().counters());
    add(counters, origin.counters());
    if (group.align) {
      out["align"] = align_json(origin, *group.align, now);
      add(counters, origin.alignment()->counters());
      add(counters, group.align->counters());
    }
  } else {
    if (shared.sources.size() > 1) out["sources"] = sources_json(group.intake.active(), now);
    out["audio_bytes"] = group.audio_bytes;
    add(counters, group.intake.counters());
    add(counters, group.gaps.counters());
    add(counters, group.attestation_gaps);
  }
  if (group.recorder) {
    const receive::RecordingHealth health = group.recorder->health();
    out["recording"] = {{"file", health.file.empty() ? Json() : Json(health.file)},
                        {"waiting_bytes", health.waiting},
                        {"waiting_most", health.waiting_most}};
    if (!health.problem.empty()) out["recording"]["problem"] = health.problem;
    add(counters, group.recorder->playout_counters());
    add(counters, group.recorder->counters());
    add(counters, group.recorder->file_counters());
  }
  out["counters"] = counters;
  return out;
}

const char* role(const config::Config& config) {
  return config.is_origin() ? "origin" : config.listen ? "relay" : "recorder";
}

Json backend_json(const StatusSources& s) {
  Json out{{"name", to_text(s.backend)}};
  if (!s.backend.why.empty()) out["why"] = s.backend.why;
  std::array<std::uint64_t, static_cast<std::size_t>(net::Detour::count_)> sums{};
  bool any = false;
  for (const auto& worker : s.workers) {
    const auto* reached = worker->reached();
    for (std::size_t why = 0; reached && why < sums.size(); ++why) sums[why] += (*reached)[why].get();
    any = any || reached;
  }
  if (!any) return out;
  out["direct"] = sums[0];
  out["detours"] = Json::object();
  for (std::size_t why = 1; why < sums.size(); ++why)
    out["detours"][net::to_string(static_cast<net::Detour>(why))] = sums[why];
  return out;
}

// Of the fullest worker; the room is all workers', for listeners of the group with the shortest frames.
Json load_json(const StatusSources& s) {
  Duration frame = std::chrono::milliseconds{60};
  for (const auto& group : s.feed.groups()) frame = std::min<Duration>(frame, group->group.frame);
  double share = 0, taken_up = 0;
  std::uint64_t standing_by = 0;
  std::optional<std::uint64_t> room = 0;
  for (const WorkerLink& link : s.feed.workers()) {
    share = std::max(share, link.load.share(frame));
    taken_up = std::max(taken_up, link.load.share_taken_up(frame));
    standing_by += link.load.standing_by();
    const auto here = link.load.room(frame);
    room = room && here ? std::optional{*room + std::min(*here, link.free.left())} : std::nullopt;
  }
  Json out{{"share", share},
           {"full_at", kFullShare},
           {"standing_by", standing_by},
           {"share_taken_up", taken_up},
           {"full_taken_up_at", kTakenUpShare}};
  if (room) out["room"] = *room;
  return out;
}

// Of the frames that all workers have sent since the node's start. `buckets`: how many took at most so much, and more
// than the one before.
Json passage_json(const StatusSources& s) {
  Json out = Json::object();
  std::map<std::string, Passage::Times::Sum> sums;
  for (const auto& worker : s.workers)
    worker->worker().passage().each([&](const char* name, const Passage::Times& times) { times.add_to(sums[name]); });
  for (const auto& [name, times] : sums) {
    Json buckets = Json::array();
    times.each_bucket([&](std::uint64_t most, std::uint64_t frames) {
      buckets.push_back({{"up_to_us", most}, {"frames", frames}});
    });
    out[name] = {{"frames", times.count()},
                 {"p50_us", times.quantile(0.5)},
                 {"p99_us", times.quantile(0.99)},
                 {"max_us", times.highest()},
                 {"buckets", buckets}};
  }
  return out;
}

Json listen_json(const StatusSources& s, Time now) {
  const config::Listen& listen = *s.config.listen;
  std::uint64_t leases = 0;
  std::array<std::uint64_t, kLossBounds.size() + 1> by_loss{};
  Json quiet = Json::array();
  for (std::size_t w = 0; w < s.workers.size(); ++w) {
    const WorkerCounters& counters = s.workers[w]->worker().counters();
    leases += counters.leases.get();
    for (std::size_t i = 0; i < by_loss.size(); ++i) by_loss[i] += counters.listeners_by_loss[i].get();
    quiet.push_back(milliseconds(now - s.workers_turned[w]));
  }
  Json skipped =
      Json::array();  // frames, attestations and the like that each has not sent, for it came too late to them
  for (std::size_t w = 0; w < s.workers.size(); ++w) {
    const WorkerCounters& counters = s.workers[w]->worker().counters();
    skipped.push_back(counters.too_late.get() + counters.frames_gone.get() + s.feed.workers()[w].untold);
  }
  Json addresses = Json::array();
  for (const auto& socket : s.join_sockets) addresses.push_back(to_string(socket.local()));
  Json out{{"addresses", addresses},          {"workers", s.workers.size()}, {"worker_quiet_ms", quiet},
           {"worker_skipped", skipped},       {"backend", backend_json(s)},  {"leases", leases},
           {"max_leases", listen.max_leases}, {"load", load_json(s)}};
  if (listen.multicast) {
    std::uint64_t takers = 0;
    for (const auto& worker : s.workers) takers += worker->worker().counters().multicast_leases.get();
    out["multicast"] = {{"group", to_string(listen.multicast->group)},
                        {"interface", listen.multicast->interface},
                        {"ttl", listen.multicast->ttl},
                        {"leases", takers}};
  }
  out["passage"] = passage_json(s);
  // The listeners here by the loss that each last reported: how many have at most so much, and more than the one
  // before.
  out["listeners"] = std::accumulate(by_loss.begin(), by_loss.end(), std::uint64_t{0});
  out["listeners_by_loss"] = Json::array();
  for (std::size_t i = 0; i < kLossShares.size(); ++i)
    out["listeners_by_loss"].push_back({{"up_to", kLossShares[i]}, {"listeners", by_loss[i + 1]}});
  return out;
}

// A child that no [[downstream]] names any more is about to leave.
std::string name_of(const config::Config& config, const crypto::PublicKey& key) {
  for (const auto& downstream : config.downstreams)
    if (downstream.public_key == key) return downstream.name;
  return "?";
}

Json children_json(const StatusSources& s, Time now) {
  Json out = Json::array();
  for (const Child& child : s.feed.children().first(std::min(s.feed.children().size(), kChildren))) {
    Json one{{"name", name_of(s.config, child.key)},
             {"address", to_string(child.peer)},
             {"joined_s", std::chrono::duration_cast<std::chrono::seconds>(now - child.joined).count()}};
    if (child.seen) {
      one["receives"] = child.seen->receives;
      one["counted_here"] = child.seen->relays > 0;
      one["listeners"] = child.seen->listeners;
      one["relays"] = child.seen->relays;
      one["loss"] = share(child.seen->loss);
      one["round_trip_ms"] = child.seen->round_trip_us / 1000.0;
    }
    out.push_back(std::move(one));
  }
  return out;
}

Json drain_fields(const DrainStatus& drain) {
  return {{"leases", drain.leases},
          {"staying", drain.staying},
          {"seconds_left", std::chrono::duration<double>{drain.left}.count()}};
}

std::uint64_t resident_bytes() {
  std::ifstream statm{"/proc/self/statm"};
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

std::string status_json(const StatusSources& s, Moment now) {
  Json out;
  out["version"] = TIERCAST_VERSION;
  out["node"] = {{"name", s.config.node.name},
                 {"id", hex(s.feed.id().value)},
                 {"role", role(s.config)},
                 {"uptime_s", std::chrono::duration_cast<std::chrono::seconds>(now.mono - s.start.mono).count()},
                 {"uptime_ms", milliseconds(now.mono - s.start.mono)},
                 {"started_unix_ms",
                  std::chrono::duration_cast<std::chrono::milliseconds>(s.start.wall.time_since_epoch()).count()},
                 {"path", path_json(s.feed.standing().path)},
                 {"seeking", s.feed.standing().seeking},
                 {"parents", s.feed.choice().wanted()}};
  if (s.config.edges)
    out["edges"] = {{"serial", s.config.edges->list.serial},
                    {"edges", s.config.edges->list.count()},
                    {"named", s.feed.elsewhere().size()}};
  if (s.drain) out["draining"] = drain_fields(*s.drain);
  if (s.config.listen) out["listen"] = listen_json(s, now.mono);
  out["upstreams"] = Json::array();
  for (std::size_t p = 0; p < s.feed.parents().size(); ++p) out["upstreams"].push_back(upstream_json(s, p, now.mono));
  out["children"] = children_json(s, now.mono);
  if (const std::size_t all = s.feed.children().size(); all > kChildren) out["children_unlisted"] = all - kChildren;
  out["groups"] = Json::array();
  std::uint64_t history = 0;
  for (const auto& group : s.feed.groups()) {
    out["groups"].push_back(group_json(s, *group, now.mono));
    history += group->group.history.bytes_reserved();
  }
  std::uint64_t leases_bytes = 0;
  for (const auto& worker : s.workers) leases_bytes += worker->worker().counters().bytes_reserved.get();
  out["memory"] = {{"resident", resident_bytes()}, {"history", history}, {"leases", leases_bytes}};
  Json counters = Json::object();
  add(counters, s.feed.counters());
  add(counters, s.feed.choice().counters());
  add(counters, s.feed.elsewhere_counters());
  add(counters, s.feed.responder().counters());
  add(counters, s.uplinks.counters());
  add(counters, s.loop.counters());
  add(counters, s.outlet.counters());
  add(counters, s.feed_placement);
  add(counters, s.finished_commands);
  const auto drops_of = [](std::span<const net::UdpSocket> sockets) {
    std::uint64_t sum = 0;
    for (const auto& socket : sockets) sum += net::socket_drops(socket.fd()).value_or(0);
    return sum;
  };
  std::uint64_t kernel_drops = 0;
  for (const auto& worker : s.workers) {
    add(counters, worker->worker().counters());
    add(counters, worker->worker().lease_counters());
    add(counters, worker->worker().resend_counters());
    add(counters, worker->worker().tally_counters());
    add(counters, worker->outlet_counters());
    add(counters, worker->placement_counters());
    add(counters, worker->loop_counters());
    add(counters, worker->fan_out_counters());
    worker->each_xdp_counter([&](const char* name, const Counter& counter) { add_one(counters, name, counter); });
    if (const auto* multicast = worker->multicast_counters()) add(counters, *multicast);
    kernel_drops += drops_of(worker->sockets());
  }
  counters["kernel_drop_worker_sockets"] = kernel_drops;
  if (!s.join_sockets.empty()) counters["kernel_drop_join_socket"] = drops_of(s.join_sockets);
  out["counters"] = counters;
  return out.dump() + "\n";
}

std::string ok_json(const std::string& result) { return Json{{"ok", result}}.dump() + "\n"; }
std::string reload_json(const std::vector<std::string>& problems, const std::vector<std::string>& applied,
                        const std::vector<std::string>& restart) {
  if (!problems.empty()) return Json{{"refused", problems}}.dump() + "\n";
  return Json{{"changed", applied}, {"needs_restart", restart}}.dump() + "\n";
}
std::string drain_json(const DrainStatus& drain, bool over) {
  Json out = drain_fields(drain);
  out["over"] = over;
  return out.dump() + "\n";
}
std::string error_json(const std::string& error) { return Json{{"error", error}}.dump() + "\n"; }

}  // namespace tiercast::node

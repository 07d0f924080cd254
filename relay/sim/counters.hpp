// What the agents of one process count, all of it, by name: f(name, counter), several times where there are several.
#pragma once

#include "relay/sim/agents.hpp"

namespace tiercast::sim {

template <class Agent, class F>
void each_parent_counter(const Agent& agent, F&& f) {
  const auto& parents = agent.parents();
  for (std::size_t p = 0; p < parents.size(); ++p) {
    parents[p].counters().each(f);
    if (parents[p].lease()) parents[p].lease()->counters().each(f);
    if (const auto* multicast = agent.multicast(p)) multicast->way.counters().each(f);
  }
}

template <class F>
void each_counter(const NodeProcess& process, F&& f) {
  node::Feed& feed = *process.feed;
  feed.counters().each(f);
  feed.choice().counters().each(f);
  feed.elsewhere_counters().each(f);
  feed.responder().counters().each(f);
  each_parent_counter(feed, f);
  for (const auto& g : feed.groups()) {
    g->intake.counters().each(f);
    g->gaps.counters().each(f);
    g->attestation_gaps.each(f);
    if (!g->origin) continue;
    g->origin->ingest().counters().each(f);
    g->origin->publisher().counters().each(f);
    g->origin->counters().each(f);
    if (const auto* alignment = g->origin->alignment()) alignment->counters().each(f);
    if (g->align) g->align->counters().each(f);
  }
  for (const auto& worker : process.workers) {
    worker->worker->counters().each(f);
    worker->worker->lease_counters().each(f);
    worker->worker->resend_counters().each(f);
    worker->worker->tally_counters().each(f);
  }
}

template <class F>
void each_counter(const node::Listener& listener, F&& f) {
  listener.each_counter(f);
  each_parent_counter(listener, f);
}

}  // namespace tiercast::sim

#include "relay/cli/status_judgement.hpp"

#include <doctest/doctest.h>

#include "tests/cli/status_fixture.hpp"

namespace tiercast::status_judgement_test {

using namespace tiercast::cli;
using namespace tiercast::test;

namespace {

std::vector<Complaint> of(const Snapshot& now, const Snapshot* before = nullptr) { return judge({now, before}); }

/// The one complaint that there is.
Complaint only(const Snapshot& now, const Snapshot* before = nullptr) {
  const auto all = of(now, before);
  REQUIRE(all.size() == 1);
  return all.front();
}

/// What is wrong when a counter of the node has risen by so much within a second.
std::vector<Complaint> risen(const char* counter, std::uint64_t by) {
  const Snapshot before = relay();
  Snapshot now = later(before);
  now.counters[counter] = by;
  return of(now, &before);
}

}  // namespace

TEST_CASE("judge: nothing is wrong with a healthy origin, relay and recorder, from the first snapshot on") {
  for (const Snapshot& s : {origin(), relay()}) {
    CHECK(of(s).empty());
    const Snapshot now = later(s);
    CHECK(of(now, &s).empty());
  }
  Snapshot recorder = relay();
  recorder.listen.reset();
  CHECK(of(recorder).empty());
  CHECK(of(Snapshot{}).empty());
}

TEST_CASE("judge: a recording whose disk takes nothing is told, also when the broadcast has ended") {
  for (const bool ended : {false, true}) {
    Snapshot s = origin();
    s.groups[0].ended = ended;
    s.groups[0].recording_problem = "cannot write /r/main.opus.part: No space left on device; make room there";
    CHECK(only(s).wrong == Wrong::recording_fails);
    CHECK(only(s).text == "group main: the recording waits for its disk; the broadcast does not");
    CHECK(only(s).advice == s.groups[0].recording_problem);
  }
}

TEST_CASE("judge: a worker that does not turn has stalled, and is named") {
  Snapshot s = relay();
  s.listen->worker_quiet_ms = {100, 2999};
  CHECK(of(s).empty());
  s.listen->worker_quiet_ms = {100, 12'400};
  CHECK(only(s).wrong == Wrong::worker_stalled);
  CHECK(only(s).text == "worker 1 has stalled for 12 s");
}

TEST_CASE("judge: without a live parent, the first line says which and why where there is but one") {
  Snapshot s = relay();
  s.parents.resize(1);
  s.parents[0].state = "joining";
  CHECK(only(s).wrong == Wrong::no_parent_live);
  CHECK(only(s).text == "no parent is live: 192.0.2.1:4800 does not answer");
  s.parents[0].answers = true;
  CHECK(only(s).text == "no parent is live: 192.0.2.1:4800 does not accept");
  CHECK(only(s).advice.find("[[downstream]]") != std::string::npos);
  s.parents[0].state = "silent";
  CHECK(only(s).text == "no parent is live: 192.0.2.1:4800 is silent");
  s.parents[0].state = "denied";
  s.parents[0].denied = "it is full";
  CHECK(only(s).text == "no parent is live: 192.0.2.1:4800 denies the join");
  CHECK(only(s).advice == "it says: it is full");
  s.parents[0].problem = "edge.example.net: no such name";
  CHECK(only(s).text == "no parent is live: 192.0.2.1:4800 has no socket");
  CHECK(only(s).advice == "edge.example.net: no such name");
}

TEST_CASE("judge: of several dead parents the advice is of one that was heard") {
  Snapshot s = relay();
  for (auto& parent : s.parents) parent.state = "joining";
  s.parents[1].answers = true;
  CHECK(only(s).text == "none of 2 parents is live");
  CHECK(only(s).advice.starts_with("192.0.2.2:4800 does not accept: "));
}

TEST_CASE("judge: an input is silent after three seconds, or from the start on") {
  Snapshot s = origin();
  s.groups[0].input->age_ms = 3000;
  CHECK(of(s).empty());
  s.groups[0].input->age_ms = 42'000;
  CHECK(only(s).wrong == Wrong::input_silent);
  CHECK(only(s).text == "group main: the input is silent for 42 s");
  CHECK(only(s).advice == "is the encoder sending RTP to 127.0.0.1:5004?");
  s.groups[0].input->age_ms.reset();
  CHECK(only(s).text == "group main: the input is silent, from the start on");
  s.uptime_ms = 1000;
  CHECK(of(s).empty());
  s.uptime_ms = 60'000;
  s.groups[0].input->kind = "pcm";
  s.groups[0].input->from = "-";
  CHECK(only(s).advice.find("standard input") != std::string::npos);
}

TEST_CASE("judge: an input that is refused is not called silent, and a past refusal is none") {
  Snapshot before = origin();
  before.groups[0].input->age_ms.reset();
  before.groups[0].input->last_refused = "packets of 10 ms come, 20 ms are due";
  CHECK(only(before).wrong == Wrong::input_refused);
  CHECK(only(before).advice == "packets of 10 ms come, 20 ms are due");
  Snapshot now = later(before);
  CHECK(only(now, &before).wrong == Wrong::input_silent);
  now.groups[0].counters["ingest_drop_other_duration"] = 100;
  CHECK(only(now, &before).wrong == Wrong::input_refused);
  now.groups[0].input->age_ms = 10;
  CHECK(only(now, &before).wrong == Wrong::input_partly_refused);
  CHECK(only(now, &before).text == "group main: 100 packets/s are refused");
}

TEST_CASE("judge: nothing is missed of a group that has ended, or that nobody wants") {
  Snapshot s = origin();
  s.groups[0].input->age_ms = 42'000;
  s.groups[0].ended = true;
  CHECK(of(s).empty());
  Snapshot r = relay();
  r.groups[0].last_frame_ms.reset();
  r.groups[0].subscribed = false;
  CHECK(of(r).empty());
}

TEST_CASE("judge: parents that seek themselves are told of once, not each group below them") {
  Snapshot s = relay();
  s.seeking = true;
  s.groups[0].last_frame_ms = 9000;
  CHECK(only(s).wrong == Wrong::parents_seeking);
}

TEST_CASE("judge: a group without frames from parents that have input is told of") {
  Snapshot s = relay();
  s.groups[0].last_frame_ms = 9000;
  CHECK(only(s).wrong == Wrong::group_silent);
  CHECK(only(s).text == "group main: no frame for 9 s");
  s.groups[0].last_frame_ms.reset();
  CHECK(only(s).text == "group main: no frame so far");
  s.uptime_ms = 2000;
  CHECK(of(s).empty());
}

TEST_CASE("judge: one parent of several that is missing is named") {
  Snapshot s = relay();
  s.parents[1].state = "silent";
  CHECK(only(s).wrong == Wrong::parent_missing);
  CHECK(only(s).text == "1 of 2 parents live: 192.0.2.2:4800 is silent");
}

TEST_CASE("judge: parents that stand by are as they should be; one that cannot is told of") {
  Snapshot s = relay();
  s.parents.push_back(s.parents[1]);
  s.parents[1].state = "standby";
  s.parents[2].state = "reserve";
  s.live_parents = 1;
  CHECK(of(s).empty());
  s.parents[1].state = "joining";
  CHECK(only(s).text == "a standby parent is missing: 192.0.2.2:4800 does not answer");
  s.live_parents = 2;
  CHECK(only(s).text == "1 of 2 parents live: 192.0.2.2:4800 does not answer");
}

TEST_CASE("judge: frames of an epoch that is not known here") {
  Snapshot s = relay();
  s.groups[0].epoch_known = false;
  CHECK(only(s).wrong == Wrong::epoch_unknown);
  CHECK(only(s).text == "group main: epoch 1700000000 is not known here");
}

TEST_CASE("judge: what has been dropped once is not wrong for ever, what is being dropped is") {
  for (const char* counter :
       {"fanout_drop_late", "fanout_drop_overwritten", "feed_drop_worker_ring_full", "fanout_drop_send"}) {
    const auto all = risen(counter, 5);
    REQUIRE(all.size() == 1);
    CHECK(all[0].wrong == Wrong::frames_dropped);
  }
  REQUIRE(risen("kernel_drop_worker_sockets", 2).size() == 1);
  CHECK(risen("kernel_drop_worker_sockets", 2)[0].wrong == Wrong::kernel_drops);
  CHECK(risen("kernel_drop_join_socket", 2).empty());
  for (const char* counter : {"resend_drop_lease_budget", "resend_drop_node_budget"}) {
    REQUIRE(risen(counter, 7).size() == 1);
    CHECK(risen(counter, 7)[0].wrong == Wrong::resend_refused);
    CHECK(risen(counter, 7)[0].text == "7 resends/s are over the budget");
  }
  Snapshot s = relay();
  s.counters["fanout_drop_late"] = 1'000'000;
  CHECK(of(s).empty());
  const Snapshot now = later(s);
  CHECK(of(now, &s).empty());
}

TEST_CASE("judge: leases are nearly all taken from nine tenths on, and full where no worker has one") {
  Snapshot s = relay();
  s.listen->leases = 89;
  CHECK(of(s).empty());
  s.listen->leases = 90;
  CHECK(only(s).wrong == Wrong::nearly_full);
  CHECK(only(s).text == "90 of 100 leases are taken");
  s.listen->leases = 100;
  CHECK(only(s).wrong == Wrong::full);
  s.listen->max_leases = 101;  // two workers: 50 each
  CHECK(only(s).wrong == Wrong::full);
  s.listen->max_leases = 102;
  CHECK(only(s).wrong == Wrong::nearly_full);
}

TEST_CASE("judge: a node whose sending takes too much of a worker's time is full, whatever leases are left") {
  Snapshot s = relay();
  s.listen->full_at = 0.8;
  s.listen->load = 0.79;
  CHECK(of(s).empty());
  s.listen->load = 0.8;
  CHECK(only(s).wrong == Wrong::full);
  CHECK(only(s).text == "full: sending takes 80 % of a worker's time");
  s.listen->load = 0.5;
  s.listen->standing_by = 700;
  s.listen->full_taken_up_at = 0.95;
  s.listen->taken_up = 0.94;
  CHECK(of(s).empty());
  s.listen->taken_up = 0.96;
  CHECK(only(s).wrong == Wrong::full);
  CHECK(only(s).text == "full: sending to the 700 that stand by here, too, would take 96 % of a worker's time");
}

TEST_CASE("judge: clocks that disagree, and a latency that no path has") {
  Snapshot s = relay();
  s.groups[0].latency_ms = -5;
  CHECK(of(s).empty());
  s.groups[0].latency_ms = -340;
  CHECK(only(s).wrong == Wrong::clocks_disagree);
  CHECK(only(s).text == "clocks disagree: group main comes 340 ms too early");
  s.groups[0].latency_ms = 7000;
  CHECK(only(s).text == "group main comes 7 s late");
}

TEST_CASE("judge: the worst comes first, whatever is wrong beside it") {
  Snapshot before = relay();
  before.groups.push_back(origin().groups[0]);
  before.groups[1].name = "second";
  before.groups[1].id = 2;
  before.groups.push_back(before.groups[1]);
  before.groups[2].name = "third";
  before.groups[2].id = 3;
  before.groups.push_back(before.groups[1]);
  before.groups[3].name = "fourth";
  before.groups[3].id = 4;
  Snapshot s = later(before);
  s.listen->worker_quiet_ms[0] = 9000;
  s.seeking = true;
  s.parents[1].state = "silent";
  s.groups[0].epoch_known = false;
  s.groups[0].latency_ms = -100;
  s.groups[1].input->age_ms = 9000;
  s.groups[2].input->age_ms = 9000;
  s.groups[2].counters["ingest_drop_not_opus"] = 5;
  s.groups[3].counters["ingest_drop_not_opus"] = 5;
  s.listen->leases = 95;
  for (const char* counter : {"fanout_drop_late", "kernel_drop_worker_sockets", "resend_drop_node_budget"})
    s.counters[counter] = 1;
  std::vector<Wrong> found;
  for (const auto& complaint : of(s, &before)) found.push_back(complaint.wrong);
  CHECK(found == std::vector<Wrong>{Wrong::worker_stalled, Wrong::input_refused, Wrong::input_silent,
                                    Wrong::parents_seeking, Wrong::epoch_unknown, Wrong::parent_missing,
                                    Wrong::frames_dropped, Wrong::kernel_drops, Wrong::resend_refused,
                                    Wrong::nearly_full, Wrong::input_partly_refused, Wrong::clocks_disagree});
  // What cannot be beside those: no live parent at all, a silent group below parents with input, a full node.
  CHECK(Wrong::worker_stalled < Wrong::drains);
  CHECK(Wrong::drains < Wrong::no_parent_live);
  CHECK(Wrong::no_parent_live < Wrong::input_refused);
  CHECK(Wrong::parents_seeking < Wrong::group_silent);
  CHECK(Wrong::group_silent < Wrong::epoch_unknown);
  CHECK(Wrong::kernel_drops < Wrong::full);
  CHECK(Wrong::full < Wrong::resend_refused);
}

TEST_CASE("judge: a node that drains says who is left, and until when") {
  Snapshot s = relay();
  s.drain = Snapshot::Drain{3, 0, 7.6};
  CHECK(only(s).wrong == Wrong::drains);
  CHECK(only(s).text == "draining: 3 of its leases left, and it stops in 8 s");
  s.drain->staying = 2;
  CHECK(only(s).advice == "2 of them have no other parent to go to");
}

TEST_CASE("judge: a node that was restarted in between is not compared with what it was") {
  Snapshot before = relay();
  before.counters["fanout_drop_late"] = 1;
  Snapshot now = later(before);
  now.started_unix_ms += 500;
  now.counters["fanout_drop_late"] = 50;
  CHECK(of(now, &before).empty());
  now.started_unix_ms = before.started_unix_ms;
  now.id = "another";
  CHECK(of(now, &before).empty());
  now.id = before.id;
  CHECK(of(now, &before).size() == 1);
}

}  // namespace tiercast::status_judgement_test

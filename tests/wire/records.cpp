// Every record's exact bytes, its way there and back, and what a reader skips, takes and refuses.
#include "relay/wire/records.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "tests/support/hex.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::wire::records_test {
namespace {

using test::hex;
using test::unhex;

template <class R>
std::vector<std::uint8_t> write(const R& record) {
  std::vector<std::uint8_t> out(kMaxDatagram);
  Writer w{out};
  write_record(w, record);
  REQUIRE(w.ok());
  out.resize(w.size());
  out.shrink_to_fit();
  return out;
}

template <class R>
R read_one(Bytes payload) {
  RecordReader reader{payload};
  const auto record = reader.next();
  REQUIRE(record);
  REQUIRE(std::holds_alternative<R>(*record));
  CHECK_FALSE(reader.next());
  CHECK_FALSE(reader.error());
  return std::get<R>(*record);
}

std::optional<RecordError> error_of(Bytes payload) {
  RecordReader reader{payload};
  while (reader.next()) {
  }
  return reader.error();
}

Keepalive keepalive() { return {0x01020304, {1, 2, 3, 4, 5, 6, 7, 8}, 0x0506, 0x0708090a, Delivery::multicast}; }

Acknowledgement acknowledgement() {
  Acknowledgement r{7, {1, 2, 3, 4, 5, 6, 7, 8}, true, {}};
  r.path.push_back(NodeId{0x1111111111111111});
  r.path.push_back(NodeId{0x2222222222222222});
  return r;
}

EpochsHeld epochs_held() {
  EpochsHeld r;
  r.epochs.push_back({GroupId{1}, SourceId{2}, Epoch{3}});
  r.epochs.push_back({GroupId{4}, SourceId{5}, Epoch{6}});
  return r;
}

Nack nack() {
  Nack r{GroupId{9}, NackKind::attestation, {}};
  r.ranges.push_back({Sequence{0x010203040506}, 3});
  r.ranges.push_back({Sequence{0xffffffffffff}, 0xffff});
  return r;
}

GroupInfo group_info() {
  return {GroupId{1},
          SourceId{2},
          20,
          kInfoAnchored | kInfoStamped,
          Sequence{0x0a0b0c0d0e0f},
          Sequence{0x0102},
          0x0001020304050607,
          0x11121314,
          0x21222324};
}

Accepted accepted() {
  Accepted r{Lane{2}, LeaseId{0x0102030405060708}, {8, 7, 6, 5, 4, 3, 2, 1}, {}};
  r.path.push_back(NodeId{0x3333333333333333});
  return r;
}

const auto kTwoIndices = unhex("00010002");
const auto kTicket = unhex("c0ffee");

/// One of each, with its exact bytes. `list`: the value ends in a list without a length of its own.
struct Golden {
  const char* name;
  std::vector<std::uint8_t> written;
  std::string expected;
  bool list = false;
};

std::vector<Golden> golden() {
  EpochValue value{};
  value.fill(0xee);
  std::array<std::uint8_t, kSignature> signature;
  signature.fill(0xaa);
  const std::string token = "0102030405060708";
  return {
      {"keepalive", write(keepalive()), "01 0013 01020304" + token + "0506 0708090a 02"},
      {"acknowledgement", write(acknowledgement()),
       "02 001e 00000007" + token + "01 02 1111111111111111 2222222222222222"},
      {"subscribe", write(Subscribe{GroupId{5}, kTicket}), "03 0006 000005 c0ffee", true},
      {"unsubscribe", write(Unsubscribe{GroupId{5}}), "04 0003 000005"},
      {"nack", write(nack()), "05 0014 000009 01 010203040506 0003 ffffffffffff ffff", true},
      {"epoch", write(EpochRecord{GroupId{1}, SourceId{2}, Epoch{3}, value, signature}),
       "06 0068 000001 02 00000003" + std::string(64, 'e') + std::string(128, 'a')},
      {"group_info", write(group_info()),
       "07 0022 000001 02 14 06 0a0b0c0d0e0f 000000000102 0001020304050607 11121314 21222324"},
      {"go_away", write(GoAway{LeaveReason::drain, 5, kTwoIndices}), "08 0007 02 0005 0001 0002", true},
      {"tally", write(Tally{GroupId{1}, 0x01020304, 0x05060708}), "09 000b 000001 01020304 05060708"},
      {"leave", write(Leave{LeaveReason::idle}), "0a 0001 04"},
      {"epochs_held", write(epochs_held()), "0b 0010 000001 02 00000003 000004 05 00000006", true},
      {"token", write(TokenOnly{{1, 2, 3, 4, 5, 6, 7, 8}}), "0c 0008" + token},
      {"subscribed", write(Subscribed{GroupId{5}, 3}), "0d 0004 000005 03"},
      {"join_request", write(JoinRequest{GroupId{5}, Role::relay, Delivery::none}), "10 0005 000005 02 00"},
      {"accepted", write(accepted()), "11 001a 02 0102030405060708 0807060504030201 01 3333333333333333"},
      {"denied", write(Denied{DenyReason::full, 0x0102, kTwoIndices}), "12 0007 03 0102 0001 0002", true},
      {"ticket", write(TicketRecord{kTicket}), "13 0003 c0ffee", true},
  };
}

TEST_CASE("every record has its exact bytes") {
  for (const Golden& g : golden()) {
    CAPTURE(g.name);
    CHECK(hex(g.written) == hex(unhex(g.expected)));
    CHECK_FALSE(error_of(g.written));
  }
}

TEST_CASE("every record is read back as it was written") {
  const auto k = read_one<Keepalive>(write(keepalive()));
  CHECK(k.number == 0x01020304);
  CHECK(k.token == keepalive().token);
  CHECK(k.loss == 0x0506);
  CHECK(k.round_trip_us == 0x0708090a);
  CHECK(k.delivery == Delivery::multicast);
  const auto a = read_one<Acknowledgement>(write(acknowledgement()));
  CHECK(a.number == 7);
  CHECK(a.token == acknowledgement().token);
  CHECK(a.seeking);
  REQUIRE(a.path.size() == 2);
  CHECK(a.path[1] == NodeId{0x2222222222222222});
  const auto written_subscribe = write(Subscribe{GroupId{5}, kTicket});
  const auto s = read_one<Subscribe>(written_subscribe);
  CHECK(s.group == GroupId{5});
  CHECK(hex(s.ticket) == "c0ffee");
  CHECK(read_one<Unsubscribe>(write(Unsubscribe{GroupId{6}})).group == GroupId{6});
  const auto n = read_one<Nack>(write(nack()));
  CHECK(n.group == GroupId{9});
  CHECK(n.kind == NackKind::attestation);
  REQUIRE(n.ranges.size() == 2);
  CHECK(n.ranges[0].first == Sequence{0x010203040506});
  CHECK(n.ranges[0].count == 3);
  CHECK(n.ranges[1].count == 0xffff);
  EpochValue value{};
  value.fill(0xee);
  std::array<std::uint8_t, kSignature> signature;
  signature.fill(0xaa);
  const auto e = read_one<EpochRecord>(write(EpochRecord{GroupId{1}, SourceId{2}, Epoch{3}, value, signature}));
  CHECK(e.group == GroupId{1});
  CHECK(e.source == SourceId{2});
  CHECK(e.epoch == Epoch{3});
  CHECK(e.value == value);
  CHECK(e.signature == signature);
  const auto i = read_one<GroupInfo>(write(group_info()));
  CHECK(i.group == GroupId{1});
  CHECK(i.source == SourceId{2});
  CHECK(i.frame_ms == 20);
  CHECK(i.flags == (kInfoAnchored | kInfoStamped));
  CHECK(i.newest == Sequence{0x0a0b0c0d0e0f});
  CHECK(i.stamped == Sequence{0x0102});
  CHECK(i.stamped_unix_us == 0x0001020304050607);
  CHECK(i.ssrc == 0x11121314);
  CHECK(i.rtp_timestamp == 0x21222324);
  const auto written_away = write(GoAway{LeaveReason::loss, 5, kTwoIndices});
  const auto g = read_one<GoAway>(written_away);
  CHECK(g.reason == LeaveReason::loss);
  CHECK(g.retry_after_s == 5);
  CHECK(hex(g.where_else) == "00010002");
  const auto t = read_one<Tally>(write(Tally{GroupId{1}, 2, 3}));
  CHECK(t.group == GroupId{1});
  CHECK(t.listeners == 2);
  CHECK(t.relays == 3);
  CHECK(read_one<Leave>(write(Leave{LeaveReason::stop})).reason == LeaveReason::stop);
  const auto h = read_one<EpochsHeld>(write(epochs_held()));
  REQUIRE(h.epochs.size() == 2);
  CHECK(h.epochs[1].group == GroupId{4});
  CHECK(h.epochs[1].source == SourceId{5});
  CHECK(h.epochs[1].epoch == Epoch{6});
  CHECK(read_one<TokenOnly>(write(TokenOnly{{9}})).token == Token{9});
  const auto d = read_one<Subscribed>(write(Subscribed{GroupId{5}, 3}));
  CHECK(d.group == GroupId{5});
  CHECK(d.denied == 3);
  const auto j = read_one<JoinRequest>(write(JoinRequest{GroupId{5}, Role::relay, Delivery::none}));
  CHECK(j.group == GroupId{5});
  CHECK(j.role == Role::relay);
  CHECK(j.delivery == Delivery::none);
  const auto c = read_one<Accepted>(write(accepted()));
  CHECK(c.lane == Lane{2});
  CHECK(c.lease == LeaseId{0x0102030405060708});
  CHECK(c.token == accepted().token);
  REQUIRE(c.path.size() == 1);
  CHECK(c.path[0] == NodeId{0x3333333333333333});
  const auto written_denied = write(Denied{DenyReason::full, 0x0102, kTwoIndices});
  const auto x = read_one<Denied>(written_denied);
  CHECK(x.reason == DenyReason::full);
  CHECK(x.retry_after_s == 0x0102);
  CHECK(hex(x.where_else) == "00010002");
  const auto written_ticket = write(TicketRecord{kTicket});
  CHECK(hex(read_one<TicketRecord>(written_ticket).ticket) == "c0ffee");
}

TEST_CASE("lists are read up to their bounds and refused beyond") {
  const auto list = [](std::string head, std::string item, std::size_t n) {
    std::string value = head;
    for (std::size_t i = 0; i < n; ++i) value += item;
    return value;
  };
  const auto with_length = [](std::uint8_t type, const std::string& text) {
    const auto value = unhex(text);
    std::vector<std::uint8_t> out(3 + value.size());
    Writer{out}.u8(type).u16(value.size()).bytes(value);
    return out;
  };
  CHECK_FALSE(error_of(with_length(0x05, list("00000100", "0000000000010001", kMaxNackRanges))));
  CHECK(error_of(with_length(0x05, list("00000100", "0000000000010001", kMaxNackRanges + 1))) ==
        RecordError::bad_value);
  CHECK_FALSE(error_of(with_length(0x0b, list("", "0000010100000001", kMaxHeldEpochs))));
  CHECK(error_of(with_length(0x0b, list("", "0000010100000001", kMaxHeldEpochs + 1))) == RecordError::bad_value);
  CHECK_FALSE(error_of(with_length(0x02, list("00000001 0102030405060708 00 08", "0000000000000001", kMaxPath))));
  CHECK(error_of(with_length(0x02, list("00000001 0102030405060708 00 09", "0000000000000001", kMaxPath + 1))) ==
        RecordError::bad_value);
  CHECK(error_of(with_length(0x11, list("00 0102030405060708 0102030405060708 ff", "0000000000000001", kMaxPath))) ==
        RecordError::bad_value);
  // Empty lists are lists.
  CHECK_FALSE(error_of(unhex("05 0004 000001 00")));
  CHECK_FALSE(error_of(unhex("0b 0000")));
  CHECK_FALSE(error_of(unhex("13 0000")));
}

TEST_CASE("fields out of range are refused") {
  const std::string token = "0102030405060708";
  for (const std::string& text : std::vector<std::string>{
           "01 0013 01020304" + token + "0506 0708090a 03",  // keepalive: delivery
           "05 0004 000001 02",                              // nack: kind
           "05 000c 000001 00 000000000001 0000",            // nack: a range of none
           "08 0003 00 0000",                                // go away: reason
           "08 0003 05 0000",
           "08 0004 01 0000 00",  // go away: half an index
           "0a 0001 00",          // leave: reason
           "0a 0001 05",
           "10 0005 000001 00 01",  // join request: role
           "10 0005 000001 03 01",
           "10 0005 000001 01 03",  // join request: delivery
           "12 0003 00 0000",       // denied: reason
           "12 0003 07 0000",
           "12 0004 01 0000 00",  // denied: half an index
           "07 0022 000001 02 15 06 0a0b0c0d0e0f 000000000102 0001020304050607 11121314 21222324",  // 21 ms
           "07 0022 000001 02 00 06 0a0b0c0d0e0f 000000000102 0001020304050607 11121314 21222324",
       }) {
    CAPTURE(text);
    CHECK(error_of(unhex(text)) == RecordError::bad_value);
  }
  for (const char* frame_ms : {"0a", "14", "28", "3c"})
    CHECK_FALSE(error_of(unhex("07 0022 000001 02" + std::string{frame_ms} +
                               "06 0a0b0c0d0e0f 000000000102 0001020304050607 11121314 21222324")));
}

TEST_CASE("a payload cut anywhere within a record is refused, and never read beyond") {
  for (const Golden& g : golden()) {
    CAPTURE(g.name);
    CHECK_FALSE(error_of({}));
    for (std::size_t n = 1; n < g.written.size(); ++n) {
      const std::vector<std::uint8_t> cut(g.written.begin(), g.written.begin() + static_cast<std::ptrdiff_t>(n));
      CAPTURE(n);
      REQUIRE(error_of(cut) == RecordError::truncated);
    }
  }
}

TEST_CASE("a value shorter than its record is refused, the length being honest") {
  for (const Golden& g : golden()) {
    if (g.list) continue;  // a shorter list is a list
    CAPTURE(g.name);
    for (std::size_t value = 0; value + 3 < g.written.size(); ++value) {
      std::vector<std::uint8_t> cut(g.written.begin(), g.written.begin() + 3 + static_cast<std::ptrdiff_t>(value));
      store_be<2>(cut.data() + 1, value);
      CAPTURE(value);
      REQUIRE(error_of(cut));
    }
  }
}

TEST_CASE("a value longer than this version knows is taken: fields are appended by later ones") {
  for (const Golden& g : golden()) {
    if (g.list) continue;
    CAPTURE(g.name);
    auto longer = g.written;
    longer.insert(longer.end(), {0xde, 0xad});
    store_be<2>(longer.data() + 1, longer.size() - 3);
    CHECK_FALSE(error_of(longer));
  }
}

TEST_CASE("unknown records are skipped and what follows is read; unknown critical ones are refused") {
  const auto payload = unhex(
      "7f 0003 aabbcc"
      "0a 0001 01");
  RecordReader reader{payload};
  const auto unknown = reader.next();
  REQUIRE(unknown);
  REQUIRE(std::holds_alternative<UnknownRecord>(*unknown));
  CHECK(std::get<UnknownRecord>(*unknown).type == 0x7f);
  const auto leave = reader.next();
  REQUIRE(leave);
  CHECK(std::holds_alternative<Leave>(*leave));
  CHECK_FALSE(reader.next());
  CHECK_FALSE(reader.error());

  const auto critical = unhex(
      "ff 0003 aabbcc"
      "0a 0001 01");
  RecordReader strict{critical};
  CHECK_FALSE(strict.next());
  CHECK(strict.error() == RecordError::unknown_critical);
  CHECK_FALSE(strict.next());  // for good
  CHECK(error_of(unhex("80 0000")) == RecordError::unknown_critical);
}

TEST_CASE("the critical bit changes nothing on a record that is known") {
  for (const Golden& g : golden()) {
    auto critical = g.written;
    critical[0] |= kCritical;
    CAPTURE(g.name);
    CHECK_FALSE(error_of(critical));
    RecordReader reader{critical};
    const auto record = reader.next();
    REQUIRE(record);
    CHECK_FALSE(std::holds_alternative<UnknownRecord>(*record));
  }
}

TEST_CASE("records before an error are handed out, none after it") {
  RecordReader reader{kTicket};
  CHECK_FALSE(reader.next());  // c0 ffee: a length beyond the end
  CHECK(reader.error() == RecordError::truncated);
  const auto payload = unhex(
      "0a 0001 01"
      "0a 0001 09"
      "0a 0001 02");
  RecordReader half{payload};
  CHECK(half.next());
  CHECK_FALSE(half.next());
  CHECK(half.error() == RecordError::bad_value);
  CHECK_FALSE(half.next());
}

TEST_CASE("a writer without room for a record fails, and writes nothing beyond its end") {
  for (const Golden& g : golden()) {
    CAPTURE(g.name);
    RecordReader reader{g.written};
    const auto record = reader.next();
    REQUIRE(record);
    for (std::size_t room = 0; room <= g.written.size(); ++room) {
      std::vector<std::uint8_t> out(room, 0xaa);
      Writer w{out};
      std::visit(
          [&](const auto& r) {
            if constexpr (!std::is_same_v<std::decay_t<decltype(r)>, UnknownRecord>) write_record(w, r);
          },
          *record);
      REQUIRE(w.ok() == (room == g.written.size()));
      if (w.ok()) {
        CHECK(hex(w.written()) == hex(g.written));
      } else if (room > 3) {  // no half value behind type and length
        CHECK(std::count(out.begin() + 3, out.end(), std::uint8_t{0xaa}) == static_cast<std::ptrdiff_t>(room - 3));
      }
    }
  }
}

TEST_CASE("every reason has its words") {
  for (int reason = 1; reason <= 6; ++reason)
    CHECK(to_text(DenyReason{static_cast<std::uint8_t>(reason)}) != to_text(DenyReason{0}));
}

TEST_CASE("random payloads, and records with random changes, end in an end or an error") {
  test::SeededRandom random{43};
  const auto all = golden();
  std::size_t records = 0;
  std::size_t errors = 0;
  for (int i = 0; i < 200000; ++i) {
    std::vector<std::uint8_t> payload;
    if (i % 4 == 0) {
      payload.resize(random.below(64));
      random.fill(payload);
    } else {
      for (std::uint64_t n = 1 + random.below(3); n > 0; --n) {
        const auto& one = all[random.below(all.size())].written;
        payload.insert(payload.end(), one.begin(), one.end());
      }
      for (std::uint64_t n = random.below(4); n > 0; --n)
        payload[random.below(payload.size())] = static_cast<std::uint8_t>(random.below(256));
      payload.resize(payload.size() - random.below(2));
      payload.shrink_to_fit();
    }
    RecordReader reader{payload};
    std::size_t here = 0;
    while (reader.next()) ++here;
    REQUIRE(here <= payload.size() / 3);
    records += here;
    errors += reader.error() ? 1 : 0;
  }
  CHECK(records > 100000);
  CHECK(errors > 50000);
}

}  // namespace
}  // namespace tiercast::wire::records_test

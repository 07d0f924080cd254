#include "relay/node/align_link.hpp"

#include "relay/base/overloaded.hpp"

namespace tiercast::node {
namespace {

control::ParentConfig parent_config(const AlignLink::Setup& setup) {
  control::ParentConfig config;
  config.key = setup.node_key;
  config.own_key = setup.own_key;
  config.request.group = setup.group;
  config.request.role = wire::Role::relay;
  config.silence = wire::silence(setup.frame);
  return config;
}

}  // namespace

AlignLink::AlignLink(const Setup& setup, Time now)
    : setup_(setup), parent_(parent_config(setup), *setup.random, now), keys_(setup.group, {setup.other.id}, {}) {}

void AlignLink::on_datagram(Bytes datagram, Origin& origin, Moment now) {
  if (wire::type_of(datagram) >= 0x20) return on_stream(datagram, origin, now);
  std::array<std::uint8_t, wire::kMaxDatagram> records;
  const auto input = parent_.on_datagram(datagram, records, now.mono);
  if (input.came == control::Parent::Came::records) on_records(input.records, origin, now);
  if (input.came != control::Parent::Came::joined) return;
  const control::JoinGrant grant = parent_.take_grant();
  for (const auto& epoch : grant.epochs) on_epoch(epoch);
  if (grant.group_info) on_info(*grant.group_info, origin, now);
  parent_.expect_stream(true, now.mono);
}

void AlignLink::on_stream(Bytes datagram, Origin& origin, Moment now) {
  using Kind = control::Parent::Stream;
  if (!parent_.leased()) return counters_.drop_unleased.add();
  const auto header = wire::parse_header(datagram);
  if (!header || header->group != setup_.group ||
      datagram.size() < wire::kHeader + wire::trailer_size(header->type, wire::Trailers::link))
    return counters_.drop_other.add();
  const Bytes before_mac = datagram.first(datagram.size() - wire::kLinkMac);
  if (!crypto::verify_link_mac(parent_.lease()->link_key(), before_mac, datagram.last(wire::kLinkMac)))
    return counters_.drop_link_mac.add();
  if (header->type == wire::Type::idle) return parent_.on_stream(Kind::idle, now.mono);
  if (header->type == wire::Type::attest) return parent_.on_stream(Kind::attestation, now.mono);
  if (header->type != wire::Type::frame || header->source != setup_.other.id) return counters_.drop_other.add();
  const Bytes sealed = before_mac.first(before_mac.size() - wire::kSignature);
  if (distrust_.exhausted(now.mono)) return counters_.drop_distrusted.add();
  if (!crypto::verify_frame(setup_.other.key, sealed, before_mac.last(wire::kSignature))) {
    distrust_.failed(now.mono);
    return counters_.drop_signature.add();
  }
  parent_.on_stream(Kind::frame, now.mono);
  std::array<std::uint8_t, wire::kMaxSealed> opus;
  const auto size = keys_.open(*header, sealed, opus);
  if (!size) {
    counters_.drop_no_key.add();
    return parent_.hasten(now.mono);
  }
  counters_.frames.add();
  origin.on_other_frame(header->sequence, Bytes{opus}.first(*size), now);
}

void AlignLink::on_records(Bytes records, Origin& origin, Moment now) {
  wire::RecordReader reader{records};
  while (auto record = reader.next()) {
    std::visit(Overloaded{
                   [&](const wire::EpochRecord& r) { on_epoch(r); },
                   [&](const wire::GroupInfo& r) { on_info(r, origin, now); },
                   [&](const wire::GoAway& r) {
                     parent_.on_go_away(r.reason, r.retry_after_s, now.mono);
                     if (!parent_.drains()) return;
                     parent_.stay(now.mono);  // how the other one numbers is to be heard to its end
                     stays_ = true;
                   },
                   [&](const wire::Leave&) { parent_.on_go_away(wire::LeaveReason::stop, 0, now.mono); },
                   [](const auto&) {},
               },
               *record);
  }
}

void AlignLink::on_info(const wire::GroupInfo& info, Origin& origin, Moment now) {
  if (info.group != setup_.group || info.frame_ms != setup_.frame.count()) return;
  counters_.statements.add();
  origin.on_other_statement(info, now);
}

void AlignLink::on_epoch(const wire::EpochRecord& epoch) {
  if (epoch.group != setup_.group || epoch.source != setup_.other.id || keys_.has(epoch.source, epoch.epoch)) return;
  if (!crypto::verify_epoch(setup_.other.key, epoch)) return counters_.drop_epoch.add();
  keys_.add(epoch);
}

Bytes AlignLink::take_datagram(MutableBytes out, Time now) {
  if (std::exchange(stays_, false) && parent_.leased()) {  // it is not to wait for this node
    std::array<std::uint8_t, 16> record;
    Writer records{record};
    wire::write_record(records, wire::kStays);
    return parent_.seal(records.written(), out);
  }
  control::KeepaliveContents contents;
  if (parent_.leased() && parent_.lease()->keepalive_due(now)) contents.held = keys_.held();
  return parent_.take_datagram(contents, out, now);
}

}  // namespace tiercast::node

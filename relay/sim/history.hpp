// A digest of all that happened: of one seed there is one.
#pragma once

#include "crypto/blake2b.hpp"
#include "relay/sim/world.hpp"

namespace tiercast::sim {

class History final : public Observer {
 public:
  explicit History(const World& world) : world_(world) {}
  void on_sent(const Endpoint& from, const Endpoint& to, Bytes datagram) override { note(0, from, to, datagram); }
  void on_arrived(const Packet& packet) override { note(1, packet.from, packet.to, packet.bytes); }
  void on_played(std::size_t listener, const receive::Played& played) override {
    std::array<std::uint8_t, 24> event{};
    store_be<8>(event.data(), listener);
    store_be<8>(event.data() + 8, played.sequence.value);
    store_be<8>(event.data() + 16, static_cast<std::uint64_t>(played.kind));
    note(2, {}, {}, event);
    digest_.add(played.opus);
  }

  using Digest = std::array<std::uint8_t, 16>;
  /// Once.
  Digest finish() {
    Digest out{};
    digest_.finish(out);
    return out;
  }

 private:
  void note(std::uint8_t what, const Endpoint& from, const Endpoint& to, Bytes contents) {
    std::array<std::uint8_t, 1 + 8 + 8 + 2 * 2> head{what};
    store_be<8>(head.data() + 1, static_cast<std::uint64_t>(world_.time().time_since_epoch().count()));
    store_be<8>(head.data() + 9, std::uint64_t{host_of(from).number()} << 32 | host_of(to).number());
    store_be<2>(head.data() + 17, from.port);
    store_be<2>(head.data() + 19, to.port);
    digest_.add(head).add(contents);
  }

  const World& world_;
  crypto::Blake2b digest_{sizeof(Digest)};
};

}  // namespace tiercast::sim

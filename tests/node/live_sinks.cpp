// The sinks that play, over a real pipe and a real socket, in virtual time.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "relay/node/listen_sinks.hpp"
#include "relay/receive/reader_pace.hpp"
#include "tests/cli/temporary_directory.hpp"
#include "tests/receive/opus_tone.hpp"

namespace tiercast::live_sinks_test {

using namespace tiercast::test;
using node::ListenSink;

namespace {

constexpr Moment moment(Duration after) { return {Time{1h} + after, WallTime{1'700'000'000s}}; }

/// Tick n comes at n × 20 ms.
receive::Played tick(const std::vector<Datagram>& packets, std::size_t n) {
  receive::Played p;
  p.sequence = Sequence{9000 + n};
  p.kind = receive::PlayedKind::frame;
  p.opus = packets[n % packets.size()];
  p.expected = moment(20ms * static_cast<int>(n)).mono;
  return p;
}

/// `span` later, in steps of 2 ms, with packets as they come; `each`: after every step.
template <class Each>
void run(ListenSink& sink, const std::vector<Datagram>& packets, Duration from, Duration to, Each&& each) {
  for (Duration t = from; t < to; t += 2ms) {
    if (t % 20ms == 0ms) {
      const receive::Played p = tick(packets, static_cast<std::size_t>(t / 20ms));
      sink.on_ahead(p, moment(t));
      sink.on_played(p, moment(t));
    }
    sink.on_turn(moment(t));
    each(t);
  }
}

struct Pipe {
  Pipe() {
    ::signal(SIGPIPE, SIG_IGN);
    REQUIRE(::mkfifo((directory / "pipe").c_str(), 0600) == 0);
    reader = net::Descriptor{::open((directory / "pipe").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
    auto file = node::OutputFile::create(directory / "pipe");
    REQUIRE(file);
    REQUIRE(file->live());
    sink = node::make_live_sample_sink(std::move(*file), 1, {});
    sink->begin(20ms, moment(0ms).wall);
  }
  std::size_t read() {
    std::array<char, 65536> buffer{};
    const ssize_t got = ::read(reader.get(), buffer.data(), buffer.size());
    return got < 0 ? 0 : static_cast<std::size_t>(got);
  }
  const TemporaryDirectory directory;
  net::Descriptor reader;
  std::unique_ptr<ListenSink> sink;
};

}  // namespace

TEST_CASE("live samples: a reader that takes all gets a little more than a second of silence, then all at our pace") {
  Pipe pipe;
  const auto packets = opus_tone(20ms, 1, 50);
  std::size_t got = 0;
  run(*pipe.sink, packets, 0ms, 1s, [&](Duration) { got += pipe.read(); });
  CHECK(got >= 96 * 1250);
  got = 0;
  std::size_t most = 0;
  run(*pipe.sink, packets, 1s, 11s, [&](Duration) {
    const std::size_t now = pipe.read();
    got += now;
    most = std::max(most, now);
  });
  CHECK(got == 10 * 96000);
  CHECK(most == 1920);
  CHECK_FALSE(pipe.sink->idle());
  const auto figures = pipe.sink->player(moment(11s).mono);
  REQUIRE(figures);
  CHECK(figures->target == 60ms);
  CHECK(figures->delay >= 59ms);  // the resampler's lag
  CHECK(figures->delay <= 60ms);
}

TEST_CASE(
    "live samples: nobody is written to before the reader's buffer is full, and a reader that sleeps is no trap") {
  Pipe pipe;
  const auto packets = opus_tone(20ms, 1, 50);
  run(*pipe.sink, packets, 0ms, 1s, [](Duration) {});
  CHECK(pipe.read() == static_cast<std::size_t>(receive::Prefill::kReserve / 1ms) * 96);  // silence
  run(*pipe.sink, packets, 1s, 10s, [](Duration) {});
  CHECK(pipe.sink->status().state == node::OutputStatus::State::open);
  CHECK(pipe.sink->status().dropped > 100);
}

TEST_CASE("live samples: when the reader has gone there is nothing more to do") {
  Pipe pipe;
  const auto packets = opus_tone(20ms, 1, 50);
  run(*pipe.sink, packets, 0ms, 200ms, [](Duration) {});
  pipe.reader = net::Descriptor{};
  run(*pipe.sink, packets, 200ms, 400ms, [](Duration) {});
  CHECK(pipe.sink->status().state == node::OutputStatus::State::reader_gone);
  CHECK(pipe.sink->next_deadline() == kNever);
  CHECK(pipe.sink->idle());
}

TEST_CASE("live RTP: packets leave one by one at an even pace, whatever they came in") {
  SeededRandom random{1};
  net::SocketOptions options;
  options.packet_info = false;
  const net::Descriptor receiver{::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(receiver.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
  REQUIRE(::getsockname(receiver.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const Endpoint to = *parse_endpoint("127.0.0.1:" + std::to_string(ntohs(address.sin_port)));
  auto socket = net::UdpSocket::connect(to, options);
  REQUIRE(socket);
  const auto sink = node::make_rtp_sink(std::move(*socket), to, GroupId{1}, random, std::nullopt, {});
  sink->begin(20ms, moment(0ms).wall);
  const auto packets = opus_tone(20ms, 1, 50);
  std::vector<Duration> sent;
  const auto count = [&](Duration t) {
    std::array<char, 2048> buffer{};
    while (::recv(receiver.get(), buffer.data(), buffer.size(), 0) > 0) sent.push_back(t);
  };
  for (Duration t{0}; t < 2s; t += 2ms) {
    if (t % 60ms == 40ms)  // three at once
      for (int i = 2; i >= 0; --i) {
        const receive::Played p = tick(packets, static_cast<std::size_t>(t / 20ms) - static_cast<std::size_t>(i));
        sink->on_ahead(p, moment(t));
      }
    sink->on_turn(moment(t));
    count(t);
  }
  REQUIRE(sent.size() > 80);
  for (std::size_t i = 10; i < sent.size(); ++i) {
    CHECK(sent[i] - sent[i - 1] >= 18ms);
    CHECK(sent[i] - sent[i - 1] <= 22ms);
  }
  const std::size_t before = sent.size();
  sink->finish();  // what is left goes at once
  count(2s);
  CHECK(sent.size() > before);
}

}  // namespace tiercast::live_sinks_test

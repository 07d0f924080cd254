#include "relay/net/loop.hpp"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "relay/net/io_uring_setup.hpp"
#include "tests/cli/temporary_directory.hpp"
#include "tests/net/sockets.hpp"
#include "tests/support/counting_allocator.hpp"

namespace tiercast::loop_test {

using namespace tiercast::net;
using test::bytes;
using test::Collector;

namespace {

/// An unlinked file of its own.
Descriptor temporary_file() {
  std::string name = "/tmp/tiercast-loop-XXXXXX";
  Descriptor file{mkostemp(name.data(), O_CLOEXEC)};
  REQUIRE(file);
  unlink(name.c_str());
  return file;
}

std::string contents(int fd) {
  struct stat status {};
  REQUIRE(fstat(fd, &status) == 0);
  std::string out(static_cast<std::size_t>(status.st_size), '\0');
  REQUIRE(pread(fd, out.data(), out.size(), 0) == status.st_size);
  return out;
}

void send_plain(const UdpSocket& from, const std::string& text, const Endpoint& to) {
  REQUIRE(from.send(bytes(text), to, {}) == 0);
}

}  // namespace

TEST_CASE("datagrams of several sockets say by which one they came") {
  Loop loop = test::make_loop();
  Collector collector;
  std::vector<UdpSocket> receivers;
  for (const char* address : {"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"}) receivers.push_back(test::bound(address));
  for (std::uint8_t s = 0; s < receivers.size(); ++s) {
    const Priority priority = s == 1 ? Priority::background : Priority::normal;
    REQUIRE(loop.receive(receivers[s].fd(), collector, {.priority = priority, .socket = s}) == 0);
  }
  const UdpSocket sender = test::bound("[::]:0");
  const Endpoint at_any = test::with_port(test::endpoint("127.0.0.3:0"), receivers[2].local().port);
  for (const Endpoint& to : {receivers[1].local(), at_any, receivers[0].local()}) send_plain(sender, to_string(to), to);
  REQUIRE(test::turn_until(loop, [&] { return collector.received.size() == 3; }));
  for (const auto& got : collector.received) {
    CAPTURE(got.text);
    const std::size_t by = got.text == to_string(receivers[0].local()) ? 0 : got.text == to_string(at_any) ? 2 : 1;
    CHECK(got.local.socket == by);
    CHECK(to_string(Endpoint{got.local.ip, receivers[by].local().port}) == got.text);
  }
}

TEST_CASE("a datagram arrives with its sender and the address it was sent to, IPv4") {
  Loop loop = test::make_loop();
  const UdpSocket receiver = test::bound("0.0.0.0:0");
  const UdpSocket sender = test::bound("127.0.0.9:0");
  Collector collector;
  REQUIRE(loop.receive(receiver.fd(), collector) == 0);
  send_plain(sender, "hello", test::with_port(test::endpoint("127.0.0.2:0"), receiver.local().port));
  REQUIRE(test::turn_until(loop, [&] { return collector.received.size() == 1; }));
  CHECK(collector.received[0].text == "hello");
  CHECK(collector.received[0].from == sender.local());
  CHECK(collector.received[0].local.ip == test::endpoint("127.0.0.2:0").ip);
  CHECK(collector.received[0].local.interface != 0);
  CHECK(collector.errors.empty());
}

TEST_CASE("a socket that asks for it has the kernel's time of each datagram, beside the address it came to") {
  Loop loop = test::make_loop();
  struct Handler final : DatagramHandler {
    explicit Handler(Loop& l) : loop(l) {}
    void on_datagram(MutableBytes, const Endpoint&, const LocalAddress& to) override {
      stamps.push_back(loop.stamp());
      locals.push_back(to);
    }
    void on_error(int) override {}
    Loop& loop;
    std::vector<std::optional<WallTime>> stamps;
    std::vector<LocalAddress> locals;
  } handler{loop};
  const UdpSocket v4 = test::bound("0.0.0.0:0", {.stamps = true}), v6 = test::bound("[::]:0", {.stamps = true}),
                  plain = test::bound("127.0.0.1:0");
  for (const UdpSocket* socket : {&v4, &v6, &plain}) REQUIRE(loop.receive(socket->fd(), handler) == 0);
  const UdpSocket sender = test::bound("[::]:0");
  const WallTime before = read_clocks().wall;
  const Endpoint destinations[] = {test::with_port(test::endpoint("127.0.0.3:0"), v4.local().port),
                                   test::with_port(test::endpoint("[::1]:0"), v6.local().port), plain.local()};
  for (std::size_t i = 0; i < 3; ++i) {
    send_plain(sender, "x", destinations[i]);
    REQUIRE(test::turn_until(loop, [&] { return handler.stamps.size() == i + 1; }));
    CHECK(handler.locals[i].ip == destinations[i].ip);
  }
  const WallTime after = read_clocks().wall;
  for (std::size_t i = 0; i < 2; ++i) {
    REQUIRE(handler.stamps[i]);
    CHECK(*handler.stamps[i] >= before);
    CHECK(*handler.stamps[i] <= after);
  }
  CHECK_FALSE(handler.stamps[2]);
  CHECK_FALSE(loop.stamp());
  for (const UdpSocket* socket : {&v4, &v6, &plain}) loop.cancel(socket->fd());
}

TEST_CASE("a socket on [::] takes IPv6 and IPv4, the latter mapped") {
  Loop loop = test::make_loop();
  const UdpSocket receiver = test::bound("[::]:0");
  const UdpSocket six = test::bound("[::1]:0");
  const UdpSocket four = test::bound("127.0.0.1:0");
  Collector collector;
  REQUIRE(loop.receive(receiver.fd(), collector) == 0);
  const std::uint16_t port = receiver.local().port;
  send_plain(six, "six", test::with_port(test::endpoint("[::1]:0"), port));
  send_plain(four, "four", test::with_port(test::endpoint("127.0.0.3:0"), port));
  REQUIRE(test::turn_until(loop, [&] { return collector.received.size() == 2; }));
  CHECK(collector.received[0].from == six.local());
  CHECK(collector.received[0].local.ip == test::endpoint("[::1]:0").ip);
  CHECK(collector.received[1].from == four.local());
  CHECK(collector.received[1].local.ip == test::endpoint("127.0.0.3:0").ip);
}

TEST_CASE("more datagrams than buffers all arrive, once and in order") {
  Loop loop = test::make_loop();
  const UdpSocket receiver = test::bound("127.0.0.1:0", {.receive_buffer = 1 << 20});
  const UdpSocket sender = test::bound("127.0.0.1:0");
  Collector collector;
  REQUIRE(loop.receive(receiver.fd(), collector, {.buffers = 4}) == 0);
  std::size_t sent = 0;
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 37; ++i) send_plain(sender, std::to_string(sent++), receiver.local());
    REQUIRE(test::turn_until(loop, [&] { return collector.received.size() >= sent; }));
  }
  test::settle(loop);
  REQUIRE(collector.received.size() == sent);
  for (std::size_t i = 0; i < sent; ++i) CHECK(collector.received[i].text == std::to_string(i));
  CHECK(loop.counters().no_buffers.get() > 0);
  CHECK(loop.counters().datagrams.get() == sent);
  CHECK(collector.errors.empty());
}

TEST_CASE("an empty datagram ends nothing") {
  Loop loop = test::make_loop();
  const UdpSocket receiver = test::bound("127.0.0.1:0");
  const UdpSocket sender = test::bound("127.0.0.1:0");
  Collector collector;
  REQUIRE(loop.receive(receiver.fd(), collector) == 0);
  for (int i = 0; i < 3; ++i) {
    send_plain(sender, "", receiver.local());
    send_plain(sender, "after", receiver.local());
  }
  const auto full = [&] {
    return std::count_if(collector.received.begin(), collector.received.end(),
                         [](const auto& r) { return r.text == "after"; });
  };
  REQUIRE(test::turn_until(loop, [&] { return full() == 3; }));
  CHECK(collector.errors.empty());
}

TEST_CASE("a refused connection is told, and reception goes on") {
  Loop loop = test::make_loop();
  std::optional<UdpSocket> peer = test::bound("127.0.0.1:0");
  const Endpoint address = peer->local();
  const UdpSocket uplink = test::connected(address);
  peer.reset();
  Collector collector;
  REQUIRE(loop.receive(uplink.fd(), collector) == 0);
  for (std::size_t i = 1; i <= 3; ++i) {
    // The send may itself be given the error of the one before.
    while (uplink.send(bytes("anybody?")) != 0) {
    }
    REQUIRE(test::turn_until(loop, [&] { return collector.errors.size() >= i; }));
    CHECK(collector.errors.back() == ECONNREFUSED);
    CHECK(loop.receives(uplink.fd()));
  }
  auto back = UdpSocket::bind(address, {});
  REQUIRE(back);
  REQUIRE(back->send(bytes("back"), uplink.local(), {}) == 0);
  REQUIRE(test::turn_until(loop, [&] { return collector.received.size() == 1; }));
  CHECK(collector.received[0].text == "back");
}

TEST_CASE("a datagram longer than a buffer is counted and handed to nobody") {
  Loop loop = test::make_loop();
  const UdpSocket receiver = test::bound("127.0.0.1:0");
  const UdpSocket sender = test::bound("127.0.0.1:0");
  Collector collector;
  REQUIRE(loop.receive(receiver.fd(), collector) == 0);
  send_plain(sender, std::string(3000, 'x'), receiver.local());
  send_plain(sender, std::string(1900, 'y'), receiver.local());
  REQUIRE(test::turn_until(loop, [&] { return !collector.received.empty(); }));
  CHECK(collector.received[0].text == std::string(1900, 'y'));
  CHECK(loop.counters().truncated.get() == 1);
}

namespace {
class Counts final : public DatagramHandler {
 public:
  void on_datagram(MutableBytes, const Endpoint&, const LocalAddress&) override { ++datagrams; }
  void on_error(int) override { ++errors; }
  int datagrams = 0;
  int errors = 0;
};
}  // namespace

TEST_CASE("turns allocate nothing, also where receptions pause and start again") {
  Loop loop = test::make_loop();
  const UdpSocket normal = test::bound("127.0.0.1:0");
  const UdpSocket background = test::bound("127.0.0.1:0");
  const UdpSocket sender = test::bound("127.0.0.1:0");
  Counts counts;
  REQUIRE(loop.receive(normal.fd(), counts, {.buffers = 4}) == 0);
  REQUIRE(loop.receive(background.fd(), counts, {.buffers = 4, .priority = Priority::background}) == 0);
  loop.turn(Time{}, 0);
  const test::AllocationCount allocations;
  for (int i = 0; i < 30; ++i) {
    sender.send({}, normal.local(), {});
    sender.send({}, background.local(), {});
    sender.send(bytes("x"), normal.local(), {});
    sender.send(bytes("x"), background.local(), {});
  }
  for (int i = 0; i < 1000 && counts.datagrams < 120; ++i) loop.turn(Time{}, 8);
  const std::uint64_t counted = allocations.count();
  CHECK(counted == 0);
  CHECK(counts.datagrams == 120);
  CHECK(loop.counters().rearmed.get() > 0);
}

TEST_CASE("a turn hands over no more than it is allowed, and the next one does not wait") {
  Loop loop = test::make_loop();
  const UdpSocket receiver = test::bound("127.0.0.1:0");
  const UdpSocket sender = test::bound("127.0.0.1:0");
  Collector collector;
  REQUIRE(loop.receive(receiver.fd(), collector) == 0);
  for (int i = 0; i < 10; ++i) send_plain(sender, "x", receiver.local());
  std::size_t had = 0;
  while (had < 10) {
    const unsigned done = loop.turn(kNever, 3);
    CHECK(done <= 3);
    CHECK(collector.received.size() == had + done);
    had = collector.received.size();
  }
  CHECK(loop.turn(Time{}, 3) == 0);
}

TEST_CASE("a turn whose deadline has passed returns with nothing") {
  Loop loop = test::make_loop();
  CHECK(loop.turn(read_clocks().mono, 64) == 0);
  CHECK(loop.turn(Time::min(), 64) == 0);
  const Time soon = read_clocks().mono + 2ms;
  while (read_clocks().mono < soon) CHECK(loop.turn(soon, 64) == 0);
}

namespace {
/// On every join that it is given, a frame arrives from upstream.
class Joins final : public Collector {
 public:
  Joins(const UdpSocket& upstream, Endpoint uplink, std::vector<std::string>& order)
      : upstream_(upstream), uplink_(uplink), order_(order) {}
  void on_datagram(MutableBytes datagram, const Endpoint&, const LocalAddress&) override {
    order_.push_back(test::text(datagram));
    REQUIRE(upstream_.send(bytes("frame"), uplink_, {}) == 0);
  }

 private:
  const UdpSocket& upstream_;
  Endpoint uplink_;
  std::vector<std::string>& order_;
};
class Frames final : public Collector {
 public:
  explicit Frames(std::vector<std::string>& order) : order_(order) {}
  void on_datagram(MutableBytes datagram, const Endpoint&, const LocalAddress&) override {
    order_.push_back(test::text(datagram));
  }

 private:
  std::vector<std::string>& order_;
};
}  // namespace

TEST_CASE("before every single background datagram all else that has arrived is handed over") {
  Loop loop = test::make_loop();
  const UdpSocket join = test::bound("127.0.0.1:0");
  const UdpSocket uplink = test::bound("127.0.0.1:0");
  const UdpSocket other = test::bound("127.0.0.1:0");
  std::vector<std::string> order;
  Joins joins{other, uplink.local(), order};
  Frames frames{order};
  REQUIRE(loop.receive(join.fd(), joins, {.buffers = 4, .priority = Priority::background}) == 0);
  REQUIRE(loop.receive(uplink.fd(), frames) == 0);
  for (int i = 0; i < 21; ++i) send_plain(other, "join" + std::to_string(i), join.local());
  send_plain(other, "first", uplink.local());
  REQUIRE(test::turn_until(loop, [&] { return order.size() == 1 + 2 * 21; }));
  CHECK(order[0] == "first");
  for (std::size_t i = 0; i < 21; ++i) {
    CHECK(order[1 + 2 * i] == "join" + std::to_string(i));
    CHECK(order[2 + 2 * i] == "frame");
  }
}

TEST_CASE("a flood on a background socket leaves room for others within one turn") {
  Loop loop = test::make_loop();
  const UdpSocket join = test::bound("127.0.0.1:0");
  const UdpSocket uplink = test::bound("127.0.0.1:0");
  const UdpSocket sender = test::bound("127.0.0.1:0");
  Collector joins;
  Collector frames;
  REQUIRE(loop.receive(join.fd(), joins, {.buffers = 16, .priority = Priority::background}) == 0);
  REQUIRE(loop.receive(uplink.fd(), frames) == 0);
  loop.turn(Time{}, 64);
  for (int i = 0; i < 64; ++i) send_plain(sender, "join", join.local());
  send_plain(sender, "frame", uplink.local());
  CHECK(loop.turn(kNever, 1) == 1);
  CHECK(frames.received.size() == 1);
  CHECK(joins.received.empty());
  REQUIRE(test::turn_until(loop, [&] { return joins.received.size() == 64; }));
}

namespace {
class CancelsItself final : public Collector {
 public:
  CancelsItself(Loop& loop, int fd) : loop_(loop), fd_(fd) {}
  void on_datagram(MutableBytes datagram, const Endpoint& from, const LocalAddress& local) override {
    loop_.cancel(fd_);
    std::fill(datagram.begin(), datagram.end(), std::uint8_t{'z'});  // still ours
    Collector::on_datagram(datagram, from, local);
  }

 private:
  Loop& loop_;
  int fd_;
};
}  // namespace

TEST_CASE("a handler may cancel its own reception: nothing comes after that, and the port is free once closed") {
  for (const Priority priority : {Priority::normal, Priority::background}) {
    for (const unsigned buffers : {1U, 2U, 64U}) {
      CAPTURE(buffers);
      Loop loop = test::make_loop();
      std::optional<UdpSocket> receiver = test::bound("127.0.0.1:0");
      const Endpoint address = receiver->local();
      const UdpSocket sender = test::bound("127.0.0.1:0");
      CancelsItself handler{loop, receiver->fd()};
      REQUIRE(loop.receive(receiver->fd(), handler, {.buffers = buffers, .priority = priority}) == 0);
      for (int i = 0; i < 5; ++i) send_plain(sender, "abc", address);
      REQUIRE(test::turn_until(loop, [&] { return !handler.received.empty(); }));
      CHECK_FALSE(loop.receives(receiver->fd()));
      receiver.reset();
      const auto again = UdpSocket::bind(address, {});
      CHECK_MESSAGE(again, "the loop still holds the socket");
      test::settle(loop);
      REQUIRE(handler.received.size() == 1);
      CHECK(handler.received[0].text == "zzz");
      // The place is free for another, with buffers of its own.
      Collector next;
      REQUIRE(loop.receive(again->fd(), next, {.buffers = buffers, .priority = priority}) == 0);
      send_plain(sender, "next", address);
      REQUIRE(test::turn_until(loop, [&] { return next.received.size() == 1; }));
    }
  }
}

TEST_CASE("what is cancelled before the first turn never starts") {
  Loop loop = test::make_loop();
  std::optional<UdpSocket> receiver = test::bound("127.0.0.1:0");
  const UdpSocket sender = test::bound("127.0.0.1:0");
  Collector collector;
  REQUIRE(loop.receive(receiver->fd(), collector) == 0);
  loop.cancel(receiver->fd());
  send_plain(sender, "x", receiver->local());
  receiver.reset();
  test::settle(loop);
  CHECK(collector.received.empty());
  CHECK(collector.errors.empty());
}

TEST_CASE("a handler may cancel another's reception") {
  Loop loop = test::make_loop();
  const UdpSocket a = test::bound("127.0.0.1:0");
  const UdpSocket b = test::bound("127.0.0.1:0");
  const UdpSocket sender = test::bound("127.0.0.1:0");
  Collector victim;
  CancelsItself killer{loop, b.fd()};
  REQUIRE(loop.receive(a.fd(), killer) == 0);
  REQUIRE(loop.receive(b.fd(), victim) == 0);
  loop.turn(Time{}, 64);
  send_plain(sender, "one", a.local());
  send_plain(sender, "two", b.local());  // already completed when the first is handled
  REQUIRE(test::turn_until(loop, [&] { return !killer.received.empty(); }));
  test::settle(loop);
  CHECK(victim.received.empty());
  CHECK(loop.receives(a.fd()));
}

TEST_CASE("a reception on what is no socket ends with its error") {
  Loop loop = test::make_loop();
  const Descriptor file = temporary_file();
  Collector collector;
  REQUIRE(loop.receive(file.get(), collector) == 0);
  REQUIRE(test::turn_until(loop, [&] { return !collector.errors.empty(); }));
  CHECK(collector.errors == std::vector<int>{ENOTSOCK});
  CHECK_FALSE(loop.receives(file.get()));
  test::settle(loop);
  CHECK(collector.errors.size() == 1);
}

TEST_CASE("receptions beyond the loop's operations are refused, and places come back") {
  Loop loop = test::make_loop({.operations = 2});
  const UdpSocket a = test::bound("127.0.0.1:0");
  Collector collector;
  REQUIRE(loop.receive(a.fd(), collector) == 0);
  REQUIRE(loop.poll(
              a.fd(), [](int) {}, POLLOUT) == 0);
  CHECK(loop.receive(a.fd(), collector) == ENOSPC);
  CHECK(loop.poll(a.fd(), [](int) {}) == ENOSPC);
  CHECK(loop.fsync(a.fd(), [](int) {}) == ENOSPC);
  test::settle(loop);
  loop.cancel(a.fd());
  test::settle(loop);
  CHECK(loop.receive(a.fd(), collector) == 0);
  CHECK(loop.poll(a.fd(), [](int) {}) == 0);
}

TEST_CASE("a poll tells each time something becomes ready, until it is cancelled from within") {
  Loop loop = test::make_loop();
  const UdpSocket receiver = test::bound("127.0.0.1:0");
  const UdpSocket sender = test::bound("127.0.0.1:0");
  int told = 0;
  REQUIRE(loop.poll(receiver.fd(), [&](int events) {
    CHECK((events & POLLIN) != 0);
    test::drain(receiver.fd());
    if (++told == 3) loop.cancel(receiver.fd());
  }) == 0);
  for (int i = 1; i <= 3; ++i) {
    send_plain(sender, "x", receiver.local());
    REQUIRE(test::turn_until(loop, [&] { return told == i; }));
  }
  send_plain(sender, "x", receiver.local());
  test::settle(loop);
  CHECK(told == 3);
}

TEST_CASE("a poll of a bad descriptor ends with its error") {
  Loop loop = test::make_loop();
  int told = 0;
  REQUIRE(loop.poll(1 << 20, [&](int events) { told = events; }) == 0);
  REQUIRE(test::turn_until(loop, [&] { return told != 0; }));
  CHECK(told == -EBADF);
}

TEST_CASE("a chain of writes and a sync stands in the file in order") {
  Loop loop = test::make_loop({.operations = 1});  // a chain needs one place only
  const Descriptor file = temporary_file();
  const std::string first = "first ";
  const std::string second(300000, 's');
  std::vector<int> results;
  bool synced = false;
  REQUIRE(loop.write(file.get(), bytes(first), 0, [&](int error) {
    results.push_back(error);
    REQUIRE(loop.write(file.get(), bytes(second), first.size(), [&](int error2) {
      results.push_back(error2);
      REQUIRE(loop.fsync(file.get(), [&](int error3) {
        results.push_back(error3);
        synced = true;
      }) == 0);
    }) == 0);
  }) == 0);
  CHECK(results.empty());  // never from within write()
  REQUIRE(test::turn_until(loop, [&] { return synced; }));
  CHECK(results == std::vector<int>{0, 0, 0});
  CHECK(contents(file.get()) == first + second);
}

TEST_CASE("a write that fails says why, an empty one succeeds, and cancel() ends neither") {
  Loop loop = test::make_loop();
  const Descriptor file = temporary_file();
  const Descriptor read_only{open("/dev/null", O_RDONLY | O_CLOEXEC)};
  std::optional<int> bad;
  std::optional<int> empty;
  std::optional<int> kept;
  const std::string text = "kept";
  REQUIRE(loop.write(read_only.get(), bytes(text), 0, [&](int error) { bad = error; }) == 0);
  REQUIRE(loop.write(file.get(), {}, 0, [&](int error) { empty = error; }) == 0);
  REQUIRE(loop.write(file.get(), bytes(text), 0, [&](int error) { kept = error; }) == 0);
  loop.cancel(file.get());
  REQUIRE(test::turn_until(loop, [&] { return bad && empty && kept; }));
  CHECK(*bad == EBADF);
  CHECK(*empty == 0);
  CHECK(*kept == 0);
  CHECK(contents(file.get()) == text);
}

TEST_CASE("files are opened, renamed, linked, removed and closed, never over one that is there") {
  Loop loop = test::make_loop({.operations = 2});
  test::TemporaryDirectory folder;
  const auto result = [&](auto&& start) {
    std::optional<int> got;
    REQUIRE(start([&got](int value) { got = value; }) == 0);
    CHECK_FALSE(got);  // never at once
    REQUIRE(test::turn_until(loop, [&] { return got.has_value(); }));
    return *got;
  };
  const auto open = [&](const std::string& name, int flags) {
    return result([&](auto done) { return loop.open(folder / name, flags, 0640, done); });
  };
  const auto rename = [&](const std::string& from, const std::string& to) {
    return result([&](auto done) { return loop.rename(folder / from, folder / to, done); });
  };
  const int file = open("a", O_WRONLY | O_CREAT | O_EXCL);
  REQUIRE(file >= 0);
  CHECK((::fcntl(file, F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(open("a", O_WRONLY | O_CREAT | O_EXCL) == -EEXIST);
  CHECK(open("no/b", O_WRONLY | O_CREAT) == -ENOENT);
  CHECK(result([&](auto done) { return loop.link(folder / "a", folder / "b", done); }) == 0);
  CHECK(result([&](auto done) { return loop.link(folder / "a", folder / "b", done); }) == EEXIST);
  CHECK(rename("a", "b") == EEXIST);
  CHECK(rename("a", "c") == 0);
  CHECK(rename("a", "d") == ENOENT);
  CHECK(result([&](auto done) { return loop.unlink(folder / "b", done); }) == 0);
  CHECK_FALSE(std::filesystem::exists(folder / "b"));
  CHECK(std::filesystem::exists(folder / "c"));
  const int directory = open("", O_RDONLY | O_DIRECTORY);
  REQUIRE(directory >= 0);
  CHECK(result([&](auto done) { return loop.fsync(directory, done, true); }) == 0);
  for (const int fd : {file, directory}) CHECK(result([&](auto done) { return loop.close(fd, done); }) == 0);
  CHECK(::fcntl(file, F_GETFD) == -1);
  CHECK(result([&](auto done) { return loop.close(file, done); }) == EBADF);
}

TEST_CASE("a full device is told as such") {
  Loop loop = test::make_loop();
  const Descriptor full{open("/dev/full", O_WRONLY | O_CLOEXEC)};
  REQUIRE(full);
  std::optional<int> result;
  REQUIRE(loop.write(full.get(), bytes("x"), 0, [&](int error) { result = error; }) == 0);
  REQUIRE(test::turn_until(loop, [&] { return result.has_value(); }));
  CHECK(*result == ENOSPC);
}

TEST_CASE("a loop that is destroyed lets go of its sockets and calls nobody") {
  Collector collector;
  int told = 0;
  std::optional<UdpSocket> receiver = test::bound("127.0.0.1:0");
  const Endpoint address = receiver->local();
  const UdpSocket sender = test::bound("127.0.0.1:0");
  {
    Loop loop = test::make_loop();
    REQUIRE(loop.receive(receiver->fd(), collector) == 0);
    REQUIRE(loop.poll(
                receiver->fd(), [&](int) { ++told; }, POLLOUT) == 0);
    loop.turn(Time{}, 0);
    send_plain(sender, "unread", address);
  }
  CHECK(told == 0);
  CHECK(collector.received.empty());
  receiver.reset();
  CHECK(UdpSocket::bind(address, {}));
}

TEST_CASE("a loop may be made and filled on one thread and run on another") {
  Loop loop = test::make_loop();
  const UdpSocket receiver = test::bound("127.0.0.1:0");
  const UdpSocket sender = test::bound("127.0.0.1:0");
  Collector collector;
  REQUIRE(loop.receive(receiver.fd(), collector) == 0);
  send_plain(sender, "x", receiver.local());
  bool arrived = false;
  std::thread thread{[&arrived, &collector, moved = std::move(loop)]() mutable {
    Loop own = std::move(moved);
    arrived = test::turn_until(own, [&] { return collector.received.size() == 1; });
  }};
  thread.join();
  CHECK(arrived);
}

TEST_CASE("clocks do not go backwards, and the wall clock is unix time") {
  const Moment a = read_clocks();
  const Moment b = read_clocks();
  CHECK(b.mono >= a.mono);
  CHECK(a.wall.time_since_epoch() > std::chrono::hours{24 * 365 * 50});  // after 2020
  CHECK(a.wall.time_since_epoch() < std::chrono::hours{24 * 365 * 200});
}

TEST_CASE("where a seccomp filter refuses io_uring, the error says what to allow, exit status 71") {
  for (const auto& [error, word] : std::vector<std::pair<int, const char*>>{{EPERM, "seccomp"}, {ENOSYS, "seccomp"}}) {
    std::optional<Error> got;
    std::thread{[&got, refuse = error] {  // a filter is its thread's
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      std::array<sock_filter, 4> program{{
          BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(refuse)),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      }};
      const sock_fprog filter{program.size(), program.data()};
      if (syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) return;
      auto loop = Loop::create();
      if (!loop) got = loop.error();
    }}
        .join();
    REQUIRE(got);
    CHECK(got->exit_code == 71);
    CHECK(got->text.find(word) != std::string::npos);
    CHECK(got->text.find("io_uring_setup") != std::string::npos);
  }
}

TEST_CASE("each refusal of io_uring names the setting that causes it") {
  CHECK(io_uring_refusal(EPERM, 2).find("kernel.io_uring_disabled=0") != std::string::npos);
  CHECK(io_uring_refusal(EPERM, 1).find("kernel.io_uring_group") != std::string::npos);
  CHECK(io_uring_refusal(EPERM, 0).find("seccomp") != std::string::npos);
  CHECK(io_uring_refusal(EINVAL, 0).find("Linux 6.0") != std::string::npos);
  CHECK(io_uring_refusal(ENOMEM, 0).find("LimitMEMLOCK") != std::string::npos);
  CHECK(io_uring_refusal(EMFILE, 0).find("LimitNOFILE") != std::string::npos);
}

}  // namespace tiercast::loop_test

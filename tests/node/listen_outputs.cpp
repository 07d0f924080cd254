// The ways out of a listener together: what is told of them, when none is left, and the exit status. With the sinks
// themselves over real files and pipes.
#include "relay/node/listen_outputs.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <opusfile.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <string>

#include "relay/base/exit_code.hpp"
#include "tests/cli/temporary_directory.hpp"
#include "tests/receive/opus_tone.hpp"

namespace tiercast::listen_outputs_test {

using namespace tiercast::test;
using node::ListenOutputs;
using node::ListenSink;
using node::OutputFile;
using node::OutputStatus;
using node::SampleFormat;

namespace {

struct FakeSink final : ListenSink {
  explicit FakeSink(OutputStatus& of, bool with_audio = true) : status_(of), audio_(with_audio) {}
  void begin(std::chrono::milliseconds frame, WallTime) override {
    CHECK(frame == 20ms);
    ++begun;
  }
  void on_played(const receive::Played&, Moment) override { ++played; }
  void on_turn(Moment) override { ++turns; }
  void finish() override { ++finished; }
  const OutputStatus& status() const override { return status_; }
  bool audio() const override { return audio_; }
  OutputStatus& status_;
  bool audio_;
  int begun = 0, played = 0, turns = 0, finished = 0;
};

using State = OutputStatus::State;

struct Rig {
  ListenOutputs outputs(std::vector<std::unique_ptr<ListenSink>> sinks, bool quiet = false) {
    return {std::move(sinks), quiet, [this](const std::string& line) { said.push_back(line); }};
  }
  std::vector<std::string> said;
};

template <class... Sinks>
std::vector<std::unique_ptr<ListenSink>> list(Sinks... sinks) {
  std::vector<std::unique_ptr<ListenSink>> out;
  (out.push_back(std::move(sinks)), ...);
  return out;
}

constexpr Moment kNow{Time{1h}, WallTime{1'700'000'000s}};

void play(ListenOutputs& outputs, const std::vector<receive::Played>& played) {
  for (receive::Played p : played) {
    p.expected = kNow.mono;
    outputs.on_played(p, 20ms, kNow);
    outputs.on_turn(kNow);
  }
}

OutputFile create(const std::string& path) {
  auto file = OutputFile::create(path);
  if (!file) FAIL(file.error().text);
  return std::move(*file);
}

}  // namespace

TEST_CASE("listen outputs: each is begun once and told every tick") {
  Rig rig;
  OutputStatus status;
  auto one = std::make_unique<FakeSink>(status);
  FakeSink& sink = *one;
  ListenOutputs outputs = rig.outputs(list(std::move(one)));
  play(outputs, ticks("lef", opus_tone(20ms, 1, 1)));
  outputs.finish();
  CHECK(sink.begun == 1);
  CHECK(sink.played == 3);
  CHECK(sink.turns == 3);
  CHECK(sink.finished == 1);
  CHECK(rig.said.empty());
  CHECK(outputs.exit_code() == ExitCode::ok);
}

TEST_CASE("listen outputs: what becomes of each is told once, and what failed makes the exit status") {
  Rig rig;
  OutputStatus slow{State::open, "standard output", "", 0};
  OutputStatus full{State::open, "talk.opus", "", 0};
  OutputStatus closed{State::open, "pipe.wav", "", 0};
  bool quiet = false;
  SUBCASE("to who wants to know") {}
  SUBCASE("quietly") { quiet = true; }
  ListenOutputs outputs = rig.outputs(
      list(std::make_unique<FakeSink>(slow), std::make_unique<FakeSink>(full), std::make_unique<FakeSink>(closed)),
      quiet);
  outputs.on_turn(kNow);
  CHECK(rig.said.empty());
  slow.dropped = 1;
  full.state = State::failed;
  full.why = "No space left on device";
  closed.state = State::reader_gone;
  for (int i = 0; i < 3; ++i) {
    outputs.on_turn(kNow);
    ++slow.dropped;
  }
  outputs.finish();
  std::vector<std::string> expected{"cannot write to talk.opus any further: No space left on device"};
  if (!quiet) {
    expected.insert(expected.begin(), "standard output is read too slowly: the oldest of what waits is left out");
    expected.emplace_back("nobody reads pipe.wav any more");
  }
  CHECK(rig.said == expected);
  CHECK_FALSE(outputs.all_gone());
  CHECK(outputs.exit_code() == ExitCode::io);
}

TEST_CASE("listen outputs: when no audio goes anywhere any more there is nothing left to do") {
  Rig rig;
  OutputStatus player, file, log;
  ListenOutputs outputs = rig.outputs(list(std::make_unique<FakeSink>(player), std::make_unique<FakeSink>(file),
                                           std::make_unique<FakeSink>(log, false)));
  CHECK_FALSE(outputs.all_gone());
  player.state = State::reader_gone;
  CHECK_FALSE(outputs.all_gone());
  CHECK(outputs.exit_code() == ExitCode::ok);
  file.state = State::failed;
  CHECK(outputs.all_gone());
  CHECK(outputs.exit_code() == ExitCode::io);
  file.state = State::reader_gone;
  CHECK(outputs.all_gone());
  CHECK(outputs.exit_code() == ExitCode::ok);
  ListenOutputs only_log = rig.outputs(list(std::make_unique<FakeSink>(log, false)));
  CHECK_FALSE(only_log.all_gone());
  CHECK_FALSE(rig.outputs({}).all_gone());
}

TEST_CASE("listen outputs: Ogg, WAV, samples and log side by side, all of the same length") {
  const TemporaryDirectory directory;
  Rig rig;
  const std::string picture = "eelfffffffffffffffffffflef";
  constexpr std::size_t kSure =
      23;  // ticks before the first concealed one, for which each channel has noise of its own
  {
    ListenOutputs outputs = rig.outputs(list(node::make_ogg_sink(create(directory / "a.opus"), GroupId{1}, 7),
                                             node::make_sample_sink(create(directory / "b.wav"), SampleFormat::wav, 1),
                                             node::make_sample_sink(create(directory / "c.pcm"), SampleFormat::raw, 2),
                                             node::make_log_sink(create(directory / "d"))));
    play(outputs, ticks(picture, opus_tone(20ms, 1, 50)));
    outputs.finish();
  }
  int error = 0;
  OggOpusFile* ogg = op_open_file((directory / "a.opus").c_str(), &error);
  REQUIRE(ogg != nullptr);
  CHECK(op_pcm_total(ogg, -1) == static_cast<std::int64_t>(picture.size()) * 960);
  op_free(ogg);
  const std::string wav = read_file(directory / "b.wav"), raw = read_file(directory / "c.pcm");
  const std::size_t data = picture.size() * 1920;
  REQUIRE(wav.size() == 44 + data);
  CHECK(wav.substr(4, 4) ==
        std::string{static_cast<char>((data + 36) & 0xff), static_cast<char>((data + 36) >> 8), 0, 0});
  CHECK(wav.substr(40, 4) == std::string{static_cast<char>(data & 0xff), static_cast<char>(data >> 8), 0, 0});
  REQUIRE(raw.size() == 2 * data);
  for (std::size_t i = 0; i < kSure * 1920; i += 2) {  // one decoder each, but the same samples, on both channels
    REQUIRE(wav.substr(44 + i, 2) == raw.substr(2 * i, 2));
    REQUIRE(wav.substr(44 + i, 2) == raw.substr(2 * i + 2, 2));
  }
  const std::string log = read_file(directory / "d");
  CHECK(std::count(log.begin(), log.end(), '\n') == static_cast<std::ptrdiff_t>(picture.size()));
  CHECK(log.starts_with("5000 empty 0 "));
}

TEST_CASE("listen outputs: the log tells how long a tick waited and when it came") {
  const TemporaryDirectory directory;
  Rig rig;
  ListenOutputs outputs = rig.outputs(list(node::make_log_sink(create(directory / "d"))));
  const auto packets = opus_tone(20ms, 1, 1);  // the ticks point into them
  auto played = ticks("f", packets);
  played[0].arrived = Time{1h} - 6500us;
  play(outputs, played);
  outputs.finish();
  CHECK(read_file(directory / "d").ends_with(" 6.500 3599993.500\n"));
}

TEST_CASE("listen outputs: a WAV file or Ogg file that no tick reached stays empty") {
  const TemporaryDirectory directory;
  Rig rig;
  ListenOutputs outputs = rig.outputs(list(node::make_ogg_sink(create(directory / "a.opus"), GroupId{1}, 7),
                                           node::make_sample_sink(create(directory / "b.wav"), SampleFormat::wav, 1)));
  outputs.on_turn(kNow);
  outputs.finish();
  CHECK(read_file(directory / "a.opus").empty());
  CHECK(read_file(directory / "b.wav").empty());
  CHECK(outputs.exit_code() == ExitCode::ok);
}

TEST_CASE("listen outputs: into a pipe WAV says until the end, and Ogg comes page by page") {
  ::signal(SIGPIPE, SIG_IGN);
  const TemporaryDirectory directory;
  Rig rig;
  const auto reader = [&](const char* name) {
    REQUIRE(::mkfifo((directory / name).c_str(), 0600) == 0);
    return net::Descriptor{::open((directory / name).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  };
  const net::Descriptor wav = reader("a.wav"), ogg = reader("b.opus");
  ListenOutputs outputs = rig.outputs(list(node::make_sample_sink(create(directory / "a.wav"), SampleFormat::wav, 1),
                                           node::make_ogg_sink(create(directory / "b.opus"), GroupId{1}, 7)));
  const auto packets = opus_tone(20ms, 1, 3);
  play(outputs, ticks("f", packets));
  std::array<char, 8192> buffer{};
  REQUIRE(::read(wav.get(), buffer.data(), buffer.size()) == 44 + 1920);
  CHECK(std::string(buffer.data() + 4, 4) == "\xff\xff\xff\xff");
  CHECK(std::string(buffer.data() + 40, 4) == "\xff\xff\xff\xff");
  const ssize_t first = ::read(ogg.get(), buffer.data(), buffer.size());
  CHECK(first > 2048);
  play(outputs, ticks("f", packets));
  const ssize_t second = ::read(ogg.get(), buffer.data(), buffer.size());
  CHECK(second > static_cast<ssize_t>(packets[0].size()));
  CHECK(std::string(buffer.data(), 4) == "OggS");
  outputs.finish();
}

TEST_CASE("listen outputs: RTP to where nobody listens yet is no failure; that no packet could be sent is one") {
  Rig rig;
  SeededRandom random{1};
  net::SocketOptions options;
  options.packet_info = false;
  const Endpoint to = *parse_endpoint("127.0.0.1:9");
  auto socket = net::UdpSocket::connect(to, options);
  REQUIRE(socket);
  const int fd = socket->fd();
  ListenOutputs outputs =
      rig.outputs(list(node::make_rtp_sink(std::move(*socket), to, GroupId{1}, random, std::nullopt)));
  SUBCASE("nobody listens") {
    play(outputs, ticks("ffff", opus_tone(20ms, 1, 4)));
    outputs.finish();
    CHECK(outputs.exit_code() == ExitCode::ok);
    CHECK(rig.said.empty());
  }
  SUBCASE("no packet leaves") {
    REQUIRE(::shutdown(fd, SHUT_WR) == 0);
    play(outputs, ticks("ffff", opus_tone(20ms, 1, 4)));
    CHECK_FALSE(outputs.all_gone());
    outputs.finish();
    CHECK(outputs.exit_code() == ExitCode::io);
    CHECK(rig.said == std::vector<std::string>{"cannot write to RTP to 127.0.0.1:9 any further: Broken pipe"});
  }
  SUBCASE("only some leave") {
    const auto packets = opus_tone(20ms, 1, 4);
    const auto played = ticks("ffff", packets);
    play(outputs, {played[0]});
    outputs.on_turn({kNow.mono + 100ms, kNow.wall});
    REQUIRE(::shutdown(fd, SHUT_WR) == 0);
    play(outputs, {played.begin() + 1, played.end()});
    outputs.finish();
    CHECK(outputs.exit_code() == ExitCode::ok);
    std::uint64_t refused = 0;
    outputs.each([&](const ListenSink& sink) {
      sink.each_counter([&](const char* name, const Counter& counter) {
        if (std::string{name} == "rtp_out_drop_refused") refused = counter.get();
      });
    });
    CHECK(refused >= 1);  // the first attempt may still tell of the packet before
  }
}

}  // namespace tiercast::listen_outputs_test

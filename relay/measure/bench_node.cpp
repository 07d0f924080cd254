#include "relay/measure/bench_node.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "crypto/random.hpp"
#include "relay/base/exit_code.hpp"
#include "relay/node/node.hpp"
#include "relay/ops/admin_server.hpp"
#include "relay/ops/log.hpp"

namespace tiercast::measure {
namespace {

using Json = nlohmann::json;

node::ConfigFiles configuration(const std::string& folder, const crypto::PrivateKey& key, std::uint32_t max_leases) {
  crypto::SystemRandom random;
  node::ConfigFiles files{{}, crypto::PrivateKey{key.view()}, {}};
  files.signing.emplace_back(crypto::generate_private_key(random));
  config::Config& config = files.config;
  config.node.name = "bench";
  config.node.state = folder + "/state";
  config.listen.emplace();
  config.listen->addresses = {*parse_endpoint("127.0.0.1:0")};
  config.listen->backend = config::Backend::sendmmsg;
  config.listen->max_leases = max_leases;
  config.admin.socket = folder + "/admin.sock";
  config.log_level = config::LogLevel::error;
  config::Group group;
  group.name = "bench";
  group.id = BenchNode::kGroup;
  group.sources = {{SourceId{1}, crypto::signing_public_key(*files.signing.front())}};
  group.source.emplace();
  group.source->id = SourceId{1};
  group.source->rtp = *parse_endpoint("127.0.0.1:0");
  config.groups.push_back(std::move(group));
  return files;
}

tl::expected<Json, net::Error> ask(const std::string& socket, const char* request) {
  const auto answer = ops::admin_request(socket, request);
  if (!answer) return tl::unexpected(answer.error());
  Json json = Json::parse(*answer, nullptr, false);
  if (!json.is_object() || json.contains("error"))
    return tl::unexpected(net::Error{std::string{"the node does not answer "} + request, ExitCode::unavailable});
  return json;
}

}  // namespace

BenchNode::Folder::~Folder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

tl::expected<BenchNode, net::Error> BenchNode::start(std::uint32_t max_leases) {
  std::string path = std::filesystem::temp_directory_path() / "tiercast-bench-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr)
    return tl::unexpected(net::Error{path + ": " + std::strerror(errno), ExitCode::cannot_create});
  Folder folder{path};
  crypto::SystemRandom random;
  const crypto::PrivateKey key = crypto::generate_private_key(random);
  auto process = ChildProcess::start([&] {
    const Folder mine{path};  // also when the parent is interrupted
    ops::log::set_level(ops::log::Level::error);
    return node::run_node(configuration(path, key, max_leases),
                          [] { return tl::unexpected(std::vector<std::string>{"a bench has no file"}); });
  });
  if (!process) return tl::unexpected(process.error());
  BenchNode out{std::move(folder), std::move(*process), crypto::node_public_key(key)};
  if (auto ready = out.wait(); !ready) return tl::unexpected(ready.error());
  return out;
}

tl::expected<void, net::Error> BenchNode::wait() {
  for (int tries = 0; tries < 500; ++tries) {
    if (!process_.alive()) return tl::unexpected(net::Error{"the node has ended, see above", process_.exit_status()});
    if (const auto now = ask(socket(), "status")) {
      const auto address = parse_endpoint(now->at("listen").at("addresses").at(0).get<std::string>());
      if (!address) return tl::unexpected(net::Error{"the node does not say where it listens", ExitCode::unavailable});
      address_ = *address;
      // Its silence is a stream too, of empty frames, until it ends.
      if (const auto ended = ask(socket(), "end bench"); !ended) return tl::unexpected(ended.error());
      return {};
    }
    const timespec pause{0, 10'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return tl::unexpected(net::Error{"the node does not answer", ExitCode::unavailable});
}

tl::expected<std::uint64_t, net::Error> BenchNode::counter(const char* name) const {
  const auto now = ask(socket(), "status");
  if (!now) return tl::unexpected(now.error());
  return now->at("counters").at(name).get<std::uint64_t>();
}

}  // namespace tiercast::measure

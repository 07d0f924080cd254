// The admin socket: a Unix stream socket, one request line in, one answer out, closed. Knows no command.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "relay/net/descriptor.hpp"
#include "relay/net/loop.hpp"

namespace tiercast::ops {

class AdminServer {
 public:
  /// Nothing: answer() is called with `connection` later.
  using Answer = std::function<std::optional<std::string>(std::string_view request, std::uint64_t connection)>;
  /// Listens at `path` (mode 0660). A stale socket file that nobody serves is replaced; one that is served is an error.
  /// `loop` outlives the server.
  static tl::expected<std::unique_ptr<AdminServer>, net::Error> create(net::Loop& loop, const std::string& path,
                                                                       Answer answer);
  ~AdminServer();
  /// What was not answered at once. Whoever has gone meanwhile is not missed.
  void answer(std::uint64_t connection, std::string text);

 private:
  static constexpr std::size_t kConnections = 16;
  static constexpr std::size_t kRequest = 256;
  struct Connection {
    net::Descriptor file;
    std::uint64_t number = 0;
    bool asked = false;
    std::string request;
    std::string answer;
    std::size_t sent = 0;
  };
  AdminServer(net::Loop& loop, std::string path, Answer answer)
      : loop_(loop), path_(std::move(path)), answer_(std::move(answer)) {}
  void accept_all();
  void on_ready(int fd);
  void close(int fd);
  Connection* find(int fd);

  net::Loop& loop_;
  std::string path_;
  Answer answer_;
  net::Descriptor listener_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::uint64_t next_number_ = 0;
};

/// The client's side: sends a line, gives the whole answer. Blocks, for at most some seconds.
tl::expected<std::string, net::Error> admin_request(const std::string& path, std::string_view request);

}  // namespace tiercast::ops

#include "relay/ops/admin_server.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "relay/base/exit_code.hpp"

namespace tiercast::ops {
namespace {

std::optional<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

net::Error error(const std::string& path, const std::string& what, int number, int exit_code = ExitCode::os) {
  return {"admin socket " + path + ": " + what + (number != 0 ? std::string{": "} + std::strerror(number) : ""),
          exit_code};
}

constexpr const char* kNoAnswer =
    "no answer in 5 s: the node's main thread is stalled; its log says more, or restart it";

bool somebody_serves(const sockaddr_un& address) {
  const net::Descriptor probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  return probe && ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

tl::expected<std::unique_ptr<AdminServer>, net::Error> AdminServer::create(net::Loop& loop, const std::string& path,
                                                                           Answer answer) {
  const auto address = address_of(path);
  if (!address)
    return tl::unexpected{error(path, "the path is too long for a socket (at most 107 bytes)", 0, ExitCode::config)};
  std::unique_ptr<AdminServer> server{new AdminServer{loop, path, std::move(answer)}};
  server->listener_ = net::Descriptor{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  const int fd = server->listener_.get();
  if (fd < 0) return tl::unexpected{error(path, "no socket", errno)};
  const auto* generic = reinterpret_cast<const sockaddr*>(&*address);
  int bound = ::bind(fd, generic, sizeof *address);
  if (bound != 0 && errno == EADDRINUSE) {
    if (somebody_serves(*address)) {
      server->path_.clear();  // not ours to remove
      return tl::unexpected{error(path, "another process serves it: give this node another [admin] socket", 0)};
    }
    ::unlink(path.c_str());
    bound = ::bind(fd, generic, sizeof *address);
  }
  if (bound != 0) {
    const int number = errno;
    server->path_.clear();
    return tl::unexpected{error(path, "cannot be made (does its directory exist?)", number)};
  }
  ::chmod(path.c_str(), 0660);
  if (::listen(fd, kConnections) != 0) return tl::unexpected{error(path, "cannot listen", errno)};
  AdminServer* self = server.get();
  if (const int failed = loop.poll(fd, [self](int) { self->accept_all(); }))
    return tl::unexpected{error(path, "no room in the io_uring", failed)};
  return server;
}

AdminServer::~AdminServer() {
  for (const auto& connection : connections_) loop_.cancel(connection->file.get());
  if (listener_) loop_.cancel(listener_.get());
  if (!path_.empty()) ::unlink(path_.c_str());
}

void AdminServer::accept_all() {
  while (true) {
    net::Descriptor file{::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (!file) return;
    if (connections_.size() >= kConnections) continue;  // closed at once
    const int fd = file.get();
    auto connection = std::make_unique<Connection>();
    connection->file = std::move(file);
    connection->number = next_number_++;
    connections_.push_back(std::move(connection));
    if (loop_.poll(
            fd, [this, fd](int) { on_ready(fd); }, POLLIN | POLLOUT | POLLHUP) != 0)
      close(fd);
  }
}

AdminServer::Connection* AdminServer::find(int fd) {
  for (const auto& connection : connections_)
    if (connection->file.get() == fd) return connection.get();
  return nullptr;
}

void AdminServer::on_ready(int fd) {
  Connection* connection = find(fd);
  if (connection == nullptr) return;
  while (connection->answer.empty()) {
    std::array<char, kRequest> buffer;
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return close(fd);
    if (connection->asked) return close(fd);  // one request a connection
    connection->request.append(buffer.data(), static_cast<std::size_t>(got));
    const std::size_t end = connection->request.find('\n');
    if (end != std::string::npos) {
      connection->asked = true;
      auto text = answer_(std::string_view{connection->request}.substr(0, end), connection->number);
      if (text) connection->answer = std::move(*text);
    } else if (connection->request.size() > kRequest) {
      return close(fd);
    }
  }
  while (connection->sent < connection->answer.size()) {
    const ssize_t sent = ::send(fd, connection->answer.data() + connection->sent,
                                connection->answer.size() - connection->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent <= 0) break;
    connection->sent += static_cast<std::size_t>(sent);
  }
  close(fd);
}

void AdminServer::answer(std::uint64_t number, std::string text) {
  for (const auto& connection : connections_) {
    if (connection->number != number) continue;
    connection->answer = std::move(text);
    return on_ready(connection->file.get());
  }
}

void AdminServer::close(int fd) {
  loop_.cancel(fd);
  std::erase_if(connections_, [fd](const auto& connection) { return connection->file.get() == fd; });
}

tl::expected<std::string, net::Error> admin_request(const std::string& path, std::string_view request) {
  const auto address = address_of(path);
  if (!address) return tl::unexpected{error(path, "the path is too long for a socket", 0, ExitCode::usage)};
  const net::Descriptor file{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const timeval patience{5, 0};
  ::setsockopt(file.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(file.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (::connect(file.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    const int number = errno;
    if (number == EAGAIN) return tl::unexpected{error(path, kNoAnswer, 0, ExitCode::unavailable)};  // its queue is full
    const char* hint = number == EACCES
                           ? "permission denied: run this as the node's user, or as root"
                           : "nobody serves it: is the node running, and is --socket what its [admin] socket says";
    return tl::unexpected{error(path, hint, number, number == EACCES ? ExitCode::permission : ExitCode::unavailable)};
  }
  const std::string line = std::string{request} + "\n";
  if (::send(file.get(), line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size()))
    return tl::unexpected{error(path, "cannot send", errno, ExitCode::unavailable)};
  std::string answer;
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t got = ::recv(file.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EAGAIN) return tl::unexpected{error(path, kNoAnswer, 0, ExitCode::unavailable)};
    if (got < 0) return tl::unexpected{error(path, "no answer", errno, ExitCode::unavailable)};
    if (got == 0 && answer.empty())
      return tl::unexpected{
          error(path, "closed without an answer: the node is stopping, or too many ask it at once; try again", 0,
                ExitCode::unavailable)};
    if (got == 0) return answer;
    answer.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace tiercast::ops

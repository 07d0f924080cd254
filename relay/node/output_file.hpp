// Where one output of a listener is written: a file, or a reader behind a pipe, who may be slow or go away. Knows
// nothing of what it writes but that it comes in pieces that stay whole.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "relay/base/types.hpp"
#include "relay/net/descriptor.hpp"
#include "relay/net/error.hpp"
#include "relay/node/output_queue.hpp"

namespace tiercast::node {

struct OutputStatus {
  enum class State : std::uint8_t {
    open,
    reader_gone,  // a pipe's: a player was closed, which is no failure
    failed,
  };
  State state = State::open;
  std::string name;           // for a person
  std::string why;            // failed: the reason
  std::uint64_t dropped = 0;  // pieces that a slow reader has missed
};

/// A regular file is written at once, which may wait for the disk. Where a write fails, what is in the file ends with
/// the last whole piece. Pipes, sockets and terminals are never waited for: what they do not take is queued, see
/// OutputQueue. SIGPIPE must be ignored.
class OutputFile {
 public:
  static constexpr std::size_t kPieces = 256;

  /// Creates it, or empties it; "-" is standard output. A named pipe is waited for until somebody reads it.
  static tl::expected<OutputFile, net::Error> create(const std::string& path);

  /// Before the first write: how many pieces may wait for a slow reader.
  void set_bound(std::size_t pieces) { queue_ = OutputQueue{pieces}; }
  /// `keep`: nothing after this piece makes sense without it.
  void write(Bytes piece, bool keep = false);
  void write(const std::string& text, bool keep = false) {
    write(Bytes{reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, keep);
  }
  /// Writes what waits as far as it is taken now, and sees whether the reader is still there.
  void pump();
  /// Writes the rest; a reader gets at most `patience` for it.
  void finish(Duration patience);
  /// In a regular file: over what is there. Also after a failure.
  void overwrite(Bytes bytes, std::uint64_t offset);

  bool regular() const { return kind_ == Kind::regular; }
  bool terminal() const;
  /// Somebody reads along: a pipe or socket.
  bool live() const { return kind_ == Kind::stream || kind_ == Kind::socket; }
  /// Bytes that were written and have not been read yet, as far as that can be seen: of a socket's only those queued
  /// here.
  std::size_t backlog() const;
  /// What has been written; into a file whole pieces only.
  std::uint64_t bytes() const { return bytes_; }
  const OutputStatus& status() const { return status_; }

 private:
  enum class Kind : std::uint8_t {
    regular,
    device,  // written like a file
    socket,
    stream,  // pipe or terminal
  };
  OutputFile(std::string name, int fd, bool owned);
  void write_now(Bytes piece);
  void cut_off(std::size_t bytes);
  /// What write(2) would give, without ever waiting; -EAGAIN: nothing now.
  long offer(Bytes bytes) const;
  void end(int error);

  int fd_;
  net::Descriptor owned_;  // fd_, unless that is standard output
  Kind kind_ = Kind::device;
  OutputQueue queue_{kPieces};
  std::uint64_t bytes_ = 0;
  OutputStatus status_;
};

}  // namespace tiercast::node

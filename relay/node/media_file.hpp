// An origin's file, pipe or standard input, opened and read. Blocking calls only; decides nothing about time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "config/config.hpp"
#include "relay/net/descriptor.hpp"
#include "relay/net/error.hpp"
#include "relay/publish/media_reader.hpp"

namespace tiercast::node {

class MediaFile {
 public:
  /// A regular file is read up to its first packet: what it holds is known before a node says that it is ready. Of a
  /// pipe nothing is read, and one without a writer is waited for later. The error begins with the name; exit status 66
  /// (not there), 77 (may not be read), 65 (is not what it should be).
  static tl::expected<std::unique_ptr<MediaFile>, net::Error> open(const config::SourceInput& input,
                                                                   std::uint8_t frame_ms);

  /// The next packet of what was read, valid until the next call of anything but name().
  std::optional<publish::MediaPacket> next();
  /// Reads once, when next() has nothing; at the end it finishes the reader, and ended() is true. Blocks unless
  /// poll(2) says that fd() is readable. 0 or an errno.
  int read();

  int fd() const { return fd_.get(); }
  bool is_pipe() const { return !regular_; }  // or a terminal, or a device
  bool ended() const { return ended_; }
  const std::string& name() const { return name_; }
  publish::MediaReader& reader() { return reader_; }
  const publish::MediaReader& reader() const { return reader_; }

 private:
  MediaFile(const publish::MediaReader::Setup& setup, std::string name, net::Descriptor fd, bool regular);
  tl::expected<void, net::Error> look();

  publish::MediaReader reader_;
  std::string name_;
  net::Descriptor fd_;
  bool regular_;
  bool ended_ = false;
  std::vector<std::uint8_t> buffer_;
  std::optional<publish::MediaPacket> first_;  // found by look()
};

}  // namespace tiercast::node

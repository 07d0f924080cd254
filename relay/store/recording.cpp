#include "relay/store/recording.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <vector>

#include "relay/base/exit_code.hpp"
#include "relay/ops/log.hpp"

namespace tiercast::store {
namespace {
// Some minutes of speech: a disk that stalls longer loses bytes, and says so.
constexpr std::size_t kQueue = 4 << 20;
}  // namespace

struct Recording::Writing {
  net::Loop* loop = nullptr;
  net::Descriptor file;
  std::string path;
  std::vector<std::uint8_t> queued, under_way;
  std::uint64_t offset = 0;
  bool busy = false;
  bool failing = false;
  bool closed = false;
  receive::RecordingCounters counters;
};

tl::expected<std::unique_ptr<Recording>, net::Error> Recording::create(net::Loop& loop, const std::string& directory,
                                                                       const std::string& group, WallTime now) {
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> stamp{};
  std::strftime(stamp.data(), stamp.size(), "%Y%m%dT%H%M%SZ", &utc);
  // The last folder only, as for the origin's state: a mistyped path is not built up.
  if (::mkdir(directory.c_str(), 0750) != 0 && errno != EEXIST)
    return tl::unexpected{net::Error{"cannot make the record directory " + directory + ": " + std::strerror(errno),
                                     ExitCode::cannot_create}};
  const std::string base = directory + "/" + group + "-" + stamp.data();
  for (int n = 1; n < 100; ++n) {
    const std::string path = base + (n == 1 ? "" : "-" + std::to_string(n)) + ".opus";
    net::Descriptor file{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640)};
    if (file) return std::unique_ptr<Recording>{new Recording{loop, path, std::move(file)}};
    if (errno != EEXIST)
      return tl::unexpected{net::Error{
          "cannot record to " + path + ": " + std::strerror(errno) + "; the group's record directory must be writable",
          ExitCode::cannot_create}};
  }
  return tl::unexpected{
      net::Error{"cannot record to " + base + ".opus: a hundred such files exist", ExitCode::cannot_create}};
}

Recording::Recording(net::Loop& loop, std::string path, net::Descriptor file)
    : path_(std::move(path)), writing_(std::make_shared<Writing>()), counters_(&writing_->counters) {
  writing_->loop = &loop;
  writing_->file = std::move(file);
  writing_->path = path_;
  writing_->queued.reserve(64 << 10);
}

void Recording::append(Bytes bytes) {
  if (writing_->queued.size() + bytes.size() > kQueue) {
    writing_->counters.drop_bytes.add(bytes.size());
    return;
  }
  writing_->queued.insert(writing_->queued.end(), bytes.begin(), bytes.end());
  write_next(writing_);
}

void Recording::close() { writing_->closed = true; }

void Recording::write_next(const std::shared_ptr<Writing>& writing) {
  if (writing->busy || writing->queued.empty()) return;
  writing->under_way.clear();
  writing->under_way.swap(writing->queued);
  writing->busy = true;
  const int error =
      writing->loop->write(writing->file.get(), writing->under_way, writing->offset, [writing](int failed) {
        writing->busy = false;
        if (failed != 0) {
          writing->counters.errors.add();
          writing->counters.drop_bytes.add(writing->under_way.size());
          if (!std::exchange(writing->failing, true))
            ops::log::error("recording_failed", {{"file", writing->path}, {"reason", std::strerror(failed)}});
        } else {
          writing->failing = false;
          writing->counters.bytes.add(writing->under_way.size());
          writing->offset += writing->under_way.size();
        }
        write_next(writing);
      });
  if (error == 0) return;
  writing->busy = false;  // no room in the ring now: with the next append
  writing->queued.insert(writing->queued.begin(), writing->under_way.begin(), writing->under_way.end());
}

bool Recording::settled() const { return !writing_->busy && writing_->queued.empty(); }

}  // namespace tiercast::store

#include "relay/store/recording.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>
#include <vector>

#include "relay/base/exit_code.hpp"
#include "relay/net/descriptor.hpp"
#include "relay/ops/log.hpp"

namespace tiercast::store {
namespace {

constexpr unsigned kMode = 0640;

/// What may be over by itself, or is the disk's: no reason not to start.
bool is_the_disks(int error) {
  return error == ENOSPC || error == EDQUOT || error == EROFS || error == EIO || error == ESTALE;
}

}  // namespace

std::string recording_name(const std::string& group, WallTime started) {
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(started).time_since_epoch().count();
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
  return group + "-" + stamp;
}

std::string disk_advice(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT: return "make room there";
    case EROFS: return "mount it for writing again (dmesg says why it is not)";
    case EACCES:
    case EPERM: return "let the node write there";
    case ENOENT:
    case ENOTDIR: return "make the directory, or mount what it is on";
    default: return "look at the disk (dmesg)";
  }
}

// What a file still needs is seen from its state, in advance(); an operation that completes changes the state.
class Recording::State : public std::enable_shared_from_this<State> {
 public:
  State(net::Loop& loop, RecordingPlace place, OnFinished finished)
      : loop_(loop), place_(std::move(place)), on_finished_(std::move(finished)) {}

  bool begin(WallTime started, const std::optional<receive::RecordingGap>& gap, Duration frame);
  bool append(Bytes pages);
  void finish(receive::FinishedBy why);
  void on_timer(Time now);
  Time next_deadline() const;
  receive::RecordingHealth health() const;
  bool settled() const { return files_.empty(); }
  /// The directory itself takes nothing.
  void start_in_trouble(int error) { begin_trouble(Part::opening, place_.directory, "record in", error); }

  net::Loop& loop_;
  const RecordingPlace place_;
  receive::RecordingCounters counters_;

 private:
  /// What may go wrong, each on its own: a sync that works says nothing of writes.
  enum class Part : std::uint8_t { opening, writing, syncing, naming };
  struct File {
    std::string name;  // GROUP-TIME
    unsigned number = 1;
    std::string directory;
    std::string part_path;
    net::Descriptor part, folder;
    std::vector<std::uint8_t> queued, under_way;
    std::uint64_t written = 0, synced = 0;
    Time write_since = kNever, sync_since = kNever, step_since = kNever;  // with the kernel since then
    Time sync_at = kNever, retry_at = Time::min();
    bool has_name_synced = false, renamed = false, done = false;
    std::optional<receive::FinishedBy> finished;
    bool busy() const { return write_since != kNever || sync_since != kNever || step_since != kNever; }
    bool all_written() const { return part && queued.empty() && under_way.empty(); }
    std::size_t waiting() const { return queued.size() + under_way.size(); }
    std::string path() const { return directory + "/" + name + (number == 1 ? "" : "-" + std::to_string(number)); }
    std::string final_path() const { return path() + ".opus"; }
  };

  std::size_t waiting() const;
  void advance(File& file, Time now);
  void open(File& file, Time now);
  void open_folder(File& file, Time now);
  void sync_folder(File& file, Time now);
  void write(File& file, Time now);
  void sync(File& file, Time now);
  void rename(File& file, Time now);
  void link(File& file);
  void on_named(File& file, int error);
  void close(net::Descriptor& descriptor);
  /// The ring has no room now.
  void later(File& file, Time& since) {
    since = kNever;
    file.retry_at = net::read_clocks().mono + kRetryAfter;
  }
  void failed(File& file, Part part, const char* what, int error);
  void begin_trouble(Part part, const std::string& file, const char* what, int error);
  void worked(File& file, Part part);
  void erase_done();

  OnFinished on_finished_;
  std::vector<std::unique_ptr<File>> files_;  // the last one may be the one that is written
  File* current_ = nullptr;
  std::optional<Part> failing_;  // told
  bool slow_ = false;            // told
  Time trouble_since_ = kNever;
  std::string problem_;
};

// --- what the recorder asks for ---

bool Recording::State::begin(WallTime started, const std::optional<receive::RecordingGap>& gap, Duration frame) {
  if (files_.size() >= kMostFiles || waiting() > kQueue / 2) return false;
  auto file = std::make_unique<File>();
  file->directory = place_.directory;
  file->name = recording_name(place_.group, started);
  file->part_path = file->path() + place_.part_suffix();
  file->queued.reserve(64 << 10);
  current_ = file.get();
  files_.push_back(std::move(file));
  if (gap && gap->ticks > 0) {
    const double lasts = std::chrono::duration<double>(frame * static_cast<Duration::rep>(gap->ticks)).count();
    ops::log::warning("recording_gap", {{"group", place_.group},
                                        {"why", receive::to_text(gap->why)},
                                        {"after", gap->after},
                                        {"from_sequence", gap->from.value},
                                        {"ticks", gap->ticks},
                                        {"seconds", lasts}});
  }
  ops::log::info("recording", {{"group", place_.group}, {"file", current_->final_path()}});
  advance(*current_, net::read_clocks().mono);
  return true;
}

bool Recording::State::append(Bytes pages) {
  current_->queued.insert(current_->queued.end(), pages.begin(), pages.end());
  advance(*current_, net::read_clocks().mono);
  return waiting() < kQueue;
}

void Recording::State::finish(receive::FinishedBy why) {
  if (current_ == nullptr) return;
  File& file = *std::exchange(current_, nullptr);
  file.finished = why;
  if (why == receive::FinishedBy::disk)
    ops::log::error("recording_lost", {{"group", place_.group},
                                       {"after", file.final_path()},
                                       {"reason", problem_.empty() ? "the disk is too slow" : problem_},
                                       {"hint", "no memory is left for it; it goes on in another file"}});
  advance(file, net::read_clocks().mono);
}

std::size_t Recording::State::waiting() const {
  std::size_t sum = 0;
  for (const auto& file : files_) sum += file->waiting();
  return sum;
}

void Recording::State::on_timer(Time now) {
  for (const auto& file : files_) {
    advance(*file, now);
    const Time since = std::min({file->write_since, file->sync_since, file->step_since});
    if (since == kNever || now < since + kSlow || slow_ || failing_) continue;
    slow_ = true;
    trouble_since_ = since;
    counters_.slow.add();
    problem_ = fmt::format("{}: the disk has taken nothing for {} s; look at what else writes to it (iostat, dmesg)",
                           file->final_path(), std::chrono::duration_cast<std::chrono::seconds>(kSlow).count());
    ops::log::error("recording_slow", {{"group", place_.group},
                                       {"file", file->part_path},
                                       {"reason", problem_},
                                       {"hint", "what follows waits in memory, some minutes of it"}});
  }
  erase_done();
}

Time Recording::State::next_deadline() const {
  Time next = kNever;
  for (const auto& file : files_) {
    if (file->done) return Time::min();
    for (const Time since : {file->write_since, file->sync_since, file->step_since})
      if (since != kNever && !slow_ && !failing_) next = std::min(next, since + kSlow);
    if (file->retry_at != Time::min()) next = std::min(next, file->retry_at);
    if (file->sync_since == kNever && file->synced < file->written) next = std::min(next, file->sync_at);
  }
  return next;
}

receive::RecordingHealth Recording::State::health() const {
  return {current_ != nullptr ? current_->final_path() : std::string{}, problem_, waiting(), kQueue};
}

// --- one file's way ---

void Recording::State::advance(File& file, Time now) {
  if (file.done || now < file.retry_at) return;
  file.retry_at = Time::min();
  const bool stepping = file.step_since != kNever;
  if (!file.part) {
    if (!stepping) open(file, now);
    return;
  }
  if (file.write_since == kNever && file.waiting() > 0) write(file, now);
  // Its name must survive a loss of power, as what it holds must.
  if (!stepping && !file.has_name_synced) file.folder ? sync_folder(file, now) : open_folder(file, now);
  const bool all = file.finished && file.all_written();
  if (file.sync_since == kNever && file.synced < file.written && (all || now >= file.sync_at)) sync(file, now);
  if (all && file.synced == file.written && file.has_name_synced && !file.busy()) rename(file, now);
}

void Recording::State::open(File& file, Time now) {
  file.step_since = now;
  const int error =
      loop_.open(file.part_path, O_WRONLY | O_CREAT | O_EXCL, kMode, [self = shared_from_this(), &file](int fd) {
        file.step_since = kNever;
        if (fd == -EEXIST && file.number < kMostNames) {
          ++file.number;
          file.part_path = file.path() + self->place_.part_suffix();
        } else if (fd < 0) {
          return self->failed(file, Part::opening, "open", -fd);
        } else {
          file.part = net::Descriptor{fd};
          self->worked(file, Part::opening);
        }
        self->advance(file, net::read_clocks().mono);
      });
  if (error != 0) later(file, file.step_since);
}

void Recording::State::open_folder(File& file, Time now) {
  file.step_since = now;
  const int error = loop_.open(file.directory, O_RDONLY | O_DIRECTORY, 0, [self = shared_from_this(), &file](int fd) {
    file.step_since = kNever;
    if (fd < 0) return self->failed(file, Part::opening, "open the directory of", -fd);
    file.folder = net::Descriptor{fd};
    self->advance(file, net::read_clocks().mono);
  });
  if (error != 0) later(file, file.step_since);
}

void Recording::State::sync_folder(File& file, Time now) {
  file.step_since = now;
  const auto synced = [self = shared_from_this(), &file](int failed) {
    file.step_since = kNever;
    // EINVAL: this file system has no such thing.
    if (failed != 0 && failed != EINVAL) return self->failed(file, Part::naming, "sync the directory of", failed);
    self->worked(file, Part::naming);
    file.has_name_synced = true;
    if (!file.renamed) return self->advance(file, net::read_clocks().mono);
    self->close(file.part);
    self->close(file.folder);
    file.done = true;
    self->counters_.files.add();
    ops::log::info("recording_finished", {{"group", self->place_.group},
                                          {"file", file.final_path()},
                                          {"why", receive::to_text(*file.finished)},
                                          {"bytes", file.written}});
    if (self->on_finished_) self->on_finished_({file.final_path(), *file.finished});
  };
  if (loop_.fsync(file.folder.get(), synced, true) != 0) later(file, file.step_since);
}

void Recording::State::write(File& file, Time now) {
  if (file.under_way.empty()) file.under_way.swap(file.queued);  // else it is tried again
  file.write_since = now;
  const int error =
      loop_.write(file.part.get(), file.under_way, file.written, [self = shared_from_this(), &file](int failed) {
        file.write_since = kNever;
        if (failed != 0) return self->failed(file, Part::writing, "write", failed);
        const Time done = net::read_clocks().mono;
        if (file.synced == file.written) file.sync_at = done + kSyncEvery;
        file.written += file.under_way.size();
        self->counters_.bytes.add(file.under_way.size());
        file.under_way.clear();
        self->worked(file, Part::writing);
        self->advance(file, done);
      });
  if (error != 0) later(file, file.write_since);
}

void Recording::State::sync(File& file, Time now) {
  file.sync_since = now;
  const int error = loop_.fsync(file.part.get(), [self = shared_from_this(), &file, upto = file.written](int failed) {
    file.sync_since = kNever;
    const Time done = net::read_clocks().mono;
    file.sync_at = done + kSyncEvery;
    if (failed != 0 && failed != EINVAL) return self->failed(file, Part::syncing, "sync", failed);
    file.synced = upto;
    self->counters_.syncs.add();
    self->worked(file, Part::syncing);
    self->advance(file, done);
  });
  if (error != 0) later(file, file.sync_since);
}

void Recording::State::rename(File& file, Time now) {
  if (file.renamed) return;
  file.step_since = now;
  const int error = loop_.rename(file.part_path, file.final_path(), [self = shared_from_this(), &file](int failed) {
    if (failed == EINVAL) return self->link(file);
    self->on_named(file, failed);
  });
  if (error != 0) later(file, file.step_since);
}

/// Where rename() cannot but replace.
void Recording::State::link(File& file) {
  const int error = loop_.link(file.part_path, file.final_path(), [self = shared_from_this(), &file](int failed) {
    if (failed != 0) return self->on_named(file, failed);
    if (self->loop_.unlink(file.part_path, [self, &file](int unlinked) { self->on_named(file, unlinked); }) != 0)
      self->on_named(file, 0);
  });
  if (error != 0) later(file, file.step_since);
}

void Recording::State::on_named(File& file, int error) {
  file.step_since = kNever;
  if (error == EEXIST && file.number < kMostNames) {
    ++file.number;
  } else if (error != 0) {
    return failed(file, Part::naming, "rename", error);
  } else {
    file.renamed = true;
    file.has_name_synced = false;  // the new one
  }
  advance(file, net::read_clocks().mono);
}

void Recording::State::close(net::Descriptor& descriptor) {
  if (loop_.close(descriptor.get(), [](int) {}) == 0)
    static_cast<void>(descriptor.release());
  else
    descriptor.reset();
}

// --- trouble ---

void Recording::State::failed(File& file, Part part, const char* what, int error) {
  counters_.errors.add();
  file.retry_at = net::read_clocks().mono + kRetryAfter;
  if (!failing_) begin_trouble(part, file.part_path, what, error);
}

void Recording::State::begin_trouble(Part part, const std::string& file, const char* what, int error) {
  failing_ = part;
  if (trouble_since_ == kNever) trouble_since_ = net::read_clocks().mono;
  problem_ = fmt::format("cannot {} {}: {}; {}", what, file, std::strerror(error), disk_advice(error));
  ops::log::error("recording_failed",
                  {{"group", place_.group},
                   {"reason", problem_},
                   {"hint", "what follows waits in memory, some minutes of it, and is written then"}});
}

void Recording::State::worked(File& file, Part part) {
  if (failing_ ? *failing_ != part : !slow_) return;
  const double lasted = std::chrono::duration<double>(net::read_clocks().mono - trouble_since_).count();
  failing_.reset();
  slow_ = false;
  trouble_since_ = kNever;
  problem_.clear();
  ops::log::info("recording_goes_on", {{"group", place_.group}, {"file", file.part_path}, {"after_seconds", lasted}});
}

void Recording::State::erase_done() {
  std::erase_if(files_, [](const auto& file) { return file->done && !file->busy(); });
}

// --- Recording ---

tl::expected<std::unique_ptr<Recording>, net::Error> Recording::create(net::Loop& loop, const RecordingPlace& place,
                                                                       OnFinished finished) {
  // The last folder only, as for the origin's state: a mistyped path is not built up.
  int error = ::mkdir(place.directory.c_str(), 0750) != 0 && errno != EEXIST ? errno : 0;
  if (error == 0 && ::access(place.directory.c_str(), W_OK | X_OK) != 0) error = errno;
  struct stat of {};
  if (error == 0 && ::stat(place.directory.c_str(), &of) == 0 && !S_ISDIR(of.st_mode)) error = ENOTDIR;
  if (error != 0 && !is_the_disks(error))
    return tl::unexpected{net::Error{"cannot record in " + place.directory + ": " + std::strerror(error) +
                                         "; the group's record directory must be writable, or its parent be there",
                                     ExitCode::cannot_create}};
  auto state = std::make_shared<State>(loop, place, std::move(finished));
  if (error != 0) state->start_in_trouble(error);
  return std::unique_ptr<Recording>{new Recording{std::move(state)}};
}

Recording::Recording(std::shared_ptr<State> state) : state_(std::move(state)) {}
Recording::~Recording() = default;
bool Recording::begin(WallTime started, const std::optional<receive::RecordingGap>& gap, Duration frame) {
  return state_->begin(started, gap, frame);
}
bool Recording::append(Bytes pages) { return state_->append(pages); }
void Recording::finish(receive::FinishedBy why) { state_->finish(why); }
bool Recording::settled() const { return state_->settled(); }
void Recording::on_timer(Time now) { state_->on_timer(now); }
Time Recording::next_deadline() const { return state_->next_deadline(); }
receive::RecordingHealth Recording::health() const { return state_->health(); }
const receive::RecordingCounters& Recording::counters() const { return state_->counters_; }
const RecordingPlace& Recording::place() const { return state_->place_; }

}  // namespace tiercast::store

#include "relay/store/leftovers.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "relay/base/decimal.hpp"
#include "relay/net/descriptor.hpp"
#include "relay/ops/log.hpp"
#include "relay/receive/ogg_repair.hpp"

namespace tiercast::store {
namespace {

constexpr std::size_t kPiece = 256 << 10;
constexpr std::size_t kStamp = 16;  // YYYYMMDDTHHMMSSZ
constexpr std::size_t kTag = 8;
constexpr std::string_view kPart = ".part";

std::optional<std::uint64_t> number(std::string_view text) { return from_decimal<std::uint64_t>(text); }

/// 0 or an errno.
int scan(int file, receive::OggScan& out) {
  std::vector<std::uint8_t> piece(kPiece);
  while (true) {
    const ssize_t got = ::read(file, piece.data(), piece.size());
    if (got == 0) return 0;
    if (got > 0) out.add(Bytes{piece}.first(static_cast<std::size_t>(got)));
    if (got < 0 && errno != EINTR) return errno;
  }
}

int write_at(int file, Bytes bytes, std::uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t done = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return done < 0 ? errno : EIO;
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    at += static_cast<std::uint64_t>(done);
  }
  return 0;
}

/// Without its end, where there is no room for that, a file plays as well.
int mend(int file, const receive::OggFacts& facts) {
  if (::ftruncate(file, static_cast<off_t>(facts.whole)) != 0) return errno;
  if (!facts.ended) {
    const auto end = receive::ogg_end_page(facts);
    if (const int error = write_at(file, end, facts.whole); error != 0) {
      if (error != ENOSPC && error != EDQUOT) return error;
      if (::ftruncate(file, static_cast<off_t>(facts.whole)) != 0) return errno;
    }
  }
  return ::fsync(file) == 0 ? 0 : errno;
}

/// Where the name is taken, "-2" and so on. Never over a file. 0 or an errno.
int give_name(const std::string& part, const std::string& base, std::string& path) {
  for (unsigned n = 1; n <= Recording::kMostNames; ++n) {
    path = base + (n == 1 ? "" : "-" + std::to_string(n)) + ".opus";
    int error = ::renameat2(AT_FDCWD, part.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0 ? 0 : errno;
    if (error == EINVAL) {  // this file system's rename() cannot but replace
      error = ::link(part.c_str(), path.c_str()) == 0 ? 0 : errno;
      if (error == 0) ::unlink(part.c_str());
    }
    if (error != EEXIST) return error;
  }
  return EEXIST;
}

std::optional<Leftover> not_recovered(const RecordingPlace& place, const std::string& file, int error) {
  ops::log::error("recording_not_recovered", {{"group", place.group},
                                              {"file", file},
                                              {"reason", std::strerror(error)},
                                              {"hint", disk_advice(error) + "; the next start tries again"}});
  return std::nullopt;
}

std::optional<Leftover> recover_one(const RecordingPlace& place, const std::string& name) {
  const std::string part = place.directory + "/" + name;
  const net::Descriptor file{::open(part.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  struct stat of {};
  if (!file || ::fstat(file.get(), &of) != 0) return not_recovered(place, part, errno);
  if (!S_ISREG(of.st_mode)) return not_recovered(place, part, EINVAL);
  receive::OggScan found;
  if (const int error = scan(file.get(), found); error != 0) return not_recovered(place, part, error);
  const receive::OggFacts& facts = found.facts();
  if (!facts.audio) {
    ops::log::info("recording_removed", {{"group", place.group}, {"file", part}, {"reason", "nothing was in it yet"}});
    return ::unlink(part.c_str()) == 0 ? std::nullopt : not_recovered(place, part, errno);
  }
  Leftover out;
  // GROUP-TIME; what number it had beside others of that second does not matter any more.
  const std::string base = place.directory + "/" + name.substr(0, place.group.size() + 1 + kStamp);
  int error = mend(file.get(), facts);
  if (error == 0) error = give_name(part, base, out.path);
  if (error != 0) return not_recovered(place, part, error);
  const auto first = number(facts.comment("TIERCAST_SEQUENCE")), frame = number(facts.comment("TIERCAST_FRAME_MS"));
  if (first && frame && *frame > 0)
    out.next = Sequence{*first + static_cast<std::uint64_t>(facts.samples) / (*frame * 48)};
  ops::log::warning("recording_recovered", {{"group", place.group},
                                            {"file", out.path},
                                            {"seconds", static_cast<double>(facts.samples) / 48000},
                                            {"cut_off_bytes", static_cast<std::uint64_t>(of.st_size) - facts.whole}});
  return out;
}

}  // namespace

bool is_leftover(const std::string& name, const RecordingPlace& place) {
  std::string_view rest = name;
  const std::string head = place.group + "-", middle = ".opus." + place.node + "-";
  const std::size_t tail = middle.size() + kTag + kPart.size();
  if (rest.size() < head.size() + kStamp + tail || !rest.starts_with(head)) return false;
  const std::string_view stamp = rest.substr(head.size(), kStamp), end = rest.substr(rest.size() - tail);
  const std::string_view between = rest.substr(head.size() + kStamp, rest.size() - tail - head.size() - kStamp);
  const bool stamped = stamp[8] == 'T' && stamp[15] == 'Z' && number(stamp.substr(0, 8)) && number(stamp.substr(9, 6));
  const bool numbered = between.empty() || (between[0] == '-' && number(between.substr(1)));
  return stamped && numbered && end.starts_with(middle) && end.ends_with(kPart) &&
         end.substr(middle.size(), kTag) != place.tag;
}

std::vector<Leftover> recover(const RecordingPlace& place) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry{place.directory, error}, none; !error && entry != none;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (is_leftover(name, place)) names.push_back(name);
  }
  if (error && error.value() != ENOENT) not_recovered(place, place.directory, error.value());
  std::sort(names.begin(), names.end());
  std::vector<Leftover> out;
  for (const std::string& name : names)
    if (auto one = recover_one(place, name)) out.push_back(std::move(*one));
  if (names.empty()) return out;
  const net::Descriptor folder{::open(place.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (folder) ::fsync(folder.get());
  return out;
}

}  // namespace tiercast::store

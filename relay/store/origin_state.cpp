// The file's form (fixed size, big-endian; read by nobody else, so no part of the protocol) and the system calls that
// make it last.
#include "relay/store/origin_state.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "crypto/blake2b.hpp"
#include "crypto/secret.hpp"
#include "relay/base/exit_code.hpp"
#include "relay/store/write_all.hpp"

namespace tiercast::store {

namespace {

// "tiercast", version u16, machine 16 B, boot 16 B, group u24, source u8, last u48, at u64 ns of the monotonic clock,
// the clock's point (frame_ms u8, sequence u48, due u64 ns of the same clock, ssrc u32, RTP timestamp u32), highest
// u32, has current u8, announced u8, 3 × (number u32, made u64 s, value 32 B; the current one first, absent ones zero),
// BLAKE2b-128 of all before.
constexpr std::string_view kMagic = "tiercast";
constexpr std::uint64_t kVersion = 3;
constexpr std::size_t kHash = 16;
constexpr std::size_t kEpochs = 1 + wire::kEpochsAhead;
constexpr std::size_t kBody =
    8 + 2 + 2 * kHash + 3 + 1 + 6 + 8 + (1 + 6 + 8 + 4 + 4) + 4 + 1 + 1 + kEpochs * (4 + 8 + wire::kEpochValue);
constexpr std::size_t kFile = kBody + kHash;
// Numbers that no clock gives: rather damage than the end of all numbers.
constexpr std::uint32_t kHighestEpoch = 0xffffff00;
constexpr std::uint64_t kHighestSequence = std::uint64_t{1} << 47;

using Hash = std::array<std::uint8_t, kHash>;
using Buffer = crypto::Scratch<kFile>;  // epochs' values are keys

OriginStateError failed(const std::string& path, std::string_view doing, int error) {
  const bool permission = error == EACCES || error == EPERM;
  return {fmt::format("{}: {}: {}{}", path, doing, std::strerror(error),
                      permission ? "; the directory must belong to the user that the node runs as" : ""),
          permission ? ExitCode::permission : ExitCode::os};
}

OriginStateError damaged(const std::string& path, std::string_view how) {
  return {
      fmt::format("{}: the origin's state is damaged ({}). Restore the file, or move it away: then the origin makes "
                  "new epochs, and its sequences follow the clock",
                  path, how),
      ExitCode::data};
}

std::string file_name(GroupId group, SourceId source) { return fmt::format("origin-{}-{}", group.value, source.value); }

Hash checksum(Bytes body) {
  Hash hash{};
  crypto::Blake2b(kHash).add(body).finish(hash);
  return hash;
}

/// systemd asks that machine-id(5) leave the machine only hashed with a use of its own. Zeros: it cannot be read.
Hash id_hash(const std::string& file) {
  std::string id;
  std::getline(std::ifstream(file), id);
  Hash hash{};
  if (id.empty()) return hash;
  crypto::Blake2b(kHash).add("tiercast origin state").add(id).finish(hash);
  return hash;
}

/// Reads to the end, or until `into` is full; nullopt with errno on failure.
std::optional<std::size_t> read_all(int file, MutableBytes into) {
  std::size_t have = 0;
  while (have < into.size()) {
    const ssize_t n = ::read(file, into.data() + have, into.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  return have;
}

void write_epoch(Writer& out, const publish::ScheduledEpoch* epoch) {
  if (epoch == nullptr)
    out.zeros(4 + 8 + wire::kEpochValue);
  else
    out.u32(epoch->number.value).u64(epoch->made_unix_s).bytes(epoch->value);
}

publish::ScheduledEpoch read_epoch(Reader& in) {
  publish::ScheduledEpoch epoch;
  epoch.number = Epoch{in.u32()};
  epoch.made_unix_s = in.u64();
  epoch.value = in.array<wire::kEpochValue>();
  return epoch;
}

std::optional<Time> read_time(Reader& in) {
  const std::uint64_t ns = in.u64();
  if (ns > static_cast<std::uint64_t>(Time::max().time_since_epoch().count())) return std::nullopt;
  return Time{Duration{static_cast<Duration::rep>(ns)}};
}

std::uint64_t nanoseconds(Time time) {
  return static_cast<std::uint64_t>(std::max(time.time_since_epoch(), Duration{0}).count());
}

/// What stands between source and checksum. nullopt: values that save() never writes.
std::optional<SourceState> read_state(Reader& in) {
  SourceState state;
  state.last = Sequence{in.u48()};
  const auto at = read_time(in);
  state.point.frame_ms = in.u8();
  state.point.sequence = Sequence{in.u48()};
  const auto due = read_time(in);
  state.point.ssrc = in.u32();
  state.point.rtp_timestamp = in.u32();
  if (!at || !due || state.point.frame_ms == 0 || state.point.sequence.value > kHighestSequence) return std::nullopt;
  state.at = *at;
  state.point.due = *due;
  state.epochs.highest = Epoch{in.u32()};
  const std::uint8_t has_current = in.u8();
  const std::uint8_t announced = in.u8();
  if (has_current > 1 || announced > wire::kEpochsAhead) return std::nullopt;
  if (state.last.value > kHighestSequence || state.epochs.highest.value > kHighestEpoch) return std::nullopt;
  const publish::ScheduledEpoch current = read_epoch(in);
  Epoch before;
  if (has_current == 1) {
    state.epochs.current = current;
    before = current.number;
  }
  for (std::size_t i = 0; i < announced; ++i) {
    state.epochs.announced.push_back(read_epoch(in));
    if (state.epochs.announced.back().number <= before) return std::nullopt;
    before = state.epochs.announced.back().number;
  }
  if (before > state.epochs.highest) return std::nullopt;
  return state;
}

}  // namespace

tl::expected<OriginState, OriginStateError> OriginState::open(const std::string& directory,
                                                              const std::string& machine_id_file,
                                                              const std::string& boot_id_file) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return tl::unexpected(failed(directory, "cannot make the state directory", errno));
  net::Descriptor folder{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!folder) return tl::unexpected(failed(directory, "cannot open the state directory", errno));
  const std::string lock_path = directory + "/lock";
  net::Descriptor lock{::openat(folder.get(), "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!lock) return tl::unexpected(failed(lock_path, "cannot open", errno));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return tl::unexpected(failed(lock_path, "cannot lock", errno));
    std::array<std::uint8_t, 16> owner{};
    const std::size_t size = read_all(lock.get(), owner).value_or(0);
    std::string_view pid{reinterpret_cast<const char*>(owner.data()), size};
    pid = pid.substr(0, pid.find('\n'));
    return tl::unexpected(OriginStateError{
        fmt::format("{}: another tiercast process{}{} uses this state directory: two origins must never share one; "
                    "stop it, or give this node a directory of its own (node.state)",
                    directory, pid.empty() ? "" : ", pid ", pid),
        ExitCode::unavailable});
  }
  // Only for the message above.
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(lock.get(), 0) != 0 || !write_all(lock.get(), crypto::as_bytes(pid)))
    return tl::unexpected(failed(lock_path, "cannot write", errno));
  return OriginState{directory, std::move(folder), std::move(lock), id_hash(machine_id_file), id_hash(boot_id_file)};
}

tl::expected<LoadedSource, OriginStateError> OriginState::load(GroupId group, SourceId source) const {
  const std::string name = file_name(group, source);
  const std::string path = directory_ + "/" + name;
  const net::Descriptor file{::openat(folder_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  if (!file) {
    if (errno == ENOENT) return LoadedSource{};
    return tl::unexpected(failed(path, "cannot open", errno));
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return tl::unexpected(failed(path, "cannot stat", errno));
  if (!S_ISREG(status.st_mode)) return tl::unexpected(damaged(path, "not a regular file"));
  if ((status.st_mode & 077) != 0)
    return tl::unexpected(OriginStateError{
        fmt::format("{}: mode {:04o}: others can read or write the keys of this source; chmod 600 {}, and rotate", path,
                    status.st_mode & 07777, path),
        ExitCode::permission});
  Buffer buffer;
  const auto size = read_all(file.get(), buffer.bytes());
  if (!size) return tl::unexpected(failed(path, "cannot read", errno));
  const Bytes bytes = buffer.view();
  Reader in{bytes.first(kBody)};
  const Bytes magic = in.bytes(kMagic.size());
  const auto version = in.u16();
  const bool ours = *size >= kMagic.size() + 2 && std::memcmp(magic.data(), kMagic.data(), kMagic.size()) == 0;
  if (ours && version != kVersion)
    return tl::unexpected(OriginStateError{
        fmt::format("{}: version {} of the file, this program reads {}; run the program that wrote it, or move the "
                    "file away: then the origin makes new epochs, and its sequences follow the clock",
                    path, version, kVersion),
        ExitCode::data});
  if (status.st_size != static_cast<off_t>(kFile) || *size != kFile)
    return tl::unexpected(damaged(path, fmt::format("{} bytes in place of {}", status.st_size, kFile)));
  if (!ours) return tl::unexpected(damaged(path, "it does not begin as one"));
  const Hash sum = checksum(bytes.first(kBody));
  if (!std::equal(sum.begin(), sum.end(), bytes.begin() + kBody))
    return tl::unexpected(damaged(path, "its checksum is wrong"));
  const Hash machine = in.array<kHash>();
  const Hash boot = in.array<kHash>();
  if (GroupId{in.u24()} != group || SourceId{in.u8()} != source)
    return tl::unexpected(damaged(path, "it is another source's"));
  const auto state = read_state(in);
  if (!state) return tl::unexpected(damaged(path, "impossible values"));
  LoadedSource loaded{*state, {}};
  if (machine != machine_ || boot != boot_ || boot == Hash{}) loaded.state.at = kNever;
  if (machine != machine_) {
    loaded.state.epochs.current.reset();
    loaded.state.epochs.announced.clear();
    loaded.warning = fmt::format(
        "{}: written on another machine: its epochs are not used, new ones are made. Two origins must not run from "
        "copies of one state",
        path);
  }
  return loaded;
}

tl::expected<void, OriginStateError> OriginState::save(GroupId group, SourceId source, const SourceState& state) const {
  Buffer buffer;
  Writer out{buffer.bytes()};
  out.bytes(crypto::as_bytes(kMagic)).u16(kVersion).bytes(machine_).bytes(boot_);
  out.u24(group.value).u8(source.value);
  out.u48(state.last.value).u64(nanoseconds(state.at));
  out.u8(state.point.frame_ms).u48(state.point.sequence.value).u64(nanoseconds(state.point.due));
  out.u32(state.point.ssrc).u32(state.point.rtp_timestamp).u32(state.epochs.highest.value);
  const auto& announced = state.epochs.announced;
  out.u8(state.epochs.current ? 1 : 0).u8(announced.size());
  write_epoch(out, state.epochs.current ? &*state.epochs.current : nullptr);
  for (std::size_t i = 0; i < wire::kEpochsAhead; ++i) write_epoch(out, i < announced.size() ? &announced[i] : nullptr);
  out.bytes(checksum(Bytes{buffer.view()}.first(kBody)));

  const std::string name = file_name(group, source);
  const std::string aside = name + ".new";
  const std::string path = directory_ + "/" + aside;
  // A file left by a process that was killed here may have any mode: it goes first.
  ::unlinkat(folder_.get(), aside.c_str(), 0);
  net::Descriptor file{
      ::openat(folder_.get(), aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!file) return tl::unexpected(failed(path, "cannot create", errno));
  int error = 0;
  if (!write_all(file.get(), buffer.view()) || ::fsync(file.get()) != 0) error = errno;
  file.reset();
  if (error == 0 && ::renameat(folder_.get(), aside.c_str(), folder_.get(), name.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlinkat(folder_.get(), aside.c_str(), 0);
    return tl::unexpected(failed(path, "cannot write", error));
  }
  if (::fsync(folder_.get()) != 0) return tl::unexpected(failed(directory_, "cannot write", errno));
  return {};
}

}  // namespace tiercast::store

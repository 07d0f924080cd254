// tiercast check: everything that would keep a node from starting, without starting it.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "config/document.hpp"
#include "relay/base/exit_code.hpp"
#include "relay/cli/commands.hpp"
#include "relay/cli/endings.hpp"
#include "relay/cli/load_config.hpp"
#include "relay/node/media_file.hpp"

namespace tiercast::cli {
namespace {

std::string counted(std::size_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

/// "origin oslo (public key …): groups main, second; listens on …; 2 upstreams".
std::string summary(const config::Config& config, const crypto::PrivateKey& key) {
  std::string out = (config.is_origin() ? "origin " : "relay ") + config.node.name;
  if (!config.node.key.unavailable) out += " (public key " + crypto::to_base64(crypto::node_public_key(key)) + ")";
  out += config.groups.size() == 1 ? ": group" : ": groups";
  for (std::size_t i = 0; i < config.groups.size(); ++i) out += (i == 0 ? " " : ", ") + config.groups[i].name;
  if (config.listen) {
    const auto& addresses = config.listen->addresses;
    for (std::size_t i = 0; i < addresses.size(); ++i)
      out += (i == 0 ? "; listens on " : i + 1 < addresses.size() ? ", " : " and ") + to_string(addresses[i]);
    out += " with " + counted(config.listen->workers, "worker");
  }
  if (!config.upstreams.empty()) out += "; " + counted(config.upstreams.size(), "upstream");
  if (!config.downstreams.empty()) out += "; " + counted(config.downstreams.size(), "relay") + " below";
  if (config.edges)
    out +=
        "; " + counted(config.edges->list.count(), "edge") + " of serial " + std::to_string(config.edges->list.serial);
  return out;
}

/// Opens what is a file. Not a pipe: its writer would see that it is closed again.
LoadFailure check_media(const config::Config& config) {
  LoadFailure out;
  for (const config::Group& group : config.groups) {
    if (!group.source || group.source->kind == config::InputKind::rtp || group.source->reads_standard_input()) continue;
    std::error_code unknown;  // opening it says more
    const auto status = std::filesystem::status(group.source->file, unknown);
    if (std::filesystem::is_other(status)) continue;
    if (const auto file = node::MediaFile::open(*group.source, group.frame_ms); !file) {
      out.exit_code = file.error().exit_code;
      out.problems.push_back(file.error().text);
    }
  }
  return out;
}

/// What cannot be known from here, as another user may run the node, perhaps once: looked at, and only told.
void note_recordings(const config::Config& config, const std::string& file) {
  for (const config::Group& group : config.groups) {
    if (!group.record) continue;
    const auto note = [&](const std::string& text) {
      std::fprintf(stderr, "%s: note: group \"%s\": %s\n", file.c_str(), group.name.c_str(), text.c_str());
    };
    std::error_code unknown;
    const std::filesystem::path directory = group.record->directory;
    if (!std::filesystem::is_directory(directory, unknown) &&
        !std::filesystem::is_directory(directory.parent_path(), unknown))
      note("neither the record directory " + directory.string() +
           " nor its parent is there: the node makes the last folder only");
    if (group.record->finished.empty()) continue;
    const std::string& program = group.record->finished.front();
    if (::access(program.c_str(), X_OK) != 0) {
      const int error = errno;
      note(program + ", to be run with finished recordings, cannot be run: " + std::strerror(error));
    }
  }
}

/// A drop-in's: the unit's own ListenDatagram= lines are dropped, and one is added for joins and one a worker.
std::string socket_unit(const config::Listen& listen, const std::string& file) {
  std::string out = "# /etc/systemd/system/tiercast@NAME.socket.d/listen.conf, from " + config::printable(file) + "\n" +
                    "[Socket]\nListenDatagram=\n";
  for (const Endpoint& address : listen.addresses) {
    out += "# one for joins, " + counted(listen.workers, "worker") + "\n";
    for (unsigned s = 0; s < 1 + listen.workers; ++s) out += "ListenDatagram=" + to_string(address) + "\n";
  }
  return out;
}

int report(const LoadFailure& failure, int exit_code) {
  for (const std::string& problem : failure.problems) std::fprintf(stderr, "%s\n", problem.c_str());
  return exit_code;
}

}  // namespace

int run(const CheckOptions& options) {
  const auto config = load_config(options.config, true);
  if (!config) return report(config.error(), config.error().exit_code);
  if (options.print_socket_unit) {
    if (config->listen) return print(socket_unit(*config->listen, options.config));
    return report({ExitCode::config, {options.config + ": no [listen], so that it needs no socket unit"}},
                  ExitCode::config);
  }
  const auto keys = load_keys(*config);
  if (!keys) return report(keys.error(), ExitCode::config);
  if (const LoadFailure media = check_media(*config); !media.problems.empty()) return report(media, media.exit_code);
  for (const std::string& key : keys->unread)
    std::fprintf(stderr, "%s: note: %s is not looked at: only the unit with its LoadCredential= has it\n",
                 options.config.c_str(), key.c_str());
  note_recordings(*config, options.config);
  return print(options.config + ": ok: " + summary(*config, keys->node) + "\n");
}

}  // namespace tiercast::cli

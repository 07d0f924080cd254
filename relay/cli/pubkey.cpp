// tiercast pubkey: the public key of a private one, from stdin or a key file.
#include <unistd.h>

#include <cstdio>

#include "relay/base/exit_code.hpp"
#include "relay/cli/commands.hpp"
#include "relay/cli/keys.hpp"
#include "relay/store/key_file.hpp"

namespace tiercast::cli {

int print_public_key(KeyKind kind, const crypto::PrivateKey& key) {
  const crypto::PublicKey public_key =
      kind == KeyKind::node ? crypto::node_public_key(key) : crypto::signing_public_key(key);
  std::printf("%s\n", crypto::to_base64(public_key).c_str());
  return std::fflush(stdout) == 0 ? ExitCode::ok : ExitCode::cannot_create;
}

int run(const PubkeyOptions& options) {
  const auto key = options.file.empty() ? store::read_private_key(STDIN_FILENO, "standard input")
                                        : store::read_private_key(config::KeyRef{options.file, false});
  if (!key) {
    std::fprintf(stderr, "tiercast pubkey: %s\n", key.error().text.c_str());
    return key.error().exit_code;
  }
  return print_public_key(options.kind, *key);
}

}  // namespace tiercast::cli

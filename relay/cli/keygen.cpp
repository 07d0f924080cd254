// tiercast keygen: a new private key, to stdout or into a file of its own.
#include <unistd.h>

#include <cstdio>

#include "crypto/random.hpp"
#include "relay/cli/commands.hpp"
#include "relay/cli/keys.hpp"
#include "relay/store/key_file.hpp"

namespace tiercast::cli {

int run(const KeygenOptions& options) {
  crypto::SystemRandom random;
  const crypto::PrivateKey key = crypto::generate_private_key(random);
  // Never through stdio: its buffer would keep the key.
  const auto written = options.output.empty() ? store::write_private_key(STDOUT_FILENO, "standard output", key)
                                              : store::create_private_key(options.output, key);
  if (!written) {
    std::fprintf(stderr, "tiercast keygen: %s\n", written.error().text.c_str());
    return written.error().exit_code;
  }
  return options.output.empty() ? 0 : print_public_key(options.kind, key);
}

}  // namespace tiercast::cli

// Private key files, as WireGuard has them: 32 bytes in base64 on one line, readable by their owner alone. What is read
// never lies in memory that is not wiped. Knows nothing of what the keys are for.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "config/config.hpp"
#include "crypto/keys.hpp"

namespace tiercast::store {

struct KeyFileError {
  std::string text;   // "PATH: reason; what to do"
  int exit_code = 0;  // relay/base/exit_code.hpp
};

/// Opens and reads a key file. The opened file must be regular, ours or root's, and without any permission for group
/// and others; a credential's owner and mode are systemd's affair. Symbolic links are followed.
tl::expected<crypto::PrivateKey, KeyFileError> read_private_key(const config::KeyRef& key);

/// Reads a key to the end of an open file (a pipe too) that stays the caller's; `name` is for messages.
tl::expected<crypto::PrivateKey, KeyFileError> read_private_key(int file, const std::string& name);

/// Creates the file with mode 0600, and its contents are on the disk on return. Never overwrites.
tl::expected<void, KeyFileError> create_private_key(const std::string& path, const crypto::PrivateKey& key);

/// Writes the key and a newline to an open file that stays the caller's; `name` is for messages.
tl::expected<void, KeyFileError> write_private_key(int file, const std::string& name, const crypto::PrivateKey& key);

}  // namespace tiercast::store

// One function a subcommand; each returns the process's exit status (relay/base/exit_code.hpp). Results go to stdout,
// all else to stderr.
#pragma once

#include "relay/cli/options.hpp"

namespace tiercast::cli {

int run(const RunOptions& options);
int run(const CheckOptions& options);
int run(const KeygenOptions& options);
int run(const PubkeyOptions& options);
int run(const EdgesSignOptions& options);
int run(const EdgesCheckOptions& options);
int run(const ListenOptions& options);
int run(const StatusOptions& options);
int run(const EndOptions& options);
int run(const RotateOptions& options);
int run(const ReloadOptions& options);
int run(const DrainOptions& options);
int run(const BenchFanoutOptions& options);
int run(const LoadOptions& options);
int run(const BenchSealOptions& options);
int run(const BenchJoinOptions& options);
int run(const BenchRefuseOptions& options);

}  // namespace tiercast::cli

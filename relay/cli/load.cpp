// tiercast load: many listeners, and what each of them got.
#include <algorithm>
#include <cstdio>

#include "relay/base/exit_code.hpp"
#include "relay/cli/commands.hpp"
#include "relay/cli/endings.hpp"
#include "relay/measure/load.hpp"
#include "relay/net/resolve.hpp"

namespace tiercast::cli {
namespace {

bool is_loopback(const Endpoint& endpoint) { return endpoint.is_v4() && endpoint.ip[12] == 127; }

}  // namespace

int run(const LoadOptions& options) {
  const auto addresses = net::resolve(options.edge);
  if (!addresses) return complain(addresses.error());
  measure::LoadSetup setup;
  // Of a name with addresses of both families, that of the listeners'.
  const auto fits = [&](const Endpoint& a) { return !options.from || a.is_v4() == options.from->first.is_v4(); };
  const auto at = std::find_if(addresses->begin(), addresses->end(), fits);
  setup.edge = at == addresses->end() ? addresses->front() : *at;
  if (!options.from && !is_loopback(setup.edge))
    return complain(
        {"--from: which addresses shall the listeners have? Give a prefix that is this machine's, towards " +
             to_string(setup.edge),
         ExitCode::usage});
  setup.from = options.from ? options.from->first : *parse_endpoint("127.64.0.0:0");
  setup.prefix = options.from ? options.from->prefix : 10;
  setup.plan.edge = options.key;
  setup.plan.group = options.group;
  for (const auto& source : options.source_keys) setup.plan.sources.push_back({source.id, source.key});
  setup.plan.listeners = options.listeners;
  setup.plan.ramp = options.ramp;
  setup.plan.churn = options.churn;
  setup.plan.sample = options.sample;
  setup.seconds = options.seconds;
  setup.count_on = options.count_on;
  const auto report = measure::run_load(setup);
  if (!report) return complain(report.error());
  const std::string out = options.json ? to_json(*report) + "\n" : to_text(*report);
  if (std::fputs(out.c_str(), stdout) < 0 || std::fflush(stdout) != 0) return ExitCode::io;
  const std::string wrong = judge(*report);
  if (wrong.empty()) return ExitCode::ok;
  return complain({wrong, ExitCode::unavailable});
}

}  // namespace tiercast::cli

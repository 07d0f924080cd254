// A node's status for people: what it is, whom it hears, whom it serves, and what was dropped.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace tiercast::cli {

/// `status`: what the admin socket answers to "status". Fits 100 columns.
std::string status_text(const nlohmann::ordered_json& status);

}  // namespace tiercast::cli

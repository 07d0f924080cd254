// The one translation unit with doctest's main.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "crypto/secret.hpp"

int main(int argc, char** argv) {
  if (!tiercast::crypto::initialise()) return 71;
  doctest::Context context(argc, argv);
  return context.run();
}

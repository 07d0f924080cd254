// What most tests include and takes long to parse, precompiled by the Makefile. No file includes this one.
#include <doctest/doctest.h>

#include "tests/support/prelude.hpp"

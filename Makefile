# tiercast: `make` builds, `make test` runs everything, `make help` lists the rest.
# Each mode has a folder of its own below build/, so that switching between them rebuilds nothing.

BUILD    ?= build/release
PREFIX   ?= /usr/local
CXX      ?= g++
CLANG    ?= clang
CXXSTD    = -std=c++20
WARNINGS  = -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor
OPTIMISE ?= -O2 -g
SANITIZE ?=
CPPFLAGS += -I. -DTIERCAST_VERSION='"$(VERSION)"'
CXXFLAGS += $(CXXSTD) $(WARNINGS) $(OPTIMISE) -fstack-protector-strong $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
LDFLAGS  += $(if $(SANITIZE),-fsanitize=$(SANITIZE)) -pthread
# The shared liburing of Debian 12 lacks symbols that its header names: link the archive.
LDLIBS   += -l:liburing.a -lsodium -lopus -logg -lspeexdsp -lfmt -lbpf
TEST_LIBS = -lopusfile
VERSION  := 0.1.0

# ONLY="crypto relay/base": build and test just those folders (`make unit ONLY=…`), for work on one part.
FOLDERS  ?= $(if $(ONLY),$(ONLY),crypto config $(sort $(wildcard relay/*)))
SOURCES   = $(filter-out relay/main.cpp,$(foreach d,$(FOLDERS),$(wildcard $(d)/*.cpp)))
OBJECTS   = $(SOURCES:%.cpp=$(BUILD)/%.o)
TESTS     = $(wildcard tests/support/*.cpp) $(foreach d,$(FOLDERS),$(wildcard tests/$(d:relay/%=%)/*.cpp))
TEST_OBJECTS = $(TESTS:%.cpp=$(BUILD)/%.o)
PROGRAM   = $(BUILD)/tiercast
UNIT      = $(BUILD)/unit
SWARM     = $(BUILD)/swarm

.PHONY: all unit test asan ubsan tsan lint format bench install clean help
.DELETE_ON_ERROR:

all: $(PROGRAM)

help:
	@echo 'all (default)  $(PROGRAM)'
	@echo 'unit           run the unit tests; ONLY="crypto relay/base" for some folders, ARGS= for doctest'
	@echo 'test           unit tests, then the tests with real processes in network namespaces (root)'
	@echo 'asan ubsan tsan  unit tests under a sanitizer'
	@echo 'bench          fan-out next to the bare sendmmsg loop; a whole node and its leases'
	@echo 'lint format    clang-tidy; clang-format in place'
	@echo 'install        DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)'

$(PROGRAM): $(BUILD)/relay/main.o $(OBJECTS)
	$(CXX) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(UNIT): $(TEST_OBJECTS) $(OBJECTS)
	$(CXX) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(TEST_LIBS)

# opusfile.h, which only tests include, finds its neighbours by bare names. Of the tests' own code the time to compile
# it counts, not its speed: under sanitizers this takes a third of it.
$(BUILD)/tests/%.o: CPPFLAGS += -isystem /usr/include/opus -DDOCTEST_CONFIG_SUPER_FAST_ASSERTS
$(BUILD)/tests/%.o: override OPTIMISE := $(if $(SANITIZE),-O0,-O1) -g

$(BUILD)/%.o: %.cpp Makefile
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -c -o $@ $<

# The program that the kernel runs for the xdp backend, and the file that has it in itself (.incbin, by -Wa,-I). clang
# knows only the headers of its own machine's architecture by itself, not those of the target bpf.
$(BUILD)/%.bpf.o: %.bpf.c relay/net/xdp/layout.h Makefile
	@mkdir -p $(@D)
	$(CLANG) -O2 -g -Wall -target bpf -I. -idirafter /usr/include/$(shell $(CXX) -print-multiarch) -c -o $@ $<

$(BUILD)/relay/net/xdp_program.o: $(BUILD)/relay/net/xdp/fan_out.bpf.o
$(BUILD)/relay/net/xdp_program.o: CXXFLAGS += -Wa,-I$(BUILD)/relay/net/xdp

# A thousand listeners in one process, for tests/system.
$(SWARM): $(BUILD)/tests/system/swarm.o $(OBJECTS)
	$(CXX) $(LDFLAGS) -o $@ $^ $(LDLIBS)

unit: $(UNIT)
	$(UNIT) $(ARGS)

test: $(PROGRAM) $(UNIT)
	scripts/test

asan:  # the program too: tests/system gives it junk
	$(MAKE) all unit BUILD=build/asan SANITIZE=address,undefined OPTIMISE='-O1 -g'
ubsan:
	$(MAKE) unit BUILD=build/ubsan SANITIZE=undefined OPTIMISE='-O1 -g'
tsan:
	$(MAKE) unit BUILD=build/tsan SANITIZE=thread OPTIMISE='-O1 -g'

bench: $(PROGRAM) $(SWARM)
	scripts/bench/fanout $(PROGRAM)
	scripts/bench/node $(BUILD)

lint:
	clang-format --dry-run --Werror $$(git ls-files '*.cpp' '*.hpp')
	clang-tidy --quiet $$(git ls-files '*.cpp' | grep -v '^tests/') -- $(CPPFLAGS) $(CXXSTD)
format:
	clang-format -i $$(git ls-files '*.cpp' '*.hpp')

install: $(PROGRAM)
	install -D -m 0755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/tiercast
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/doc/tiercast/examples
	for unit in tiercast@.service tiercast@.socket; do \
	  sed 's|@PREFIX@|$(PREFIX)|g' systemd/$$unit.in > $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit; done
	install -m 0644 config/examples/*.toml $(DESTDIR)$(PREFIX)/share/doc/tiercast/examples/
	install -m 0644 README.md crypto/PROTOCOL.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/tiercast/

clean:
	rm -rf build

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# tiercast: `make` builds, `make test` runs everything, `make help` lists the rest.
# Each mode has a folder of its own below build/, so that switching between them rebuilds nothing.

BUILD    ?= build/release
PREFIX   ?= /usr/local
CXX      ?= g++
CLANG    ?= clang
CXXSTD    = -std=c++20
WARNINGS  = -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor
# -g1 is what a backtrace needs, and a quarter less to compile; for a debugger make OPTIMISE='-O0 -g' BUILD=build/debug.
OPTIMISE ?= $(if $(SANITIZE),-Og,-O2) -g1
SANITIZE ?=
CPPFLAGS += -I. -DTIERCAST_VERSION='"$(VERSION)"'
CXXFLAGS += $(CXXSTD) $(WARNINGS) $(OPTIMISE) -fstack-protector-strong $(if $(SANITIZE),-fsanitize=$(SANITIZE) $(if $(UNCHECKED),-fno-sanitize=$(UNCHECKED)) -fno-sanitize-recover=all -fno-omit-frame-pointer)
LDFLAGS  += $(if $(SANITIZE),-fsanitize=$(SANITIZE)) -pthread
# The shared liburing of Debian 12 lacks symbols that its header names: link the archive.
LDLIBS   += -l:liburing.a -lsodium -lopus -logg -lspeexdsp -lisal -lfmt -lbpf -lcap
TEST_LIBS = -lopusfile
VERSION  := 0.1.0

# ONLY="crypto relay/base": build and test just those folders (`make unit ONLY=…`), for work on one part.
FOLDERS  ?= $(if $(ONLY),$(ONLY),crypto config $(sort $(wildcard relay/*)))
SOURCES   = $(filter-out relay/main.cpp,$(foreach d,$(FOLDERS),$(wildcard $(d)/*.cpp)))
# A folder is compiled at once, in half the time of its files. EACH=1 compiles each file alone: for work on one of them,
# and to see what it forgot to include.
objects   = $(if $(EACH),$(2:%.cpp=$(1)/%.o),$(patsubst %,$(1)/%/folder.o,$(sort $(patsubst %/,%,$(dir $(2))))))
OBJECTS   = $(call objects,$(BUILD),$(SOURCES))
# Each test is in a namespace of its own, so that a folder of them can be compiled at once too: in a third of the time.
SUPPORT   = $(wildcard tests/support/*.cpp)
TESTS     = $(SUPPORT) $(foreach d,$(FOLDERS),$(wildcard tests/$(d:relay/%=%)/*.cpp))
# `make asan` links the plain build's objects of tests with the sanitized program: they take as long to compile as it does.
TEST_BUILD  ?= $(BUILD)
# Those of some files that TESTS="…" names are compiled each alone.
TEST_OBJECTS = $(if $(filter command,$(firstword $(origin TESTS))),$(TESTS:%.cpp=$(TEST_BUILD)/%.o),$(SUPPORT:%.cpp=$(TEST_BUILD)/%.o) $(call objects,$(TEST_BUILD),$(filter-out $(SUPPORT),$(TESTS))))
PROGRAM   = $(BUILD)/tiercast
UNIT      = $(BUILD)/unit
SWARM     = $(BUILD)/swarm
MAIN_OBJECT  = $(BUILD)/relay/main.o
SWARM_OBJECT = $(BUILD)/tests/system/swarm.o
SIM       = $(BUILD)/sim
SIM_OBJECTS = $(patsubst %.cpp,$(BUILD)/%.o,$(wildcard relay/sim/runner/*.cpp))

.PHONY: always all unit test test-objects sim asan ubsan tsan lint format bench compare install clean help
.DELETE_ON_ERROR:

all: $(PROGRAM)

help:
	@echo 'all (default)  $(PROGRAM)'
	@echo 'unit           run the unit tests; ONLY="crypto relay/base" for some folders, ARGS= for doctest'
	@echo 'test           unit tests, then the tests with real processes in network namespaces (root)'
	@echo 'sim            SEEDS=N [FIRST=S] simulated trees under every invariant; SEED=S one of them at length'
	@echo 'asan ubsan tsan  unit tests under a sanitizer'
	@echo 'bench          fan-out next to the bare sendmmsg loop; two workers; a whole node and its leases; a frame, a join, a refusal'
	@echo 'compare        tiercast beside GStreamer, Icecast and the bare loops, in network namespaces (root)'
	@echo 'lint format    clang-tidy; clang-format in place'
	@echo 'install        DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)'

$(PROGRAM): $(MAIN_OBJECT) $(OBJECTS)
	$(CXX) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The program's objects come first: of what is inline in both, theirs is taken. Linked anew when its parts are others: what ONLY= made of one part must not pass for the whole.
$(UNIT): $(TEST_OBJECTS) $(OBJECTS) $(UNIT).parts
	$(CXX) $(LDFLAGS) -o $@ $(OBJECTS) $(TEST_OBJECTS) $(LDLIBS) $(TEST_LIBS)
$(UNIT).parts: always
	@mkdir -p $(@D)
	@echo '$(TEST_OBJECTS) $(OBJECTS)' | cmp -s - $@ || echo '$(TEST_OBJECTS) $(OBJECTS)' > $@

# opusfile.h, which only tests include, finds its neighbours by bare names. Of the tests' own code the time to compile
# it counts, not its speed.
$(BUILD)/tests/%.o: private CPPFLAGS += -isystem /usr/include/opus -DDOCTEST_CONFIG_SUPER_FAST_ASSERTS
ifndef SANITIZE
$(BUILD)/tests/%.o: private OPTIMISE = -O1 -g1
endif

# What most files include is precompiled: for the tests, and under sanitizers for all. The plain build of the program goes
# without: it warns of all, where gcc loses the pragmas within precompiled headers.
PRELUDE      = $(BUILD)/tests/support/prelude.hpp
TEST_PRELUDE = $(TEST_BUILD)/tests/support/test_prelude.hpp
$(TEST_OBJECTS): private CXXFLAGS += -Winvalid-pch -include $(TEST_PRELUDE) -Wno-array-bounds -Wno-stringop-overflow
$(TEST_OBJECTS): $(TEST_PRELUDE).gch
$(TEST_PRELUDE).gch: private CPPFLAGS += -isystem /usr/include/opus -DDOCTEST_CONFIG_SUPER_FAST_ASSERTS
ifdef SANITIZE
$(MAIN_OBJECT) $(OBJECTS): private CXXFLAGS += -Winvalid-pch -include $(PRELUDE)
$(MAIN_OBJECT) $(OBJECTS): $(PRELUDE).gch
else
$(TEST_PRELUDE).gch: private OPTIMISE = -O1 -g1
endif

$(BUILD)/%.hpp.gch: %.hpp Makefile
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) -x c++-header -o $@ $<

$(BUILD)/%.o: %.cpp Makefile
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -c -o $@ $<

# Kept, or the next make would find it new.
.PRECIOUS: $(BUILD)/%/folder.cpp
$(BUILD)/%/folder.cpp: always
	@mkdir -p $(@D)
	@printf '#include "%s"\n' $(sort $(wildcard $*/*.cpp)) > $@.$$$$; cmp -s $@.$$$$ $@ && rm $@.$$$$ || mv $@.$$$$ $@  # others may build here, too
$(BUILD)/%/folder.o: $(BUILD)/%/folder.cpp Makefile
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -c -o $@ $<

# The program that the kernel runs for the xdp backend, and the file that has it in itself (.incbin, by -Wa,-I). clang
# knows only the headers of its own machine's architecture by itself, not those of the target bpf.
$(BUILD)/%.bpf.o: %.bpf.c relay/net/xdp/layout.h Makefile
	@mkdir -p $(@D)
	$(CLANG) -O2 -g -Wall -target bpf -I. -idirafter /usr/include/$(shell $(CXX) -print-multiarch) -c -o $@ $<

$(BUILD)/relay/net/xdp_program.o $(BUILD)/relay/net/folder.o: $(BUILD)/relay/net/xdp/fan_out.bpf.o
$(BUILD)/relay/net/xdp_program.o $(BUILD)/relay/net/folder.o: CXXFLAGS += -Wa,-I$(BUILD)/relay/net/xdp

# Likewise the one that counts frames for `tiercast load`.
$(BUILD)/relay/measure/load_count.bpf.o: relay/measure/load_filter.h relay/measure/load_account.h
$(BUILD)/relay/measure/load_counter.o $(BUILD)/relay/measure/folder.o: $(BUILD)/relay/measure/load_count.bpf.o
$(BUILD)/relay/measure/load_counter.o $(BUILD)/relay/measure/folder.o: CXXFLAGS += -Wa,-I$(BUILD)/relay/measure

# A thousand listeners in one process, for tests/system.
$(SWARM): $(SWARM_OBJECT) $(OBJECTS)
	$(CXX) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Trees of real agents on a virtual clock, under every invariant. SEEDS=N [FIRST=S] runs so many, SEED=S one at length.
# What verifying a signature said is kept: see runner/verify_memo.cpp.
SIGNATURES = crypto_sign_ed25519_detached crypto_sign_ed25519_verify_detached
$(SIM): $(SIM_OBJECTS) $(OBJECTS)
	$(CXX) $(LDFLAGS) $(SIGNATURES:%=-Wl,--wrap=%) -o $@ $^ $(LDLIBS)

SEEDS ?= 200
FIRST ?= 1
sim: $(SIM)
	$(SIM) $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) --first $(FIRST))

test-objects: $(TEST_OBJECTS)

unit: $(UNIT)
	$(UNIT) $(ARGS)

test: $(PROGRAM) $(UNIT)
	scripts/test

# With addresses only that of the undefined which these do not show anyway, and which is quick to compile; `make ubsan`
# looks for all of it. GOALS=build/asan/unit makes it and does not run it.
GOALS = unit
asan: GOALS = $(if $(ONLY),,all) unit  # the program too: tests/system gives it junk
asan:
	$(if $(filter unit,$(GOALS)),$(MAKE) test-objects)
	$(MAKE) $(GOALS) BUILD=build/asan SANITIZE=address,undefined UNCHECKED=null,alignment,vptr,object-size TEST_BUILD=$(BUILD)
ubsan:
	$(MAKE) $(GOALS) BUILD=build/ubsan SANITIZE=undefined
tsan:
	$(MAKE) $(GOALS) BUILD=build/tsan SANITIZE=thread

bench: $(PROGRAM) $(SWARM)
	scripts/bench/fanout $(PROGRAM)
	scripts/bench/workers $(PROGRAM)
	scripts/bench/node $(BUILD)
	$(PROGRAM) bench seal
	$(PROGRAM) bench join
	$(PROGRAM) bench refuse

compare: $(PROGRAM) $(SWARM)
	scripts/bench/compare $(BUILD)

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
	install -m 0644 config/examples/*.toml systemd/xdp.conf $(DESTDIR)$(PREFIX)/share/doc/tiercast/examples/
	install -m 0644 README.md crypto/PROTOCOL.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/tiercast/

clean:
	rm -rf build

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

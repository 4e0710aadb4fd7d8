# mapwatch. `make help` lists the targets. Products go to build/ (SAN= builds to build/san-NAME/).
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

V ?= 0
ifeq ($(V),0)
Q := @
msg = @printf '  %-8s %s\n' '$(1)' '$(2)'
else
Q :=
msg = @:
endif

SAN ?=
B := build$(if $(SAN),/san-$(SAN))
PREFIX ?= /usr
DESTDIR ?=
VERSION := 0.1.0

# The first of the named commands that is there.
find_tool = $(firstword $(foreach tool,$(1),$(shell command -v $(tool))))
# The newest versioned clang that knows the BPF target; Debian 12 has 16, Debian 13 has 19.
CLANG := $(call find_tool,clang-19 clang-18 clang-17 clang-16 clang)
LLVM_STRIP := $(call find_tool,llvm-strip-19 llvm-strip-18 llvm-strip-17 llvm-strip-16 llvm-strip)
CLANG_FORMAT := $(call find_tool,clang-format-16 clang-format-19 clang-format)
BPFTOOL := $(call find_tool,bpftool /usr/sbin/bpftool)
CXX := g++
CC := gcc

WARN := -Wall -Wextra -Wpedantic -Wshadow -Werror
OPT ?= -O2
# GCC 12 takes members of an empty std::optional for uninitialised once it is instrumented (GCC bug 80635).
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -g -Wno-error=maybe-uninitialized)
PKGS := libbpf libelf libdw zlib libarchive spdlog fmt prometheus-cpp-core libmicrohttpd gnutls libcrypt libsystemd yaml-cpp sqlite3 libcurl libcrypto
# -isystem: warnings of other people's headers are not ours to mend.
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
# Of ncurses only the library: its flags would change how everything else is compiled.
PKG_LIBS := $(shell pkg-config --libs $(PKGS) ncursesw 2>/dev/null) -lZydis
CXXFLAGS := -std=c++20 $(OPT) -g1 -pipe $(WARN) $(SANFLAGS) -Iinclude -Iuser -isystem $(B)/gen $(PKG_CFLAGS) \
	-DMAPWATCH_VERSION='"$(VERSION)"'
LDFLAGS := $(SANFLAGS)
DEPFLAGS = -MMD -MP

USER_SRC := $(sort $(shell find user -name '*.cpp'))
LIB_OBJ := $(patsubst %.cpp,$(B)/%.o,$(filter-out user/main.cpp,$(USER_SRC)))
UNIT_SRC := $(sort $(shell find tests/unit -name '*.cpp' 2>/dev/null))
UNIT_OBJ := $(patsubst %.cpp,$(B)/%.o,$(UNIT_SRC))
BPFTEST_SRC := $(sort $(wildcard tests/bpf/*.cpp))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/*_fuzz.cpp))
BENCH_SRC := $(sort $(wildcard tests/bench/*_bench.cpp))
SKEL := $(B)/gen/mapwatch.skel.h $(B)/gen/dying.skel.h $(B)/gen/self_test.skel.h

.PHONY: all help deps test unit bpf-test golden e2e check check-full lint fmt bench fuzz demo deb install clean
all: $(B)/mapwatch ## build build/mapwatch

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what the build and the tests need (Debian 12, 13)
	@.ci/deps

# ---- BPF ----
# No CO-RE: pt_regs has the processor's ABI for its layout, where threads are described comes as numbers from the user
# side (mapwatch/kernel_offsets.h), and without relocations no kernel needs BTF.
$(B)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) $(wildcard include/mapwatch/*.h) vmlinux/x86/vmlinux.h
	$(call msg,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -DBPF_NO_PRESERVE_ACCESS_INDEX -O2 -g -std=gnu11 -Wall -Wextra -Wshadow -Werror \
		-Wno-unused-parameter -Iinclude -Ibpf -idirafter vmlinux/x86 -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(B)/gen/%.skel.h: $(B)/bpf/%.bpf.o
	$(call msg,SKEL,$@)
	@mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst -,_,$*)_bpf > $@

# ---- user side ----
$(B)/%.o: %.cpp | $(SKEL)
	$(call msg,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CXXFLAGS) $(DEPFLAGS) -c $< -o $@

# -MMD leaves out what -isystem finds: a changed BPF program would not be built in.
$(B)/user/attach/kernel.o $(B)/user/attach/kernel_counters.o $(B)/user/attach/kernel_policies.o: $(B)/gen/mapwatch.skel.h
$(B)/user/attach/self_test.o: $(B)/gen/self_test.skel.h
$(B)/user/attach/dying_watch.o: $(B)/gen/dying.skel.h

$(B)/libmapwatch.a: $(LIB_OBJ)
	$(call msg,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/mapwatch: $(B)/user/main.o $(B)/libmapwatch.a
	$(call msg,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

# ---- tests ----
$(UNIT_OBJ): CXXFLAGS += -Itests/unit
$(B)/tests/unit_tests: $(UNIT_OBJ) $(B)/libmapwatch.a
	$(call msg,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lgmock -lgtest_main -lgtest -lpthread

# What elf::GoBinary reads from a file, as text for tests/unit/elf/oracle.py.
$(B)/tests/elfdump: $(B)/tests/tools/elfdump.o $(B)/libmapwatch.a
	$(call msg,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

# The goroutines of a live process or a core, as text.
$(B)/tests/gdump: $(B)/tests/tools/gdump.o $(B)/libmapwatch.a
	$(call msg,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

# What attach::plan_probes plans for a file, as text.
$(B)/tests/plandump: $(B)/tests/tools/plandump.o $(B)/libmapwatch.a
	$(call msg,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

# What forensics::read_map reads of a map of a live process, as JSON for tests/e2e/lib/maps.py.
$(B)/tests/mapdump: $(B)/tests/tools/mapdump.o $(B)/libmapwatch.a
	$(call msg,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

# The detector's BPF headers, compiled for this machine with sanitizers: no kernel, no root.
$(B)/tests/bpf_tests: $(BPFTEST_SRC) user/govern/odds.cpp $(wildcard user/govern/*.h) $(wildcard tests/bpf/*.h bpf/*.h) $(wildcard include/mapwatch/*.h)
	$(call msg,CLANG++,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) --driver-mode=g++ -std=c++20 -O1 -g -Wall -Wextra -Wshadow -Werror -Wno-unused-parameter -Wno-unused-function \
		-fsanitize=address,undefined -fno-sanitize-recover=all -Itests/bpf -Iinclude -Ibpf \
		-Iuser -o $@ $(BPFTEST_SRC) user/govern/odds.cpp -lgtest_main -lgtest -lpthread

unit: $(B)/tests/unit_tests
	$(Q)$(B)/tests/unit_tests --gtest_brief=1

bpf-test: $(B)/tests/bpf_tests
	$(Q)$(B)/tests/bpf_tests --gtest_brief=1

test: unit bpf-test golden ## unit, host-BPF and golden tests (no root)

golden: $(B)/mapwatch
	$(Q)tests/golden/run $(B)/mapwatch

e2e: $(B)/mapwatch $(B)/tests/gdump $(B)/tests/mapdump ## real Go programs (root)
	$(Q)tests/e2e/run --quick

check: ## everything CI runs: deps, build, unit, host-BPF, golden, lint, e2e (root)
	$(Q).ci/check

check-full: ## check with every cell of the e2e matrix (hours; root)
	$(Q).ci/check --full

# What needs no target: parts of the user side, timed by themselves.
$(patsubst %.cpp,$(B)/%.o,$(BENCH_SRC)): CXXFLAGS += -Itests/unit
$(B)/tests/%_bench: $(B)/tests/bench/%_bench.o $(B)/tests/unit/govern/programs.o $(B)/libmapwatch.a
	$(call msg,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lbenchmark -lpthread

bench: $(B)/mapwatch $(patsubst tests/bench/%.cpp,$(B)/tests/%,$(BENCH_SRC)) ## figures beside the goals (root)
	$(Q)tests/bench/run

demo: ## build, race a small HTTP service, show the warning and then Go's own crash (root)
	$(Q)MW_DEPS=build .ci/deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/e2e/demo

# The parsers, compiled once with coverage and sanitizers; no BPF, no process.
FUZZED_SRC := $(sort $(shell find user/base user/elf user/arch user/ingest user/forensics user/witness -name '*.cpp')) user/cli/config_file.cpp \
	user/cli/values.cpp user/report/suppressions.cpp user/report/format.cpp user/symbolize/classify.cpp \
	user/ops/slo.cpp user/ops/yaml_reader.cpp user/ops/web_config.cpp user/ops/prometheus.cpp user/ops/glob.cpp user/alert/retry.cpp user/alert/alert.cpp user/alert/body.cpp tests/unit/elf/tiny_go.cpp \
	tests/unit/elf/go_program.cpp tests/unit/forensics/map_world.cpp
FUZZED_OBJ := $(patsubst %.cpp,$(B)/fuzz/obj/%.o,$(FUZZED_SRC))
FUZZ_CXX = $(CLANG) --driver-mode=g++ -std=c++20 -O1 -g -fno-sanitize-recover=all -Iinclude -Iuser -Itests/unit $(PKG_CFLAGS)

$(B)/fuzz/obj/%.o: %.cpp
	$(call msg,FUZZ,$<)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CXX) -fsanitize=fuzzer-no-link,address,undefined $(DEPFLAGS) -c $< -o $@

$(B)/fuzz/libfuzzed.a: $(FUZZED_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/fuzz/%_fuzz: tests/fuzz/%_fuzz.cpp $(B)/fuzz/libfuzzed.a
	$(call msg,FUZZ,$@)
	$(Q)$(FUZZ_CXX) -fsanitize=fuzzer,address,undefined -o $@ $< $(B)/fuzz/libfuzzed.a $(PKG_LIBS)

FUZZ_SECONDS ?= 30
fuzz: $(patsubst tests/fuzz/%.cpp,$(B)/fuzz/%,$(FUZZ_SRC)) ## each fuzz entry for FUZZ_SECONDS
	$(Q)tests/fuzz/run $(B)/fuzz $(FUZZ_SECONDS) $(FUZZ_SEED)

lint: ## layers, format, shellcheck
	$(Q).ci/lint $(CLANG_FORMAT)

fmt: ## clang-format in place
	$(Q)git ls-files 'user/*.h' 'user/*.cpp' 'bpf/*' 'include/*.h' 'tests/*.cpp' 'tests/*.h' | xargs $(CLANG_FORMAT) -i

# libbpf is linked in: Debian 12's own is too old, and a package is not to ask for backports.
$(B)/package/mapwatch: $(B)/user/main.o $(B)/libmapwatch.a
	$(call msg,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -Wl,-z,relro,-z,now -o $@ $^ $(patsubst -lbpf,-l:libbpf.a,$(PKG_LIBS))

deb: $(B)/package/mapwatch ## build a Debian package for this release, in build/
	$(Q)packaging/deb $(B) $<

install: $(B)/mapwatch ## install to $(DESTDIR)$(PREFIX)
	install -D -m 0755 $(B)/mapwatch $(DESTDIR)$(PREFIX)/bin/mapwatch

clean: ## remove build/
	rm -rf build

# Not the roots of guests (tests/kernels), which have names like rc2.d of their own.
-include $(shell find $(B) -path $(B)/kernels -prune -o -name '*.d' -type f -print 2>/dev/null)

// A process whose goroutines lie: of a made-up process of a real binary, the words of its gs, ms, ps, lists and stacks,
// its registers and what the kernel side remembers are the fuzzer's. Who is on a map and who holds it is asked of that.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/clock.h"
#include "forensics/crash_map.h"
#include "forensics/fake_process.h"
#include "forensics/map_holders.h"
#include "forensics/map_operations.h"
#include "forensics/maps_in_use.h"

namespace {

using namespace mapwatch;
using namespace mapwatch::forensics;
using test::FakeProcess;

constexpr std::uint64_t kMap = FakeProcess::kHeap + 0x111110;
constexpr std::uint64_t kThread = 101;
constexpr std::uint64_t kGoroutines = 4;

/// Sound, with goroutines in map functions; made once, for it takes a binary to be read.
class Process : public FakeProcess {
 public:
  Process() {
    const std::uint64_t exit = binary().find("runtime.goexit")->entry + 1;
    const auto in = [&](const char* name) { return inside(name); };
    machine_ = add_machine(kThread);
    gs_ = {add_goroutine(1, 4, {in("runtime.mapassign_faststr"), in("main.main"), exit}),
           add_goroutine(2, 1, {in("runtime.gopark"), in("runtime.mapassign_faststr"), in("main.main"), exit}),
           add_goroutine(3, 2, {in("main.main"), exit}), add_goroutine(4, 3, {in("runtime.gopark"), exit})};
    put(gs_[2] + g().m, machine_);
    put(machine_ + m().curg, gs_[2]);
  }

  /// Where a change may go, and what it may become: the start of each kind of thing.
  std::array<std::uint64_t, 16> places() {
    const elf::RuntimeGlobals& globals = process().globals;
    return {gs_[0],        gs_[1],        gs_[2],       gs_[3],       stack(0), stack(1), stack(2),          stack(3),
            globals.allgs, globals.sched, globals.allm, globals.allp, kArray,   machine_, machine_ + 0x3000, kHeap};
  }
  std::uint64_t code(std::uint8_t which) const {
    const auto function = binary().find(which % 2 == 0 ? "runtime.mapassign_faststr" : "runtime.mallocgc");
    return function->entry + which / 2 % (function->end - function->entry);
  }
  std::uint64_t g_of(std::size_t i) const { return gs_[i % kGoroutines]; }

 private:
  static std::uint64_t stack(std::uint64_t i) { return kStacks + 0x10000 * i + 0x100; }
  std::array<std::uint64_t, kGoroutines> gs_ = {};
  std::uint64_t machine_ = 0;
};

/// The fuzzer's bytes, one after another; zeros when they are used up.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  template <typename T>
  T take() {
    T value{};
    const std::size_t some = std::min(sizeof(T), size_);
    std::memcpy(&value, data_, some);
    data_ += some;
    size_ -= some;
    return value;
  }
  bool empty() const { return size_ == 0; }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

/// A word that may be right: an address of something, code, the map, or anything.
std::uint64_t word(Input& input, Process& process) {
  const auto kind = input.take<std::uint8_t>();
  switch (kind % 5) {
    case 0:
      return process.places()[kind / 5 % 16] + input.take<std::uint16_t>();
    case 1:
      return process.code(input.take<std::uint8_t>());
    case 2:
      return kMap;
    case 3:
      return input.take<std::uint8_t>();
    default:
      return input.take<std::uint64_t>();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Process sound;
  Input input(data, size);
  SnapshotMemory memory = sound.memory();
  ThreadRegisters registers;
  registers.pc = word(input, sound);
  registers.sp = word(input, sound);
  registers.bp = word(input, sound);
  for (std::uint64_t& general : registers.general) {
    general = word(input, sound);
  }
  AccessTables tables;
  auto slot = input.take<mw_slot>();
  slot.last_map = (slot.last_map & 1) != 0 ? kMap : slot.last_map;
  slot.lastw_g = sound.g_of(slot.lastw_g);
  tables.slot = slot;
  for (std::size_t i = input.take<std::uint8_t>() % 6; i > 0; --i) {
    auto doing = input.take<mw_doing>();
    doing.g = sound.g_of(doing.g);
    doing.map = (doing.map & 1) != 0 ? kMap : doing.map;
    tables.doings.push_back(doing);
  }
  WordPlaces variables;
  variables.addresses = {word(input, sound), word(input, sound)};
  variables.total = 2;
  while (!input.empty()) {
    const auto place = input.take<std::uint8_t>();
    memory.put(sound.places()[place % 16] + 8 * std::uint64_t{input.take<std::uint8_t>()}, word(input, sound));
  }

  const GoProcess& process = sound.process();
  CopyLimits limits;
  limits.goroutines = 1000;
  limits.one_stack = 1 << 16;
  limits.all_stacks = 1 << 20;
  limits.machines = 100;
  limits.processors = 100;
  const auto copy = copy_goroutines(memory, process, {{kThread, registers}}, limits);
  if (!copy) {
    return 0;
  }
  const Goroutines all = decode_goroutines(*copy, process);
  const MapUse use = map_use(kMap, *copy, all, process, tables);
  const MapHolders holders = map_holders(kMap, *copy, all, process, variables);
  const auto listed = [&](std::size_t goroutine, std::size_t frame) {
    return goroutine < all.list.size() && frame < all.list[goroutine].frames.size();
  };
  for (const MapOperation& one : use.inside) {
    if (!listed(one.goroutine, one.frame)) {
      __builtin_trap();
    }
  }
  for (const StackHolder& one : holders.stacks) {
    if (!listed(one.goroutine, one.frame)) {
      __builtin_trap();
    }
  }
  const SystemClock clock;
  MapsInUse in_use = find_maps_in_use(*copy, process, memory, clock, clock.monotonic_ns() + 1'000'000'000);
  MapRequest request;
  request.limits.bytes = 1 << 16;
  request.limits.entries = 4;
  read_maps_in_use(in_use, memory, process, request, clock);
  TypeReader types(memory, type_space(*process.binary, process.bias));
  (void)find_crash_map(types, process, registers);
  return 0;
}

#include "forensics/goroutine_copy.h"

#include <time.h>

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "forensics/label_copy.h"

namespace mapwatch::forensics {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 20;
// A goroutine that runs on another stack may stand anywhere on its own: all of it is copied, up to this.
constexpr std::size_t kMaxHidden = std::size_t{16} << 20;
constexpr int kMaxChannels = 16;  // of one select
constexpr std::size_t kMaxSystemStack = std::size_t{256} << 10;
// runtime.maxstacksize is 1 GB; stacks are powers of two.
constexpr std::uint64_t kMaxStack = std::uint64_t{1} << 30;

std::uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

std::size_t span_of(std::initializer_list<std::uint32_t> offsets) {
  std::size_t size = 0;
  for (const std::uint32_t offset : offsets) {
    size = offset == elf::kAbsent ? size : std::max<std::size_t>(size, offset + 8);
  }
  return size;
}

std::size_t g_size(const elf::GLayout& g) {
  return span_of({g.stack + 8, g.m, g.sched + 8, g.sched_bp, g.syscallsp, g.syscallpc, g.status, g.goid, g.waitsince,
                  g.waitreason, g.lockedm, g.parent, g.gopc, g.startpc, g.waiting, g.labels});
}
std::size_t m_size(const elf::MLayout& m) {
  return span_of({m.g0, m.procid, m.gsignal, m.curg, m.p, m.id, m.throwing, m.locks, m.spinning, m.blocked, m.incgo,
                  m.alllink, m.lockedg, m.vdso_sp, m.vdso_pc});
}
std::size_t p_size(const elf::PLayout& p) { return p.runnext + 8; }

/// Bytes that the target can write to: no honest list of its own things is larger. Without mappings, no bound.
std::uint64_t writable(const Memory& memory) {
  std::uint64_t sum = 0;
  for (const Mapping& mapping : memory.mappings()) {
    sum += mapping.writable ? mapping.end - mapping.begin : 0;
  }
  return memory.mappings().empty() ? UINT64_MAX : sum;
}

class Copier {
 public:
  Copier(const Memory& memory, const GoProcess& process, const CopyLimits& limits)
      : memory_(memory), process_(process), layout_(process.layout), limits_(limits), writable_(writable(memory)) {}

  Result<GoroutineCopy> run(RegisterMap registers) {
    copy_.registers = std::move(registers);
    copy_.now_ns = monotonic_ns();
    const std::vector<std::uint64_t> goroutines = TRY(find_goroutines());
    read_structs(copy_.gs, goroutines, g_size(layout_.g));
    walk_machines();
    copy_processors();
    copy_scheduler();
    copy_system_stacks();
    copy_stacks();
    copy_sudogs();
    copy_.labels = copy_labels(memory_, copy_.gs, layout_.g.labels, process_.binary->version().minor);
    return std::move(copy_);
  }

 private:
  std::uint64_t global(std::uint64_t elf::RuntimeGlobals::*member) const {
    const std::uint64_t address = process_.globals.*member;
    return address == 0 ? 0 : address + process_.bias;
  }

  void note(std::string text) { copy_.notes.push_back(std::move(text)); }

  /// The array of pointers at `address`, as far as it can be read.
  std::vector<std::uint64_t> pointers(std::uint64_t address, std::uint64_t count) const {
    std::vector<std::uint64_t> found;
    std::size_t chunk = kChunk / 8;
    while (found.size() < count && chunk != 0) {
      const std::size_t before = found.size();
      const std::size_t more = std::min<std::size_t>(count - before, chunk);
      found.resize(before + more);
      if (!memory_.read(address + before * 8, {reinterpret_cast<std::uint8_t*>(found.data() + before), more * 8})) {
        found.resize(before);
        chunk = more / 2;
      }
    }
    return found;
  }

  Result<std::vector<std::uint64_t>> find_goroutines() {
    if (process_.globals.allgs == 0 && process_.globals.allgptr == 0) {
      return fail(
          ErrorKind::kUnsupported,
          "cannot find the goroutines: the program has no symbols, and its runtime is "
          "not of a known build",
          "goroutines of a stripped program can be read when it was built with optimisation by Go 1.17 to 1.27");
    }
    struct Slice {
      std::uint64_t pointer = 0, length = 0, capacity = 0;
    };
    const Slice slice = memory_.get<Slice>(global(&elf::RuntimeGlobals::allgs)).value_or(Slice{});
    const std::uint64_t pointer = memory_.word(global(&elf::RuntimeGlobals::allgptr)).value_or(0);
    const std::uint64_t length = memory_.word(global(&elf::RuntimeGlobals::allglen)).value_or(0);
    const bool slice_sound = slice.pointer != 0 && slice.length != 0 && slice.length <= slice.capacity;
    // The runtime writes allgptr, then allglen; between the two one goroutine is missing.
    const bool agree = slice_sound && pointer == slice.pointer && length <= slice.length;
    std::uint64_t count = std::max(slice_sound ? slice.length : 0, length);
    const std::uint64_t array = slice_sound ? slice.pointer : pointer;
    if (array == 0 || count == 0) {
      return fail(ErrorKind::kMalformed, "the process has no list of goroutines: it has not started, or it is damaged");
    }
    if (!agree) {
      note(fmt::format("allgs is odd: {} goroutines at {:#x} by allgs, {} at {:#x} by allgptr", slice.length,
                       slice.pointer, length, pointer));
    }
    const std::uint64_t most = std::min<std::uint64_t>(limits_.goroutines, writable_ / g_size(layout_.g));
    if (count > most) {
      note(fmt::format("{} goroutines are listed, the first {} are read{}", count, most,
                       most < limits_.goroutines ? ": no more have room in the process's memory" : ""));
      count = most;
    }
    std::vector<std::uint64_t> found = pointers(array, count);
    if (found.size() < count) {
      note(fmt::format("of {} goroutine pointers {} could be read", count, found.size()));
    }
    if (found.empty()) {
      return fail(ErrorKind::kMalformed, fmt::format("the list of goroutines at {:#x} cannot be read", array));
    }
    return found;
  }

  void read_structs(StructCopies& into, std::vector<std::uint64_t> addresses, std::size_t size) const {
    into.size = size;
    into.addresses = std::move(addresses);
    into.bytes.resize(into.count() * size);
    into.ok.resize(into.count());
    std::vector<ReadRequest> requests;
    requests.reserve(into.count());
    for (std::size_t i = 0; i < into.count(); ++i) {
      requests.push_back({into.addresses[i], {into.bytes.data() + i * size, size}, false});
    }
    memory_.read_many(requests);
    for (std::size_t i = 0; i < into.count(); ++i) {
      into.ok[i] = requests[i].ok;
    }
  }

  /// The list of Ms through the field at `alllink`; true when it ends and each M's g0 belongs to it.
  bool list_machines(std::uint32_t alllink, std::vector<std::uint64_t>& found) const {
    std::set<std::uint64_t> seen;
    found.clear();
    std::uint64_t m = memory_.word(global(&elf::RuntimeGlobals::allm)).value_or(0);
    while (m != 0 && found.size() < limits_.machines && seen.insert(m).second) {
      const auto g0 = memory_.word(m + layout_.m.g0);
      const auto owner = g0 ? memory_.word(*g0 + layout_.g.m) : std::nullopt;
      if (owner != m) {
        return false;
      }
      found.push_back(m);
      m = memory_.word(m + alllink).value_or(0);
    }
    return m == 0 && !found.empty();
  }

  void walk_machines() {
    std::vector<std::uint64_t> machines;
    copy_.alllink = layout_.m.alllink;
    bool whole = list_machines(copy_.alllink, machines);
    const int minor = process_.binary->version().minor;
    if (layout_.source != elf::OffsetSource::kDwarf && (minor == 23 || minor == 24)) {
      // The first patches of Go 1.23 and 1.24 have an m that is 24 bytes shorter before this field.
      std::vector<std::uint64_t> early;
      const bool early_whole = list_machines(layout_.m.alllink - 24, early);
      if (early.size() > machines.size()) {
        copy_.alllink = layout_.m.alllink - 24;
        machines = std::move(early);
        whole = early_whole;
      }
    }
    if (!whole) {
      note(fmt::format("the list of threads is odd after {} of them", machines.size()));
    }
    read_structs(copy_.ms, std::move(machines), m_size(layout_.m));
  }

  void copy_processors() {
    struct Slice {
      std::uint64_t pointer = 0, length = 0, capacity = 0;
    };
    const Slice slice = memory_.get<Slice>(global(&elf::RuntimeGlobals::allp)).value_or(Slice{});
    if (slice.pointer == 0 || slice.length > slice.capacity || slice.length > limits_.processors) {
      note("the list of Ps cannot be read");
      return;
    }
    read_structs(copy_.ps, pointers(slice.pointer, slice.length), p_size(layout_.p));
  }

  void copy_scheduler() {
    const elf::SchedLayout& s = layout_.sched;
    std::vector<std::uint8_t> bytes(span_of(
        {s.goidgen, s.lastpoll, s.nmidle, s.nmsys, s.npidle, s.nmspinning, s.runqsize, s.gcwaiting, s.stopwait}));
    const std::uint64_t address = global(&elf::RuntimeGlobals::sched);
    if (address != 0 && memory_.read(address, bytes)) {
      copy_.sched = std::move(bytes);
    }
    const std::uint64_t phase = global(&elf::RuntimeGlobals::gcphase);
    const auto value = phase == 0 ? std::nullopt : memory_.get<std::uint32_t>(phase);
    copy_.gc_phase = value && *value <= 2 ? value : std::nullopt;
  }

  std::span<std::uint8_t> buffer(std::size_t size) {
    if (size > left_) {
      left_ = std::max(size, kChunk * 16);
      copy_.pool.push_back(std::make_unique_for_overwrite<std::uint8_t[]>(left_));
      next_ = copy_.pool.back().get();
    }
    const std::span<std::uint8_t> bytes(next_, size);
    next_ += size;
    left_ -= size;
    return bytes;
  }

  void copy_system_stacks() {
    std::vector<std::uint64_t> systems;
    for (std::size_t i = 0; i < copy_.ms.count(); ++i) {
      systems.push_back(copy_.ms.get(i, layout_.m.g0));
      systems.push_back(copy_.ms.get(i, layout_.m.gsignal));
    }
    read_structs(copy_.systems, std::move(systems), layout_.g.stack + 16);
    copy_.system_stacks.resize(copy_.systems.count());
    std::vector<ReadRequest> requests;
    std::vector<std::size_t> owners;
    for (std::size_t i = 0; i < copy_.systems.count(); ++i) {
      const auto registers = copy_.registers.find(copy_.ms.get(i / 2, layout_.m.procid));
      const std::uint64_t low = copy_.systems.get(i, layout_.g.stack);
      const std::uint64_t high = copy_.systems.get(i, layout_.g.stack + 8);
      if (registers == copy_.registers.end() || registers->second.sp < low || registers->second.sp >= high) {
        continue;
      }
      const std::uint64_t sp = registers->second.sp;
      requests.push_back({sp, buffer(std::min<std::size_t>(high - sp, kMaxSystemStack)), false});
      owners.push_back(i);
    }
    memory_.read_many(requests);
    for (std::size_t k = 0; k < requests.size(); ++k) {
      if (requests[k].ok) {
        copy_.system_stacks[owners[k]] = {requests[k].address, requests[k].out};
      }
    }
  }

  /// What to copy of a goroutine's stack; an empty range when there is nothing.
  struct Wanted {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    bool hidden = false;
  };
  Wanted wanted_stack(std::size_t i, const std::unordered_map<std::uint64_t, std::size_t>& machines) const {
    const std::uint64_t low = copy_.gs.get(i, layout_.g.stack);
    const std::uint64_t high = copy_.gs.get(i, layout_.g.stack + 8);
    if (!copy_.gs.ok[i] || high <= low || high - low > kMaxStack) {
      return {};
    }
    const auto m = machines.find(copy_.gs.get(i, layout_.g.m));
    const auto start = stack_start(copy_, layout_, i, m == machines.end() ? std::nullopt : std::optional(m->second));
    if (start && start->at.sp >= low && start->at.sp < high) {
      return {start->at.sp, high, false};
    }
    const auto status = static_cast<GStatus>(copy_.gs.get<std::uint32_t>(i, layout_.g.status) & ~kScanBit);
    return status == GStatus::kRunning ? Wanted{low, high, true} : Wanted{};
  }

  void copy_stacks() {
    std::unordered_map<std::uint64_t, std::size_t> machines;
    for (std::size_t i = 0; i < copy_.ms.count(); ++i) {
      machines.emplace(copy_.ms.addresses[i], i);
    }
    copy_.stacks.resize(copy_.gs.count());
    copy_.stack_cut.resize(copy_.gs.count());
    std::vector<ReadRequest> requests;
    std::vector<std::size_t> owners;
    requests.reserve(copy_.gs.count());
    const auto all_stacks = static_cast<std::size_t>(std::min<std::uint64_t>(limits_.all_stacks, writable_));
    std::size_t total = 0;
    std::size_t left_out = 0;
    for (std::size_t i = 0; i < copy_.gs.count(); ++i) {
      const Wanted wanted = wanted_stack(i, machines);
      const std::size_t size =
          std::min<std::size_t>(wanted.end - wanted.begin, wanted.hidden ? kMaxHidden : limits_.one_stack);
      if (size == 0 || total + size > all_stacks) {
        left_out += size != 0;
        continue;
      }
      total += size;
      copy_.stack_cut[i] = size < wanted.end - wanted.begin;
      requests.push_back({wanted.begin, buffer(size), false});
      owners.push_back(i);
    }
    memory_.read_many(requests);
    for (std::size_t k = 0; k < requests.size(); ++k) {
      if (requests[k].ok) {
        copy_.stacks[owners[k]] = {requests[k].address, requests[k].out};
      }
    }
    if (left_out != 0) {
      note(fmt::format("the stacks of {} goroutines are left out: {} MiB are copied at most", left_out,
                       all_stacks >> 20));
    }
  }

  /// The sudogs of waiting goroutines; a select has one for each of its channels, in a list.
  void copy_sudogs() {
    const elf::SudogLayout& s = layout_.sudog;
    const std::size_t size = span_of({s.elem, s.waitlink, s.channel, s.is_select});
    std::vector<std::uint64_t> addresses;
    const auto want = [&](std::uint64_t sudog) {
      if (sudog != 0 && copy_.sudog_index.size() < 2 * limits_.goroutines &&
          copy_.sudog_index.emplace(sudog, copy_.sudogs.count() + addresses.size()).second) {
        addresses.push_back(sudog);
      }
    };
    for (std::size_t i = 0; i < copy_.gs.count(); ++i) {
      want(copy_.gs.get(i, layout_.g.waiting));
    }
    for (int round = 0; round < kMaxChannels && !addresses.empty(); ++round) {
      StructCopies more;
      read_structs(more, std::move(addresses), size);
      addresses.clear();
      copy_.sudogs.append(more);
      for (std::size_t i = 0; i < more.count(); ++i) {
        want(more.get(i, s.waitlink));
      }
    }
    for (const std::uint64_t left_out : addresses) {
      copy_.sudog_index.erase(left_out);
    }
  }

  const Memory& memory_;
  const GoProcess& process_;
  const elf::RuntimeLayout& layout_;
  const CopyLimits& limits_;
  const std::uint64_t writable_;
  GoroutineCopy copy_;
  std::uint8_t* next_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace

Result<GoroutineCopy> copy_goroutines(const Memory& memory, const GoProcess& process, RegisterMap registers,
                                      const CopyLimits& limits) {
  return Copier(memory, process, limits).run(std::move(registers));
}

}  // namespace mapwatch::forensics

// The goroutines of a process, its threads and its scheduler, as values. Sources: runtime/runtime2.go, runtime/proc.go.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "forensics/unwind.h"

namespace mapwatch::forensics {

/// runtime's _G statuses, without the scan bit.
enum class GStatus : std::uint8_t {
  kIdle = 0,
  kRunnable = 1,
  kRunning = 2,
  kSyscall = 3,
  kWaiting = 4,
  kDead = 6,
  kCopyStack = 8,
  kPreempted = 9,
  kLeaked = 10,     ///< from Go 1.26
  kDeadExtra = 11,  ///< from Go 1.26
};

/// What keeps a stack from being whole and certain.
enum class StackDoubt {
  kNone,
  kNoRegisters,  ///< running, and the registers of its thread are not known
  kCopying,      ///< the runtime was moving it
  kTorn,         ///< it could not be read, or changed meanwhile
  kOdd,          ///< a pointer of it leads outside
  kCut,          ///< longer than what is copied of one stack
};

/// A pprof label.
using Label = std::pair<std::string, std::string>;

struct Goroutine {
  std::uint64_t address = 0;  ///< of its runtime.g
  std::uint64_t id = 0;
  std::uint64_t parent_id = 0;  ///< that started it; 0: not known (before Go 1.21)
  GStatus status = GStatus::kIdle;
  bool scan = false;             ///< the garbage collector held its stack
  std::uint8_t wait_reason = 0;  ///< elf::wait_reason() of the version; of kWaiting and kLeaked
  std::uint64_t waiting_ns = 0;  ///< how long it has waited, as the last garbage collection saw it; 0: less than that
  std::uint64_t go_pc = 0;       ///< the go statement that started it
  std::uint64_t start_pc = 0;    ///< its first function
  std::uint64_t stack_low = 0;
  std::uint64_t stack_high = 0;
  std::uint64_t sp = 0;  ///< where the frames on its own stack begin; 0: not known
  std::uint64_t m = 0;   ///< address of the runtime.m that runs it; 0: none
  std::int64_t m_id = -1;
  std::uint64_t thread = 0;  ///< that thread's id, as the target knows it
  bool locked_to_thread = false;
  std::vector<std::uint64_t> channels;  ///< it waits on: runtime.hchan addresses, at most 16
  std::uint32_t labels = 0;             ///< index into Goroutines::labels; 0: none

  std::vector<Frame> frames;  ///< innermost first; those on the system stack come first
  StackEnd end = StackEnd::kCut;
  StackDoubt doubt = StackDoubt::kNone;
  std::uint32_t frame_pointers_differ = 0;  ///< frames whose frame pointer says otherwise; a hint of damage
};

/// A thread of the scheduler.
struct Machine {
  std::uint64_t address = 0;
  std::int64_t id = 0;
  std::uint64_t thread = 0;     ///< as the target knows it; 0: not started yet
  std::uint64_t goroutine = 0;  ///< id of the one it runs; 0: none
  std::int32_t p = -1;          ///< id of the P it holds
  std::uint64_t locked_goroutine = 0;
  bool spinning = false;  ///< looks for work
  bool blocked = false;   ///< asleep until woken
  bool in_c = false;
  std::int32_t locks = 0;
  std::int32_t throwing = 0;  ///< not 0: it is bringing the process down
  std::uint64_t pc = 0;       ///< where its thread stands; 0: not known
  std::uint64_t vdso_sp = 0;  ///< not 0: in the vDSO, called from vdso_pc
  std::uint64_t vdso_pc = 0;
};

enum class PStatus : std::uint32_t { kIdle = 0, kRunning = 1, kSyscall = 2, kGcStop = 3, kDead = 4 };

/// A P: the right to run Go code.
struct Processor {
  std::uint64_t address = 0;
  std::int32_t id = 0;
  PStatus status = PStatus::kDead;
  std::int64_t m_id = -1;       ///< that holds it
  std::uint64_t goroutine = 0;  ///< id of the one that runs on it
  std::uint32_t schedule_tick = 0;
  std::uint32_t syscall_tick = 0;
  std::vector<std::uint64_t> queue;  ///< ids of runnable goroutines, next first; 0: one that is not listed
  std::uint64_t next = 0;            ///< id of the one to run before the queue
};

struct Scheduler {
  bool known = false;
  std::uint64_t last_goid = 0;  ///< ids were given out up to this one, in batches
  std::uint64_t last_poll_ns = 0;
  std::int32_t idle_ms = 0;
  std::int32_t system_ms = 0;
  std::int32_t idle_ps = 0;
  std::int32_t spinning_ms = 0;
  std::int32_t global_queue = 0;
  bool gc_waiting = false;  ///< somebody is stopping the world
  std::int32_t stop_wait = 0;
  std::optional<std::uint32_t> gc_phase;  ///< 0 off, 1 mark, 2 mark termination
};

struct Goroutines {
  std::vector<Goroutine> list;  ///< in the order of allgs, that is of their memory's making; no dead ones
  std::vector<Machine> machines;
  std::vector<Processor> processors;
  Scheduler scheduler;
  std::vector<std::vector<Label>> labels{{}};  ///< [0] is empty
  std::size_t dead = 0;
  std::vector<std::string> notes;  ///< what could not be read or does not fit together, for people

  const Goroutine* find(std::uint64_t id) const;
};

/// "chan receive", "running", "syscall": what stands in the brackets of Go's traceback, without its additions.
std::string_view status_text(const Goroutine& goroutine, int go_minor);

}  // namespace mapwatch::forensics

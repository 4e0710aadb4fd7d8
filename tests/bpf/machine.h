// A small machine to run the detector on: goroutines begin map operations one after the other or, from a hook, in the
// middle of another's: at a spin's turn or between two stores of the watch protocol. Deterministic.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include <vmlinux.h>
#include <mapwatch/abi.h>
#include <slot.bpf.h>

namespace mapwatch::bpf_test {

/// A map of the target: its address is that of `header`, laid out as mark at 34, length at 0.
struct GoMap {
  mw_u64 address;
  std::array<unsigned char, 48> header = {};
  void set_mark(bool on) { header[34] = on ? 1 : 0; }
};

struct Goroutine {
  mw_u64 g;  ///< address; goid is (g & 0xffff)
  mw_u32 tgid = 100;
  mw_u32 tid = 101;
  mw_u64 caller_pc = 0x401000;
  mw_u64 depth = 0;  ///< bytes of stack its callers use: tells chains of calls apart
};

class Machine {
 public:
  Machine();
  ~Machine();

  GoMap& new_map(mw_u64 address = 0);
  /// One operation reaches its probe.
  void hit(const Goroutine& goroutine, mw_op op, const GoMap& map, mw_site_class cls = MW_SITE_PUSH, mw_u64 rflags = 0);
  /// One step of an iterator, whose fields are in `words`.
  void iterate(const Goroutine& goroutine, mw_u64 iterator);
  /// The process runs exec; `every`: the user side asked for all of them.
  void exec(mw_u32 tgid, bool every);
  /// It reaches runtime.fatal, called in the frame at `frame` (its saved RBP; the return address lies 8 above).
  void fatal(const Goroutine& goroutine, mw_u64 frame);
  /// The frame of the operation that the goroutine's last hit began.
  static mw_u64 frame_of(const Goroutine& goroutine) { return stack_of(goroutine) - 8; }
  static mw_u64 stack_of(const Goroutine& goroutine) {
    return 0x7000000800ull + goroutine.g % 0x1000 * 0x1000 - goroutine.depth;
  }
  /// A goroutine enters runtime.fatal with this text; `readable`: whether the kernel can read it.
  void fatal(const Goroutine& goroutine, const std::string& text, bool readable = true);
  /// The scheduler takes the CPU from the goroutine's thread before it comes back from its last probe.
  void preempt(const Goroutine& goroutine);
  /// It runs, in user space.
  void run(const Goroutine& goroutine);
  /// It is taken off its CPU, by an interrupt or in a system call, at this address.
  void take_off(const Goroutine& goroutine, mw_u64 ip);
  /// Called at each turn of a dwell or hold and at each MW_YIELD, with its name ("turn" for spins). Hooks do not nest.
  std::function<void(const std::string&)> hook;
  /// Every candidate dwells.
  void hold_all(mw_u32 tgid = 100);
  void allow(mw_u32 tgid, mw_policy policy) {
    policies[tgid] = policy;
    policies[tgid].tgid = tgid;
    buckets[tgid] = {};
  }

  std::vector<mw_access_event> events;
  std::vector<mw_fatal_event> fatals;
  std::vector<mw_over_event> overs;
  std::vector<mw_event_head> heads;  ///< MW_EVENT_EXEC and MW_EVENT_NEW
  bool policies_full = false;
  std::map<mw_u32, mw_u64> frozen;
  std::vector<mw_freeze_note> notes;
  bool notes_full = false;
  bool gate_open = true;
  std::vector<std::pair<mw_u32, mw_u32>> signals;  ///< (signal, tgid) sent
  bool signal_fails = false;
  std::unordered_map<mw_u32, mw_policy> policies;
  std::unordered_map<mw_u32, mw_bucket> buckets;
  mw_layout layout = {};
  std::vector<mw_slot> slots;
  std::vector<mw_heat> heats;
  std::vector<mw_pair> pairs;
  std::vector<mw_left> lefts;
  struct Thread {
    mw_thread state = {};
    pt_regs regs = {};  ///< of user space, as the kernel saved them when it came from there last
  };
  std::map<mw_u32, Thread> threads;  ///< by TID
  mw_u32 queue_length = 1;           ///< threads on the CPU of whoever asks
  std::vector<mw_doing> doings;
  std::vector<mw_caller_count> callers;
  mw_counters counters = {};
  std::map<mw_u32, mw_target_counts> targets;  ///< by slot
  std::map<mw_u32, mw_site_counts> sites;
  mw_u64 now = 1'000'000'000;
  bool ring_full = false;
  std::map<mw_u64, mw_u64> words;  ///< other readable memory
  std::map<mw_u64, GoMap> maps;
  std::map<mw_u64, std::string> texts;     ///< rodata
  std::map<mw_u64, std::string> resident;  ///< text that needs no page to be brought in
  mw_u64 current = 0;                      ///< pid_tgid
  mw_u64 random = 1;                       ///< state of bpf_get_prandom_u32

  void call_hook(const std::string& point);

 private:
  void probe(const Goroutine& goroutine, pt_regs regs, mw_u64 cookie);

  bool in_hook_ = false;
};

}  // namespace mapwatch::bpf_test

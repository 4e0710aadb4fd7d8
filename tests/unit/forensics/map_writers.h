// Goroutines that are inside mapassign_faststr, by the memory of a made-up process.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "arch/arguments.h"
#include "base/manual_clock.h"
#include "forensics/fake_process.h"

namespace mapwatch::forensics {

class MapWriters : public testing::Test, public mapwatch::test::FakeProcess {
 protected:
  static constexpr std::uint32_t kRunnable = 1, kRunning = 2, kWaiting = 4;
  static constexpr char kAssign[] = "runtime.mapassign_faststr";

  MapWriters() {
    main_ = inside("main.main");
    exit_ = binary().find("runtime.goexit")->entry + 1;
    proven_ = call_in_assign(true);
    unproven_ = call_in_assign(false);
  }

  std::optional<arch::ArgumentFacts> facts(std::uint64_t pc, bool returned) const {
    const auto function = *binary().at(pc);
    const auto distance = [&](std::uint64_t address) {
      const auto row = binary().unwind_row(address);
      return row ? row->sp_delta : std::nullopt;
    };
    return arch::argument_facts(*binary().code(function.entry, function.end), function.entry, distance, pc, returned);
  }

  /// The return address of a call in mapassign_faststr at which the map's spill slot is, or is not, proven to hold it.
  std::uint64_t call_in_assign(bool proven) const {
    const auto function = *binary().find(kAssign);
    const Bytes code = *binary().code(function.entry, function.end);
    for (std::uint64_t at = 0; at < code.size();) {
      const auto insn = arch::decode(*code.from(at), function.entry + at);
      at += insn->length;
      const auto here = insn->mnemonic == "call" ? facts(function.entry + at, true) : std::nullopt;
      if (here && here->slot[1] == proven && binary().unwind_row(function.entry + at)->sp_delta.value_or(0) > 0) {
        return function.entry + at;
      }
    }
    ADD_FAILURE() << "no such call in " << kAssign;
    return function.entry;
  }

  void take() {
    auto taken = copy_goroutines(memory(), process(), registers_);
    ASSERT_TRUE(taken) << taken.error().message;
    copy_ = std::move(*taken);
    all_ = decode_goroutines(copy_, process());
  }
  const Frame& frame(std::size_t goroutine, std::size_t index) { return all_.list.at(goroutine).frames.at(index); }
  /// A goroutine in mapassign_faststr at `pc`, with `word` in the map's spill slot; the address of its g.
  std::uint64_t writer(std::uint64_t id, std::uint64_t pc, std::uint64_t word, std::uint32_t status = kWaiting) {
    const std::uint64_t g = add_goroutine(id, status, {pc, main_, exit_});
    take();
    put(frame(all_.list.size() - 1, 0).cfa + 8, word);
    return g;
  }

  std::uint64_t main_ = 0, exit_ = 0, proven_ = 0, unproven_ = 0;
  RegisterMap registers_;
  GoroutineCopy copy_;
  Goroutines all_;
  mapwatch::test::ManualClock clock_;
};

}  // namespace mapwatch::forensics

// Names made of addresses; remembers what it was asked.
#pragma once

#include <string>
#include <vector>

#include <fmt/format.h>

#include "symbolize/symbolizer.h"

namespace mapwatch::symbolize {

class FakeSymbolizer : public Symbolizer {
 public:
  std::vector<Frame> stack(std::uint32_t, const std::vector<std::uint64_t>& pcs) override {
    ++stacks;
    std::vector<Frame> frames;
    for (const std::uint64_t pc : pcs) {
      frames.push_back(frame("main.f", pc));
    }
    return frames;
  }
  std::vector<Frame> at(std::uint32_t, std::uint64_t pc) override { return {frame("main.at", pc)}; }
  std::string type_name(std::uint32_t, std::uint64_t address) override {
    ++types;
    return address % 2 != 0 ? "map[go.shape.string]int" : fmt::format("map[string]main.T{:x}", address);
  }

  int stacks = 0;
  int types = 0;

 private:
  static Frame frame(const std::string& prefix, std::uint64_t pc) {
    Frame out;
    out.func = fmt::format("{}{:x}", prefix, pc);
    out.file = "/src/f.go";
    out.line = static_cast<int>(pc % 1000);
    out.pc = pc;
    out.user = true;
    return out;
  }
};

}  // namespace mapwatch::symbolize

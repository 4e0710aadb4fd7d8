// A binary that is read when somebody asks: 200 programs parsed at once would take more memory than all else together.
#pragma once

#include <memory>
#include <utility>

#include "elf/go_binary.h"

namespace mapwatch::elf {

class BinarySource {
 public:
  virtual ~BinarySource() = default;
  /// Any thread. Null when the file can no longer be read as it was.
  virtual std::shared_ptr<const GoBinary> get() const = 0;
};

/// One that stays in memory.
class HeldBinary final : public BinarySource {
 public:
  explicit HeldBinary(std::shared_ptr<const GoBinary> binary) : binary_(std::move(binary)) {}
  std::shared_ptr<const GoBinary> get() const override { return binary_; }

 private:
  std::shared_ptr<const GoBinary> binary_;
};

}  // namespace mapwatch::elf

#include "govern/ledger.h"

#include <algorithm>
#include <cmath>

namespace mapwatch::govern {

void Ledger::advance(std::uint64_t step) {
  if (step <= newest_) {
    return;
  }
  if (step - newest_ >= kLongSteps) {
    steps_.fill({});
    short_ = {};
    long_ = {};
    newest_ = step;
    return;
  }
  while (newest_ < step) {
    ++newest_;
    steps_[newest_ % kLongSteps] = {};
  }
  // Summed anew, not by differences: rounding must not add up over months.
  short_ = {};
  long_ = {};
  for (std::size_t age = 0; age < kLongSteps && age <= newest_; ++age) {
    const Step& entry = steps_[(newest_ - age) % kLongSteps];
    long_.cost_ns += static_cast<double>(entry.cost_ns);
    long_.cpu_ns += static_cast<double>(entry.cpu_ns);
    if (age < kShortSteps) {
      short_.cost_ns += static_cast<double>(entry.cost_ns);
      short_.cpu_ns += static_cast<double>(entry.cpu_ns);
    }
  }
}

double Ledger::steadiness() const {
  constexpr std::size_t kSecondSteps = kShortSteps - 1;
  double all = 0;
  double second = 0;
  double idlest = HUGE_VAL;
  for (std::size_t age = 1; age < kLongSteps && age <= newest_; ++age) {  // the newest step has just begun
    second += static_cast<double>(steps_[(newest_ - age) % kLongSteps].cpu_ns);
    if (age % kSecondSteps == 0) {
      all += second;
      idlest = std::min(idlest, second);
      second = 0;
    }
  }
  return all > 0 ? std::min(1.0, idlest * 10 / all) : 0;
}

void Ledger::put(std::uint64_t step, double cost_ns, double cpu_ns) {
  Step& entry = steps_[step % kLongSteps];
  entry.cost_ns += static_cast<float>(cost_ns);
  entry.cpu_ns += static_cast<float>(cpu_ns);
  long_.cost_ns += cost_ns;
  long_.cpu_ns += cpu_ns;
  if (newest_ - step < kShortSteps) {
    short_.cost_ns += cost_ns;
    short_.cpu_ns += cpu_ns;
  }
}

void Ledger::add(std::uint64_t from_ns, std::uint64_t to_ns, double cost_ns, double cpu_ns) {
  if (!started_) {
    started_ = true;
    last_ns_ = from_ns;
    newest_ = from_ns / kStepNs;
  }
  from_ns = std::max(from_ns, last_ns_);
  to_ns = std::max(to_ns, from_ns);
  const double span = static_cast<double>(to_ns - from_ns);
  peak_ *= std::exp(-static_cast<double>(to_ns - last_ns_) / (10.0 * kSecondNs));
  // Over less than a step the clock of the CPU time is too coarse to say how many ran at once.
  peak_ = std::max(peak_, cpu_ns / std::max(span, static_cast<double>(kStepNs)));
  last_ns_ = to_ns;
  const std::uint64_t last_step = to_ns / kStepNs;
  advance(last_step);
  if (span == 0) {
    put(last_step, cost_ns, cpu_ns);
    return;
  }
  std::uint64_t step = from_ns / kStepNs;
  if (last_step - step >= kLongSteps) {
    step = last_step - kLongSteps + 1;
  }
  for (; step <= last_step; ++step) {
    const std::uint64_t begin = std::max(from_ns, step * kStepNs);
    const std::uint64_t end = std::min(to_ns, (step + 1) * kStepNs);
    const double part = static_cast<double>(end - begin) / span;
    put(step, cost_ns * part, cpu_ns * part);
  }
}

}  // namespace mapwatch::govern

#include "app/arms.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace mapwatch::app {

Arm::Arm(Arms& arms, const attach::Target& target, std::shared_ptr<const Program> program, std::uint32_t layout,
         std::uint32_t first_site, std::vector<mw_site_counts> before)
    : arms_(arms),
      key_(target.exe_key()),
      path_(target.exe_path()),
      program_(std::move(program)),
      layout_(layout),
      first_site_(first_site),
      before_(std::move(before)) {}

Arm::~Arm() {
  wide_.reset();
  arms_.by_layout_.erase(layout_);
  arms_.kernel_.drop_layout(layout_);
  arms_.layouts_.give_back(layout_);
  arms_.sites_.give_back(first_site_, static_cast<std::uint32_t>(plan().probes.size()));
}

Result<std::shared_ptr<Arm>> Arms::place(const attach::Target& target) {
  const FileKey& key = target.exe_key();
  if (const auto known = files_.find(inode_of(key)); known != files_.end()) {
    // A lease vouches for the contents, whatever touch(1) did to the times.
    if (auto arm = known->second.lock(); arm && (arm->lease_ || arm->key_ == key)) {
      return arm;
    }
  }
  const auto program = TRY(programs_.load(target));
  const auto count = static_cast<std::uint32_t>(program->plan().probes.size());
  std::optional<std::uint32_t> layout = layouts_.take();
  while (!layout && drop_an_idle_one()) {
    layout = layouts_.take();
  }
  std::optional<std::uint32_t> site = layout ? sites_.take(count) : std::nullopt;
  while (layout && !site && drop_an_idle_one()) {
    site = sites_.take(count);
  }
  if (!site) {
    if (layout) {
      layouts_.give_back(*layout);
    }
    if (!std::exchange(told_full_, true)) {
      log::warn(
          "{} binaries and {} sites are the most at once: further programs are not watched until others have ended",
          MW_MAX_LAYOUTS, MW_MAX_SITES);
    }
    return fail(
        ErrorKind::kUnsupported,
        fmt::format("{}: more than {} binaries or {} sites at once", target.exe_path(), MW_MAX_LAYOUTS, MW_MAX_SITES),
        "watch fewer programs");
  }
  auto before = kernel_.site_counts(*site, count);
  auto arm = std::make_shared<Arm>(*this, target, program, *layout, *site,
                                   before ? std::move(*before) : std::vector<mw_site_counts>(count));
  std::erase_if(files_, [](const auto& entry) { return entry.second.expired(); });
  files_[inode_of(key)] = arm;
  by_layout_[*layout] = arm;
  return arm;
}

Result<std::shared_ptr<Armed>> Arms::make(const Arm& arm, const attach::Target& target, int pid,
                                          const cli::Options& options) {
  attach::AttachRequest request;
  request.pid = pid;
  request.layout = arm.layout();
  request.first_site = arm.first_site();
  return governor_.arm(arm.program(), request, target.exe_fd(), options);
}

Result<std::shared_ptr<Armed>> Arms::attach(const std::shared_ptr<Arm>& arm, const attach::Target& target, Match reach,
                                            const cli::Options& options) {
  arm->idle_since_ns_ = 0;
  if (arm->wide_) {
    return arm->wide_;
  }
  bool wide = reach == Match::kFile || !options_.narrow;
  if (wide) {
    auto lease = FileLease::take(target.attach_path());
    if (lease) {
      arm->lease_ = std::move(*lease);
    } else {
      log::debug("{}: {}", log::printable(target.exe_path()), lease.error().message);
      wide = !options_.narrow;
    }
  }
  if (!wide) {
    auto probes = TRY(make(*arm, target, target.pid(), options));
    TRY(kernel_.set_layout(arm->layout(), arm->program()->layout()));
    std::erase_if(arm->narrow_, [](const auto& narrow) { return narrow.expired(); });
    arm->narrow_.push_back(probes);
    return probes;
  }
  // Links of single processes would count each hit again.
  for (const auto& narrow : arm->narrow_) {
    if (const auto probes = narrow.lock()) {
      probes->detach();
    }
  }
  arm->narrow_.clear();
  auto probes = TRY(make(*arm, target, -1, options));
  mw_layout layout = arm->program()->layout();
  layout.flags |= options_.adopt ? MW_LAYOUT_ADOPT : 0;
  TRY(kernel_.set_layout(arm->layout(), layout));
  arm->wide_ = std::move(probes);
  wide_.push_back(arm);
  return arm->wide_;
}

std::shared_ptr<Arm> Arms::wide(const FileKey& key) const {
  const auto found = files_.find(inode_of(key));
  auto arm = found == files_.end() ? nullptr : found->second.lock();
  return arm && arm->wide_ ? arm : nullptr;
}

std::shared_ptr<Arm> Arms::by_layout(std::uint32_t layout) const {
  const auto found = by_layout_.find(layout);
  return found == by_layout_.end() ? nullptr : found->second.lock();
}

Result<std::vector<mw_site_counts>> Arms::site_counts(const Arm& arm) const {
  auto counts = TRY(kernel_.site_counts(arm.first_site(), arm.plan().probes.size()));
  for (std::size_t i = 0; i < counts.size(); ++i) {
    counts[i].hits -= arm.before_[i].hits;
    counts[i].candidates -= arm.before_[i].candidates;
  }
  return counts;
}

void Arms::disarm(Arm& arm) {
  if (arm.wide_) {
    arm.wide_->detach();  // also where a process that just ended still holds it
    arm.wide_.reset();
  }
  arm.lease_.reset();
  // What runs from the file next is looked at anew.
  if (const auto found = files_.find(inode_of(arm.key_)); found != files_.end() && found->second.lock().get() == &arm) {
    files_.erase(found);
  }
}

bool Arms::drop_an_idle_one() {
  const auto idlest = std::ranges::min_element(wide_, {}, [](const std::shared_ptr<Arm>& arm) {
    return arm.use_count() > 1 || arm->idle_since_ns_ == 0 ? UINT64_MAX : arm->idle_since_ns_;
  });
  if (idlest == wide_.end() || (*idlest).use_count() > 1) {
    return false;
  }
  disarm(**idlest);
  wide_.erase(idlest);
  return true;
}

void Arms::turn() {
  const std::uint64_t now = clock_.monotonic_ns();
  if (now < next_look_ns_) {
    return;
  }
  next_look_ns_ = now + kLookNs;
  std::erase_if(wide_, [&](const std::shared_ptr<Arm>& arm) {
    const bool held = arm.use_count() > 1;
    if (held) {
      arm->idle_since_ns_ = 0;
    } else if (arm->idle_since_ns_ == 0) {
      arm->idle_since_ns_ = now;
    }
    const bool linger = arm->lease_ && (held || now - arm->idle_since_ns_ < kLingerNs);
    if (arm->lease_ && arm->lease_->writer_waits()) {
      log::debug("a file that was watched is about to be written to: its probes are taken out first");
    } else if (held || linger) {
      return false;
    }
    disarm(*arm);
    return true;
  });
}

void Arms::disarm_idle() {
  std::erase_if(wide_, [this](const std::shared_ptr<Arm>& arm) {
    const bool idle = arm.use_count() == 1;
    if (idle) {
      disarm(*arm);
    }
    return idle;
  });
}

void Arms::clear() {
  for (const auto& arm : wide_) {
    disarm(*arm);
  }
  wide_.clear();
}

}  // namespace mapwatch::app

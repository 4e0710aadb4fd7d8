#include "elf/runtime_layout.h"

#include <iterator>
#include <vector>

#include "elf/dwarf.h"

namespace mapwatch::elf {
namespace {

struct LayoutEntry {
  int minor = 0;
  RuntimeLayout layout;
};

constexpr LayoutEntry kLayouts[] = {
#include "elf/runtime_table.inc"
};

struct ReasonEntry {
  int minor = 0;
  std::vector<std::string_view> reasons;
};

const std::vector<ReasonEntry>& reason_table() {
  static const std::vector<ReasonEntry> table = {
#include "elf/wait_reasons.inc"
  };
  return table;
}

/// gQueue counts its members from 1.25 on; before, schedt did.
constexpr int kQueueHasSize = 25;
constexpr std::uint32_t kQueueSize = 16;

std::vector<DwarfStruct> wanted_structs(int minor, RuntimeLayout& layout) {
  GLayout& g = layout.g;
  MLayout& m = layout.m;
  PLayout& p = layout.p;
  SchedLayout& sched = layout.sched;
  SudogLayout& sudog = layout.sudog;
  std::vector<DwarfStruct> wanted = {
      {"runtime.g",
       {{"stack", &g.stack},
        {"m", &g.m},
        {"sched", &g.sched},
        {"syscallsp", &g.syscallsp},
        {"syscallpc", &g.syscallpc},
        {"atomicstatus", &g.status},
        {"goid", &g.goid},
        {"waitsince", &g.waitsince},
        {"waitreason", &g.waitreason},
        {"lockedm", &g.lockedm},
        {"gopc", &g.gopc},
        {"startpc", &g.startpc},
        {"waiting", &g.waiting},
        {"labels", &g.labels}}},
      {"runtime.m",
       {{"g0", &m.g0},
        {"procid", &m.procid},
        {"gsignal", &m.gsignal},
        {"curg", &m.curg},
        {"p", &m.p},
        {"id", &m.id},
        {"throwing", &m.throwing},
        {"locks", &m.locks},
        {"spinning", &m.spinning},
        {"blocked", &m.blocked},
        {"incgo", &m.incgo},
        {"alllink", &m.alllink},
        {"lockedg", &m.lockedg},
        {"vdsoSP", &m.vdso_sp},
        {"vdsoPC", &m.vdso_pc}}},
      {"runtime.p",
       {{"id", &p.id},
        {"status", &p.status},
        {"schedtick", &p.schedtick},
        {"syscalltick", &p.syscalltick},
        {"m", &p.m},
        {"runqhead", &p.runqhead},
        {"runqtail", &p.runqtail},
        {"runq", &p.runq},
        {"runnext", &p.runnext}}},
      {"runtime.schedt",
       {{"goidgen", &sched.goidgen},
        {"lastpoll", &sched.lastpoll},
        {"nmidle", &sched.nmidle},
        {"nmsys", &sched.nmsys},
        {"npidle", &sched.npidle},
        {"nmspinning", &sched.nmspinning},
        {minor < kQueueHasSize ? "runqsize" : "runq", &sched.runqsize},
        {"gcwaiting", &sched.gcwaiting},
        {"stopwait", &sched.stopwait}}},
      {"runtime.sudog",
       {{"elem", &sudog.elem}, {"waitlink", &sudog.waitlink}, {"c", &sudog.channel}, {"isSelect", &sudog.is_select}}},
      {"runtime.gobuf", {{"bp", &g.sched_bp}}},
  };
  if (g.parent != kAbsent) {
    wanted.front().fields.push_back({"parentGoid", &g.parent});
  }
  return wanted;
}

}  // namespace

RuntimeLayout table_runtime_layout(int minor) {
  const LayoutEntry* best = std::begin(kLayouts);
  for (const LayoutEntry& entry : kLayouts) {
    if (entry.minor <= minor) {
      best = &entry;
    }
  }
  return best->layout;
}

RuntimeLayout read_runtime_layout(const Image& image, int minor, bool unverified) {
  RuntimeLayout table = table_runtime_layout(minor);
  table.source = unverified ? OffsetSource::kUnverified : OffsetSource::kTable;
  RuntimeLayout layout = table;
  std::vector<DwarfStruct> wanted = wanted_structs(minor, layout);
  if (read_dwarf_structs(image, table.source, wanted)) {
    layout.source = OffsetSource::kDwarf;
    layout.g.sched_bp += layout.g.sched;
    layout.sched.runqsize += minor < kQueueHasSize ? 0 : kQueueSize;
    return layout;
  }
  return table;
}

std::optional<std::string_view> wait_reason(int minor, std::uint8_t number) {
  const ReasonEntry* best = &reason_table().front();
  for (const ReasonEntry& entry : reason_table()) {
    if (entry.minor <= minor) {
      best = &entry;
    }
  }
  return number < best->reasons.size() ? std::optional(best->reasons[number]) : std::nullopt;
}

}  // namespace mapwatch::elf

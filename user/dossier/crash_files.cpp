#include "dossier/crash_files.h"

#include <ctime>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "dossier/map_json.h"
#include "dossier/map_svg.h"
#include "dossier/map_text.h"
#include "dossier/traceback.h"
#include "forensics/goroutine_decode.h"

namespace mapwatch::dossier {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostText = std::size_t{64} << 20;
constexpr std::size_t kReportGroups = 100;

/// Collects text up to a limit, and says so where it was reached.
class Collected {
 public:
  TextSink sink() {
    return [this](std::string_view piece) {
      if (text_.size() + piece.size() <= kMostText) {
        text_ += piece;
      } else if (!full_) {
        full_ = true;
        text_ += "... more than 64 MiB: the rest is left out\n";
      }
    };
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  bool full_ = false;
};

std::string registers_json(const std::vector<ThreadState>& threads) {
  Json list = Json::array();
  for (const ThreadState& thread : threads) {
    const user_regs_struct& regs = thread.registers;
    const struct {
      const char* name;
      unsigned long long value;
    } named[] = {{"rip", regs.rip}, {"rsp", regs.rsp},       {"rbp", regs.rbp},        {"rax", regs.rax},
                 {"rbx", regs.rbx}, {"rcx", regs.rcx},       {"rdx", regs.rdx},        {"rsi", regs.rsi},
                 {"rdi", regs.rdi}, {"r8", regs.r8},         {"r9", regs.r9},          {"r10", regs.r10},
                 {"r11", regs.r11}, {"r12", regs.r12},       {"r13", regs.r13},        {"r14", regs.r14},
                 {"r15", regs.r15}, {"eflags", regs.eflags}, {"fs_base", regs.fs_base}};
    Json one = {{"tid", thread.tid}};
    for (const auto& [name, value] : named) {
      one[name] = fmt::format("{:#x}", value);
    }
    list.push_back(std::move(one));
  }
  return Json{{"schema_version", 1}, {"threads", std::move(list)}}.dump() + "\n";
}

std::string build_text(const elf::BuildInfo& build) {
  std::string text = fmt::format("go\t{}\npath\t{}\n", escape(build.version.text), escape(build.path));
  for (const auto& [key, value] : build.settings) {
    text += fmt::format("build\t{}={}\n", escape(key), escape(value));
  }
  return text;
}

}  // namespace

std::vector<DossierFile> crash_files(const CrashFacts& facts, const forensics::GoProcess& process,
                                     const std::optional<elf::BuildInfo>& build, const report::CrashReport& report) {
  std::vector<DossierFile> files;
  std::string text = report::to_text(report, {});
  for (const std::string& note : facts.notes) {
    text += fmt::format("Not complete: {}\n", note);
  }
  if (facts.map) {
    text += "\n" + map_text(*facts.map);
    files.push_back({"maps.json", map_json(*facts.map) + "\n"});
    files.push_back({"map.svg", map_svg(*facts.map)});
  }
  if (facts.goroutines) {
    const forensics::Goroutines goroutines = forensics::decode_goroutines(*facts.goroutines, process);
    FrameNames names(*process.binary, process.bias);
    const TracebackStyle style{false, report.goid};
    Collected groups, table, each;
    write_scheduler(goroutines, names, table.sink());
    write_groups(goroutines, names, style, kReportGroups, groups.sink());
    write_traceback(goroutines, names, style, each.sink());
    for (const std::string& note : goroutines.notes) {
      text += fmt::format("Not complete: {}\n", escape(note));
    }
    text += fmt::format("\n{} goroutines, the crashing one first:\n\n{}\n{}", goroutines.list.size(), groups.take(),
                        table.take());
    files.push_back({"goroutines.txt", each.take()});
  }
  files.push_back({"registers.json", registers_json(facts.threads)});
  files.push_back({"maps.txt", escape_lines(facts.maps)});
  if (build) {
    files.push_back({"buildinfo.txt", build_text(*build)});
  }
  files.insert(files.begin(), {{"report.txt", std::move(text)}, {"report.json", report::to_json(report, {})}});
  return files;
}

std::string crash_id(const report::CrashReport& report) {
  const std::time_t seconds = report.wall_ns / 1'000'000'000;
  std::tm utc = {};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}.{:03}Z-{}-{}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, report.wall_ns % 1'000'000'000 / 1'000'000,
                     report.process.pid, report.id);
}

}  // namespace mapwatch::dossier

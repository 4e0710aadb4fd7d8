#include "dossier/crash_files.h"

#include <ctime>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "dossier/goroutine_groups.h"
#include "dossier/map_company.h"
#include "dossier/map_json.h"
#include "dossier/map_svg.h"
#include "dossier/map_text.h"
#include "dossier/report_html.h"
#include "dossier/timeline_files.h"
#include "dossier/traceback.h"
#include "forensics/goroutine_decode.h"

namespace mapwatch::dossier {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostText = std::size_t{64} << 20;
constexpr std::size_t kReportGroups = 100;
constexpr std::size_t kMostNames = 1000;
constexpr std::size_t kLongestName = 200;

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

std::string env_names_text(const std::vector<std::string>& environment) {
  std::set<std::string> names;
  std::size_t nameless = 0;
  for (const std::string& variable : environment) {
    // Without a name it may be a value: a process can write what it likes over its environment.
    const std::size_t end = variable.find('=');
    if (end == std::string::npos || end == 0) {
      ++nameless;
    } else if (names.size() < kMostNames) {
      names.insert(escape(std::string_view(variable).substr(0, end), kLongestName));
    }
  }
  std::string text;
  for (const std::string& name : names) {
    text += name + "\n";
  }
  if (names.size() == kMostNames) {
    text += fmt::format("(more than {} names: the rest is left out)\n", kMostNames);
  }
  if (nameless != 0) {
    text += fmt::format("({} entries without a name are left out)\n", nameless);
  }
  return text;
}

CrashPicture decode_crash(const CrashFacts& facts, const forensics::GoProcess& process, std::uint64_t map) {
  CrashPicture picture;
  if (!facts.goroutines) {
    return picture;
  }
  picture.goroutines = forensics::decode_goroutines(*facts.goroutines, process);
  if (map != 0) {
    const bool searched = facts.map_address == map;
    picture.use = forensics::map_use(map, *facts.goroutines, *picture.goroutines, process, facts.accesses);
    picture.holders = forensics::map_holders(map, *facts.goroutines, *picture.goroutines, process,
                                             searched ? facts.variables : std::nullopt);
  }
  return picture;
}

std::vector<DossierFile> crash_files(const CrashFacts& facts, const CrashPicture& picture,
                                     const forensics::GoProcess& process, const std::optional<elf::BuildInfo>& build,
                                     const report::CrashReport& report) {
  std::vector<DossierFile> files;
  PageFacts page{report, facts.notes, nullptr, nullptr, nullptr, nullptr, build ? build->path : "", nullptr};
  std::string text = report::to_text(report, {});
  for (const std::string& note : facts.notes) {
    text += fmt::format("Not complete: {}\n", note);
  }
  FrameNames names(*process.binary, process.bias);
  CompanyView company_shown;
  if (picture.use && picture.holders) {
    const MapCompany company{report, *picture.goroutines, *picture.use, *picture.holders, names, facts.argument_map};
    company_shown = company_view(company);
    page.company = &company_shown;
    text += "\n" + company_text(company_shown);
    files.push_back({"holders.json", company_json(company) + "\n"});
  }
  text += fmt::format("\n{}", kTimelineSlot);
  if (facts.map) {
    text += "\n" + map_text(*facts.map);
    files.push_back({"maps.json", map_json(*facts.map) + "\n"});
    files.push_back({"map.svg", map_svg(*facts.map)});
    page.map = &*facts.map;
  }
  std::vector<GoroutineGroup> groups;
  if (picture.goroutines) {
    const forensics::Goroutines& goroutines = *picture.goroutines;
    const TracebackStyle style{false, report.goid};
    groups = group_goroutines(goroutines, names, style);
    Collected grouped, table, each;
    write_scheduler(goroutines, names, table.sink());
    write_groups(groups, names, style, kReportGroups, grouped.sink());
    write_traceback(goroutines, names, style, each.sink());
    for (const std::string& note : goroutines.notes) {
      text += fmt::format("Not complete: {}\n", escape(note));
    }
    text += fmt::format("\n{} goroutines, the crashing one first:\n\n{}\n{}", goroutines.list.size(), grouped.take(),
                        table.take());
    files.push_back({"goroutines.txt", each.take()});
    page.notes.insert(page.notes.end(), goroutines.notes.begin(), goroutines.notes.end());
    page.goroutines = &goroutines;
    page.groups = &groups;
    page.names = &names;
  }
  files.push_back({"registers.json", registers_json(facts.threads)});
  files.push_back({"maps.txt", escape_lines(facts.maps)});
  if (build) {
    files.push_back({"buildinfo.txt", build_text(*build)});
  }
  if (facts.environment) {
    files.push_back({"env-names.txt", *facts.environment});
  }
  files.insert(files.begin(), {{"report.txt", std::move(text)},
                               {"report.json", report::to_json(report, {})},
                               {"report.html", report_html(page)}});
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

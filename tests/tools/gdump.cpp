// Prints the goroutines of a live process as forensics reads them; a line on stderr tells what it took.
//   gdump PID [--system] [--groups] [--table]
//   gdump --core FILE --exe BINARY [--system] [--groups] [--table]
#include <time.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "dossier/goroutine_groups.h"
#include "dossier/traceback.h"
#include "elf/go_binary.h"
#include "elf/mapped_file.h"
#include "forensics/core_memory.h"
#include "forensics/goroutine_copy.h"
#include "forensics/goroutine_decode.h"
#include "forensics/live_memory.h"
#include "forensics/thread_stop.h"

using namespace mapwatch;
using namespace mapwatch::forensics;

namespace {

using Clock = std::chrono::steady_clock;
/// CPU time of this thread: on a busy machine the wall clock tells about the others.
double cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}
double ms(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

struct Options {
  int pid = 0;
  std::string core, exe;
  bool system = false, groups = false, table = false, quiet = false;
};

int fail_with(const Error& error) {
  std::fprintf(stderr, "gdump: %s (%s)\n", error.message.c_str(), error.hint.c_str());
  return 1;
}

void print(const Goroutines& goroutines, const GoProcess& process, const Options& options) {
  dossier::FrameNames names(*process.binary, process.bias);
  const auto sink = [](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); };
  const dossier::TracebackStyle style{options.system, 0};
  if (options.quiet) {
    return;
  }
  if (options.table) {
    dossier::write_scheduler(goroutines, names, sink);
  } else if (options.groups) {
    dossier::write_groups(dossier::group_goroutines(goroutines, names, style), names, style, 0, sink);
  } else {
    dossier::write_traceback(goroutines, names, style, sink);
  }
}

int finish(const GoroutineCopy& copy, const GoProcess& process, const Options& options) {
  const auto begin = Clock::now();
  const Goroutines goroutines = decode_goroutines(copy, process);
  const auto decoded = Clock::now();
  print(goroutines, process, options);
  std::size_t doubtful = 0, frames = 0, differ = 0;
  for (const Goroutine& goroutine : goroutines.list) {
    doubtful += goroutine.doubt != StackDoubt::kNone;
    frames += goroutine.frames.size();
    differ += goroutine.frame_pointers_differ;
  }
  std::fprintf(stderr, "gdump: %zu goroutines, %zu doubtful, %zu frames, %zu frame pointers differ, decode %.1f ms\n",
               goroutines.list.size(), doubtful, frames, differ, ms(begin, decoded));
  for (const std::string& note : goroutines.notes) {
    std::fprintf(stderr, "gdump: note: %s\n", note.c_str());
  }
  return 0;
}

int dump_live(const Options& options) {
  const std::string exe = "/proc/" + std::to_string(options.pid) + "/exe";
  const auto file = elf::MappedFile::open(exe);
  const auto link = proc::ProcFs().exe(options.pid);
  if (!file || !link) {
    return fail_with(!file ? file.error() : link.error());
  }
  const auto binary = elf::GoBinary::parse(file->bytes());
  if (!binary) {
    return fail_with(binary.error());
  }
  const auto memory = LiveMemory::open(options.pid);
  if (!memory) {
    return fail_with(memory.error());
  }
  const auto bias = load_bias(memory->mappings(), link->path, *binary);
  if (!bias) {
    return fail_with(bias.error());
  }
  const GoProcess process = GoProcess::of(*binary, *bias);
  const double cpu_begin = cpu_ms();
  const auto begin = Clock::now();
  auto stop = ThreadStop::all(options.pid, 5000);
  if (!stop) {
    return fail_with(stop.error());
  }
  const auto stopped = Clock::now();
  const auto copy = copy_goroutines(*memory, process, stop->registers());
  const std::size_t threads = stop->threads();
  stop->release();
  const auto end = Clock::now();
  std::fprintf(stderr, "gdump: frozen %.1f ms (%.1f ms to stop %zu threads), %.1f ms of CPU\n", ms(begin, end),
               ms(begin, stopped), threads, cpu_ms() - cpu_begin);
  return copy ? finish(*copy, process, options) : fail_with(copy.error());
}

int dump_core(const Options& options) {
  const auto core = elf::MappedFile::open(options.core);
  const auto file = elf::MappedFile::open(options.exe);
  if (!core || !file) {
    return fail_with(!core ? core.error() : file.error());
  }
  const auto binary = elf::GoBinary::parse(file->bytes());
  if (!binary) {
    return fail_with(binary.error());
  }
  const auto memory = CoreMemory::parse(core->bytes(), file->bytes());
  if (!memory) {
    return fail_with(memory.error());
  }
  const auto bias = memory->load_bias();
  if (!bias) {
    return fail_with(bias.error());
  }
  const GoProcess process = GoProcess::of(*binary, *bias);
  const auto copy = copy_goroutines(*memory, process, memory->registers());
  return copy ? finish(*copy, process, options) : fail_with(copy.error());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  const std::vector<std::string> words(argv + 1, argv + argc);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string next = i + 1 < words.size() ? words[i + 1] : "";
    if (words[i] == "--core" || words[i] == "--exe") {
      (words[i] == "--core" ? options.core : options.exe) = next;
      ++i;
    } else if (words[i] == "--system" || words[i] == "--groups" || words[i] == "--table" || words[i] == "--quiet") {
      options.system |= words[i] == "--system";
      options.groups |= words[i] == "--groups";
      options.table |= words[i] == "--table";
      options.quiet |= words[i] == "--quiet";
    } else {
      options.pid = std::atoi(words[i].c_str());
    }
  }
  if (options.pid <= 0 && (options.core.empty() || options.exe.empty())) {
    std::fprintf(stderr, "usage: gdump PID | --core FILE --exe BINARY [--system] [--groups] [--table] [--quiet]\n");
    return 2;
  }
  return options.core.empty() ? dump_live(options) : dump_core(options);
}

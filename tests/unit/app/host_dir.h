// A /proc of a test's own, with programs in files of its own.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "base/proc.h"
#include "base/temp_dir.h"
#include "elf/tiny_go.h"

namespace mapwatch::test {

class HostDir {
 public:
  HostDir() {
    std::filesystem::create_directories(proc());
    std::filesystem::create_directories(bin());
  }

  std::string proc() const { return root_.path() + "/proc"; }
  std::string bin() const { return root_.path() + "/bin"; }
  proc::ProcFs procfs() const { return proc::ProcFs(proc()); }

  /// A file that Go built.
  std::string go(const std::string& name) {
    const TinyGo tiny;
    return file(name, std::string(reinterpret_cast<const char*>(tiny.view().data()), tiny.view().size()));
  }
  std::string file(const std::string& name, const std::string& contents) {
    std::string path = bin() + "/" + name;
    std::ofstream(path, std::ios::binary) << contents;
    return path;
  }
  /// `pid` runs the file at `exe`.
  void process(int pid, const std::string& exe, const std::string& comm, const std::string& cgroup = "/") {
    const std::string folder = proc() + "/" + std::to_string(pid);
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    std::filesystem::create_symlink(exe, folder + "/exe");
    std::ofstream(folder + "/comm") << comm << "\n";
    std::ofstream(folder + "/cgroup") << "0::" << cgroup << "\n";
  }
  void use(int pid, std::uint64_t ticks) {
    const std::string folder = proc() + "/" + std::to_string(pid);
    std::filesystem::create_directories(folder);
    std::ofstream(folder + "/stat") << pid << " (x) S 1 1 1 0 -1 0 0 0 0 0 " << ticks
                                    << " 0 0 0 20 0 1 0 77 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0\n";
  }
  void end(int pid) { std::filesystem::remove_all(proc() + "/" + std::to_string(pid)); }

 private:
  TempDir root_;
};

}  // namespace mapwatch::test

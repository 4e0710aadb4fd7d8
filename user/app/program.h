// A program that is watched, by its contents: what is asked of it all the time is kept, the parsed binary is read again
// when somebody asks for it (the report of a finding, a crash).
#pragma once

#include <cstdint>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "attach/plan.h"
#include "attach/target.h"
#include "base/file_key.h"
#include "base/unique_fd.h"
#include "elf/binary_source.h"
#include "elf/go_binary.h"
#include "elf/mapped_file.h"
#include "elf/runtime_globals.h"
#include "elf/runtime_layout.h"
#include "mapwatch/abi.h"

namespace mapwatch::app {

/// `binary` reads `file`'s bytes: it must not outlive them.
struct ParsedProgram {
  std::shared_ptr<const elf::MappedFile> file;
  elf::GoBinary binary;
};

/// Parsed programs under a limit of bytes: those used last. What somebody holds lives on, whatever is forgotten here.
/// Only the one used last keeps pages of its file in memory. Any thread.
class ParsedPrograms {
 public:
  explicit ParsedPrograms(std::size_t limit) : limit_(limit) {}

  std::shared_ptr<const ParsedProgram> find(const void* owner);
  void put(const void* owner, std::shared_ptr<const ParsedProgram> parsed);
  void drop(const void* owner);
  std::size_t bytes() const;

 private:
  struct Entry {
    const void* owner;
    std::shared_ptr<const ParsedProgram> parsed;
    std::size_t bytes;
  };
  void make_room_for(const void* owner);
  void erase(std::list<Entry>::iterator entry);

  mutable std::mutex mutex_;
  const std::size_t limit_;
  std::size_t bytes_ = 0;
  std::list<Entry> entries_;  ///< used last first
  std::map<const void*, std::list<Entry>::iterator> index_;
};

class Program final : public elf::BinarySource {
 public:
  /// What a crash needs to find the scheduler's data by.
  struct RuntimeFacts {
    elf::RuntimeLayout layout;
    elf::RuntimeGlobals globals;
  };

  ~Program() override;

  /// "go1.26.8", with "unverified " in front when newer than the table.
  const std::string& go() const { return go_; }
  const std::string& build_id() const { return build_id_; }
  const std::string& main_path() const { return main_path_; }
  const attach::Plan& plan() const { return plan_; }
  /// Found out beside the making of the program, in the DWARF if there is some: the first calls may wait for 20 ms. Any
  /// thread.
  const mw_layout& layout() const { return layout_.get(); }
  const attach::TextAnchor& anchor() const { return anchor_; }

  /// Null when no file of the program can be read as it was. Any thread.
  std::shared_ptr<const ParsedProgram> parsed() const;
  std::shared_ptr<const elf::GoBinary> get() const override;
  /// Its file, opened for reading. kGone as parsed(). Any thread.
  Result<UniqueFd> file() const;
  /// Found out at the first call, which may take some 30 ms. nullptr as parsed(). Any thread.
  const RuntimeFacts* runtime() const;

 private:
  friend class ProgramCache;
  Program(std::shared_ptr<ParsedPrograms> cache, const std::shared_ptr<const ParsedProgram>& parsed, attach::Plan plan,
          attach::TextAnchor anchor);
  void add_file(int fd, const FileKey& key);

  const std::shared_ptr<ParsedPrograms> cache_;
  const std::string go_;
  const std::string build_id_;
  const std::string main_path_;
  const attach::Plan plan_;
  const std::shared_future<mw_layout> layout_;
  const attach::TextAnchor anchor_;
  mutable std::mutex mutex_;  ///< of what follows
  std::vector<std::pair<UniqueFd, FileKey>> files_;
  mutable std::unique_ptr<RuntimeFacts> runtime_;
};

/// Programs by file, and by build id where files are copies of each other.
class ProgramCache {
 public:
  static constexpr std::size_t kDefaultBytes = 16u << 20;

  /// `bytes`: for parsed binaries.
  explicit ProgramCache(std::size_t bytes = kDefaultBytes) : parsed_(std::make_shared<ParsedPrograms>(bytes)) {}

  /// Of the file that `target` runs. Errors: of GoBinary::parse and plan_probes.
  Result<std::shared_ptr<const Program>> load(const attach::Target& target);

 private:
  Result<std::shared_ptr<Program>> read(const attach::Target& target) const;
  std::shared_ptr<Program> copy_of(const attach::Target& target, const std::string& build_id) const;

  const std::shared_ptr<ParsedPrograms> parsed_;
  std::map<FileKey, std::weak_ptr<Program>> by_file_;
  std::multimap<std::pair<std::string, std::int64_t>, std::weak_ptr<Program>> by_content_;  ///< build id, size
};

}  // namespace mapwatch::app

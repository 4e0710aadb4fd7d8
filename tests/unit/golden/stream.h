// Hand-built recordings for tests/golden: each call adds chunks, through the same writer as --record.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ingest/record_file.h"
#include "ingest/record_json.h"
#include "mapwatch/abi.h"

namespace mapwatch::golden {

/// One physical frame of a made-up binary, with what the symbolizer says of it.
struct Place {
  std::string func;
  std::string file;
  int line = 0;
  std::uint64_t pc = 0;
  std::uint64_t offset = 0;
  enum class Kind { kUser, kRuntime, kInlined } kind = Kind::kUser;
};

struct Goroutine {
  std::uint64_t goid = 0;
  std::uint32_t tid = 0;
  std::vector<Place> stack;  ///< innermost first
  Place created_by;          ///< no function: unknown
};

/// A half of an overlap beside who and what.
struct Half {
  std::uint32_t slot = 17;
  std::uint32_t generation = 5;
  std::uint64_t map = 0xc0000a4060;
  std::uint64_t type = 0x4a1000;
  std::uint64_t len = 3;
  std::uint64_t watch_ns = 0;    ///< watcher only
  std::uint64_t other_goid = 0;  ///< 0: not known
  mw_op other_op = MW_OP_NONE;
  std::uint64_t other_pc = 0;
  std::uint32_t flags = 0;
};

class Stream {
 public:
  explicit Stream(const std::string& path);

  /// Whose events follow. The wall clock is 2026-11-23T00:14:00Z at monotonic 0.
  Stream& process(std::uint32_t tgid, const std::string& exe = "/srv/app/orders",
                  const std::string& build_id = "3f9c0a1e", std::uint64_t load_bias = 0);
  /// Goes back to a process that was begun before.
  Stream& in(std::uint32_t tgid);
  Stream& type(std::uint64_t address, const std::string& name);

  Stream& visitor(std::uint64_t time_ns, mw_op op, const Goroutine& who, const Half& half = {});
  Stream& watcher(std::uint64_t time_ns, mw_op op, const Goroutine& who, const Half& half = {});
  Stream& mark(std::uint64_t time_ns, mw_op op, const Goroutine& who, const Half& half = {});
  Stream& fatal(std::uint64_t time_ns, const std::string& text, const Goroutine& who,
                std::uint64_t last_map = 0xc0000a4060);
  Stream& exit(std::uint64_t time_ns);
  /// Symbol of a last writer's only frame.
  Stream& symbol(const Place& place);
  Stream& reported(const std::string& id, std::uint64_t count, std::uint64_t printed_ns);
  /// `inside`, if it has a goid, was in its write when the process stood still.
  Stream& frozen(const std::string& id, std::uint64_t frozen_ns, const std::string& dossier,
                 std::uint64_t other_began_ns, const Goroutine& inside = {});
  Stream& lost(const std::string& stage, std::uint64_t count);
  Stream& counters(std::uint64_t lost);
  Stream& raw(ingest::ChunkTag tag, const std::string& payload);

 private:
  Stream& access(mw_role role, mw_evidence evidence, std::uint64_t time_ns, mw_op op, const Goroutine& who,
                 const Half& half);
  void symbols(const Goroutine& who);
  static std::vector<ingest::FrameRecord> frames_of(const Goroutine& who);
  template <typename T>
  void event(T& raw_event, const Goroutine& who, std::uint64_t time_ns, mw_event_kind kind);

  std::unique_ptr<ingest::RecordWriter> writer_;
  std::uint32_t tgid_ = 0;
};

}  // namespace mapwatch::golden

// The JSON chunks of a recording as values. Text is kept byte for byte, valid UTF-8 or not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "mapwatch/abi.h"

namespace mapwatch::ingest {

/// 'P': a process was attached, or runs another program than before.
struct ProcessRecord {
  std::uint32_t tgid = 0;
  std::uint32_t pid = 0;
  std::uint32_t ns_pid = 0;
  std::string exe;
  std::string go;
  std::string build_id;
  std::string cgroup;
  std::uint64_t load_bias = 0;
  std::int64_t wall_offset_ns = 0;  ///< CLOCK_REALTIME - CLOCK_MONOTONIC
};

/// As symbolize::Frame.
struct FrameRecord {
  std::string func;
  std::string file;
  int line = 0;
  std::uint64_t pc = 0;
  std::uint64_t offset = 0;
  bool inlined = false;
  bool runtime = false;
  bool user = false;
};

/// 'S': one answer of the symbolizer.
struct SymbolRecord {
  enum class Kind {
    kStack,  ///< pcs -> frames
    kAt,     ///< pcs[0] -> frames
    kType,   ///< pcs[0], a type's address -> name
  };
  std::uint32_t tgid = 0;
  Kind kind = Kind::kStack;
  std::vector<std::uint64_t> pcs;
  std::vector<FrameRecord> frames;
  std::string name;
};

/// A goroutine that was inside its operation when the process stood still.
struct InsideRecord {
  mw_op op = MW_OP_NONE;
  std::uint64_t goid = 0;
  std::uint32_t tid = 0;
  std::vector<FrameRecord> stack;
  bool stack_cut = false;
  std::optional<FrameRecord> created_by;
};

/// 'F': what the report of a crash says that is not in its event.
struct FrozenRecord {
  std::uint32_t tgid = 0;
  std::string id;
  std::optional<std::uint64_t> frozen_ns;
  std::optional<std::string> dossier;
  std::uint64_t other_began_ns = 0;    ///< CLOCK_MONOTONIC, the other side's operation; 0: not noted
  std::optional<InsideRecord> inside;  ///< the other side
};

/// 'R': a hazard or crash had left mapwatch.
struct ReportedRecord {
  std::uint32_t tgid = 0;
  std::string id;
  std::uint64_t count = 0;  ///< of the hazard; 0 for a crash
  std::uint64_t printed_ns = 0;
};

/// 'L'
struct LostRecord {
  std::string stage;
  std::uint64_t count = 0;
};

/// 'C': what the summary says beside the findings themselves.
struct CountersRecord {
  std::uint64_t duration_ns = 0;
  std::uint64_t hits = 0;
  std::uint64_t dwells = 0;
  std::uint64_t lost = 0;
  std::uint64_t sites = 0;
  std::uint64_t sites_armed = 0;
  double armed_share = 0;
  double ns_per_hit = 0;
  double target_cost = 0;
  double own_cpu_s = 0;
  std::uint64_t own_rss_bytes = 0;
};

std::string encode(const ProcessRecord& record);
std::string encode(const SymbolRecord& record);
std::string encode(const FrozenRecord& record);
std::string encode(const ReportedRecord& record);
std::string encode(const LostRecord& record);
std::string encode(const CountersRecord& record);

/// Each fails with kMalformed, naming what is wrong.
Result<ProcessRecord> decode_process(Bytes payload);
Result<SymbolRecord> decode_symbols(Bytes payload);
Result<FrozenRecord> decode_frozen(Bytes payload);
Result<ReportedRecord> decode_reported(Bytes payload);
Result<LostRecord> decode_lost(Bytes payload);
Result<CountersRecord> decode_counters(Bytes payload);

}  // namespace mapwatch::ingest

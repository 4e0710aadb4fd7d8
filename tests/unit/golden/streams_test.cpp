// The recordings of tests/golden that are made by hand. The committed files must be what this file makes; with
// MW_GOLDEN_WRITE=1 it writes them (then `tests/golden/run --update BINARY`, and read the difference).
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

#include "golden/stream.h"

namespace mapwatch::golden {
namespace {

namespace fs = std::filesystem;
using Kind = Place::Kind;

const Place kAssign{"runtime.mapassign_faststr",
                    "/usr/local/go/src/internal/runtime/maps/runtime_faststr.go",
                    263,
                    0x40f00a,
                    10,
                    Kind::kRuntime};
const Place kAccess{"runtime.mapaccess1_faststr",
                    "/usr/local/go/src/internal/runtime/maps/runtime_faststr.go",
                    103,
                    0x40e80a,
                    10,
                    Kind::kRuntime};
const Place kDelete{"runtime.mapdelete_faststr",
                    "/usr/local/go/src/internal/runtime/maps/runtime_faststr.go",
                    401,
                    0x410206,
                    6,
                    Kind::kRuntime};
const Place kIterate{"internal/runtime/maps.(*Iter).Next",
                     "/usr/local/go/src/internal/runtime/maps/table.go",
                     790,
                     0x411406,
                     6,
                     Kind::kRuntime};
const Place kClear{"runtime.mapclear", "/usr/local/go/src/runtime/map.go", 320, 0x412006, 6, Kind::kRuntime};
const Place kClone{"internal/runtime/maps.(*Map).Clone",
                   "/usr/local/go/src/internal/runtime/maps/map.go",
                   870,
                   0x41240a,
                   10,
                   Kind::kRuntime};
const Place kFatal{"runtime.fatal", "/usr/local/go/src/runtime/panic.go", 1168, 0x43f20f, 15, Kind::kRuntime};
const Place kMapsFatal{
    "internal/runtime/maps.fatal", "/usr/local/go/src/runtime/panic.go", 1058, 0x440105, 0x18, Kind::kRuntime};
const Place kPut{"main.(*cache).put", "/srv/app/cache.go", 7, 0x4a3057, 0x57};
const Place kGet{"main.(*cache).get", "/srv/app/cache.go", 12, 0x4a30f2, 0x32};
const Place kWriter{"main.writer", "/srv/app/writer.go", 12, 0x4a4075, 0x75};
const Place kHandle{"example.com/app/api.(*server).handle", "/srv/app/api/api.go", 88, 0x4b21d9, 0x1d9};
const Place kServe{"net/http.(*conn).serve", "/usr/local/go/src/net/http/server.go", 2102, 0x4c0b3e, 0xb3e};
const Place kMain{"main.main", "/srv/app/main.go", 23, 0x4a5104, 0x104};
const Place kHttpServe{"net/http.(*Server).Serve", "/usr/local/go/src/net/http/server.go", 3454, 0x4c18c5, 0x8c5};

const Goroutine kG27{27, 4219, {kAssign, kPut, kWriter}, kMain};
const Goroutine kG29{29, 4222, {kAssign, kPut, kHandle, kServe}, kHttpServe};
const Goroutine kG31{31, 4223, {kAccess, kGet, kHandle, kServe}, kHttpServe};

Half watched(std::uint64_t since_ns) {
  Half half;
  half.watch_ns = since_ns;
  return half;
}

Half knowing(std::uint64_t goid, mw_op op, std::uint64_t pc = 0) {
  Half half;
  half.other_goid = goid;
  half.other_op = op;
  half.other_pc = pc;
  return half;
}

Goroutine crashing(Goroutine who) {
  who.stack.insert(who.stack.begin(), {kFatal, kMapsFatal});
  return who;
}

Stream& with_types(Stream& s) { return s.type(0x4a1000, "map[string]int"); }

void write_write(Stream& s) {
  with_types(s.process(4211));
  s.visitor(2'118'004'217, MW_OP_WRITE, kG27).watcher(2'118'020'000, MW_OP_WRITE, kG29, watched(2'118'002'417));
  s.counters(0);
}

void watcher_first(Stream& s) {
  with_types(s.process(4211));
  s.watcher(2'118'020'000, MW_OP_WRITE, kG29, watched(2'118'002'417)).visitor(2'118'004'217, MW_OP_WRITE, kG27);
  s.counters(0);
}

void third_goroutine(Stream& s) {
  with_types(s.process(4211));
  s.visitor(2'118'004'217, MW_OP_WRITE, kG27)
      .visitor(2'118'005'000, MW_OP_READ, kG31)
      .watcher(2'118'020'000, MW_OP_WRITE, kG29, watched(2'118'002'417));
}

void lost_half(Stream& s) {
  with_types(s.process(4211));
  s.visitor(2'118'004'217, MW_OP_WRITE, kG27, knowing(29, MW_OP_READ)).lost("ring", 1).counters(1);
}

void lone_watcher(Stream& s) {
  with_types(s.process(4211));
  s.watcher(2'118'020'000, MW_OP_WRITE, kG29, watched(2'118'002'417));
}

void mark_last_writer(Stream& s) {
  with_types(s.process(4211));
  s.symbol(kPut).mark(2'118'004'217, MW_OP_READ, kG31, knowing(29, MW_OP_WRITE, kPut.pc));
}

void mark_unknown(Stream& s) {
  with_types(s.process(4211));
  s.mark(2'118'004'217, MW_OP_ITERATE, {31, 4223, {kIterate, kGet, kMain}, {}});
}

void crash_cold(Stream& s) {
  with_types(s.process(4211));
  s.fatal(5'000'000'000, "concurrent map writes", crashing(kG27)).exit(5'100'000'000);
}

void crash_forewarned(Stream& s) {
  with_types(s.process(4211));
  s.visitor(2'000'000'000, MW_OP_READ, kG31)
      .watcher(2'000'020'000, MW_OP_WRITE, kG29, watched(1'999'998'000))
      .fatal(3'300'000'000, "concurrent map read and map write", crashing(kG31))
      .fatal(3'300'001'000, "concurrent map writes", crashing(kG27))
      .exit(3'400'000'000)
      .counters(0);
}

/// The hazard was seen in time and printed too late: nobody was warned.
void crash_before_print(Stream& s) {
  with_types(s.process(4211));
  s.mark(2'000'000'000, MW_OP_WRITE, kG27).fatal(2'000'030'000, "concurrent map writes", crashing(kG29));
  s.reported("mw-99ea02ef", 1, 2'000'400'000);
}

void crash_between(Stream& s) {
  with_types(s.process(4211));
  s.visitor(2'000'000'000, MW_OP_WRITE, kG27, knowing(29, MW_OP_WRITE))
      .fatal(2'000'030'000, "concurrent map writes", crashing(kG29))
      .exit(2'090'000'000);
}

/// Hazards before the crash, on another map.
void crash_elsewhere(Stream& s) {
  with_types(s.process(4211));
  s.mark(1'000'000'000, MW_OP_WRITE, kG27)
      .fatal(9'000'000'000, "small map with no empty slot (concurrent map writes?)", crashing(kG29), 0xc0000b0000);
}

/// What was read of the frozen process: the other side, which no event names, in its write; the finding is 'F''s.
void crash_inside(Stream& s) {
  with_types(s.process(4211));
  s.fatal(5'000'000'000, "concurrent map writes", crashing(kG27))
      .frozen("mw-f7170f64", 17'250'000, "/var/lib/mapwatch/dossiers/20261123T001405.000Z-4211-mw-f7170f64",
              4'999'996'900, kG29)
      .reported("mw-f7170f64", 0, 5'040'000'000)
      .exit(5'100'000'000);
}

/// Frozen, and nobody inside: the last writer stays the other side, and has a time.
void crash_frozen(Stream& s) {
  with_types(s.process(4211));
  s.symbol(kPut)
      .mark(2'000'000'000, MW_OP_READ, kG31, knowing(29, MW_OP_WRITE, kPut.pc))
      .fatal(2'000'030'000, "concurrent map read and map write", crashing(kG31))
      .frozen("mw-8e7027ab", 2'000'000, "/tmp/\x1b[31m\xff", 1'999'990'000)
      .frozen("mw-00000000", 1, "another finding's", 1, kG27);
}

/// The crashing frame does not tell its map; this goroutine's hazard at the same call does.
void crash_same_call(Stream& s) {
  with_types(s.process(4211));
  s.symbol(kPut)
      .mark(2'000'000'000, MW_OP_READ, kG31, knowing(29, MW_OP_WRITE, kPut.pc))
      .fatal(2'000'030'000, "concurrent map read and map write", crashing(kG31), 0);
}

void crash_other(Stream& s) {
  s.process(4211).fatal(5'000'000'000, "all goroutines are asleep - deadlock!", crashing(kG27), 0);
}

void repeats(Stream& s) {
  with_types(s.process(4211));
  for (std::uint64_t i = 0; i < 120; ++i) {
    s.mark(1'000'000'000 + i * 1'000'000, MW_OP_WRITE, {27, 4219, {kAssign, kPut}, {}});
  }
  s.mark(62'000'000'000, MW_OP_WRITE, {27, 4219, {kAssign, kPut}, {}});
}

void two_processes(Stream& s) {
  with_types(s.process(4211));
  with_types(s.process(4300, "/srv/app/orders"));
  s.in(4211).visitor(2'000'000'000, MW_OP_WRITE, kG27);
  s.in(4300).watcher(2'000'000'500, MW_OP_WRITE, kG29, watched(1'999'990'000));
  s.in(4211).watcher(2'000'020'000, MW_OP_READ, kG31, watched(1'999'998'000));
  s.in(4300).visitor(2'000'000'400, MW_OP_READ, kG31);
}

/// The same code and map type at another load bias is the same finding.
void pie(Stream& s) {
  const auto moved = [](Goroutine who, std::uint64_t bias) {
    for (Place& place : who.stack) {
      place.pc += bias;
    }
    who.created_by.pc += bias;
    return who;
  };
  for (const std::uint64_t bias : {0x55d0'0000'0000u, 0x55e0'1234'5000u}) {
    const std::uint32_t tgid = bias == 0x55d0'0000'0000u ? 4211 : 4300;
    Half half = watched(1'999'998'000);
    half.type += bias;
    s.process(tgid, "/srv/app/orders", "3f9c0a1e", bias).type(half.type, "map[string]int");
    s.visitor(2'000'000'000, MW_OP_WRITE, moved(kG27, bias), half)
        .watcher(2'000'020'000, MW_OP_WRITE, moved(kG29, bias), half);
  }
}

void pid_reused(Stream& s) {
  with_types(s.process(4211));
  s.mark(1'000'000'000, MW_OP_WRITE, kG27).exit(1'500'000'000);
  s.process(4211, "/srv/app/billing", "77aa").type(0x4a1000, "map[int]*main.bill");
  s.mark(2'000'000'000, MW_OP_WRITE, kG27).fatal(3'000'000'000, "concurrent map writes", crashing(kG29));
}

void hostile_names(Stream& s) {
  s.process(4211, "/tmp/\x1b]0;owned\x07 x\n\xff", "<script>\x1b[2J");
  s.type(0x4a1000, "map[string]struct { \x1b[31mF int \"json:\\\"\u202efdp\\\"\" }");
  Place evil{"main.\x1b[1A\x1b[2Kgood", "/srv/\r\n==================\nWARNING: x.go", 7, 0x4a3057, 0x57};
  Place unicode{
      "main.(*Größe).größer\xc2\x9b"
      "31m",
      "/srv/app/größe.go", 8, 0x4a4075, 0x75};
  s.mark(2'000'000'000, MW_OP_WRITE, {27, 4219, {kAssign, evil, unicode}, {}});
  s.fatal(3'000'000'000, "concurrent map writes", {29, 4222, {kFatal, evil}, {}});
}

void op_pairs(Stream& s) {
  with_types(s.process(4211));
  const std::vector<std::pair<mw_op, Place>> ops{{MW_OP_WRITE, kAssign},    {MW_OP_READ, kAccess},
                                                 {MW_OP_ITERATE, kIterate}, {MW_OP_DELETE, kDelete},
                                                 {MW_OP_CLEAR, kClear},     {MW_OP_CLONE, kClone}};
  Half half = watched(0);
  std::uint64_t time_ns = 1'000'000'000;
  for (const auto& [one, at_one] : ops) {
    for (const auto& [two, at_two] : ops) {
      ++half.generation;
      time_ns += 1'000'000;
      half.watch_ns = time_ns - 5'000;
      s.visitor(time_ns, one, {27, 4219, {at_one, kPut}, {}}, half)
          .watcher(time_ns + 20'000, two, {29, 4222, {at_two, kHandle}, {}}, half);
    }
  }
}

void inlined(Stream& s) {
  with_types(s.process(4211));
  Place inlined_put = kPut;
  inlined_put.kind = Kind::kInlined;
  inlined_put.pc = kWriter.pc;
  inlined_put.offset = kWriter.offset;
  Half cut = {};
  cut.flags = MW_ACCESS_STACK_CUT;
  s.mark(2'000'000'000, MW_OP_WRITE, {27, 4219, {kAssign, inlined_put, kWriter}, kMain}, cut);
}

/// Go 1.18/1.19: one side's register holds a shape type.
void shape_type(Stream& s) {
  s.process(4211).type(0x4a1000, "map[go.shape.string_0]go.shape.int_1").type(0x4a2000, "map[string]int");
  Half real = watched(1'999'998'000);
  real.type = 0x4a2000;
  s.visitor(2'000'000'000, MW_OP_WRITE, kG27).watcher(2'000'020'000, MW_OP_WRITE, kG29, real);
}

void no_stack(Stream& s) {
  s.process(4211);
  Half half = watched(1'999'998'000);
  half.flags = MW_ACCESS_STACK_ERROR;
  half.type = 0;
  s.visitor(2'000'000'000, MW_OP_WRITE, {27, 4219, {}, {}}, half)
      .watcher(2'000'020'000, MW_OP_DELETE, {29, 4222, {}, {}}, half);
}

void several(Stream& s) {
  write_write(s);
  s.mark(3'000'000'000, MW_OP_READ, kG31).mark(4'000'000'000, MW_OP_WRITE, kG27);
}

void malformed_event(Stream& s) {
  write_write(s);
  s.raw(ingest::ChunkTag::kEvent, "no event").mark(3'000'000'000, MW_OP_READ, kG31);
}

struct Case {
  const char* name;
  std::function<void(Stream&)> make;
  std::size_t cut = 0;   ///< bytes taken off the end
  std::size_t flip = 0;  ///< the byte so far from the end gets another value
};

const Case kCases[] = {
    {"write_write", write_write},
    {"watcher_first", watcher_first},
    {"third_goroutine", third_goroutine},
    {"lost_half", lost_half},
    {"lone_watcher", lone_watcher},
    {"mark_last_writer", mark_last_writer},
    {"mark_unknown", mark_unknown},
    {"crash_cold", crash_cold},
    {"crash_forewarned", crash_forewarned},
    {"crash_before_print", crash_before_print},
    {"crash_between", crash_between},
    {"crash_elsewhere", crash_elsewhere},
    {"crash_same_call", crash_same_call},
    {"crash_inside", crash_inside},
    {"crash_frozen", crash_frozen},
    {"crash_other", crash_other},
    {"crash_other_all", crash_other},
    {"repeats", repeats},
    {"two_processes", two_processes},
    {"pie", pie},
    {"pid_reused", pid_reused},
    {"hostile_names", hostile_names},
    {"op_pairs", op_pairs},
    {"inlined", inlined},
    {"shape_type", shape_type},
    {"no_stack", no_stack},
    {"timestamps_strip", write_write},
    {"color", crash_forewarned},
    {"suppressed", several},
    {"max_reports", several},
    {"halt_on_first", several},
    {"exit_code", write_write},
    {"truncated", several, 40},
    {"damaged", several, 0, 40},
    {"malformed_event", malformed_event},
};

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class GoldenStream : public testing::TestWithParam<Case> {};

TEST_P(GoldenStream, CommittedFileIsWhatTheGeneratorMakes) {
  const Case& golden = GetParam();
  const fs::path committed = fs::path("tests/golden") / golden.name / "stream.mwrec";
  const bool write = std::getenv("MW_GOLDEN_WRITE") != nullptr;
  fs::path made = committed;
  if (write) {
    fs::create_directories(committed.parent_path());
  } else {
    made = fs::temp_directory_path() / ("mapwatch-golden-" + std::to_string(::getpid()) + "-" + golden.name);
  }
  {
    Stream stream(made.string());
    golden.make(stream);
  }
  fs::resize_file(made, fs::file_size(made) - golden.cut);
  if (golden.flip != 0) {
    std::fstream file(made, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(-static_cast<std::streamoff>(golden.flip), std::ios::end);
    const int byte = file.peek();
    file.put(static_cast<char>(byte ^ 0x10));
  }
  if (write) {
    fs::permissions(made, fs::perms(0644));
    return;
  }
  const std::string expected = read_file(made);
  fs::remove(made);
  EXPECT_EQ(read_file(committed), expected) << committed << " differs; MW_GOLDEN_WRITE=1 writes it anew";
}

INSTANTIATE_TEST_SUITE_P(Streams, GoldenStream, testing::ValuesIn(kCases),
                         [](const testing::TestParamInfo<Case>& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace mapwatch::golden

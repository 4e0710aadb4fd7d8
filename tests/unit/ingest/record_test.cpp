#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "ingest/record_file.h"
#include "ingest/record_json.h"

namespace mapwatch::ingest {
namespace {

namespace fs = std::filesystem;

class Record : public testing::Test {
 protected:
  void SetUp() override {
    path_ = (fs::temp_directory_path() / ("mapwatch-record-" + std::to_string(::getpid()) +
                                          testing::UnitTest::GetInstance()->current_test_info()->name()))
                .string();
  }
  void TearDown() override { fs::remove(path_); }

  std::string contents() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static Result<RecordReader> reader_of(const std::string& bytes) {
    return RecordReader::from(std::make_unique<std::istringstream>(bytes), "test");
  }

  std::string path_;
};

TEST_F(Record, WritesAndReadsBack) {
  {
    auto writer = RecordWriter::create(path_);
    ASSERT_TRUE(writer);
    ASSERT_TRUE((*writer)->append(ChunkTag::kEvent, std::string_view("abc")));
    ASSERT_TRUE((*writer)->append(ChunkTag::kLost, std::string_view("")));
    ASSERT_TRUE((*writer)->append(ChunkTag::kProcess, std::string(kMaxChunk, 'x')));
    EXPECT_FALSE((*writer)->append(ChunkTag::kProcess, std::string(kMaxChunk + 1, 'x')));
    EXPECT_EQ((*writer)->dropped(), 1u);
  }
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms(0600));
  auto reader = RecordReader::open(path_);
  ASSERT_TRUE(reader);
  for (int pass = 0; pass < 2; ++pass) {
    auto first = reader->next();
    ASSERT_TRUE(first && *first);
    EXPECT_EQ((*first)->tag, ChunkTag::kEvent);
    EXPECT_EQ((*first)->bytes().text(), "abc");
    EXPECT_EQ((**reader->next()).payload.size(), 0u);
    EXPECT_EQ((**reader->next()).payload.size(), kMaxChunk);
    auto end = reader->next();
    ASSERT_TRUE(end);
    EXPECT_FALSE(*end);
    EXPECT_FALSE(reader->truncated());
    reader->rewind();
  }
}

TEST_F(Record, ThreadsWriteWholeChunks) {
  auto writer = RecordWriter::create(path_);
  ASSERT_TRUE(writer);
  const auto work = [&](char c) {
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE((*writer)->append(ChunkTag::kSymbols, std::string(100 + i, c)));
    }
  };
  std::thread other(work, 'a');
  work('b');
  other.join();
  auto reader = RecordReader::open(path_);
  int chunks = 0;
  for (auto chunk = reader->next(); chunk && *chunk; chunk = reader->next()) {
    const std::string_view text = (*chunk)->bytes().text();
    EXPECT_EQ(text.find_first_not_of(text[0]), std::string_view::npos);
    ++chunks;
  }
  EXPECT_EQ(chunks, 400);
}

TEST_F(Record, EveryCutIsToldAndTheRestIsRead) {
  {
    auto writer = RecordWriter::create(path_);
    ASSERT_TRUE((*writer)->append(ChunkTag::kEvent, std::string_view("first")));
    ASSERT_TRUE((*writer)->append(ChunkTag::kEvent, std::string_view("second")));
  }
  const std::string whole = contents();
  const std::size_t second = 16 + 12 + 5;
  for (std::size_t size = second + 1; size < whole.size(); ++size) {
    auto reader = reader_of(whole.substr(0, size));
    ASSERT_TRUE(reader);
    ASSERT_TRUE(*reader->next());
    auto end = reader->next();
    ASSERT_TRUE(end) << size;
    EXPECT_FALSE(*end) << size;
    EXPECT_TRUE(reader->truncated()) << size;
  }
}

TEST_F(Record, DamageIsAnError) {
  {
    auto writer = RecordWriter::create(path_);
    ASSERT_TRUE((*writer)->append(ChunkTag::kEvent, std::string_view("first")));
  }
  const std::string whole = contents();
  for (std::size_t at = 16 + 8; at < whole.size(); ++at) {  // the CRC and the payload
    std::string bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    auto reader = reader_of(bad);
    ASSERT_TRUE(reader);
    const auto chunk = reader->next();
    ASSERT_FALSE(chunk) << at;
    EXPECT_EQ(chunk.error().kind, ErrorKind::kMalformed);
  }
  std::string huge = whole;
  huge[16 + 7] = '\x7f';
  EXPECT_FALSE(reader_of(huge)->next());
}

TEST_F(Record, UnknownTagsAreSkipped) {
  {
    auto writer = RecordWriter::create(path_);
    ASSERT_TRUE((*writer)->append(static_cast<ChunkTag>('Z'), std::string_view("from the future")));
    ASSERT_TRUE((*writer)->append(ChunkTag::kEvent, std::string_view("now")));
  }
  auto reader = RecordReader::open(path_);
  EXPECT_EQ((**reader->next()).bytes().text(), "now");
}

TEST_F(Record, OtherFilesAndVersionsAreRefused) {
  EXPECT_EQ(reader_of("").error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(reader_of("\x7f"
                      "ELF and more than sixteen bytes")
                .error()
                .kind,
            ErrorKind::kMalformed);
  ASSERT_TRUE(RecordWriter::create(path_));
  std::string bytes = contents();
  ASSERT_EQ(bytes.size(), 16u);
  bytes[8] = 99;
  EXPECT_EQ(reader_of(bytes).error().kind, ErrorKind::kUnsupported);
  EXPECT_FALSE(RecordReader::open(path_ + "-is-not-there"));
}

TEST_F(Record, FullDiskIsToldOnceAndCounted) {
  if (::access("/dev/full", W_OK) != 0) {
    GTEST_SKIP() << "no /dev/full";
  }
  EXPECT_FALSE(RecordWriter::create("/dev/full"));
  EXPECT_FALSE(RecordWriter::create("/nonexistent/file"));
}

TEST(Crc32, IsTheCommonOne) {
  const std::string text = "123456789";
  EXPECT_EQ(crc32(Bytes(text.data(), text.size())), 0xcbf43926u);
  EXPECT_EQ(crc32(Bytes()), 0u);
}

Bytes bytes_of(const std::string& text) { return Bytes(text.data(), text.size()); }

TEST(RecordJson, KeepsEveryByte) {
  std::string all;
  for (int i = 0; i < 256; ++i) {
    all += static_cast<char>(i);
  }
  const ProcessRecord in{4211, 11, 1, all, "go1.26.8", "3f9c", "größe", 0x55d000000000, -5};
  const auto out = decode_process(bytes_of(encode(in)));
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(out->exe, all);
  EXPECT_EQ(out->cgroup, "größe");
  EXPECT_EQ(out->load_bias, 0x55d000000000u);
  EXPECT_EQ(out->wall_offset_ns, -5);
  EXPECT_EQ(out->tgid, 4211u);
}

TEST(RecordJson, Symbols) {
  SymbolRecord in{7, SymbolRecord::Kind::kStack, {UINT64_MAX, 2}, {{"main.f", "f.go", 3, 4, 5, true, false, true}}, ""};
  auto out = decode_symbols(bytes_of(encode(in)));
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(out->pcs, in.pcs);
  ASSERT_EQ(out->frames.size(), 1u);
  EXPECT_EQ(out->frames[0].func, "main.f");
  EXPECT_TRUE(out->frames[0].inlined);
  EXPECT_TRUE(out->frames[0].user);
  in = {7, SymbolRecord::Kind::kType, {9}, {}, "map[string]int"};
  out = decode_symbols(bytes_of(encode(in)));
  ASSERT_TRUE(out);
  EXPECT_EQ(out->name, "map[string]int");
}

TEST(RecordJson, Frozen) {
  FrozenRecord in{7, "mw-1", 17, "/tmp/\xff", 9, std::nullopt};
  auto out = decode_frozen(bytes_of(encode(in)));
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(out->frozen_ns, 17u);
  EXPECT_EQ(out->dossier, "/tmp/\xff");
  EXPECT_EQ(out->other_began_ns, 9u);
  EXPECT_FALSE(out->inside);
  const FrameRecord frame{"main.f", "f.go", 3, 4, 5, true, false, true};
  in = {7, "mw-1", std::nullopt, std::nullopt, 0, InsideRecord{MW_OP_DELETE, 8, 9, {frame, frame}, true, frame}};
  out = decode_frozen(bytes_of(encode(in)));
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_FALSE(out->frozen_ns || out->dossier);
  ASSERT_TRUE(out->inside && out->inside->created_by);
  EXPECT_EQ(out->inside->op, MW_OP_DELETE);
  EXPECT_EQ(out->inside->goid, 8u);
  EXPECT_EQ(out->inside->tid, 9u);
  EXPECT_EQ(out->inside->stack.size(), 2u);
  EXPECT_TRUE(out->inside->stack_cut);
  EXPECT_EQ(out->inside->created_by->func, "main.f");
}

TEST(RecordJson, RefusesWhatIsWrongByName) {
  const auto expect = [](const auto& result, const char* what) {
    ASSERT_FALSE(result) << what;
    EXPECT_EQ(result.error().kind, ErrorKind::kMalformed);
    EXPECT_NE(result.error().message.find(what), std::string::npos) << result.error().message;
  };
  expect(decode_lost(bytes_of("")), "parse error");
  expect(decode_lost(bytes_of("[]")), "no object");
  expect(decode_lost(bytes_of("{}")), "stage");
  expect(decode_lost(bytes_of(R"({"stage":1,"count":1})")), "stage");
  expect(decode_lost(bytes_of(R"({"stage":"ring","count":-1})")), "count");
  expect(decode_lost(bytes_of(R"({"stage":"ring","count":1.5})")), "count");
  expect(decode_lost(bytes_of("{\"stage\":\"\xe4\xb8\x96\",\"count\":1}")), "code point");
  expect(decode_reported(bytes_of(R"({"tgid":4294967296,"id":"x","count":1,"printed_ns":1})")), "tgid");
  expect(decode_symbols(bytes_of(R"({"tgid":1,"kind":"map","pcs":[1],"frames":[]})")), "kind");
  expect(decode_symbols(bytes_of(R"({"tgid":1,"kind":"at","pcs":[],"frames":[]})")), "pcs");
  expect(decode_symbols(bytes_of(R"({"tgid":1,"kind":"at","pcs":["1"],"frames":[]})")), "pc");
  expect(decode_symbols(bytes_of(R"({"tgid":1,"kind":"at","pcs":[1],"frames":[7]})")), "frame");
  const std::string frozen = R"({"tgid":1,"id":"x","frozen_ns":null,"dossier":null,"other_began_ns":0,"inside":)";
  expect(decode_frozen(bytes_of(frozen + "1}")), "inside");
  expect(
      decode_frozen(bytes_of(frozen + R"({"op":7,"goid":1,"tid":1,"stack":[],"stack_cut":false,"created_by":null}})")),
      "op");
  expect(
      decode_frozen(bytes_of(frozen + R"({"op":1,"goid":1,"tid":1,"stack":{},"stack_cut":false,"created_by":null}})")),
      "stack");
  expect(decode_frozen(bytes_of(frozen + R"({"op":1,"goid":1,"tid":1,"stack":[],"stack_cut":false,"created_by":3}})")),
         "frame");
  std::string deep(200000, '[');
  expect(decode_symbols(bytes_of(deep)), "parse error");
}

}  // namespace
}  // namespace mapwatch::ingest

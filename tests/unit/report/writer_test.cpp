#include "report/writer.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

#include "report/publisher.h"
#include "symbolize/fake_symbolizer.h"

namespace mapwatch::report {
namespace {

namespace fs = std::filesystem;

class FixedClock : public Clock {
 public:
  std::uint64_t monotonic_ns() const override { return now; }
  std::int64_t realtime_ns() const override { return 0; }
  std::uint64_t now = 1'000;
};

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class WriterTest : public testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    path_ = (fs::temp_directory_path() / ("mapwatch-writer-" + std::to_string(::getpid()))).string();
  }
  void TearDown() override { fs::remove(path_); }

  Writer writer_to_file(Format format) {
    WriterOptions options;
    options.format = format;
    options.log_path = path_;
    options.quiet = true;
    return std::move(*Writer::create(options, clock_));
  }

  std::string path_;
  FixedClock clock_;
};

correlate::Hazard hazard(const char* id, std::uint64_t count = 1, bool print = true) {
  correlate::Hazard out;
  out.id = id;
  out.tgid = 7;
  out.count = count;
  out.print = print;
  out.map = 0xc000;
  out.accesses[0].op = MW_OP_WRITE;
  out.accesses[0].stack = {0x10};
  out.accesses[1].op = MW_OP_READ;
  return out;
}

TEST_F(WriterTest, FileIsTruncatedAndHoldsOneObjectALine) {
  std::ofstream(path_) << "old\n";
  Writer writer = writer_to_file(Format::kJson);
  EXPECT_EQ(read_file(path_), "");
  Report report = HazardReport{};
  EXPECT_EQ(writer.write(report), WriteOutcome::kWritten);
  EXPECT_EQ(std::get<HazardReport>(report).printed_ns, 1'000u);
  Report sum = SummaryReport{};
  EXPECT_EQ(writer.write(sum), WriteOutcome::kWritten);
  const std::string text = read_file(path_);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_NE(text.find("\"printed_ns\":1000"), std::string::npos);
  EXPECT_NE(text.find("\"kind\":\"summary\""), std::string::npos) << "JSON keeps all objects in one stream";
}

TEST_F(WriterTest, FileIsNeverColoured) {
  WriterOptions options;
  options.log_path = path_;
  options.style.color = true;
  Writer writer = std::move(*Writer::create(options, clock_));
  Report report = HazardReport{};
  writer.write(report);
  EXPECT_EQ(read_file(path_).find('\x1b'), std::string::npos);
}

TEST_F(WriterTest, ClosedPipeIsAValue) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  WriterOptions options;
  options.findings_fd = ends[1];
  options.quiet = true;
  Writer writer = std::move(*Writer::create(options, clock_));
  Report report = HazardReport{};
  EXPECT_EQ(writer.write(report), WriteOutcome::kClosed);
  EXPECT_TRUE(writer.closed());
  EXPECT_EQ(writer.write(report), WriteOutcome::kClosed);
  EXPECT_EQ(writer.lost(), 0u);
  ::close(ends[1]);
}

TEST_F(WriterTest, NonBlockingPipeIsWaitedFor) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK), 0);
  ASSERT_GT(::fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
  WriterOptions options;
  options.findings_fd = ends[1];
  Writer writer = std::move(*Writer::create(options, clock_));
  HazardReport large;
  large.process.exe = std::string(4000, 'x');
  Report report = large;
  std::size_t written = 0;
  while (writer.write(report) == WriteOutcome::kWritten && written < 100) {
    ++written;
  }
  EXPECT_LT(written, 100u) << "the pipe is full and nobody reads";
  EXPECT_EQ(writer.lost(), 1u);
  EXPECT_FALSE(writer.closed());
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(WriterTest, FullDiskIsCountedAndLeavesNoHalfObject) {
  Writer writer = writer_to_file(Format::kJson);
  Report report = HazardReport{};
  ASSERT_EQ(writer.write(report), WriteOutcome::kWritten);
  const std::string whole = read_file(path_);
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const rlimit small{whole.size() + 10, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const WriteOutcome outcome = writer.write(report);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  EXPECT_EQ(outcome, WriteOutcome::kLost);
  EXPECT_EQ(writer.lost(), 1u);
  EXPECT_FALSE(writer.last_error().empty());
  EXPECT_EQ(read_file(path_), whole);
  EXPECT_EQ(writer.write(report), WriteOutcome::kWritten) << "room again";
  EXPECT_EQ(read_file(path_), whole + whole);
}

TEST_F(WriterTest, PathThatCannotBeWritten) {
  WriterOptions options;
  options.log_path = "/nonexistent/file";
  const auto writer = Writer::create(options, clock_);
  ASSERT_FALSE(writer);
  EXPECT_NE(writer.error().message.find("/nonexistent/file"), std::string::npos);
}

class PublisherTest : public WriterTest {
 protected:
  symbolize::FakeSymbolizer symbols_;
  Suppressions none_;
};

TEST_F(PublisherTest, RepeatsAreNeitherSymbolisedNorWritten) {
  Writer writer = writer_to_file(Format::kCompact);
  Publisher publisher({}, symbols_, writer, none_);
  EXPECT_EQ(publisher.publish(hazard("a")), Published::kWritten);
  const int before = symbols_.stacks;
  EXPECT_EQ(publisher.publish(hazard("a", 2, false)), Published::kRepeat);
  EXPECT_EQ(symbols_.stacks, before);
  EXPECT_EQ(publisher.hazards(), 1u);
}

TEST_F(PublisherTest, MaxReportsHoldsBackHazardsAndNeverCrashes) {
  Writer writer = writer_to_file(Format::kCompact);
  Publisher publisher({.max_reports = 1, .halt_on_first = false}, symbols_, writer, none_);
  EXPECT_EQ(publisher.publish(hazard("a")), Published::kWritten);
  EXPECT_EQ(publisher.publish(hazard("b")), Published::kHeldBack);
  EXPECT_EQ(publisher.hazards(), 2u) << "counted all the same";
  EXPECT_EQ(publisher.publish(correlate::Crash{}), Published::kWritten);
  EXPECT_EQ(publisher.crashes(), 1u);
}

TEST_F(PublisherTest, WhatCouldNotBeWrittenIsHandedOutToBeToldOtherwise) {
  WriterOptions options;
  options.log_path = "/dev/full";
  auto writer = Writer::create(options, clock_);
  ASSERT_TRUE(writer);
  Publisher publisher({}, symbols_, *writer, none_);
  std::optional<Report> report;
  EXPECT_EQ(publisher.publish(hazard("a"), &report), Published::kLost);
  EXPECT_TRUE(report);
  report.reset();
  EXPECT_EQ(publisher.publish(correlate::Crash{}, &report), Published::kLost);
  EXPECT_TRUE(report);
  EXPECT_FALSE(publisher.want_stop());
}

TEST_F(PublisherTest, HaltOnFirst) {
  Writer writer = writer_to_file(Format::kCompact);
  Publisher publisher({.max_reports = {}, .halt_on_first = true}, symbols_, writer, none_);
  EXPECT_FALSE(publisher.want_stop());
  EXPECT_EQ(publisher.publish(hazard("a")), Published::kWritten);
  EXPECT_TRUE(publisher.want_stop());
  // What stood in the ring beside the first: counted, not printed.
  EXPECT_EQ(publisher.publish(hazard("b")), Published::kHeldBack);
  EXPECT_EQ(publisher.publish(correlate::Crash{}), Published::kHeldBack);
  EXPECT_EQ(publisher.hazards(), 2u);
  EXPECT_EQ(publisher.crashes(), 1u);
}

TEST_F(PublisherTest, SuppressedIsCountedAndNotAHazard) {
  Writer writer = writer_to_file(Format::kCompact);
  Suppressions suppressions = *Suppressions::parse("race:main.f10", "f");
  Publisher publisher({}, symbols_, writer, suppressions);
  EXPECT_EQ(publisher.publish(hazard("a")), Published::kSuppressed);
  EXPECT_EQ(publisher.publish(hazard("a", 2, false)), Published::kSuppressed);
  EXPECT_EQ(publisher.hazards(), 0u);
  EXPECT_EQ(publisher.suppressed(), 2u);
  EXPECT_EQ(read_file(path_), "");
}

TEST_F(PublisherTest, LeadIsCountedFromWhatWasWritten) {
  Writer writer = writer_to_file(Format::kCompact);
  Publisher publisher({}, symbols_, writer, none_);
  publisher.publish(hazard("a"));
  correlate::Crash crash;
  crash.tgid = 7;
  crash.map = 0xc000;
  crash.time_ns = 5'000;
  std::optional<Report> report;
  publisher.publish(crash, &report);
  ASSERT_TRUE(report);
  EXPECT_EQ(std::get<CrashReport>(*report).lead_ns, 4'000u);
  EXPECT_EQ(std::get<CrashReport>(*report).map_lead_ns, 4'000u);
  publisher.forget_process(7);
  publisher.publish(crash, &report);
  EXPECT_FALSE(std::get<CrashReport>(*report).lead_ns);
}

TEST_F(PublisherTest, LostReportGivesNoLead) {
  WriterOptions options;
  options.findings_fd = -1;
  Writer writer = std::move(*Writer::create(options, clock_));
  Publisher publisher({}, symbols_, writer, none_);
  EXPECT_EQ(publisher.publish(hazard("a")), Published::kLost);
  correlate::Crash crash;
  crash.tgid = 7;
  crash.time_ns = 5'000;
  EXPECT_FALSE(build_crash(crash, symbols_, {}, {}).lead_ns);
  EXPECT_EQ(publisher.publish(crash), Published::kLost);
  EXPECT_EQ(writer.lost(), 2u);
}

}  // namespace
}  // namespace mapwatch::report

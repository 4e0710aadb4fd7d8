// The scripts that judge the rest: a lint that passes everything and a count that loses a failure would be silent.
// Runs from the repository's root, as make does.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

struct Ran {
  int status = -1;
  std::string output;
};

Ran run(const std::string& command) {
  Ran ran;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) {
    return ran;
  }
  std::array<char, 4096> buffer;
  for (std::size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    ran.output.append(buffer.data(), got);
  }
  const int status = ::pclose(pipe);
  ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

/// A source tree of its own, gone after the test.
class Tree : public testing::Test {
 protected:
  Tree() : root_(testing::TempDir() + "mapwatch_ci_" + std::to_string(::getpid())) {
    for (const char* layer : {"base", "elf", "attach", "correlate", "cli", "app"}) {
      std::filesystem::create_directories(root_ / "user" / layer);
    }
    for (const char* folder : {"bpf", "include", ".ci", "tests"}) {
      std::filesystem::create_directories(root_ / folder);
    }
  }
  ~Tree() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) { std::ofstream(root_ / path) << text; }
  /// `true` stands for clang-format: the layout of these files is not the point.
  Ran lint() { return run(".ci/lint true '" + root_.string() + "'"); }
  void expect_complaint(const std::string& text) {
    const Ran ran = lint();
    EXPECT_EQ(ran.status, 1) << ran.output;
    EXPECT_NE(ran.output.find(text), std::string::npos) << ran.output;
  }

  std::filesystem::path root_;
};

TEST_F(Tree, ThatKeepsTheRulesIsClean) {
  write("user/base/a.h", "#pragma once\n");
  write("user/elf/a.h", "#include \"base/a.h\"\n#include <vector>\n");
  write("user/attach/a.cpp", "#include \"attach/b.h\"\n#include \"elf/a.h\"\n#include \"mapwatch/abi.h\"\n");
  write("user/app/a.cpp", "#include \"attach/b.h\"\n#include \"cli/a.h\"\n#include \"correlate/a.h\"\n");
  write("bpf/a.bpf.h", "/* never a uretprobe */\n// uretprobe: never\n");
  write("tests/run", "#!/bin/sh\necho \"$1\"\n");
  const Ran ran = lint();
  EXPECT_EQ(ran.status, 0) << ran.output;
  EXPECT_EQ(ran.output, "lint: clean\n");
}

TEST_F(Tree, LayersThatLookTheWrongWay) {
  write("user/elf/a.cpp", "#include \"base/a.h\"\n#include \"attach/a.h\"\n");
  expect_complaint("user/elf/a.cpp:2: layer elf must not include attach/");
}

TEST_F(Tree, ArmsThatMeetBelowTheApp) {
  write("user/correlate/a.h", "#include \"elf/a.h\"\n");
  expect_complaint("user/correlate/a.h:1: layer correlate must not include elf/");
}

TEST_F(Tree, CommandLineThatKnowsMoreThanBase) {
  write("user/cli/a.h", "#include \"app/a.h\"\n");
  expect_complaint("layer cli must not include app/");
}

TEST_F(Tree, BaseThatIncludesALayer) {
  write("user/base/a.h", "#include \"cli/a.h\"\n");
  expect_complaint("layer base must not include cli/");
}

TEST_F(Tree, FolderThatIsNoLayer) {
  std::filesystem::create_directories(root_ / "user/util");
  expect_complaint("user/util/ is no layer");
}

TEST_F(Tree, LongFiles) {
  std::string text;
  for (int i = 0; i < 401; ++i) {
    text += "\n";
  }
  write("user/base/long.cpp", text.substr(1));
  EXPECT_EQ(lint().status, 0);
  write("user/base/long.cpp", text);
  expect_complaint("user/base/long.cpp has 401 lines");
}

TEST_F(Tree, ReturnProbes) {
  write("bpf/a.bpf.c", "int x;\nSEC(\"uretprobe.multi\") int f(void* c) { return 0; }\n");
  expect_complaint("bpf/a.bpf.c:2:");
  write("bpf/a.bpf.c", "\n");
  write("user/attach/a.cpp", "LIBBPF_OPTS(bpf_uprobe_multi_opts, o, .retprobe = true); /* why */\n");
  expect_complaint("user/attach/a.cpp:1:");
}

TEST_F(Tree, ShellScriptsThatShellcheckRefuses) {
  if (run("command -v shellcheck").status != 0) {
    GTEST_SKIP() << "no shellcheck on this machine";
  }
  write("tests/run", "#!/bin/bash\nfor f in $(ls *.x); do rm $UNSET/$f; done\ncd /nowhere\n");
  expect_complaint("shellcheck");
}

class Count : public Tree {
 protected:
  std::string count(int status, const std::string& log) {
    write("log", log);
    return run(".ci/count " + std::to_string(status) + " '" + (root_ / "log").string() + "'").output;
  }
};

TEST_F(Count, LinesOfOurOwnAreAddedUp) {
  EXPECT_EQ(count(0, "x\nmw-count: 3 0 1\ny\nmw-count: 4 0 0\n"), "7 0 1\n");
  EXPECT_EQ(count(1, "mw-count: 3 2 1\n"), "3 2 1\n");
}

TEST_F(Count, Gtest) {
  EXPECT_EQ(count(0, "[==========] 7 tests from 2 test suites ran. (3 ms total)\n[  PASSED  ] 7 tests.\n"), "7 0 0\n");
  EXPECT_EQ(count(0,
                  "[==========] 7 tests from 2 test suites ran. (3 ms total)\n[  PASSED  ] 5 tests.\n"
                  "[  SKIPPED ] 2 tests, listed below:\n[  SKIPPED ] A.B\n"),
            "5 0 2\n");
  EXPECT_EQ(count(1, "[==========] 1 test from 1 test suite ran. (3 ms total)\n[  PASSED  ] 1 test.\n"), "1 1 0\n");
}

TEST_F(Count, GtestFailuresBriefAndLong) {
  const std::string failed = "[  FAILED  ] A.B (0 ms)\n[  FAILED  ] A.C/1, where GetParam() = (1) (12 ms)\n";
  const std::string sum = "[==========] 7 tests from 2 test suites ran. (3 ms total)\n[  PASSED  ] 5 tests.\n";
  EXPECT_EQ(count(1, failed + sum), "5 2 0\n");
  EXPECT_EQ(count(1, failed + sum + "[  FAILED  ] 2 tests, listed below:\n[  FAILED  ] A.B\n[  FAILED  ] A.C/1\n"),
            "5 2 0\n");
}

TEST_F(Count, StagesThatTellNothingAreOneTest) {
  EXPECT_EQ(count(0, "lint: clean\n"), "1 0 0\n");
  EXPECT_EQ(count(2, "error\n"), "0 1 0\n");
}

TEST_F(Count, DeathIsAFailure) {
  EXPECT_EQ(count(139, "[ RUN      ] A.B\n"), "0 1 0\n");
  EXPECT_EQ(count(137, "mw-count: 3 0 0\n"), "3 1 0\n");
}

}  // namespace

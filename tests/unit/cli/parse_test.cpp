#include <gtest/gtest.h>

#include "cli/command_line.h"
#include "cli/flags.h"

namespace mapwatch::cli {
namespace {

TEST(Watch, TakesItsFlags) {
  const Options o = options_of({"watch",
                                "-p",
                                "1,2",
                                "-p",
                                "3",
                                "-p",
                                "2",
                                "-x",
                                "/srv/*",
                                "--cgroup",
                                "/a",
                                "--exclude",
                                "b*",
                                "--exclude",
                                "c",
                                "-d",
                                "30s",
                                "--dry-run",
                                "-T",
                                "-q",
                                "--color",
                                "never",
                                "--log-path",
                                "l",
                                "--strip-path-prefix",
                                "/s/",
                                "--suppressions",
                                "f",
                                "--max-reports",
                                "5",
                                "--exit-code",
                                "0",
                                "--budget",
                                "0.5%",
                                "--dwell",
                                "50us",
                                "--attach",
                                "perf",
                                "--record",
                                "r",
                                "--on-fatal",
                                "all",
                                "--ring-size",
                                "64K",
                                "--procfs",
                                "/host/proc",
                                "--run-dir",
                                "/r"});
  EXPECT_EQ(o.command, Command::kWatch);
  EXPECT_EQ(o.pids, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(o.exe_globs, Words{"/srv/*"});
  EXPECT_EQ(o.cgroup, "/a");
  EXPECT_EQ(o.excludes, (Words{"b*", "c"}));
  EXPECT_EQ(o.duration_ns, 30'000'000'000u);
  EXPECT_TRUE(o.dry_run);
  EXPECT_TRUE(o.timestamps);
  EXPECT_TRUE(o.quiet);
  EXPECT_EQ(o.color, When::kNever);
  EXPECT_EQ(o.log_path, "l");
  EXPECT_EQ(o.strip_path_prefix, "/s/");
  EXPECT_EQ(o.suppressions, "f");
  EXPECT_EQ(o.max_reports, 5u);
  EXPECT_EQ(o.exit_code, 0);
  EXPECT_EQ(o.dwell_ns, 50'000u);
  EXPECT_DOUBLE_EQ(o.budget, 0.005);
  EXPECT_EQ(o.attach, AttachMode::kPerf);
  EXPECT_EQ(o.record, "r");
  EXPECT_EQ(o.on_fatal, "all");
  EXPECT_EQ(o.ring_size, 65536u);
  EXPECT_EQ(o.procfs, "/host/proc");
  EXPECT_EQ(o.run_dir, "/r");
}

TEST(Run, EverythingAfterTheDashesIsTheCommand) {
  const Options o = options_of({"-o", "json", "run", "--follow", "--", "sh", "-c", "x", "--", "-o", "text", "--help"});
  EXPECT_EQ(o.command, Command::kRun);
  EXPECT_TRUE(o.follow);
  EXPECT_EQ(o.output, Output::kJson);
  EXPECT_EQ(o.child, (Words{"sh", "-c", "x", "--", "-o", "text", "--help"}));
}

TEST(Run, WithoutDashesSaysHow) {
  const Error error = error_of({"run", "./server"});
  EXPECT_EQ(error.message, "run: unexpected argument ./server");
  EXPECT_NE(error.hint.find("put -- in front"), std::string::npos);
  EXPECT_EQ(error_of({"run"}).message, "run: no command to run");
  EXPECT_EQ(error_of({"run", "--"}).message, "run: no command to run");
}

TEST(Replay, TakesOneFile) {
  EXPECT_EQ(options_of({"replay", "x.mwr", "-o", "json"}).replay_file, "x.mwr");
  EXPECT_EQ(error_of({"replay"}).kind, ErrorKind::kUsage);
  EXPECT_EQ(error_of({"replay", "a", "b"}).kind, ErrorKind::kUsage);
}

TEST(Sample, ItsDefaultIsThatOfWhatIsWatched) {
  EXPECT_EQ(options_of({"watch", "-a", "--sample", "1/8"}).sample, "1/8");
  EXPECT_EQ(options_of({"watch", "-p", "1"}).sample, "full");
  EXPECT_EQ(options_of({"watch", "-a"}).sample, "auto") << "a whole host is watched under a budget";
  EXPECT_EQ(options_of({"watch", "-a"}, {"MAPWATCH_SAMPLE=full"}).sample, "full");
  EXPECT_EQ(options_of({"top", "-a"}).sample, "auto");
  EXPECT_TRUE(parse({"watch", "-a", "--on-crash", "report"}, {})->warnings.empty());
}

TEST(Alerts, FlagsAndTheirBounds) {
  const Options options =
      options_of({"watch", "-a", "--webhook", "https://a.example/x?y", "--exec", "/bin/a 'b c'", "--exec-user",
                  "nobody", "--alert-wait", "0", "--alert-spool", "1M", "--journal", "never"});
  EXPECT_EQ(options.webhook, "https://a.example/x?y");
  EXPECT_EQ(options.exec, (std::vector<std::string>{"/bin/a", "b c"}));
  EXPECT_EQ(options.alert_wait_ns, 0u);
  EXPECT_EQ(options.alert_spool, 1u << 20);
  EXPECT_EQ(options.journal, When::kNever);
  const Options none = options_of({"watch", "-a"});
  EXPECT_TRUE(none.webhook.empty() && none.alertmanager.empty() && none.exec.empty());
  EXPECT_EQ(none.alert_resolve_ns, 900'000'000'000u);
  EXPECT_EQ(none.exec_timeout_ns, 10'000'000'000u);
  const auto refused = [](const char* flag, const char* value) {
    const Error error = error_of({"watch", "-a", flag, value});
    EXPECT_EQ(error.kind, ErrorKind::kUsage) << flag << " " << value;
    return error.message;
  };
  for (const char* url : {"ftp://a", "file:///etc/passwd", "a.example", "http://", "https://user:secret@a.example/"}) {
    EXPECT_EQ(refused("--webhook", url).find("secret@"), std::string::npos) << "a password is not told";
    refused("--alertmanager", url);
  }
  refused("--exec", "cat");
  refused("--exec", "/bin/a 'b");
  refused("--exec-max", "0");
  refused("--exec-timeout", "10");
  refused("--alert-resolve", "9s");
  refused("--alert-repeat", "1s");
  refused("--alert-spool", "1K");
  refused("--journal", "yes");
  refused("--webhook-secret-file", "/a");
  refused("--webhook-ca", "/a");
  refused("--exec-user", "nobody");
}

TEST(Freeze, FlagsAndTheirBounds) {
  auto parsed = parse({"watch", "-a", "--on-crash", "none", "--max-freeze", "500ms"}, {});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->options.on_crash, "none");
  EXPECT_EQ(parsed->options.max_freeze_ns, 500'000'000u);
  EXPECT_TRUE(parsed->warnings.empty());
  EXPECT_EQ(options_of({"run", "--", "x"}).on_crash, "report");
  EXPECT_EQ(options_of({"run", "--", "x"}).max_freeze_ns, 2'000'000'000u);

  parsed = parse({"watch", "-a", "--on-crash", "core"}, {});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->options.on_crash, "core");
  EXPECT_EQ(parsed->warnings.size(), 1u);
}

TEST(Thaw, OneProcessOrAll) {
  EXPECT_EQ(options_of({"thaw"}).command, Command::kThaw);
  EXPECT_EQ(options_of({"thaw", "-p", "7"}).pids, std::vector<int>{7});
  EXPECT_TRUE(options_of({"thaw", "--all", "--run-dir", "/r"}).all);
  EXPECT_EQ(options_of({"thaw", "--run-dir", "/r"}).run_dir, "/r");
  EXPECT_EQ(error_of({"thaw", "-p", "1,2"}).kind, ErrorKind::kUsage);
  EXPECT_EQ(error_of({"thaw", "-p", "1", "--all"}).kind, ErrorKind::kUsage);
  EXPECT_EQ(error_of({"thaw", "-o", "json"}).kind, ErrorKind::kUsage);
  EXPECT_EQ(error_of({"thaw", "7"}).kind, ErrorKind::kUsage);
  EXPECT_NE(parse({"thaw", "--help"}, {})->text->find("--run-dir"), std::string::npos);
}

TEST(Usage, EveryErrorIsAUsageError) {
  const Words wrong[] = {
      {},
      {"wach", "-a"},
      {"watch"},
      {"watch", "-p", "0"},
      {"watch", "-p", "x"},
      {"watch", "-p", "1,"},
      {"watch", "-p", ""},
      {"watch", "-p"},
      {"watch", "-p", "99999999999"},
      {"watch", "-a", "-n", ""},
      {"watch", "-a", "extra"},
      {"watch", "-a", "ls"},
      {"watch", "-a", "--follow"},
      {"watch", "-a", "-d", "30"},
      {"watch", "-a", "-d", "0"},
      {"watch", "-a", "-o", "xml"},
      {"watch", "-a", "--color", "maybe"},
      {"watch", "-a", "--max-reports", "0"},
      {"watch", "-a", "--exit-code", "256"},
      {"watch", "-a", "--exit-code", "-1"},
      {"watch", "-a", "--budget", "1"},
      {"watch", "-a", "--budget", "0%"},
      {"watch", "-a", "--budget", "101%"},
      {"watch", "-a", "--sample", "1/0"},
      {"watch", "-a", "--sample", "2/3"},
      {"watch", "-a", "--dwell", "2ms"},
      {"watch", "-a", "--dwell", "0"},
      {"watch", "-a", "--attach", "kprobe"},
      {"watch", "-a", "--on-crash", "dump"},
      {"watch", "-a", "--on-fatal", "some"},
      {"watch", "-a", "--max-freeze", "2m"},
      {"watch", "-a", "--ring-size", "3M"},
      {"watch", "-a", "--ring-size", "1K"},
      {"watch", "-a", "--procfs", "proc"},
      {"watch", "-a", "--state-dir", ""},
      {"watch", "-a", "-q", "-v"},
      {"watch", "-a", "--bogus"},
      {"watch", "-a", "--dry-run=perhaps"},
      {"watch", "-a", "-Z"},
      {"--bogus", "watch", "-a"},
      {"run", "-p", "1", "--", "x"},
      {"ls", "-p", "1"},
      {"doctor", "-p", "1,2"},
      {"doctor", "-a"},
  };
  for (const Words& args : wrong) {
    std::string line;
    for (const std::string& word : args) {
      line += word + " ";
    }
    auto parsed = parse(args, {});
    ASSERT_FALSE(parsed) << line;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kUsage) << line;
    EXPECT_FALSE(parsed.error().message.empty()) << line;
  }
}

TEST(Usage, MissingValueIsSaidPlainly) {
  EXPECT_EQ(error_of({"watch", "-p"}).message, "--pid needs a value");
  EXPECT_EQ(error_of({"ls", "--output"}).message, "--output needs a value");
}

TEST(Usage, NamesTheLayerThatIsWrong) {
  const ConfigFile file("# \noutput = xml\n");
  EXPECT_EQ(error_of({"ls", "-o", "xml"}).message, "--output: \"xml\" is none of text, compact, json");
  EXPECT_EQ(error_of({"ls"}, {"MAPWATCH_OUTPUT=xml"}).message,
            "MAPWATCH_OUTPUT: \"xml\" is none of text, compact, json");
  EXPECT_EQ(error_of({"ls", "--config", file.path()}).message,
            file.path() + ":2: output: \"xml\" is none of text, compact, json");
}

TEST(Usage, UnknownKeysAreErrorsWithTheirPlace) {
  const ConfigFile file("output = json\nouptut = json\n");
  const Error in_file = error_of({"ls", "--config", file.path()});
  EXPECT_EQ(in_file.message, file.path() + ":2: unknown key ouptut");
  EXPECT_EQ(in_file.hint, "did you mean output?");
  EXPECT_EQ(error_of({"ls"}, {"MAPWATCH_OUPTUT=json"}).message,
            "the environment variable MAPWATCH_OUPTUT names no flag of mapwatch");
  EXPECT_TRUE(parse({"ls"}, {"MAPWATCH_SERVICE_HOST=10.0.0.1", "MAPWATCH_PORT_80_TCP_ADDR=10.0.0.1"}));
  EXPECT_EQ(error_of({"ls", "--ouptut", "json"}).hint, "did you mean --output?");
  EXPECT_EQ(error_of({"wacth", "-a"}).hint, "did you mean watch?");
}

TEST(Usage, KeysOfOtherCommandsAreFineInFileAndEnvironment) {
  const ConfigFile file("pid = [1, 2]\nduration = 5s\n");
  EXPECT_TRUE(options_of({"ls", "--config", file.path()}, {"MAPWATCH_PID=3"}).pids.empty());
}

TEST(LaterCommands, AreRefusedAndNotOffered) {
  const std::string help = parse({"--help"}, {})->text.value();
  for (const char* name : {"chaos", "net"}) {
    const Error error = error_of({name, "--help"});
    EXPECT_EQ(error.kind, ErrorKind::kUsage);
    EXPECT_TRUE(error.message.starts_with(std::string(name) + " is not in this version")) << error.message;
    EXPECT_EQ(help.find("\n  " + std::string(name) + " "), std::string::npos) << name;
  }
}

TEST(Help, ForEachCommandAndAll) {
  for (const CommandSpec& spec : commands()) {
    const auto parsed = parse({std::string(spec.name), "--help"}, {"MAPWATCH_OUTPUT=xml"});
    ASSERT_TRUE(parsed);
    ASSERT_TRUE(parsed->text);
    EXPECT_EQ(parsed->status, 0);
    EXPECT_TRUE(parsed->text->starts_with("Usage: mapwatch " + std::string(spec.name)));
    for (const FlagSpec& flag : flags()) {
      const bool shown = parsed->text->find("--" + std::string(flag.name) + " ") != std::string::npos ||
                         parsed->text->find("--" + std::string(flag.name) + "\n") != std::string::npos;
      EXPECT_EQ(shown, (flag.shown & bit(spec.command)) != 0) << spec.name << " " << flag.name;
    }
  }
  EXPECT_TRUE(parse({"-h"}, {})->text->starts_with("mapwatch warns"));
  EXPECT_EQ(parse({"--version"}, {})->text, "mapwatch " MAPWATCH_VERSION "\n");
}

TEST(Dossier, TakesAnActionAndAnId) {
  EXPECT_EQ(options_of({"dossier", "ls"}).dossier_action, "ls");
  const Options show = options_of({"dossier", "show", "a-1", "--state-dir", "/s"});
  EXPECT_EQ(show.dossier_action, "show");
  EXPECT_EQ(show.dossier_id, "a-1");
  EXPECT_FALSE(options_of({"dossier", "export", "a-1"}).redact);
  EXPECT_TRUE(options_of({"dossier", "export", "a-1", "--redact"}).redact);
  EXPECT_EQ(show.state_dir, "/s");
  EXPECT_EQ(options_of({"watch", "-a"}).state_dir, "");
  const std::vector<Words> wrong = {{"dossier"},
                                    {"dossier", "show"},
                                    {"dossier", "ls", "a"},
                                    {"dossier", "rm", "a", "b"},
                                    {"dossier", "eat", "a"},
                                    {"dossier", "export"},
                                    {"dossier", "export", "a", "b"},
                                    {"dossier", "show", "a", "--redact"},
                                    {"dossier", "export", "a", "--redact=maybe"},
                                    {"watch", "-a", "--redact"},
                                    {"dossier", "ls", "-p", "7"}};
  for (const Words& args : wrong) {
    EXPECT_EQ(error_of(args).kind, ErrorKind::kUsage) << args.size() << " words, last " << args.back();
  }
}

TEST(Dump, TakesOneProcessOrACoreWithItsProgram) {
  EXPECT_EQ(options_of({"dump", "-p", "7"}).pids, std::vector<int>{7});
  const Options core = options_of({"dump", "--core", "c", "--exe", "b", "-o", "json"});
  EXPECT_EQ(core.core, "c");
  EXPECT_EQ(core.exe_globs, Words{"b"});
  EXPECT_EQ(options_of({"dump", "-p", "7", "--max-freeze", "300ms"}).max_freeze_ns, 300'000'000u);
  EXPECT_FALSE(options_of({"dump", "-p", "7"}).show_keys || options_of({"dump", "-p", "7"}).redact);
  const Options keys = options_of({"dump", "-p", "7", "--show-keys", "--redact"});
  EXPECT_TRUE(keys.show_keys && keys.redact);
  const std::vector<Words> wrong = {{"dump"},
                                    {"dump", "-p", "7,8"},
                                    {"dump", "-p", "7", "--core", "c", "--exe", "b"},
                                    {"dump", "--core", "c"},
                                    {"dump", "--core", "c", "--exe", "a", "--exe", "b"},
                                    {"dump", "-p", "7", "--exe", "b"},
                                    {"dump", "-p", "7", "extra"},
                                    {"dump", "-p", "7", "--record", "f"},
                                    {"dump", "-p", "7", "--show-keys=some"},
                                    {"dump", "--show-keys"},
                                    {"watch", "-p", "7", "--show-keys"},
                                    {"dossier", "ls", "--show-keys"}};
  for (const Words& args : wrong) {
    EXPECT_EQ(error_of(args).kind, ErrorKind::kUsage) << args.size() << " words, last " << args.back();
  }
}

}  // namespace
}  // namespace mapwatch::cli
